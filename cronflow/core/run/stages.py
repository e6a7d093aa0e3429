"""The stages of a task between its upstreams and its command: condition, sensor, approval, and the lines of a `foreach`.

A stage that needs a process stands in line for it like the command, and its process is an attempt of the stage's kind. A stage
that waits (a sensor between two polls, an approval) holds no place of any limit.
"""

from __future__ import annotations

import heapq

from cronflow.core.jobs import Job
from cronflow.core.notify import health
from cronflow.core.plan.copies import ITEM
from cronflow.core.records import Run, Task
from cronflow.core.run import queue
from cronflow.core.state import COMMAND
from cronflow.core.turn import Turn

BEFORE = ("condition", "sensor", "approval", "foreach", COMMAND)
"""The stages up to the command, in their order. After it come "check" and "hook" names: `on_failure`, `on_success`."""


def begin(turn: Turn, run: Run, task: Task) -> None:
    """Let a task whose upstreams are met, or which has passed a stage, enter the next one that its job has."""
    job = turn.state.job(run, task)
    passed = BEFORE.index(task.stage) + 1 if task.stage else 0
    task.stage = next(stage for stage in BEFORE[passed:] if _has(job, task, stage))
    task.stage_at = turn.now
    task.reason = task.stage
    turn.save(task)
    if task.stage == "approval":
        health.ask_approval(turn, run, task)
        return
    if task.stage == "sensor":
        heapq.heappush(turn.state.timers, (turn.now + job.wait_timeout, "wait_timeout", run.id, task.name))
    queue.enqueue(turn, run, task)


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


def come_again(turn: Turn, run: Run, task: Task, at: float) -> None:
    """Have a task stand in line again at a later time: for the next attempt, or the next poll of its sensor."""
    task.next_attempt_at = at
    turn.save(task)
    heapq.heappush(turn.state.timers, (at, "again", run.id, task.name))
