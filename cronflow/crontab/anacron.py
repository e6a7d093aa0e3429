"""Reads an anacrontab: `period delay identifier command` (anacrontab(5); readtab.c of anacron).

Anacron has no times: it starts a job when its period has passed since the last start, some minutes after anacron itself started.
Debian starts it from 07:30 on, cronie from the first hour of START_HOURS_RANGE on. An entry gets the time at which it starts on a
machine that runs all day."""

from __future__ import annotations

import re

from cronflow.crontab.tables import Blank, Comment, CrontabEntry, CronTable, Daemon, Item, Refusal, Setting

_JOB = re.compile(r"(\S+)[ \t]+(\S+)[ \t]+([^ \t/]+)[ \t]+(.*\S)")
_SETTING = re.compile(r"([^ \t=]+)[ \t]*=(.*)")
_NAMED = {"@daily": "* * *", "@weekly": "* * 0", "@monthly": "1 * *", "@yearly": "1 1 *", "@annually": "1 1 *"}
_PERIODS = {"1": "* * *", "7": "* * 0"}
DAYS = 36_500


def read(name: str, text: str, daemon: Daemon) -> CronTable:
    """Read an anacrontab. A line that ends with a backslash continues on the next one."""
    items: list[Item] = []
    held: dict[str, str] = {}
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    number = 0
    while number < len(lines):
        first = number
        line = lines[number].removesuffix("\r")
        while line.endswith("\\") and number + 1 < len(lines):
            number += 1
            line = f"{line[:-1]} {lines[number]}".removesuffix("\r")
        number += 1
        item = _item(first + 1, line, held)
        if isinstance(item, Setting):
            held[item.name] = item.value
        items += [item, *(Blank(continued) for continued in range(first + 2, number + 1))]
    return CronTable(name, "anacron", daemon, tuple(items))


def _item(line: int, text: str, held: dict[str, str]) -> Item:
    rest = text.strip(" \t\r")
    if not rest:
        return Blank(line)
    if rest[0] == "#":
        return Comment(line, rest)
    setting = _SETTING.fullmatch(rest)
    if setting:
        return Setting(line, setting[1], setting[2].strip(" \t"))
    job = _JOB.fullmatch(rest)
    if job is None:
        hint = "a line has the days between two starts, the minutes of delay, a name, and the command"
        return Refusal(line, text, "the line does not have the four parts of an anacron job", hint, 1, len(text))
    return _job(line, text, job, held)


def _job(line: int, text: str, job: re.Match[str], held: dict[str, str]) -> CrontabEntry | Refusal:
    period, delay, identifier, command = job.groups()
    column = text.find(period) + 1
    if not (delay.isascii() and delay.isdigit() and len(delay) < 6):
        return Refusal(line, text, f"`{delay}` is not a number of minutes", "", text.find(delay) + 1, len(delay))
    known = (period.isascii() and period.isdigit() and 0 < int(period[:9]) <= DAYS) or period in _NAMED
    if not known:
        return Refusal(line, text, f"`{period}` is not a number of days", f"or one of {', '.join(_NAMED)}", column, len(period))
    hour, minute = _time(held, int(delay))
    days = _NAMED.get(period) or _PERIODS.get(str(int(period)))
    note = f"anacron starts it when it has not run for {_named(period)}, {delay} min after its own start"
    if days is None:
        notes = (f"{note}: the days count from 1970 here",)
        return CrontabEntry(line, text, (), None, command, notes=notes, name=identifier, every=int(period))
    words = (str(minute), str(hour), *days.split())
    return CrontabEntry(line, text, words, None, command, notes=(note,), name=identifier)


def _named(period: str) -> str:
    units = {"1": "a day", "7": "7 days", "@daily": "a day", "@weekly": "a week", "@monthly": "a month"}
    return units.get(period, "a year" if period[0] == "@" else f"{period} days")


def _time(held: dict[str, str], delay: int) -> tuple[int, int]:
    """The hour and minute of the start: the delay after the first hour of START_HOURS_RANGE, or after 07:30."""
    first = re.match(r"[ \t]*([0-9]{1,2})-", held.get("START_HOURS_RANGE", ""))
    begin = int(first[1]) % 24 * 60 if first else 7 * 60 + 30
    hour, minute = divmod(begin + delay, 60)
    return hour % 24, minute
