"""What comes after a command: the checks that may overrule it, and the hook at the end of the task."""

from __future__ import annotations

from typing import Any

import pytest

from cronflow.core import events as happened
from cronflow.core.effects import StopAttempt
from cronflow.core.records import parse_ref
from tests.core.stage import MIDNIGHT, Stage, job

# ---- checks ---------------------------------------------------------------------------------------------------------------


def test_checks_run_one_after_the_other_once_the_command_has_succeeded() -> None:
    stage = Stage(job("a", check=("test -s out", "grep -q END out")), job("b", ("a",)))
    stage.run("a")
    for ref in ("1/a/1", "1/a/check1"):
        stage.end(ref)
        assert stage.tasks(1) == {"a": "running", "b": "waiting"}
    assert stage.reasons(1)["a"] == "check"
    stage.end("1/a/check2")
    assert (stage.tasks(1), stage.reasons(1)["a"]) == ({"a": "success", "b": "running"}, None)
    assert stage.started == ["1/a/1", "1/a/check1", "1/a/check2", "1/b/1"]


@pytest.mark.parametrize("code", [1, 99])
def test_nothing_is_checked_where_the_command_did_not_succeed(code: int) -> None:
    stage = Stage(job("a", check=("true",), skip_codes=(99,)))
    stage.run("a")
    stage.end("1/a/1", code)
    assert stage.started == ["1/a/1"]
    assert stage.tasks(1) == {"a": "skipped" if code == 99 else "failed"}


def test_success_codes_are_those_of_the_command_alone() -> None:
    stage = Stage(job("a", success_codes=(0, 3), check=("true",)))
    stage.run("a")
    stage.end("1/a/1", 3)
    stage.end("1/a/check1", 3)
    assert (stage.tasks(1), stage.reasons(1)) == ({"a": "failed"}, {"a": "check"})


@pytest.mark.parametrize("facts", [{"code": 1}, {"code": None, "signal": 9}, {"code": 127, "reason": "not_found"}])
def test_a_check_that_says_no_makes_a_failure_of_the_attempt(facts: dict[str, Any]) -> None:
    stage = Stage(job("a", check=("true", "true")), job("b", ("a",)))
    stage.run("a")
    stage.end("1/a/1")
    stage.end("1/a/check1", **facts)
    assert (stage.tasks(1), stage.reasons(1)["a"]) == ({"a": "failed", "b": "blocked"}, "check")
    assert ("a", "command", 1, 1, "failed", "check") in stage.attempts(1)
    assert stage.started == ["1/a/1", "1/a/check1"], "the check after it is not asked"
    assert stage.alerts == [("failure", "a")]


@pytest.mark.parametrize(
    ("retry_on", "again"), [(None, True), (("check",), True), (("timeout",), False), ((1,), False), ((1, "check"), True)]
)
def test_a_failed_check_is_retried_as_retry_on_says(retry_on: tuple[int | str, ...] | None, again: bool) -> None:
    stage = Stage(job("a", check=("true",), retries=1, retry_delay=10.0, retry_on=retry_on))
    stage.run("a")
    stage.end("1/a/1")
    stage.end("1/a/check1", 1)
    assert stage.tasks(1) == {"a": "retrying" if again else "failed"}
    assert stage.reasons(1) == {"a": "check"}
    if not again:
        return
    stage.at(20)
    stage.end("1/a/2")
    stage.end("1/a/check2")
    assert stage.tasks(1) == {"a": "success"}
    assert [row[:3] + row[4:] for row in stage.attempts(1) if row[1] == "command"] == [
        ("a", "command", 1, "failed", "check"),
        ("a", "command", 2, "success", None),
    ]


def test_each_attempt_passes_all_checks_anew() -> None:
    stage = Stage(job("a", check=("one", "two"), retries=1, retry_delay=10.0))
    stage.run("a")
    stage.end("1/a/1")
    stage.end("1/a/check1")
    stage.end("1/a/check2", 1)
    stage.at(20)
    stage.end("1/a/2")
    stage.end("1/a/check3")
    assert stage.tasks(1) == {"a": "running"}
    stage.end("1/a/check4")
    assert stage.tasks(1) == {"a": "success"}


def test_a_failed_check_does_not_take_more_attempts_than_there_are() -> None:
    stage = Stage(job("a", check=("true",), retries=1, retry_delay=10.0))
    stage.run("a")
    stage.end("1/a/1", 1)
    stage.at(20)
    stage.end("1/a/2")
    stage.end("1/a/check1", 1)
    assert stage.tasks(1) == {"a": "failed"}


@pytest.mark.parametrize("facts", [{"code": 0}, {"code": 1}, {"code": None}, {"code": None, "stopped": "cancel", "signal": 15}])
def test_cancel_during_a_check_cancels_the_task_whatever_the_check_says(facts: dict[str, Any]) -> None:
    stage = Stage(job("a", check=("true",), retries=1, on_success="true", on_failure="true"))
    stage.run("a")
    stage.end("1/a/1")
    stage.cancel(1)
    stage.end("1/a/check1", **facts)
    assert stage.tasks(1) == {"a": "cancelled"}
    assert stage.started == ["1/a/1", "1/a/check1"]


