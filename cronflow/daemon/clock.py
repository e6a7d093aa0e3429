"""Waiting for a time of the wall clock: a timerfd, which also wakes when the clock is set."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct

_CLOCK_REALTIME = 0
_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
_ABSTIME_CANCEL_ON_SET = 1 | 2
_SPEC = struct.Struct("qqqq")
_libc = ctypes.CDLL(None, use_errno=True)


class WallTimer:
    """Readable at the time it is set to, or when the wall clock jumps (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET)."""

    def __init__(self) -> None:
        self._fd = _libc.timerfd_create(_CLOCK_REALTIME, _NONBLOCK_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._at = -1.0

    def fileno(self) -> int:
        return int(self._fd)

    def set(self, at: float) -> None:
        """Wake at `at` (epoch seconds). Setting the same time again costs nothing."""
        if at == self._at:
            return
        seconds, fraction = divmod(max(at, 0.000001), 1.0)
        spec = _SPEC.pack(0, 0, int(seconds), int(fraction * 1e9))
        if _libc.timerfd_settime(self._fd, _ABSTIME_CANCEL_ON_SET, spec, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self._at = at

    def clear(self) -> None:
        """After a wake-up: the next `set` sets it in any case. ECANCELED says that the clock was set."""
        self._at = -1.0
        with contextlib.suppress(BlockingIOError, OSError):
            os.read(self._fd, 8)

    def close(self) -> None:
        os.close(self._fd)
