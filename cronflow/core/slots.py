"""Slots that are due: which run on time, which were missed, and what `catchup` makes of those.

Each root has a cursor for each of its triggers: up to there every slot is in a row. What lies between the cursor and now is
due. A slot is on time if the daemon was up at its time and is not looked at much later; otherwise (downtime, suspend, a step
of the clock) it was missed. `catchup` then records missed slots in one row, counted and not walked, and leaves those that it
wants to run behind the cursor: these are *lining*, opened oldest first and one after the other, and newer slots line up
behind them.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from math import ceil, floor

from cronflow.core import runs, skips
from cronflow.core.effects import Effects
from cronflow.core.flow import Flow, Trigger
from cronflow.core.model import Cursor, Run
from cronflow.core.model import State as StateWord
from cronflow.core.state import MissedReport, State

ON_TIME = 60.0
"""Seconds after which a slot that nobody started counts as missed. The daemon sleeps for 30 s at most."""


@dataclass(slots=True)
class Line:
    """The slots of one trigger for those roots of a flow that stand at the same place, up to `until`."""

    flow: Flow
    trigger: Trigger
    cursors: list[Cursor]
    until: float

    @property
    def at(self) -> float:
        return self.cursors[0].at

    @property
    def roots(self) -> tuple[str, ...]:
        return tuple(cursor.job for cursor in self.cursors)

    def count(self, until: float) -> int:
        return self.trigger.schedule.count(self.at, until)

    def first(self, most: int, until: float) -> float:
        """An instant up to which there are at most `most` slots of those up to `until`."""
        if self.count(until) <= most:
            return until
        low, high = floor(self.at), ceil(until)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.count(middle) <= most else (low, middle)
        return low


def follow_plan(state: State, out: Effects, now: float) -> None:
    """After a load: a cursor at now for each trigger that is new, none for those that are gone; then the heap of due slots.

    A flow whose roots are all disabled has no slots, and so no cursor: enabling it later fires nothing from before."""
    wanted: set[tuple[str, str]] = set()
    state.due = []
    for flow in state.plan.flows.values():
        if flow.dormant:
            continue
        for trigger in flow.triggers:
            keys = [(root, trigger.key) for root in flow.roots if flow.jobs[root].schedule or flow.jobs[root].every]
            wanted.update(keys)
            for key in keys:
                if key not in state.cursors:
                    cursor = Cursor(*key, at=now)
                    state.cursors[key] = cursor
                    out.cursors[key] = cursor
            _push(state, flow, trigger)
    for key in [key for key in state.cursors if key not in wanted]:
        del state.cursors[key]
        out.cursors[key] = None
    state.lining &= wanted
    heapq.heapify(state.due)
    kept = {cursor.row for cursor in state.cursors.values()}
    state.rows = {number: row for number, row in state.rows.items() if number in kept}


def _push(state: State, flow: Flow, trigger: Trigger) -> None:
    cursors = _cursors(state, flow, trigger)
    at = trigger.schedule.next_after(min(cursor.at for cursor in cursors))
    if at is not None:
        heapq.heappush(state.due, (at, flow.name, trigger.key))


def _cursors(state: State, flow: Flow, trigger: Trigger) -> list[Cursor]:
    found = (state.cursors.get((root, trigger.key)) for root in flow.roots)
    return [cursor for cursor in found if cursor is not None]


def fire_due(state: State, out: Effects, now: float) -> bool:
    """Deal with every slot that is due. True if there was any."""
    fired = False
    while state.due and state.due[0][0] <= now:
        _, name, key = heapq.heappop(state.due)
        flow = state.plan.flows[name]
        trigger = next(trigger for trigger in flow.triggers if trigger.key == key)
        fired = True
        if _fire(state, out, flow, trigger, now):
            _push(state, flow, trigger)
    return fired


def go_on_lining(state: State, out: Effects, now: float) -> bool:
    """Open the next run of each trigger that is being caught up, if the one before has ended. True if a line moved."""
    moved = False
    for flow_name, key in dict.fromkeys((state.plan.flow_of[job], key) for job, key in sorted(state.lining)):
        flow = state.plan.flows[flow_name]
        trigger = next(trigger for trigger in flow.triggers if trigger.key == key)
        before = [cursor.at for cursor in _cursors(state, flow, trigger)]
        if _fire(state, out, flow, trigger, now):
            _push(state, flow, trigger)
        moved = moved or before != [cursor.at for cursor in _cursors(state, flow, trigger)]
    return moved


def _fire(state: State, out: Effects, flow: Flow, trigger: Trigger, now: float) -> bool:
    """Bring the cursors of one trigger up to now, as far as that is possible. False while slots are lining."""
    while True:
        cursors = _cursors(state, flow, trigger)
        first = min(cursor.at for cursor in cursors)
        if first >= now:
            return True
        behind = [cursor for cursor in cursors if cursor.at == first]
        until = min((cursor.at for cursor in cursors if first < cursor.at < now), default=now)
        line = Line(flow, trigger, behind, until)
        if not _catch_up(state, out, line, now):
            return False
        _on_time(state, out, line, now)
        for cursor in behind:
            cursor.at = until
            out.cursors[cursor.job, cursor.trigger_key] = cursor


def _catch_up(state: State, out: Effects, line: Line, now: float) -> bool:
    """Missed slots of the line: recorded, or opened one after the other. False while one is still to be opened."""
    if not line.cursors[0].lining and not _find_missed(state, out, line, now):
        return True
    policy = line.flow.head
    while True:
        if policy.catchup_window is not None:
            _record(state, out, line, min(now - policy.catchup_window, line.until), "missed", "daemon_down", now)
        slot = line.trigger.schedule.next_after(line.at)
        if slot is None or slot > line.until:
            _line_up(state, out, line, False)
            return True
        if _nobody_runs(state, out, line, line.until, now):
            continue
        if state.in_the_way(line.flow.jobs):
            return False
        _advance(state, out, line, slot, None)
        runs.open_slot(state, out, line.flow, line.trigger.key, line.roots, "catchup", slot, now)


def _find_missed(state: State, out: Effects, line: Line, now: float) -> bool:
    """Apply `catchup` to slots that nobody was there for. True if some of them are to be run."""
    assert state.up_since is not None
    gone = min(max(state.up_since, now - ON_TIME), line.until)
    while (newest := line.trigger.schedule.last_until(gone, line.at)) is not None:
        if not _nobody_runs(state, out, line, gone, now):
            break
    else:
        return False
    policy = line.flow.head
    report = state.missed.setdefault(line.roots[0], MissedReport())
    past = newest if policy.catchup == "none" else newest - 1 if policy.catchup == "last" else line.at
    if policy.catchup_window is not None:
        past = max(past, min(now - policy.catchup_window, gone))
    report.recorded += _record(state, out, line, past, "missed", "daemon_down", now)
    waiting = line.count(gone)
    if waiting == 1:
        report.caught_up = newest
    report.waiting += waiting if waiting > 1 else 0
    if waiting:
        _line_up(state, out, line, True)
    return waiting > 0


def _on_time(state: State, out: Effects, line: Line, now: float) -> None:
    slot = line.trigger.schedule.next_after(line.at)
    while slot is not None and slot <= line.until:
        if not _nobody_runs(state, out, line, slot, now):
            refusal = runs.admit(state, out, line.flow.head, line.flow.jobs, now)
            if isinstance(refusal, str):
                _record(state, out, line, slot, "skipped", refusal, now)
            else:
                _advance(state, out, line, slot, None)
                trigger = line.trigger
                runs.open_slot(state, out, line.flow, trigger.key, line.roots, trigger.kind, slot, now, held=refusal)
        slot = line.trigger.schedule.next_after(line.at)


def _nobody_runs(state: State, out: Effects, line: Line, until: float, now: float) -> bool:
    """When every root is disabled, paused or to be skipped, no run opens: the slots are recorded as skipped, not more of them
    than are to be. True if there was one."""
    words = {root: _why_not(state, line.flow, root) for root in line.flow.roots}
    if None in words.values():
        return False
    reason = next(word for word in ("skip", "paused", "disabled") if word in words.values())
    skipped = [root for root, word in words.items() if word == "skip"]
    if skipped:
        until = line.first(min(state.skips[root].left for root in skipped), until)
    count = _record(state, out, line, until, "skipped", reason, now)
    for root in skipped:
        skips.use_up(state, out, root, count)
    return count > 0


def _why_not(state: State, flow: Flow, root: str) -> str | None:
    if not flow.jobs[root].enabled:
        return "disabled"
    return "paused" if root in state.pauses else "skip" if root in state.skips else None


def _record(
    state: State,
    out: Effects,
    line: Line,
    until: float,
    word: StateWord,
    reason: str,
    now: float,
) -> int:
    """Put the slots up to `until` into a row, the one before if it tells the same; returns how many. The cursors move on."""
    count = line.count(until)
    if count == 0:
        return 0
    first = line.trigger.schedule.next_after(line.at)
    last = line.trigger.schedule.last_until(until, line.at)
    assert first is not None
    assert last is not None
    row = _row_to_continue(state, line, word, reason)
    if row is None:
        row = Run(
            state.next_run,
            line.flow.name,
            line.trigger.kind,
            now,
            line.flow.digest,
            line.trigger.key,
            line.roots,
            slot=first,
            state=word,
            reason=reason,
        )
        state.next_run += 1
        state.rows[row.id] = row
        out.definitions[line.flow.digest] = (line.flow.name, line.flow.body)
    row.slot_last, row.slots, row.finished_at = last, row.slots + count, now
    out.runs[row.id] = row
    _advance(state, out, line, last, row.id)
    return count


def _row_to_continue(state: State, line: Line, word: StateWord, reason: str) -> Run | None:
    numbers = {cursor.row for cursor in line.cursors}
    row = state.rows.get(numbers.pop() or 0) if len(numbers) == 1 else None
    if row is None or (row.state, row.reason, row.roots, row.flow) != (word, reason, line.roots, line.flow.name):
        return None
    return row


def _advance(state: State, out: Effects, line: Line, at: float, row: int | None) -> None:
    """Move the cursors on over slots: into a row of slots that did not run, or, without one, past slots that ran."""
    for cursor in line.cursors:
        before, cursor.at, cursor.row = cursor.row, at, row
        out.cursors[cursor.job, cursor.trigger_key] = cursor
        if before is not None and all(other.row != before for other in _cursors(state, line.flow, line.trigger)):
            state.rows.pop(before, None)


def _line_up(state: State, out: Effects, line: Line, lining: bool) -> None:
    for cursor in line.cursors:
        cursor.lining = lining
        out.cursors[cursor.job, cursor.trigger_key] = cursor
        (state.lining.add if lining else state.lining.discard)((cursor.job, cursor.trigger_key))
