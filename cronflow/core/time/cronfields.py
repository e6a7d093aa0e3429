"""Parses cron expressions: the text that a person wrote becomes sets of numbers.

The grammar is that of Debian's cron (crontab(5)): numbers, names, `*`, ranges, steps after `*` or a range, lists. In addition
there may be a field for the seconds in front, and these forms in the day fields, with the meaning that croniter gives them:

    day of the month   `L`               the last day of the month
                       `20-L`            from the 20th to the end of the month (`20-31`)
    day of the week    `5#2` or `fri#2`  the second Friday of the month, n from 1 to 5; a range of days takes one n: `mon-fri#1`
                       `L5`              the last Friday of the month

A list in the day-of-week field has either plain days or the forms with `#` and `L`. All forms follow cron's rule for two day
fields (one of them; both of them where one starts with `*`). What other programs also accept (`?`, `H`, `R`, `W`, ranges that
run backwards, `5/15`, steps beyond the field, years) is refused with the spelling that was meant.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from cronflow.core.time.cronhints import (
    KINDS,
    NICKNAMES,
    Kind,
    ScheduleError,
    crontab_line,
    explain,
    impossible,
    is_field,
    mixture,
    not_five,
)

LAST_DAY = 1
"""Bit 0 of `CronFields.days`: there is no day 0, so it stands for `L`."""
NTH_SHIFT = 8
"""Bit 8 + 7 * (n - 1) + weekday of `CronFields.weekdays` is `weekday#n`; n = 6 stands for the last one of the month."""

ALL_DAYS = 0xFFFFFFFE
ALL_WEEKDAYS = 0x7F
SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY = range(6)


class CronFields:
    """One expression as bit masks: bit 30 of `minutes` is minute 30. Equal `text` means equal slots in every zone.

    `elapsed`: the minute or hour field starts with `*` (Debian's MIN_STAR, HR_STAR). `both`: a day must be in both day fields,
    otherwise in one of them (crontab(5): a field that starts with `*` does not take part in the OR)."""

    __slots__ = ("both", "days", "elapsed", "hours", "minutes", "months", "seconds", "text", "weekdays")

    def __init__(self, masks: list[int], elapsed: bool, both: bool) -> None:
        self.seconds, self.minutes, self.hours, self.days, self.months, self.weekdays = masks
        self.elapsed = elapsed
        every_day, every_weekday = self.every_day, self.every_weekday
        if not both and (every_day or every_weekday):
            self.days, self.weekdays = ALL_DAYS, ALL_WEEKDAYS
        elif every_day:
            self.days = ALL_DAYS
        self.both = both or every_day or every_weekday
        self.text = self._text()

    @property
    def every_day(self) -> bool:
        """The day-of-month field leaves out no day."""
        return self.days & ALL_DAYS == ALL_DAYS

    @property
    def every_weekday(self) -> bool:
        """The day-of-week field leaves out no day."""
        return self.plain_weekdays == ALL_WEEKDAYS

    @property
    def plain_weekdays(self) -> int:
        """The mask of the weekdays that are meant in every week."""
        return self.weekdays & ALL_WEEKDAYS

    def nths(self) -> list[tuple[int, int]]:
        """The weeks of a month that `#` (from 0) and `L` (5, the last one) select, each with the mask of its weekdays."""
        return [(n, days) for n in range(6) if (days := self.weekdays >> NTH_SHIFT + 7 * n & ALL_WEEKDAYS)]

    def _text(self) -> str:
        masks = (self.seconds, self.minutes, self.hours, self.days, self.months, self.weekdays)
        words = [spell(kind, mask) for kind, mask in enumerate(masks)]
        if self.seconds == 1:
            del words[0]
        if self.elapsed != ("*" in (spell(MINUTE, self.minutes), spell(HOUR, self.hours))):
            words.append("elapsed" if self.elapsed else "fixed")
        if self.both and not (self.every_day or self.every_weekday):
            words.append("both")
        return " ".join(words)


@lru_cache(maxsize=4096)
def parse(text: str) -> CronFields:
    """The fields of one expression or nickname.

    Raises ScheduleError with the place of the field at fault, also for a day that never comes (`0 0 30 2 *`)."""
    if not text.isascii():
        strange = next(offset for offset, sign in enumerate(text) if not sign.isascii())
        raise ScheduleError(
            f"`{text[strange]}` has no meaning in a schedule", "use the signs of cron: `0 4 * * mon-fri`", strange, 1
        )
    words = text.split()
    if len(words) == 1 and words[0].lower() in NICKNAMES:
        words = NICKNAMES[words[0].lower()].split()
    if len(words) not in (5, 6) or words[0][0] == "@":
        raise not_five(text)
    first = 6 - len(words)
    masks = [1] * first
    for kind, word in enumerate(words, first):
        try:
            masks.append(field_mask(kind, word))
        except ScheduleError as fault:
            raise _placed(fault, text, words, kind - first) from None
    minute, hour, day, _, weekday = words[-5:]
    fields = CronFields(masks, minute[0] == "*" or hour[0] == "*", day[0] == "*" or weekday[0] == "*")
    if not _ever(fields):
        never = ScheduleError(*impossible(fields.days, fields.months, fields.every_weekday))
        raise _placed(never, text, words, 3 - first)
    return fields


def _placed(fault: ScheduleError, text: str, words: list[str], index: int) -> ScheduleError:
    """The fault of one word with its place; if the line goes on with a command after five good fields, the fault of that."""
    if len(words) == 6 and not is_field(words[5]) and _reads(" ".join(words[:5])):
        return crontab_line(text)
    end = 0
    for word in words[: index + 1]:
        start = text.index(word, end)
        end = start + len(word)
    return ScheduleError(fault.message, fault.hint, start, end - start)


def _reads(text: str) -> bool:
    try:
        parse(text)
    except ScheduleError:
        return False
    return True


@lru_cache(maxsize=4096)
def field_mask(index: int, word: str) -> int:
    """The bit mask of one field, its bits of LAST_DAY and NTH_SHIFT included. Raises ScheduleError."""
    mask = 0
    for item in word.split(","):
        try:
            mask |= _item(index, item.lower())
        except ValueError:
            raise ScheduleError(*explain(KINDS[index], item, word)) from None
    if index == WEEKDAY and mask >> NTH_SHIFT and mask & ALL_WEEKDAYS:
        raise ScheduleError(*mixture(word))
    return mask


def _item(index: int, item: str) -> int:
    """The bit mask of one item of a field's list. Raises ValueError for anything else; `explain` says why."""
    kind = KINDS[index]
    if item == "*":
        return kind.every
    if item.isdigit():
        return 1 << _number(kind, item) % kind.wrap
    if index == DAY and item == "l":
        return LAST_DAY
    if index == WEEKDAY and ("#" in item or item[:1] == "l"):
        return _weekday_of_month(item)
    span, slash, step = item.partition("/")
    low, high = (kind.low, kind.high) if span == "*" else _range(kind, span)
    pace = _step(kind, step) if slash else 1
    if low > high or (slash and span != "*" and "-" not in span):
        raise ValueError
    mask = 0
    for value in range(low, high + 1, pace):
        mask |= 1 << value % kind.wrap
    return mask


def _range(kind: Kind, span: str) -> tuple[int, int]:
    """The ends of `low-high`, or of a lone value. Sunday by name ends a range as day 7: `fri-sun` is `5-7`."""
    first, dash, last = span.partition("-")
    low = _number(kind, first)
    if not dash:
        return low, low
    if last == "l" and kind is KINDS[DAY]:
        return low, kind.high
    high = _number(kind, last)
    return low, 7 if last == "sun" and low > 0 else high


def _number(kind: Kind, token: str) -> int:
    value = kind.names.get(token)
    if value is None:
        value = int(token) if token.isdigit() and len(token) < 5 else -1
    if not kind.low <= value <= kind.top:
        raise ValueError
    return value


def _step(kind: Kind, token: str) -> int:
    """The step of `*/n`, which must not leave the field: `*/60` of the minutes only ever meets 0."""
    pace = int(token) if token.isdigit() and len(token) < 5 else 0
    if not 0 < pace <= kind.high - kind.low:
        raise ValueError
    return pace


def _weekday_of_month(item: str) -> int:
    """`5#2`, `mon-fri#1` and `L5`, as bits from NTH_SHIFT on."""
    days, _, nth = item.partition("#")
    if item[0] == "l":
        days, nth = item[1:], "6"
        if not days.isdigit():
            raise ValueError
    elif nth not in ("1", "2", "3", "4", "5"):
        raise ValueError
    low, high = _range(KINDS[WEEKDAY], days)
    if low > high:
        raise ValueError
    mask = 0
    for value in range(low, high + 1):
        mask |= 1 << NTH_SHIFT + 7 * (int(nth) - 1) + value % 7
    return mask


def bits(mask: int) -> list[int]:
    """The numbers of the bits of a mask that are set, in order."""
    return [bit for bit in range(mask.bit_length()) if mask >> bit & 1]


def runs(values: Iterable[int]) -> list[tuple[int, int]]:
    """The runs of consecutive numbers in ascending ones, each with its first and its last."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and found[-1][1] == value - 1:
            found[-1] = found[-1][0], value
        else:
            found.append((value, value))
    return found


@lru_cache(maxsize=1024)
def spell(index: int, mask: int) -> str:
    """The shortest plain spelling of a field's mask, in numbers: the same for every way to write it."""
    kind = KINDS[index]
    if mask & kind.every == kind.every:
        return "*"
    items = [f"{first}-{last}" if last > first else str(first) for first, last in runs(bits(mask & kind.every))]
    if index == DAY and mask & LAST_DAY:
        items.append("L")
    if index == WEEKDAY:
        nths = [divmod(bit, 7) for bit in bits(mask >> NTH_SHIFT)]
        items.extend(f"L{day}" if n == 5 else f"{day}#{n + 1}" for n, day in nths)
    return ",".join(items)


def days_of_month(fields: CronFields, first_weekday: int, length: int) -> int:
    """The days that fit the day fields by cron's rule, as a mask whose bit 0 is the first of the month.

    The month begins on `first_weekday` (0 = Sunday) and has `length` days; the month field is ignored."""
    inside = (1 << length) - 1
    days = fields.days >> 1 & inside
    if fields.days & LAST_DAY:
        days |= 1 << length - 1
    if fields.every_weekday:
        weekdays = inside
    else:
        turned = fields.plain_weekdays
        turned = (turned >> first_weekday | turned << 7 - first_weekday) & ALL_WEEKDAYS
        weekdays = turned * 0x10204081 & inside
        for bit in bits(fields.weekdays >> NTH_SHIFT):
            n, weekday = divmod(bit, 7)
            day = (weekday - first_weekday) % 7 + 7 * n
            if n == 5:
                day -= 7 * (1 + (day - 7 >= length))
            weekdays |= 1 << day & inside
    return days & weekdays if fields.both else days | weekdays


def _ever(fields: CronFields) -> bool:
    """Whether any day fits. All combinations of weekday and length of a month occur within the 400 years of the calendar."""
    if not fields.both or (fields.every_weekday and (fields.days & 0x1FFFFFFF)):
        return True
    for month in range(1, 13):
        if fields.months >> month & 1:
            lengths = (28, 29) if month == 2 else (30,) if month in (4, 6, 9, 11) else (31,)
            if any(days_of_month(fields, weekday, length) for length in lengths for weekday in range(7)):
                return True
    return False
