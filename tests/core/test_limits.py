"""Who may have a process: `max_running`, pools, priorities, the order in a line, and what `overlap` says to one more run."""

from __future__ import annotations

from typing import Any

import pytest

from cronflow.core import events as happened
from cronflow.core.run.blockers import Blocker, blockers
from tests.core.stage import Stage, job

# ---- max_running ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [{"only_if": "true"}, {"wait_until": "true"}, {"foreach": "ls"}])
def test_max_running_counts_the_steps_before_a_command(keys: dict[str, Any]) -> None:
    stage = Stage(job("a", **keys), job("b"), max_running=1)
    stage.run("a", "b")
    assert (len(stage.started), stage.codes(2, "b")) == (1, ["max_running"])
    stage.end(stage.started[0], 1)
    assert stage.started[1:] == ["2/b/1"]


def test_max_running_counts_checks_and_hooks_and_nobody_comes_between() -> None:
    stage = Stage(job("a", check=("true",), on_success="true"), job("b"), max_running=1)
    stage.run("a", "b")
    for ref in ("1/a/1", "1/a/check1", "1/a/on_success2"):
        assert stage.started[-1] == ref
        assert stage.state.running == 1
        stage.end(ref)
    assert stage.started[-1] == "2/b/1"


def test_a_command_stands_in_line_after_its_condition() -> None:
    stage = Stage(job("a", only_if="true"), job("b"), job("c"), max_running=1)
    stage.run("a", "b", "c")
    stage.now += 1
    stage.end("1/a/condition1")
    assert stage.started == ["1/a/condition1", "2/b/1"]
    stage.end("2/b/1")
    stage.end("3/c/1")
    assert stage.started == ["1/a/condition1", "2/b/1", "3/c/1", "1/a/1"]


def test_a_higher_limit_after_a_reload_starts_who_waits_for_it() -> None:
    jobs = [job(name) for name in "abc"]
    stage = Stage(*jobs, max_running=1)
    stage.run("a", "b", "c")
    stage.reload(*jobs, max_running=2)
    assert stage.started == ["1/a/1", "2/b/1"]
    stage.reload(*jobs, max_running=1)
    stage.end("1/a/1")
    assert len(stage.started) == 2, "a lower one ends nobody and starts nobody"


# ---- pools ----------------------------------------------------------------------------------------------------------------


def pooled(name: str, **keys: Any) -> Any:
    return job(name, pool="db", **keys)


def test_a_pool_lets_in_as_many_as_it_has_slots() -> None:
    stage = Stage(*(pooled(name) for name in "abc"), pools={"db": 2})
    stage.run("a", "b", "c")
    assert (stage.started, stage.tasks(3), stage.reasons(3)) == (["1/a/1", "2/b/1"], {"c": "queued"}, {"c": "pool_full"})
    assert stage.codes(3, "c") == ["pool_full"]
    stage.end("2/b/1")
    assert stage.started[-1] == "3/c/1"


def test_the_reason_of_who_waits_is_the_limit_that_keeps_it() -> None:
    stage = Stage(pooled("a"), pooled("b"), job("c"), job("d"), pools={"db": 1}, max_running=2)
    stage.run("a", "b", "c", "d")
    assert stage.started == ["1/a/1", "3/c/1"]
    assert (stage.reasons(2), stage.reasons(4)) == ({"b": "max_running"}, {"d": "max_running"})
    stage.end("3/c/1")
    stage.end("4/d/1")
    stage.cancel(2)
    stage.run("b")
    assert stage.reasons(5) == {"b": "pool_full"}


def test_a_job_may_take_several_slots_of_a_pool() -> None:
    stage = Stage(pooled("a", pool_slots=2), pooled("b", pool_slots=2), pooled("c"), pools={"db": 3})
    stage.run("a", "b", "c")
    assert stage.started == ["1/a/1"]
    run = stage.state.runs[2]
    assert blockers(stage.state, run, run.tasks["b"]) == [Blocker("pool_full", pool="db", used=2, size=3, needs=2)]
    stage.end("1/a/1")
    assert stage.started == ["1/a/1", "2/b/1", "3/c/1"]


def test_who_needs_two_slots_is_not_starved_by_a_stream_of_those_who_need_one() -> None:
    stage = Stage(pooled("big", pool_slots=2), pooled("small", overlap="allow"), pools={"db": 2})
    stage.run("small")
    stage.now += 1
    stage.run("small")
    stage.now += 1
    stage.run("big")
    for _ in range(4):
        stage.now += 1
        stage.run("small")
    stage.end("1/small/1")
    assert stage.started == ["1/small/1", "2/small/1"], "one slot is free, and it is kept for who stands first"
    run = stage.state.runs[4]
    assert blockers(stage.state, run, run.tasks["small"]) == [Blocker("pool_full", 3, "big", pool="db")]
    stage.end("2/small/1")
    assert stage.started[2:] == ["3/big/1"]
    stage.end("3/big/1")
    assert stage.started[3:] == ["4/small/1", "5/small/1"]


