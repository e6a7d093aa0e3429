"""The copies of a job in one run: of its `matrix`, and of the lines of its `foreach`."""

from __future__ import annotations

from typing import Any

import pytest

from cronflow.core import events as happened
from cronflow.core.tables import TASKS
from tests.core.stage import Stage, job

EU_US = {"REGION": ("eu", "us")}


def names(stage: Stage, number: int = 1) -> list[str]:
    return sorted(stage.tasks(number))


# ---- matrix ---------------------------------------------------------------------------------------------------------------


def test_a_matrix_is_one_task_for_each_combination() -> None:
    stage = Stage(job("a", matrix={"OS": ("deb", "arch"), "PY": ("3.11", "3.12")}))
    stage.run("a")
    assert list(stage.state.runs[1].tasks) == ["a[deb,3.11]", "a[deb,3.12]", "a[arch,3.11]", "a[arch,3.12]"]
    assert len(stage.started) == 4
    assert stage.state.runs[1].tasks["a[arch,3.11]"].matrix == {"OS": "arch", "PY": "3.11"}


def test_a_value_that_no_name_can_bear_is_its_number() -> None:
    stage = Stage(job("a", matrix={"PATH_": ("x", "/srv/a b", "é", "y" * 33)}))
    stage.run("a")
    assert names(stage) == ["a[2]", "a[3]", "a[4]", "a[x]"]
    assert stage.state.runs[1].tasks["a[2]"].matrix == {"PATH_": "/srv/a b"}


ENDS = [
    # exit codes of eu and us, the state in which a run of both would end, the tasks after it
    ((0, 0), {"success": "running", "failure": "skipped", "done": "running", "either": "running"}),
    ((0, 1), {"success": "blocked", "failure": "running", "done": "running", "either": "blocked"}),
    ((0, 99), {"success": "running", "failure": "skipped", "done": "running", "either": "running"}),
    ((99, 99), {"success": "skipped", "failure": "skipped", "done": "running", "either": "running"}),
    ((99, 1), {"success": "blocked", "failure": "running", "done": "running", "either": "blocked"}),
]


@pytest.mark.parametrize(("codes", "after"), ENDS)
def test_copies_are_judged_as_a_run_of_them_would_be_once_all_have_ended(codes: tuple[int, int], after: dict[str, str]) -> None:
    stage = Stage(
        job("a", matrix=EU_US, skip_codes=(99,)),
        job("success", {"a": "success"}),
        job("failure", {"a": "failure"}),
        job("done", {"a": "done"}),
        job("either", {"a": "success_or_skipped"}),
    )
    stage.run("a")
    stage.end("1/a[us]/1", codes[1])
    assert {stage.tasks(1)[name] for name in after} == {"waiting"}
    stage.end("1/a[eu]/1", codes[0])
    assert {name: stage.tasks(1)[name] for name in after} == after


def test_who_is_blocked_by_a_copy_names_it() -> None:
    stage = Stage(job("a", matrix=EU_US), job("b", ("a",)))
    stage.run("a")
    stage.end("1/a[us]/1", 1)
    stage.end("1/a[eu]/1")
    assert stage.store.connection.execute("SELECT caused_by FROM tasks WHERE name = 'b'").fetchone() == ("a[us]",)


def test_copy_by_copy_a_chain_does_not_wait_for_the_others() -> None:
    stage = Stage(job("a", matrix=EU_US), job("b", ("a",), matrix=EU_US, matrix_join="each"), job("c", ("b",)))
    stage.run("a")
    stage.end("1/a[us]/1")
    assert stage.started[2:] == ["1/b[us]/1"]
    stage.end("1/b[us]/1")
    stage.end("1/a[eu]/1", 1)
    assert stage.tasks(1) == {"a[eu]": "failed", "a[us]": "success", "b[eu]": "blocked", "b[us]": "success", "c": "blocked"}


def test_a_chain_over_the_same_matrix_waits_for_all_copies_where_it_does_not_say_each() -> None:
    stage = Stage(job("a", matrix=EU_US), job("b", ("a",), matrix=EU_US))
    stage.run("a")
    stage.end("1/a[us]/1")
    assert len(stage.started) == 2
    stage.end("1/a[eu]/1")
    assert stage.started[2:] == ["1/b[eu]/1", "1/b[us]/1"]


