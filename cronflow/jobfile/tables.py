"""What stands in a table of a job file: the values of its keys; keys that it cannot have are refused, with their right place."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from cronflow.jobfile import keys
from cronflow.jobfile.keys import Keys
from cronflow.jobfile.kinds import what
from cronflow.jobfile.locate import Path
from cronflow.jobfile.report import Part, Report
from cronflow.jobfile.source import Source
from cronflow.jobfile.suggest import closest, did_you_mean
from cronflow.jobfile.values import RefusalError


def table_of(source: Source, path: Path, report: Report) -> Mapping[str, Any]:
    """A table of the top level; an empty one where there is none."""
    name = str(path[0])
    table = source.data.get(name, {})
    if isinstance(table, dict):
        return table
    example = f"[{name}.NAME]" if name in ("jobs", "alerts", "calendars") else f"[{name}]"
    report.error(source, path, f"`{name}` is {what(table)}, where a table belongs", f"write `{example}`", "key")
    return {}


def known_keys(table: Mapping[str, Any], known: Keys) -> dict[str, Any]:
    return {key: table[key] for key in known if key in table}


def read_keys(
    table: Mapping[str, Any], known: Keys, source: Source, path: Path, report: Report
) -> tuple[dict[str, Any], set[str]]:
    """The values of the known keys of a table, and the keys of which something was refused."""
    found: dict[str, Any] = {}
    refused: set[str] = set()
    for key, value in table.items():
        spec = known.get(key)
        if spec is None:
            continue

        def complain(message: str, hint: str | None, *sub: str | int, part: Part = "value", key: str = key) -> None:
            refused.add(key)
            report.error(source, (*path, key, *sub), message, hint, part)

        try:
            found[key] = spec.kind.read(key, value, complain)
        except RefusalError as refusal:
            complain(refusal.message, refusal.hint)
    return found, refused


def refuse_unknown(
    table: Mapping[str, Any], known: Keys, later: Collection[str], source: Source, path: Path, owner: str, report: Report
) -> None:
    for key, value in table.items():
        if key in known:
            continue
        if key in later:
            report.error(source, (*path, key), f"`{key}` in {owner} is not supported yet", "take it out for now", "key")
            continue
        hint = did_you_mean(key, known)
        if isinstance(value, dict) and path[:1] == ("jobs",) and value.keys() & keys.JOB.keys():
            hint = f'a name with a dot needs quotes: `[jobs."{path[1]}.{key}"]`'
        elif hint is None:
            first = ", ".join(f"`{name}`" for name in list(known)[:4])
            hint = _home(key) or f"{owner} takes {first}, … (cronflow-jobs(5) lists all)"
        report.error(source, (*path, key), f"unknown key `{key}` in {owner}", hint, "key")


def _home(key: str) -> str | None:
    """Where a key of this name belongs."""
    if key.startswith("x-"):
        return "tables of your own stand at the top level of the file"
    homes = (
        (keys.JOB, "below `[jobs.NAME]`"),
        (keys.SETTINGS, "below `[settings]`"),
        (keys.ALERT, "below `[alerts.NAME]`"),
        (keys.CALENDAR, "below `[calendars.NAME]`"),
        (keys.TOP, "at the top of the file, before the first header"),
    )
    return next((f"`{key}` belongs {where}" for table, where in homes if key in table), None)


def refuse_tables(source: Source, main: Source, report: Report) -> None:
    """Keys and tables of the top level that are unknown, or belong elsewhere."""
    known = [*keys.TOP, *keys.TABLES]
    for name in source.data:
        path: Path = (name,)
        if name.startswith("x-") or (name in known and (source is main or name in keys.INCLUDED)):
            continue
        if name == "include":
            hint = f"name its files in the `include` of `{main.file}`"
            report.error(source, path, "an included file includes no further ones", hint, "key")
        elif name in known:
            told = f"`{name}` belongs into the main file, not into an included one"
            report.error(source, path, told, f"move it to `{main.file}`", "key")
        else:
            value = source.data[name]
            tables = isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
            what_ = "table" if tables else "key"
            near = closest(name, known)
            hint = f"did you mean `{near}`?" if near else _home(name) or "tables of your own have names that begin with `x-`"
            report.error(source, path, f"unknown {what_} `{name}`", hint, "key")
