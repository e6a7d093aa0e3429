"""Telling systemd (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names; without it, nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import time


class Notifier:
    """Says READY, RELOADING, STATUS, WATCHDOG and STOPPING. Takes the variables out of the environment, so that no command
    can speak in the daemon's name."""

    def __init__(self) -> None:
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        usec, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        mine = usec.isdecimal() and (not pid or pid == str(os.getpid()))
        self.watchdog_every: float | None = int(usec) / 2e6 if mine else None
        self._alive_at = 0.0
        self._status = ""

    def ready(self) -> None:
        self._send("READY=1")

    def reloading(self) -> None:
        """To be followed by `ready`. The time is that of the monotonic clock in microseconds (sd_notify(3))."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def alive(self) -> None:
        """To be called in every turn of the loop; said twice within the time that systemd waits (sd_watchdog_enabled(3))."""
        now = time.monotonic()
        if self.watchdog_every is not None and now - self._alive_at >= 0.9 * self.watchdog_every:
            self._alive_at = now
            self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; said when it changes."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(text.encode(), address)
