"""Up to where the slots of a trigger have been dealt with, and which row of slots that did not run the next one continues."""

from __future__ import annotations

from collections.abc import Iterable

from cronflow.core.records import Cursor, Run
from cronflow.core.slots.due_slots import DueSlots
from cronflow.core.state import LiveState
from cronflow.core.turn import Turn


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
