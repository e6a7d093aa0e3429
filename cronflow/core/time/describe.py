"""Schedules in words. Where plain words could mislead, the expression itself is returned."""

from __future__ import annotations

from collections.abc import Sequence

from cronflow.core import words
from cronflow.core.time.cronfields import LAST_DAY, CronFields, bits

_MONTHS = ("", *(name[:3] for name in words.MONTHS))
_WEEKDAYS = tuple(name[:3] for name in words.WEEKDAYS)
_ORDINALS = ("1st", "2nd", "3rd", "4th", "5th", "last")
_UNITS = ((3_600, "hour"), (60, "minute"), (1, "second"))
_ALL_MONTHS = 0x1FFE
_MANY = 4
"""Longer lists are not read aloud: the expression is shorter."""


def describe_expressions(expressions: Sequence[str], fields: Sequence[CronFields]) -> str:
    """The union of some expressions in words: `at 02:00 on Sat and Sun; at 04:00 on Mon-Fri`."""
    days = [_days(each) for each in fields]
    clocks = [_clock_times(each) for each in fields]
    if len(fields) > 1 and days[0] is not None and all(day == days[0] for day in days) and all(clocks):
        times = sorted({time for clock in clocks for time in clock})
        if len(times) <= _MANY:
            return f"at {words.conjunction(times)} {days[0]}"
    return "; ".join(_sentence(each) or text for text, each in zip(expressions, fields, strict=True))


def describe_period(seconds: int) -> str:
    """An interval counted from the Unix epoch in words: `every 15 minutes`; whole days begin at 00:00 UTC."""
    if seconds % 86_400 == 0:
        days = seconds // 86_400
        return f"every {'day' if days == 1 else f'{days} days'} at 00:00 UTC"
    parts, rest = [], seconds
    for size, name in _UNITS:
        number, rest = divmod(rest, size)
        if number:
            parts.append((number, name))
    if len(parts) == 1:
        return _every(*parts[0])
    return "every " + " ".join(f"{number} {name[:3] if name != 'hour' else 'h'}" for number, name in parts)


def _every(number: int, name: str) -> str:
    return f"every {name}" if number == 1 else f"every {number} {name}s"


def _sentence(fields: CronFields) -> str | None:
    day = _days(fields)
    if day is None:
        return None
    clock = _clock_times(fields)
    if clock:
        return f"at {words.conjunction(clock)} {day}"
    pace = _pace(fields)
    if pace is None:
        return None
    return pace if day == "every day" else f"{pace} {day}"


def _clock_times(fields: CronFields) -> list[str]:
    """The times of a day, if they are few: `02:30`, or `02:30:15` where seconds are given."""
    hours, minutes, seconds = bits(fields.hours), bits(fields.minutes), bits(fields.seconds)
    if len(hours) * len(minutes) * len(seconds) > _MANY:
        return []
    plain = seconds == [0]
    return [
        f"{hour:02}:{minute:02}" if plain else f"{hour:02}:{minute:02}:{second:02}"
        for hour in hours
        for minute in minutes
        for second in seconds
    ]


def _pace(fields: CronFields) -> str | None:
    """Times of a day that are evenly spaced over it, or from one clock time to another."""
    hours, minutes, seconds = bits(fields.hours), bits(fields.minutes), bits(fields.seconds)
    within = _within(hours)
    if seconds != [0]:
        step = _even(seconds, 60)
        return _every(step, "second") if step and len(minutes) == 60 and len(hours) == 24 else None
    if len(minutes) > 1:
        step = _even(minutes, 60)
        if not step or within is None:
            return None
        return _every(step, "minute") + within.format(last=minutes[-1])
    at = "" if minutes == [0] else f" at :{minutes[0]:02}"
    step = _even(hours, 24)
    if step:
        return _every(step, "hour") + at
    return None if within is None or at else "every hour" + within.format(last=0)


def _within(hours: list[int]) -> str | None:
    """Hours without a break: nothing for the whole day, else from the first to the last time, its minute left open."""
    if hours[-1] - hours[0] != len(hours) - 1:
        return None
    return "" if len(hours) == 24 else f" from {hours[0]:02}:00 to {hours[-1]:02}:{{last:02}}"


def _even(values: list[int], size: int) -> int:
    """The step of values that divide a whole evenly from 0 on; 0 if they do not."""
    step = size // len(values)
    return step if values == list(range(0, size, step)) and size % step == 0 else 0


def _days(fields: CronFields) -> str | None:
    """The days in words, or None."""
    months = _runs(bits(fields.months), _MONTHS)
    if months is None:
        return None
    every_month = fields.months == _ALL_MONTHS
    in_months = "" if every_month else f" in {months}"
    if fields.every_day and fields.every_weekday:
        return f"every day{in_months}"
    if fields.every_day:
        return _weekdays(fields, "each month" if every_month else months, in_months)
    if not fields.every_weekday:
        return None
    numbers = [words.ordinal(day) for day in bits(fields.days & ~LAST_DAY)]
    numbers += ["last day"] if fields.days & LAST_DAY else []
    if len(numbers) > _MANY:
        return None
    short = fields.days >> 29 and every_month
    return f"on the {words.conjunction(numbers)} of {'each month' if every_month else months}{' that has it' if short else ''}"


def _weekdays(fields: CronFields, of_months: str, in_months: str) -> str | None:
    nths = [(nth, day) for nth, days in fields.nths() for day in bits(days)]
    if not nths:
        listed = _runs(bits(fields.weekdays), _WEEKDAYS)
        return None if listed is None else f"on {listed}{in_months}"
    if len(nths) > _MANY:
        return None
    return f"on the {words.conjunction([f'{_ORDINALS[nth]} {_WEEKDAYS[day]}' for nth, day in nths])} of {of_months}"


def _runs(values: list[int], names: Sequence[str]) -> str | None:
    """`Mon-Fri`, `Sat and Sun`, `Jan, Apr, Jul and Oct`."""
    if names is _WEEKDAYS and values[0] == 0:
        values = [*values[1:], 7]
    named = [names[value % 7] if names is _WEEKDAYS else names[value] for value in values]
    if len(values) > 2 and values[-1] - values[0] == len(values) - 1:
        return f"{named[0]}-{named[-1]}"
    return words.conjunction(named) if len(named) <= _MANY else None
