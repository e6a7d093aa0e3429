"""Up to where the slots of a trigger have been dealt with, those that are due from there on, and the row of slots that did not
run which the next one continues."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import ceil, floor

from cronflow.core.edges.alignment import AskingSlot
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Cursor, Run
from cronflow.core.state import LiveState
from cronflow.core.time.triggers import Calendars, Trigger, allowed, count_allowed
from cronflow.core.turn import Turn


@dataclass(slots=True)
class DueSlots:
    """The slots of a trigger after `at`, up to `until`, in the time of slots, for those roots of a flow whose cursors stand at
    `at`. `delay` is how long after its slot the trigger is due."""

    flow: Flow
    trigger: Trigger
    cursors: list[Cursor]
    until: float
    calendars: Calendars
    delay: int = 0
    roots: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.roots = tuple(cursor.job for cursor in self.cursors)

    @property
    def at(self) -> float:
        return self.cursors[0].at

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


def advance(turn: Turn, slots: DueSlots, at: float, row: int | None) -> None:
    """Move the cursors on over slots: into a row of slots that did not run, or, without one, past slots that ran."""
    for cursor in slots.cursors:
        cursor.at = at
    _continue(turn, slots.cursors, row)


def end_row(turn: Turn, run: Run) -> None:
    """The slot of a run that waited for jobs of other flows has become that run: no later slot continues the row before it."""
    places = [(root, run.trigger_key or "") for root in run.roots]
    _continue(turn, [turn.state.cursors[place] for place in places if place in turn.state.cursors], None)


def _continue(turn: Turn, cursors: Iterable[Cursor], row: int | None) -> None:
    rows = turn.state.rows
    for cursor in cursors:
        before, cursor.row = cursor.row, row
        turn.save(cursor)
        if before is not None and before != row and before in rows and not _is_continued(turn.state, rows[before]):
            del rows[before]


def _is_continued(state: LiveState, row: Run) -> bool:
    """Whether a root may still continue a row, in whatever flow it is today."""
    places = [(root, row.trigger_key or "") for root in row.roots]
    return any(state.cursors[place].row == row.id for place in places if place in state.cursors)
