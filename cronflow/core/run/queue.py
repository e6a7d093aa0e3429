"""The queue for processes: who is next, as far as the limits allow.

Every process counts against `max_running`, whatever it is for; an attempt of a command, and the checks and the hook that follow
it without giving its place back, also against the pool of its job. Each pool has a queue of its own, so that a full one holds up
nobody else. In a queue the higher `priority` goes first, then who came first; who is at its head and needs several slots is
waited for, so that nobody starves.
"""

from __future__ import annotations

import heapq

from cronflow.core.effects import StartAttempt
from cronflow.core.records import COMMAND, Attempt, AttemptRef, Hook, Live, Queued, Task
from cronflow.core.run.blockers import blockers, limits, pool_limits
from cronflow.core.state import QueueEntry, queue_entry, queue_of
from cronflow.core.tables import ATTEMPTS, TASKS
from cronflow.core.turn import Turn


def enqueue(turn: Turn, task: Task, phase: Queued | Hook) -> None:
    """Put a task in the queue for the process of its stage."""
    job = turn.job(task)
    reason = "hook" if isinstance(phase, Hook) else phase.stage
    if phase.stage == COMMAND:
        reason = "pool_full" if pool_limits(turn.state, job) else "max_running"
    turn.enter(task, phase, reason)
    heapq.heappush(turn.state.ready.setdefault(queue_of(job, task), []), queue_entry(job, task, phase.since))


def start_ready(turn: Turn) -> None:
    """Start what is in the queue, as far as the limits allow, and say what keeps those who have just come."""
    state = turn.state
    while state.ready and not limits(state) and (task := _next(turn)):
        start(turn, task)
    for (number, _), task in turn.out.of(TASKS).items():
        phase = task.phase if task is not None else None
        if isinstance(phase, Queued) and phase.stage == COMMAND and phase.since == turn.now:
            task.reason = blockers(state, state.runs[number], task)[0].code


def _next(turn: Turn) -> Task | None:
    """The first of those at the heads of the queues who may go. Queues that have become empty are forgotten."""
    state = turn.state
    best: tuple[QueueEntry, str] | None = None
    for name in list(state.ready):
        queue = state.ready[name]
        while queue and state.queued(queue[0]) is None:
            heapq.heappop(queue)
        if not queue:
            del state.ready[name]
            continue
        first = state.queued(queue[0])
        assert first is not None
        if (best is None or queue[0] < best[0]) and not (name and pool_limits(state, turn.job(first))):
            best = queue[0], name
    if best is None:
        return None
    heapq.heappop(state.ready[best[1]])
    return state.queued(best[0])


def start(turn: Turn, task: Task) -> None:
    """Start the process of a task that is next in the queue: an attempt of its command, a step beside it, or its hook."""
    phase = task.phase
    if isinstance(phase, Hook):
        follow(turn, task, phase)
        return
    assert isinstance(phase, Queued)
    attempt = _process(turn, task, phase.stage)
    polls = phase.polls + (phase.stage == "sensor")
    attempt.count = max(polls, 1)
    if polls > 1:
        turn.delete(ATTEMPTS, AttemptRef(task.run, task.name, attempt.n - 1, "sensor"))
    reason = None if phase.stage == COMMAND else phase.stage
    _started(turn, task, Live(attempt, phase.entered, polls=polls), reason)


def follow(turn: Turn, task: Task, what: Hook | int) -> None:
    """Start a check, after so many that were passed, or the hook. It takes the place of the process that has just ended: nobody
    comes between the two."""
    if isinstance(what, Hook):
        _started(turn, task, what._replace(attempt=_process(turn, task, what.stage)), "hook")
    else:
        _started(turn, task, Live(_process(turn, task, "check"), turn.now, passed=what), "check")


def _process(turn: Turn, task: Task, kind: str) -> Attempt:
    """The next attempt of the command, or step beside it."""
    if kind == COMMAND:
        task.attempts += 1
        task.started_at = task.started_at if task.started_at is not None else turn.now
    else:
        task.steps += 1
    number = task.attempts if kind == COMMAND else task.steps
    return Attempt(task.run, task.name, number, kind, created_at=turn.now)


def _started(turn: Turn, task: Task, phase: Live | Hook, reason: str | None) -> None:
    run, attempt = turn.run(task), phase.attempt
    assert attempt is not None
    turn.enter(task, phase, reason)
    turn.state.take_place(turn.job(task), task)
    turn.save(attempt)
    turn.act(StartAttempt(attempt.ref))
    if run.state == "waiting" and task.state == "running":
        run.state, run.reason, run.started_at = "running", None, turn.now
        turn.moved(run, "waiting")
