"""When a job starts, as lines of a crontab: the fields, and a test for days that the fields cannot express."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.time.cronfields import DAY, HOUR, LAST_DAY, WEEKDAY, CronFields, bits, days_of_month, parse, spell
from cronflow.core.time.triggers import REBOOT, cron_expressions
from cronflow.core.words import local
from cronflow.export.report import UnwritableError
from cronflow.jobfile.values import format_duration

MINUTES_A_DAY = 1440


class CronLine(NamedTuple):
    """The time fields of a line, a shell command that is true on its days ("": on all), and the exact expression."""

    when: str
    test: str = ""
    exact: str = ""


def cron_lines(job: Job, zone: str) -> list[CronLine]:
    """The lines of a job's `schedule` and `every`. `zone` is the machine's, in which date(1) gives the day.

    Raises UnwritableError if cron would start the job at other times, or twice at the same time."""
    date = "date" if job.timezone == zone else f"TZ={job.timezone} date"
    found = [line for text in cron_expressions(job.schedule) for line in _lines(text, date)]
    if len(cron_expressions(job.schedule)) < len(job.schedule):
        found.append(CronLine(REBOOT))
    if job.every is not None:
        found += every_lines(job.every)
    _refuse_double_starts(found)
    return found


def _lines(text: str, date: str) -> list[CronLine]:
    fields = parse(text)
    if fields.seconds != 1:
        raise UnwritableError(f'`schedule = "{text}"`: a crontab has no seconds')
    words = text.split()
    if len(words) == 1:
        return [CronLine(words[0].lower())]
    words = words[-5:]
    last, nths = fields.days & LAST_DAY, fields.nths()
    if not last and not nths:
        words[2], words[4] = _plain(words[2], DAY, fields.days), _plain(words[4], WEEKDAY, fields.plain_weekdays)
        return [CronLine(" ".join(words))]
    if (last and not fields.every_weekday) or (nths and not fields.every_day):
        raise UnwritableError(f'`schedule = "{text}"` has `L` or `#` beside another day field, which cron cannot express')
    return _last_day(words, fields, date) if last else _nth_weekdays(words, nths, date)


def _plain(word: str, kind: int, mask: int) -> str:
    """A field as written, or in numbers if cron would not read it: `20-L`, `fri-sun` (crontab(5): Sunday is 0)."""
    lower = word.lower()
    return spell(kind, mask) if "l" in lower or "-sun" in lower else word


def _last_day(words: Sequence[str], fields: CronFields, date: str) -> list[CronLine]:
    """`L`, and the other days of its list: the last day is the one before a first."""
    times, month = " ".join(words[:2]), words[3]
    found = [CronLine(f"{times} 28-31 {month} *", f'test "$({date} -d tomorrow +%d)" = 01', f"{times} L {month} *")]
    others = fields.days & ~LAST_DAY
    return [CronLine(f"{times} {spell(DAY, others)} {month} *"), *found] if others else found


def _nth_weekdays(words: Sequence[str], nths: Sequence[tuple[int, int]], date: str) -> list[CronLine]:
    """`fri#2` is a Friday among the 8th to the 14th; `L5` a Friday whose next one is in another month."""
    found = []
    for n, days in nths:
        numbers = list(map(str, bits(days)))
        test = f'test "$({date} +%w)" = {numbers[0]}'
        if len(numbers) > 1:
            test = f"{date} +%w | grep -q '[{''.join(numbers)}]'"
        span = "22-31" if n == 5 else "29-31" if n == 4 else f"{7 * n + 1}-{7 * n + 7}"
        if n == 5:
            test += f' && test "$({date} -d \'7 days\' +%m)" != "$({date} +%m)"'
        exact = ",".join(f"L{day}" if n == 5 else f"{day}#{n + 1}" for day in numbers)
        times, month = " ".join(words[:2]), words[3]
        found.append(CronLine(f"{times} {span} {month} *", test, f"{times} * {month} {exact}"))
    return found


def every_lines(seconds: int) -> list[CronLine]:
    """An interval counted from midnight, a line for each minute. Raises UnwritableError if it does not divide a day."""
    minutes, rest = divmod(seconds, 60)
    if rest or not minutes or MINUTES_A_DAY % minutes:
        why = "cron starts at full minutes" if rest or not minutes else "cron starts counting again every day"
        raise UnwritableError(f'`every = "{format_duration(seconds)}"`: {why}, and a day is not a multiple of it')
    if minutes <= 60 and 60 % minutes == 0:
        return [CronLine("0 * * * *" if minutes == 60 else f"*/{minutes} * * * *" if minutes > 1 else "* * * * *")]
    hours: dict[int, int] = {}
    for start in range(0, MINUTES_A_DAY, minutes):
        hours[start % 60] = hours.get(start % 60, 0) | 1 << start // 60
    return [CronLine(f"{minute} {_hours(mask)} * * *") for minute, mask in hours.items()]


def _hours(mask: int) -> str:
    """Hours as `*/n` if possible, else as a list."""
    for step in (2, 3, 4, 6, 8, 12):
        if mask == sum(1 << hour for hour in range(0, 24, step)):
            return f"*/{step}"
    return spell(HOUR, mask)


def shifted(every: int, zone: str, now: float) -> bool:
    """Whether an interval counted from midnight in a zone ever differs, within a year, from one counted from the epoch."""
    return any(offset % every for offset in utc_offsets(zone, now))


def utc_offsets(zone: str, now: float) -> set[int]:
    """The offsets of a zone within a year, in seconds."""
    offsets = {local(now + 15 * 86_400 * n, zone).utcoffset() for n in range(25)}
    return {int(offset.total_seconds()) for offset in offsets if offset is not None}


def _refuse_double_starts(lines: Sequence[CronLine]) -> None:
    """Raise UnwritableError for two lines that are ever due at once: cron would start the job for each of them."""
    parsed = [(line.when, parse(line.exact or line.when)) for line in lines if line.when != REBOOT]
    for number, (text, one) in enumerate(parsed):
        for other_text, other in parsed[:number]:
            if one.minutes & other.minutes and one.hours & other.hours and one.months & other.months and _same_day(one, other):
                raise UnwritableError(f"its times `{other_text}` and `{text}` meet, and cron would start it twice then")


def _same_day(one: CronFields, other: CronFields) -> bool:
    return any(
        days_of_month(one, weekday, length) & days_of_month(other, weekday, length)
        for weekday in range(7)
        for length in range(28, 32)
    )
