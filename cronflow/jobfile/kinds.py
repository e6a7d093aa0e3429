"""The kinds of values that keys take: how each is read, how another value is refused, and its JSON Schema.

Readers raise RefusalError for the value as a whole; in lists and tables they report each wrong part through `complain`.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from cronflow.jobfile import values
from cronflow.jobfile.suggest import did_you_mean
from cronflow.jobfile.values import RefusalError

Complain = Callable[..., None]
"""complain(message, hint, *path): reports the part of the value that the path leads to, or its key."""
Read = Callable[[str, Any, Complain], Any]
Check = Callable[[str, str], object]
Schema = Mapping[str, Any]
T = TypeVar("T")

NEVER = re.compile("(?!)")
BARE = {
    "a whole number": re.compile("-?[0-9]{1,18}"),
    "a number": re.compile(r"-?[0-9]{1,18}(\.[0-9]+)?"),
    "true or false": re.compile("true|false"),
}
"""Strings that would be right without their quotes."""
YEARS_10 = 3650 * 86400.0


@dataclass(frozen=True, slots=True)
class ValueKind:
    """A kind of values: its name in the man page, its reader `read(key, value, complain)`, and its schema."""

    name: str
    read: Read
    schema: Schema


def type_name(value: object) -> str:
    """The type of a TOML value, for messages."""
    names: tuple[tuple[type, str], ...] = (
        (bool, "a boolean"),
        (str, "a string"),
        (int, "a whole number"),
        (float, "a number"),
        (list, "a list"),
        (dict, "a table"),
        (datetime.datetime, "a date and time"),
        (datetime.date, "a date"),
        (datetime.time, "a time"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "something else")


def wrong_type(key: str, value: object, wanted: str, example: str) -> RefusalError:
    """The refusal of a value of the wrong type."""
    hint = f"write `{key} = {example}`"
    if isinstance(value, str) and BARE.get(wanted, NEVER).fullmatch(value.strip()):
        hint = f"without quotes: `{key} = {value.strip()}`"
    if isinstance(value, bool | int | float) and wanted == "a string":
        hint = f'in quotes: `{key} = "{str(value).lower()}"`'
    return RefusalError(f"`{key}` is {type_name(value)}, where {wanted} belongs", hint)


def without_nul(key: str, text: str) -> str:
    """The text itself. Raises RefusalError if it contains NUL, which no argument, path or variable of a process can."""
    if "\0" in text:
        raise RefusalError(f"`{key}` contains a NUL character", "remove the `\\u0000`: no command can be given one")
    return text


def string(example: str, *, filled: bool = False, check: Check | None = None) -> ValueKind:
    """A string; `filled`: it may not be empty; `check(key, text)` raises RefusalError."""

    def read(key: str, value: Any, _: Complain) -> str:
        if not isinstance(value, str):
            raise wrong_type(key, value, "a string", example)
        if filled and not value.strip():
            raise RefusalError(f"`{key}` is empty", f"write `{key} = {example}`, or remove the key")
        without_nul(key, value)
        if check is not None:
            check(key, value)
        return value

    return ValueKind("string", read, {"type": "string", "pattern": r"\S"} if filled else {"type": "string"})


def strings(example: str, *, lone: bool = False, check: Check | None = None) -> ValueKind:
    """A list of non-empty strings, as a tuple; `lone`: a single string is a list of one."""

    def element(key: str, item: object) -> str:
        if not isinstance(item, str):
            raise RefusalError(f"`{key}` contains {type_name(item)}, where strings belong", f"write `{key} = [{example}]`")
        if not item.strip():
            raise RefusalError(f"`{key}` contains an empty string", "remove it")
        without_nul(key, item)
        if check is not None:
            check(key, item)
        return item

    def read(key: str, value: Any, complain: Complain) -> tuple[str, ...]:
        if lone and isinstance(value, str):
            if not value.strip():
                raise RefusalError(f"`{key}` is empty", f"write `{key} = {example}`, or remove the key")
            return (element(key, value),)
        if isinstance(value, str):
            raise RefusalError(f"`{key}` is a string, where a list belongs", f"write `{key} = [{values.brief(value)}]`")
        if not isinstance(value, list):
            raise wrong_type(key, value, "a list", f"[{example}]")
        return tuple(each(value, lambda item: element(key, item), complain))

    filled = {"type": "string", "pattern": r"\S"}
    several: Schema = {"type": "array", "items": filled}
    if lone:
        return ValueKind("string or list of strings", read, {"oneOf": [filled, several]})
    return ValueKind("list of strings", read, several)


def each(items: list[Any], read: Callable[[Any], T], complain: Complain) -> list[T]:
    """Read each element of a list; refused ones are reported one by one and left out."""
    found = []
    for index, item in enumerate(items):
        try:
            found.append(read(item))
        except RefusalError as refusal:
            complain(refusal.message, refusal.hint, index)
    return found


def boolean(key: str, value: Any, _: Complain) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        meant = "false" if str(value).strip().lower() in ("false", "no", "off", "n", "0") else "true"
        raise wrong_type(key, value, "true or false", meant)
    return value


def one_of(words: Iterable[str]) -> ValueKind:
    """One of several words."""
    known = tuple(words)

    def read(key: str, value: Any, _: Complain) -> str:
        if value in known and isinstance(value, str):
            return value
        if not isinstance(value, str):
            raise wrong_type(key, value, "a string", f'"{known[0]}"')
        choice = ", ".join(f'"{name}"' for name in known)
        hint = did_you_mean(value, known) or f"it can be {choice}"
        raise RefusalError(f"`{key}` cannot be {values.brief(value)}", hint)

    return ValueKind(" or ".join(f'"{name}"' for name in known), read, {"enum": list(known)})


def integer(low: int, high: int, example: int) -> ValueKind:
    """A whole number within bounds, both included."""
    return _numeric("whole number", int, low, high, example)


def number(low: float, high: float, example: float) -> ValueKind:
    """A number within bounds, both included."""
    return _numeric("number", float, low, high, example)


def _numeric(name: str, kind: type[int] | type[float], low: float, high: float, example: float) -> ValueKind:
    def read(key: str, value: Any, _: Complain) -> float:
        if isinstance(value, bool) or not isinstance(value, int | kind):
            raise wrong_type(key, value, f"a {name}", str(example))
        if not low <= value <= high:
            raise RefusalError(f"`{key} = {value}` is out of range", f"it is a number from {low:.10g} to {high:.10g}")
        return kind(value)

    return ValueKind(name, read, {"type": "integer" if kind is int else "number", "minimum": low, "maximum": high})


def duration(low: float = 0.0, *, whole_seconds: bool = False, instead: str = "") -> ValueKind:
    """A duration in seconds, at least `low`; `instead` is the hint for a shorter one."""

    def read(key: str, value: Any, _: Complain) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise values.unitless(key, value)
        if not isinstance(value, str):
            raise wrong_type(key, value, "a duration", '"10m"')
        seconds = values.duration(key, value)
        if seconds < low:
            hint = instead or f'it is `"{values.format_duration(low)}"` or more'
            raise RefusalError(f"`{key} = {values.brief(value)}` is too short", hint)
        if seconds > YEARS_10:
            raise RefusalError(f"`{key} = {values.brief(value)}` is longer than ten years", 'it is `"3650d"` or less')
        if whole_seconds and seconds != int(seconds):
            raise RefusalError(f"`{key} = {values.brief(value)}` has a fraction of a second", "it is counted in whole seconds")
        return seconds

    return ValueKind("duration", read, {"$ref": "#/$defs/duration"})


def size(low: int, high: int) -> ValueKind:
    """A size in bytes within bounds, both included."""

    def read(key: str, value: Any, _: Complain) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            raise RefusalError(f"`{key} = {value}` has no unit", f'write `{key} = "10MB"`')
        if not isinstance(value, str):
            raise wrong_type(key, value, "a size", '"10MB"')
        count = values.size(key, value)
        if not low <= count <= high:
            raise RefusalError(f"`{key} = {values.brief(value)}` is out of range", 'it is a size from `"1KB"` to `"1000GB"`')
        return count

    return ValueKind("size", read, {"type": "string", "pattern": f"^{values.SIZE_PATTERN}$"})


def umask(key: str, value: Any, _: Complain) -> int:
    """A umask in octal, as for umask(1): `"027"` or `"0o27"`, or a TOML number written `0o27`."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise wrong_type(key, value, "a string", '"027"')
    match = re.fullmatch(r"(?:0o)?([0-7]{1,4})", str(value))
    mask = value if isinstance(value, int) else int(match[1], 8) if match else -1
    if not 0 <= mask <= 0o777:
        raise RefusalError(f"`{key} = {values.brief(value)}` is not a umask", f'write three octal digits: `{key} = "027"`')
    return mask


TRUTH = ValueKind("true or false", boolean, {"type": "boolean"})
UMASK = ValueKind(
    "string",
    umask,
    {"oneOf": [{"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"}, {"type": "integer", "minimum": 0, "maximum": 0o777}]},
)
