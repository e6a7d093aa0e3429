"""Slots that are due: which run on time, which were missed, and what `catchup` makes of those.

Each root has a cursor for each of its triggers: up to there every slot is in a row. What lies between the cursor and now is
due. A slot is on time if the daemon was up at its time and is not looked at much later; otherwise (downtime, suspend, a step
of the clock) it was missed. `catchup` then records missed slots in one row, counted and not walked, and leaves those that it
wants to run behind the cursor: they are caught up oldest first and one after the other, and newer slots line up behind them.

Everything here is told in the time of slots: a trigger with `jitter` is looked at as if it were its delay earlier. Slots on days
that the calendars of a trigger forbid are part of it all, and become rows of their own.
"""

from __future__ import annotations

import heapq
from dataclasses import replace

from cronflow.core.edges import decisions
from cronflow.core.edges.alignment import AskingSlot
from cronflow.core.edges.ends import GO, WAIT
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Cursor, Run, RunSlot
from cronflow.core.run import gates, runs
from cronflow.core.slots import skips
from cronflow.core.slots.due_slots import DueSlots, advance, cursors_of, trigger_of
from cronflow.core.slots.rows import ON_A_FORBIDDEN_DAY, Why, record
from cronflow.core.state import LiveState, MissedReport
from cronflow.core.tables import CURSORS
from cronflow.core.time.triggers import Trigger, count_allowed, last_allowed, starts_by_itself
from cronflow.core.turn import Turn

ON_TIME = 60.0
"""Seconds after which a slot that nobody started counts as missed. The daemon sleeps for 30 s at most."""

DOWN: Why = ("missed", "daemon_down")


def follow_plan(turn: Turn) -> None:
    """After a load: a cursor at now for each trigger that is new, none for those that are gone; then the heap of due slots.

    A flow whose roots are all disabled has no slots, and so no cursor: enabling it later fires nothing from before."""
    state = turn.state
    wanted: set[tuple[str, str]] = set()
    state.due = []
    for flow in state.plan.flows.values():
        if flow.disabled:
            continue
        for trigger in flow.triggers:
            keys = [(root, trigger.key) for root in flow.roots if starts_by_itself(flow.jobs[root])]
            wanted.update(keys)
            for key in keys:
                if key not in state.cursors:
                    mark = state.boot if trigger.kind == "reboot" else None
                    state.cursors[key] = Cursor(*key, at=turn.now - trigger.delay(state.jobs.host, flow.name), mark=mark)
                    turn.save(state.cursors[key])
            push(state, flow, trigger)
    for key in [key for key in state.cursors if key not in wanted]:
        del state.cursors[key]
        turn.delete(CURSORS, key)
    state.catching_up &= wanted
    heapq.heapify(state.due)
    kept = {cursor.row for cursor in state.cursors.values()}
    state.rows = {number: row for number, row in state.rows.items() if number in kept}


def push(state: LiveState, flow: Flow, trigger: Trigger) -> None:
    """Have a trigger looked at when its next slot is due."""
    slot = trigger.schedule.next_after(min(cursor.at for cursor in cursors_of(state, flow, trigger)))
    if slot is not None:
        heapq.heappush(state.due, (slot + trigger.delay(state.jobs.host, flow.name), flow.name, trigger.key))


def continue_catchup(turn: Turn) -> bool:
    """Open the next run of each trigger that is being caught up, if the one before has ended. True if a cursor moved."""
    state = turn.state
    moved = False
    for name, key in dict.fromkeys((state.plan.flow_of[job], key) for job, key in sorted(state.catching_up)):
        flow = state.plan.flows[name]
        before = [state.cursors[root, key].at for root in flow.roots if (root, key) in state.cursors]
        fire(turn, flow, key)
        moved = moved or before != [state.cursors[root, key].at for root in flow.roots if (root, key) in state.cursors]
    return moved


def fire(turn: Turn, flow: Flow, key: str) -> None:
    """Bring the cursors of one trigger up to now, as far as that is possible, and have it looked at again at its next slot. While
    slots are caught up one by one, or one waits for jobs of other flows, newer ones line up behind it."""
    trigger = trigger_of(flow, key)
    if trigger is not None and _bring_up(turn, flow, trigger):
        push(turn.state, flow, trigger)


