"""The outbox: alerts as rows, saved in the transaction that decided them and noted here as sent. Also what the history tells of
the run that an alert is about.

The daemon's connection alone writes; an alert is sent at least once.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from cronflow.core.jobs import ALERT_KINDS, Job, jobs_from_definition
from cronflow.core.notify.expectations import usual
from cronflow.core.records import Alert, AttemptRef
from cronflow.core.words import storable
from cronflow.store.loading import definition_text
from cronflow.store.sound import DamageError


class Unsent(NamedTuple):
    """An alert that is still to be sent; `nth` counts those of its target, from 1."""

    id: int
    at: float
    kind: str
    target: str
    job: str | None
    run: int | None
    task: str | None
    facts: dict[str, Any]
    tries: int
    nth: int


def due(db: sqlite3.Connection, now: float, each: int = 20, latest: float = math.inf) -> list[Unsent]:
    """Alerts to be sent now, and those whose next try would be after `latest`: of each target the oldest, `each` of them at
    most. A DamageError where one makes no sense."""
    rows = db.execute(
        "SELECT id, at, kind, target, job, run, task, facts, tries, nth FROM alerts JOIN"
        " (SELECT id, row_number() OVER (PARTITION BY target ORDER BY id) AS nth FROM alerts"
        " WHERE sent_at IS NULL AND (next_try_at <= ? OR next_try_at > ?)) USING (id) WHERE nth <= ? ORDER BY id",
        (now, latest, each),
    )
    found = []
    for number, at, kind, target, job, run, task, facts, tries, nth in rows:
        found.append(Unsent(number, at, kind, target, job, run, task, _facts(facts), tries, nth))
    for one in found:
        if one.kind not in ALERT_KINDS or not isinstance(one.tries, int) or not isinstance(one.target, str):
            raise DamageError(f"alert {one.id} makes no sense")
    return found


def next_try(db: sqlite3.Connection, now: float, latest: float, known: Collection[int], held: Collection[str]) -> float | None:
    """When the next alert is due that is not among `known`, nor for a target that is `held`; None where there is none. One
    that would be due after `latest` is due now: it was put off by a clock that has been set back since."""
    others = f"id NOT IN ({','.join('?' * len(known))}) AND target NOT IN ({','.join('?' * len(held))})"
    sql = f"SELECT min(CASE WHEN next_try_at > ? THEN ? ELSE next_try_at END) FROM alerts WHERE sent_at IS NULL AND {others}"
    at: float | None = db.execute(sql, (latest, now, *known, *held)).fetchone()[0]
    return at


def others_wait(db: sqlite3.Connection, one: Unsent) -> bool:
    """Whether another alert to the same target has not been sent either."""
    query = "SELECT 1 FROM alerts WHERE target = ? AND sent_at IS NULL AND id != ?"
    return db.execute(query, (one.target, one.id)).fetchone() is not None


def unsent(db: sqlite3.Connection) -> list[Alert]:
    """All alerts that are still to be sent, oldest first."""
    found = db.execute("SELECT at, kind, target, job, run, task, facts FROM alerts WHERE sent_at IS NULL ORDER BY id")
    return [Alert(at, kind, target, job, run, task, _facts(facts)) for at, kind, target, job, run, task, facts in found]


def note_try(db: sqlite3.Connection, number: int, sent_at: float | None, error: str | None, next_try_at: float | None) -> None:
    """Note how a try to send an alert ended; `sent_at` is None where it is to be tried again."""
    db.execute(
        "UPDATE alerts SET tries = tries + 1, sent_at = ?, error = ?, next_try_at = ? WHERE id = ?",
        (sent_at, error and storable(error), next_try_at, number),
    )


def _facts(text: str) -> dict[str, Any]:
    """The facts of an alert; none where they cannot be read: it is sent all the same."""
    try:
        facts = json.loads(text)
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


# ---- what an alert is about -----------------------------------------------------------------------------------------------


def jobs_of(db: sqlite3.Connection, run: int | None) -> dict[str, Job] | None:
    """The jobs of a run as they were when it was opened; None for a run that the history does not know."""
    row = db.execute("SELECT definition FROM runs WHERE id = ?", (run,)).fetchone()
    return None if row is None else jobs_from_definition(definition_text(db, row[0]))


def facts_of_task(db: sqlite3.Connection, run: int | None, task: str | None) -> dict[str, Any]:
    """What started a run, when the attempts of one of its tasks began, and how the last of them ended."""
    rows = db.execute(
        "SELECT started_at, finished_at, exit_code, signal, result, created_at FROM attempts"
        " WHERE run = ? AND task = ? AND kind = 'command' ORDER BY n",
        (run, task),
    ).fetchall()
    about = db.execute("SELECT trigger, by, slot FROM runs WHERE id = ?", (run,)).fetchone()
    facts: dict[str, Any] = {"run": run, "task": task, "attempts": [row[0] or row[5] for row in rows]}
    if about is not None:
        facts.update(zip(("trigger", "by", "slot"), about, strict=True))
    if rows:
        started, finished, facts["exit_code"], facts["signal"], facts["result"], _ = rows[-1]
        facts["finished_at"] = finished
        facts["duration_s"] = finished - started if finished is not None and started is not None else None
    return facts


def usual_duration(db: sqlite3.Connection, job: str) -> float | None:
    """The median duration of the job's last successes (seconds)."""
    row = db.execute("SELECT durations FROM health WHERE job = ?", (job,)).fetchone()
    return usual(json.loads(row[0])) if row else None


def last_of_kind(db: sqlite3.Connection, run: int | None, task: str | None, kind: str) -> AttemptRef | None:
    """The last attempt of a kind of a task, if there has been one."""
    query = "SELECT run, task, n, kind FROM attempts WHERE run = ? AND task = ? AND kind = ? ORDER BY n DESC LIMIT 1"
    row = db.execute(query, (run, task, kind)).fetchone()
    return None if row is None else AttemptRef(*row)


def tried_again(db: sqlite3.Connection, run: int, task: str) -> str | None:
    """The attempt with which a task goes on after it was interrupted, as `run/task/n`; None where it does not."""
    row = db.execute("SELECT state, attempts FROM tasks WHERE run = ? AND name = ?", (run, task)).fetchone()
    if row is None or row[0] in ("failed", "cancelled"):
        return None
    return f"{run}/{task}/{row[1] + (row[0] == 'retrying')}"


def states_after(db: sqlite3.Connection, run: int | None, job: str | None, names: Sequence[str]) -> list[list[str]]:
    """The states of jobs that could go on after a job of a run: in that run, or in one of another flow that its end let begin,
    which may have waited for it under an older number."""
    states = dict(db.execute("SELECT name, state FROM tasks WHERE run = ?", (run,)).fetchall())
    elsewhere = (
        "SELECT tasks.state FROM tasks JOIN runs ON runs.id = tasks.run WHERE tasks.job = ?"
        " AND NOT runs.aside AND json_extract(runs.upstreams, ?) = ? ORDER BY tasks.run DESC LIMIT 1"
    )
    for name in names:
        row = None if name in states else db.execute(elsewhere, (name, f'$."{job}"', run)).fetchone()
        if row is not None:
            states[name] = row[0]
    return [[name, states[name]] for name in names if name in states]
