"""Looks whether the clock was set back by hours: at the start, and whenever it shows less than it did."""

from __future__ import annotations

import math
from dataclasses import dataclass

from cronflow.core.events import ClockSetBack, Event
from cronflow.core.plan.flow import Plan
from cronflow.core.slots.clock_correction import is_behind, since
from cronflow.core.state import LiveState
from cronflow.store.store import Store


@dataclass(slots=True)
class SetBack:
    """`shown` is what the clock showed last (epoch seconds)."""

    shown: float = math.inf

    def news(self, state: LiveState, plan: Plan, store: Store, now: float) -> list[Event]:
        """The event of a clock that was set back, with what the database knows of later slots."""
        if self.shown > now and is_behind(state, plan, now):
            found = ClockSetBack(*store.slots_after(since(state, plan, now)))
            self.shown = now
            return [found]
        self.shown = now
        return []
