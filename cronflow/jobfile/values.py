"""Strings that stand for numbers: durations and sizes. Each refusal says what is wrong and how to write what was meant."""

from __future__ import annotations

import re

UNITS = {"w": 604800.0, "d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
"""Unit → seconds, in the order in which units are written."""
LONG_UNITS = {
    **dict.fromkeys(("week", "weeks"), "w"),
    **dict.fromkeys(("day", "days"), "d"),
    **dict.fromkeys(("hour", "hours", "hr", "hrs"), "h"),
    **dict.fromkeys(("minute", "minutes", "min", "mins"), "m"),
    **dict.fromkeys(("second", "seconds", "sec", "secs"), "s"),
    **dict.fromkeys(("millisecond", "milliseconds", "msec"), "ms"),
}
COUNT = r"[0-9]{1,9}(\.[0-9]{1,6})?"
DURATION_PATTERN = "(?=[0-9])" + "".join(f"({COUNT} *{unit}[ ,]*)?" for unit in UNITS)
DURATION_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) *([A-Za-z]+)[ ,]*")
SIZES = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?) ?([A-Za-z]+)")
SIZE_PATTERN = r"[0-9]{1,9}(\.[0-9]{1,3})? ?([KMG]i?)?B"


class RefusalError(ValueError):
    """A value that its key does not take: `message` says what is wrong, `hint` how to write what was meant."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def brief(text: object) -> str:
    """A value in quotes for a message, shortened if it is long."""
    if not isinstance(text, str):
        return str(text)
    return f'"{text}"' if len(text) <= 40 else f'"{text[:37]}..."'


def duration(key: str, text: str) -> float:
    """The seconds of `"90s"`, `"10m"`, `"1h30m"`, `"2d"`, `"500ms"`: w, d, h, m, s, ms, in this order, each once.

    Raises RefusalError for anything else, in the name of `key`."""
    parts = DURATION_PART.findall(text)
    if not parts or DURATION_PART.sub("", text):
        raise _no_duration(key, text)
    units = [unit if unit in UNITS else LONG_UNITS.get(unit.lower(), unit.lower()) for _, unit in parts]
    spelt = [f"{count}{unit}" for (count, _), unit in zip(parts, units, strict=True)]
    for (_, unit), known in zip(parts, units, strict=True):
        if known not in UNITS:
            raise RefusalError(f"`{key} = {brief(text)}` has an unknown unit `{unit}`", _duration_hint(parts[0][0]))
    order = sorted(set(units), key=list(UNITS).index)
    if len(order) < len(units):
        raise RefusalError(f"`{key} = {brief(text)}` names a unit twice", "add them up")
    if units != order or "".join(spelt) != re.sub("[ ,]+", "", text):
        right = "".join(sorted(spelt, key=lambda part: order.index(part.lstrip("0123456789."))))
        raise RefusalError(f"`{key} = {brief(text)}` is a duration in the wrong form", f'write `{key} = "{right}"`')
    return round(sum(float(count) * UNITS[unit] for (count, _), unit in zip(parts, units, strict=True)), 6)


def _duration_hint(count: object) -> str:
    return f'write `"{count}s"` for seconds, `"{count}m"` for minutes, `"{count}h"` for hours, `"{count}d"` for days'


def _no_duration(key: str, text: str) -> RefusalError:
    bare = text.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", bare):
        return RefusalError(f"`{key} = {brief(text)}` has no unit", _duration_hint(bare))
    if bare.startswith("-"):
        return RefusalError(f"`{key} = {brief(text)}` is negative", "a duration is 0 or more")
    return RefusalError(f"`{key} = {brief(text)}` is not a duration", 'write `"90s"`, `"10m"`, `"1h30m"` or `"2d"`')


def unitless(key: str, number: float) -> RefusalError:
    """The refusal of a number in the place of a duration."""
    if number < 0:
        return RefusalError(f"`{key} = {number}` is negative, and has no unit", "a duration is 0 or more")
    return RefusalError(f"`{key} = {number}` has no unit", f'write `"{number}s"` or `"{number}m"`')


def format_duration(seconds: float) -> str:
    """A duration as the job file writes it: 5400.0 is `1h30m`."""
    left, parts = round(seconds * 1000), []
    for unit, worth in UNITS.items():
        if unit == "w":
            continue
        count, left = divmod(left, round(worth * 1000))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def whole_size(number: int) -> str:
    """A size as the job file writes it: 10000000 is `10MB`."""
    unit = next(unit for unit in ("GB", "GiB", "MB", "MiB", "KB", "KiB", "B") if number % SIZES[unit] == 0)
    return f"{number // SIZES[unit]}{unit}"


def size(key: str, text: str) -> int:
    """The bytes of `"10MB"` (powers of 1000) or `"10MiB"` (powers of 1024). Raises RefusalError for anything else."""
    match = SIZE.fullmatch(text)
    if match is None:
        if re.fullmatch(r"[0-9]+", text):
            raise RefusalError(f"`{key} = {brief(text)}` has no unit", f'write `"{text}KB"` or `"{text}MB"`')
        raise RefusalError(f"`{key} = {brief(text)}` is not a size", f'write `{key} = "10MB"`')
    count, unit = match.groups()
    if unit not in SIZES:
        letter = unit[0].upper()
        right = f"{letter}iB" if "i" in unit.lower() else f"{letter}B".replace("BB", "B")
        known = letter in "BKMG"
        hint = f'write `{key} = "{count}{right}"`' if known else "units are B, KB, MB, GB, KiB, MiB and GiB"
        raise RefusalError(f"`{key} = {brief(text)}` has an unknown unit `{unit}`", hint)
    return round(float(count) * SIZES[unit])
