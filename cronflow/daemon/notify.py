"""Telling systemd (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names; without it, nothing."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from cronflow.core.effects import Effects
from cronflow.core.events import Event
from cronflow.core.state import LiveState
from cronflow.core.tables import RUNS, TASKS
from cronflow.daemon.part import Part, Ready


class Notifier(Part):
    """Says READY, RELOADING, STATUS, WATCHDOG and STOPPING. Takes the variables out of the environment, so that no command
    can speak in the daemon's name."""

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self._address = os.environ.pop("NOTIFY_SOCKET", "")
        usec, pid = os.environ.pop("WATCHDOG_USEC", ""), os.environ.pop("WATCHDOG_PID", "")
        mine = usec.isdecimal() and (not pid or pid == str(os.getpid()))
        self._watchdog_every: float | None = int(usec) / 2e6 if mine else None
        self._alive_at = 0.0
        self._status = ""

    def ready(self) -> None:
        """What was read is in force: after the start, and after `reloading`."""
        self._tell_status()
        self._send("READY=1")

    def reloading(self) -> None:
        """To be followed by `ready`. The time is that of the monotonic clock in microseconds (sd_notify(3))."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def deadline(self) -> float | None:
        return None if self._watchdog_every is None else self._alive_at + self._watchdog_every

    def poll(self, _ready: Ready, /) -> list[Event]:
        """Feed the watchdog, twice within the time that systemd waits (sd_watchdog_enabled(3))."""
        now = time.monotonic()
        if self._watchdog_every is not None and now - self._alive_at >= 0.9 * self._watchdog_every:
            self._alive_at = now
            self._send("WATCHDOG=1")
        return []

    def saved(self, out: Effects, /) -> None:
        if out.of(RUNS) or out.of(TASKS):
            self._tell_status()

    def _tell_status(self) -> None:
        """One line for `systemctl status`, when it changes."""
        jobs, running = self._state.jobs.jobs, self._state.running
        failing = sum(one.failing_since is not None for name, one in self._state.health.items() if name in jobs)
        text = f"{len(jobs)} jobs, {running} running, {failing} failing"
        if text != self._status:
            self._status = text
            self._send(f"STATUS={text}")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
            sock.sendto(text.encode(), address)