def test_a_full_pool_does_not_hold_up_others() -> None:
    stage = Stage(pooled("a"), pooled("b"), job("c"), job("d", pool="web"), pools={"db": 1, "web": 1})
    stage.run("a", "b", "c", "d")
    assert stage.started == ["1/a/1", "3/c/1", "4/d/1"]


def test_a_pool_counts_commands_with_what_follows_them_and_not_what_comes_before() -> None:
    stage = Stage(pooled("a", only_if="true", check=("true",), on_success="true"), pooled("b", only_if="true"), pools={"db": 1})
    stage.run("a", "b")
    assert stage.started == ["1/a/condition1", "2/b/condition1"]
    stage.end("1/a/condition1")
    stage.end("2/b/condition1")
    for ref in ("1/a/1", "1/a/check2", "1/a/on_success3"):
        assert stage.started[-1] == ref
        assert stage.codes(2, "b") == ["pool_full"]
        stage.end(ref)
    assert stage.started[-1] == "2/b/1"
    stage.end("2/b/1")
    assert (stage.state.used, stage.state.running) == ({}, 0)


def test_the_steps_before_a_command_do_not_wait_for_its_pool() -> None:
    stage = Stage(pooled("a"), pooled("b", only_if="true"), pooled("c", wait_until="true"), pools={"db": 1})
    stage.run("a", "b", "c")
    assert stage.started == ["1/a/1", "2/b/condition1", "3/c/sensor1"]


def test_who_waits_for_another_attempt_gives_its_slot_back() -> None:
    stage = Stage(pooled("a", retries=1, retry_delay=60.0), pooled("b"), pools={"db": 1})
    stage.run("a", "b")
    stage.end("1/a/1", 1)
    assert stage.started == ["1/a/1", "2/b/1"]
    stage.at(100)
    assert stage.tasks(1) == {"a": "queued"}
    stage.end("2/b/1")
    assert stage.started[-1] == "1/a/2"


def test_a_waiting_sensor_and_a_waiting_approval_hold_nothing() -> None:
    stage = Stage(pooled("a", wait_until="true"), pooled("b", approve=""), pooled("c"), pools={"db": 1}, max_running=1)
    stage.run("a", "b")
    stage.end("1/a/sensor1", 1)
    assert (stage.state.running, stage.state.used) == (0, {})
    stage.run("c")
    assert stage.started[-1] == "3/c/1"


def test_a_pool_that_shrinks_below_what_a_job_needs_lets_it_in_alone() -> None:
    jobs = [pooled("a", pool_slots=3), pooled("b"), pooled("c")]
    stage = Stage(*jobs, pools={"db": 4})
    stage.run("a", "b", "c")
    assert stage.started == ["1/a/1", "2/b/1"]
    stage.reload(*jobs, pools={"db": 2})
    stage.end("2/b/1")
    assert stage.started == ["1/a/1", "2/b/1"], "3 of now 2 slots are taken"
    stage.end("1/a/1")
    assert stage.started[-1] == "3/c/1"
    stage.run("a")
    assert stage.tasks(4) == {"a": "queued"}
    stage.end("3/c/1")
    assert stage.started[-1] == "4/a/1"
    stage.run("b")
    assert stage.tasks(5) == {"b": "queued"}


def test_a_pool_that_grows_or_is_gone_after_a_reload_lets_in_who_waits() -> None:
    jobs = [pooled(name) for name in "abcd"]
    stage = Stage(*jobs, pools={"db": 1})
    stage.run("a", "b", "c", "d")
    stage.reload(*jobs, pools={"db": 2})
    assert stage.started == ["1/a/1", "2/b/1"]
    stage.reload(*(job(name) for name in "abcd"))
    assert stage.started == ["1/a/1", "2/b/1", "3/c/1", "4/d/1"]
    for number, name in enumerate("abcd", 1):
        stage.end(f"{number}/{name}/1")
    assert stage.state.used == {}


def test_a_restart_keeps_pools_and_lines() -> None:
    stage = Stage(*(pooled(name) for name in "abc"), pools={"db": 1})
    for name in "acb":
        stage.now += 1
        stage.run(name)
    stage.restart(after=60.0)
    assert stage.state.used == {"db": 1}
    stage.end("1/a/1")
    assert stage.started == ["1/a/1", "2/c/1"]


# ---- the order in a line --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool", [None, "db"])
def test_the_higher_priority_goes_first_then_who_came_first(pool: str | None) -> None:
    jobs = [job(name, pool=pool, priority=priority) for name, priority in {"a": 0, "b": -5, "c": 0, "d": 9, "e": 0}.items()]
    stage = Stage(*jobs, max_running=9 if pool else 1, pools={"db": 1})
    for name in "abced":
        stage.now += 1
        stage.run(name)
    for ref in ("1/a/1", "5/d/1", "3/c/1", "4/e/1", "2/b/1"):
        assert stage.started[-1] == ref
        stage.end(ref)


