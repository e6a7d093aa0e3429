"""A table of cron, line by line."""

from __future__ import annotations

import re

from cronflow.crontab import entries, foreign
from cronflow.crontab.settings import assignment, unquoted_again
from cronflow.crontab.tables import Blank, Comment, Daemon, Entry, Item, Kind, Refusal, Setting, Table

MOST_LINES = 10_000
"""Lines of a table beyond which Debian's cron ignores it (MAX_TAB_LINES in cron.h)."""
BLANKS = " \t\r\v\f"
VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def read(name: str, text: str, kind: Kind, daemon: Daemon, owner: str | None = None) -> Table:
    """A table of users or of the system. `name` is the name that is shown of it."""
    lines = text.removeprefix("\ufeff").split("\n")
    ended = not lines[-1]
    if ended:
        lines.pop()
    items = tuple(_item(number, line.removesuffix("\r"), kind, daemon) for number, line in enumerate(lines, 1))
    return Table(name, kind, daemon, items, owner, tuple(_notes(text, lines, ended, items, daemon)))


def _item(line: int, text: str, kind: Kind, daemon: Daemon) -> Item:
    rest = text.lstrip(" \t")
    if not rest.strip(BLANKS):
        return Blank(line)
    if rest[0] == "#":
        return Comment(line, _shown(rest.rstrip(BLANKS)))
    found = _undecodable(text)
    if found:
        rule = "it has bytes that are no UTF-8, which no job file can hold"
        return Refusal(line, _shown(text), rule, "`iconv` turns the table into UTF-8", found[0], found[1])
    if foreign.zoned(rest):
        rule = "a time zone in front of a time is a form of Go's libraries: cron takes all of the line for the zone"
        return Refusal(line, text, rule, "`timezone` of a job says it", text.index(rest) + 1, len(rest.split()[0]))
    setting = assignment(rest)
    if setting is None:
        return entries.read(line, text, kind, daemon)
    if setting.bare and daemon == "debian":
        rule = f"`{rest.strip()}` has no value: Debian's cron takes it for a job"
        return Refusal(line, text, rule, f'write `{setting.name}=""`', 1, len(text))
    return _setting(line, text, setting.name, setting.value, setting.bare, daemon)


def _setting(line: int, text: str, name: str, value: str, bare: bool, daemon: Daemon) -> Setting | Refusal:
    if not VARIABLE.fullmatch(name):
        return Refusal(line, text, f"`{name}` is no name of a variable that a job file can set", "", 1, max(len(name), 1))
    if name.startswith("CRONFLOW_"):
        return Refusal(line, text, f"`{name}` is a variable that cronflow sets itself", "choose another name", 1, len(name))
    if "\0" in value:
        return Refusal(line, _shown(text), f"the value of `{name}` holds a NUL character")
    note = ""
    if bare:
        note = f'Debian\'s cron takes `{name}=` without a value for a job, and refuses the table: it wants `{name}=""`'
    if daemon == "debian":
        value = unquoted_again(value)
    return Setting(line, name, value, note)


def _undecodable(text: str) -> tuple[int, int] | None:
    """Where bytes stand that are no UTF-8: column from 1, and how many."""
    found = re.search("[\ud800-\udfff]+", text)
    return None if found is None else (found.start() + 1, len(found[0]))


def _shown(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _notes(text: str, lines: list[str], ended: bool, items: tuple[Item, ...], daemon: Daemon) -> list[str]:
    """What holds for the table as a whole."""
    told = []
    if text.startswith("\ufeff"):
        told.append("it begins with a byte order mark, for which cron refuses the first line; left out")
    windows = sum(line.endswith("\r") for line in lines)
    if windows:
        how_many = "its lines end" if windows == len(lines) else f"{windows} of its lines end"
        told.append(f"{how_many} as on Windows (CR LF); cron takes the CR for a part of the command; left out")
    debian = daemon in ("auto", "debian")
    if not ended and daemon != "busybox":
        whose = {"debian": "Debian's cron ignores such a table", "cronie": "cronie leaves out such a line"}
        ignored = whose.get(daemon, "; ".join(whose.values()))
        told.append(f"there is no newline at its end: {ignored}; it is imported all the same")
    escaped = [str(item.line) for item in items if isinstance(item, Entry) and "\\%" in item.text and "\\%" not in item.command]
    if escaped:
        shown = ", ".join(escaped[:10]) + (" ..." if len(escaped) > 10 else "")
        told.append(f"`\\%` of a crontab is `%` in a job file, in line {shown}")
    if len(lines) > MOST_LINES and debian:
        told.append(f"Debian's cron ignores a table of more than {MOST_LINES:,} lines")
    if debian and any(isinstance(item, Refusal) for item in items):
        told.append("Debian's cron ignores a table as a whole for one line that it refuses; cronie leaves out the line")
    return told
