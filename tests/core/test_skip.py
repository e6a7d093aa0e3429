"""Slots that a person has left out: which run does not come, and how often."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cronflow.core.events import PauseAsked, ResumeAsked, SkipAsked
from cronflow.core.records import Skip
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600.0
EPOCH = 719163
"""The ordinal of 1970-01-01."""


def rows(stage: Stage) -> list[tuple[object, ...]]:
    """State, reason and number of slots of each run and row."""
    return [row[3:] for row in stage.rows()]


def same_after_a_load(stage: Stage) -> None:
    """What is in the database is what is in force."""
    loaded = stage.store.load()
    assert loaded.skips == stage.state.skips
    assert loaded.cursors == stage.state.cursors


def hours(stage: Stage, first: int, last: int) -> None:
    """Let the hours pass, and whatever is started in them succeed."""
    for hour in range(first, last + 1):
        stage.at(hour * HOUR)
        finish(stage)


def finish(stage: Stage) -> None:
    while (ref := next(_running(stage), None)) is not None:
        stage.end(ref)
        same_after_a_load(stage)


def _running(stage: Stage) -> Iterator[str]:
    return (str(task.live.ref) for task in stage.state.live() if task.live is not None)


def test_the_next_slots_do_not_run_and_those_after_them_do() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    assert stage.ask(SkipAsked, ("a",), slots=2).refused is None
    same_after_a_load(stage)
    hours(stage, 1, 4)
    assert rows(stage) == [("skipped", "skip", 2), ("success", None, 1), ("success", None, 1)]
    assert stage.state.skips == {}


def test_it_survives_a_restart_half_used() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.ask(SkipAsked, ("a",), slots=2)
    hours(stage, 1, 1)
    stage.restart()
    assert stage.state.skips == {"a": Skip("a", 1, stage.state.skips["a"].since, "anna")}
    hours(stage, 2, 3)
    assert rows(stage) == [("skipped", "skip", 2), ("success", None, 1)]


def test_none_takes_it_back_and_a_second_one_takes_its_place() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    assert stage.ask(SkipAsked, ("a",), slots=0).exit_status == 1
    stage.ask(SkipAsked, ("a",), slots=5)
    stage.ask(SkipAsked, ("a",), slots=1)
    assert stage.state.skips["a"].left == 1
    assert stage.ask(SkipAsked, ("a",), slots=0).refused is None
    same_after_a_load(stage)
    hours(stage, 1, 1)
    assert rows(stage) == [("success", None, 1)]


def test_each_act_is_a_row() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.ask(SkipAsked, ("a",))
    assert stage.store.connection.execute("SELECT verb, job, by FROM acts").fetchall() == [("skip", "a", "anna")]


def test_who_has_no_slots_cannot_skip_one() -> None:
    stage = Stage(job("a"))
    assert stage.ask(SkipAsked, ("nobody",)).exit_status == 4
    reply = stage.ask(SkipAsked, ("a",))
    assert (reply.refused, reply.exit_status) == ("`a` starts only by hand, so it has no slots to skip", 1)
    assert stage.state.skips == {}


@pytest.mark.parametrize("catchup", ["last", "all", "none"])
def test_of_many_missed_slots_no_more_are_skipped_than_were_to_be(catchup: str) -> None:
    stage = Stage(job("a", schedule="0 * * * *", catchup=catchup))
    stage.ask(SkipAsked, ("a",), slots=3)
    stage.restart(after=8 * HOUR + 60)
    finish(stage)
    same_after_a_load(stage)
    left = {"last": [("missed", "daemon_down", 4), ("success", None, 1)], "all": [("success", None, 1)] * 5}
    assert rows(stage) == [("skipped", "skip", 3), *left.get(catchup, [("missed", "daemon_down", 5)])]


def test_missed_slots_that_were_all_to_be_skipped_are() -> None:
    stage = Stage(job("a", schedule="* * * * *"))
    stage.ask(SkipAsked, ("a",), slots=1000)
    stage.restart(after=990 * 60 + 1)
    assert rows(stage) == [("skipped", "skip", 990)]
    assert stage.state.skips["a"].left == 10


def test_lined_up_slots_are_slots_to_come() -> None:
    stage = Stage(job("a", schedule="0 * * * *", catchup="all"))
    stage.restart(after=4 * HOUR + 60)
    stage.ask(SkipAsked, ("a",), slots=2)
    finish(stage)
    assert rows(stage) == [("success", None, 1), ("skipped", "skip", 2), ("success", None, 1)]


def test_one_root_of_two_is_skipped_in_the_run_of_the_other() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", schedule="0 * * * *"), job("c", ("a", "b")))
    stage.ask(SkipAsked, ("a",))
    hours(stage, 1, 2)
    assert stage.tasks(1) == {"a": "skipped", "b": "success", "c": "skipped"}
    assert stage.reasons(1)["a"] == "skip"
    assert set(stage.tasks(2).values()) == {"success"}


def test_roots_paused_and_skipped_make_one_row_until_the_skip_is_used_up() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", schedule="0 * * * *"), job("c", ("a", "b")))
    stage.ask(SkipAsked, ("a",))
    stage.ask(PauseAsked, ("b",))
    hours(stage, 1, 2)
    assert rows(stage)[0] == ("skipped", "skip", 1)
    assert stage.tasks(2) == {"a": "success", "b": "skipped", "c": "skipped"}


def test_a_pause_goes_first_and_uses_nothing_up() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.ask(SkipAsked, ("a",))
    stage.ask(PauseAsked, ("a",))
    hours(stage, 1, 2)
    stage.ask(ResumeAsked, ("a",))
    hours(stage, 3, 4)
    assert rows(stage) == [("skipped", "paused", 2), ("skipped", "skip", 1), ("success", None, 1)]


def test_a_job_that_is_no_root_ends_skipped_in_runs_that_would_have_started_it() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", ("a",)))
    stage.ask(SkipAsked, ("b",))
    stage.at(HOUR)
    stage.end("1/a/1", 1)
    assert stage.reasons(1)["b"] == "upstream_failed"
    hours(stage, 2, 3)
    assert stage.reasons(2)["b"] == "skip"
    assert stage.tasks(3) == {"a": "success", "b": "success"}


def test_a_run_that_goes_on_is_no_slot_to_come() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", ("a",)))
    stage.at(HOUR)
    stage.now += 60
    stage.ask(SkipAsked, ("b",))
    finish(stage)
    assert stage.tasks(1) == {"a": "success", "b": "success"}
    hours(stage, 2, 2)
    assert stage.tasks(2) == {"a": "success", "b": "skipped"}


def test_runs_by_hand_and_retries_neither_obey_nor_use_it_up() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", ("a",)))
    stage.ask(SkipAsked, ("a", "b"))
    stage.run("a")
    stage.end("1/a/1")
    stage.end("1/b/1", 1)
    stage.retry(1)
    finish(stage)
    assert stage.tasks(2) == {"a": "success", "b": "success"}
    stage.run("a", trigger="backfill", at=int(stage.now) - 3600)
    finish(stage)
    assert stage.tasks(3) == {"a": "success", "b": "success"}
    assert {skip.left for skip in stage.state.skips.values()} == {1}


def test_held_runs_use_it_up_when_they_begin() -> None:
    stage = Stage(job("a", schedule="0 * * * *", overlap="queue"), job("b", ("a",)))
    stage.at(HOUR)
    stage.now += 60
    stage.ask(SkipAsked, ("b",))
    stage.at(2 * HOUR)
    assert stage.state.skips["b"].left == 1
    same_after_a_load(stage)
    finish(stage)
    assert (stage.tasks(1)["b"], stage.tasks(2)["b"]) == ("success", "skipped")


def test_a_skip_is_told_in_the_trace() -> None:
    from cronflow.core.trace import news

    stage = Stage(job("a", schedule="0 * * * *"))
    stage.ask(SkipAsked, ("a",))
    assert "skip a: 1 left" in list(news(stage.last))
    stage.at(HOUR)
    assert "skip a: 0 left" in list(news(stage.last))




def test_days_that_the_calendar_forbids_use_nothing_up() -> None:
    stage = Stage(job("a", schedule="0 12 * * *", skip_on=("off",), catchup="all"), up=False)
    today = int(MIDNIGHT // 86400) + EPOCH
    stage.calendars = {"off": frozenset({today, today + 2})}
    stage.start()
    stage.ask(SkipAsked, ("a",), slots=2)
    stage.restart(after=5 * 24 * HOUR)
    finish(stage)
    same_after_a_load(stage)
    assert rows(stage) == [
        ("skipped", "calendar", 1),
        ("skipped", "skip", 1),
        ("skipped", "calendar", 1),
        ("skipped", "skip", 1),
        ("success", None, 1),
    ]


def test_a_job_that_starts_when_others_have_ended_skips_its_next_start() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", schedule="30 * * * *"), job("c", ("a", "b")))
    assert stage.ask(SkipAsked, ("c",)).refused is None
    for half in range(2, 6):
        stage.at(half * HOUR / 2)
        finish(stage)
    assert [row[2:5] for row in stage.rows() if row[1] == "c"] == [("after", "skipped", "skip"), ("after", "success", None)]
    assert stage.state.skips == {}
