"""Triggers: what makes a root start by itself, when it is due, and on which days it does not run.

A timetable (`schedule`, `every`, `at`) has slots that are known in advance. A boot and a change of watched files are events:
their trigger has a schedule without slots, and each event gets a slot when it happens (`core/slots/event_slots.py`).

A slot is the timetable's own time. With `jitter` it is due a fixed delay later, with calendars it runs only on the days that
they allow; neither moves it. Consecutive days that are alike are treated as one stretch, so that a year of forbidden slots
costs as little as one. Instants are Unix epoch seconds, days are proleptic ordinals.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.stable import stable_fraction
from cronflow.core.time.schedule import Schedule
from cronflow.core.words import duration, listing, local, storable

Kind = Literal["schedule", "every", "at", "reboot", "watch"]
Calendars = Mapping[str, frozenset[int]]
REBOOT = "@reboot"


class Trigger(NamedTuple):
    """What makes a root start by itself. Triggers that mean the same have the same `key`, however they are written: it
    holds the zone, the jitter and the names of the calendars, not their dates. `jitter` and `settle` are seconds."""

    kind: Kind
    key: str
    schedule: Schedule
    jitter: float = 0.0
    skip_on: tuple[str, ...] = ()
    only_on: tuple[str, ...] = ()
    watch: tuple[str, ...] = ()
    settle: float = 0.0

    @property
    def timed(self) -> bool:
        """Whether it has a timetable."""
        return self.kind not in ("reboot", "watch")

    @property
    def dated(self) -> bool:
        """Whether calendars say on which days it runs."""
        return bool(self.skip_on or self.only_on)

    def delay(self, host: str, flow: str) -> int:
        """How long after its slot it is due (whole seconds): less than `jitter`, and the same every time."""
        return int(stable_fraction(f"{host} {flow} {self.key}") * self.jitter) if self.jitter else 0

    def describe(self) -> str:
        """What it starts by, in words: `at 02:30 every day + up to 10 min (jitter), not on holidays`."""
        if self.kind == "reboot":
            said = "at boot"
        elif self.kind == "watch":
            said = f"when {listing(self.watch, 3)} {'changes' if len(self.watch) == 1 else 'change'}"
        else:
            said = self.schedule.describe()
        if self.jitter:
            said += f" + up to {duration(self.jitter)} (jitter)"
        if self.only_on:
            said += f", only on {listing(self.only_on)}"
        return f"{said}, not on {listing(self.skip_on)}" if self.skip_on else said


def starts_by_itself(job: Job) -> bool:
    """Whether a job itself has a trigger."""
    return bool(job.schedule or job.every is not None or job.at or job.watch)


def triggers_of(job: Job) -> tuple[Trigger, ...]:
    """The triggers of a job itself. Raises ScheduleError for an expression or a zone that does not exist.

    Each moment of `at` is a trigger, so that an edit of the list touches no other one. Neither jitter nor calendars apply to
    it, and jitter does not apply to events. Jobs that start at the same times share their triggers."""
    days = tuple(sorted(job.skip_on)), tuple(sorted(job.only_on))
    timed = _timetable(job.schedule, job.every, job.timezone, job.jitter, days)
    found = list(timed)
    for moment in sorted(set(job.at)):
        found.append(Trigger("at", f"at {moment}", Schedule.at((moment,), job.timezone)))
    zone = f" {job.timezone}{_days(*days)}" if _days(*days) else ""
    if len(cron_expressions(job.schedule)) < len(job.schedule):
        found.append(Trigger("reboot", REBOOT + zone, Schedule.at((), job.timezone), 0.0, *days))
    if job.watch:
        key = f"watch {job.settle:g} {' | '.join(sorted(set(job.watch)))}{zone}"
        found.append(Trigger("watch", storable(key), Schedule.at((), job.timezone), 0.0, *days, job.watch, job.settle))
    return tuple(found) if len(found) > len(timed) else timed


@lru_cache(maxsize=4096)
def _timetable(
    schedule: tuple[str, ...], every: float | None, zone: str, jitter: float, days: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[Trigger, ...]:
    found = []
    late = (f" jitter {jitter:g}" if jitter else "") + _days(*days)
    expressions = cron_expressions(schedule)
    if expressions:
        times = Schedule.cron(expressions, zone)
        found.append(Trigger("schedule", times.key + late, times, jitter, *days))
    if every is not None:
        times = Schedule.every(every, zone)
        found.append(Trigger("every", times.key + late, times, jitter, *days))
    return tuple(found)


def _days(skip: tuple[str, ...], only: tuple[str, ...]) -> str:
    """The part of a trigger's key that names its calendars."""
    return (f" skip_on {','.join(skip)}" if skip else "") + (f" only_on {','.join(only)}" if only else "")


