"""The stages before a command: condition, sensor, approval."""

from __future__ import annotations

from typing import Any

import pytest

from cronflow.core import events as happened
from cronflow.core.effects import StopAttempt
from cronflow.core.engine import next_wakeup
from cronflow.core.tables import ALERTS
from tests.core.stage import MIDNIGHT, Stage, job

NOBODY_KNOWS: dict[str, Any] = {"code": None}
"""How an attempt ends whose machine went away under it."""


# ---- condition ------------------------------------------------------------------------------------------------------------


def test_a_condition_runs_first_and_with_0_the_command_follows() -> None:
    stage = Stage(job("a", only_if="test -s orders.csv"))
    stage.run("a")
    assert stage.started == ["1/a/condition1"]
    assert (stage.tasks(1), stage.reasons(1)) == ({"a": "waiting"}, {"a": "condition"})
    stage.end("1/a/condition1")
    assert stage.started == ["1/a/condition1", "1/a/1"]
    stage.end("1/a/1")
    assert stage.tasks(1) == {"a": "success"}
    assert stage.attempts(1) == [("a", "command", 1, 1, "success", None), ("a", "condition", 1, 1, "success", None)]


@pytest.mark.parametrize("facts", [{"code": 1}, {"code": 99}, {"code": None, "signal": 9}, {"code": None, "stopped": "timeout"}])
def test_a_condition_that_ends_in_any_other_way_skips_the_task(facts: dict[str, Any]) -> None:
    stage = Stage(job("a", only_if="false", retries=3), job("b", ("a",)), job("c", {"a": "done"}))
    stage.run("a")
    stage.end("1/a/condition1", **facts)
    assert stage.tasks(1) == {"a": "skipped", "b": "skipped", "c": "running"}
    assert stage.reasons(1)["a"] == "condition"
    stage.end("1/c/1")
    assert stage.rows()[0][3:5] == ("success", None)
    assert stage.alerts == []


def test_a_condition_that_could_not_be_started_is_a_failure_and_not_a_no() -> None:
    stage = Stage(job("a", only_if=("missing",), retries=3), job("b", {"a": "failure"}))
    stage.run("a")
    stage.end("1/a/condition1", 127, reason="not_found", message="no command `missing`")
    assert stage.tasks(1) == {"a": "failed", "b": "running"}
    assert stage.reasons(1)["a"] == "not_found"
    assert stage.alerts == [("failure", "a")]


def test_a_condition_that_a_reboot_cut_short_is_asked_again() -> None:
    stage = Stage(job("a", only_if="true"))
    stage.run("a")
    stage.end("1/a/condition1", **NOBODY_KNOWS)
    assert stage.started == ["1/a/condition1", "1/a/condition2"]
    stage.end("1/a/condition2")
    assert stage.started[-1] == "1/a/1"


def test_a_condition_of_which_something_still_lives_is_not_asked_again() -> None:
    stage = Stage(job("a", only_if="true"))
    stage.run("a")
    stage.end("1/a/condition1", None, survivors=True)
    assert (stage.tasks(1), stage.reasons(1)) == ({"a": "failed"}, {"a": "lost"})


def test_a_condition_is_asked_once_and_not_before_each_attempt() -> None:
    stage = Stage(job("a", only_if="true", retries=1, retry_delay=1.0))
    stage.run("a")
    stage.end("1/a/condition1")
    stage.end("1/a/1", 1)
    stage.at(10)
    assert stage.started == ["1/a/condition1", "1/a/1", "1/a/2"]


# ---- sensor ---------------------------------------------------------------------------------------------------------------

SENSOR = job("a", wait_until="test -e ready", wait_every=30.0, wait_timeout=100.0)


def test_a_sensor_is_polled_every_so_often_until_it_says_yes_and_leaves_one_row() -> None:
    stage = Stage(SENSOR)
    stage.run("a")
    stage.now += 5
    stage.end("1/a/sensor1", 1)
    assert next_wakeup(stage.state) == MIDNIGHT + 35, "30 s after the end of the poll, not after its start"
    assert stage.codes(1) == ["sensor"]
    stage.at(35)
    stage.end("1/a/sensor2", 1)
    stage.at(65)
    stage.end("1/a/sensor3")
    assert stage.started == ["1/a/sensor1", "1/a/sensor2", "1/a/sensor3", "1/a/1"]
    stage.end("1/a/1")
    assert stage.attempts(1) == [("a", "command", 1, 1, "success", None), ("a", "sensor", 3, 3, "success", None)]


def test_a_poll_that_a_reboot_cut_short_is_asked_again_at_once() -> None:
    stage = Stage(SENSOR)
    stage.run("a")
    stage.end("1/a/sensor1", **NOBODY_KNOWS)
    assert stage.started == ["1/a/sensor1", "1/a/sensor2"]


def test_a_sensor_that_could_not_be_started_fails_at_once() -> None:
    stage = Stage(SENSOR)
    stage.run("a")
    stage.end("1/a/sensor1", 127, reason="not_found")
    assert (stage.tasks(1), stage.reasons(1)) == ({"a": "failed"}, {"a": "not_found"})


