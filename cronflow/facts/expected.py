"""What is expected of the tasks of runs: how long their jobs usually take, when they count as slow, and by when they must
succeed. The rules are the engine's own (`core.notify.expectations`)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cronflow.core.notify.expectations import deadline_of, slow_after, usual
from cronflow.core.records import Done, Task
from cronflow.store.queries import History, RunRecord


class Expected(NamedTuple):
    """What is expected of one task: how many seconds its job usually takes, when its running command becomes slow, and its
    deadline."""

    usual: float | None = None
    slow_at: float | None = None
    deadline: float | None = None

    def slow(self, task: Task, now: float) -> bool:
        """Whether its command has been running for too long."""
        return task.state == "running" and self.slow_at is not None and now >= self.slow_at

    def late(self, task: Task, now: float) -> bool:
        """Whether it missed its deadline, or is past it. A task that failed, or was not meant to run, is not late."""
        if self.deadline is None:
            return False
        if not task.final:
            return now >= self.deadline
        ended_at = task.phase.at if isinstance(task.phase, Done) else task.finished_at
        return task.state == "success" and ended_at is not None and ended_at > self.deadline


NOTHING = Expected()


def expected(history: History, records: Iterable[RunRecord]) -> dict[tuple[int, str], Expected]:
    """What is expected of each task of some runs, by run and task."""
    known = [record for record in records if record.run.tasks]
    durations = history.durations({task.job for record in known for task in record.run.tasks.values()})
    return {
        (record.run.id, task.name): _of(record, task, durations.get(task.job, ()))
        for record in known
        for task in record.run.tasks.values()
    }


def _of(record: RunRecord, task: Task, durations: tuple[float, ...]) -> Expected:
    job = record.jobs.get(task.job)
    if job is None:
        return Expected(usual(durations))
    attempts = record.attempts.get(task.name, [])
    live = next((one for one in attempts if one.state == "running" and one.kind == "command"), None)
    after = slow_after(job, durations)
    began = live.started_at if live is not None else None
    slow_at = None if began is None or after is None else began + after
    return Expected(usual(durations), slow_at, deadline_of(job, record.run))
