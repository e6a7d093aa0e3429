"""A command that has outlived both processes of its keeper: nobody's child any more, but not out of sight.

A descriptor opened while it lives tells when it ends, and on Linux 6.15 and later how, even when init has reaped it:
PIDFD_GET_INFO of ioctl(2) with PIDFD_INFO_EXIT. Until it is reaped, /proc/PID/stat tells it too.
"""
from __future__ import annotations

import fcntl
import os
import select
import struct

from . import tree

_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_EXIT_CODE = 60
_SIZE = 64


class Orphan:
    """For a selector: readable by `fileno()` once the process has ended. ProcessLookupError if it already has."""

    def __init__(self, pid: int, ticks: int) -> None:
        self.pid = pid
        self.ticks = ticks
        self._fd = os.pidfd_open(pid)
        process = tree.look(pid)
        if process is None or process.ticks != ticks:
            os.close(self._fd)
            raise ProcessLookupError(pid)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._fd

    def ended(self) -> bool:
        """Whether it has ended."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(0))

    def status(self) -> int | None:
        """Its raw wait status once it has ended; None if the kernel does not tell."""
        for _ in range(2):
            status = self._of_zombie()
            if status is None:
                status = self._of_reaped()
            if status is not None:
                return status
        return None

    def _of_zombie(self) -> int | None:
        try:
            with open(f"/proc/{self.pid}/stat", "rb") as file:
                stat = file.read()
        except OSError:
            return None
        fields = stat[stat.rindex(b")") + 2:].split()
        return int(fields[49]) if fields[0] in b"ZX" and not self._gone() else None

    def _gone(self) -> bool:
        """Whether it has been reaped, so that its pid may be another's."""
        poll = select.poll()
        poll.register(self._fd, 0)
        return any(events & select.POLLHUP for _, events in poll.poll(0))

    def _of_reaped(self) -> int | None:
        request = struct.pack("Q", _PIDFD_INFO_EXIT).ljust(_SIZE, b"\0")
        try:
            answer = fcntl.ioctl(self._fd, _PIDFD_GET_INFO, request)
        except OSError:
            return None
        (mask,) = struct.unpack_from("Q", answer)
        (status,) = struct.unpack_from("i", answer, _EXIT_CODE)
        return int(status) if mask & _PIDFD_INFO_EXIT else None

    def close(self) -> None:
        """Gives the descriptor back."""
        os.close(self._fd)
