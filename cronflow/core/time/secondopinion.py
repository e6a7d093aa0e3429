"""A second opinion on cron expressions: their times as croniter reads them, beside ours.

croniter is what Airflow and many programs in Python read schedules with. Both readings are asked for wall times first, on a
clock that never changes, then for instants around the changes of the zone's clock. Where they part, the rule is looked for by
asking croniter once more with that rule put right: it is named only if nothing differs then.

Comparing costs croniter 20 to 150 µs a time, so at most `MOST` times of an expression are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from cronflow.core.jobs import Job
from cronflow.core.time.cronfields import field_mask, parse, spell
from cronflow.core.time.cronhints import NICKNAMES
from cronflow.core.time.schedule import ClockChange, Schedule, clock_changes
from cronflow.core.time.triggers import cron_expressions

MOST = 2_000
"""Times of an expression that are compared: all of a year, or, where there are more, the first `FIRST` and those around the days
on which readings of cron part."""
FIRST = 1_000
AT_CHANGES = 480
"""Times around all changes of the clock in a year, compared as instants."""
FEW, FEW_DAYS = 4, 24
"""Times that are compared where a year has fewer, and days where asking croniter is slow."""
YEAR = 366 * 86_400

Rule = Literal["both_days", "one_value", "nth_weekday", "gap", "fold", "unknown"]
RULES: dict[Rule, str] = {
    "one_value": "croniter takes a range from a value to itself, such as `5-5`, for all values",
    "both_days": "a day field begins with `*`: cron wants days that fit both day fields, croniter takes those that fit one",
    "nth_weekday": "croniter passes over the day of the month beside a `#` or `L` of the weekdays",
    "gap": "the clock goes forward",
    "fold": "the clock goes back",
    "unknown": "the reason is unknown",
}
Theirs = Callable[[int], Iterator[int]]
"""The other reading: its times after an instant, in order."""


class Parting(NamedTuple):
    """Times that only one of the two readings has, and by which rules: `gap` or `fold`, and the times are instants; or rules of
    reading, and the times are wall times, in seconds as if the zone were UTC."""

    rules: tuple[Rule, ...]
    ours: tuple[int, ...]
    theirs: tuple[int, ...]


class Opinion(NamedTuple):
    """What croniter says to an expression in a zone. `times`: how many were compared; `whole`: they are all of a year; `jobs`:
    those that have this schedule."""

    expression: str
    zone: str
    times: int
    whole: bool
    partings: tuple[Parting, ...]
    jobs: tuple[str, ...] = ()


class Compared(NamedTuple):
    """Times of two readings: how many were looked at, whether they are all of a year, and those that one of the two lacks."""

    times: int
    whole: bool
    ours: tuple[int, ...]
    theirs: tuple[int, ...]

    @property
    def differing(self) -> int:
        """How many times only one of the two has."""
        return len(self.ours) + len(self.theirs)


def opinions(jobs: Iterable[Job], now: float) -> Iterator[Opinion]:
    """What croniter says to each different schedule of five fields, or of a nickname that stands for five, with the jobs that
    have it. Six fields are left out: where the seconds stand differs from program to program."""
    found: dict[tuple[str, str], list[str]] = {}
    for job in jobs:
        for expression in cron_expressions(job.schedule):
            text = " ".join(expression.split())
            if text.lower() in NICKNAMES or text.count(" ") == 4:
                found.setdefault((text, job.timezone), []).append(job.name)
    for (text, zone), names in found.items():
        yield opinion(text, zone, now)._replace(jobs=tuple(dict.fromkeys(names)))


def opinion(expression: str, zone: str, now: float) -> Opinion:
    """What croniter says to an expression of five fields, from an instant on."""
    wall = int(datetime.fromtimestamp(now, ZoneInfo(zone)).replace(tzinfo=UTC).timestamp())
    fields = parse(expression)
    if fields.nths() and not fields.both:
        return _dated_nth(expression, zone, wall)
    changes = list(clock_changes(zone, now, now + YEAR))
    schedule = Schedule.cron(expression, "UTC")
    compared = compare(schedule, Question(expression).walls, wall, [change.at + change.offset for change in changes])
    partings: list[Parting] = []
    theirs: Question | None = Question(expression)
    if compared.differing:
        rules, theirs = _explained(expression, schedule, wall)
        partings.append(Parting(rules, compared.ours, compared.theirs))
    if theirs is not None:
        partings += _at_changes(Schedule.cron(expression, zone), theirs.instants(zone), changes)
    return Opinion(expression, zone, compared.times, compared.whole, tuple(partings))


def _dated_nth(expression: str, zone: str, wall: int) -> Opinion:
    """The opinion on an expression with `#` or `L` beside a day of the month. For each time croniter searches years for a day
    that is both, so a few days are compared, one time on each."""
    words = without_lone_ranges(expression).split()
    fields = parse(expression)
    time = [str((mask & -mask).bit_length() - 1) for mask in (fields.minutes, fields.hours)]
    schedule, undated = (Schedule.cron(" ".join([*time, day, *words[3:]]), "UTC") for day in (words[2], "*"))
    theirs = Question(" ".join([*time, *words[2:]])).walls
    spans: list[Span] = [(wall - 1, None, FEW_DAYS)]
    compared = _merged(schedule, theirs, spans)
    if not compared.differing:
        return Opinion(expression, zone, compared.times, False, ())
    passes_over = next(theirs(wall), None) is None or not _merged(undated, theirs, spans).differing
    rule: Rule = "nth_weekday" if passes_over else "unknown"
    return Opinion(expression, zone, compared.times, False, (Parting((rule,), compared.ours, compared.theirs),))


def compare(ours: Schedule, theirs: Theirs, start: int, more: Iterable[int] = ()) -> Compared:
    """The times of a schedule beside another reading of it, from a time on. `more` are times around which to look as well where
    there are too many to look at all: changes of the clock, beside month ends and 29 February."""
    number = ours.count(start - 1, start + YEAR - 1)
    if FEW <= number <= MOST:
        return _merged(ours, theirs, [(start - 1, start + YEAR, MOST)])
    if number < FEW:
        return _merged(ours, theirs, [(start - 1, None, FEW)])
    places = sorted({*_month_ends(start, ZoneInfo(ours.zone)), *more})
    each = (MOST - FIRST) // len(places)
    spans: list[Span] = [(start - 1, None, FIRST)]
    spans += [(_back(ours, place, each // 2), None, each) for place in places]
    return _merged(ours, theirs, spans)


Span = tuple[int, int | None, int]
"""Times after the first and before the second, at most so many."""


def _back(schedule: Schedule, time: int, number: int) -> int:
    """The time so many times of a schedule before another."""
    for _ in range(number):
        time = schedule.last_until(time - 1, time - YEAR) or time - 1
    return time - 1


def _month_ends(start: int, zone: ZoneInfo) -> Iterator[int]:
    """The ends of the next twelve months, and 29 February with the day after it."""
    day = datetime.fromtimestamp(start, zone).date().replace(day=1)
    days = []
    for _ in range(12):
        day = (day + timedelta(days=31)).replace(day=1)
        days.append(day)
    leap = next(year for year in range(day.year, day.year + 9) if (date(year, 3, 1) - timedelta(days=1)).day == 29)
    for day in (*days, date(leap, 2, 29), date(leap, 3, 1)):
        yield int(datetime(day.year, day.month, day.day, tzinfo=zone).timestamp())


def _merged(schedule: Schedule, theirs: Theirs, spans: Sequence[Span]) -> Compared:
    """Both readings walked through together."""
    seen: set[int] = set()
    only: tuple[set[int], set[int]] = (set(), set())
    whole = len(spans) == 1 and spans[0][1] is not None
    for after, end, most in spans:
        ours, others = schedule.slots_after(after), theirs(after)
        mine, other = next(ours, None), next(others, None)
        for _ in range(most):
            time = min((one for one in (mine, other) if one is not None), default=None)
            if time is None or (end is not None and time >= end):
                break
            seen.add(time)
            if mine != other:
                only[mine != time].add(time)
            mine, other = (next(ours, None) if mine == time else mine, next(others, None) if other == time else other)
        else:
            whole = False
    return Compared(len(seen), whole, tuple(sorted(only[0])), tuple(sorted(only[1])))


# ---- croniter -------------------------------------------------------------------------------------------------------------


class Question(NamedTuple):
    """What croniter is asked. `cron_rule`: with cron's rule for two day fields, which it has for those who ask for it."""

    expression: str
    cron_rule: bool = False

    def walls(self, after: int) -> Iterator[int]:
        """Wall times, as if the zone were UTC."""
        start = datetime.fromtimestamp(after, UTC).replace(tzinfo=None)
        for found in self.times(start):
            yield int(found.replace(tzinfo=UTC).timestamp())

    def instants(self, zone: str) -> Theirs:
        """Instants, with what croniter makes of changes of the clock."""

        def times(after: int) -> Iterator[int]:
            for found in self.times(datetime.fromtimestamp(after, ZoneInfo(zone))):
                yield int(found.timestamp())

        return times

    def times(self, start: datetime) -> Iterator[datetime]:
        """croniter's times after another, until it finds none."""
        from croniter import CroniterBadDateError, croniter

        source = croniter(self.expression, start, datetime, implement_cron_bug=self.cron_rule)
        while True:
            try:
                found: datetime = source.get_next(datetime)
            except CroniterBadDateError:
                return
            yield found


