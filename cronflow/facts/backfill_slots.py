"""Which slots of the past a backfill runs: those of a range, except the ones that ran well."""

from __future__ import annotations

import bisect
from typing import NamedTuple

from cronflow.core.plan.flow import Flow
from cronflow.errors import CronflowError, Exit
from cronflow.facts import upcoming
from cronflow.facts.known import KnownJobs
from cronflow.store.covered import SlotRun, missed_spans, slot_runs
from cronflow.store.queries import History

MOST = 10_000
"""Runs that one backfill starts at most."""
KINDS = ("missed", "failed")
_FAILED = ("failed", "blocked")


class PastSlot(NamedTuple):
    """One slot of the range: when it was, the last run that carried it, and whether it is recorded as missed."""

    at: int
    last: SlotRun | None = None
    missed: bool = False

    @property
    def covered(self) -> bool:
        return self.last is not None and self.last.covered

    @property
    def going(self) -> bool:
        return self.last is not None and self.last.going

    @property
    def word(self) -> str:
        """What the history says about it."""
        if self.last is not None:
            return self.last.state
        return "missed" if self.missed else "no_run"

    def is_a(self, kind: str) -> bool:
        if kind == "missed":
            return self.missed
        return self.last is not None and self.last.state in _FAILED


class Range(NamedTuple):
    """The slots of a job between two instants, both included."""

    job: str
    start: float
    end: float
    slots: list[PastSlot]

    def chosen(self, only: frozenset[str], everything: bool) -> list[PastSlot]:
        """The slots to run, oldest first, including those that are running now."""
        slots = [slot for slot in self.slots if everything or not slot.covered]
        return [slot for slot in slots if not only or slot.going or any(slot.is_a(kind) for kind in only)]


def kinds_of(only: str | None) -> frozenset[str]:
    """The words of `--only`."""
    words = [word.strip() for word in (only or "").split(",") if word.strip()]
    if only is not None and not words:
        raise CronflowError("`--only` names no kind of slot", "write `missed`, `failed`, or `missed,failed`", Exit.USAGE)
    for word in words:
        if word not in KINDS:
            hint = "write `missed`, `failed`, or `missed,failed`"
            raise CronflowError(f"`--only {word}` is not a kind of slot", hint, Exit.USAGE)
    return frozenset(words)


def slots_of_range(history: History, known: KnownJobs, job: str, start: float, end: float, now: float) -> Range:
    """The slots of a job in a range, with what the history says about them. A CronflowError if the job has no slots, or the
    range has none or too many."""
    flow = known.plan.flows[known.plan.flow_of[job]]
    _check_triggers(flow, job)
    runs = slot_runs(history, job, start, end)
    times = _times(known, job, start, end, now)
    missed = _missed(history, flow, times, start, end)
    return Range(job, start, end, [PastSlot(at, runs.get(at), at in missed) for at in times])


def _check_triggers(flow: Flow, job: str) -> None:
    if not any(trigger.timed for trigger in flow.triggers):
        why = "" if job in flow.roots else f", like `{flow.roots[0]}`, which it comes after"
        hint = f"`cronflow run {job} --at TIME` runs it for a time of the past"
        raise CronflowError(f"`{job}` has no schedule{why}, so it has no slots", hint, Exit.USAGE)
    if flow.disabled:
        named = " and ".join(f"`{root}`" for root in flow.roots)
        hint = "remove `enabled = false`, or `cronflow run JOB --at TIME`"
        raise CronflowError(f"`{job}` has no slots: {named} is disabled in the job file", hint, Exit.USAGE)


def _times(known: KnownJobs, job: str, start: float, end: float, now: float) -> list[int]:
    """The slots of the range that are due, oldest first; with `jitter` a slot starts later than its own time."""
    times: set[int] = set()
    last = end + max(trigger.jitter for trigger in known.plan.flows[known.plan.flow_of[job]].triggers)
    for slot in upcoming.slots_after(known, start - 0.001, frozenset([job])):
        if slot.at > min(last, now):
            break
        if start <= slot.slot <= end:
            times.add(slot.slot)
        if len(times) > MOST:
            raise CronflowError(f"`{job}` has more than {MOST:,} slots in that range", "take a shorter range", Exit.USAGE)
    return sorted(times)


def _missed(history: History, flow: Flow, times: list[int], start: float, end: float) -> set[int]:
    """Those of the times that are recorded as missed."""
    found: set[int] = set()
    for first, last in missed_spans(history, flow.roots, start, end):
        found.update(times[bisect.bisect_left(times, first) : bisect.bisect_right(times, last)])
    return found
