"""How things stand: who fails, who is paused, what troubles the daemon, which alerts nobody has got yet."""

from __future__ import annotations

from typing import NamedTuple

from cronflow.core.records import Health, Pause, Skip, Trouble
from cronflow.store.queries import History
from cronflow.store.rows import HEALTH, PAUSES, SKIPS, TROUBLES


class Undelivered(NamedTuple):
    """Alerts that wait to be sent to one target: how many, since when, and what the last attempt said."""

    target: str
    number: int
    since: float
    error: str | None


class Standing(NamedTuple):
    """Everything `status` needs besides the runs."""

    health: dict[str, Health]
    pauses: dict[str, Pause]
    skips: dict[str, Skip]
    troubles: list[Trouble]
    undelivered: list[Undelivered]
    meta: dict[str, str]


def standing(history: History, now: float) -> Standing:
    """How things stand, in six statements. Of `health` only the jobs that are failing."""
    db = history.db
    unsent = "SELECT target, count(*), min(at), max(error) FROM alerts WHERE sent_at IS NULL GROUP BY target ORDER BY min(at)"
    return Standing(
        {row[0]: HEALTH.object(row) for row in db.execute(f"{HEALTH.select} WHERE failing_since IS NOT NULL")},
        pauses(history, now),
        skips(history),
        [TROUBLES.object(row) for row in db.execute(f"{TROUBLES.select} ORDER BY since")],
        [Undelivered(*row) for row in db.execute(unsent)],
        dict(db.execute("SELECT key, value FROM meta").fetchall()),
    )


def pauses(history: History, now: float) -> dict[str, Pause]:
    """The jobs that are paused at `now`: without a daemon, a pause that has run out is still in the database."""
    query = f"{PAUSES.select} WHERE until IS NULL OR until > ?"
    return {row[0]: PAUSES.object(row) for row in history.db.execute(query, (now,))}


def skips(history: History) -> dict[str, Skip]:
    """The jobs whose next slots are to be skipped."""
    return {row[0]: SKIPS.object(row) for row in history.db.execute(SKIPS.select)}


def health_of(history: History, job: str) -> Health | None:
    """What is known of how well a job does; None if it has never ended."""
    row = history.db.execute(f"{HEALTH.select} WHERE job = ?", (job,)).fetchone()
    return HEALTH.object(row) if row else None