# ---- why they part --------------------------------------------------------------------------------------------------------


def _explained(expression: str, schedule: Schedule, wall: int) -> tuple[tuple[Rule, ...], Question | None]:
    """By which rules wall times differ, and the question to which croniter gives our times, if there is one."""
    single = without_lone_ranges(expression)
    tries: list[tuple[tuple[Rule, ...], Question]] = [(("both_days",), Question(expression, True))]
    if single != expression:
        tries += [(("one_value",), Question(single)), (("one_value", "both_days"), Question(single, True))]
    for rules, question in tries:
        if not compare(schedule, question.walls, wall).differing:
            return rules, question
    return ("unknown",), None


def without_lone_ranges(expression: str) -> str:
    """The expression with `5` for `5-5`."""
    words = NICKNAMES.get(expression.strip().lower(), expression).split()
    for index, word in enumerate(words):
        words[index] = ",".join(_lone(index, item) if "-" in item else item for item in word.split(","))
    return " ".join(words)


def _lone(index: int, item: str) -> str:
    mask = field_mask(index + 1, item)
    return spell(index + 1, mask) if mask.bit_count() == 1 else item


def _at_changes(schedule: Schedule, theirs: Theirs, changes: Sequence[ClockChange]) -> Iterator[Parting]:
    """Where the two part because the clock changes."""
    for change in changes:
        margin = abs(change.by) + 1_800
        before = schedule.last_until(change.at - margin, change.at - YEAR) or change.at - margin
        compared = _merged(schedule, theirs, [(before, change.at + margin, AT_CHANGES // len(changes))])
        if compared.differing:
            yield Parting(("gap" if change.by > 0 else "fold",), compared.ours, compared.theirs)
