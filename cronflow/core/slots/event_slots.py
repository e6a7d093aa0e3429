"""Slots that no timetable foretells: a boot, files that a watch has seen. Each is a slot of the second in which it was noticed,
dealt with at once and as one that is on time."""

from __future__ import annotations

from cronflow.core.edges import waiting
from cronflow.core.events import Triggered
from cronflow.core.plan.flow import Flow
from cronflow.core.records import QUEUE_LIMIT, Cursor, Run, RunPaths, WatchedFile
from cronflow.core.run import gates
from cronflow.core.slots import due
from cronflow.core.slots.due_slots import DueSlots, cursors_of
from cronflow.core.state import LiveState
from cronflow.core.tables import WATCHED
from cronflow.core.time.schedule import Schedule
from cronflow.core.time.triggers import Trigger
from cronflow.core.turn import Turn


def booted(turn: Turn) -> None:
    """Start what begins with `@reboot`, once in each boot. A cursor's mark is the boot that has been dealt with: a trigger that
    is new has that of its first load, so that a load starts nothing."""
    state = turn.state
    if state.boot is None or not _awake(state):
        return
    for flow in state.plan.flows.values():
        for trigger in flow.triggers:
            if trigger.kind != "reboot":
                continue
            behind = [cursor for cursor in cursors_of(state, flow, trigger) if cursor.mark != state.boot]
            for cursor in behind:
                cursor.mark = state.boot
                turn.save(cursor)
            if behind:
                _start(turn, flow, trigger, behind)


def triggered(turn: Turn, event: Triggered) -> None:
    """Start what waits for these files. What the watch has seen is saved with it; while nothing may start it is not, so that the
    same files are found again."""
    state = turn.state
    if not _awake(state) or (event.paths and must_wait(state, event.key)):
        return
    for path, stamp in event.seen:
        if stamp is None:
            turn.delete(WATCHED, (event.key, path))
        else:
            turn.save(WatchedFile(event.key, path, stamp))
    if not event.paths:
        return
    for flow in state.plan.flows.values():
        for trigger in flow.triggers:
            cursors = cursors_of(state, flow, trigger) if trigger.key == event.key else []
            run = _start(turn, flow, trigger, cursors) if cursors else None
            if run is not None:
                turn.save(RunPaths(run.id, event.paths))


def must_wait(state: LiveState, key: str) -> bool:
    """Whether a run that goes on would have `overlap` refuse the run of files that have come: their names would be lost, so they
    are kept until that run has ended."""
    for flow in state.plan.flows.values():
        if any(trigger.key == key for trigger in flow.triggers):
            others = state.in_the_way(flow.jobs)
            if others and flow.settings_root.overlap == "skip":
                return True
            if flow.settings_root.overlap == "queue" and gates.held_among(others) >= QUEUE_LIMIT:
                return True
    return False


def _awake(state: LiveState) -> bool:
    return state.slots and not state.draining


def _start(turn: Turn, flow: Flow, trigger: Trigger, cursors: list[Cursor]) -> Run | None:
    """Deal with one slot, later than all before it: the trigger has for once a timetable, of this moment."""
    for run in gates.waiting_for_edges(turn.state):
        if run.trigger_key == trigger.key and run.roots[0] in flow.roots:
            waiting.expire(turn, run)
    slot = max(int(turn.now), *(int(cursor.at) + 1 for cursor in cursors))
    once = trigger._replace(schedule=Schedule.at((slot,), trigger.schedule.zone))
    return due.start(turn, DueSlots(flow, once, cursors, slot, turn.state.jobs.calendars), slot)
