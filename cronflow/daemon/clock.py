"""The wall clock: the engine's wake-ups, and a clock that is set (timerfd_create(2))."""

from __future__ import annotations

import contextlib
import math
import os
import struct
import time
from dataclasses import dataclass, field

from cronflow import linux
from cronflow.core.engine import next_wakeup
from cronflow.core.events import ClockSetBack, Event
from cronflow.core.plan.flow import Plan
from cronflow.core.slots.clock_correction import is_behind, since
from cronflow.core.state import LiveState
from cronflow.daemon.part import Life, Part, Ready
from cronflow.store.database import Database

_CLOCK_REALTIME = 0
_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
_ABSTIME_CANCEL_ON_SET = 1 | 2
_SPEC = struct.Struct("qqqq")


class WallTimer:
    """Readable at the time it is set to, or when the wall clock jumps (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET)."""

    def __init__(self) -> None:
        self._fd = linux.checked(linux.libc.timerfd_create(_CLOCK_REALTIME, _NONBLOCK_CLOEXEC))
        self._at: float | None = None

    def fileno(self) -> int:
        return self._fd

    def set(self, at: float | None) -> None:
        """Wake at `at` (epoch seconds), or only when the clock jumps. Setting the same time again costs nothing."""
        if at == self._at:
            return
        seconds, fraction = divmod(max(at or 0.0, 0.000001), 1.0)
        spec = _SPEC.pack(0, 0, int(seconds) if at is not None else 1 << 40, int(fraction * 1e9))
        linux.checked(linux.libc.timerfd_settime(self._fd, _ABSTIME_CANCEL_ON_SET, spec, None))
        self._at = at

    def clear(self) -> None:
        """After a wake-up: the next `set` sets it in any case. ECANCELED says that the clock was set."""
        self._at = -1.0
        with contextlib.suppress(OSError):
            os.read(self._fd, 8)

    def close(self) -> None:
        os.close(self._fd)


@dataclass
class Clock(Part):
    """Wakes the loop for the engine, and notices a clock that was set back by hours: at the start, and whenever it shows less
    than it did (`shown`)."""

    life: Life
    database: Database
    state: LiveState
    timer: WallTimer = field(default_factory=WallTimer)
    shown: float = math.inf

    def fds(self) -> list[WallTimer]:
        self.timer.set(next_wakeup(self.state))
        return [self.timer]

    def poll(self, ready: Ready, /) -> list[Event]:
        if self.timer in ready:
            self.timer.clear()
        return self.set_back(self.state.plan)

    def set_back(self, plan: Plan) -> list[Event]:
        """The event of a clock that was set back, with what the database knows of later slots; not before all that ran until
        then is in the database."""
        if self.database.unsaved.unsaved or not self.life.slots:
            return []
        now, events = time.time(), list[Event]()
        if self.shown > now and is_behind(self.state, plan, now):
            events.append(ClockSetBack(*self.database.store.slots_after(since(self.state, plan, now))))
            self.life.log("the clock was set back: slots count from the time that it shows now")
        self.shown = now
        return events

    def close(self) -> None:
        self.timer.close()
