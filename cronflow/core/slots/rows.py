"""Slots that do not run: each is part of a row that says why. Consecutive slots with the same reason are one row."""

from __future__ import annotations

from cronflow.core.edges import edge_state
from cronflow.core.notify import health
from cronflow.core.records import Run, TaskState
from cronflow.core.run import runs
from cronflow.core.slots.due_slots import DueSlots, advance
from cronflow.core.state import LiveState
from cronflow.core.tables import RUNS
from cronflow.core.time.triggers import stretch
from cronflow.core.turn import Turn

Why = tuple[TaskState, str]
"""The state and the reason of a row."""

ON_A_FORBIDDEN_DAY: Why = ("skipped", "calendar")


def record(turn: Turn, slots: DueSlots, until: float, why: Why) -> int:
    """Put the slots up to `until` into rows, those on forbidden days into rows of their own; returns how many of them were on
    others. The cursors move on."""
    recorded = 0
    while (first := slots.next()) is not None and first <= until:
        days = stretch(slots.trigger, slots.calendars, first)
        last = slots.trigger.schedule.last_until(min(until, days.end - 1), slots.at)
        assert last is not None
        count = slots.trigger.schedule.count(slots.at, last)
        recorded += count if days.runs else 0
        _add(turn, slots, range(first, last + 1), count, why if days.runs else ON_A_FORBIDDEN_DAY)
    return recorded


def record_run(turn: Turn, slots: DueSlots, run: Run, reason: str) -> None:
    """Put the slot of a run that waited, and is not to be, into a row in its place."""
    assert run.slot is not None
    if run.partly_ended:
        runs.skip(turn, run, reason)
        return
    runs.discard(turn, run)
    why: Why = ("skipped", reason)
    if _row_to_continue(turn.state, slots, why) is not None:
        turn.delete(RUNS, run.id)
    _add(turn, slots, range(run.slot, run.slot + 1), 1, why, run.id)


def _add(turn: Turn, slots: DueSlots, span: range, count: int, why: Why, number: int | None = None) -> None:
    """Put slots, from the first to the last of a span, into a row: the one before if it tells the same, else a new one."""
    state, last = turn.state, span[-1]
    row = _row_to_continue(state, slots, why)
    if row is None:
        row = runs.new(turn, slots.flow, slots.trigger.kind, slots.roots)
        row.id = row.id if number is None else number
        row.trigger_key, row.slot, row.is_row = slots.trigger.key, span[0], True
        row.state, row.reason = why
        state.next_run = max(state.next_run, row.id + 1)
        state.rows[row.id] = row
        turn.save(slots.flow.definition)
    row.slot_last, row.slots, row.finished_at = last, row.slots + count, turn.now
    turn.save(row)
    health.tell_skipped(turn, row, slots.flow.jobs, row.slots - count)
    edge_state.not_run(turn, slots.flow, row)
    advance(turn, slots, last, row.id)


def _row_to_continue(state: LiveState, slots: DueSlots, why: Why) -> Run | None:
    numbers = {cursor.row for cursor in slots.cursors}
    row = state.rows.get(numbers.pop() or 0) if len(numbers) == 1 else None
    if row is None or (row.state, row.reason, row.roots, row.flow) != (*why, slots.roots, slots.flow.name):
        return None
    return row