def cron_expressions(schedule: Iterable[str]) -> tuple[str, ...]:
    """The expressions of a schedule that have a timetable: all but `@reboot`."""
    return tuple(text for text in schedule if text.strip().lower() != REBOOT)


def untimed_words(job: Job) -> list[str]:
    """The triggers of a job other than `schedule` and `every`, much as the job file writes them."""
    moments = [f"at {local(moment, job.timezone):%Y-%m-%d %H:%M}" for moment in sorted(set(job.at))]
    return [*moments, *(f"watch {pattern}" for pattern in job.watch)]


def described(triggers: Sequence[Trigger]) -> str:
    """Several triggers in words; the moments of an `at` are listed together. Empty without any."""
    moments = [trigger.schedule.describe().removeprefix("once at ") for trigger in triggers if trigger.kind == "at"]
    said = [trigger.describe() for trigger in triggers if trigger.kind != "at"]
    return "; ".join([*said, *([f"once at {listing(moments, 3)}"] if moments else [])])


# ---- days -----------------------------------------------------------------------------------------------------------------


class Stretch(NamedTuple):
    """Consecutive days that are alike: whether slots run on them, their first instant and the first one after them."""

    runs: bool
    start: float
    end: float


ALWAYS = Stretch(True, float("-inf"), float("inf"))


def allowed(trigger: Trigger, calendars: Calendars, slot: float) -> bool:
    """Whether the calendars of a trigger let a slot run: its local date is in none of `skip_on`, and in one of `only_on`."""
    return not trigger.dated or stretch(trigger, calendars, slot).runs


def stretch(trigger: Trigger, calendars: Calendars, slot: float) -> Stretch:
    """The longest stretch of days like that of a slot. A calendar that does not exist is empty."""
    if not trigger.dated:
        return ALWAYS
    skip = _dates(trigger.skip_on, calendars)
    only = _dates(trigger.only_on, calendars) if trigger.only_on else None
    day = trigger.schedule.local(slot).toordinal()
    borders = _borders(skip, only)
    place = bisect_right(borders, day)
    start = trigger.schedule.day_begins(borders[place - 1]) if place else ALWAYS.start
    end = trigger.schedule.day_begins(borders[place]) if place < len(borders) else ALWAYS.end
    return Stretch(_runs(day, skip, only), min(start, slot), max(end, slot + 1))


def _dates(names: tuple[str, ...], calendars: Calendars) -> frozenset[int]:
    found = [calendars[name] for name in names if name in calendars]
    return found[0] if len(found) == 1 else frozenset().union(*found)


def _runs(day: int, skip: frozenset[int], only: frozenset[int] | None) -> bool:
    return day not in skip and (only is None or day in only)


@lru_cache(maxsize=256)
def _borders(skip: frozenset[int], only: frozenset[int] | None) -> tuple[int, ...]:
    """The days that differ from the day before."""
    named = skip | (only or frozenset())
    near = sorted({day + step for day in named for step in (0, 1)})
    return tuple(day for day in near if _runs(day, skip, only) != _runs(day - 1, skip, only))


def next_allowed(trigger: Trigger, calendars: Calendars, after: float) -> int | None:
    """The first slot strictly after an instant that its calendars let run."""
    while True:
        slot = trigger.schedule.next_after(after)
        if slot is None:
            return None
        days = stretch(trigger, calendars, slot)
        if days.runs:
            return slot
        if days.end == ALWAYS.end:
            return None
        after = days.end - 1


def next_start(trigger: Trigger, flow: str, calendars: Calendars, host: str, after: float) -> tuple[int, int] | None:
    """When a flow starts by a trigger for the first time after an instant, and the slot of that start."""
    delay = trigger.delay(host, flow)
    slot = next_allowed(trigger, calendars, after - delay)
    return None if slot is None else (slot + delay, slot)


def last_allowed(trigger: Trigger, calendars: Calendars, until: float, after: float) -> int | None:
    """The newest slot s with after < s <= until that its calendars let run."""
    while True:
        slot = trigger.schedule.last_until(until, after)
        if slot is None:
            return None
        days = stretch(trigger, calendars, slot)
        if days.runs:
            return slot
        if days.start == ALWAYS.start:
            return None
        until = days.start - 1


def count_allowed(trigger: Trigger, calendars: Calendars, after: float, until: float) -> int:
    """The number of slots s with after < s <= until that its calendars let run."""
    if not trigger.dated:
        return trigger.schedule.count(after, until)
    total = 0
    while (slot := next_allowed(trigger, calendars, after)) is not None and slot <= until:
        last = min(stretch(trigger, calendars, slot).end - 1, until)
        total += trigger.schedule.count(slot - 1, last)
        after = last
    return total