def test_cancel_of_a_command_that_succeeds_all_the_same_leaves_it_its_success_unless_it_was_to_be_checked() -> None:
    for check, state in (((), "success"), (("true",), "cancelled")):
        stage = Stage(job("a", check=check))
        stage.run("a")
        stage.cancel(1)
        stage.end("1/a/1")
        assert stage.tasks(1) == {"a": state}


def test_a_restart_during_a_check_goes_on_with_it() -> None:
    stage = Stage(job("a", check=("one", "two")))
    stage.run("a")
    stage.end("1/a/1")
    stage.end("1/a/check1")
    stage.restart(after=10.0)
    assert stage.started == ["1/a/1", "1/a/check1", "1/a/check2"]
    stage.end("1/a/check2")
    assert stage.tasks(1) == {"a": "success"}


def test_outputs_of_an_attempt_stay_with_the_task_while_it_is_checked() -> None:
    stage = Stage(job("a", check=("true",)))
    stage.run("a")
    task = stage.state.runs[1].tasks["a"]
    stage.end("1/a/1", outputs=(("rows", "12"),))
    stage.end("1/a/check1", outputs=(("rows", "0"),))
    assert task.outputs == {"rows": "12"}


# ---- hooks ----------------------------------------------------------------------------------------------------------------

HOOKS = {"on_failure": "notify bad", "on_success": "notify good"}


@pytest.mark.parametrize(("code", "hook", "state"), [(0, "on_success", "success"), (1, "on_failure", "failed")])
def test_the_hook_of_its_end_runs_once_and_the_task_ends_after_it(code: int, hook: str, state: str) -> None:
    stage = Stage(job("a", **HOOKS), job("b", {"a": "done"}))
    stage.run("a")
    stage.end("1/a/1", code)
    assert stage.started == ["1/a/1", f"1/a/{hook}1"]
    assert (stage.tasks(1), stage.reasons(1)["a"]) == ({"a": "running", "b": "waiting"}, "hook")
    stage.end(f"1/a/{hook}1")
    assert stage.tasks(1) == {"a": state, "b": "running"}
    assert stage.reasons(1)["a"] == ("exit_code" if code else None)


@pytest.mark.parametrize("facts", [{"code": 1}, {"code": None}, {"code": None, "signal": 9}, {"code": 127, "reason": "x"}])
@pytest.mark.parametrize("code", [0, 1])
def test_how_a_hook_ends_changes_nothing(code: int, facts: dict[str, Any]) -> None:
    stage = Stage(job("a", retries=0, **HOOKS))
    stage.run("a")
    stage.end("1/a/1", code)
    stage.end(stage.started[-1], **facts)
    assert stage.tasks(1) == {"a": "failed" if code else "success"}
    assert stage.reasons(1) == {"a": "exit_code" if code else None}
    assert len(stage.started) == 2


def test_a_hook_runs_at_the_end_of_the_task_and_not_after_each_attempt() -> None:
    stage = Stage(job("a", retries=2, retry_delay=1.0, **HOOKS))
    stage.run("a")
    for attempt in (1, 2, 3):
        stage.end(f"1/a/{attempt}", 1)
        stage.at(60 * attempt)
    assert stage.started == ["1/a/1", "1/a/2", "1/a/3", "1/a/on_failure1"]


def test_no_hook_for_a_task_that_was_skipped_cancelled_or_blocked() -> None:
    stage = Stage(
        job("a", skip_codes=(99,), **HOOKS),
        job("skipped", ("a",), **HOOKS),
        job("condition", {"a": "done"}, only_if="false", **HOOKS),
        job("cancelled", {"a": "done"}, **HOOKS),
        job("failed", {"a": "done"}),
        job("blocked", ("failed",), **HOOKS),
    )
    stage.run("a")
    stage.end("1/a/1", 99)
    stage.end("1/condition/condition1", 1)
    stage.cancel(1, "cancelled")
    stage.end("1/cancelled/1", None, stopped="cancel", signal=15)
    stage.end("1/failed/1", 1)
    assert stage.tasks(1) == {
        "a": "skipped",
        "skipped": "skipped",
        "condition": "skipped",
        "cancelled": "cancelled",
        "failed": "failed",
        "blocked": "blocked",
    }
    assert not [ref for ref in stage.started if "/on_" in ref]


FAILED_BEFORE_IT_RAN = [
    ({"approve": ""}, "rejected"),
    ({"wait_until": "false", "wait_timeout": 60.0}, "wait_timeout"),
    ({"only_if": ("missing",)}, "not_found"),
    ({"foreach": "false"}, "foreach"),
]


