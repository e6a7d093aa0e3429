"""Slots that are due: which run on time, which were missed, and what `catchup` makes of those.

Each root has a cursor for each of its triggers: up to there every slot is in a row. What lies between the cursor and now is
due. A slot is on time if the daemon was up at its time and is not looked at much later; otherwise (downtime, suspend, a step
of the clock) it was missed. `catchup` then records missed slots in one row, counted and not walked, and leaves those that it
wants to run behind the cursor: these are *lining*, opened oldest first and one after the other, and newer slots line up
behind them.

Everything here is told in the time of slots: a trigger with `jitter` is looked at as if it were its delay earlier. Slots on days
that the calendars of a trigger forbid are part of it all, and become rows of their own.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import ceil, floor

from cronflow.core.edges import alignment, edge_state
from cronflow.core.edges.alignment import Own
from cronflow.core.notify import health
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Cursor, Definition, Run, TaskState
from cronflow.core.run import runs
from cronflow.core.slots import skips
from cronflow.core.state import LiveState, MissedReport
from cronflow.core.tables import CURSORS
from cronflow.core.time.triggers import (
    Calendars,
    Trigger,
    allowed,
    count_allowed,
    last_allowed,
    starts_by_itself,
    stretch,
)
from cronflow.core.turn import Turn

ON_TIME = 60.0
"""Seconds after which a slot that nobody started counts as missed. The daemon sleeps for 30 s at most."""


@dataclass(slots=True)
class Line:
    """The slots of one trigger for those roots of a flow that stand at the same place, up to `until`. `delay` is how long after
    its slot the trigger is due."""

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

    def own(self, slot: int, word: str, now: float) -> Own:
        """A slot of the line as its edges see it. After one that is caught up comes the next one after now."""
        return Own(slot, self.trigger.schedule.next_after(now - self.delay if word == "catchup" else slot))

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


def follow_plan(turn: Turn) -> None:
    """After a load: a cursor at now for each trigger that is new, none for those that are gone; then the heap of due slots.

    A flow whose roots are all disabled has no slots, and so no cursor: enabling it later fires nothing from before."""
    state = turn.state
    wanted: set[tuple[str, str]] = set()
    state.due = []
    for flow in state.plan.flows.values():
        if flow.dormant:
            continue
        for trigger in flow.triggers:
            keys = [(root, trigger.key) for root in flow.roots if starts_by_itself(flow.jobs[root])]
            wanted.update(keys)
            for key in keys:
                if key not in state.cursors:
                    mark = state.boot if trigger.kind == "reboot" else None
                    cursor = Cursor(*key, at=turn.now - trigger.delay(state.jobs.host, flow.name), mark=mark)
                    state.cursors[key] = cursor
                    turn.save(cursor)
            push(state, flow, trigger)
    for key in [key for key in state.cursors if key not in wanted]:
        del state.cursors[key]
        turn.delete(CURSORS, key)
    state.lining &= wanted
    heapq.heapify(state.due)
    kept = {cursor.row for cursor in state.cursors.values()}
    state.rows = {number: row for number, row in state.rows.items() if number in kept}


def push(state: LiveState, flow: Flow, trigger: Trigger) -> None:
    slot = trigger.schedule.next_after(min(cursor.at for cursor in cursors_of(state, flow, trigger)))
    if slot is not None:
        heapq.heappush(state.due, (slot + trigger.delay(state.jobs.host, flow.name), flow.name, trigger.key))


def cursors_of(state: LiveState, flow: Flow, trigger: Trigger) -> list[Cursor]:
    found = (state.cursors.get((root, trigger.key)) for root in flow.roots)
    return [cursor for cursor in found if cursor is not None]


def fire_due(turn: Turn) -> bool:
    """Deal with every slot that is due. True if there was any."""
    state = turn.state
    fired = False
    while state.due and state.due[0][0] <= turn.now:
        _, name, key = heapq.heappop(state.due)
        flow = state.plan.flows[name]
        trigger = next(trigger for trigger in flow.triggers if trigger.key == key)
        fired = True
        if fire(turn, flow, trigger):
            push(state, flow, trigger)
    return fired


def go_on_lining(turn: Turn) -> bool:
    """Open the next run of each trigger that is being caught up, if the one before has ended. True if a line moved."""
    state = turn.state
    moved = False
    for flow_name, key in dict.fromkeys((state.plan.flow_of[job], key) for job, key in sorted(state.lining)):
        flow = state.plan.flows[flow_name]
        trigger = next(trigger for trigger in flow.triggers if trigger.key == key)
        before = [cursor.at for cursor in cursors_of(state, flow, trigger)]
        if fire(turn, flow, trigger):
            push(state, flow, trigger)
        moved = moved or before != [cursor.at for cursor in cursors_of(state, flow, trigger)]
    return moved


def fire(turn: Turn, flow: Flow, trigger: Trigger) -> bool:
    """Bring the cursors of one trigger up to now, as far as that is possible. False while slots are lining, or one waits for
    jobs of other flows."""
    state = turn.state
    delay = trigger.delay(state.jobs.host, flow.name)
    horizon = turn.now - delay
    while True:
        cursors = cursors_of(state, flow, trigger)
        first = min(cursor.at for cursor in cursors)
        if first >= horizon:
            return True
        behind = [cursor for cursor in cursors if cursor.at == first]
        until = min((cursor.at for cursor in cursors if first < cursor.at < horizon), default=horizon)
        line = Line(flow, trigger, behind, until, state.jobs.calendars, delay)
        if state.ahead and has_been(turn, line):
            continue
        if behind[0].waits is not None or not _catch_up(turn, line) or not _on_time(turn, line):
            return False
        for cursor in behind:
            cursor.at = line.until
            turn.save(cursor)


def has_been(turn: Turn, line: Line) -> bool:
    """Pass by a slot that ran when the clock was ahead, if it is the next one, else end the line before it. True if one was
    passed by: by those roots alone that it was a slot of, for the others it is still to come."""
    state = turn.state
    keys = {(cursor.job, cursor.trigger_key): cursor for cursor in line.cursors}
    been = min((slot for key in keys for slot in state.ahead.get(key, ()) if slot > line.at), default=None)
    if been is None or been > line.until:
        return False
    if line.next() != been:
        line.until = been - 1
        return False
    passing = {key: cursor for key, cursor in keys.items() if been in state.ahead.get(key, ())}
    advance(turn, replace(line, cursors=list(passing.values())), been, None)
    for key in passing:
        state.ahead[key] = {slot for slot in state.ahead[key] if slot > been}
        if not state.ahead[key]:
            del state.ahead[key]
    return True


def _catch_up(turn: Turn, line: Line) -> bool:
    """Missed slots of the line: recorded, or opened one after the other. False while one is still to be opened."""
    if not line.cursors[0].lining and not _find_missed(turn, line):
        return True
    policy = line.flow.head
    while True:
        if policy.catchup_window is not None:
            record(turn, line, min(turn.now - line.delay - policy.catchup_window, line.until), "missed", "daemon_down")
        slot = line.next()
        if slot is None or slot > line.until:
            _line_up(turn, line, False)
            return True
        if not line.allows(slot):
            record(turn, line, slot, "skipped", "calendar")
            continue
        if _nobody_runs(turn, line, line.until):
            continue
        if turn.state.in_the_way(line.flow.jobs):
            return False
        own = line.own(slot, "catchup", turn.now)
        upstreams = alignment.take(turn, line.flow, own)
        if upstreams is None:
            _wait(turn, line, own, "catchup")
            return False
        advance(turn, line, slot, None)
        runs.open_slot(turn, line.flow, line.trigger.key, line.roots, "catchup", slot, upstreams=upstreams)


def _find_missed(turn: Turn, line: Line) -> bool:
    """Apply `catchup` to slots that nobody was there for. True if some of them are to be run."""
    state = turn.state
    assert state.up_since is not None
    gone = min(max(state.up_since, turn.now - ON_TIME) - line.delay, line.until)
    newest = last_allowed(line.trigger, line.calendars, gone, line.at)
    while newest is not None and _nobody_runs(turn, line, gone):
        newest = last_allowed(line.trigger, line.calendars, gone, line.at)
    if newest is None:
        if line.trigger.dated:
            record(turn, line, gone, "missed", "daemon_down")
        return False
    policy = line.flow.head
    report = state.missed.setdefault(line.roots[0], MissedReport())
    past = newest if policy.catchup == "none" else newest - 1 if policy.catchup == "last" else line.at
    if policy.catchup_window is not None:
        past = max(past, min(turn.now - line.delay - policy.catchup_window, gone))
    report.recorded += record(turn, line, past, "missed", "daemon_down")
    waiting = count_allowed(line.trigger, line.calendars, line.at, gone)
    if waiting == 1:
        report.caught_up = newest + line.delay
    report.waiting += waiting if waiting > 1 else 0
    if waiting:
        _line_up(turn, line, True)
    return waiting > 0


def _on_time(turn: Turn, line: Line) -> bool:
    """Deal with the slots of a line one by one. False if one waits for jobs of other flows."""
    while (slot := line.next()) is not None and slot <= line.until:
        start(turn, line, slot)
        if line.cursors[0].waits is not None:
            return False
    return True


def start(turn: Turn, line: Line, slot: int) -> Run | None:
    """Deal with the next slot of a line, which is on time: its run, or None where it is recorded that it does not run, or where
    it waits for jobs of other flows."""
    if not line.allows(slot):
        record(turn, line, slot, "skipped", "calendar")
        return None
    if _nobody_runs(turn, line, slot):
        return None
    own = line.own(slot, line.trigger.kind, turn.now)
    upstreams = alignment.take(turn, line.flow, own)
    if upstreams is None:
        _wait(turn, line, own, line.trigger.kind)
        return None
    return admit(turn, line, slot, upstreams)


def admit(turn: Turn, line: Line, slot: int, upstreams: Mapping[str, int], number: int | None = None) -> Run | None:
    """Open the run of a slot that is on time as far as `overlap` lets it, or record why not."""
    refusal = runs.admit(turn, line.flow.head, line.flow.jobs)
    if isinstance(refusal, str):
        record(turn, line, slot, "skipped", refusal)
        return None
    advance(turn, line, slot, None)
    flow, trigger = line.flow, line.trigger
    return runs.open_slot(turn, flow, trigger.key, line.roots, trigger.kind, slot, refusal, number, upstreams)


def _wait(turn: Turn, line: Line, own: Own, word: str) -> None:
    """Have a slot wait for jobs of other flows: for `after_timeout`, else until just before the next slot. Newer slots line up
    behind it."""
    limit = line.flow.head.after_timeout
    until = turn.now + limit if limit is not None else None if own.following is None else float(own.following + line.delay)
    for cursor in line.cursors:
        cursor.waits, cursor.waits_until, cursor.waits_as = own.slot, until, word
        turn.save(cursor)
        if until is not None:
            heapq.heappush(turn.state.timers, (until, "edges", 0, cursor.job))


def _nobody_runs(turn: Turn, line: Line, until: float) -> bool:
    """When every root is disabled, paused or to be skipped, no run opens: the slots are recorded as skipped, not more of them
    than are to be. True if there was one."""
    found = skips.nobody(turn.state, line.flow)
    if found is None:
        return False
    reason, skipped = found
    if skipped:
        until = line.first(min(turn.state.skips[root].left for root in skipped), until)
    count = record(turn, line, until, "skipped", reason)
    for root in skipped:
        skips.use_up(turn, root, count)
    return count > 0


def record(turn: Turn, line: Line, until: float, word: TaskState, reason: str) -> int:
    """Put the slots up to `until` into rows, those on forbidden days into rows of their own; returns how many of them were on
    others. The cursors move on."""
    recorded = 0
    while (first := line.next()) is not None and first <= until:
        days = stretch(line.trigger, line.calendars, first)
        last = line.trigger.schedule.last_until(min(until, days.end - 1), line.at)
        assert last is not None
        count = line.trigger.schedule.count(line.at, last)
        if days.runs:
            recorded += count
            _add_to_row(turn, line, first, last, count, word, reason)
        else:
            _add_to_row(turn, line, first, last, count, "skipped", "calendar")
    return recorded


def _add_to_row(turn: Turn, line: Line, first: int, last: int, count: int, word: TaskState, reason: str) -> None:
    """Put `count` slots into a row, the one before if it tells the same."""
    state = turn.state
    row = _row_to_continue(state, line, word, reason)
    if row is None:
        row = Run(
            state.next_run,
            line.flow.name,
            line.trigger.kind,
            turn.now,
            line.flow.digest,
            line.trigger.key,
            line.roots,
            slot=first,
            state=word,
            reason=reason,
        )
        state.next_run += 1
        state.rows[row.id] = row
        turn.save(Definition(line.flow.digest, line.flow.name, line.flow.body))
    row.slot_last, row.slots, row.finished_at = last, row.slots + count, turn.now
    turn.save(row)
    health.tell_skipped(turn, row, line.flow.jobs, row.slots - count)
    edge_state.not_run(turn, line.flow, row)
    advance(turn, line, last, row.id)


def _row_to_continue(state: LiveState, line: Line, word: TaskState, reason: str) -> Run | None:
    numbers = {cursor.row for cursor in line.cursors}
    row = state.rows.get(numbers.pop() or 0) if len(numbers) == 1 else None
    if row is None or (row.state, row.reason, row.roots, row.flow) != (word, reason, line.roots, line.flow.name):
        return None
    return row


def advance(turn: Turn, line: Line, at: float, row: int | None) -> None:
    """Move the cursors on over slots: into a row of slots that did not run, or, without one, past slots that ran."""
    state = turn.state
    for cursor in line.cursors:
        before, cursor.at, cursor.row = cursor.row, at, row
        turn.save(cursor)
        if before is not None and before != row and before in state.rows and not _is_continued(state, state.rows[before]):
            del state.rows[before]


def _is_continued(state: LiveState, row: Run) -> bool:
    """Whether a root may still continue a row, in whatever flow it is today."""
    places = [(root, row.trigger_key or "") for root in row.roots]
    return any(state.cursors[place].row == row.id for place in places if place in state.cursors)


def _line_up(turn: Turn, line: Line, lining: bool) -> None:
    for cursor in line.cursors:
        cursor.lining = lining
        turn.save(cursor)
        (turn.state.lining.add if lining else turn.state.lining.discard)((cursor.job, cursor.trigger_key))
