"""The lines of a crontab that set a variable (crontab(5); load_env() in env.c of cron)."""

from __future__ import annotations

from typing import NamedTuple

SPACES = " \t\r\v\f"
"""The blanks of isspace(3), within one line."""


class Assignment(NamedTuple):
    """What a line sets. `bare`: there is nothing after its `=`, which only cronie accepts."""

    name: str
    value: str
    bare: bool = False


def assignment(line: str) -> Assignment | None:
    """What a line sets; None for a line that is not a setting.

    Name and value may be quoted, but only as a whole; a quoted name contains no `=`. Blanks at the end of an unquoted value do
    not belong to it."""
    parted = _name(line)
    if parted is None:
        return None
    name, rest = parted
    rest = rest.lstrip(SPACES)
    if rest[:1] != "=":
        return None
    rest = rest[1:].lstrip(SPACES)
    if not rest:
        return Assignment(name, "", True)
    if rest[0] not in "'\"":
        return Assignment(name, rest.rstrip(SPACES))
    value, quote, after = rest[1:].partition(rest[0])
    return Assignment(name, value) if quote and not after.strip(SPACES) else None


def _name(line: str) -> tuple[str, str] | None:
    if line[:1] in ("'", '"'):
        name, quote, rest = line[1:].partition(line[0])
        return (name, rest) if quote and "=" not in name else None
    end = next((place for place, sign in enumerate(line) if sign in SPACES or sign == "="), len(line))
    return line[:end], line[end:]


def unquoted_again(value: str) -> str:
    """A value in Debian's cron, which removes a second pair of quotes."""
    value = value.rstrip(" \t\n")
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value
