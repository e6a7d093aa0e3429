"""`[pools]` and `[calendars.NAME]`: what jobs share by name. The dates of a calendar may be in a separate file."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from cronflow.jobfile import keys
from cronflow.jobfile.kinds import type_name
from cronflow.jobfile.locate import Path
from cronflow.jobfile.machine import home
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import Source, content
from cronflow.jobfile.tables import check_name, read_keys, table_of
from cronflow.jobfile.values import RefusalError, brief

SIZE_LIMIT = 1_000_000
"""Bytes of a date file: those of 250 years."""
DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
MOST_SHOWN = 3
"""Wrong lines of one file that are shown; the others are counted."""


def read_pools(source: Source, report: Report) -> dict[str, int]:
    """The slots of each pool. A refused one has the most slots possible, so that nothing further is reported about it."""
    pools = {}
    for name, slots in table_of(source, ("pools",), report).items():
        path: Path = ("pools", name)
        check_name("pool", name, path, source, report)
        pools[name] = keys.POOL_LIMIT
        try:
            pools[name] = keys.POOL.read(name, slots, lambda *_: None)
        except RefusalError as refusal:
            report.error(source, path, refusal.message, refusal.hint)
    return pools


def read_calendars(source: Source, report: Report) -> tuple[dict[str, frozenset[int]], dict[str, bytes]]:
    """The dates of each calendar as proleptic ordinals, none if it is refused; and absolute path → SHA-256 of each date file."""
    calendars: dict[str, frozenset[int]] = {}
    files: dict[str, bytes] = {}
    for name, body in table_of(source, ("calendars",), report).items():
        path: Path = ("calendars", name)
        calendars[name] = frozenset()
        check_name("calendar", name, path, source, report)
        if not isinstance(body, dict):
            message = f"calendar `{name}` is {type_name(body)}, where a table belongs"
            report.error(source, path, message, f"write `[calendars.{name}]`, and below it `dates = [2026-12-25]`", "key")
            continue
        found, refused = read_keys(body, keys.CALENDAR, source, path, report)
        if _check_origin(name, body, source, report) and not refused:
            calendars[name] = found["dates"] if "dates" in found else _read_dates(found["file"], path, source, files, report)
    return calendars, files


def files_named(document: Mapping[str, Any], folder: str) -> list[str]:
    """The absolute paths of the date files that a job file names; the job file may have any error."""
    tables = document.get("calendars")
    bodies = tables.values() if isinstance(tables, dict) else ()
    named = [body.get("file") for body in bodies if isinstance(body, dict)]
    return [dates_file(folder, file) for file in named if isinstance(file, str) and "\0" not in file and file.strip()]


def dates_file(folder: str, file: str) -> str:
    """The absolute path of a date file, which is relative to the folder of the job file."""
    if file == "~" or file.startswith("~/"):
        return os.path.normpath((home(None) or "/") + file[1:])
    return os.path.normpath(os.path.join(folder, file))


def _check_origin(name: str, body: Mapping[str, Any], source: Source, report: Report) -> bool:
    """Report a calendar that has neither `dates` nor a `file`, or both; returns whether it has exactly one."""
    named = [key for key in keys.CALENDAR if key in body]
    if not named and body.keys() <= keys.CALENDAR.keys():
        hint = 'add `dates = [2026-12-25]`, or `file = "holidays.txt"`'
        report.error(source, ("calendars", name), f"calendar `{name}` has no dates", hint)
    elif len(named) > 1:
        message = f"calendar `{name}` has both `dates` and `file`"
        hint = "remove one of the two; `skip_on` and `only_on` take several calendars"
        report.error(source, ("calendars", name, "file"), message, hint, "key")
    return len(named) == 1


def _read_dates(file: str, path: Path, source: Source, files: dict[str, bytes], report: Report) -> frozenset[int]:
    """The dates in a file, whose digest is added to `files`; its faults are reported at the `file` of the calendar at a path."""
    absolute = dates_file(source.folder, file)
    try:
        raw = _bytes(absolute)
    except RefusalError as refusal:
        report.error(source, (*path, "file"), refusal.message, refusal.hint)
        return frozenset()
    files[absolute] = hashlib.sha256(raw).digest()
    found: set[int] = set()
    faults: list[tuple[str, str]] = []
    for number, line in enumerate(raw.decode(errors="replace").removeprefix("\ufeff").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                found.add(_ordinal(text))
            except RefusalError as refusal:
                faults.append((f"line {number} of `{absolute}`: {refusal.message}", refusal.hint))
    for index, (message, hint) in enumerate(faults[:MOST_SHOWN]):
        more = f" (so are {len(faults) - MOST_SHOWN} more lines)" if index == MOST_SHOWN - 1 and len(faults) > MOST_SHOWN else ""
        report.error(source, (*path, "file"), message + more, hint)
    return frozenset(found)


def _ordinal(text: str) -> int:
    match = DATE.fullmatch(text)
    if match is None:
        raise RefusalError(f"{brief(text)} is not a date", "a line holds a date such as `2026-12-25`; `#` begins a comment")
    try:
        return date(*map(int, match.groups())).toordinal()
    except ValueError:
        raise RefusalError(f"there is no {text}", "check the day and the month: a date is written year-month-day") from None


def _bytes(file: str) -> bytes:
    irregular = RefusalError(f"`{file}` is not a regular file", "a date file is read again and again")
    try:
        raw, _ = content(file, SIZE_LIMIT, irregular)
    except IsADirectoryError:
        raise irregular from None
    except FileNotFoundError:
        hint = "write a date such as `2026-12-25` on each of its lines; its path is relative to the job file"
        raise RefusalError(f"there is no date file `{file}`", hint) from None
    if len(raw) > SIZE_LIMIT:
        raise RefusalError(f"`{file}` is larger than 1 MB", "a date file has a date on each line")
    return raw
