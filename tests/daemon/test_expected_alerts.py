"""Alerts about expectations, from the row that the engine wrote to the words that are sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cronflow.alerts.compose import Composer, Output
from cronflow.core.jobs import ALERT_KINDS, AlertTarget, JobSet, Settings
from cronflow.store import outbox
from cronflow.store.database import Database
from tests.core.stage import Stage, job

HOUR = 3600.0
OPS = AlertTarget("ops", on=ALERT_KINDS)


class Told(Stage):
    @staticmethod
    def jobset(*jobs: Any, **settings: Any) -> JobSet:
        return JobSet({one.name: one for one in jobs}, {"ops": OPS}, Settings(**settings))


def sent(stage: Stage, folder: Path) -> list[tuple[str, str]]:
    """Titles and bodies of all alerts of the stage."""
    silent = Output(lambda _ref, _most: b"", lambda _job: [], lambda _job: [])
    composer = Composer(Database(stage.store, folder, {}), silent, host="db1")
    rows = outbox.due(stage.store.connection, stage.now + 1e6, 50)
    return [composer.message(row, stage.state, stage.now)[:2] for row in rows]


def test_a_late_task_and_the_one_that_waits_for_it(tmp_path: Path) -> None:
    stage = Told(
        job("dump", schedule="0 1 * * *", deadline=("duration", 1800.0)),
        job("load", after=("dump",), deadline=("time", 2 * HOUR)),
    )
    stage.at(HOUR)
    stage.at(HOUR + 1800)
    stage.at(2 * HOUR)
    (title, body), (second, waiting) = sent(stage, tmp_path)
    assert (title, second) == ("LATE dump on db1", "LATE load on db1")
    assert body.startswith("Still running at its deadline, 01:30 UTC")
    assert "Due 30 min after its slot of 01:00." in body
    assert "Held up: load" in body
    assert "cronflow cancel 1/dump" in body
    assert waiting.startswith("Not done by its deadline, 02:00 UTC: waiting for dump.")


def test_a_streak_of_skipped_slots(tmp_path: Path) -> None:
    stage = Told(job("sync", schedule="0 * * * *"))
    for hour in range(1, 5):
        stage.at(hour * HOUR)
    ((title, body),) = sent(stage, tmp_path)
    assert title == "SKIPPED sync on db1: 3 slots in a row"
    assert body.startswith("Skipped 3 slots in a row, 02:00 to 04:00: run 1 still goes on since 01:00 (3 h).")
    assert "Why:     cronflow why sync                   End it: cronflow cancel 1" in body


def test_an_approval_that_is_waited_for(tmp_path: Path) -> None:
    stage = Told(job("deploy", approve="look first"), job("announce", after=("deploy",)))
    stage.run("deploy")
    ((title, body),) = sent(stage, tmp_path)
    assert title == "APPROVAL deploy on db1"
    assert body.startswith("Waits for approval since 00:00 UTC (run 1, started by hand by anna).\nLook first\nHeld up: announce")
    assert "cronflow approve 1/deploy" in body
    assert "cronflow reject 1/deploy" in body
