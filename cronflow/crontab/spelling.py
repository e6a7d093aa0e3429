"""Spells the times of a crontab line for a job file: as they are written, unless that means something else there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from cronflow.core.time.cronfields import NTH_SHIFT, CronFields, bits, days_of_month, field_mask, parse, runs
from cronflow.core.time.cronhints import KINDS, ScheduleError
from cronflow.crontab.cronrules import NICKNAMES, Times

ALL = tuple(frozenset(range(kind.low, kind.high + 1)) for kind in KINDS[1:])
MINUTE, HOUR, DAY, MONTH, WEEKDAY = range(5)


class Spelling(NamedTuple):
    """An expression of a job file. `only_if` is a condition for days that no expression can exclude. `loses`: the expression
    follows elapsed time and the line does not, or the other way round."""

    expression: str
    only_if: str | None = None
    loses: bool = False


def spell(words: Sequence[str], times: Times, plain: bool = False) -> Spelling:
    """Spell the times of a line: as it does, if that means the same. `plain`: the daemon has no rule for clock changes."""
    if not times.days & ALL[DAY]:  # busybox: only a day 0, so that the day of the week decides
        times = times._replace(days=ALL[DAY], both=True)
    own = " ".join(words)
    if means(own, times, plain):
        return Spelling(own)
    spelled = list(NICKNAMES[words[0]].split()) if len(words) == 1 else list(words)
    sets = (times.minutes, times.hours, times.days & ALL[DAY], times.months, times.weekdays)
    for place, values in enumerate(sets):
        if _field(place, spelled[place]) != values or "~" in spelled[place]:
            spelled[place] = _respelled(place, values, spelled[place][0] == "*")
    for candidate in _candidates(spelled, times):
        if means(candidate, times, plain):
            return Spelling(candidate)
    for candidate in _candidates(spelled, times):
        if means(candidate, times, True):
            return Spelling(candidate, None, True)
    return _conditional(spelled, times)


def _candidates(spelled: list[str], times: Times) -> Iterable[str]:
    yield " ".join(spelled)
    days, weekdays = _starred(DAY, times.days & ALL[DAY]), _starred(WEEKDAY, times.weekdays)
    plain_days, plain_weekdays = _plain(DAY, times.days & ALL[DAY]), _plain(WEEKDAY, times.weekdays)
    for day, weekday in ((days, plain_weekdays), (plain_days, weekdays), (plain_days, plain_weekdays)):
        if day is not None and weekday is not None:
            yield " ".join((*spelled[:2], day, spelled[MONTH], weekday))
    weeks = _weeks(times)
    if weeks is not None:
        yield " ".join((*spelled[:2], "*", spelled[MONTH], weeks))


def _conditional(spelled: list[str], times: Times) -> Spelling:
    """Both day fields must match, which no expression says: use the day of the month, and a condition for the day of the week."""
    days = _plain(DAY, times.days & ALL[DAY])
    expression = " ".join((*spelled[:2], days, spelled[MONTH], "*"))
    listed = "".join(map(str, sorted(times.weekdays)))
    return Spelling(expression, f'date -d "$CRONFLOW_DATE" +%w | grep -q "[{listed}]"', not means(expression, times, False, True))


# ---- meanings -------------------------------------------------------------------------------------------------------------


def means(expression: str, times: Times, plain: bool = False, any_weekday: bool = False) -> bool:
    """Whether an expression means the same times in a job file. `plain`: ignoring clock changes."""
    try:
        fields = parse(expression)
    except ScheduleError:
        return False
    if any_weekday:
        times = times._replace(weekdays=ALL[WEEKDAY])
    same = (
        fields.seconds == 1
        and times.minutes == set(bits(fields.minutes))
        and times.hours == set(bits(fields.hours))
        and times.months == set(bits(fields.months))
        and (plain or fields.elapsed == times.wild)
    )
    return same and _days(fields) == _cron_days(times.days, times.weekdays, times.both)


@lru_cache(maxsize=1024)
def _days(fields: CronFields) -> tuple[int, ...]:
    """The matching days of a month of 31 days, for each weekday on which it may begin."""
    return tuple(days_of_month(fields, first, 31) for first in range(7))


@lru_cache(maxsize=1024)
def _cron_days(days: frozenset[int], weekdays: frozenset[int], both: bool) -> tuple[int, ...]:
    found = []
    for first in range(7):
        mask = 0
        for day in range(1, 32):
            fits = (day in days, (first + day - 1) % 7 in weekdays)
            mask |= (all(fits) if both else any(fits)) << day - 1
        found.append(mask)
    return tuple(found)


def _field(place: int, word: str) -> frozenset[int] | None:
    """How a job file reads one field; None if it refuses it, or cron has no such thing."""
    try:
        mask = field_mask(place + 1, word)
    except ScheduleError:
        return None
    if place == WEEKDAY and mask >> NTH_SHIFT:
        return None
    return frozenset(bits(mask & KINDS[place + 1].every))


# ---- words ----------------------------------------------------------------------------------------------------------------


def _respelled(place: int, values: frozenset[int], star: bool) -> str:
    """The values of a field, beginning with a star if the line does and they allow it."""
    return (_starred(place, values) if star else None) or _plain(place, values)


def _plain(place: int, values: frozenset[int]) -> str:
    """The values as numbers and ranges; `*` for all."""
    if values == ALL[place]:
        return "*"
    parts = runs(sorted(values))
    return ",".join(str(first) if first == last else f"{first}{',' if last == first + 1 else '-'}{last}" for first, last in parts)


def _starred(place: int, values: frozenset[int]) -> str | None:
    """The values in a spelling that begins with `*`; None if there is none, since the lowest value has to be among them."""
    low, high = KINDS[place + 1].low, KINDS[place + 1].high
    if values == ALL[place]:
        return "*"
    for step in range(2, high - low + 1):
        stepped = frozenset(range(low, high + 1, step))
        if stepped <= values:
            rest = values - stepped
            return f"*/{step},{_plain(place, rest)}" if rest else f"*/{step}"
    return None


def _weeks(times: Times) -> str | None:
    """Days of the month that are whole weeks, with days of the week: `1-7` and Monday are `1#1`; else None."""
    if not times.both:
        return None
    left = set(times.days & ALL[DAY])
    weeks = []
    for week in range(1, 6):
        span = set(range(7 * week - 6, min(7 * week, 31) + 1))
        if span <= left:
            weeks.append(week)
            left -= span
    if left or not weeks:
        return None
    return ",".join(f"{day}#{week}" for week in weeks for day in sorted(times.weekdays))
