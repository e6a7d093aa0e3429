"""What a pause, a cancel, a drain and a restart do to a task in each of the stages before its command."""

from __future__ import annotations

from typing import Any

import pytest

from cronflow.core import events as happened
from cronflow.core.effects import StopAttempt
from cronflow.core.engine import next_wakeup
from tests.core.stage import Stage, job

SENSOR = job("a", wait_until="test -e ready", wait_every=30.0, wait_timeout=100.0)

BEFORE: dict[str, tuple[dict[str, Any], str]] = {
    "condition": ({"only_if": "true"}, "1/a/condition1"),
    "sensor": ({"wait_until": "true"}, "1/a/sensor1"),
    "foreach": ({"foreach": "ls"}, "1/a/foreach1"),
}
"""Stages before the command that have a process: their keys, and the first process."""


@pytest.mark.parametrize("name", BEFORE)
def test_cancel_while_a_step_goes_on_ends_its_process_first(name: str) -> None:
    keys, ref = BEFORE[name]
    stage = Stage(job("a", on_failure="true", on_success="true", **keys))
    stage.run("a")
    stage.cancel(1)
    assert len(stage.last.actions) == 1
    assert stage.tasks(1) == {"a": "waiting"}
    stage.end(ref, None, stopped="cancel", signal=15)
    assert (stage.tasks(1), stage.reasons(1)) == ({"a": "cancelled"}, {"a": "cancelled"})
    assert stage.started == [ref]


@pytest.mark.parametrize("code", [0, 1, None])
@pytest.mark.parametrize("name", BEFORE)
def test_a_step_that_had_ended_by_itself_when_it_was_cancelled_goes_no_further(name: str, code: int | None) -> None:
    keys, ref = BEFORE[name]
    stage = Stage(job("a", **keys))
    stage.run("a")
    stage.cancel(1)
    stage.end(ref, code, items=("x",))
    assert stage.tasks(1) == {"a": "cancelled"}
    assert next_wakeup(stage.state) is None or not stage.state.runs


WAITING: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "approval": ({"approve": ""}, ()),
    "sensor": ({"wait_until": "true", "wait_timeout": 900.0}, ("1/a/sensor1",)),
}
"""Stages in which a task waits without a process: their keys, and the processes that end (not 0) on the way there."""


@pytest.mark.parametrize("name", WAITING)
def test_cancel_while_it_waits_ends_the_task_at_once(name: str) -> None:
    keys, ends = WAITING[name]
    stage = Stage(job("a", on_failure="true", **keys), job("b", {"a": "done"}))
    stage.run("a")
    for ref in ends:
        stage.end(ref, 1)
    started = list(stage.started)
    stage.cancel(1, "a")
    assert (stage.tasks(1), stage.reasons(1)["a"]) == ({"a": "cancelled", "b": "running"}, "cancelled")
    stage.at(1000)
    assert stage.started == [*started, "1/b/1"]


@pytest.mark.parametrize("name", WAITING)
def test_a_pause_skips_a_task_that_waits(name: str) -> None:
    keys, ends = WAITING[name]
    stage = Stage(job("z"), job("a", ("z",), **keys))
    stage.run("z")
    stage.end("1/z/1")
    for ref in ends:
        stage.end(ref, 1)
    stage.ask(happened.PauseAsked, ("a",))
    assert (stage.tasks(1)["a"], stage.reasons(1)["a"]) == ("skipped", "paused")


@pytest.mark.parametrize("name", BEFORE)
def test_a_pause_while_a_step_goes_on_skips_the_task_when_it_has_ended(name: str) -> None:
    keys, ref = BEFORE[name]
    stage = Stage(job("z"), job("a", ("z",), **keys))
    stage.run("z")
    stage.end("1/z/1")
    stage.ask(happened.PauseAsked, ("a",))
    assert stage.tasks(1)["a"] == "waiting"
    stage.end(ref, 0, items=("x",))
    assert (stage.tasks(1)["a"], stage.reasons(1)["a"]) == ("skipped", "paused")


def test_a_pause_does_not_touch_a_task_that_a_person_named() -> None:
    stage = Stage(job("a", approve="deploy?"))
    stage.run("a")
    stage.ask(happened.PauseAsked, ("a",))
    stage.approve(1, "a")
    assert stage.tasks(1) == {"a": "running"}


