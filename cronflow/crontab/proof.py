"""The proof of an import: the starts of each job by cron's own rules, beside the slots of the job that was written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronflow.core.jobs import Job
from cronflow.core.time.schedule import ClockChange, clock_changes
from cronflow.core.time.triggers import triggers_of
from cronflow.core.words import duration
from cronflow.crontab import cronrules
from cronflow.crontab.convert import Draft
from cronflow.crontab.cronrules import Look, Times

SHOWN = 5
"""Differences that are listed for one job."""


class Difference(NamedTuple):
    """An instant at which cron starts a job `cron` times and cronflow `ours` times. `reason` is empty where there is none."""

    at: int
    cron: int
    ours: int
    reason: str


class Proved(NamedTuple):
    """A job, how often each of the two starts it, its next start by cron's rules, and where they differ. `timed`: it has a
    timetable of cron, and is not started by a boot or by anacron."""

    draft: Draft
    zone: str
    timed: bool
    cron: int
    ours: int
    next: int | None
    differences: list[Difference]

    @property
    def unexplained(self) -> int:
        """How many differences have no reason."""
        return sum(not one.reason for one in self.differences)


def prove(drafts: Sequence[Draft], jobs: Mapping[str, Job], start: int, end: int) -> Iterator[Proved]:
    """Each job with its starts from one instant to another. `jobs` are those that were read back from what was written."""
    span = _Span(start, end)
    for draft in drafts:
        job = jobs[draft.name]
        if draft.entry.times is None or draft.kind == "anacron":
            yield Proved(draft, job.timezone, False, 0, 0, None, [])
            continue
        plain = draft.daemon == "busybox" or "timezone" in draft.keys
        cron = span.cron(draft.entry.times, job.timezone, plain)
        ours = span.ours(job)
        differences = [] if cron == ours else list(_differences(draft, job, cron, ours, span.changes(job.timezone)))
        yield Proved(draft, job.timezone, True, len(cron), len(ours), cron[0] if cron else None, differences)


class _Span:
    """Starts in a span of time, each timetable reckoned once."""

    def __init__(self, start: int, end: int) -> None:
        self.start, self.end = start, end
        self._looks: dict[tuple[str, bool], list[Look]] = {}
        self._cron: dict[tuple[Times, str, bool], list[int]] = {}
        self._ours: dict[str, list[int]] = {}
        self._changes: dict[str, list[ClockChange]] = {}

    def cron(self, times: Times, zone: str, plain: bool) -> list[int]:
        key = (times, zone, plain)
        if key not in self._cron:
            if (zone, plain) not in self._looks:
                self._looks[zone, plain] = cronrules.looks(_info(zone), self.start, self.end, plain)
            self._cron[key] = sorted(cronrules.starts(times, self._looks[zone, plain]))
        return self._cron[key]

    def ours(self, job: Job) -> list[int]:
        schedule = triggers_of(job._replace(jitter=0.0))[0].schedule
        if schedule.key not in self._ours:
            found = []
            slot = schedule.next_after(self.start - 1)
            while slot is not None and slot < self.end:
                found.append(slot)
                slot = schedule.next_after(slot)
            self._ours[schedule.key] = found
        return self._ours[schedule.key]

    def changes(self, zone: str) -> list[ClockChange]:
        if zone not in self._changes:
            self._changes[zone] = list(clock_changes(zone, self.start - 60, self.end))
        return self._changes[zone]


def _info(zone: str) -> tzinfo:
    return ZoneInfo(zone)


def _differences(
    draft: Draft, job: Job, cron: list[int], ours: list[int], changes: Sequence[ClockChange]
) -> Iterator[Difference]:
    theirs, own = Counter(cron), Counter(ours)
    for at in sorted(instant for instant in theirs.keys() | own.keys() if theirs[instant] != own[instant]):
        yield Difference(at, theirs[at], own[at], _reason(draft, job, at, own[at] > theirs[at], changes))


def _reason(draft: Draft, job: Job, at: int, more: bool, changes: Sequence[ClockChange]) -> str:
    """Why the two differ at an instant, as far as there is a reason."""
    change = next((one for one in changes if one.at <= at < one.at + max(60, abs(one.by))), None)
    if change is not None:
        how = "forward" if change.by > 0 else "back"
        told = f"the clock goes {how} by {duration(abs(change.by))}"
        if draft.daemon == "busybox" or "timezone" in draft.keys:
            whose = "busybox has" if draft.daemon == "busybox" else "cronie with CRON_TZ has"
            return f"{told}, for which {whose} no rule"
        return f"{told}; cronflow starts a job once for all times that a change leaves out"
    weekday = datetime.fromtimestamp(at, _info(job.timezone)).isoweekday() % 7
    if more and job.only_if is not None and draft.entry.times is not None and weekday not in draft.entry.times.weekdays:
        return "`only_if` skips it: it is another weekday"
    return ""
