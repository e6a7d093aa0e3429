"""The times of one cron expression on a wall clock that never shifts: search and count, without any zone.

A wall time is the number of seconds that a clock shows since 1970-01-01 00:00 on that same clock, so every day has 86,400.
Nothing here walks over times: a search goes over months and then over bits, a count goes over months.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from functools import lru_cache

from cronflow.core.time.cronfields import CronFields, bits, days_of_month, parse

DAY = 86_400
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
_LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


class WallTimes:
    """The wall times of one expression. Immutable except for its cache of what the 28 kinds of month look like."""

    __slots__ = ("_first", "_kinds", "_last", "_minutes", "fields")

    def __init__(self, fields: CronFields) -> None:
        self.fields = fields
        self._kinds: dict[int, int] = {}
        self._minutes = _repeated(fields.minutes, fields.hours, 60)
        self._first = _lowest(self._minutes) * 60 + _lowest(fields.seconds)
        self._last = _highest(self._minutes) * 60 + _highest(fields.seconds)

    def next(self, low: int, end: int) -> int | None:
        """The first wall time in [low, end)."""
        today, now = divmod(low, DAY)
        second = self._next_second(now)
        day = self._next_day(today + (second is None), (end - 1) // DAY)
        if day is None:
            return None
        wall = day * DAY + (self._first if second is None or day > today else second)
        return wall if wall < end else None

    def previous(self, low: int, high: int) -> int | None:
        """The last wall time in [low, high]."""
        today, now = divmod(high, DAY)
        second = self._previous_second(now)
        day = self._previous_day(today - (second is None), low // DAY)
        if day is None:
            return None
        wall = day * DAY + (self._last if second is None or day < today else second)
        return wall if wall >= low else None

    def month(self, year: int, month: int) -> tuple[int, int]:
        """The number of the first of a month, in days since 1970-01-01, and the days that fit: bit 0 is the first."""
        first = date(year, month, 1).toordinal()
        if not self.fields.months >> month & 1:
            return first - _EPOCH_ORDINAL, 0
        weekday, length = first % 7, _month_length(year, month)
        days = self._kinds.get(weekday * 32 + length)
        if days is None:
            days = self._kinds[weekday * 32 + length] = days_of_month(self.fields, weekday, length)
        return first - _EPOCH_ORDINAL, days

    def on(self, day: int) -> bool:
        """Whether this day, in days since 1970-01-01, has any of the times."""
        return self._next_day(day, day) is not None

    def _next_day(self, day: int, last: int) -> int | None:
        today = date.fromordinal(day + _EPOCH_ORDINAL)
        year, month, before = today.year, today.month, today.day - 1
        first, days = self.month(year, month)
        days = days >> before << before
        while not days and first <= last:
            year, month = (year, month + 1) if month < 12 else (year + 1, 1)
            first, days = self.month(year, month)
        day = first + _lowest(days)
        return day if days and day <= last else None

    def _previous_day(self, day: int, first_day: int) -> int | None:
        today = date.fromordinal(day + _EPOCH_ORDINAL)
        year, month = today.year, today.month
        first, days = self.month(year, month)
        days &= (1 << today.day) - 1
        while not days and first > first_day:
            year, month = (year, month - 1) if month > 1 else (year - 1, 12)
            first, days = self.month(year, month)
        day = first + _highest(days)
        return day if days and day >= first_day else None

    def _next_second(self, now: int) -> int | None:
        """The first time of a day that is not before `now`, both in seconds since midnight."""
        minute, second = divmod(now, 60)
        left = self.fields.seconds >> second
        if left and self._minutes >> minute & 1:
            return now + _lowest(left)
        left = self._minutes >> minute + 1
        return (minute + 1 + _lowest(left)) * 60 + _lowest(self.fields.seconds) if left else None

    def _previous_second(self, now: int) -> int | None:
        """The last time of a day that is not after `now`, both in seconds since midnight."""
        minute, second = divmod(now, 60)
        left = self.fields.seconds & (2 << second) - 1
        if left and self._minutes >> minute & 1:
            return minute * 60 + _highest(left)
        left = self._minutes & (1 << minute) - 1
        return _highest(left) * 60 + _highest(self.fields.seconds) if left else None


@lru_cache(maxsize=4096)
def wall_times(expression: str) -> WallTimes:
    """The wall times of an expression; ScheduleError as in `parse`."""
    return WallTimes(parse(expression))


def count(union: Sequence[WallTimes], low: int, end: int) -> int:
    """How many wall times in [low, end) are in at least one of these."""
    if low >= end or not union:
        return 0
    (first, start), (last, stop) = divmod(low, DAY), divmod(end, DAY)
    if first == last:
        return _count_in_day(union, first, start, stop)
    parts = _count_in_day(union, first, start, DAY) + _count_in_day(union, last, 0, stop)
    return parts + _count_days(union, first + 1, last)


def _count_in_day(union: Sequence[WallTimes], day: int, start: int, stop: int) -> int:
    if start >= stop:
        return 0
    seconds = _seconds(times for times in union if times.on(day))
    return (seconds >> start & (1 << stop - start) - 1).bit_count()


def _count_days(union: Sequence[WallTimes], first: int, end: int) -> int:
    """The same over whole days, [first, end): days that fit the same expressions have the same number of times."""
    total = 0
    day = first
    sizes: dict[int, int] = {}
    while day < end:
        today = date.fromordinal(day + _EPOCH_ORDINAL)
        after = day - today.day + 1 + _month_length(today.year, today.month)
        wanted = (1 << min(after, end) - day) - 1
        groups = {0: wanted}
        for number, times in enumerate(union):
            days = times.month(today.year, today.month)[1] >> today.day - 1 & wanted
            groups = _split(groups, days, 1 << number) if days else groups
        for members, days in groups.items():
            if members not in sizes:
                sizes[members] = _seconds(times for number, times in enumerate(union) if members >> number & 1).bit_count()
            total += days.bit_count() * sizes[members]
        day = after
    return total


def _split(groups: dict[int, int], days: int, member: int) -> dict[int, int]:
    """Groups of days, keyed by the expressions that fit them, after one more expression that fits on `days`."""
    parts: dict[int, int] = {}
    for members, group in groups.items():
        if group & days:
            parts[members | member] = group & days
        if group & ~days:
            parts[members] = group & ~days
    return parts


def _seconds(union: Iterable[WallTimes]) -> int:
    """The seconds of a day that any of these has, as a mask."""
    seconds = 0
    for times in union:
        seconds |= _seconds_of_day(times.fields.seconds, times.fields.minutes, times.fields.hours)
    return seconds


@lru_cache(maxsize=128)
def _seconds_of_day(seconds: int, minutes: int, hours: int) -> int:
    """A mask with a bit for each of the 86,400 seconds of a day."""
    return _repeated(_repeated(seconds, minutes, 60), hours, 3600)


def _repeated(mask: int, places: int, size: int) -> int:
    """A mask of `size` bits once for each bit of `places`, there."""
    return sum(mask << place * size for place in bits(places))


def _month_length(year: int, month: int) -> int:
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if leap else _LENGTHS[month]


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _highest(mask: int) -> int:
    return mask.bit_length() - 1