def test_priority_decides_between_the_heads_of_several_lines() -> None:
    stage = Stage(job("x"), pooled("a"), job("b", priority=1), job("c", pool="web", priority=2), max_running=1)
    stage.run("x")
    for name in "abc":
        stage.run(name)
    for ref in ("1/x/1", "4/c/1", "3/b/1", "2/a/1"):
        assert stage.started[-1] == ref
        stage.end(ref)


def test_who_leaves_a_line_holds_up_nobody_behind() -> None:
    stage = Stage(pooled("a"), pooled("b", pool_slots=2), pooled("c"), pools={"db": 2})
    for name in "abc":
        stage.now += 1
        stage.run(name)
    assert stage.tasks(3) == {"c": "queued"}
    stage.cancel(2)
    assert stage.started == ["1/a/1", "3/c/1"]


# ---- overlap --------------------------------------------------------------------------------------------------------------


def gone_wrong(overlap: str) -> Stage:
    """Run 1 has failed, run 2 of the same jobs goes on."""
    stage = Stage(job("a", overlap=overlap), job("b", ("a",)))
    stage.run("a")
    stage.end("1/a/1", 1)
    stage.run("a")
    return stage


@pytest.mark.parametrize("how", ["by hand", "retry"])
class TestOverlap:
    """What one more run meets while run 2 goes on."""

    @staticmethod
    def again(stage: Stage, how: str) -> Any:
        return stage.run("a") if how == "by hand" else stage.retry(1)

    def test_skip_refuses_it_and_names_the_run_that_goes_on(self, how: str) -> None:
        stage = gone_wrong("skip")
        reply = self.again(stage, how)
        assert (reply.exit_status, reply.runs, len(stage.rows())) == (1, (), 2)
        assert "run 2" in reply.refused

    def test_queue_holds_it_until_that_one_has_ended(self, how: str) -> None:
        stage = gone_wrong("queue")
        assert self.again(stage, how).runs == (3,)
        assert (stage.tasks(3), stage.codes(3)) == ({"a": "queued", "b": "waiting"}, ["overlap"])
        stage.end("2/a/1")
        assert stage.started[-1] == "2/b/1"
        stage.end("2/b/1")
        assert stage.started[-1] == "3/a/1"

    def test_queue_survives_a_restart_and_a_cancel(self, how: str) -> None:
        stage = gone_wrong("queue")
        self.again(stage, how)
        self.again(stage, how)
        stage.restart(after=60.0)
        stage.cancel(3)
        assert stage.tasks(3) == {"a": "cancelled", "b": "cancelled"}
        stage.cancel(2)
        stage.end("2/a/1", None, stopped="cancel", signal=15)
        assert stage.started[-1] == "4/a/1"

    def test_replace_ends_that_one_and_starts_when_nothing_of_it_is_left(self, how: str) -> None:
        stage = gone_wrong("replace")
        assert self.again(stage, how).runs == (3,)
        assert stage.tasks(2) == {"a": "running", "b": "cancelled"}
        assert stage.started[-1] == "2/a/1"
        stage.end("2/a/1", None, stopped="cancel", signal=15)
        assert (stage.started[-1], stage.reasons(2)["a"]) == ("3/a/1", "replaced")

    def test_allow_starts_it_at_once(self, how: str) -> None:
        stage = gone_wrong("allow")
        self.again(stage, how)
        assert stage.started[-2:] == ["2/a/1", "3/a/1"]


def test_a_run_that_waits_in_a_stage_is_in_the_way() -> None:
    stage = Stage(job("a", approve="", overlap="queue"))
    stage.run("a")
    stage.run("a")
    assert stage.codes(2) == ["overlap"]
    stage.approve(1, "a", approved=False)
    assert stage.codes(2) == ["approval"]


def test_a_slot_meets_overlap_while_a_hook_runs() -> None:
    stage = Stage(job("a", schedule="* * * * *", on_failure="true"))
    stage.at(60)
    stage.end("1/a/1", 1)
    stage.at(120)
    assert stage.rows()[1][3:5] == ("skipped", "overlap")
    stage.end("1/a/on_failure1")
    stage.at(180)
    assert stage.started[-1] == "3/a/1"


def test_drain_keeps_held_runs_for_the_next_daemon() -> None:
    stage = gone_wrong("queue")
    stage.run("a")
    stage.do(happened.DrainAsked("anna", "stop --drain"))
    stage.end("2/a/1", 1)
    assert stage.started[-1] == "2/a/1"
    stage.restart(after=60.0)
    assert stage.started[-1] == "3/a/1"
