"""Alerts about what is expected and did not come: a task that is late or slow, slots that were skipped in a row, an approval."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from cronflow.alerts.layout import headline, last_lines, named, one_line
from cronflow.alerts.parts import Facts, Parts, last_success, moment, name_of, origin, place_of, said, tail
from cronflow.core import words


def late(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    """A task that had not succeeded by its deadline, or cannot any more."""
    head = [
        f"{_how_late(facts, zone)}.",
        " ".join(filter(None, (_due(facts, zone), last_success(facts, zone)))),
        named("Held up", facts.get("blocks", ())),
    ]
    rows = _output_row(facts) + tail(facts, zone, _commands(facts))
    return headline("LATE", name_of(facts), host), (head, [last_lines(facts.get("tail", ()))], rows)


def _how_late(facts: Facts, zone: str) -> str:
    state, now = facts.get("state"), facts.get("at", facts.get("now", 0.0))
    deadline = _zoned(facts, "deadline", zone)
    by = f"its deadline, {deadline}" if deadline else "its deadline"
    if state == "success":
        behind = words.duration(facts["ended_at"] - facts["deadline"]) if "ended_at" in facts and deadline else ""
        return f"Succeeded{moment(facts, 'ended_at', zone, exact=False)}, {f'{behind} after ' if behind else 'after '}{by}"
    if state in ("failed", "blocked"):
        verb = "Will miss" if facts.get("deadline", 0.0) > now else "Missed"
        cause = f", because {one_line(facts['cause'])} failed" if "cause" in facts else ""
        return f"{verb} {by}: {state}{moment(facts, 'ended_at', zone, exact=False)}{cause}"
    if state == "running":
        took = f": for {words.duration(now - facts['running_since'])}" if "running_since" in facts else ""
        usual = f", usually {words.short_duration(facts['usual_s'])}" if took and "usual_s" in facts else ""
        return f"Still running at {by}{took}{usual}"
    return f"Not done by {by}{_waiting(facts)}"


def _waiting(facts: Facts) -> str:
    state, reason = facts.get("state"), one_line(facts.get("reason", "")).replace("_", " ")
    if state == "retrying":
        return f": tried {words.times(len(facts.get('attempts', ())))}, to be tried again"
    if facts.get("waits_for"):
        return f": waiting for {words.listing([one_line(name) for name in facts['waits_for']], 4)}"
    return f": {state}{f' ({reason})' if reason else ''}" if state else ""


def _due(facts: Facts, zone: str) -> str:
    if "slot" not in facts or "deadline" not in facts:
        return ""
    slot = words.clock(facts["slot"], facts.get("now", facts["slot"]), zone)
    caught = ", caught up" if facts.get("trigger") == "catchup" else ""
    return f"Due {words.duration(facts['deadline'] - facts['slot'])} after its slot of {slot}{caught}."


def slow(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    """A command that runs far longer than it usually does."""
    head = [_how_slow(facts, zone), _rule(facts), named("Held up", facts.get("waiting", ()))]
    rows = _output_row(facts) + tail(facts, zone, _commands(facts))
    return headline("SLOW", name_of(facts), host), (head, [last_lines(facts.get("tail", ()))], rows)


def _how_slow(facts: Facts, zone: str) -> str:
    if "running_since" not in facts:
        return "Running longer than it usually does."
    took = words.duration(facts.get("at", facts.get("now", 0.0)) - facts["running_since"])
    again = f", attempt {facts['attempt']}" if facts.get("attempt", 1) > 1 else ""
    usual = ""
    if "usual_s" in facts:
        known = f" (the median of {words.count(facts['known'], 'success', 'successes')})" if facts.get("known") else ""
        usual = f" Usually {words.duration(facts['usual_s'])}{known}."
    return f"Running for {took}, since {_zoned(facts, 'running_since', zone)}{again}{origin(facts, zone)}.{usual}"


def _rule(facts: Facts) -> str:
    if "slow_after_s" not in facts:
        return ""
    after, slow = words.duration(facts["slow_after_s"]), facts.get("slow")
    own = f"`slow` is {slow[1]:g} times the median" if slow and slow[0] == "factor" else "`slow`" if slow else "no `slow` is set"
    ends = f"Its `timeout` ends it after {words.duration(facts['timeout_s'])}" if "timeout_s" in facts else "It has no `timeout`"
    return f"Slow from {after} on ({own}). {ends}."


def skipped(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    """Slots in a row at which the run before still went on."""
    now, number = facts.get("at", facts.get("now", 0.0)), facts.get("slots")
    what = f"{words.count(number, 'slot')} in a row" if number else "Several slots in a row"
    span = ""
    if "slot" in facts and "slot_last" in facts:
        span = f", {' to '.join(words.clock(facts[key], now, zone) for key in ('slot', 'slot_last'))}"
    going: Sequence[Sequence[Any]] = facts.get("going", ())
    full = "too many runs wait already, " if facts.get("reason") == "queue_full" else ""
    why = f"{full}an earlier run still goes on"
    commands = (f"Why:     cronflow why {name_of(facts)}" if name_of(facts) else "", "")
    if going:
        run, since = going[0]
        long = f" since {words.clock(since, now, zone)} ({words.duration(now - since)})" if since is not None else ""
        why = f"{full}run {run} still goes on{long}"
        commands = (commands[0], f"End it: cronflow cancel {run}")
    head = [f"Skipped {what.lower()}{span}: {why}.", "Told once, however many more are skipped in this row."]
    return headline("SKIPPED", name_of(facts), host, after=f": {what.lower()}"), (head, [], tail(facts, zone, commands))


def approval(facts: Facts, host: str, zone: str) -> tuple[str, Parts]:
    """A task that a person has to let go on."""
    asked = _zoned(facts, "at", zone)
    copies = facts.get("copies", 1)
    waits = "Waits" if copies == 1 else f"{copies} copies wait"
    run = ", ".join(filter(None, (f"run {facts['run']}" if "run" in facts else "", origin(facts, zone).strip(" ()"))))
    head = [
        f"{waits} for approval{f' since {asked}' if asked else ''}{f' ({run})' if run else ''}.",
        said(facts),
        named("Held up", facts.get("blocks", ())),
    ]
    commands = ("", "")
    if "run" in facts:
        place = place_of(facts) if copies == 1 else shlex.quote(f"{facts['run']}/{facts['job']}")
        commands = (f"Yes:  cronflow approve {place}", f"No: cronflow reject {place}")
    return headline("APPROVAL", name_of(facts), host), (head, [], tail(facts, zone, commands))


def _commands(facts: Facts) -> tuple[str, str]:
    if "run" not in facts:
        return "", ""
    act = f"End it: cronflow cancel {place_of(facts)}"
    if facts.get("state") in ("failed", "blocked", "success"):
        act = f"Again:  cronflow retry {facts['run']}" if facts["state"] != "success" else ""
    return f"Why:     cronflow why {place_of(facts)}", act


def _output_row(facts: Facts) -> list[str]:
    return [f"Output:  cronflow logs {place_of(facts)}"] if "run" in facts and facts.get("attempts") else []


def _zoned(facts: Facts, key: str, zone: str) -> str:
    if key not in facts:
        return ""
    return f"{words.clock(facts[key], facts.get('now', facts[key]), zone)} {words.zone_name(facts[key], zone)}".rstrip()
