"""Parts that alerts of several kinds share: names, times, what started a run, the commands to paste at the end."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from cronflow.alerts.layout import columns, one_line, sentence_case
from cronflow.core import words

Facts = Mapping[str, Any]
Parts = tuple[Sequence[str], Sequence[str], Sequence[str]]
"""Head, middle and tail of a body, as lines."""

_TRIGGERS = {"manual": "started by hand", "retry": "a retry", "backfill": "a backfill", "catchup": "a catch-up"}


def tail(facts: Facts, zone: str, commands: tuple[str, str] | None = None) -> list[str]:
    """Commands to paste (else those to see the output and to run again), schedule, owner: two columns. What would make the
    tail long is cut: it has to stay whole."""
    schedule = coming = owner = runbook = ""
    logs, again = commands if commands is not None else ("", "")
    if commands is None and "run" in facts:
        logs, again = f"Output:  cronflow logs {place_of(facts)}", f"Again: cronflow retry {facts['run']}"
    if "schedule" in facts:
        schedule = f"Schedule: {words.end_cut(schedule_of(facts), 70)}"
    if facts.get("next_at", 0) > facts.get("now", 0):
        coming = f"Next: {words.day_clock(facts['next_at'], facts.get('now', 0), zone)}"
    if facts.get("owner"):
        owner = f"Owner: {words.end_cut(one_line(facts['owner']), 60)}"
    if facts.get("runbook"):
        runbook = f"Runbook: {one_line(facts['runbook'])[:250]}"
    rows = [row for pair in ((logs, again), (schedule, coming), (owner, runbook)) for row in columns(*pair)]
    if facts.get("description"):
        rows.append(f"About: {words.end_cut(one_line(facts['description']), 100)}")
    return rows


def place_of(facts: Facts) -> str:
    """What a command takes for the run, or for its task: `1423/load`."""
    name = name_of(facts)
    return shlex.quote(f"{facts['run']}/{name}" if name else str(facts["run"]))


def schedule_of(facts: Facts) -> str:
    shown = facts["schedule"]
    expressions = shown if isinstance(shown, str) else "; ".join(shown)
    return f"{one_line(expressions)} {facts.get('timezone', '')}".rstrip()


def name_of(facts: Facts) -> str:
    """The task where it is a copy of its job (`load[eu]`), else the job."""
    return one_line(facts.get("task") or facts.get("job") or "")


def moment(facts: Facts, key: str, zone: str, exact: bool = True) -> str:
    """ " at 02:31:14 CEST", or without `exact` " at 02:31"; nothing where the fact is missing."""
    if key not in facts:
        return ""
    at = facts[key]
    shown = words.clock(at, facts.get("now", at), zone, seconds=exact)
    return f" at {shown} {words.zone_name(at, zone)}".rstrip() if exact else f" at {shown}"


def last_success(facts: Facts, zone: str) -> str:
    if "last_success_at" not in facts:
        return ""
    last, now = facts["last_success_at"], facts.get("now", facts.get("finished_at", facts["last_success_at"]))
    return f"Last success {words.clock(last, now, zone)} ({words.duration(now - last)} ago)."


def said(facts: Facts) -> str:
    """The sentence that came with it: "`cwd` /srv/etl does not exist"."""
    return words.end_cut(sentence_case(one_line(facts.get("message", ""))), 200)


def origin(facts: Facts, zone: str) -> str:
    """What started the run, where it was not simply its trigger: " (started by hand by anna)"."""
    words_of = _TRIGGERS.get(facts.get("trigger", ""))
    if words_of is None:
        return ""
    if "by" in facts and facts["trigger"] != "catchup":
        words_of += f" by {words.end_cut(one_line(facts['by']), 24)}"
    if "slot" in facts and facts["trigger"] != "manual":
        words_of += f" of {words.clock(facts['slot'], facts.get('now', facts['slot']), zone)}"
    return f" ({words_of})"
