"""Cron's own rules: how its daemons read the time fields of a line, and at which minutes they start the job.

This is the second reading, which proves an import: it shares nothing with `core`, and is simple rather than fast. It follows
Debian's cron 3.0pl1-162 (entry.c, cron.c), cronie 1.7 (the same files) and busybox 1.37 (crond.c). Where they differ:

                          Debian's cron            cronie                    busybox
    5/15                  refused                  refused                   5
    22-2, fri-mon         accepted, never met      accepted, never met       around midnight, Friday to Monday
    6-0, sat-sun          accepted, never met      6-7                       Saturday and Sunday
    5-64/30               refused                  5,35                      refused
    4~8, ~                refused                  one value, at random      refused
    *x, 5.x, 1-5-9        `*`, `5`, `1-5`          refused                   refused
    two day fields        both, if one of them begins with `*`, else either  either, if both leave out days
    */2 as day of month   1,3,5...                 1,3,5...                  2,4,6...
    clock changes         see `scans`              the same; none with       none
                                                   CRON_TZ

Instants are epoch seconds; wall minutes are minutes of the local clock since 1970-01-01 00:00 on that clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import Literal, NamedTuple

Dialect = Literal["debian", "cronie", "busybox"]
Pick = Callable[[int, int], int]
"""Chooses for `~` a value from the first to the second number."""


class RefusedError(Exception):
    """Fields that cron refuses, or that never match: the rule, what to write instead, and the number of the field."""

    def __init__(self, rule: str, hint: str = "", field: int = 0) -> None:
        super().__init__(rule)
        self.rule = rule
        self.hint = hint
        self.field = field


class Times(NamedTuple):
    """The minutes at which cron starts a job. `weekdays` run from 0 (Sunday) to 6.

    `wild`: its minute or hour field begins with `*`, so it follows elapsed time when the clock changes. `both`: a day must match
    both day fields, otherwise either of them."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    wild: bool
    both: bool

    def on(self, day: date) -> bool:
        """Whether the job is started on a day."""
        weekday = day.isoweekday() % 7
        fits = (day.day in self.days, weekday in self.weekdays)
        return day.month in self.months and (all(fits) if self.both else any(fits))


