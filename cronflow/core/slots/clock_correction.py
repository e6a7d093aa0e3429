"""A clock that is set back by hours was wrong before: from then on slots count from the time that it shows now.

By up to three hours nothing is repeated: the slots up to the cursor have been dealt with, and come no second time (as for the
fixed times of Debian's cron). A larger step is a correction, as there. Else no slot would come until the clock is where it was
before, for years where a machine began its day in 2036. Rows of slots that did not run are cut back to the time that it is: those
slots are still to come. A slot that did run while the clock was ahead has been, whenever its time comes. And what goes on waits
no longer than it would have: a next attempt or poll is at most its own delay away, a sensor has waited since now at the latest.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from cronflow.core.events import ClockSetBack
from cronflow.core.plan.flow import Plan
from cronflow.core.records import Cursor, Live, Pausing, Queued, Run, Task
from cronflow.core.run import attempts, gates, queue, runs
from cronflow.core.slots import due
from cronflow.core.slots.due_slots import cursors_of
from cronflow.core.state import LiveState
from cronflow.core.tables import RUNS
from cronflow.core.turn import Turn

CORRECTION = 3 * 3600.0
"""Seconds, of cron(8): "Clock changes of more than 3 hours are considered to be corrections to the clock"."""


def is_behind(state: LiveState, plan: Plan, now: float) -> bool:
    """Whether the clock shows hours less than what cursors of this plan, or tasks that come again, have come to."""
    ahead = any(cursor.at > at + CORRECTION for cursor, at in _standing(state, plan, now))
    return ahead or any(_too_late(state, run, task, now + CORRECTION) for run, task in _unfinished(state))


def since(state: LiveState, plan: Plan, now: float) -> float:
    """The time after which slots may be still to come: with jitter, some that are past have not started."""
    return min((at for _, at in _standing(state, plan, now)), default=now)


def set_back(turn: Turn, event: ClockSetBack) -> None:
    """Have the cursors stand at the time that it is."""
    state, now = turn.state, turn.now
    standing = list(_standing(state, state.plan, now))
    places = {(cursor.job, cursor.trigger_key): at for cursor, at in standing}
    untouched = [run for run in gates.waiting_for_edges(state) if not run.partly_ended]
    waiting = {(root, run.trigger_key, run.slot): run for run in untouched for root in run.roots}
    for (root, key, slot), run in waiting.items():
        if run.id in state.runs and slot is not None and slot > places.get((root, key or ""), slot):
            runs.discard(turn, run)  # it is still to come
            turn.delete(RUNS, run.id)
    for root, key, slot in event.opened:
        if slot > places.get((root, key), now) and (root, key, slot) not in waiting:
            state.already_run.setdefault((root, key), set()).add(slot)
    for row in event.rows:
        _cut(turn, row)
    for cursor, at in standing:
        if cursor.at > at:
            _move(state, cursor, at)
            turn.save(cursor)
    due.follow_plan(turn)
    for run, task in _unfinished(state):
        _bring_nearer(turn, run, task)
    for health in state.health.values():
        if health.told_at is not None and health.told_at > now:
            health.told_at = now  # or no reminder would come for as long
            turn.save(health)


def _standing(state: LiveState, plan: Plan, now: float) -> Iterator[tuple[Cursor, float]]:
    """The cursors of triggers that go by the clock, and where they stand if all that is due has been dealt with."""
    for flow in plan.flows.values():
        for trigger in flow.triggers:
            if trigger.timed:
                at = now - trigger.delay(state.jobs.host, flow.name)
                yield from ((cursor, at) for cursor in cursors_of(state, flow, trigger))


def _unfinished(state: LiveState) -> Iterator[tuple[Run, Task]]:
    for run in state.runs.values():
        yield from ((run, task) for task in run.tasks.values() if not task.final)


def _too_late(state: LiveState, run: Run, task: Task, now: float) -> bool:
    """Whether a task comes again later than its own delay from now."""
    phase = task.phase
    return isinstance(phase, Pausing) and phase.again_at > now + attempts.pace(state.job(run, task), task, phase.stage)


def _bring_nearer(turn: Turn, run: Run, task: Task) -> None:
    state, now, job, phase = turn.state, turn.now, turn.job(task), task.phase
    if isinstance(phase, Pausing) and _too_late(state, run, task, now):
        phase = phase._replace(again_at=now + attempts.pace(job, task, phase.stage))
        queue.come_again(turn, task, phase, task.reason, task.note)
    if isinstance(phase, Queued | Live | Pausing) and phase.stage == "sensor" and phase.entered > now:
        task.phase = phase._replace(entered=now)
        turn.save(task)
        heapq.heappush(state.timers, (now + job.wait_timeout, "wait_timeout", run.id, task.name))


def _move(state: LiveState, cursor: Cursor, at: float) -> None:
    cursor.at, cursor.row, cursor.catching_up = at, None, False
    state.catching_up.discard((cursor.job, cursor.trigger_key))


def _cut(turn: Turn, row: Run) -> None:
    """Take out of a row the slots that are still to come; the row with them, where it has no others."""
    state = turn.state
    flow = state.plan.flows.get(state.plan.flow_of.get(row.roots[0], "")) if row.roots else None
    trigger = next((one for one in flow.triggers if one.key == row.trigger_key), None) if flow else None
    if flow is None or trigger is None or not trigger.timed or row.slot is None:
        return
    at = turn.now - trigger.delay(state.jobs.host, flow.name)
    if row.slot_last is not None and row.slot_last <= at:
        return
    last = trigger.schedule.last_until(at, row.slot - 1)
    state.rows.pop(row.id, None)
    if last is None:
        turn.delete(RUNS, row.id)
        return
    row.slot_last, row.slots = last, trigger.schedule.count(row.slot - 1, last)
    turn.save(row)
