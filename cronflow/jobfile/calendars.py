"""`[pools]` and `[calendars.NAME]`: what jobs share by name. The dates of a calendar may stand in a file of their own."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from cronflow.jobfile import keys
from cronflow.jobfile.jobkinds import name_fault
from cronflow.jobfile.kinds import what
from cronflow.jobfile.locate import Path
from cronflow.jobfile.machine import home
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import Source, content
from cronflow.jobfile.tables import read_keys, refuse_unknown, table_of
from cronflow.jobfile.values import RefusalError, brief

SIZE_LIMIT = 1_000_000
"""Bytes of a file of dates: those of 250 years."""
DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
TOLD = 3
"""Lines of one file that are told; the others are counted."""


def read_pools(source: Source, report: Report) -> dict[str, int]:
    """The slots of each pool. One that was refused has all slots, so that nothing else is said of it."""
    pools = {}
    for name, slots in table_of(source, ("pools",), report).items():
        path: Path = ("pools", name)
        _refuse_name("pool", name, path, source, report)
        pools[name] = keys.POOL_LIMIT
        try:
            pools[name] = keys.POOL.read(name, slots, lambda *_: None)
        except RefusalError as refusal:
            report.error(source, path, refusal.message, refusal.hint)
    return pools


def read_calendars(source: Source, report: Report) -> tuple[dict[str, frozenset[int]], dict[str, bytes]]:
    """The dates of each calendar as proleptic ordinals, and the SHA-256 of each file of dates by its absolute path. A calendar
    that was refused has no dates."""
    calendars: dict[str, frozenset[int]] = {}
    files: dict[str, bytes] = {}
    for name, body in table_of(source, ("calendars",), report).items():
        path: Path = ("calendars", name)
        calendars[name] = frozenset()
        _refuse_name("calendar", name, path, source, report)
        if not isinstance(body, dict):
            told = f"calendar `{name}` is {what(body)}, where a table belongs"
            report.error(source, path, told, f"write `[calendars.{name}]`, and below it `dates = [2026-12-25]`", "key")
            continue
        refuse_unknown(body, keys.CALENDAR, (), source, path, f"calendar `{name}`", report)
        found, refused = read_keys(body, keys.CALENDAR, source, path, report)
        if _one_of_both(name, body, source, report) and not refused:
            calendars[name] = found["dates"] if "dates" in found else _of_file(name, found["file"], source, files, report)
    return calendars, files


def files_named(document: Mapping[str, Any], folder: str) -> list[str]:
    """The absolute paths of the files of dates that a job file names, which may have any error."""
    tables = document.get("calendars")
    bodies = tables.values() if isinstance(tables, dict) else ()
    named = [body.get("file") for body in bodies if isinstance(body, dict)]
    return [dates_file(folder, file) for file in named if isinstance(file, str) and "\0" not in file and file.strip()]


def dates_file(folder: str, file: str) -> str:
    """The absolute path of a file of dates."""
    if file == "~" or file.startswith("~/"):
        return os.path.normpath((home(None) or "/") + file[1:])
    return os.path.normpath(os.path.join(folder, file))


def _refuse_name(noun: str, name: str, path: Path, source: Source, report: Report) -> None:
    hint = name_fault(name)
    if hint:
        report.error(source, path, f"`{name}` is no name of a {noun}", hint, "key")


def _one_of_both(name: str, body: Mapping[str, Any], source: Source, report: Report) -> bool:
    named = [key for key in keys.CALENDAR if key in body]
    if not named and body.keys() <= keys.CALENDAR.keys():
        hint = 'add `dates = [2026-12-25]`, or `file = "holidays.txt"`'
        report.error(source, ("calendars", name), f"calendar `{name}` has no dates", hint)
    elif len(named) > 1:
        told = f"calendar `{name}` has `dates` and a `file`"
        hint = "take one of the two out; `skip_on` and `only_on` take several calendars"
        report.error(source, ("calendars", name, "file"), told, hint, "key")
    return len(named) == 1


def _of_file(name: str, file: str, source: Source, files: dict[str, bytes], report: Report) -> frozenset[int]:
    path: Path = ("calendars", name, "file")
    absolute = dates_file(source.folder, file)
    try:
        raw = _bytes(absolute)
    except RefusalError as refusal:
        report.error(source, path, refusal.message, refusal.hint)
        return frozenset()
    files[absolute] = hashlib.sha256(raw).digest()
    found: set[int] = set()
    wrong: list[tuple[str, str]] = []
    for number, line in enumerate(raw.decode(errors="replace").removeprefix("\ufeff").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.add(_ordinal(text))
            except RefusalError as refusal:
                wrong.append((f"line {number} of `{absolute}`: {refusal.message}", refusal.hint))
    for index, (told, hint) in enumerate(wrong[:TOLD]):
        more = f" (so are {len(wrong) - TOLD} more lines)" if index == TOLD - 1 and len(wrong) > TOLD else ""
        report.error(source, path, told + more, hint)
    return frozenset(found)


def _ordinal(text: str) -> int:
    match = DATE.fullmatch(text)
    if match is None:
        raise RefusalError(f"{brief(text)} is no date", "a line holds a date such as `2026-12-25`, and `#` begins a comment")
    try:
        return date(*map(int, match.groups())).toordinal()
    except ValueError:
        raise RefusalError(f"there is no {text}", "look at the day and the month: a date is written year-month-day") from None


def _bytes(file: str) -> bytes:
    irregular = RefusalError(f"`{file}` is no regular file", "a file of dates is read again and again")
    try:
        raw, _ = content(file, SIZE_LIMIT, irregular)
    except IsADirectoryError:
        raise irregular from None
    except FileNotFoundError:
        hint = "write a date such as `2026-12-25` on each of its lines; its path is relative to the job file"
        raise RefusalError(f"there is no file of dates `{file}`", hint) from None
    if len(raw) > SIZE_LIMIT:
        raise RefusalError(f"`{file}` is larger than 1 MB", "a file of dates has a date on each line")
    return raw
