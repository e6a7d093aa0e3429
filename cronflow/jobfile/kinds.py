"""The kinds of values that keys take: how each is read, what is said when it is something else, and its JSON Schema."""

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
"""complain(message, hint, *path): something is wrong with the part of the value that the path leads to, or with its key."""
Read = Callable[[str, Any, Complain], Any]
Check = Callable[[str, str], None]
Schema = Mapping[str, Any]
T = TypeVar("T")

NEVER = re.compile("(?!)")
BARE = {
    "a whole number": re.compile("-?[0-9]{1,18}"),
    "a number": re.compile(r"-?[0-9]{1,18}(\.[0-9]+)?"),
    "true or false": re.compile("true|false"),
}
"""Texts that need only lose their quotes to become what is wanted."""
YEARS_10 = 3650 * 86400.0


@dataclass(frozen=True, slots=True)
class Kind:
    """`read(key, value, complain)` gives what the program works with. It raises RefusalError for the value as a whole, and
    complains of parts of it, so that all of them are told at once."""

    name: str
    read: Read
    schema: Schema


def what(value: object) -> str:
    """The name of a TOML value's type, for messages."""
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


def mistyped(key: str, value: object, wanted: str, example: str) -> RefusalError:
    """The refusal of a value of another type."""
    hint = f"write `{key} = {example}`"
    if isinstance(value, str) and BARE.get(wanted, NEVER).fullmatch(value.strip()):
        hint = f"without quotes: `{key} = {value.strip()}`"
    if isinstance(value, bool | int | float) and wanted == "a string":
        hint = f'in quotes: `{key} = "{str(value).lower()}"`'
    return RefusalError(f"`{key}` is {what(value)}, where {wanted} belongs", hint)


def sound(key: str, text: str) -> str:
    """The text, if it holds no NUL, which no argument, path or variable of a process can hold; else a RefusalError."""
    if "\0" in text:
        raise RefusalError(f"`{key}` has a NUL character in it", "take out the `\\u0000`: no command can be given one")
    return text


def string(example: str, *, filled: bool = False, check: Check | None = None) -> Kind:
    """A string; `filled`: not an empty one; `check(key, text)` raises RefusalError."""

    def read(key: str, value: Any, _: Complain) -> str:
        if not isinstance(value, str):
            raise mistyped(key, value, "a string", example)
        if filled and not value.strip():
            raise RefusalError(f"`{key}` is empty", f"write `{key} = {example}`, or take the key out")
        sound(key, value)
        if check is not None:
            check(key, value)
        return value

    return Kind("string", read, {"type": "string", "pattern": r"\S"} if filled else {"type": "string"})


def strings(example: str, *, lone: bool = False, check: Check | None = None) -> Kind:
    """A list of filled strings, as a tuple; `lone`: one string is a list of one."""

    def element(key: str, item: object) -> str:
        if not isinstance(item, str):
            raise RefusalError(f"`{key}` holds {what(item)}, where strings belong", f"write `{key} = [{example}]`")
        if not item.strip():
            raise RefusalError(f"`{key}` holds an empty string", "take it out")
        sound(key, item)
        if check is not None:
            check(key, item)
        return item

    def read(key: str, value: Any, complain: Complain) -> tuple[str, ...]:
        if lone and isinstance(value, str):
            if not value.strip():
                raise RefusalError(f"`{key}` is empty", f"write `{key} = {example}`, or take the key out")
            return (element(key, value),)
        if isinstance(value, str):
            raise RefusalError(f"`{key}` is a string, where a list belongs", f"write `{key} = [{values.brief(value)}]`")
        if not isinstance(value, list):
            raise mistyped(key, value, "a list", f"[{example}]")
        return tuple(each(value, lambda item: element(key, item), complain))

    filled = {"type": "string", "pattern": r"\S"}
    several: Schema = {"type": "array", "items": filled}
    if lone:
        return Kind("string or list of strings", read, {"oneOf": [filled, several]})
    return Kind("list of strings", read, several)


def each(items: list[Any], read: Callable[[Any], T], complain: Complain) -> list[T]:
    """What is read from each element of a list; those that are refused are complained of one by one."""
    found = []
    for index, item in enumerate(items):
        try:
            found.append(read(item))
        except RefusalError as refusal:
            complain(refusal.message, refusal.hint, index)
    return found