@pytest.mark.parametrize(("keys", "reason"), FAILED_BEFORE_IT_RAN)
def test_a_task_that_failed_before_its_command_has_its_hook_too(keys: dict[str, Any], reason: str) -> None:
    stage = Stage(job("a", **HOOKS, **keys), job("b", {"a": "failure"}))
    stage.run("a")
    if reason == "rejected":
        stage.approve(1, "a", approved=False)
    elif reason == "not_found":
        stage.end("1/a/condition1", 127, reason="not_found")
    else:
        stage.end(stage.started[-1], 1)
        stage.at(60)
    hook = stage.started[-1]
    assert "/on_failure" in hook
    assert stage.tasks(1) == {"a": "running", "b": "waiting"}
    stage.end(hook)
    assert (stage.tasks(1), stage.reasons(1)["a"]) == ({"a": "failed", "b": "running"}, reason)


def test_such_a_hook_stands_in_line_like_any_other_process() -> None:
    stage = Stage(job("a", approve="", **HOOKS), job("z"), max_running=1)
    stage.run("z")
    stage.run("a")
    stage.approve(2, "a", approved=False)
    assert (stage.started, stage.tasks(2)) == (["1/z/1"], {"a": "waiting"})
    stage.end("1/z/1")
    assert stage.started == ["1/z/1", "2/a/on_failure1"]


def test_cancel_of_a_hook_that_stands_in_line_ends_the_task_as_it_was_decided() -> None:
    stage = Stage(job("a", approve="", **HOOKS), job("z"), max_running=1)
    stage.run("z")
    stage.run("a")
    stage.approve(2, "a", approved=False)
    stage.cancel(2)
    assert (stage.tasks(2), stage.reasons(2)) == ({"a": "failed"}, {"a": "rejected"})
    stage.end("1/z/1")
    assert stage.started == ["1/z/1"]


@pytest.mark.parametrize(("code", "state"), [(0, "success"), (1, "failed")])
def test_cancel_during_a_hook_ends_the_hook_and_not_what_was_decided(code: int, state: str) -> None:
    stage = Stage(job("a", **HOOKS), job("b", {"a": "done"}))
    stage.run("a")
    stage.end("1/a/1", code)
    stage.cancel(1, "a")
    assert [type(action) for action in stage.last.actions] == [StopAttempt]
    stage.end(stage.started[-1], None, stopped="cancel", signal=15)
    assert stage.tasks(1) == {"a": state, "b": "running"}
    assert stage.reasons(1)["a"] == ("exit_code" if code else None)


def test_a_restart_during_a_hook_keeps_what_was_decided() -> None:
    stage = Stage(job("a", **HOOKS))
    stage.run("a")
    stage.end("1/a/1", 7, message="exit 7")
    stage.restart(after=10.0)
    assert stage.started == ["1/a/1", "1/a/on_failure1"]
    stage.end("1/a/on_failure1")
    told = stage.store.connection.execute("SELECT state, reason, note FROM tasks").fetchall()
    assert told == [("failed", "exit_code", "exit 7")]


def test_a_task_whose_hook_ended_while_no_daemon_was_there_ended_then() -> None:
    stage = Stage(job("a", on_failure="true"))
    stage.run("a")
    stage.end("1/a/1", 1)
    stage.now += 3600
    stage.state = stage.store.load()
    stage.do(happened.AttemptEnded(parse_ref("1/a/on_failure1"), MIDNIGHT + 60.0, exit_code=0))
    assert stage.store.run(1).finished_at == MIDNIGHT + 60.0  # type: ignore[union-attr]


def test_a_pause_during_a_hook_changes_nothing() -> None:
    stage = Stage(job("z"), job("a", ("z",), approve="", **HOOKS), max_running=1)
    stage.run("z")
    stage.end("1/z/1")
    stage.approve(1, "a", approved=False)
    stage.ask(happened.PauseAsked, ("a",))
    stage.end("1/a/on_failure1")
    assert stage.reasons(1)["a"] == "rejected"


def test_a_hook_follows_the_checks() -> None:
    stage = Stage(job("a", check=("true",), **HOOKS))
    stage.run("a")
    for ref in ("1/a/1", "1/a/check1", "1/a/on_success2"):
        assert stage.started[-1] == ref
        stage.end(ref)
    assert stage.tasks(1) == {"a": "success"}


def test_drain_lets_the_steps_after_a_command_run_to_its_end() -> None:
    stage = Stage(job("a", check=("true",), **HOOKS), job("b", ("a",)))
    stage.run("a")
    stage.do(happened.DrainAsked("anna", "stop --drain"))
    for ref in ("1/a/1", "1/a/check1", "1/a/on_success2"):
        assert stage.started[-1] == ref
        stage.end(ref)
    assert stage.tasks(1) == {"a": "success", "b": "queued"}
    assert stage.started[-1] == "1/a/on_success2"
