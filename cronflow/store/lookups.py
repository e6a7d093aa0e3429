"""Small questions to the history: one statement each, for `why` and for words that a person types."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any, NamedTuple

from cronflow.store.queries import History


def task_names(history: History, run: int) -> list[tuple[str, str]]:
    """The tasks of a run, each with its job."""
    return history.db.execute("SELECT name, job FROM tasks WHERE run = ?", (run,)).fetchall()


def unfinished_tasks(history: History, run: int, job: str) -> list[str]:
    """The tasks of a job that have not ended in a run."""
    query = "SELECT name FROM tasks WHERE run = ? AND job = ? AND finished_at IS NULL ORDER BY name"
    return [name for (name,) in history.db.execute(query, (run, job))]


def last_end_before(history: History, job: str, at: float | None) -> tuple[int, str, float] | None:
    """Run, state and time of the last end of a job up to an instant."""
    query = "SELECT run, state, finished_at FROM tasks WHERE job = ? AND finished_at <= ? ORDER BY run DESC LIMIT 1"
    found: tuple[int, str, float] | None = history.db.execute(query, (job, at)).fetchone()
    return found


def end_of_run(history: History, run: int) -> str | None:
    """The state in which a run has ended; None if it has not."""
    state: str | None = history.scalar("SELECT state FROM runs WHERE id = ? AND finished_at IS NOT NULL", run)
    return state


def definition_of_run(history: History, run: int) -> list[dict[str, Any]]:
    """The jobs of a run's definition as plain values; none for a run that there is not."""
    body = history.scalar("SELECT body FROM runs JOIN definitions ON digest = definition WHERE id = ?", run)
    jobs: list[dict[str, Any]] = json.loads(body or "[]")
    return jobs


def run_going_on_at(history: History, flow: str, but: int, slot: int) -> int | None:
    """The newest other run of a flow that was going on at a slot."""
    query = (
        "SELECT id FROM runs WHERE flow = ? AND id != ? AND started_at IS NOT NULL AND created_at <= ?"
        " AND (finished_at IS NULL OR finished_at >= ?) ORDER BY id DESC LIMIT 1"
    )
    return history.number(query, flow, but, slot + 60, slot)


def run_of_job_at(history: History, job: str, first: float, last: float) -> int | None:
    """The newest run in which a job was running in a span of time."""
    query = (
        "SELECT run FROM tasks WHERE job = ? AND started_at <= ? AND (finished_at IS NULL OR finished_at >= ?)"
        " ORDER BY run DESC LIMIT 1"
    )
    return history.number(query, job, last, first)


def row_of_slots(history: History, flow: str, first: float, last: float) -> int | None:
    """The newest row of slots of a flow that did not run, in which a span of time is."""
    query = "SELECT id FROM runs WHERE flow = ? AND is_row AND slot <= ? AND slot_last >= ? ORDER BY id DESC LIMIT 1"
    return history.number(query, flow, last, first)


def catchup_after(history: History, flow: str, row: int, slot: int) -> int | None:
    """The run of a catch-up that followed a row of missed slots."""
    query = "SELECT id FROM runs WHERE flow = ? AND trigger = 'catchup' AND id > ? AND slot > ? ORDER BY id LIMIT 1"
    return history.number(query, flow, row, slot)


def first_run_at(history: History) -> float | None:
    """When the oldest run of the history was opened."""
    at: float | None = history.scalar("SELECT min(created_at) FROM runs")
    return at


def newest_run_at(history: History) -> float | None:
    """When the newest run of the history was opened."""
    at: float | None = history.scalar("SELECT created_at FROM runs ORDER BY id DESC LIMIT 1")
    return at


def last_act(history: History, verb: str, job: str, at: float) -> tuple[float, str] | None:
    """When and by whom a verb was last applied to a job, up to an instant."""
    query = "SELECT at, by FROM acts WHERE verb = ? AND job = ? AND at <= ? ORDER BY id DESC LIMIT 1"
    found: tuple[float, str] | None = history.db.execute(query, (verb, job, at)).fetchone()
    return found


def missed_facts(history: History, at: float) -> dict[str, Any]:
    """The facts of the alert about slots that were found missed at an instant; none if there was no such alert."""
    query = "SELECT facts FROM alerts WHERE kind = 'missed' AND at BETWEEN ? AND ? ORDER BY id LIMIT 1"
    facts = history.scalar(query, at - 1, at + 60)
    return json.loads(facts) if facts else {}


class AlertRow(NamedTuple):
    """An alert and what has become of it."""

    id: int
    at: float
    kind: str
    target: str
    job: str | None
    run: int | None
    task: str | None
    tries: int
    sent_at: float | None
    next_try_at: float | None
    error: str | None


def newest_alerts(history: History, most: int) -> list[AlertRow]:
    """The alerts of the history, newest first."""
    query = f"SELECT {', '.join(AlertRow._fields)} FROM alerts ORDER BY id DESC LIMIT ?"
    return [AlertRow(*row) for row in history.db.execute(query, (most,))]


def catching_up(history: History) -> Iterator[tuple[str, str, float]]:
    """The triggers whose missed slots are being caught up: job, key, and up to where they have been dealt with."""
    yield from history.db.execute("SELECT job, trigger_key, at FROM cursors WHERE catching_up")


def format_of(history: History) -> int:
    """The format of the database."""
    return int(history.scalar("PRAGMA user_version"))


def first_fault(db: sqlite3.Connection) -> str:
    """What SQLite's own check finds first; "ok" if nothing is wrong."""
    return str(db.execute("PRAGMA quick_check(1)").fetchone()[0]).splitlines()[-1]
