"""The copies of a job on a screen: a few one by one, many as one line: "load × 1000: 998 success, 2 failed"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from cronflow.core import words
from cronflow.core.records import RUN_RANK, Task

FEW = 5
"""Up to this many copies of a job are shown one by one."""
_PRESSING = ("failed", "running", "retrying", "queued", "waiting")
_COUNTED = ("success", "failed", "blocked", "cancelled", "skipped", "running", "retrying", "queued", "waiting")

T = TypeVar("T")


def bundles(tasks: Iterable[T], job: Callable[[T], object]) -> list[list[T]]:
    """Tasks grouped by the line they share: many copies of a job in one, every other task on its own."""
    by_job: dict[object, list[T]] = {}
    for task in tasks:
        by_job.setdefault(job(task), []).append(task)
    return [bundle for found in by_job.values() for bundle in ([found] if len(found) > FEW else [[one] for one in found])]


def bundle_name(job: str, number: int) -> str:
    """The name of many copies: "load × 1000"."""
    return f"{job} × {number}"


def bundle_title(bundle: Sequence[Task]) -> str:
    """The name of a task, or of many copies of a job."""
    return bundle[0].name if len(bundle) == 1 else bundle_name(bundle[0].job, len(bundle))


def tally(states: Iterable[str]) -> str:
    """How many are in each state: "998 success, 2 failed"."""
    number = Counter(states)
    return ", ".join(f"{number[state]} {state}" for state in _COUNTED if number[state])


def foremost(states: Sequence[str]) -> str:
    """The state that stands for several: the most pressing one until all have ended, then the state a run of them would have."""
    ended = all(state in RUN_RANK for state in states)
    return next(state for state in (RUN_RANK if ended else (*_PRESSING, *RUN_RANK)) if state in states)


def telling(tasks: Sequence[Task]) -> Task:
    """The task that stands for all copies of a job."""
    state = foremost([task.state for task in tasks])
    return next(task for task in tasks if task.state == state)


def summary(names: Sequence[str], states: Sequence[str]) -> str:
    """Many copies in words, the failing ones named: "998 success, 2 failed: load[eu], load[us]"."""
    failed = [name for name, state in zip(names, states, strict=True) if state == "failed"]
    return tally(states) + (f": {words.listing(failed, 4)}" if failed else "")


def named(tasks: Sequence[Task], most: int = 4) -> str:
    """Tasks by their names, many copies of a job as one."""
    return words.listing([bundle_title(bundle) for bundle in bundles(tasks, lambda task: task.job)], most)
