"""The stages of a task, and the queue in which it waits for the process of each: who is next, as far as the limits allow.

Between the upstreams of a task and its command stand condition, sensor, approval, and the lines of a `foreach`. A stage that
needs a process waits in the queue for it like the command; its process is an attempt of the stage's kind. A stage that waits
(a sensor between two polls, an approval) holds no place of any limit.

Every process counts against `max_running`, whatever it is for; an attempt of a command, and the checks and the hook that follow
it without giving its place back, also against the pool of its job. Each pool has a queue of its own, so that a full one holds up
nobody else. In a queue the higher `priority` goes first, then who came first; who is at its head and needs several slots is
waited for, so that nobody starves.
"""

from __future__ import annotations

import heapq

from cronflow.core.effects import StartAttempt
from cronflow.core.jobs import Job
from cronflow.core.notify import health
from cronflow.core.plan.copies import ITEM
from cronflow.core.records import COMMAND, Approval, Attempt, AttemptRef, Hook, Live, Pausing, Queued, Task
from cronflow.core.run.blockers import blockers, limits, pool_limits
from cronflow.core.state import QueueEntry
from cronflow.core.tables import ATTEMPTS, TASKS
from cronflow.core.turn import Turn

BEFORE = ("condition", "sensor", "approval", "foreach", COMMAND)
"""The stages up to the command, in their order. After it come "check" and "hook" names: `on_failure`, `on_success`."""

# ---- stages ---------------------------------------------------------------------------------------------------------------


def next_stage(turn: Turn, job: Job, task: Task, passed: str = "") -> None:
    """Let a task whose upstreams are met, or which has passed a stage, enter the next one that its job has."""
    lines = job.foreach if ITEM not in task.matrix else None
    keys = (job.only_if, job.wait_until, job.approve, lines, job.command)
    left = BEFORE.index(passed) + 1 if passed else 0
    stage = next(stage for stage, key in zip(BEFORE[left:], keys[left:], strict=True) if key is not None)
    if stage == "approval":
        turn.enter(task, Approval(turn.now), "approval")
        health.ask_approval(turn, task)
        return
    if stage == "sensor":
        heapq.heappush(turn.state.timers, (turn.now + job.wait_timeout, "wait_timeout", task.run, task.name))
    enqueue(turn, job, task, Queued(stage, turn.now, turn.now))


def come_again(turn: Turn, task: Task, phase: Pausing, reason: str | None = None, note: str | None = None) -> None:
    """Have a task come again later: for the next attempt, or the next poll of its sensor."""
    turn.enter(task, phase, reason, note)
    heapq.heappush(turn.state.timers, (phase.again_at, "again", task.run, task.name))


# ---- the queue ------------------------------------------------------------------------------------------------------------


def enqueue(turn: Turn, job: Job, task: Task, phase: Queued | Hook) -> None:
    """Put a task in the queue for the process of its stage."""
    reason = "hook" if isinstance(phase, Hook) else phase.stage
    if phase.stage == COMMAND:
        reason = "pool_full" if job.pool is not None and pool_limits(turn.state, job) else "max_running"
    turn.enter(task, phase, reason)
    turn.state.enqueue(job, task, phase.since)


def start_ready(turn: Turn) -> None:
    """Start what is in the queue, as far as the limits allow, and say what keeps those who have just come."""
    state = turn.state
    while state.ready and not limits(state) and (task := _next(turn)):
        start(turn, task)
    if not state.ready:
        return
    for (number, _), task in turn.out.of(TASKS).items():
        phase = task.phase if task is not None else None
        if isinstance(phase, Queued) and phase.stage == COMMAND and phase.since == turn.now:
            task.reason = blockers(state, state.runs[number], task)[0].code


def _next(turn: Turn) -> Task | None:
    """The first of those at the heads of the queues who may go. Queues that have become empty are forgotten."""
    state = turn.state
    best: tuple[QueueEntry, str, Task] | None = None
    for name, queue in list(state.ready.items()):
        first = None
        while queue and (first := state.queued(queue[0])) is None:
            heapq.heappop(queue)
        if first is None:
            del state.ready[name]
        elif (best is None or queue[0] < best[0]) and not (name and pool_limits(state, turn.job(first))):
            best = queue[0], name, first
    if best is None:
        return None
    _, name, task = best
    heapq.heappop(state.ready[name])
    if not state.ready[name]:
        del state.ready[name]
    return task


# ---- processes ------------------------------------------------------------------------------------------------------------


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
