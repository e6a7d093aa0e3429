"""Runs for slots of the past: what they carry, what they wait for, and what they leave alone."""

from __future__ import annotations

import pytest

from cronflow.core.engine import blockers
from cronflow.core.events import CancelAsked, PauseAsked
from cronflow.core.records import QUEUE_LIMIT
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600.0
SLOT = int(MIDNIGHT - HOUR)


def backfill(stage: Stage, name: str = "a", slot: int = SLOT) -> int:
    reply = stage.run(name, trigger="backfill", at=slot)
    assert reply.refused is None, reply.refused
    return reply.runs[0]


def test_a_run_carries_the_slot_and_does_not_own_it() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", ("a",)))
    run = stage.state.runs[backfill(stage)]
    assert (run.trigger, run.slot, run.slots, run.named, run.by) == ("backfill", SLOT, 0, ("a",), "anna")
    assert stage.store.connection.execute("SELECT count(*) FROM run_slots").fetchone() == (0,)
    assert stage.tasks(run.id) == {"a": "running", "b": "waiting"}


def test_of_a_job_that_is_no_root_it_has_that_job_and_what_comes_after() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", ("a",)), job("c", ("b",)))
    assert set(stage.tasks(backfill(stage, "b"))) == {"b", "c"}


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_it_waits_for_a_run_of_the_same_jobs(overlap: str) -> None:
    stage = Stage(job("a", schedule="0 * * * *", overlap=overlap))
    stage.at(HOUR)
    number = backfill(stage)
    run = stage.state.runs[number]
    assert run.gate == "overlap"
    assert [(one.code, one.run) for one in blockers(stage.state, run, run.tasks["a"])] == [("overlap", 1)]
    stage.restart()
    stage.end("1/a/1")
    assert stage.started[-1] == f"{number}/a/1"
    assert stage.tasks(1) == {"a": "success"}


def test_it_does_not_wait_where_runs_may_overlap() -> None:
    stage = Stage(job("a", schedule="0 * * * *", overlap="allow"))
    stage.at(HOUR)
    backfill(stage)
    assert stage.started == ["1/a/1", "2/a/1"]


def test_backfills_do_not_wait_for_each_other() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    backfill(stage)
    backfill(stage, slot=SLOT - 3600)
    assert stage.started == ["1/a/1", "2/a/1"]


def test_those_held_back_begin_together_when_the_way_is_free() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.at(HOUR)
    backfill(stage)
    backfill(stage, slot=SLOT - 3600)
    stage.end("1/a/1")
    assert stage.started == ["1/a/1", "2/a/1", "3/a/1"]


def test_a_slot_that_comes_meanwhile_meets_overlap() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    backfill(stage)
    stage.at(HOUR)
    assert stage.rows()[-1][2:] == ("schedule", "skipped", "overlap", 1)


def test_the_same_slot_twice_at_once_is_one_run() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    assert backfill(stage) == backfill(stage) == 1
    stage.end("1/a/1")
    assert backfill(stage) == 2


def test_a_pause_does_not_stop_it() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.ask(PauseAsked, ("a",))
    assert stage.tasks(backfill(stage)) == {"a": "running"}


def test_not_more_wait_than_a_queue_holds() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.at(HOUR)
    for number in range(QUEUE_LIMIT):
        backfill(stage, slot=SLOT - number * 3600)
    assert stage.run("a", trigger="backfill", at=0).exit_status == 1
    stage.ask(CancelAsked, 2)
    backfill(stage, slot=0)
