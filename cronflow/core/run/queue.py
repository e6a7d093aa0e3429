"""The line for a process: who is next, as far as the limits allow.

Every process counts against `max_running`, whatever it is for; an attempt of a command, and the checks and the hook that follow
it without giving its place back, also against the pool of its job. Each pool has a line of its own, so that a full one holds up
nobody else. In a line the higher `priority` goes first, then who came first; who stands at its head and needs several slots is
waited for, so that nobody starves.
"""

from __future__ import annotations

import heapq

from cronflow.core.effects import StartAttempt
from cronflow.core.records import Attempt, AttemptRef, Run, Task
from cronflow.core.run.blockers import blockers, limits, pool_limits
from cronflow.core.state import COMMAND, LiveState, Place, line_of, place_in_line
from cronflow.core.tables import ATTEMPTS, TASKS
from cronflow.core.turn import Turn


def enqueue(turn: Turn, run: Run, task: Task) -> None:
    """Put a task in line for the process of its stage."""
    state = turn.state
    job = state.job(run, task)
    task.queued_at, task.next_attempt_at = turn.now, None
    if task.stage == COMMAND:
        turn.move(task, "queued", "pool_full" if pool_limits(state, job) else "max_running")
    turn.save(task)
    heapq.heappush(state.ready.setdefault(line_of(job, task), []), place_in_line(job, task))


def start_ready(turn: Turn) -> None:
    """Start what is in line, as far as the limits allow, and say what keeps those who have just come."""
    state = turn.state
    while state.ready and not limits(state) and (place := _next(state)):
        start(turn, *place)
    for (number, _), task in turn.out.of(TASKS).items():
        if task is not None and task.state == "queued" and task.queued_at == turn.now:
            task.reason = blockers(state, state.runs[number], task)[0].code


def _next(state: LiveState) -> tuple[Run, Task] | None:
    """The first of those at the heads of the lines who may go. Lines that have become empty are forgotten."""
    best: tuple[Place, str] | None = None
    for name in list(state.ready):
        line = state.ready[name]
        while line and state.in_line(line[0]) is None:
            heapq.heappop(line)
        if not line:
            del state.ready[name]
            continue
        found = state.in_line(line[0])
        assert found is not None
        if (best is None or line[0] < best[0]) and not (name and pool_limits(state, state.job(*found))):
            best = line[0], name
    if best is None:
        return None
    heapq.heappop(state.ready[best[1]])
    return state.in_line(best[0])


def start(turn: Turn, run: Run, task: Task) -> None:
    """Start the process of a task's stage: an attempt of its command, or a step beside it. A step that follows a process which
    has just ended is started by this at once, in its place: nobody comes between the two."""
    now = turn.now
    job = turn.state.job(run, task)
    attempt = Attempt(run.id, task.name, 0, task.stage, created_at=now)
    if task.stage == COMMAND:
        task.attempts += 1
        attempt.n = task.attempts
        task.started_at = task.started_at if task.started_at is not None else now
        turn.move(task, "running")
    else:
        task.steps += 1
        attempt.n = task.steps
        if task.stage == "sensor":
            task.check += 1
            attempt.count = task.check
            if attempt.count > 1:
                turn.delete(ATTEMPTS, AttemptRef(run.id, task.name, attempt.n - 1, "sensor"))
        elif task.state == "waiting" and task.verdict:
            turn.move(task, "running", "hook")
    task.queued_at, task.live = None, attempt
    turn.state.take_place(job, task)
    turn.save(task, attempt)
    turn.act(StartAttempt(attempt.ref))
    if run.state == "waiting" and task.state == "running":
        run.state, run.reason, run.started_at = "running", None, now
        turn.moved(run, "waiting")
