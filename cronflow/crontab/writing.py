"""Writes the job file of an import, with the comments of the crontabs. tomli-w writes the values."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tomli_w

from cronflow.crontab.convert import GAP, Import, ImportedJob
from cronflow.crontab.variables import CRON_PATH

SHARED = ("catchup", "overlap", "timezone", "jitter", "user", "cwd", "shell", "alert")
"""Keys that go into `[defaults]` if all jobs have the same value."""
BY_MOST = ("catchup", "overlap")
"""Keys that always go there, with the value that most jobs have."""
ORDER = (
    *("description", "schedule", "every", "timezone", "jitter", "only_if", "catchup", "overlap"),
    *("user", "cwd", "shell", "env", "alert", "command", "stdin"),
)
NAMES = {"shell": "SHELL", "cwd": "HOME", "alert": "MAILTO", "timezone": "CRON_TZ", "jitter": "RANDOM_DELAY"}
"""The variables of a crontab that become keys."""
REMARKS = {
    ("catchup", "none"): 'as in cron: missed starts stay missed; "last" makes up for the last one',
    ("catchup", "last"): "as in anacron: missed starts are made up for, once",
    ("overlap", "allow"): 'as in cron: a job starts even if it is still running; "skip" skips such a start',
    ("overlap", "skip"): "a job that is still running is not started again",
    ("alert", "[]"): "MAILTO is empty: nobody is alerted; remove it once there is an [alerts.NAME]",
}
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


def write(done: Import) -> str:
    """The text of the job file; the same for the same import."""
    done = done._replace(jobs=[_with_alert(imported, [target.name for target in done.targets]) for imported in done.jobs])
    defaults, env = _defaults(done.jobs)
    parts = ["\n".join(_head(done)), *_tables(done, defaults, env)]
    several = len(done.tables) > 1
    for table in done.tables:
        mine = [imported for imported in done.jobs if imported.table == table]
        trailing = _comments(done.after.get(table, []))
        if several and (mine or trailing):
            parts.append(f"# ---- {_shown(table)} {'-' * max(3, 100 - len(table))}")
        for imported in mine:
            place = f"{_shown(table)}:{imported.entry.line}" if several else f"line {imported.entry.line}"
            parts.append("\n".join(_job(imported, place, defaults, env)))
        if trailing:
            parts.append("\n".join(trailing))
    return "\n\n".join(parts) + "\n"


def _with_alert(imported: ImportedJob, targets: Sequence[str]) -> ImportedJob:
    """The job, with a key `alert` only if it does not alert all targets."""
    alert = imported.keys["alert"]
    if alert is None and not targets:
        return imported
    named = [] if alert is None else alert
    return imported._replace(keys={**imported.keys, "alert": None if targets and named == targets else named})


def _head(done: Import) -> Iterator[str]:
    names = ", ".join(done.tables[:6]) + (f" and {len(done.tables) - 6} more" if len(done.tables) > 6 else "")
    yield f"# Made by `cronflow import` from {_shown(names)}."
    yield "# Jobs start as under cron. `cronflow check` checks this file; cronflow-crontab(7) explains the differences."
    if not done.jobs:
        yield "# It contains no jobs."
    elif mailed := sum("MAILTO" not in imported.variables for imported in done.jobs):
        which = "of jobs" if mailed == len(done.jobs) else "of some jobs"
        yield f"# Without MAILTO cron mails the output {which} to their user. Here nobody is alerted: add an `[alerts.NAME]`."


# ---- what jobs share ------------------------------------------------------------------------------------------------------


def _defaults(imported_jobs: Sequence[ImportedJob]) -> tuple[dict[str, Any], dict[str, str]]:
    """The keys of `[defaults]`, and the variables of its `env`: what the jobs share."""
    defaults: dict[str, Any] = {}
    for key in SHARED:
        values = [json.dumps(imported.keys.get(key)) for imported in imported_jobs]
        if key in BY_MOST and values:
            defaults[key] = json.loads(Counter(values).most_common(1)[0][0])
        elif values and len(set(values)) == 1 and values[0] != "null" and (key != "alert" or values[0] == "[]"):
            defaults[key] = json.loads(values[0])
    env: dict[str, str] = {}
    names = dict.fromkeys(name for imported in imported_jobs for name in imported.keys.get("env", {}))
    for name in names:
        found = [imported.keys.get("env", {}).get(name) for imported in imported_jobs]
        if None not in found:
            value, often = Counter(found).most_common(1)[0]
            if often == len(imported_jobs) or often > 1:
                env[name] = str(value)
    return defaults, env


def _tables(done: Import, defaults: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[str]:
    """The tables before the jobs, each with the comments that were above its lines in the crontab."""
    about = dict(done.about)
    if defaults:
        lines = ["[defaults]"]
        for key in ORDER:
            if key in defaults:
                lines.extend(_comments(_above(about, NAMES.get(key, ""), defaults[key])))
                lines.append(_remarked(_pair(key, defaults[key]), REMARKS.get((key, str(defaults[key])), ""), 20))
        yield "\n".join(lines)
    if env:
        lines = ["[defaults.env]"]
        own = not done.sets_path
        for name, value in env.items():
            lines.extend(_comments(_above(about, name, value)))
            is_cron_path = own and name == "PATH" and value == CRON_PATH
            remark = "cron's own; without it /usr/local and the sbin folders are searched too" if is_cron_path else ""
            lines.append(_remarked(_pair(name, value), remark, 20))
        yield "\n".join(lines)
    for target in done.targets:
        lines = _comments(_above(about, "MAILTO", target.mailto))
        remark = "cron mails all output, an alert only reports failures; `cronflow alerts test` tries it"
        lines.append(f"# MAILTO={_shown(target.mailto)}: {remark}")
        yield "\n".join([*lines, f"[alerts.{target.name}]", _pair("urls", [target.url])])
    rest = _comments(line for (name, value), lines in about.items() if lines for line in [f"{name}={value}:", *lines, GAP])
    if rest:
        yield "\n".join(rest)


def _above(about: dict[tuple[str, str], list[str]], name: str, value: object) -> list[str]:
    """The comments above a variable of the crontab, which are removed from `about`."""
    text = "" if value == [] else value[:-1] if name == "RANDOM_DELAY" and isinstance(value, str) else str(value)
    return about.pop((name, text), [])


def _remarked(text: str, remark: str, column: int) -> str:
    """A line with a remark after it, at a column if that is free."""
    return f"{text.ljust(column)}  # {_shown(remark)}" if remark else text


# ---- a job ----------------------------------------------------------------------------------------------------------------


def _job(imported: ImportedJob, place: str, defaults: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    lines = _comments(imported.before)
    if lines and imported.before[-1] == GAP:
        lines.append("")
    lines.append(_remarked(f"[jobs.{imported.name}]", place, 36))
    lines.extend(f"# {_shown(note)}" for note in imported.notes)
    for key in ORDER:
        value = imported.keys.get(key)
        if key == "env":
            value = {name: text for name, text in (value or {}).items() if env.get(name) != text} or None
        elif key in defaults and defaults[key] == value:
            continue
        if value is not None:
            lines.append(_pair(key, value))
    return lines


def _comments(lines: Iterable[str]) -> list[str]:
    """Lines as comments, without empty ones at the beginning and end of each block."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line == GAP:
            blocks.append([])
        elif line.strip() or blocks[-1]:
            blocks[-1].append(f"# {_shown(line)}".rstrip())
    written: list[str] = []
    for block in blocks:
        while block and block[-1] == "#":
            block.pop()
        written.extend([*([""] if written and block else []), *block])
    return written


def _shown(text: str) -> str:
    """A text for a comment, in which TOML allows no control characters."""
    return CONTROL.sub("\ufffd", text)


def _pair(key: str, value: Any) -> str:
    """A key and its value, on one line unless the value has several."""
    if isinstance(value, dict):
        inner = ", ".join(_pair(name, text) for name, text in value.items())
        return f"{key} = {{ {inner} }}"
    if isinstance(value, list):
        return f"{key} = [{', '.join(_string(item) for item in value)}]"
    return f"{key} = {_string(value)}"


def _string(text: str) -> str:
    """A string as TOML: a basic one if it needs no escapes, otherwise a literal one, in which a backslash is a backslash."""
    written = tomli_w.dumps({"a": text}).removeprefix("a = ").rstrip("\n")
    if "\\" not in written and '"""' not in written:
        return written
    if CONTROL.search(text) or "\n" in text:
        return written
    if "'" not in text:
        return f"'{text}'"
    return written if "'''" in text or text[-1] == "'" else f"'''{text}'''"