@pytest.mark.parametrize("name", BEFORE)
def test_a_restart_while_a_step_goes_on_changes_nothing(name: str) -> None:
    keys, ref = BEFORE[name]
    stage = Stage(job("a", **keys))
    stage.run("a")
    stage.restart(after=20.0)
    task = stage.state.runs[1].tasks["a"]
    assert (task.phase.stage, stage.started, stage.state.running) == (name, [ref], 1)
    stage.end(ref, 0, items=("x",))
    assert stage.started[-1] == ("1/a[x]/1" if name == "foreach" else "1/a/1")


@pytest.mark.parametrize("name", WAITING)
def test_a_restart_while_it_waits_changes_nothing(name: str) -> None:
    keys, ends = WAITING[name]
    stage = Stage(job("a", **keys))
    stage.run("a")
    for ref in ends:
        stage.end(ref, 1)
    wakeup = next_wakeup(stage.state)
    alerts = list(stage.alerts)
    stage.restart(after=20.0)
    assert (stage.codes(1), next_wakeup(stage.state), stage.alerts) == ([name], wakeup, alerts)


def test_the_time_of_a_sensor_goes_on_while_no_daemon_runs() -> None:
    stage = Stage(SENSOR)
    stage.run("a")
    stage.end("1/a/sensor1", 1)
    stage.restart(after=1000.0)
    assert stage.reasons(1) == {"a": "wait_timeout"}


def test_the_count_of_polls_goes_on_over_a_restart() -> None:
    stage = Stage(SENSOR)
    stage.run("a")
    stage.end("1/a/sensor1", 1)
    stage.restart(after=10.0)
    stage.at(30)
    stage.end("1/a/sensor2")
    assert ("a", "sensor", 2, 2, "success", None) in stage.attempts(1)


def test_a_restart_while_a_poll_is_out_of_time_does_not_end_it_twice() -> None:
    stage = Stage(SENSOR)
    stage.run("a")
    stage.at(100)
    assert next_wakeup(stage.state) is None
    assert stage.store.load().timers == []
    stage.restart(after=1.0)
    assert next_wakeup(stage.state) is None
    assert stage.last.actions == [StopAttempt(happened.AttemptRef(1, "a", 1, "sensor"))], "asked for again, once"


def test_a_cancel_of_a_poll_that_is_out_of_time_survives_a_restart() -> None:
    stage = Stage(SENSOR)
    stage.run("a")
    stage.at(100)
    stage.cancel(1)
    assert [action.now for action in stage.last.actions if isinstance(action, StopAttempt)] == [True]
    stage.restart()
    stage.end("1/a/sensor1", None, stopped="cancel", signal=9)
    assert (stage.tasks(1), stage.reasons(1)) == ({"a": "cancelled"}, {"a": "cancelled"})


@pytest.mark.parametrize("name", BEFORE)
def test_drain_lets_a_step_end_and_starts_nothing_after_it(name: str) -> None:
    keys, ref = BEFORE[name]
    stage = Stage(job("a", **keys))
    stage.run("a")
    stage.do(happened.DrainAsked("anna", "stop --drain"))
    stage.end(ref, 0, items=("x",))
    assert (stage.started, stage.state.running) == ([ref], 0)
    copy = "a[x]" if name == "foreach" else "a"
    assert stage.codes(1, copy) == ["stopping"]
    stage.restart(after=60.0)
    assert stage.started[-1] == f"1/{copy}/1"


def test_drain_polls_no_sensor_and_takes_an_approval_for_later() -> None:
    stage = Stage(SENSOR, job("b", approve=""))
    stage.run("a")
    stage.run("b")
    stage.end("1/a/sensor1", 1)
    stage.do(happened.DrainAsked("anna", "stop --drain"))
    stage.at(30)
    assert stage.approve(2, "b").refused is None
    assert stage.started == ["1/a/sensor1"]
    stage.restart(after=10.0)
    assert stage.started == ["1/a/sensor1", "1/a/sensor2", "2/b/1"]


def test_a_late_report_of_a_poll_does_not_end_the_next_one() -> None:
    stage = Stage(SENSOR)
    stage.run("a")
    stage.end("1/a/sensor1", 1)
    stage.at(30)
    assert not stage.end("1/a/sensor1", 0)
    assert stage.started == ["1/a/sensor1", "1/a/sensor2"]
