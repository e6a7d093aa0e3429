"""The tables of a job file: reads the values of their keys, and refuses keys that a table cannot have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cronflow.jobfile import keys
from cronflow.jobfile.jobkinds import name_hint
from cronflow.jobfile.keys import Keys
from cronflow.jobfile.kinds import type_name
from cronflow.jobfile.locate import Path
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import Part, Source
from cronflow.jobfile.suggest import did_you_mean
from cronflow.jobfile.values import RefusalError


def table_of(source: Source, path: Path, report: Report) -> Mapping[str, Any]:
    """A table of the top level; an empty one where there is none."""
    name = str(path[0])
    table = source.data.get(name, {})
    if isinstance(table, dict):
        return table
    example = f"[{name}.NAME]" if name in ("jobs", "alerts", "calendars") else f"[{name}]"
    report.error(source, path, f"`{name}` is {type_name(table)}, where a table belongs", f"write `{example}`", "key")
    return {}


def check_name(noun: str, name: str, path: Path, source: Source, report: Report) -> None:
    """Report a name that is not valid."""
    if hint := name_hint(name):
        report.error(source, path, f"`{name}` is not a valid {noun} name", hint, "key")


def read_keys(
    table: Mapping[str, Any], known: Keys, source: Source, path: Path, report: Report
) -> tuple[dict[str, Any], set[str]]:
    """Read a table, and report unknown keys; returns the values of the known ones, and those in which something was refused."""
    found: dict[str, Any] = {}
    refused: set[str] = set()
    for key, value in table.items():
        spec = known.get(key)
        if spec is None:
            message, hint = _unknown(key, value, known, path)
            report.error(source, (*path, key), message, hint, "key")
            continue

        def complain(message: str, hint: str | None, *sub: str | int, part: Part = "value", key: str = key) -> None:
            refused.add(key)
            report.error(source, (*path, key, *sub), message, hint, part)

        try:
            found[key] = spec.kind.read(key, value, complain)
        except RefusalError as refusal:
            complain(refusal.message, refusal.hint)
    return found, refused


def _unknown(key: str, value: Any, known: Keys, path: Path) -> tuple[str, str]:
    owner = f"{str(path[0]).removesuffix('s')} `{path[1]}`" if len(path) > 1 else f"`[{path[0]}]`"
    if key in keys.LATER.get(str(path[0]), ()):
        return f"`{key}` in {owner} is not supported yet", "remove it for now"
    if path[0] == "jobs" and isinstance(value, dict) and value.keys() & keys.JOB.keys():
        hint: str | None = f'a name with a dot needs quotes: `[jobs."{path[1]}.{key}"]`'
    else:
        hint = did_you_mean(key, known) or _right_place(key)
    if hint is None:
        first = ", ".join(f"`{name}`" for name in list(known)[:4])
        hint = f"{owner} takes {first}, … (cronflow-jobs(5) lists all)"
    return f"unknown key `{key}` in {owner}", hint


def _right_place(key: str) -> str | None:
    if key.startswith("x-"):
        return "your own tables belong at the top level of the file"
    homes = (
        (keys.JOB, "below `[jobs.NAME]`"),
        (keys.SETTINGS, "below `[settings]`"),
        (keys.ALERT, "below `[alerts.NAME]`"),
        (keys.CALENDAR, "below `[calendars.NAME]`"),
        (keys.TOP, "at the top of the file, before the first header"),
    )
    return next((f"`{key}` belongs {where}" for table, where in homes if key in table), None)


def refuse_tables(source: Source, main: Source, report: Report) -> None:
    """Report keys and tables of the top level that are unknown, or belong elsewhere."""
    known = [*keys.TOP, *keys.TABLES]
    for name, value in source.data.items():
        if name.startswith("x-") or (name in known and (source is main or name in keys.INCLUDED)):
            continue
        if name == "include":
            message, hint = "an included file cannot include others", f"name its files in the `include` of `{main.file}`"
        elif name in known:
            message, hint = f"`{name}` belongs in the main file, not in an included one", f"move it to `{main.file}`"
        else:
            tables = isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
            message = f"unknown {'table' if tables else 'key'} `{name}`"
            hint = did_you_mean(name, known) or _right_place(name) or "names of your own tables begin with `x-`"
        report.error(source, (name,), message, hint, "key")