def test_each_over_another_matrix_waits_for_all_copies() -> None:
    stage = Stage(job("a", matrix=EU_US), job("b", ("a",), matrix={"REGION": ("eu", "us", "ap")}, matrix_join="each"))
    stage.run("a")
    stage.end("1/a[us]/1")
    assert len(stage.started) == 2
    stage.end("1/a[eu]/1")
    assert len(stage.started) == 5


def test_a_matrix_over_a_pool_runs_as_many_at_once_as_it_has_slots() -> None:
    stage = Stage(job("a", matrix={"N": tuple("12345")}, pool="db"), pools={"db": 2})
    stage.run("a")
    assert stage.started == ["1/a[1]/1", "1/a[2]/1"]
    stage.end("1/a[2]/1")
    assert stage.started[2:] == ["1/a[3]/1"]


def test_each_copy_has_its_own_attempts_checks_and_hook() -> None:
    stage = Stage(job("a", matrix=EU_US, retries=1, retry_delay=10.0, check=("true",), on_failure="true"))
    stage.run("a")
    stage.end("1/a[eu]/1")
    stage.end("1/a[us]/1", 1)
    stage.end("1/a[eu]/check1")
    stage.at(20)
    stage.end("1/a[us]/2", 1)
    stage.end("1/a[us]/on_failure1")
    assert stage.tasks(1) == {"a[eu]": "success", "a[us]": "failed"}


# ---- foreach --------------------------------------------------------------------------------------------------------------


def listed(*items: str, **keys: Any) -> Stage:
    """A run whose `foreach` has printed these lines."""
    stage = Stage(job("a", foreach="ls", **keys), job("b", ("a",)), job("c", {"a": "done"}))
    stage.run("a")
    stage.end("1/a/foreach1", items=items)
    return stage


def test_a_foreach_is_one_task_for_each_line() -> None:
    stage = listed("x", "y")
    assert stage.tasks(1) == {"a[x]": "running", "a[y]": "running", "b": "waiting", "c": "waiting"}
    assert stage.state.runs[1].tasks["a[x]"].matrix == {"ITEM": "x"}
    assert stage.attempts(1)[0] == ("a", "foreach", 1, 1, "success", None)
    stage.end("1/a[y]/1")
    assert stage.tasks(1)["c"] == "waiting"
    stage.end("1/a[x]/1")
    assert stage.tasks(1) == {"a[x]": "success", "a[y]": "success", "b": "running", "c": "running"}


@pytest.mark.parametrize(
    ("items", "copies"),
    [
        (("x", "/srv/a b", "y"), ["a[2]", "a[x]", "a[y]"]),
        (("x", "x", "y"), ["a[1]", "a[2]", "a[3]"]),
        (("2", "/srv"), ["a[1]", "a[2]"]),
        (("a", "A"), ["a[A]", "a[a]"]),
    ],
)
def test_the_names_of_the_copies_of_lines(items: tuple[str, ...], copies: list[str]) -> None:
    stage = listed(*items)
    assert [name for name in names(stage) if "[" in name] == copies
    assert [task.matrix["ITEM"] for task in stage.state.runs[1].tasks.values() if task.job == "a"] == list(items)


def test_no_lines_is_a_skipped_task() -> None:
    stage = listed()
    assert stage.tasks(1) == {"a": "skipped", "b": "skipped", "c": "running"}
    assert stage.reasons(1)["a"] == "no_items"


def test_a_foreach_that_fails_fails_the_task_without_retries() -> None:
    stage = Stage(job("a", foreach="ls /missing", retries=3), job("b", ("a",)))
    stage.run("a")
    stage.end("1/a/foreach1", 2, items=("half", "a list"))
    assert (stage.tasks(1), stage.reasons(1)["a"]) == ({"a": "failed", "b": "blocked"}, "foreach")


def test_a_foreach_that_a_reboot_cut_short_is_asked_again() -> None:
    stage = Stage(job("a", foreach="ls"))
    stage.run("a")
    stage.end("1/a/foreach1", None, items=("half",))
    assert stage.started == ["1/a/foreach1", "1/a/foreach2"]
    stage.end("1/a/foreach2", items=("x",))
    assert names(stage) == ["a[x]"]


