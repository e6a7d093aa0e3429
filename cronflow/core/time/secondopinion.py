"""A second opinion on cron expressions: their times as croniter reads them, beside ours.

Airflow and many other programs in Python read schedules with croniter. The two readings are compared as wall times first, on a
clock that never changes, then as instants around the changes of the zone's clock. Where they differ, croniter is asked once more
with one rule corrected: that rule is named only if nothing differs then.

croniter takes 20 to 150 µs for each time, so at most `MOST` times of an expression are compared.
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
on which readings of cron tend to differ."""
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
    "nth_weekday": "croniter ignores the day of the month if there is a `#` or `L` among the weekdays",
    "gap": "the clock goes forward",
    "fold": "the clock goes back",
    "unknown": "the reason is unknown",
}
Theirs = Callable[[int], Iterator[int]]
"""The other reading: its times after an instant, in order."""


class Difference(NamedTuple):
    """Times that only one of the two readings has, and the rules that explain them. With `gap` or `fold` the times are instants;
    with all other rules they are wall times, in seconds as if the zone were UTC."""

    rules: tuple[Rule, ...]
    ours: tuple[int, ...]
    theirs: tuple[int, ...]


class Opinion(NamedTuple):
    """What croniter makes of an expression in a zone. `times`: how many were compared; `whole`: they are all those of a year;
    `jobs`: those that have this schedule."""

    expression: str
    zone: str
    times: int
    whole: bool
    differences: tuple[Difference, ...]
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
    """What croniter makes of each different schedule of five fields (or nickname), with the jobs that have it. Six fields are
    left out: programs disagree on where the seconds go."""
    found: dict[tuple[str, str], list[str]] = {}
    for job in jobs:
        for expression in cron_expressions(job.schedule):
            text = " ".join(expression.split())
            if text.lower() in NICKNAMES or text.count(" ") == 4:
                found.setdefault((text, job.timezone), []).append(job.name)
    for (text, zone), names in found.items():
        yield opinion(text, zone, now)._replace(jobs=tuple(dict.fromkeys(names)))


def opinion(expression: str, zone: str, now: float) -> Opinion:
    """What croniter makes of an expression of five fields, from an instant on."""
    wall = int(datetime.fromtimestamp(now, ZoneInfo(zone)).replace(tzinfo=UTC).timestamp())
    fields = parse(expression)
    if fields.nths() and not fields.both:
        return _dated_nth(expression, zone, wall)
    changes = list(clock_changes(zone, now, now + YEAR))
    schedule = Schedule.cron(expression, "UTC")
    compared = compare(schedule, Question(expression).walls, wall, [change.at + change.offset for change in changes])
    differences: list[Difference] = []
    theirs: Question | None = Question(expression)
    if compared.differing:
        rules, theirs = _explained(expression, schedule, wall)
        differences.append(Difference(rules, compared.ours, compared.theirs))
    if theirs is not None:
        differences += _at_changes(Schedule.cron(expression, zone), theirs.instants(zone), changes)
    return Opinion(expression, zone, compared.times, compared.whole, tuple(differences))


def _dated_nth(expression: str, zone: str, wall: int) -> Opinion:
    """The opinion on an expression with `#` or `L` beside a day of the month. For each time croniter searches years for a day
    that is both, so only a few days are compared, with one time each."""
    words = without_lone_ranges(expression).split()
    fields = parse(expression)
    time = [str((mask & -mask).bit_length() - 1) for mask in (fields.minutes, fields.hours)]
    schedule, undated = (Schedule.cron(" ".join([*time, day, *words[3:]]), "UTC") for day in (words[2], "*"))
    theirs = Question(" ".join([*time, *words[2:]])).walls
    spans: list[Span] = [(wall - 1, None, FEW_DAYS)]
    compared = _merged(schedule, theirs, spans)
    if not compared.differing:
        return Opinion(expression, zone, compared.times, False, ())
    ignores_day = next(theirs(wall), None) is None or not _merged(undated, theirs, spans).differing
    rule: Rule = "nth_weekday" if ignores_day else "unknown"
    return Opinion(expression, zone, compared.times, False, (Difference((rule,), compared.ours, compared.theirs),))


def compare(ours: Schedule, theirs: Theirs, start: int, more: Iterable[int] = ()) -> Compared:
    """Compare a schedule with another reading of it, from a time on. Where it has too many times to compare all, those around the
    ends of months, 29 February and the times `more` (changes of the clock) are compared."""
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
"""After the first and before the second time, up to this many times."""


def _back(schedule: Schedule, time: int, number: int) -> int:
    """Go back by a number of times of a schedule."""
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
    """Walk through both readings together."""
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
        """croniter's times after a start, until it finds no more."""
        from croniter import CroniterBadDateError, croniter

        source = croniter(self.expression, start, datetime, implement_cron_bug=self.cron_rule)
        while True:
            try:
                found: datetime = source.get_next(datetime)
            except CroniterBadDateError:
                return
            yield found


# ---- why they differ ------------------------------------------------------------------------------------------------------


def _explained(expression: str, schedule: Schedule, wall: int) -> tuple[tuple[Rule, ...], Question | None]:
    """The rules by which wall times differ, and the question to which croniter gives our times, if there is one."""
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


def _at_changes(schedule: Schedule, theirs: Theirs, changes: Sequence[ClockChange]) -> Iterator[Difference]:
    """What differs because the clock changes."""
    for change in changes:
        margin = abs(change.by) + 1_800
        before = schedule.last_until(change.at - margin, change.at - YEAR) or change.at - margin
        compared = _merged(schedule, theirs, [(before, change.at + margin, AT_CHANGES // len(changes))])
        if compared.differing:
            yield Difference(("gap" if change.by > 0 else "fold",), compared.ours, compared.theirs)
