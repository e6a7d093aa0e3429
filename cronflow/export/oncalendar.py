"""When a job starts, in systemd's form: `OnCalendar=` (systemd.time(7)).

Where cron takes a day that is in either of its two day fields, systemd takes one that is in both: then there is a line for each
field. Lines that are due at the same time do no harm: a timer starts its unit once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from cronflow.core.time.cronfields import DAY, HOUR, LAST_DAY, MINUTE, MONTH, SECOND, CronFields, bits, parse, runs
from cronflow.core.time.cronhints import KINDS
from cronflow.core.words import WEEKDAYS
from cronflow.export.report import UnwritableError

DAY_SECONDS = 86_400


def calendar_lines(expression: str, zone: str) -> list[str]:
    """The lines of an expression in a zone, "" for the machine's own. Raises UnwritableError for what systemd cannot express."""
    fields = parse(expression)
    clock = ":".join(_numbers(kind, mask) for kind, mask in ((HOUR, fields.hours), (MINUTE, fields.minutes)))
    clock += ":" + _numbers(SECOND, fields.seconds)
    tail = f"{clock} {zone}".rstrip()
    month = _numbers(MONTH, fields.months)
    return [f"{weekday}*-{month}{day} {tail}" for weekday, day in dict.fromkeys(_days(fields))]


def _days(fields: CronFields) -> Iterator[tuple[str, str]]:
    """Pairs of a weekday and a day of the month that must both match, one pair for each line."""
    dates = list(_dates(fields))
    weeks = list(_weekdays(fields))
    if fields.both and not (fields.every_day or fields.every_weekday):
        yield from _both(fields, dates)
        return
    if not fields.both or fields.every_weekday:
        yield from (("", date) for date in dates)
    if not (fields.both and fields.every_weekday):
        yield from weeks


def _both(fields: CronFields, dates: list[str]) -> Iterator[tuple[str, str]]:
    """Dates that must fall on such a weekday too; the n-th weekday of a month is itself a range of dates."""
    if fields.plain_weekdays:
        yield from ((_weekday_names(fields.plain_weekdays), date) for date in dates)
    if fields.nths() and fields.days & LAST_DAY:
        raise UnwritableError("its days must match both `L` and `#`, which `OnCalendar=` cannot express")
    for n, days in fields.nths():
        if n == 5:
            raise UnwritableError("its days must match both a date and `L`, which `OnCalendar=` cannot express")
        within = fields.days & _week(n)
        if within:
            yield _weekday_names(days), f"-{_numbers(DAY, within)}"


def _dates(fields: CronFields) -> Iterator[str]:
    """`-01,15`, and `~01` for the last day of the month."""
    plain = fields.days & ~LAST_DAY
    if plain:
        yield f"-{_numbers(DAY, plain)}"
    if fields.days & LAST_DAY:
        yield "~01"


def _weekdays(fields: CronFields) -> Iterator[tuple[str, str]]:
    """`Fri` on any day; `fri#2` is a Friday among the 8th to the 14th, `L5` one among the last seven days."""
    if fields.plain_weekdays:
        yield _weekday_names(fields.plain_weekdays), "-*"
    for n, days in fields.nths():
        yield _weekday_names(days), "~07/1" if n == 5 else f"-{_numbers(DAY, _week(n))}"


def _week(n: int) -> int:
    """The days of the n-th week of a month, counted from the 1st, as a mask."""
    return sum(1 << day for day in range(7 * n + 1, min(7 * n + 8, 32)))


def _weekday_names(mask: int) -> str:
    """`Mon..Fri `, `Tue,Sat `: systemd's week begins on Monday."""
    items = []
    for first, last in runs(sorted((day - 1) % 7 for day in bits(mask))):
        names = [WEEKDAYS[(place + 1) % 7][:3] for place in range(first, last + 1)]
        items.append(f"{names[0]}..{names[-1]}" if len(names) > 2 else ",".join(names))
    return ",".join(items) + " "


def _numbers(kind: int, mask: int) -> str:
    """A field: `*`, `00/15`, `09..17`, `00,30`."""
    if mask & KINDS[kind].every == KINDS[kind].every:
        return "*"
    values = bits(mask & KINDS[kind].every)
    steps = {after - before for before, after in pairwise(values)}
    if len(values) > 2 and len(steps) == 1:
        step = steps.pop()
        if step == 1:
            return f"{values[0]:02}..{values[-1]:02}"
        if values[-1] + step > KINDS[kind].high and kind not in (DAY, MONTH):
            return f"{values[0]:02}/{step}"
    return ",".join(f"{value:02}" for value in values)


def interval_lines(seconds: int) -> list[str] | None:
    """An interval counted from the epoch, as times of day in UTC; None if it does not divide a day, or takes over 60 lines."""
    if DAY_SECONDS % seconds:
        return None
    size = 3600 if 3600 % seconds == 0 else DAY_SECONDS
    found: dict[tuple[int, int], int] = {}
    for start in range(0, size, seconds):
        hour, rest = divmod(start, 3600)
        minute, second = divmod(rest, 60)
        key = (second, 0) if size == 3600 else (second, minute)
        found[key] = found.get(key, 0) | 1 << (minute if size == 3600 else hour)
    if len(found) > 60:
        return None
    if size == 3600:
        return [f"*-*-* *:{_numbers(MINUTE, mask)}:{second:02} UTC" for (second, _), mask in found.items()]
    return [f"*-*-* {_numbers(HOUR, mask)}:{minute:02}:{second:02} UTC" for (second, minute), mask in found.items()]