def test_condition_sensor_and_approval_come_once_before_the_lines() -> None:
    stage = Stage(job("a", foreach="ls", only_if="true", approve=""))
    stage.run("a")
    stage.end("1/a/condition1")
    stage.approve(1, "a")
    stage.end("1/a/foreach2", items=("x", "y"))
    assert stage.started == ["1/a/condition1", "1/a/foreach2", "1/a[x]/1", "1/a[y]/1"]
    assert stage.alerts == [("approval", "a")]


def test_a_restart_after_the_lines_are_known_does_not_ask_for_them_again() -> None:
    stage = listed("x", "y", retries=1, retry_delay=60.0)
    stage.end("1/a[x]/1", 1)
    stage.restart(after=10.0)
    assert stage.tasks(1) == {"a[x]": "retrying", "a[y]": "running", "b": "waiting", "c": "waiting"}
    stage.end("1/a[y]/1")
    stage.at(100)
    stage.end("1/a[x]/2")
    assert stage.tasks(1)["b"] == "running"
    assert len([ref for ref in stage.started if "foreach" in ref]) == 1


def test_a_thousand_lines_end_one_by_one_and_each_end_touches_only_its_own_task_and_the_next_one() -> None:
    count = 1000
    stage = Stage(job("a", foreach="seq 1000"), job("b", ("a",)), max_running=10)
    stage.run("a")
    stage.end("1/a/foreach1", items=tuple(map(str, range(count))))
    for place in range(count):
        assert place + 1 < len(stage.started) <= place + 11
        stage.end(stage.started[place + 1], int(place == 500))
        assert len(stage.last.of(TASKS)) <= 2
    assert len(stage.started) == count + 1
    states = list(stage.tasks(1).values())
    assert [states.count(word) for word in ("success", "failed", "blocked")] == [count - 1, 1, 1]


# ---- cancel, pause, retry -------------------------------------------------------------------------------------------------


def test_cancel_of_one_copy_lets_the_others_go_on() -> None:
    stage = listed("x", "y", "z")
    stage.cancel(1, "a[y]")
    stage.end("1/a[y]/1", None, stopped="cancel", signal=15)
    for name in "xz":
        stage.end(f"1/a[{name}]/1")
    assert stage.tasks(1) == {"a[x]": "success", "a[y]": "cancelled", "a[z]": "success", "b": "cancelled", "c": "running"}


def test_cancel_of_the_job_cancels_all_its_copies_that_go_on() -> None:
    stage = listed("x", "y", "z")
    stage.end("1/a[x]/1")
    stage.cancel(1, "a")
    assert len(stage.last.actions) == 2
    for name in "yz":
        stage.end(f"1/a[{name}]/1", None, stopped="cancel", signal=15)
    assert stage.tasks(1) == {"a[x]": "success", "a[y]": "cancelled", "a[z]": "cancelled", "b": "cancelled", "c": "running"}
    assert "has ended already" in (stage.cancel(1, "a").refused or "")


def test_a_pause_skips_the_copies_that_have_not_started() -> None:
    stage = Stage(job("z"), job("a", ("z",), matrix={"N": tuple("123")}), max_running=1)
    stage.run("z")
    stage.end("1/z/1")
    stage.ask(happened.PauseAsked, ("a",))
    assert stage.tasks(1) == {"z": "success", "a[1]": "running", "a[2]": "skipped", "a[3]": "skipped"}


def failed_copy(**keys: Any) -> Stage:
    """A run of three copies of which y failed, with what comes after them."""
    stage = Stage(job("a", **keys), job("b", ("a",)))
    stage.run("a")
    if "foreach" in keys:
        stage.end("1/a/foreach1", items=("x", "y", "z"))
    for name, code in {"x": 0, "y": 1, "z": 0}.items():
        stage.end(f"1/a[{name}]/1", code)
    assert stage.tasks(1) == {"a[x]": "success", "a[y]": "failed", "a[z]": "success", "b": "blocked"}
    return stage


BOTH: list[dict[str, Any]] = [{"matrix": {"N": ("x", "y", "z")}}, {"foreach": "ls"}]


@pytest.mark.parametrize("keys", BOTH)
def test_retry_runs_only_the_copies_that_failed(keys: dict[str, Any]) -> None:
    stage = failed_copy(**keys)
    assert stage.retry(1).runs == (2,)
    assert stage.started[-1] == "2/a[y]/1"
    assert stage.tasks(2) == {"a[x]": "success", "a[y]": "running", "a[z]": "success", "b": "waiting"}
    assert [stage.reasons(2)[name] for name in ("a[x]", "a[z]")] == ["taken_over"] * 2
    stage.end("2/a[y]/1")
    stage.end("2/b/1")
    assert stage.rows()[1][3] == "success"


