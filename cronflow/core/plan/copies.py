"""The copies of a job in one run: one for each combination of its `matrix`, or for each line of its `foreach`."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from cronflow.core.jobs import Edge, Job
from cronflow.core.records import Task

ITEM = "ITEM"
"""The variable that holds the line of a `foreach`."""
MOST_COPIES = 1000
_LABEL = re.compile(r"[A-Za-z0-9._-]{1,32}")


def label(value: str, number: int) -> str:
    """What stands for a value in the name of a task: itself, or its number where it has other characters than
    `A-Za-z0-9._-` or more than 32 of them."""
    return value if _LABEL.fullmatch(value) else str(number)


def matrix_copies(job: Job) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and values of each copy of a job, in the order of the matrix; of a job without one, of its only task."""
    if not job.matrix:
        yield job.name, {}
        return
    labelled = [[(label(value, number), value) for number, value in enumerate(values, 1)] for values in job.matrix.values()]
    for combination in itertools.product(*labelled):
        values = dict(zip(job.matrix, (value for _, value in combination), strict=True))
        yield f"{job.name}[{','.join(short for short, _ in combination)}]", values


def item_copies(job: Job, items: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Name and values of each copy of a `foreach`. Where two would have the same name, all bear numbers."""
    labels = [label(item, number) for number, item in enumerate(items, 1)]
    if len(set(labels)) < len(labels):
        labels = [str(number) for number in range(1, len(items) + 1)]
    return [(f"{job.name}[{short}]", {ITEM: item}) for short, item in zip(labels, items, strict=True)]


def paired(jobs: Mapping[str, Job], upstream: str, job: Job) -> bool:
    """Whether a job comes after an upstream copy by copy: the same matrix on both sides, and it says so."""
    return job.matrix_join == "each" and bool(job.matrix) and upstream in jobs and jobs[upstream].matrix == job.matrix


def upstream_tasks(
    jobs: Mapping[str, Job], task: Task, by_job: Mapping[str, Sequence[Task]]
) -> Iterator[tuple[Edge, Sequence[Task]]]:
    """The tasks of its run that a task comes after, edge by edge, out of those of all its jobs. Copy by copy it is only the
    counterpart, where there is one. Edges from jobs outside the run are left out."""
    job = jobs[task.job]
    for edge in job.after:
        tasks = by_job.get(edge.job, ())
        if task.matrix and paired(jobs, edge.job, job):
            tasks = [one for one in tasks if one.matrix == task.matrix] or tasks
        if tasks:
            yield edge, tasks