def _bring_up(turn: Turn, flow: Flow, trigger: Trigger) -> bool:
    state = turn.state
    cursors = cursors_of(state, flow, trigger)
    if not cursors:
        return False
    delay = trigger.delay(state.jobs.host, flow.name)
    horizon = turn.now - delay
    while True:
        first = min(cursor.at for cursor in cursors)
        if first >= horizon:
            return True
        behind = [cursor for cursor in cursors if cursor.at == first]
        until = min((cursor.at for cursor in cursors if first < cursor.at < horizon), default=horizon)
        slots = DueSlots(flow, trigger, behind, until, state.jobs.calendars, delay)
        if state.already_run and has_been(turn, slots):
            continue
        if slots.are_held_up(state) or not _catch_up(turn, slots) or not _on_time(turn, slots):
            return False
        for cursor in behind:
            cursor.at = slots.until
            turn.save(cursor)


def has_been(turn: Turn, slots: DueSlots) -> bool:
    """Pass by a slot that ran when the clock was ahead, if it is the next one, else end these slots before it. True if one was
    passed by: by those roots alone that it was a slot of, for the others it is still to come."""
    state = turn.state
    keys = {(cursor.job, cursor.trigger_key): cursor for cursor in slots.cursors}
    been = min((slot for key in keys for slot in state.already_run.get(key, ()) if slot > slots.at), default=None)
    if been is None or been > slots.until:
        return False
    if slots.next() != been:
        slots.until = been - 1
        return False
    passing = {key: cursor for key, cursor in keys.items() if been in state.already_run.get(key, ())}
    advance(turn, replace(slots, cursors=list(passing.values())), been, None)
    for key in passing:
        state.already_run[key] = {slot for slot in state.already_run[key] if slot > been}
        if not state.already_run[key]:
            del state.already_run[key]
    return True


# ---- missed ---------------------------------------------------------------------------------------------------------------


def _catch_up(turn: Turn, slots: DueSlots) -> bool:
    """Missed slots: recorded, or opened one after the other. False while one is still to be opened."""
    if not slots.cursors[0].catching_up and not _find_missed(turn, slots):
        return True
    policy = slots.flow.settings_root
    while True:
        if policy.catchup_window is not None:
            record(turn, slots, min(turn.now - slots.delay - policy.catchup_window, slots.until), DOWN)
        slot = slots.next()
        if slot is None or slot > slots.until:
            _set_catching_up(turn, slots, False)
            return True
        if not slots.allows(slot):
            record(turn, slots, slot, ON_A_FORBIDDEN_DAY)
            continue
        if _all_excluded(turn, slots, slots.until):
            continue
        if turn.state.in_the_way(slots.flow.jobs):
            return False
        ends = decisions.consume(turn, slots.flow, slots.asking(slot, "catchup", turn.now))
        _open(turn, slots, _claim(turn, slots, slot, "catchup"), ends)
        if ends is None:
            return False


def _find_missed(turn: Turn, slots: DueSlots) -> bool:
    """Apply `catchup` to slots that were missed. True if some of them are to be run."""
    state = turn.state
    assert state.up_since is not None
    gone = min(max(state.up_since, turn.now - ON_TIME) - slots.delay, slots.until)
    first = slots.next()
    if first is None or first > gone:
        return False
    newest = last_allowed(slots.trigger, slots.calendars, gone, slots.at)
    while newest is not None and _all_excluded(turn, slots, gone):
        newest = last_allowed(slots.trigger, slots.calendars, gone, slots.at)
    if newest is None:
        if slots.trigger.dated:
            record(turn, slots, gone, DOWN)
        return False
    policy = slots.flow.settings_root
    report = state.missed.setdefault(slots.roots[0], MissedReport())
    past = newest if policy.catchup == "none" else newest - 1 if policy.catchup == "last" else slots.at
    if policy.catchup_window is not None:
        past = max(past, min(turn.now - slots.delay - policy.catchup_window, gone))
    report.recorded += record(turn, slots, past, DOWN)
    waiting = count_allowed(slots.trigger, slots.calendars, slots.at, gone)
    if waiting == 1:
        report.caught_up = newest + slots.delay
    report.waiting += waiting if waiting > 1 else 0
    if waiting:
        _set_catching_up(turn, slots, True)
    return waiting > 0


