"""Reads a crontab line by line."""

from __future__ import annotations

import re

from cronflow.crontab import entries, foreign
from cronflow.crontab.settings import SPACES, Assignment, assignment, unquoted_again
from cronflow.crontab.tables import Blank, Comment, CrontabEntry, CronTable, Daemon, Item, Refusal, Setting, TableKind

MOST_LINES = 10_000
"""Lines of a crontab beyond which Debian's cron ignores it (MAX_TAB_LINES in cron.h)."""
VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def read(name: str, text: str, kind: TableKind, daemon: Daemon, owner: str | None = None) -> CronTable:
    """Read a crontab of a user or of the system; `name` is the name shown."""
    lines = text.removeprefix("\ufeff").split("\n")
    ended = not lines[-1]
    if ended:
        lines.pop()
    items = tuple(_item(number, line.removesuffix("\r"), kind, daemon) for number, line in enumerate(lines, 1))
    return CronTable(name, kind, daemon, items, owner, tuple(_notes(text, lines, ended, items, daemon)))


def _item(line: int, text: str, kind: TableKind, daemon: Daemon) -> Item:
    rest = text.lstrip(" \t")
    if not rest.strip(SPACES):
        return Blank(line)
    if rest[0] == "#":
        return Comment(line, _shown(rest.rstrip(SPACES)))
    if found := re.search("[\ud800-\udfff]+", text):
        rule = "it has bytes that are not UTF-8, which no job file can hold"
        return Refusal(line, _shown(text), rule, "`iconv` converts the crontab to UTF-8", found.start() + 1, len(found[0]))
    if foreign.zoned(rest):
        rule = "a time zone in front of the time is Go's syntax: cron takes the whole line for the zone"
        return Refusal(line, text, rule, "use `timezone` of a job", text.index(rest) + 1, len(rest.split()[0]))
    setting = assignment(rest)
    if setting is None:
        return entries.read(line, text, kind, daemon)
    if setting.bare and daemon == "debian":
        rule = f"`{rest.strip()}` has no value: Debian's cron takes it for a job"
        return Refusal(line, text, rule, f'write `{setting.name}=""`', 1, len(text))
    return _setting(line, text, setting, daemon)


def _setting(line: int, text: str, setting: Assignment, daemon: Daemon) -> Setting | Refusal:
    name, value, bare = setting
    if not VARIABLE.fullmatch(name):
        return Refusal(line, text, f"`{name}` is not a variable name that a job file can set", "", 1, max(len(name), 1))
    if name.startswith("CRONFLOW_"):
        return Refusal(line, text, f"`{name}` is a variable that cronflow itself sets", "choose another name", 1, len(name))
    if "\0" in value:
        return Refusal(line, _shown(text), f"the value of `{name}` contains a NUL character")
    note = ""
    if bare:
        note = f'Debian\'s cron takes `{name}=` without a value for a job, and refuses the crontab: it wants `{name}=""`'
    if daemon == "debian":
        value = unquoted_again(value)
    return Setting(line, name, value, note)


def _shown(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def _notes(text: str, lines: list[str], ended: bool, items: tuple[Item, ...], daemon: Daemon) -> list[str]:
    notes = []
    if text.startswith("\ufeff"):
        notes.append("it begins with a byte order mark, because of which cron refuses the first line; left out")
    windows = sum(line.endswith("\r") for line in lines)
    if windows:
        which = "its lines end" if windows == len(lines) else f"{windows} of its lines end"
        notes.append(f"{which} as on Windows (CR LF); cron takes the CR as part of the command; left out")
    debian = daemon in ("auto", "debian")
    if not ended and daemon != "busybox":
        whose = {"debian": "Debian's cron ignores such a crontab", "cronie": "cronie ignores such a line"}
        ignored = whose.get(daemon, "; ".join(whose.values()))
        notes.append(f"there is no newline at its end: {ignored}; it is imported anyway")
    jobs = [item for item in items if isinstance(item, CrontabEntry)]
    escaped = [str(entry.line) for entry in jobs if "\\%" in entry.text and "\\%" not in entry.command]
    if escaped:
        shown = ", ".join(escaped[:10]) + (" ..." if len(escaped) > 10 else "")
        notes.append(f"`\\%` of a crontab is `%` in a job file, in line {shown}")
    if len(lines) > MOST_LINES and debian:
        notes.append(f"Debian's cron ignores a crontab of more than {MOST_LINES:,} lines")
    if debian and any(isinstance(item, Refusal) for item in items):
        notes.append("Debian's cron ignores a whole crontab because of one line that it refuses; cronie ignores the line")
    return notes
