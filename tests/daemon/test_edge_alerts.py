"""Alerts about what a failure means to other flows, from the row that the engine wrote to the words that are sent."""

from __future__ import annotations

from pathlib import Path

from cronflow.alerts.compose import Composer, Output
from cronflow.store import outbox
from cronflow.store.database import Database
from tests.core.stage import Stage, job

HOUR = 3600.0


def bodies(stage: Stage, folder: Path) -> list[str]:
    """The texts of all alerts of the stage."""
    silent = Output(lambda _ref, _most: b"", lambda _job: [], lambda _job: [])
    composer = Composer(Database(stage.store, folder, {}), silent, host="db1")
    rows = outbox.due(stage.store.connection, stage.now + 1e6, 50)
    return [composer.message(row, stage.state, stage.now).body for row in rows]


def test_a_failure_and_its_end_name_jobs_of_other_flows(tmp_path: Path) -> None:
    stage = Stage(
        job("load", schedule="0 4 * * *"),
        job("fetch", schedule="30 4 * * *"),
        job("report", ("load", "fetch")),
        job("mail", ("report",)),
        job("bill", ("load",), schedule="0 5 * * *"),
    )
    stage.at(4 * HOUR)
    stage.end("1/load/1", 1)
    stage.at(4.5 * HOUR)
    stage.end("2/fetch/1")
    stage.at(5 * HOUR)
    (number,) = stage.retry(1).runs
    stage.end(f"{number}/load/1")
    failure, recovery = bodies(stage, tmp_path)
    assert "Blocks: bill, report, mail" in failure
    assert "Released: bill (running), report (running)" in recovery, "not the run that told that it was blocked"


def test_a_slot_that_waited_too_long_says_since_when_and_for_whom(tmp_path: Path) -> None:
    stage = Stage(job("load"), job("bill", ("load",), schedule="0 5 * * *", after_timeout=2 * HOUR))
    stage.run("load")
    stage.at(5 * HOUR)
    stage.at(7 * HOUR)
    (body,) = bodies(stage, tmp_path)
    assert body.startswith("Blocked at 07:00:00 UTC. An upstream did not end in time.\n")
    assert "\nWaited 2 h for `load`, which is still running in run 1\n" in body
