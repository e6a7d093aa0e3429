"""The slots to come of all flows, in order of time, and what clock changes make of them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cronflow.core.flow import Flow, Plan, Trigger, triggers_of
from cronflow.core.model import Pause, Skip

DAY = 86400


class Stops(NamedTuple):
    """What keeps jobs from running in slots that come after `now`: pauses and skips."""

    pauses: Mapping[str, Pause]
    skips: Mapping[str, Skip]
    now: float


NO_STOPS = Stops({}, {}, 0.0)


class Slot(NamedTuple):
    """One slot of a flow: the roots that start then, and whether they are paused or disabled."""

    at: int
    flow: Flow
    trigger: Trigger
    roots: tuple[str, ...]

    @property
    def dependents(self) -> list[str]:
        """The jobs that start after the roots."""
        return [name for name in self.flow.jobs if name not in self.flow.roots]


def slots_after(plan: Plan, after: float, only: frozenset[str] = frozenset()) -> Iterator[Slot]:
    """Every slot strictly after an instant, of all flows or of those that have one of the jobs `only`, as long as one asks."""
    due: list[tuple[int, int, str, Flow, Trigger]] = []
    for number, flow in enumerate(plan.flows.values()):
        if flow.dormant or (only and not only & flow.jobs.keys()):
            continue
        for trigger in flow.triggers:
            at = trigger.schedule.next_after(after)
            if at is not None:
                due.append((at, number, trigger.key, flow, trigger))
    heapq.heapify(due)
    while due:
        at, number, key, flow, trigger = due[0]
        yield Slot(at, flow, trigger, timed_roots(flow))
        later = trigger.schedule.next_after(at)
        if later is None:
            heapq.heappop(due)
        else:
            heapq.heapreplace(due, (later, number, key, flow, trigger))


def first_slots(plan: Plan, after: float) -> list[Slot]:
    """The next slot of each flow that has one, in order of time."""
    found = []
    for flow in plan.flows.values():
        due = [(at, trigger) for trigger in flow.triggers if (at := trigger.schedule.next_after(after)) is not None]
        if due and not flow.dormant:
            at, trigger = min(due, key=lambda one: one[0])
            found.append(Slot(at, flow, trigger, timed_roots(flow)))
    return sorted(found, key=lambda slot: slot.at)


def timed_roots(flow: Flow) -> tuple[str, ...]:
    """The enabled roots of a flow that start by a trigger of their own."""
    return tuple(root for root in flow.roots if flow.jobs[root].enabled and triggers_of(flow.jobs[root]))


def next_slot(flow: Flow, after: float) -> int | None:
    """The first slot of a flow after an instant; None if it starts only by hand, or is disabled."""
    if flow.dormant:
        return None
    found = [at for trigger in flow.triggers if (at := trigger.schedule.next_after(after)) is not None]
    return min(found, default=None)


def paused_at(pause: Pause | None, at: float) -> bool:
    """Whether a pause still holds at an instant."""
    return pause is not None and (pause.until is None or pause.until > at)


def skipped_at(slot: Slot, job: str, stops: Stops) -> Skip | None:
    """The skip that a slot falls under. A skip is used up by the slots after now, or after the pause of the job has ended."""
    skip, pause = stops.skips.get(job), stops.pauses.get(job)
    if skip is None or paused_at(pause, slot.at):
        return None
    since = stops.now if pause is None or pause.until is None else max(stops.now, pause.until - 1)
    before = sum(trigger.schedule.count(since, slot.at) for trigger in slot.flow.triggers)
    return skip if before <= skip.left else None


def notes_of(slot: Slot, stops: Stops) -> list[str]:
    """What is special about a slot: a clock change, a pause, a skip."""
    notes = []
    change = clock_change(slot.trigger, slot.at)
    if change:
        notes.append(change)
    paused = [root for root in slot.roots if paused_at(stops.pauses.get(root), slot.at)]
    if paused and len(paused) == len(slot.roots):
        notes.append("paused")
    elif paused:
        notes.append(f"{', '.join(paused)} paused")
    skips = [skip for job in slot.flow.jobs if (skip := skipped_at(slot, job, stops)) is not None]
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
        first = f"{oddity.first:%H:%M}" + (f" to {oddity.last:%H:%M}" if oddity.count > 1 else "")
        if oddity.kind == "gap" and oddity.runs and oddity.at == slot:
            verb = "do" if oddity.count > 1 else "does"
            return f"{first} {verb} not exist: runs at {schedule.local(slot):%H:%M}"
        if oddity.kind == "fold" and oddity.runs == 1:
            shown = schedule.local(slot).replace(tzinfo=None)
            if oddity.first <= shown <= oddity.last and schedule.local(slot).fold == 0:
                return f"{shown:%H:%M} comes twice: runs the first time"
    return None


def trigger_words(trigger: Trigger) -> str:
    """A trigger as the job file writes it: the expressions, or "every 15m"."""
    if trigger.kind == "every":
        from cronflow.jobfile.values import length

        return f"every {length(trigger.schedule.period)}"
    return "; ".join(trigger.schedule.expressions)
