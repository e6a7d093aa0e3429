"""The screens of `cronflow import --prove` and `--shadow`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cronflow.cli.screens.style import table
from cronflow.core.words import count, iso, local
from cronflow.crontab.proof import SHOWN, JobProof, StartDifference
from cronflow.crontab.shadow import Comparison

MOST = 20
"""Starts of a log that are listed."""


def proof_screen(proved: Sequence[JobProof], start: int, days: int, zone: str) -> str:
    """Each job with its next start and how often cron and cronflow start it, then where they differ."""
    lines = [f"the {count(days, 'day')} from {_minute(start, zone)} {zone}, by the rules of cron and by the job file"]
    rows = [(one.imported.name, " ".join(one.imported.entry.words), _when(one), _same(one)) for one in proved]
    lines += [f"  {row}" for row in table(rows)]
    for one in proved:
        lines.extend(_listed(one))
    timed = [one for one in proved if one.timed]
    starts = sum(one.cron for one in timed)
    differing = sum(len(one.differences) for one in timed)
    open_ones = sum(one.unexplained for one in timed)
    reasons = "all" if not open_ones else str(differing - open_ones)
    verdict = f"{count(differing, 'difference')}, {reasons} with a reason" if differing else "no difference"
    lines.append(f"{count(len(timed), 'job')}, {starts:,} starts by cron: {verdict}")
    return "\n".join(lines)


def _when(one: JobProof) -> str:
    if not one.timed:
        return "at boot" if one.imported.entry.every is None and one.imported.kind != "anacron" else "by anacron"
    return f"next {_minute(one.next, one.zone)}" if one.next is not None else "not in these days"


def _same(one: JobProof) -> str:
    if not one.timed:
        return "no time to compare"
    if not one.differences:
        return f"{one.cron:,} × the same"
    return f"{one.cron:,} × by cron, {one.ours:,} × by cronflow"


def _listed(one: JobProof) -> list[str]:
    """The differences of a job; of many the first ones."""
    shown = sorted(one.differences, key=lambda difference: (bool(difference.reason), difference.at))[:SHOWN]
    lines = [_difference(one, difference) for difference in sorted(shown)]
    left = len(one.differences) - len(shown)
    return [*lines, *([f"{one.imported.name}: and {left} more"] if left else [])]


def _difference(one: JobProof, difference: StartDifference) -> str:
    at = _minute(difference.at, one.zone)
    told = f"{one.imported.name} {at}: cron starts it {difference.cron} ×, cronflow {difference.ours} ×"
    return f"{told}: {difference.reason}" if difference.reason else f"{told}, WITHOUT A REASON"


def _minute(at: float, zone: str) -> str:
    return f"{local(at, zone):%Y-%m-%d %H:%M}"


def proof_answer(proved: Sequence[JobProof], zone: str) -> list[dict[str, Any]]:
    """The same as plain values."""
    return [
        {
            "job": one.imported.name,
            "cron": one.cron if one.timed else None,
            "cronflow": one.ours if one.timed else None,
            "next_at": None if one.next is None else iso(one.next, zone),
            "differences": [
                {"at": iso(each.at, zone), "cron": each.cron, "cronflow": each.ours, "reason": each.reason or None}
                for each in one.differences
            ],
        }
        for one in proved
    ]


def shadow_screen(compared: Comparison, zone: str) -> str:
    """What the log and the job file agree on, and what only one of them has."""
    lines = [f"cron's log from {_minute(compared.first, zone)} to {_minute(compared.last, zone)} {zone}, and the job file"]
    lines.append(f"  both: {count(compared.same, 'start')}")
    if compared.boots:
        lines.append(f"  at boot, or by hand: {count(compared.boots, 'start')} of jobs without a timetable")
    logged = [f"{_minute(start.at, zone)}  {name}  (line {start.line})" for start, name in compared.only_log]
    lines += _several("only cron's log", logged)
    lines += _several("only the job file", [f"{_minute(at, zone)}  {name}" for at, name in compared.only_file])
    commands = dict.fromkeys(f"({start.user}) {start.command}" for start in compared.others)
    lines += _several("starts of other commands, which these tables do not have", list(commands), len(compared.others))
    return "\n".join(lines)


def _several(title: str, rows: list[str], number: int | None = None) -> list[str]:
    if not rows:
        return []
    more = [f"    and {len(rows) - MOST} more"] if len(rows) > MOST else []
    return [f"  {title}: {len(rows) if number is None else number}", *(f"    {row}" for row in rows[:MOST]), *more]


def shadow_answer(compared: Comparison, zone: str) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "from": iso(compared.first, zone),
        "to": iso(compared.last, zone),
        "same": compared.same,
        "boots": compared.boots,
        "only_log": [{"job": name, "at": iso(start.at, zone), "line": start.line} for start, name in compared.only_log],
        "only_file": [{"job": name, "at": iso(at, zone)} for at, name in compared.only_file],
        "others": [
            {"at": iso(one.at, zone), "line": one.line, "user": one.user, "command": one.command} for one in compared.others
        ],
    }
