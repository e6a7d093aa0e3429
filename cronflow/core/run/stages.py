"""The stages of a task between its upstreams and its command: condition, sensor, approval, and the lines of a `foreach`.

A stage that needs a process waits in the queue for it like the command; its process is an attempt of the stage's kind. A stage
that waits (a sensor between two polls, an approval) holds no place of any limit.
"""

from __future__ import annotations

import heapq

from cronflow.core.jobs import Job
from cronflow.core.notify import health
from cronflow.core.plan.copies import ITEM
from cronflow.core.records import COMMAND, Approval, Pausing, Queued, Task
from cronflow.core.run import queue
from cronflow.core.turn import Turn

BEFORE = ("condition", "sensor", "approval", "foreach", COMMAND)
"""The stages up to the command, in their order. After it come "check" and "hook" names: `on_failure`, `on_success`."""


def begin(turn: Turn, task: Task, passed: str = "") -> None:
    """Let a task whose upstreams are met, or which has passed a stage, enter the next one that its job has."""
    job, now = turn.job(task), turn.now
    left = BEFORE[BEFORE.index(passed) + 1 if passed else 0 :]
    stage = next(stage for stage in left if _has(job, task, stage))
    if stage == "approval":
        turn.enter(task, Approval(now), "approval")
        health.ask_approval(turn, task)
        return
    if stage == "sensor":
        heapq.heappush(turn.state.timers, (now + job.wait_timeout, "wait_timeout", task.run, task.name))
    queue.enqueue(turn, task, Queued(stage, now, now))


def _has(job: Job, task: Task, stage: str) -> bool:
    if stage == "condition":
        return job.only_if is not None
    if stage == "sensor":
        return job.wait_until is not None
    if stage == "approval":
        return job.approve is not None
    if stage == "foreach":
        return job.foreach is not None and ITEM not in task.matrix
    return True


def come_again(turn: Turn, task: Task, phase: Pausing, reason: str | None = None, note: str | None = None) -> None:
    """Have a task come again later: for the next attempt, or the next poll of its sensor."""
    turn.enter(task, phase, reason, note)
    heapq.heappush(turn.state.timers, (phase.again_at, "again", task.run, task.name))