@pytest.mark.parametrize("keys", BOTH)
def test_retry_from_a_copy_runs_that_copy_and_the_failed_ones(keys: dict[str, Any]) -> None:
    stage = failed_copy(**keys)
    stage.retry(1, from_task="a[x]")
    assert stage.tasks(2) == {"a[x]": "running", "a[y]": "running", "a[z]": "success", "b": "waiting"}


def test_retry_from_a_job_runs_all_its_copies() -> None:
    stage = failed_copy(**BOTH[0])
    stage.retry(1, from_task="a")
    assert stage.tasks(2) == {"a[x]": "running", "a[y]": "running", "a[z]": "running", "b": "waiting"}
    stage = failed_copy(**BOTH[1])
    stage.retry(1, from_task="a")
    assert stage.tasks(2) == {"a": "waiting", "b": "waiting"}
    assert stage.started[-1] == "2/a/foreach1", "the lines are asked for anew"


def test_retry_of_a_foreach_that_failed_asks_for_the_lines_again() -> None:
    stage = Stage(job("a", foreach="ls"), job("b", ("a",)))
    stage.run("a")
    stage.end("1/a/foreach1", 1)
    stage.retry(1)
    assert stage.started[-1] == "2/a/foreach1"


def test_retry_of_an_upstream_runs_all_copies_after_it() -> None:
    stage = Stage(job("z"), job("a", ("z",), matrix=EU_US))
    stage.run("z")
    stage.end("1/z/1", 1)
    stage.retry(1)
    stage.end("2/z/1")
    assert stage.tasks(2) == {"z": "success", "a[eu]": "running", "a[us]": "running"}


def test_retry_copy_by_copy_runs_only_what_comes_after_the_copies_that_run_again() -> None:
    each = {"matrix": EU_US, "matrix_join": "each"}
    stage = Stage(job("a", matrix=EU_US), job("b", ("a",), **each), job("c", ("b",), **each), job("d", ("c",)))
    stage.run("a")
    for ref, code in {"a[eu]": 0, "a[us]": 1, "b[eu]": 0, "c[eu]": 0}.items():
        stage.end(f"1/{ref}/1", code)
    stage.retry(1)
    assert stage.started[-1] == "2/a[us]/1"
    assert [name for name, reason in stage.reasons(2).items() if reason == "taken_over"] == ["a[eu]", "b[eu]", "c[eu]"]
    for ref in ("a[us]", "b[us]", "c[us]", "d"):
        stage.end(f"2/{ref}/1")
    assert set(stage.tasks(2).values()) == {"success"}
    stage.retry(2, from_task="b[us]")
    assert stage.started[-1] == "3/b[us]/1"
    assert stage.tasks(3) == {**stage.tasks(2), "b[us]": "running", "c[us]": "waiting", "d": "waiting"}


def test_retry_follows_the_matrix_of_today() -> None:
    stage = failed_copy(**BOTH[0])
    stage.reload(job("a", matrix={"N": ("x", "y", "new")}), job("b", ("a",)))
    stage.retry(1)
    assert stage.tasks(2) == {"a[x]": "success", "a[y]": "running", "a[new]": "running", "b": "waiting"}


def test_retry_of_copies_of_a_matrix_whose_job_has_a_foreach_today_asks_for_its_lines() -> None:
    stage = failed_copy(**BOTH[0])
    stage.reload(job("a", foreach="ls"), job("b", ("a",)))
    stage.retry(1)
    assert (stage.tasks(2), stage.started[-1]) == ({"a": "waiting", "b": "waiting"}, "2/a/foreach1")


def test_a_retry_held_back_by_overlap_keeps_its_copies_over_a_restart() -> None:
    stage = failed_copy(matrix={"N": ("x", "y", "z")}, overlap="queue")
    stage.run("a")
    stage.retry(1)
    stage.restart(after=10.0)
    assert stage.tasks(3) == {"a[x]": "success", "a[y]": "queued", "a[z]": "success", "b": "waiting"}
    stage.cancel(2)
    for name in "xyz":
        stage.end(f"2/a[{name}]/1", None, stopped="cancel", signal=15)
    assert stage.started[-1] == "3/a[y]/1"
