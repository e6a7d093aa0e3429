"""What a reload would change, one block for each kind of change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from cronflow.cli.screens.style import Style, column_width, pad
from cronflow.core import words
from cronflow.core.plan.changes import HIDDEN, KeyChange, SlotChange
from cronflow.core.time.triggers import described, triggers_of
from cronflow.facts.reload_changes import ReloadChanges
from cronflow.jobfile.keys import JOB, SETTINGS
from cronflow.jobfile.values import format_duration

_FLOWS = {"merge": "become one", "split": "is parted", "rename": "has another name"}
_CUT = 60


def plan_screen(found: ReloadChanges, file: str, since: float | None, style: Style) -> str:
    """The whole screen. `since`: since when the old reading is in force; None if there is no daemon to ask, and it is the jobs
    that the history knows."""
    if since is not None:
        against = f"against what is in force since {style.clock.when(since)}"
    else:
        against = "against the jobs that the history knows (the daemon is not running; jobs that never ran count as added)"
    head = style.fold("", [f"{file} {against}"], 0)
    if not found.changes:
        return f"{head}\na reload would change nothing"
    return "\n".join([head, *map(style.clip, _sections(found, style))])


def _sections(found: ReloadChanges, style: Style) -> Iterator[str]:
    changes = found.changes
    edited = [line for job, keys in changes.edited.items() for line in (f"  ~ {job}", *_keys(keys, "      "))]
    going = [
        f"  run {one.run.id} of {one.run.flow} ends under the definition with which it began: {words.listing(one.jobs)}"
        for one in found.runs
    ]
    flows = [f"  {' and '.join(one.before)} {_FLOWS[one.kind]}: {' and '.join(one.after)}" for one in changes.flows]
    slots = [f"  {_slot_line(one, found.dropped.get(one.job, 0), style)}" for one in changes.slots]
    yield from style.section("ADDED", [f"  + {_about(name, found)}" for name in changes.added])
    yield from style.section("REMOVED", [f"  - {name}" for name in changes.removed])
    yield from style.section("CHANGED", edited, len(changes.edited))
    yield from style.section("FLOWS", flows)
    yield from style.section("NEXT SLOTS", slots)
    yield from style.section("SETTINGS", list(_keys(changes.settings, "  ")))
    yield from style.section("RUNS GOING ON", going)


def _about(name: str, found: ReloadChanges) -> str:
    """A job that is added, with what makes it start."""
    job = found.after.jobs[name]
    triggers = triggers_of(job)
    starts = [described(triggers)] if triggers else []
    after = [f"after {', '.join(edge.job for edge in job.after)}"] if job.after else []
    said = "; ".join([*starts, *after])
    return f"{name}   {said}" if said else name


def _keys(changes: list[KeyChange], indent: str) -> Iterator[str]:
    width = column_width(one.key for one in changes)
    for one in changes:
        yield f"{indent}{pad(one.key, width)}   {value(one.key, one.before)} -> {value(one.key, one.after)}"


def value(key: str, plain: Any) -> str:
    """A value nearly as the job file has it, cut where it is long."""
    name = key.rpartition(".")[2]
    if plain is None or plain == HIDDEN:
        return plain or "none"
    if name == "after":
        text = ", ".join(job if condition == "success" else f"{job} ({condition})" for job, condition in plain) or "none"
    elif isinstance(plain, int | float) and not isinstance(plain, bool) and _is_duration(name):
        text = format_duration(plain)
    elif isinstance(plain, list) and len(plain) < 2:
        text = json.dumps(plain[0], ensure_ascii=False) if plain else "none"
    else:
        text = json.dumps(plain, ensure_ascii=False)
    return words.end_cut(words.plain(text), _CUT)


def _is_duration(key: str) -> bool:
    known = JOB.get(key) or SETTINGS.get(key)
    return known is not None and known.kind.schema.get("$ref") == "#/$defs/duration"


def _slot_line(one: SlotChange, dropped: int, style: Style) -> str:
    before, after = (style.clock.day_when(at) if at is not None else "none" for at in (one.before, one.after))
    moved = f"{one.job}: next {before} -> {after}" if one.before != one.after else f"{one.job}: next {after}"
    anew = ", counted anew from the reload on" if one.anew else ""
    return moved + anew + (f"; {words.count(dropped, 'missed slot')} would not be caught up" if dropped else "")
