"""How jobs end, and what the conditions of those after them say to that."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from cronflow.core.jobs import Edge, Job
from cronflow.core.records import RUN_RANK, Done, End, Task, TaskState


class Answer(Enum):
    """What is said to a task or a run that asks whether it may start, if it is not how it ends."""

    GO = "go"
    WAIT = "wait"


GO, WAIT = Answer.GO, Answer.WAIT


class JobEnd(NamedTuple):
    """How an upstream job ended: its state, the task that tells it, and the task that this one was blocked by."""

    state: TaskState
    name: str
    caused_by: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it failed, or something before it did."""
        return self.state == "failed" or (self.state == "blocked" and self.caused_by is not None)


def end_of(tasks: Sequence[Task]) -> JobEnd | None:
    """How a job ended in a run, all its copies taken together as a run of them would be; None while one has not."""
    ends = [task.phase.state for task in tasks if isinstance(task.phase, Done)]
    if len(ends) < len(tasks):
        return None
    state = next(state for state in RUN_RANK if state in ends)
    first = tasks[ends.index(state)]
    return JobEnd(state, first.name, first.caused_by)


def met(edge: Edge, end: JobEnd) -> bool:
    """Whether the end of an upstream meets the condition of an edge."""
    if edge.condition == "done":
        return True
    if edge.condition == "failure":
        return end.failed
    if edge.condition == "success_or_skipped":
        return end.state in ("success", "skipped")
    return end.state == "success"


def judge(job: Job, upstreams: Sequence[tuple[Edge, JobEnd | None]]) -> Answer | End:
    """What the upstreams say: go, wait, or how the task ends without running.

    Each condition is judged when its upstream is final; with `join = "any"` one that is met is enough. A task whose
    conditions are not met ends when all its upstreams are final: cancelled before blocked before skipped.
    """
    if not upstreams:
        return GO
    ends = [(edge, end) for edge, end in upstreams if end is not None]
    good = sum(met(edge, end) for edge, end in ends)
    if good == len(upstreams) or (job.join == "any" and good):
        return GO
    if len(ends) < len(upstreams):
        return WAIT
    for _, end in ends:
        if end.state == "cancelled":
            return End("cancelled", "upstream_cancelled", caused_by=end.caused_by or end.name)
    for edge, end in ends:
        if edge.condition in ("success", "success_or_skipped") and end.state in ("failed", "blocked"):
            return End("blocked", "upstream_failed", caused_by=end.caused_by or end.name)
    return End("skipped", "condition", caused_by=next(end.name for edge, end in ends if not met(edge, end)))
