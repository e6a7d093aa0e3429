"""The slots of one trigger that are due, for those roots of a flow that have been dealt with up to the same place."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor

from cronflow.core.edges.alignment import AskingSlot
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Cursor
from cronflow.core.state import LiveState
from cronflow.core.time.triggers import Calendars, Trigger, allowed, count_allowed


@dataclass(slots=True)
class DueSlots:
    """The slots after `at`, up to `until`, in the time of slots. `delay` is how long after its slot the trigger is due."""

    flow: Flow
    trigger: Trigger
    cursors: list[Cursor]
    until: float
    calendars: Calendars
    delay: int = 0

    @property
    def at(self) -> float:
        return self.cursors[0].at

    @property
    def roots(self) -> tuple[str, ...]:
        return tuple(cursor.job for cursor in self.cursors)

    def next(self) -> int | None:
        return self.trigger.schedule.next_after(self.at)

    def asking(self, slot: int, trigger: str, now: float) -> AskingSlot:
        """One of these slots as its edges see it. After one that is caught up comes the next one after now."""
        return AskingSlot(slot, self.trigger.schedule.next_after(now - self.delay if trigger == "catchup" else slot))

    def first(self, most: int, until: float) -> float:
        """An instant up to which there are at most `most` slots, those on forbidden days apart, of those up to `until`."""
        if self._count(until) <= most:
            return until
        low, high = floor(self.at), ceil(until)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._count(middle) <= most else (low, middle)
        return low

    def _count(self, until: float) -> int:
        return count_allowed(self.trigger, self.calendars, self.at, until)

    def allows(self, slot: int) -> bool:
        return allowed(self.trigger, self.calendars, slot)

    def are_held_up(self, state: LiveState) -> bool:
        """Whether a run of this trigger waits for jobs of other flows: newer slots line up behind it."""
        return any((root, self.trigger.key) in state.gated for root in self.roots)


def cursors_of(state: LiveState, flow: Flow, trigger: Trigger) -> list[Cursor]:
    """The cursors of a trigger, for all roots of a flow that have one."""
    found = (state.cursors.get((root, trigger.key)) for root in flow.roots)
    return [cursor for cursor in found if cursor is not None]


def trigger_of(flow: Flow, key: str) -> Trigger | None:
    """The trigger of a flow with this key; None if it has none any more."""
    return next((trigger for trigger in flow.triggers if trigger.key == key), None)
