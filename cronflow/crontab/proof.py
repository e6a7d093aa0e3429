"""Proves an import: compares the starts of each job by cron's own rules with the slots of the job that was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import takewhile
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronflow.core.jobs import Job
from cronflow.core.time.schedule import ClockChange, Schedule, clock_changes
from cronflow.core.time.triggers import triggers_of
from cronflow.core.words import duration
from cronflow.crontab import cronrules
from cronflow.crontab.convert import ImportedJob

SHOWN = 5
"""The most differences that are listed for one job."""


class StartDifference(NamedTuple):
    """An instant at which cron starts a job `cron` times and cronflow `ours` times. `reason` is empty if there is none."""

    at: int
    cron: int
    ours: int
    reason: str


class JobProof(NamedTuple):
    """A job, how often each of the two starts it, its next start by cron's rules, and the differences. `timed`: it has a
    timetable of cron, and is not started at boot or by anacron."""

    imported: ImportedJob
    zone: str
    timed: bool
    cron: int
    ours: int
    next: int | None
    differences: list[StartDifference]

    @property
    def unexplained(self) -> int:
        """The number of differences without a reason."""
        return sum(not difference.reason for difference in self.differences)


def prove(imported_jobs: Sequence[ImportedJob], jobs: Mapping[str, Job], start: int, end: int) -> Iterator[JobProof]:
    """Compare the starts of each job within [start, end), in epoch seconds. `jobs` are read back from the written job file."""
    scans = cache(lambda zone, plain: cronrules.scans(ZoneInfo(zone), start, end, plain))
    starts = cache(lambda times, zone, plain: sorted(cronrules.starts(times, scans(zone, plain))))
    shifts = cache(lambda zone: list(clock_changes(zone, start - 60, end)))
    slots: dict[str, list[int]] = {}
    for imported in imported_jobs:
        job = jobs[imported.name]
        if imported.entry.times is None or imported.kind == "anacron":
            yield JobProof(imported, job.timezone, False, 0, 0, None, [])
            continue
        cron = starts(imported.entry.times, job.timezone, imported.daemon == "busybox" or "timezone" in imported.keys)
        schedule = triggers_of(job._replace(jitter=0.0))[0].schedule
        if schedule.key not in slots:
            slots[schedule.key] = slots_between(schedule, start, end)
        ours = slots[schedule.key]
        differences = [] if cron == ours else list(_differences(imported, job, cron, ours, shifts(job.timezone)))
        yield JobProof(imported, job.timezone, True, len(cron), len(ours), cron[0] if cron else None, differences)


def slots_between(schedule: Schedule, start: int, end: int) -> list[int]:
    """The slots of a schedule within [start, end), in epoch seconds."""
    return list(takewhile(lambda slot: slot < end, schedule.slots_after(start - 1)))


def _differences(
    imported: ImportedJob, job: Job, cron: list[int], ours: list[int], shifts: Sequence[ClockChange]
) -> Iterator[StartDifference]:
    theirs, own = Counter(cron), Counter(ours)
    for at in sorted(instant for instant in theirs.keys() | own.keys() if theirs[instant] != own[instant]):
        yield StartDifference(at, theirs[at], own[at], _reason(imported, job, at, own[at] > theirs[at], shifts))


def _reason(imported: ImportedJob, job: Job, at: int, more: bool, shifts: Sequence[ClockChange]) -> str:
    """Why the two differ at an instant; "" if there is no reason."""
    shift = next((shift for shift in shifts if shift.at <= at < shift.at + max(60, abs(shift.by))), None)
    if shift is not None:
        way = "forward" if shift.by > 0 else "back"
        change = f"the clock goes {way} by {duration(abs(shift.by))}"
        if imported.daemon == "busybox" or "timezone" in imported.keys:
            whose = "busybox has" if imported.daemon == "busybox" else "cronie with CRON_TZ has"
            return f"{change}, for which {whose} no rule"
        return f"{change}; cronflow starts a job once for all times that a change skips"
    weekday = datetime.fromtimestamp(at, ZoneInfo(job.timezone)).isoweekday() % 7
    if more and job.only_if is not None and imported.entry.times is not None and weekday not in imported.entry.times.weekdays:
        return "`only_if` skips it: it is a different weekday"
    return ""
