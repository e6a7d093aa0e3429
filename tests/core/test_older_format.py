"""What a program of an older format has left in the database goes on as if it had always been of today."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from cronflow.store.schema import MIGRATIONS
from cronflow.store.store import FILE, Store
from tests.core.stage import MIDNIGHT, Stage, job

ROWS = Path(__file__).parents[1] / "store" / "waiting_2.sql"
HOUR, DAY = 3600.0, 86400.0
SIX = DAY + 6 * HOUR


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """12 minutes after six on the second day: `load`, `hourly` run, `bills` waits for `load`, two runs of `hourly` for the first
    of them, and `flaky` for its second attempt."""
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript("".join(MIGRATIONS[:2]) + ROWS.read_text())
        db.execute("INSERT INTO meta VALUES ('generation', '1'), ('id', 'x'), ('file', '/srv/jobs.toml')")
        db.execute("PRAGMA user_version = 2")
        db.commit()
    stage = Stage(
        job("load", schedule="0 4 * * *"),
        job("bills", ("load",), schedule="0 6 * * *", after_timeout=5 * HOUR),
        job("mail", ("bills",)),
        job("hourly", schedule="0 4-6 * * *", overlap="queue"),
        job("flaky", schedule="5 4 * * *", retries=1, retry_delay=3 * HOUR, retry_max_delay=3 * HOUR),
        up=False,
    )
    stage.store = Store.open(tmp_path)
    stage.now = MIDNIGHT + SIX + 720
    stage.restart()
    return stage


def test_a_slot_that_waits_is_a_run_that_waits(stage: Stage) -> None:
    run = stage.state.runs[12]
    assert (run.flow, run.slot, run.state, run.trigger) == ("bills", MIDNIGHT + SIX, "waiting", "schedule")
    assert stage.tasks(12) == {"bills": "waiting", "mail": "waiting"}
    stage.end("8/load/1")
    assert stage.started == ["12/bills/1"]


def test_after_timeout_counts_from_its_slot(stage: Stage) -> None:
    stage.at(DAY + 11 * HOUR - 1)
    assert stage.tasks(12)["bills"] == "waiting"
    stage.at(DAY + 11 * HOUR)
    assert stage.tasks(12) == {"bills": "blocked", "mail": "blocked"}
    assert stage.reasons(12)["bills"] == "after_timeout"


def test_its_slot_is_not_opened_again(stage: Stage) -> None:
    stage.end("8/load/1")
    stage.end("12/bills/1")
    stage.end("12/mail/1")
    stage.at(DAY + 23 * HOUR)
    assert [row[0] for row in stage.rows() if row[1] == "bills"] == [5, 12]


def test_runs_in_a_queue_follow_in_their_order(stage: Stage) -> None:
    for number in (7, 10, 11):
        stage.end(f"{number}/hourly/1")
    assert [one for one in stage.started if "hourly" in one] == ["10/hourly/1", "11/hourly/1"]


def test_a_second_attempt_starts_at_its_time(stage: Stage) -> None:
    stage.at(1793170521 - MIDNIGHT)
    assert stage.started == []
    stage.at(1793170522 - MIDNIGHT)
    assert stage.started == ["9/flaky/2"]
