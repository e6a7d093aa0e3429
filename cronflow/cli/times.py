"""TIME as a person types it: `2026-01-31T14:30`, `14:30`, `yesterday`, or a duration ago (`2h`)."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta, tzinfo

from cronflow.core.words import local
from cronflow.errors import CronflowError, Exit

_DAYS = {"yesterday": -1, "today": 0, "tomorrow": 1}
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1}
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")
_AGO = re.compile(r"(?:\d{1,9}(?:\.\d{1,6})?\s*(?:w|d|h|min|m|s)\s*)+")
_AGO_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")
_DAY_ALONE = re.compile("|".join((r"\d{4}-?(?:\d{2}-?\d{2}|w\d{2}-?\d)", *_DAYS, *_WEEKDAYS, *(day[:3] for day in _WEEKDAYS))))
_HINT = "write `2026-01-31 14:30`, `14:30`, `yesterday`, `tue 16:20`, or a duration ago such as `2h`"


def parse_time(text: str, zone: str, now: float) -> float:
    """The instant (epoch seconds) that a TIME of the command line means.

    ISO 8601, where a date alone is its midnight and a time without offset is one of `zone`; a clock time of today, or of
    `yesterday`, `tomorrow`, or the latest such weekday (`tue 16:20`); a duration before `now`. In a fold of the clock the
    first pass is meant. Anything else is a CronflowError with exit status 2.
    """
    words = text.strip().lower().removesuffix(" ago")
    if words == "now":
        return now
    if _AGO.fullmatch(words):
        return now - sum(float(number) * _UNITS[unit] for number, unit in _AGO_PART.findall(words))
    here = local(now, zone)
    day, _, rest = words.partition(" ")
    if day in _DAYS:
        return _on_day(here, _DAYS[day], rest, text)
    weekday = next((number for number, name in enumerate(_WEEKDAYS) if day in (name, name[:3])), None)
    if weekday is not None:
        return _on_day(here, -((here.weekday() - weekday) % 7), rest, text)
    if _CLOCK.fullmatch(words):
        return _on_day(here, 0, words, text)
    return _iso(text.strip(), here.tzinfo, text)


def parse_end(text: str, zone: str, now: float) -> float:
    """The end of a range: for a day without a time its last second, or now if that day is today. Anything else as in
    `parse_time`."""
    t = parse_time(text, zone, now)
    if not _DAY_ALONE.fullmatch(text.strip().lower().removesuffix(" ago")):
        return t
    begin = local(t, zone)
    end = datetime.combine(begin.date() + timedelta(days=1), time(), begin.tzinfo).timestamp() - 1
    return now if t <= now < end else end


def _on_day(here: datetime, days: int, clock: str, text: str) -> float:
    match = _CLOCK.fullmatch(clock.strip() or "00:00")
    if match is None:
        raise _no_time(text)
    try:
        moment = time(int(match[1]), int(match[2]), int(match[3] or 0))
    except ValueError:
        raise _no_time(text) from None
    return datetime.combine(here.date() + timedelta(days=days), moment, here.tzinfo).timestamp()


def _iso(written: str, info: tzinfo | None, text: str) -> float:
    try:
        moment = datetime.fromisoformat(written)
        return (moment if moment.tzinfo else moment.replace(tzinfo=info)).timestamp()
    except (ValueError, OverflowError):
        raise _no_time(text) from None


def _no_time(text: str) -> CronflowError:
    return CronflowError(f"`{text}` is not a time", _HINT, Exit.USAGE)