def test_out_of_time_while_it_waits_for_the_next_poll() -> None:
    stage = Stage(SENSOR._replace(retries=5), job("b", ("a",)))
    stage.run("a")
    for poll, at in enumerate((0, 30, 60, 90), 1):
        stage.at(at)
        stage.end(f"1/a/sensor{poll}", 1)
    assert next_wakeup(stage.state) == MIDNIGHT + 100
    stage.at(100)
    assert (stage.tasks(1), stage.reasons(1)["a"]) == ({"a": "failed", "b": "blocked"}, "wait_timeout")
    assert stage.alerts == [("failure", "a")]
    assert stage.attempts(1) == [("a", "sensor", 4, 4, "failed", "exit_code")]


@pytest.mark.parametrize(("code", "state"), [(None, "failed"), (0, "running"), (1, "failed")])
def test_out_of_time_while_a_poll_goes_on_ends_the_poll_and_its_own_yes_counts(code: int | None, state: str) -> None:
    stage = Stage(SENSOR)
    stage.run("a")
    stage.at(100)
    assert stage.last.actions == [StopAttempt(happened.AttemptRef(1, "a", 1, "sensor"))]
    assert stage.tasks(1) == {"a": "waiting"}
    stage.end("1/a/sensor1", code, **({"stopped": "cancel", "signal": 15} if code is None else {}))
    assert stage.tasks(1) == {"a": state}
    assert stage.reasons(1)["a"] == (None if state == "running" else "wait_timeout")


def test_out_of_time_while_it_stands_in_line_for_a_poll() -> None:
    stage = Stage(SENSOR, job("z"), max_running=1)
    stage.run("z")
    stage.run("a")
    assert stage.codes(2) == ["max_running"]
    stage.at(100)
    assert (stage.tasks(2), stage.reasons(2)) == ({"a": "failed"}, {"a": "wait_timeout"})
    stage.end("1/z/1")
    assert stage.started == ["1/z/1"]


def test_the_time_of_a_sensor_does_not_count_while_its_upstreams_run() -> None:
    stage = Stage(job("z"), job("a", ("z",), wait_until="false", wait_timeout=100.0))
    stage.run("z")
    stage.at(500)
    stage.end("1/z/1")
    assert next_wakeup(stage.state) == MIDNIGHT + 600


# ---- approval -------------------------------------------------------------------------------------------------------------

APPROVAL = job("a", approve="deploy to production?")


def test_a_task_waits_for_an_approval_and_those_who_want_to_know_are_told() -> None:
    stage = Stage(APPROVAL, max_running=1)
    stage.run("a")
    assert (stage.started, stage.alerts, stage.codes(1)) == ([], [("approval", "a")], ["approval"])
    assert stage.last.of(ALERTS)[0].facts["message"] == "deploy to production?"
    assert stage.state.running == 0, "who waits holds no place"
    assert stage.approve(1, "a").runs == (1,)
    assert stage.started == ["1/a/1"]


def test_reject_fails_the_task_without_retries_and_says_by_whom() -> None:
    stage = Stage(APPROVAL._replace(retries=3), job("b", ("a",)), job("c", {"a": "failure"}))
    stage.run("a")
    task = stage.state.runs[1].tasks["a"]
    stage.approve(1, "a", approved=False)
    assert stage.tasks(1) == {"a": "failed", "b": "blocked", "c": "running"}
    assert (task.reason, task.note) == ("rejected", "by anna")
    assert stage.alerts == [("approval", "a"), ("failure", "a")]


def test_approving_is_written_down_and_refused_is_not_done() -> None:
    stage = Stage(APPROVAL)
    stage.run("a")
    stage.approve(1, "a")
    again = stage.approve(1, "a")
    assert again.exit_status == 1
    assert "does not wait for an approval" in (again.refused or "")
    assert "has no task `x`" in (stage.approve(1, "x").refused or "")
    assert stage.approve(1, "x").exit_status == 4
    stage.end("1/a/1")
    assert "run 1 has ended already" in (stage.approve(1, "a").refused or "")
    acts = stage.store.connection.execute("SELECT verb, run FROM acts ORDER BY id").fetchall()
    assert acts == [("run", 1), ("approve", 1)]


def test_reject_after_approve_changes_nothing() -> None:
    stage = Stage(APPROVAL, job("b", ("a",)))
    stage.run("a")
    stage.approve(1, "a")
    assert stage.approve(1, "a", approved=False).exit_status == 1
    stage.end("1/a/1")
    assert "has ended already: success" in (stage.approve(1, "a", approved=False).refused or "")
    assert stage.tasks(1) == {"a": "success", "b": "running"}


def test_a_task_that_waits_for_its_upstream_cannot_be_approved_yet() -> None:
    stage = Stage(job("z"), job("a", ("z",), approve=""))
    stage.run("z")
    assert stage.approve(1, "a").exit_status == 1
    stage.end("1/z/1")
    assert stage.approve(1, "a").refused is None


# ---- all of them ----------------------------------------------------------------------------------------------------------

ALL = job("a", only_if="true", wait_until="true", approve="", foreach="ls", check=("true", "true"), on_success="true")


def test_the_order_of_the_stages() -> None:
    stage = Stage(ALL)
    stage.run("a")
    stage.end("1/a/condition1")
    stage.end("1/a/sensor2")
    stage.approve(1, "a")
    stage.end("1/a/foreach3", items=("x",))
    for step in ("1", "check1", "check2", "on_success3"):
        assert stage.started[-1] == f"1/a[x]/{step}"
        stage.end(f"1/a[x]/{step}")
    assert stage.tasks(1) == {"a[x]": "success"}
