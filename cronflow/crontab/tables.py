"""The nouns of an import: a table of cron, and what each of its lines turned out to be. Lines count from 1."""

from __future__ import annotations

from typing import Literal, NamedTuple

from cronflow.crontab.cronrules import Times

Kind = Literal["user", "system", "anacron"]
"""A user's crontab, one whose sixth column is a user, or an anacrontab."""
Daemon = Literal["auto", "debian", "cronie", "busybox"]
"""Whose rules hold. `auto`: a line is taken if Debian's cron or cronie runs it."""


class Blank(NamedTuple):
    """A line with nothing on it."""

    line: int


class Comment(NamedTuple):
    """A line that begins with `#`. `text` is all of it, from the `#` on."""

    line: int
    text: str


class Setting(NamedTuple):
    """`NAME = value`: it holds for the lines below it."""

    line: int
    name: str
    value: str
    note: str = ""


class Entry(NamedTuple):
    """A job. `words` are its five time fields, or one word that begins with `@`; `times` is None where it has no timetable.

    `command` is what the shell is given, `stdin` what it reads. `notes` tell what a person should know of the reading."""

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
    """Days between two starts, where no fields say it (anacron)."""


class Refusal(NamedTuple):
    """A line that is not imported: the rule, what to write instead, and the place of the fault in it (column from 1)."""

    line: int
    text: str
    rule: str
    hint: str = ""
    column: int = 1
    length: int = 1


Item = Blank | Comment | Setting | Entry | Refusal


class Table(NamedTuple):
    """One table. `name` is as it is shown; `owner` is whose crontab it is, None for the caller's own or where it is not known."""

    name: str
    kind: Kind
    daemon: Daemon
    items: tuple[Item, ...]
    owner: str | None = None
    notes: tuple[str, ...] = ()
