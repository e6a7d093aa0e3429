"""What is expected of a task: until when it must have succeeded, and how long its command may run before it is slow.

Nothing of it is stored beside the job file's own words: a deadline follows from the slot, slowness from the last successes.
The engine, `status` and `why` ask here, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

from cronflow.core.jobs import Job
from cronflow.core.records import Done, Hook, Run, Task
from cronflow.core.time.schedule import Schedule

REMEMBERED = 20
"""How many successes tell how long a job usually takes."""
KNOWN = 10
"""Successes that must be known before a job without a `slow` of its own can be slow."""
SLOW_FACTOR = 3.0
SLOW_SECONDS = 300.0

Timer = tuple[float, str, int, str]
"""When, what for, run and task: an entry of `State.timers`."""


def deadline_of(job: Job, run: Run) -> float | None:
    """Until when the job's task in this run must have succeeded (epoch seconds). Only a run with a slot of its own is bound
    to one: what a person starts has none."""
    if job.deadline is None or run.slot is None or run.kind.by_person:
        return None
    kind, seconds = job.deadline
    return _wall_time_after(seconds, job.timezone, run.slot) if kind == "time" else run.slot + seconds


def _wall_time_after(seconds: float, zone: str, slot: int) -> float | None:
    """The first instant after a slot at which the clocks of a zone come to a time of day, by the rule of schedules."""
    return _daily(int(seconds), zone).next_after(slot)


@lru_cache(maxsize=256)
def _daily(seconds: int, zone: str) -> Schedule:
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return Schedule.cron(f"{second} {minute} {hour} * * *", zone)


def usual(durations: Sequence[float]) -> float | None:
    """The median of the last successes, in seconds; None without one."""
    if not durations:
        return None
    times, middle = sorted(durations), len(durations) // 2
    return times[middle] if len(times) % 2 else (times[middle - 1] + times[middle]) / 2


def slow_after(job: Job, durations: Sequence[float]) -> float | None:
    """Seconds after which a command that still runs is slow: as the job says, else three times, and five minutes more than, the
    median of its last successes. None while too few of them are known."""
    if job.slow is not None and job.slow[0] == "duration":
        return job.slow[1]
    median = usual(durations)
    if median is None or (job.slow is None and len(durations) < KNOWN):
        return None
    return max(SLOW_FACTOR * median, median + SLOW_SECONDS) if job.slow is None else job.slow[1] * median


def timers(run: Run, task: Task, job: Job, durations: Sequence[float]) -> Iterator[Timer]:
    """When a task that has not ended becomes late, and when slow, unless that has been told. While its hook runs its end is
    decided already."""
    if isinstance(task.phase, Done | Hook) or run.gate == "edges":
        return
    deadline = deadline_of(job, run)
    if deadline is not None and "late" not in task.told:
        yield deadline, "late", run.id, task.name
    live = task.live
    if live is None or live.kind != "command" or live.started_at is None or "slow" in task.told:
        return
    after = slow_after(job, durations)
    if after is not None:
        yield live.started_at + after, "slow", run.id, task.name
