"""How jobs end, and what the conditions of those after them say to that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cronflow.core.jobs import Edge, Job
from cronflow.core.records import RUN_RANK, Task, TaskState

Verdict = tuple[TaskState, str, str | None]
"""How a task ends without having run: state, reason, and the task that caused it."""


class End(NamedTuple):
    """How an upstream job ended: its state, the task that tells it, and the task that this one was blocked by."""

    state: TaskState
    name: str
    caused_by: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it failed, or something before it did."""
        return self.state == "failed" or (self.state == "blocked" and self.caused_by is not None)


def end_of(tasks: Sequence[Task]) -> End | None:
    """How a job ended in a run, all its copies taken together as a run of them would be; None while one has not."""
    if not all(task.final for task in tasks):
        return None
    first = min(tasks, key=lambda task: RUN_RANK.index(task.state))
    return End(first.state, first.name, first.caused_by)


def met(edge: Edge, end: End) -> bool:
    """Whether the end of an upstream meets the condition of an edge."""
    if edge.condition == "done":
        return True
    if edge.condition == "failure":
        return end.failed
    if edge.condition == "success_or_skipped":
        return end.state in ("success", "skipped")
    return end.state == "success"


def judge(job: Job, upstreams: Sequence[tuple[Edge, End | None]]) -> Verdict | bool:
    """What the upstreams say: True it may go on, False it waits, or how it ends without running.

    Each condition is judged when its upstream is final; with `join = "any"` one that is met is enough. A task whose
    conditions are not met ends when all its upstreams are final: cancelled before blocked before skipped.
    """
    if not upstreams:
        return True
    ends = [(edge, end) for edge, end in upstreams if end is not None]
    good = sum(met(edge, end) for edge, end in ends)
    if good == len(upstreams) or (job.join == "any" and good):
        return True
    if len(ends) < len(upstreams):
        return False
    for _, end in ends:
        if end.state == "cancelled":
            return "cancelled", "upstream_cancelled", end.caused_by or end.name
    for edge, end in ends:
        if edge.condition in ("success", "success_or_skipped") and end.state in ("failed", "blocked"):
            return "blocked", "upstream_failed", end.caused_by or end.name
    return "skipped", "condition", next(end.name for edge, end in ends if not met(edge, end))