def _set_catching_up(turn: Turn, slots: DueSlots, catching_up: bool) -> None:
    keys = turn.state.catching_up
    for cursor in slots.cursors:
        cursor.catching_up = catching_up
        turn.save(cursor)
        (keys.add if catching_up else keys.discard)((cursor.job, cursor.trigger_key))


# ---- on time --------------------------------------------------------------------------------------------------------------


def _on_time(turn: Turn, slots: DueSlots) -> bool:
    """Deal with slots one by one. False if one waits for jobs of other flows."""
    while (slot := slots.next()) is not None and slot <= slots.until:
        start(turn, slots, slot)
        if slots.are_held_up(turn.state):
            return False
    return True


def start(turn: Turn, slots: DueSlots, slot: int) -> Run | None:
    """Deal with the next slot, which is on time: its run, which may have to wait, or None where a row records that it does not
    run."""
    if not slots.allows(slot):
        record(turn, slots, slot, ON_A_FORBIDDEN_DAY)
        return None
    if _all_excluded(turn, slots, slot):
        return None
    ends = decisions.consume(turn, slots.flow, slots.asking(slot, slots.trigger.kind, turn.now))
    answer = GO if ends is None else gates.admit(turn, slots.flow.settings_root, slots.flow.jobs, turn.state.next_run)
    if isinstance(answer, gates.Refused):
        record(turn, slots, slot, ("skipped", answer.reason))
        return None
    run = _claim(turn, slots, slot, slots.trigger.kind)
    if answer is WAIT:
        gates.hold(turn, run)
    _open(turn, slots, run, ends)
    return run


def _claim(turn: Turn, slots: DueSlots, slot: int, trigger: str) -> Run:
    """The run of a slot, which belongs to it alone. It is not open yet."""
    run = runs.new(turn, slots.flow, trigger, slots.roots)
    run.trigger_key, run.slot, run.slot_last, run.slots = slots.trigger.key, slot, slot, 1
    turn.save(*(RunSlot(root, slots.trigger.key, slot, run.id) for root in slots.roots))
    return run


def _open(turn: Turn, slots: DueSlots, run: Run, ends: dict[str, int] | None) -> None:
    """Open the run of a slot by the ends that let it start. Where these have still to come (None) it waits for jobs of other
    flows, and newer slots line up behind it."""
    assert run.slot is not None
    if ends is None:
        asking = slots.asking(run.slot, run.trigger, turn.now)
        run.gate, run.gate_until, run.reason = "edges", _waits_until(slots, asking, turn.now), "upstream"
    run.upstreams = ends or {}
    advance(turn, slots, run.slot, slots.cursors[0].row if ends is None else None)
    runs.open_run(turn, slots.flow, run, slots.flow.jobs)


def _waits_until(slots: DueSlots, asking: AskingSlot, now: float) -> float | None:
    """Until when a slot waits for jobs of other flows: for `after_timeout`, else until just before the next slot."""
    limit = slots.flow.settings_root.after_timeout
    if limit is not None:
        return now + limit
    return None if asking.following is None else float(asking.following + slots.delay)


def _all_excluded(turn: Turn, slots: DueSlots, until: float) -> bool:
    """When every root is disabled, paused or to be skipped, no run opens: the slots are recorded as skipped, not more of them
    than are to be. True if there was one."""
    found = skips.all_excluded(turn.state, slots.flow)
    if found is None:
        return False
    reason, skipped = found
    if skipped:
        until = slots.first(min(turn.state.skips[root].left for root in skipped), until)
    count = record(turn, slots, until, ("skipped", reason))
    for root in skipped:
        skips.use_up(turn, root, count)
    return count > 0
