"""The job file of an import: values by tomli-w, comments and order by us, strings with backslashes as literal ones."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tomli_w

from cronflow.crontab.convert import GAP, Draft, Import
from cronflow.crontab.variables import CRON_PATH

SHARED = ("catchup", "overlap", "timezone", "jitter", "user", "cwd", "shell", "alert")
"""Keys that go to `[defaults]` if all jobs have the same value."""
BY_MOST = ("catchup", "overlap")
"""Keys that go there in any case, with the value that most jobs have."""
ORDER = (
    *("description", "schedule", "every", "timezone", "jitter", "only_if", "catchup", "overlap"),
    *("user", "cwd", "shell", "env", "alert", "command", "stdin"),
)
NAMES = {"shell": "SHELL", "cwd": "HOME", "alert": "MAILTO", "timezone": "CRON_TZ", "jitter": "RANDOM_DELAY"}
"""The variables of a crontab that become keys."""
LOOSEN = {
    ("catchup", "none"): 'as cron: a start that is missed stays missed; "last" makes up for the last one',
    ("catchup", "last"): "as anacron: a start that is missed is made up for, once",
    ("overlap", "allow"): 'as cron: a job is started although it still runs; "skip" leaves such a start out',
    ("overlap", "skip"): "a job that still runs is not started again",
    ("alert", "[]"): "MAILTO is empty: nobody is told; take it out when there is an [alerts.NAME]",
}
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f]")


def write(done: Import) -> str:
    """The text of the job file. The same import gives the same text."""
    done = done._replace(drafts=[_told(draft, [target.name for target in done.targets]) for draft in done.drafts])
    defaults, env = _defaults(done.drafts)
    parts = ["\n".join(_head(done)), *_tables(done, defaults, env)]
    several = len(done.tables) > 1
    for table in done.tables:
        mine = [draft for draft in done.drafts if draft.table == table]
        trailing = _comments(done.after.get(table, []))
        if several and (mine or trailing):
            parts.append(f"# ---- {_shown(table)} {'-' * max(3, 100 - len(table))}")
        for draft in mine:
            place = f"{_shown(table)}:{draft.entry.line}" if several else f"line {draft.entry.line}"
            parts.append("\n".join(_job(draft, place, defaults, env)))
        if trailing:
            parts.append("\n".join(trailing))
    return "\n\n".join(parts) + "\n"


def _told(draft: Draft, targets: Sequence[str]) -> Draft:
    """A job whose key `alert` is there only if it is not told to all targets."""
    alert = draft.keys["alert"]
    if alert is None and not targets:
        return draft
    told = [] if alert is None else alert
    return draft._replace(keys={**draft.keys, "alert": None if targets and told == targets else told})


def _head(done: Import) -> Iterator[str]:
    names = ", ".join(done.tables[:6]) + (f" and {len(done.tables) - 6} more" if len(done.tables) > 6 else "")
    yield f"# Made by `cronflow import` from {_shown(names)}."
    yield "# Jobs start as under cron. `cronflow check` reads this file; cronflow-crontab(7) tells what differs."
    if not done.drafts:
        yield "# There is no job in it."
    elif mailed := sum("MAILTO" not in draft.variables for draft in done.drafts):
        which = "of jobs" if mailed == len(done.drafts) else "of some jobs"
        yield f"# Without MAILTO cron mails the output {which} to their user. Here nobody is told: `[alerts.NAME]` names who is."


# ---- what jobs share ------------------------------------------------------------------------------------------------------


def _defaults(drafts: Sequence[Draft]) -> tuple[dict[str, Any], dict[str, str]]:
    """The keys of `[defaults]`, and the variables of its `env`: what all jobs share."""
    defaults: dict[str, Any] = {}
    for key in SHARED:
        values = [_plain(draft.keys.get(key)) for draft in drafts]
        if key in BY_MOST and values:
            defaults[key] = json.loads(Counter(values).most_common(1)[0][0])
        elif values and len(set(values)) == 1 and values[0] != "null" and (key != "alert" or values[0] == "[]"):
            defaults[key] = json.loads(values[0])
    env: dict[str, str] = {}
    names = dict.fromkeys(name for draft in drafts for name in draft.keys.get("env", {}))
    for name in names:
        found = [draft.keys.get("env", {}).get(name) for draft in drafts]
        if None not in found:
            value, often = Counter(found).most_common(1)[0]
            if often == len(drafts) or often > 1:
                env[name] = str(value)
    return defaults, env


def _plain(value: object) -> str:
    return json.dumps(value)


def _tables(done: Import, defaults: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[str]:
    """The tables in front of the jobs, each with the comments that stood above its lines in the crontab."""
    about = dict(done.about)
    if defaults:
        lines = ["[defaults]"]
        for key in ORDER:
            if key in defaults:
                lines.extend(_comments(_above(about, NAMES.get(key, ""), defaults[key])))
                lines.append(_remarked(_pair(key, defaults[key]), LOOSEN.get((key, str(defaults[key])), ""), 20))
        yield "\n".join(lines)
    if env:
        lines = ["[defaults.env]"]
        own = not done.sets_path
        for name, value in env.items():
            lines.extend(_comments(_above(about, name, value)))
            told = "cron's own; without it /usr/local and the sbin folders are searched too" if own and name == "PATH" else ""
            lines.append(_remarked(_pair(name, value), told if value == CRON_PATH else "", 20))
        yield "\n".join(lines)
    for target in done.targets:
        lines = _comments(_above(about, "MAILTO", target.mailto))
        told = "cron mails all output, an alert tells of failures; `cronflow alerts test` tries it"
        lines.append(f"# MAILTO={_shown(target.mailto)}: {told}")
        yield "\n".join([*lines, f"[alerts.{target.name}]", _pair("urls", [target.url])])
    rest = _comments(line for (name, value), lines in about.items() if lines for line in [f"{name}={value}:", *lines, GAP])
    if rest:
        yield "\n".join(rest)


def _above(about: dict[tuple[str, str], list[str]], name: str, value: object) -> list[str]:
    """The comments above a variable of the crontab, each told once."""
    held = "" if value == [] else value[:-1] if name == "RANDOM_DELAY" and isinstance(value, str) else str(value)
    return about.pop((name, held), [])


def _remarked(text: str, remark: str, column: int) -> str:
    """A line with a remark behind it, at a column where that is free."""
    return f"{text.ljust(column)}  # {_shown(remark)}" if remark else text


# ---- a job ----------------------------------------------------------------------------------------------------------------


def _job(draft: Draft, place: str, defaults: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    lines = _comments(draft.before)
    if lines and draft.before[-1] == GAP:
        lines.append("")
    lines.append(_remarked(f"[jobs.{draft.name}]", place, 36))
    lines.extend(f"# {_shown(note)}" for note in draft.notes)
    for key in ORDER:
        value = draft.keys.get(key)
        if key == "env":
            value = {name: text for name, text in (value or {}).items() if env.get(name) != text} or None
        elif key in defaults and defaults[key] == value:
            continue
        if value is not None:
            lines.append(_pair(key, value))
    return lines


def _comments(lines: Iterable[str]) -> list[str]:
    """Lines as comments, without empty ones at the ends of what belongs together."""
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
    """A text that may stand in a comment: TOML wants no control characters there."""
    return CONTROL.sub("\ufffd", text)


def _pair(key: str, value: Any) -> str:
    """A key and its value, on one line unless the value has lines itself."""
    if isinstance(value, dict):
        inner = ", ".join(_pair(name, text) for name, text in value.items())
        return f"{key} = {{ {inner} }}"
    if isinstance(value, list):
        return f"{key} = [{', '.join(_string(item) for item in value)}]"
    return f"{key} = {_string(value)}"


def _string(text: str) -> str:
    """A string as TOML: plain where it needs no escape, else a literal one, in which a backslash is a backslash."""
    written = tomli_w.dumps({"a": text}).removeprefix("a = ").rstrip("\n")
    if "\\" not in written and '"""' not in written:
        return written
    if CONTROL.search(text) or "\n" in text:
        return written
    if "'" not in text:
        return f"'{text}'"
    return written if "'''" in text or text[-1] == "'" else f"'''{text}'''"
