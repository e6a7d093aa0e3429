"""The upcoming starts of all flows, in order of time, and how clock changes and jitter affect them. Slots that calendars
forbid are left out: the history records them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cronflow.core import words
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Pause, Skip
from cronflow.core.time.triggers import Trigger, count_allowed, next_start, starts_by_itself
from cronflow.facts.known import KnownJobs
from cronflow.facts.waits import after_words
from cronflow.store.queries import History
from cronflow.store.standing import pauses, skips

DAY = 86400


class Suspensions(NamedTuple):
    """What keeps jobs from running in slots after `now`: pauses and skips."""

    known: KnownJobs
    pauses: Mapping[str, Pause]
    skips: Mapping[str, Skip]
    now: float


def suspensions_of(history: History, known: KnownJobs, now: float) -> Suspensions:
    """What the history has in force."""
    return Suspensions(known, pauses(history, now), skips(history), now)


class Slot(NamedTuple):
    """One slot of a flow: when it starts, the slot itself, and the roots that start then."""

    at: int
    slot: int
    flow: Flow
    trigger: Trigger
    roots: tuple[str, ...]

    @property
    def dependents(self) -> list[str]:
        """The jobs that start after the roots."""
        return [name for name in self.flow.jobs if name not in self.flow.roots]


def slots_after(known: KnownJobs, after: float, only: frozenset[str] = frozenset()) -> Iterator[Slot]:
    """Every start strictly after an instant, without end, of all flows or of those with one of the jobs `only`."""
    due: list[tuple[int, int, str, int, Flow, Trigger]] = []
    for number, flow in enumerate(known.plan.flows.values()):
        if flow.disabled or (only and not only & flow.jobs.keys()):
            continue
        for trigger in flow.triggers:
            first = next_start(trigger, flow.name, known.calendars, known.host, after)
            if first is not None:
                due.append((first[0], number, trigger.key, first[1], flow, trigger))
    heapq.heapify(due)
    while due:
        at, number, key, slot, flow, trigger = due[0]
        yield Slot(at, slot, flow, trigger, timed_roots(flow))
        later = next_start(trigger, flow.name, known.calendars, known.host, at)
        if later is None:
            heapq.heappop(due)
        else:
            heapq.heapreplace(due, (later[0], number, key, later[1], flow, trigger))


def flows_after_others(known: KnownJobs, only: frozenset[str] = frozenset()) -> list[Flow]:
    """The flows that start after jobs of other flows and have no trigger of their own; all, or those with one of `only`."""
    flows = (flow for flow in known.plan.flows.values() if flow.external_edges and not flow.triggers and not flow.disabled)
    return [flow for flow in flows if not only or only & flow.jobs.keys()]


def first_slots(known: KnownJobs, after: float) -> list[Slot]:
    """The next slot of each flow that has one, in order of time."""
    found = (first_slot(known, flow, after) for flow in known.plan.flows.values())
    return sorted((slot for slot in found if slot is not None), key=lambda slot: slot.at)


def first_slot(known: KnownJobs, flow: Flow, after: float) -> Slot | None:
    """The first start of a flow after an instant; None if it is disabled or has no slot left."""
    if flow.disabled:
        return None
    due = [(next_start(one, flow.name, known.calendars, known.host, after), one) for one in flow.triggers]
    found = [(start, trigger) for start, trigger in due if start is not None]
    if not found:
        return None
    (at, slot), trigger = min(found, key=lambda one: one[0])
    return Slot(at, slot, flow, trigger, timed_roots(flow))


def timed_roots(flow: Flow) -> tuple[str, ...]:
    """The enabled roots of a flow that start by a trigger of their own."""
    return tuple(root for root in flow.roots if flow.jobs[root].enabled and starts_by_itself(flow.jobs[root]))


def next_slot(known: KnownJobs, flow: Flow, after: float) -> int | None:
    """When a flow first starts after an instant, if that is known."""
    first = first_slot(known, flow, after)
    return None if first is None else first.at


def paused_at(pause: Pause | None, at: float) -> bool:
    """Whether a pause still holds at an instant."""
    return pause is not None and (pause.until is None or pause.until > at)


def skipped_at(slot: Slot, job: str, suspensions: Suspensions) -> Skip | None:
    """The skip that applies to a slot. A skip is used up by the slots after now, or after the end of the pause of the job."""
    skip, pause = suspensions.skips.get(job), suspensions.pauses.get(job)
    if skip is None or paused_at(pause, slot.at):
        return None
    since = suspensions.now if pause is None or pause.until is None else max(suspensions.now, pause.until - 1)
    before = 0
    for trigger in slot.flow.triggers:
        delay = trigger.delay(suspensions.known.host, slot.flow.name)
        before += count_allowed(trigger, suspensions.known.calendars, since - delay, slot.at - delay)
    return skip if before <= skip.left else None


def notes_of(slot: Slot, suspensions: Suspensions) -> list[str]:
    """What is special about a slot: jobs of other flows that it waits for, a clock change, jitter, a pause, a skip."""
    notes = [f"after {after_words(slot.flow.external_edges, slot.flow.settings_root.join)}"] if slot.flow.external_edges else []
    change = clock_change(slot.trigger, slot.slot)
    if change:
        notes.append(change)
    if slot.at != slot.slot:
        shown = slot.trigger.schedule.local(slot.slot)
        clock = f"{shown:%H:%M:%S}" if shown.second else f"{shown:%H:%M}"
        notes.append(f"jitter: {words.duration(slot.at - slot.slot)} after {clock}")
    paused = [root for root in slot.roots if paused_at(suspensions.pauses.get(root), slot.at)]
    if paused and len(paused) == len(slot.roots):
        notes.append("paused")
    elif paused:
        notes.append(f"{', '.join(paused)} paused")
    skips = [skip for job in slot.flow.jobs if (skip := skipped_at(slot, job, suspensions)) is not None]
    for by in dict.fromkeys(skip.by for skip in skips):
        names = [skip.job for skip in skips if skip.by == by]
        alone = names == list(slot.roots)
        notes.append(f"skipped by {by}" if alone else f"{', '.join(names)} skipped by {by}")
    return notes


def clock_change(trigger: Trigger, slot: int) -> str | None:
    """What a clock change does to a slot, in words: "02:30 does not exist: runs at 03:00"."""
    if trigger.kind != "schedule":
        return None
    schedule = trigger.schedule
    for oddity in schedule.oddities(slot - 1, slot + DAY):
        first = f"{oddity.first:%H:%M}" + (f" to {oddity.last:%H:%M}" if oddity.number > 1 else "")
        if oddity.kind == "gap" and oddity.runs and oddity.at == slot:
            verb = "do" if oddity.number > 1 else "does"
            return f"{first} {verb} not exist: runs at {schedule.local(slot):%H:%M}"
        if oddity.kind == "fold" and oddity.runs == 1:
            shown = schedule.local(slot).replace(tzinfo=None)
            if oddity.first <= shown <= oddity.last and schedule.local(slot).fold == 0:
                return f"{shown:%H:%M} comes twice: runs the first time"
    return None


def trigger_words(trigger: Trigger) -> str:
    """A trigger as the job file writes it: the expressions, or "every 15m"."""
    match trigger.kind:
        case "every":
            from cronflow.jobfile.values import format_duration

            return f"every {format_duration(trigger.schedule.period)}"
        case "at":
            return trigger.schedule.describe().removeprefix("once ")
        case "reboot":
            return "@reboot"
        case "watch":
            return f"watch {', '.join(trigger.watch)}"
        case "schedule":
            return "; ".join(trigger.schedule.expressions)