def truth(key: str, value: Any, _: Complain) -> bool:
    """`true` or `false`."""
    if not isinstance(value, bool):
        meant = "false" if str(value).strip().lower() in ("false", "no", "off", "n", "0") else "true"
        raise mistyped(key, value, "true or false", meant)
    return value


def word(words: Iterable[str]) -> Kind:
    """One of a few words."""
    known = tuple(words)

    def read(key: str, value: Any, _: Complain) -> str:
        if value in known and isinstance(value, str):
            return value
        if not isinstance(value, str):
            raise mistyped(key, value, "a string", f'"{known[0]}"')
        choice = ", ".join(f'"{name}"' for name in known)
        hint = did_you_mean(value, known) or f"it takes {choice}"
        raise RefusalError(f"`{key} = {values.brief(value)}` is none of its words", hint)

    return Kind(" or ".join(f'"{name}"' for name in known), read, {"enum": list(known)})


def whole(low: int, high: int, example: int) -> Kind:
    """A whole number within bounds, both included."""

    def read(key: str, value: Any, _: Complain) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise mistyped(key, value, "a whole number", str(example))
        if not low <= value <= high:
            raise RefusalError(f"`{key} = {value}` is out of its range", f"it is a number from {low} to {high}")
        return value

    return Kind("whole number", read, {"type": "integer", "minimum": low, "maximum": high})


def number(low: float, high: float, example: float) -> Kind:
    """A number within bounds, both included."""

    def read(key: str, value: Any, _: Complain) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise mistyped(key, value, "a number", str(example))
        if not low <= value <= high:
            raise RefusalError(f"`{key} = {value}` is out of its range", f"it is a number from {low:g} to {high:g}")
        return float(value)

    return Kind("number", read, {"type": "number", "minimum": low, "maximum": high})


def duration(low: float = 0.0, *, whole_seconds: bool = False, instead: str = "") -> Kind:
    """A duration in seconds of at least `low`; `instead` tells what to write for a shorter one."""

    def read(key: str, value: Any, _: Complain) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise values.unitless(key, value)
        if not isinstance(value, str):
            raise mistyped(key, value, "a duration", '"10m"')
        seconds = values.duration(key, value)
        if seconds < low:
            hint = instead or f'it is `"{values.length(low)}"` or more'
            raise RefusalError(f"`{key} = {values.brief(value)}` is too short", hint)
        if seconds > YEARS_10:
            raise RefusalError(f"`{key} = {values.brief(value)}` is longer than ten years", 'it is `"3650d"` or less')
        if whole_seconds and seconds != int(seconds):
            raise RefusalError(f"`{key} = {values.brief(value)}` has a part of a second", "it is counted in whole seconds")
        return seconds

    return Kind("duration", read, {"$ref": "#/$defs/duration"})


def size(low: int, high: int) -> Kind:
    """A size in bytes within bounds."""

    def read(key: str, value: Any, _: Complain) -> int:
        if isinstance(value, int) and not isinstance(value, bool):
            raise RefusalError(f"`{key} = {value}` has no unit", f'write `{key} = "10MB"`')
        if not isinstance(value, str):
            raise mistyped(key, value, "a size", '"10MB"')
        count = values.size(key, value)
        if not low <= count <= high:
            raise RefusalError(f"`{key} = {values.brief(value)}` is out of its range", 'it is a size from `"1KB"` to `"1000GB"`')
        return count

    return Kind("size", read, {"type": "string", "pattern": f"^{values.SIZE_PATTERN}$"})


def umask(key: str, value: Any, _: Complain) -> int:
    """A umask: `"027"`, or a TOML number written `0o27`."""
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value <= 0o777:
            return value
        raise RefusalError(f"`{key} = {value}` is no umask", f'write three octal digits: `{key} = "027"`')
    if not isinstance(value, str):
        raise mistyped(key, value, "a string", '"027"')
    return values.umask(key, value)


TRUTH = Kind("true or false", truth, {"type": "boolean"})
UMASK = Kind(
    "string",
    umask,
    {"oneOf": [{"type": "string", "pattern": "^(0o)?[0-7]{1,4}$"}, {"type": "integer", "minimum": 0, "maximum": 0o777}]},
)