class Field(NamedTuple):
    """One of the five fields: its bounds, and the names of its values from `low` on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("day of week", 0, 7, _WEEKDAYS),
)
NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_LENGTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def read(words: Sequence[str], dialect: Dialect, pick: Pick) -> Times:
    """Read five fields, or a nickname, as a daemon does. Raises RefusedError for what it refuses or never starts."""
    if len(words) == 1:
        words = NICKNAMES[words[0]].split()
    sets = []
    for place, (field, word) in enumerate(zip(FIELDS, words, strict=True)):
        try:
            sets.append(_field(field, word, dialect, pick))
        except RefusedError as refused:
            raise RefusedError(refused.rule, refused.hint, place) from None
    for place, values in enumerate(sets):
        if not values:
            rule = f"`{words[place]}` runs backwards: it contains no {FIELDS[place].name}, so cron never starts the job"
            raise RefusedError(rule, "", place)
    minutes, hours, days, months, weekdays = sets
    if dialect == "busybox":
        used = days != frozenset(range(32)), len(weekdays) < 7
        both = not all(used)
    else:
        weekdays = frozenset(value % 7 for value in weekdays)
        both = words[2][0] == "*" or words[4][0] == "*"
    times = Times(minutes, hours, days, months, weekdays, words[0][0] == "*" or words[1][0] == "*", both)
    if not _ever(times):
        raise RefusedError(f"no day ever matches `{' '.join(words[2:])}`: cron never starts the job", "", 2)
    return times


def _ever(times: Times) -> bool:
    """Whether a day ever matches: each date falls on each weekday in some year."""
    dated = any(1 <= day <= _LENGTHS[month - 1] for day in times.days for month in times.months)
    return dated if times.both else dated or bool(times.weekdays)


# ---- fields ---------------------------------------------------------------------------------------------------------------


def _field(field: Field, word: str, dialect: Dialect, pick: Pick) -> frozenset[int]:
    if dialect == "debian":
        return _debian_field(field, word)
    item = _busybox_item if dialect == "busybox" else _cronie_item
    return frozenset[int]().union(*(item(field, part, pick) for part in word.split(",")))


def _cronie_item(field: Field, item: str, pick: Pick) -> frozenset[int]:
    """`*`, `n`, `n-m`, `*` and `n-m` with a step, and `n~m`."""
    return frozenset((_random(field, item, pick),)) if "~" in item else _ranged(field, item)


@lru_cache(maxsize=1024)
def _ranged(field: Field, item: str) -> frozenset[int]:
    """The same without `~`. Every value must be within the bounds of the field."""
    parts = re.fullmatch(r"(?:\*|([0-9]+|[A-Za-z]+)(?:-([0-9]+|[A-Za-z]+))?)(?:/([0-9]+))?", item)
    if parts is None:
        raise _bad_item(field, item)
    first, last, step = parts.groups()
    if first is not None and last is None:
        if step is not None:
            raise _lone_step(field, item)
        return frozenset((_inside(field, _number(field, first), item),))
    low, high = (field.low, field.high) if first is None else (_number(field, first), _number(field, last))
    if step is None and low > high == 0:
        high = 7
    return frozenset(_inside(field, value, item) for value in range(low, high + 1, _step(item, step)))


def _random(field: Field, item: str, pick: Pick) -> int:
    parts = re.fullmatch(r"([0-9]+|[A-Za-z]+)?~([0-9]+|[A-Za-z]+)?", item)
    if parts is None:
        raise _bad_item(field, item)
    low = field.low if parts[1] is None else _number(field, parts[1])
    high = field.high if parts[2] is None else _number(field, parts[2])
    if low > high:
        raise RefusedError(f"`{item}` runs backwards in the {field.name} field")
    return _inside(field, pick(low, high), item)


@lru_cache(maxsize=1024)
def _debian_field(field: Field, word: str) -> frozenset[int]:
    """The same without `~`. If anything but a comma follows an item, the rest of the field is ignored."""
    values: set[int] = set()
    rest = word
    while True:
        parts = re.match(r"(?:\*|([0-9A-Za-z]+)(-[0-9A-Za-z]*)?)(/[0-9A-Za-z]*)?", rest)
        if parts is None:
            raise _bad_item(field, rest.partition(",")[0] or word)
        item = parts[0]
        first, last, step = parts.groups()
        if first is not None and last is None:
            if step is not None:
                raise _lone_step(field, item)
            values.add(_inside(field, _number(field, first), item))
        else:
            low, high = (field.low, field.high) if first is None else (_number(field, first), _number(field, (last or "")[1:]))
            stride = _step(item, None if step is None else step[1:])
            _inside(field, low, item)
            _inside(field, high, item)
            values.update(range(low, high + 1, stride))
        rest = rest[parts.end() :]
        if rest[:1] != ",":
            return frozenset(values)
        rest = rest[1:]


def _busybox_item(field: Field, item: str, _: Pick) -> frozenset[int]:
    """Ranges wrap around: `22-2` is 22,23,0,1,2. The day of month counts from 0, the others from their lowest value."""
    parts = re.fullmatch(r"(?:\*|([0-9]+|[A-Za-z]{3})(?:-([0-9]+|[A-Za-z]{3}))?)(?:/([0-9]*))?", item)
    if parts is None:
        raise _bad_item(field, item)
    first, last, step = parts.groups()
    base = 1 if field.name == "month" else 0
    size = 7 if field.high == 7 else field.high + 1 - base
    low = base if first is None else _inside(field, _number(field, first), item)
    high = base + size - 1 if first is None else low if last is None else _inside(field, _number(field, last), item)
    stride = int(step) if step else 1
    count = (high - low) % size + 1
    return frozenset((low - base + walked) % size + base for walked in range(0, count, stride or count))


def _number(field: Field, token: str) -> int:
    if token.isascii() and token.isdigit():
        return int(token[-9:]) if len(token.lstrip("0")) < 9 else 10**9
    name = token.lower()
    if name in field.names:
        return field.names.index(name) + field.low
    hint = f"names are {field.names[0]} to {field.names[-1]}" if field.names else ""
    raise RefusedError(f"`{token}` is not a valid {field.name}", hint) if token else _bad_item(field, token)


def _inside(field: Field, value: int, item: str) -> int:
    if field.low <= value <= field.high:
        return value
    raise RefusedError(f"`{item}` is out of bounds: the {field.name} field goes from {field.low} to {field.high}")


def _step(item: str, step: str | None) -> int:
    if step is None:
        return 1
    if not step.isascii() or not step.isdigit():
        raise RefusedError(f"`{item}` has no number after its `/`")
    if int(step[-9:]) == 0:
        raise RefusedError(f"`{item}` has a step of 0")
    return int(step[-9:])


def _lone_step(field: Field, item: str) -> RefusedError:
    first = item.partition("/")[0]
    return RefusedError(f"`{item}` has a step without a range", f"`{first}-{field.high}{item[len(first) :]}` has one")


def _bad_item(field: Field, item: str) -> RefusedError:
    if item.endswith("/"):
        return RefusedError(f"`{item}` has no number after its `/`")
    return RefusedError(f"`{item}` is not a valid {field.name}" if item else f"the {field.name} field has an empty item")


# ---- starts ---------------------------------------------------------------------------------------------------------------


class Scan(NamedTuple):
    """Consecutive wall minutes [first, last] for which cron looks for jobs, each when the epoch minute is `behind` minutes later.
    `wild` and `fixed`: for which jobs it looks."""

    first: int
    last: int
    behind: int
    wild: bool
    fixed: bool


def scans(zone: tzinfo, start: int, end: int, plain: bool = False) -> list[Scan]:
    """The scans of cron's loop from one instant to another, minute by minute (main() in cron.c).

    It keeps its own clock, which advances by one minute each minute. If the local clock has gone forward by up to three hours, it
    looks for jobs with `*` at the new minute, and for all others at each skipped minute; if it has gone back by up to three
    hours, only for jobs with `*`, until the local clock has caught up. `plain`: without any such rule."""
    found: list[Scan] = []
    virtual = 0

    def scan(minute: int, wall: int, wild: bool, fixed: bool) -> None:
        if minute * 60 < start:
            return
        last = found[-1] if found else None
        if last and last[2:] == (minute - wall, wild, fixed) and last.last + 1 == wall:
            found[-1] = last._replace(last=wall)
        else:
            found.append(Scan(wall, wall, minute - wall, wild, fixed))

    begin = start // 60 - 1440  # a day earlier, so that it knows its state
    for minute in range(begin, -(-end // 60)):
        now = minute + utc_offset(zone, minute * 60) // 60
        ahead = now - virtual
        if plain or minute == begin or ahead == 1 or abs(ahead) > 180:
            scan(minute, now, True, True)
            virtual = now
        elif ahead > 0:
            if ahead > 5:
                scan(minute, now, True, False)
            for missed in range(virtual + 1, now + 1):
                scan(minute, missed, ahead <= 5, True)
            virtual = now
        else:
            scan(minute, now, True, False)
    return found


def utc_offset(zone: tzinfo, instant: int) -> int:
    """The offset of a zone at an instant, in seconds."""
    offset = datetime.fromtimestamp(instant, zone).utcoffset()
    return 0 if offset is None else offset.days * 86400 + offset.seconds


def starts(times: Times, in_scans: Sequence[Scan]) -> Iterator[int]:
    """The instants at which cron starts a job in these scans, once for each start."""
    minutes = sorted(hour * 60 + minute for hour in times.hours for minute in times.minutes)
    for scan in in_scans:
        if not (scan.wild if times.wild else scan.fixed):
            continue
        for day in range(scan.first // 1440, scan.last // 1440 + 1):
            if times.on(datetime.fromtimestamp(day * 86400, UTC).date()):
                walls = (day * 1440 + minute for minute in minutes)
                yield from ((wall + scan.behind) * 60 for wall in walls if scan.first <= wall <= scan.last)
