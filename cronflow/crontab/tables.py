"""A crontab as data: what each of its lines turned out to be. Lines count from 1."""

from __future__ import annotations

from typing import Literal, NamedTuple

from cronflow.crontab.cronrules import Times

TableKind = Literal["user", "system", "anacron"]
"""A user's crontab, a system crontab, whose sixth column is a user, or an anacrontab."""
Daemon = Literal["auto", "debian", "cronie", "busybox"]
"""The daemon whose rules apply. `auto`: a line is accepted if Debian's cron or cronie runs it."""


class Blank(NamedTuple):
    """A line with nothing on it."""

    line: int


class Comment(NamedTuple):
    """A line that begins with `#`; `text` includes it."""

    line: int
    text: str


class Setting(NamedTuple):
    """`NAME = value`, which holds for the lines below it."""

    line: int
    name: str
    value: str
    note: str = ""


class CrontabEntry(NamedTuple):
    """A job. `words` are its five time fields, or one word that begins with `@`; `times` is None if it has no timetable.

    `command` is what the shell is given, `stdin` what the command reads. `notes` are what a person should know about the
    reading."""

    line: int
    text: str
    words: tuple[str, ...]
    times: Times | None
    command: str
    stdin: str | None = None
    user: str | None = None
    notes: tuple[str, ...] = ()
    name: str = ""
    every: int | None = None
    """Days between two starts, for anacron, which has no time fields."""


class Refusal(NamedTuple):
    """A line that is not imported: the rule, what to write instead, and the place of the fault (columns count from 1)."""

    line: int
    text: str
    rule: str
    hint: str = ""
    column: int = 1
    length: int = 1


Item = Blank | Comment | Setting | CrontabEntry | Refusal


class CronTable(NamedTuple):
    """A crontab. `name` is the name shown; `owner` is its user, None for the caller's own or an unknown one."""

    name: str
    kind: TableKind
    daemon: Daemon
    items: tuple[Item, ...]
    owner: str | None = None
    notes: tuple[str, ...] = ()
