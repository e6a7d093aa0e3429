"""One line of text for an event, a move or an action: the log of the daemon, and the golden text of the tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime

from cronflow.core.effects import Action, Effects, Move, StopAttempt
from cronflow.core.events import Event, Reloaded, RetryAsked, Started
from cronflow.core.records import Trouble
from cronflow.core.tables import ALERTS, PAUSES, RUNS, SKIPS


def event_line(event: Event) -> str:
    """`attempt_ended 3/load/1 exit_code=1`: the event's name and what it carries, left out what is empty."""
    word = "".join(f"_{sign.lower()}" if sign.isupper() else sign for sign in type(event).__name__).lstrip("_")
    if isinstance(event, Started | Reloaded):
        return f"{word} jobs={len(event.jobs.jobs)} flows={len(event.plan.flows)}"
    if isinstance(event, RetryAsked):
        return f"{word} run={event.run.id} by={event.by}"
    parts = [word]
    for spec in dataclasses.fields(event):
        value = getattr(event, spec.name)
        if value not in (None, False, (), "") and spec.name not in ("at", "words", "request"):
            parts.append(str(value) if spec.name == "ref" else f"{spec.name}={_plain(value)}")
    return " ".join(parts)


def _plain(value: object) -> str:
    if isinstance(value, Trouble):
        return value.key
    if isinstance(value, tuple):
        return ",".join(str(one) for one in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def move_line(move: Move) -> str:
    """`3/load waiting → queued (max_running)`; a run opens as `run 3 opened (backup, schedule)`."""
    name = f"run {move.run}" if move.task is None else f"{move.run}/{move.task}"
    why = f" ({move.reason})" if move.reason else ""
    if not move.before:
        return f"{name} opened{why}"
    return f"{name} {move.before} → {move.after}{why}"


def _utc(slot: int | None) -> str:
    return "" if slot is None else datetime.fromtimestamp(slot, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def action_line(action: Action) -> str:
    """`start 3/load/1`, `stop 3/load/1`."""
    if isinstance(action, StopAttempt):
        return f"{'kill' if action.now else 'stop'} {action.ref}"
    return f"start {action.ref}"


def news(out: Effects) -> Iterator[str]:
    """What of a step a person wants to read in a journal: runs that open and end, tasks that end or are tried again, rows of
    slots, pauses, skips, alerts."""
    quiet = ("queued", "running", "waiting")
    loud = Effects({table: out.rows[table] for table in (RUNS, PAUSES, SKIPS, ALERTS) if table in out.rows})
    loud.moves = [move for move in out.moves if not move.before or move.after not in quiet]
    return lines(loud)


def lines(out: Effects) -> Iterator[str]:
    """Every move, row of slots, pause, skip, alert and action of a step, in order."""
    for move in out.moves:
        yield move_line(move)
    for run in out.of(RUNS).values():
        if run is not None and run.is_row:
            span = f"{_utc(run.slot)} to {_utc(run.slot_last)}" if run.slots > 1 else _utc(run.slot)
            yield f"row {run.id} {run.flow}: {run.slots} slots {run.state} ({run.reason}), {span}"
    for job, pause in out.of(PAUSES).items():
        yield f"{'pause' if pause else 'resume'} {job}"
    for job, skip in out.of(SKIPS).items():
        yield f"skip {job}: {skip.left if skip else 0} left"
    for alert in out.of(ALERTS).values():
        about = f" {alert.run}/{alert.task}" if alert.task else ""
        yield f"alert {alert.kind} to {alert.target}{about}"
    for action in out.actions:
        yield action_line(action)
    for number, reply in out.replies.items():
        answer = f"refused: {reply.refused}" if reply.refused else "runs " + ",".join(map(str, reply.runs))
        yield f"reply {number} {answer}"
