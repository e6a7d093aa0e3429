"""What is wrong with a cron expression, and how to write what was meant.

Only expressions that are refused get here; the fields and their ranges are here because every message needs them.
"""

from __future__ import annotations

from collections.abc import Sequence

from cronflow.core.words import MONTHS, WEEKDAYS, closest, conjunction


class ScheduleError(ValueError):
    """A schedule that cannot be read or never comes: the fact, what to write instead, and the place of the fault.

    `offset` (from 0) and `length` are the field's place in its expression, in characters; `index` is the
    expression's place in a list of them."""

    def __init__(self, message: str, hint: str, offset: int = 0, length: int = 0, index: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.offset = offset
        self.length = length
        self.index = index


class Kind:
    """One of the six fields: its values and names. `top` is the highest number taken: 7 is Sunday too, by `wrap`."""

    __slots__ = ("every", "field", "high", "low", "names", "noun", "plural", "top", "wrap")

    def __init__(self, noun: str, field: str, low: int, high: int, names: str = "") -> None:
        self.noun, self.field, self.low, self.high = noun, field, low, high
        first, *rest = noun.split()[1:]
        self.plural = " ".join((f"{first}s", *rest))
        self.names = {name: value for value, name in enumerate(names.split(), low)}
        self.top = 7 if high == 6 else high
        self.wrap = 7 if high == 6 else 64
        self.every = (1 << high + 1) - (1 << low)


KINDS = (
    Kind("a second", "seconds", 0, 59),
    Kind("a minute", "minute", 0, 59),
    Kind("an hour", "hour", 0, 23),
    Kind("a day of the month", "day-of-month", 1, 31),
    Kind("a month", "month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"),
    Kind("a day of the week", "day-of-week", 0, 6, "sun mon tue wed thu fri sat"),
)
_TIMES, _DAY, _MONTH, _WEEKDAY = KINDS[:3], KINDS[3], KINDS[4], KINDS[5]
NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIVE = "a schedule has 5 fields, minute hour day month weekday, or 6 with seconds in front"

Complaint = tuple[str, str]
"""A message and a hint."""


def explain(kind: Kind, written: str, field: str) -> Complaint:
    """Message and hint for one item of the list `field` that is not accepted in it."""
    item = written.lower()
    if not item:
        kept = ",".join(part for part in field.split(",") if part)
        return f"`{field}` has an empty item in the {kind.field} field", f"write `{kept}`" if kept else _values(kind)
    message, hint = (
        _foreign(kind, item)
        or (_nth(kind, item) if "#" in item else None)
        or (_last(kind, item) if item.strip("l") != item else None)
        or _name(kind, item)
        or _bounds(kind, item)
        or _stride(kind, item)
        or (f"`{item}` is not {kind.noun}", _values(kind))
    )
    return message.replace(f"`{item}`", f"`{written}`"), hint


def _values(kind: Kind) -> str:
    names = f", or {next(iter(kind.names))} to {list(kind.names)[-1]}" if kind.names else ""
    sunday = " (0 and 7 are Sunday)" if kind is _WEEKDAY else ""
    return f"{kind.plural} run from {kind.low} to {kind.top}{sunday}{names}"


def _foreign(kind: Kind, item: str) -> Complaint | None:
    """Characters that only other programs know: `?`, `H`, `R`, `W`."""
    if "?" in item:
        return f"`{item}` has no meaning in the {kind.field} field", "write `*`"
    if item[0] in "hr" and item[1:2] in ("", "(", "/"):
        what = "by a hash" if item[0] == "h" else "at random"
        return f"`{item}` would pick {kind.noun} {what}", 'write a number; `jitter = "10m"` spreads the starts of jobs'
    day = item.replace("w", "", 1)
    if kind is _DAY and day != item and day.isdigit():
        return f"`{item}`: the nearest working day is not supported", f"write `{day}`, or `1-5` as day of the week"
    if kind is _DAY and day == "l":
        return f"`{item}`: the last working day is not supported", "write `L`, the last day of the month"
    return None


def _nth(kind: Kind, item: str) -> Complaint:
    if kind is not _WEEKDAY:
        return f"`{item}` in the {kind.field} field: `#` picks a weekday of the month", "it belongs in the last field"
    day = item.partition("#")[0]
    message = f"`{item}`: a month has a first to a fifth {_weekday(day)}"
    return message, "write `5#1` to `5#5` for a Friday, `L5` for the last Friday of the month"


def _last(kind: Kind, item: str) -> Complaint | None:
    """`L` where it does not belong, or in the spelling of other programs: `5L`, `Lfri`, `L-3`."""
    rest = item.strip("l")
    if kind is _WEEKDAY and (rest in kind.names or rest in tuple("01234567")):
        number = kind.names.get(rest, rest)
        return f"`{item}` is not {kind.noun}", f"write `L{number}` for the last {_weekday(rest)} of the month"
    if kind is _WEEKDAY and item == "l":
        message = f"`{item}` in the {kind.field} field needs a day"
        return message, "write `L6` for the last Saturday of the month, or `6` for each Saturday"
    if kind is _DAY and item[0] == "l":
        return f"`{item}` is not {kind.noun}", "write `L` for the last day of the month, alone or in a list: `15,L`"
    if item == "l":
        return f"`{item}` is not {kind.noun}", f"write `{kind.high}` for the last one"
    return None


def _name(kind: Kind, item: str) -> Complaint | None:
    """Names that are written out, and names in the wrong field."""
    span = item.partition("/")[0]
    meant = item
    for token in span.split("-"):
        if token in kind.names or not token.isalpha():
            continue
        other = next((other for other, names in ((_MONTH, MONTHS), (_WEEKDAY, WEEKDAYS)) if _short(token, names)), None)
        if other is None:
            return None
        if other is not kind:
            place = "last field" if other is _WEEKDAY else "last field but one"
            return f"`{token}` is not {kind.noun}", f"{other.plural} belong in the {place}"
        meant = meant.replace(token, token[:3])
    return (f"`{item}` is not {kind.noun}", f"write `{meant}`") if meant != item else None


def _short(token: str, names: Sequence[str]) -> bool:
    return len(token) > 2 and any(name.lower().startswith(token) for name in names)


def _bounds(kind: Kind, item: str) -> Complaint | None:
    for token in item.partition("/")[0].split("-"):
        if token.isdigit() and not (_small(token) and kind.low <= int(token) <= kind.top):
            extra = "; midnight is `0`" if kind is KINDS[2] and token == "24" else ""
            if len(token) == 4 and token[:2] in ("19", "20"):
                extra = "; there is no field for the year"
            return f"`{token}` is not {kind.noun}", _values(kind) + extra
    return None


def _stride(kind: Kind, item: str) -> Complaint | None:
    """Ranges that run backwards, and steps."""
    span, slash, step = item.partition("/")
    first, dash, last = span.partition("-")
    low, high = (_value(kind, end) for end in (first, last))
    if (dash and high is None) or (low is None and (dash or first != "*")):
        return None
    if slash and not step.isdigit():
        return f"`{item}` has a step that is not a number", f"write `*/2` for {kind.noun} in two"
    if slash and int(step[:9]) == 0:
        return f"`{item}` has a step of 0", f"write `{span}`, or a step from 1 to {kind.high - kind.low}"
    if low is not None and high is not None and low > high:
        return _backwards(kind, item, low, high, int(step[:9] or 1))
    if slash and int(step[:9]) > kind.high - kind.low:
        return _beyond(kind, item, kind.low if low is None else low)
    if slash and low is not None and not dash:
        meant = f"*/{step}" if low == kind.low else f"{low}-{kind.high}/{step}"
        return f"`{item}` has a step but no range", f"write `{meant if low < kind.high else low}`"
    return None


def _small(text: str) -> bool:
    return text.isdigit() and len(text) < 5


def _value(kind: Kind, token: str) -> int | None:
    return kind.names.get(token, int(token) if _small(token) else None)


def _backwards(kind: Kind, item: str, low: int, high: int, step: int) -> Complaint:
    first, last = item.partition("/")[0].split("-")
    message = f"`{item}` runs backwards in the {kind.field} field"
    if low == 7:
        return message, f"write `{item.replace('7', '0', 1)}`"
    if kind is _WEEKDAY and high == 0:
        return message, f"write `{item.replace('-0', '-7', 1)}`"
    if step > 1:
        size = kind.high - kind.low + 1
        values = [(value - kind.low) % size + kind.low for value in range(low, high + size + 1, step)]
        return message, f"write `{','.join(map(str, values))}`"
    ends = list(kind.names) if first in kind.names else [str(kind.low), str(kind.high)]
    before = first if low == kind.high else f"{first}-{ends[-1]}"
    after = last if high == kind.low else f"{ends[0]}-{last}"
    return message, f"write `{before},{after}`"


def _beyond(kind: Kind, item: str, only: int) -> Complaint:
    step = item.partition("/")[2]
    only %= kind.wrap
    message = f"`{item}` steps beyond the {kind.field} field: it only ever meets {only}"
    if kind in _TIMES and item[0] == "*" and _small(step) and int(step) > kind.high + 1:
        unit = kind.plural[0]
        return message, f'write `{only}`, or `every = "{int(step)}{unit}"` for a fixed interval'
    if kind is _DAY and item[0] == "*":
        return message, f"write `{only}`; the first Monday of the month is `1#1` in the last field"
    return message, f"write `{only}`"


def _weekday(token: str) -> str:
    value = _value(_WEEKDAY, token)
    return "weekday" if value is None else WEEKDAYS[value % 7]


def mixture(field: str) -> Complaint:
    """Message and hint for a day-of-week field such as `1,5#2`."""
    items = field.split(",")
    nths = [item for item in items if "#" in item or item[0] in "lL"]
    weekly = [item for item in items if item not in nths]
    message = f"`{field}` mixes days of every week with days of one week of the month"
    return message, f"write a list of two schedules, one with `{','.join(weekly)}` and one with `{','.join(nths)}`"


def impossible(days: int, months: int, plain: bool) -> Complaint:
    """Message and hint for day and month masks that never meet; `plain`: the day of the week plays no part."""
    if not plain:
        return "no day is ever in both day fields", "write two schedules in a list for days that are in one of them"
    names = [name for number, name in enumerate(MONTHS, 1) if months >> number & 1]
    first = min(day for day in range(1, 32) if days >> day & 1)
    has, most = "have" if len(names) > 1 else "has", 29 if names == ["February"] else 30
    return f"day {first} never comes: {conjunction(names)} {has} at most {most} days", "write `L` for the last day of a month"


def is_field(word: str) -> bool:
    """Whether a word could be a field of a schedule (and not a user or a command)."""
    for sign in ",-/#":
        word = word.replace(sign, " ")
    names = _MONTH.names.keys() | _WEEKDAY.names.keys()
    tokens = word.lower().split()
    return all(token in names or token.strip("l").isdigit() or token in ("*", "l", "?") for token in tokens)


def crontab_line(text: str) -> ScheduleError:
    """The error for a whole line of a crontab: what comes after its five fields is not part of the schedule."""
    *fields, command = text.split(None, 5)
    time, rest = " ".join(fields), command.split()[0]
    offset = len(text) - len(command)
    return ScheduleError(
        f"`{rest}` is not a part of the schedule", f"the schedule is `{time}`; what to run goes into `command`", offset, len(rest)
    )


def not_five(text: str) -> ScheduleError:
    """The error for an expression that does not have 5 or 6 fields, or begins with `@`."""
    words = text.split()
    if not words:
        return ScheduleError("the schedule is empty", "`0 4 * * *` is 04:00 every day", 0, len(text))
    offset, length = text.index(words[0]), len(text.strip())
    if words[0][0] == "@":
        message, hint = _at_sign(words)
        return ScheduleError(message, hint, offset, length)
    count = len(words)
    if count == 7 and all(map(is_field, words)):
        return ScheduleError(f"`{text.strip()}` has 7 fields", f"{FIVE}; years are not supported", offset, length)
    if count > 5 and not all(map(is_field, words[5:])):
        return crontab_line(text)
    return ScheduleError(f"`{text.strip()}` has {count} field{'s' * (count > 1)}", FIVE, offset, length)


def _at_sign(words: list[str]) -> Complaint:
    nickname = words[0].lower()
    if nickname == "@reboot":
        return "`@reboot` is an event and has no timetable", 'a job with `schedule = "@reboot"` starts once in each boot'
    if nickname == "@every":
        interval = words[1] if len(words) > 1 else "5m"
        return f"`{' '.join(words)}` is an interval, not a schedule", f'write the key `every = "{interval}"`'
    if nickname in NICKNAMES:
        return f"`{words[1]}` is not a part of the schedule", f"the schedule is `{nickname}`; what to run goes into `command`"
    near = closest(nickname, NICKNAMES)
    hint = f"did you mean `{near}`?" if near else f"the names are {', '.join(NICKNAMES)} and @reboot"
    return f"`{words[0]}` is not a schedule", hint
