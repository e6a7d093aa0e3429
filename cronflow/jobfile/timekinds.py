"""The kinds of values for times other than durations: `at`, `deadline`, `slow`, dates. Readers raise RefusalError."""

from __future__ import annotations

import datetime
import re
from typing import Any

from cronflow.jobfile import kinds, values
from cronflow.jobfile.kinds import Complain, ValueKind, each, type_name, wrong_type
from cronflow.jobfile.values import RefusalError

FIRST_YEAR, LAST_YEAR = 1970, 9000
CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
SLOW_LIMIT = 1000.0


def moment(key: str, value: object) -> datetime.datetime:
    """Check a TOML datetime, with or without an offset."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        raise RefusalError(f"`{key}` is a date without a time", f"add the time: `{key} = {value}T06:00:00`")
    if isinstance(value, datetime.time):
        hint = f'`schedule = "{value.minute} {value.hour} * * *"` is every day at {value:%H:%M}'
        raise RefusalError(f"`{key}` is a time without a date", hint)
    if not isinstance(value, datetime.datetime):
        hint = f"write `{key} = 2026-12-24T18:00:00`"
        if isinstance(value, str) and _is_moment(value):
            hint = f"without quotes: `{key} = {value}`"
        raise RefusalError(f"`{key}` is {type_name(value)}, where a date and time belongs", hint)
    if value.microsecond:
        raise RefusalError(f"`{key} = {value.isoformat()}` has a fraction of a second", "it is counted in whole seconds")
    if not FIRST_YEAR < value.year < LAST_YEAR:
        hint = f"it must be after {FIRST_YEAR} and before {LAST_YEAR}"
        raise RefusalError(f"`{key} = {value.isoformat()}` is out of range", hint)
    return value


def _is_moment(text: str) -> bool:
    try:
        return len(text) > 10 and bool(datetime.datetime.fromisoformat(text))
    except ValueError:
        return False


def moments(key: str, value: Any, complain: Complain) -> tuple[datetime.datetime, ...]:
    """One TOML datetime or a list of them; the zone of the job decides which instant a local one is."""
    if not isinstance(value, list):
        return (moment(key, value),)
    return tuple(each(value, lambda item: moment(key, item), complain))


def instant(local: datetime.datetime, zone: str) -> int:
    """The epoch second of a datetime, in the zone if it has no offset: the first of a repeated time, the end of a gap."""
    if local.tzinfo is not None:
        return int(local.timestamp())
    from cronflow.core.time.schedule import Schedule, clock_changes

    info = Schedule.every(1, zone).local(0).tzinfo
    found = int(local.replace(tzinfo=info).timestamp())
    before = int(local.replace(tzinfo=info, fold=1).timestamp())
    change = next(clock_changes(zone, before, found), None)  # there is one in between where the time is in a gap
    return found if change is None else change.at


def deadline(key: str, value: Any, complain: Complain) -> tuple[str, float]:
    """`"2h"`, counted from the slot, or `"06:00"`, a time of day: ("duration" or "time", seconds)."""
    if isinstance(value, datetime.time):
        raise RefusalError(f"`{key}` is a time without quotes", f'write `{key} = "{value:%H:%M}"`')
    if not isinstance(value, str) or ":" not in value:
        return "duration", DEADLINE_SPAN.read(key, value, complain)
    match = CLOCK.fullmatch(value.strip())
    if match is None:
        hint = f'a time of day is hours and minutes: `{key} = "06:00"`'
        raise RefusalError(f"`{key} = {values.brief(value)}` is not a time of day", hint)
    return "time", int(match[1]) * 3600.0 + int(match[2]) * 60.0


def slow(key: str, value: Any, complain: Complain) -> tuple[str, float]:
    """A number is a multiple of the usual duration, a string is a duration: ("factor", times) or ("duration", seconds)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        if isinstance(value, str) and re.fullmatch(r"\s*[0-9.]+\s*", value):
            hint = f'write `{key} = {value.strip()}` for a factor, `{key} = "{value.strip()}m"` for minutes'
            raise RefusalError(f"`{key} = {values.brief(value)}` has no unit", hint)
        if not isinstance(value, str):
            raise wrong_type(key, value, "a factor or a duration", "3")
        return "duration", SLOW_SPAN.read(key, value, complain)
    if not 1 < value <= SLOW_LIMIT:
        hint = f"it is a multiple of the usual duration: more than 1, at most {SLOW_LIMIT:g}"
        raise RefusalError(f"`{key} = {value}` is out of range", hint)
    return "factor", float(value)


def dates(key: str, value: Any, complain: Complain) -> frozenset[int]:
    """A list of TOML dates, as proleptic ordinals."""
    if not isinstance(value, list):
        example = f"[{value}]" if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime) else None
        raise wrong_type(key, value, "a list of dates", example or "[2026-12-25, 2026-12-26]")

    def element(item: object) -> int:
        if isinstance(item, datetime.datetime):
            raise RefusalError(f"`{key}` contains a date and time, where dates belong", f"write the date alone: `{item.date()}`")
        if isinstance(item, datetime.date):
            return item.toordinal()
        hint = "dates are written `2026-12-25`, without quotes"
        raise RefusalError(f"`{key}` contains {type_name(item)}, where dates belong", hint)

    return frozenset(each(value, element, complain))


_MOMENT = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:"}
_DATE = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}
_DURATION = {"$ref": "#/$defs/duration"}
DEADLINE_SPAN, SLOW_SPAN = kinds.duration(1.0), kinds.duration(1.0)
AT = ValueKind("date and time, or list of them", moments, {"oneOf": [_MOMENT, {"type": "array", "items": _MOMENT}]})
DATES = ValueKind("list of dates", dates, {"type": "array", "items": _DATE})
DEADLINE = ValueKind(
    "duration or time of day",
    deadline,
    {"oneOf": [_DURATION, {"type": "string", "pattern": f"^({CLOCK.pattern})$"}]},
)
SLOW = ValueKind(
    "factor or duration",
    slow,
    {"oneOf": [_DURATION, {"type": "number", "exclusiveMinimum": 1, "maximum": SLOW_LIMIT}]},
)
