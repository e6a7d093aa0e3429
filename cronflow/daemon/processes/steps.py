"""Which command a process of a task runs: that of the job, or that of the step which its kind names."""

from __future__ import annotations

import math
from typing import NamedTuple

from cronflow.core.jobs import Command, Job
from cronflow.core.records import Attempt, End, Hook, Live, Task

KEYS = {"condition": "only_if", "sensor": "wait_until"}
"""The key of the job file behind a kind of attempt; the others are called alike."""
SHORTEST = 1.0
"""Seconds that the last poll of a sensor has at the least."""


class Step(NamedTuple):
    """The command of one process, the key of the job file that holds it, its limit in seconds (None: it has none)."""

    key: str
    command: Command
    timeout: float | None
    stdin: str | None = None


def step_of(job: Job, task: Task, attempt: Attempt, now: float) -> Step:
    """What an attempt is to run. Every process has the job's `timeout`; a poll of a sensor at most what is left of
    `wait_timeout`. Only the command itself reads `stdin`."""
    key = KEYS.get(attempt.kind, attempt.kind)
    if key == "command":
        return Step(key, job.command, job.timeout, job.stdin)
    if key == "check":
        return Step(key, job.check[task.passed], job.timeout)
    command: Command | None = getattr(job, key)
    assert command is not None, f"{attempt.ref} of a job without `{key}`"
    if key != "wait_until":
        return Step(key, command, job.timeout)
    since = task.phase.entered if isinstance(task.phase, Live) else now
    left = max(job.wait_timeout - (now - since), SHORTEST)
    return Step(key, command, min(left, math.inf if job.timeout is None else job.timeout))


def hook_facts(task: Task, exit_code: int | None) -> dict[str, str]:
    """What a hook is told of the end of its task: its state and reason, and the exit code of its last attempt."""
    end = task.phase.end if isinstance(task.phase, Hook) else End("failed")
    facts = {"CRONFLOW_TASK_STATE": str(end.state), "CRONFLOW_TASK_REASON": end.reason or ""}
    return facts if exit_code is None else {**facts, "CRONFLOW_EXIT_CODE": str(exit_code)}
