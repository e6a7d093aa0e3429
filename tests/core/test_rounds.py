"""Edges between flows: new ends, rounds that are not mixed, slots that wait, runs that tell that an edge is not met."""

from __future__ import annotations

import pytest

from cronflow.core import events as happened
from cronflow.core.engine import next_wakeup
from cronflow.core.records import parse_ref
from cronflow.core.run.blockers import blockers
from cronflow.core.tables import ALERTS
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600.0
DAY = 86400.0
A = {"schedule": "0 4 * * *"}
B = {"schedule": "30 4 * * *"}


def abc(**keys: object) -> Stage:
    return Stage(job("a", **A), job("b", **B), job("c", ("a", "b"), **keys))


def opened(stage: Stage) -> list[str]:
    """Flow, trigger and state of every run and row, in order."""
    return [f"{flow} {trigger} {state}" for _, flow, trigger, state, *_ in stage.rows()]


def upstreams(stage: Stage, number: int) -> str:
    return str(stage.store.connection.execute("SELECT upstreams FROM runs WHERE id = ?", (number,)).fetchone()[0])


# ---- a flow that starts by its edges alone --------------------------------------------------------------------------------


def test_it_starts_when_both_have_ended() -> None:
    stage = abc()
    stage.at(4 * HOUR)
    stage.end("1/a/1")
    assert opened(stage) == ["a schedule success"]
    stage.at(4.5 * HOUR)
    stage.end("2/b/1")
    assert stage.started == ["1/a/1", "2/b/1", "3/c/1"]
    run = stage.state.runs[3]
    assert (run.trigger, run.slot, run.upstreams) == ("after", MIDNIGHT + 4.5 * HOUR, {"a": 1, "b": 2})


def test_an_end_counts_once() -> None:
    stage = abc()
    for day in range(3):
        stage.at(day * DAY + 4 * HOUR)
        stage.end(stage.started[-1])
        stage.at(day * DAY + 4.5 * HOUR)
        stage.end(stage.started[-1])
        stage.end(stage.started[-1])
    assert [line for line in opened(stage) if line.startswith("c")] == ["c after success"] * 3
    assert [upstreams(stage, number) for number in (3, 6, 9)] == ['{"a":1,"b":2}', '{"a":4,"b":5}', '{"a":7,"b":8}']


def test_after_a_failure_it_is_not_started_with_the_end_of_the_day_before() -> None:
    stage = abc()
    stage.at(4 * HOUR)
    stage.end("1/a/1", 1)
    stage.at(4.5 * HOUR)
    stage.end("2/b/1")
    assert stage.tasks(3) == {"c": "blocked"}
    assert stage.reasons(3) == {"c": "upstream_failed"}
    stage.at(DAY + 4 * HOUR)
    stage.end("4/a/1")
    assert opened(stage)[3:] == ["a schedule success"], "b's end of yesterday does not belong to this round"
    stage.at(DAY + 4.5 * HOUR)
    stage.end("5/b/1")
    assert upstreams(stage, 6) == '{"a":4,"b":5}'
    assert "6/c/1" in stage.started


def test_a_retry_that_mends_the_upstream_starts_it() -> None:
    stage = abc()
    stage.at(4 * HOUR)
    stage.end("1/a/1", 1)
    stage.at(4.5 * HOUR)
    stage.end("2/b/1")
    stage.at(6 * HOUR)
    stage.retry(1)
    stage.end("4/a/1")
    assert upstreams(stage, 5) == '{"a":4,"b":2}'
    assert stage.tasks(5) == {"c": "running"}


def test_one_blocked_run_stands_while_the_edges_are_not_met() -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"), job("c", ("a", "b")), job("clean", {"c": "done"}))
    stage.run("a")
    stage.end("1/a/1", 1)
    stage.at(HOUR)
    stage.end("2/b/1", 1)
    assert stage.tasks(3) == {"c": "blocked", "clean": "running"}, "what comes after is judged once"
    stage.end("3/clean/1")
    stage.at(2 * HOUR)
    stage.end("4/b/1")
    assert len(stage.rows()) == 4
    assert upstreams(stage, 3) == '{"a":1,"b":4}'
    stage.run("a")
    stage.end("5/a/1")
    assert stage.tasks(6) == {"c": "running", "clean": "waiting"}


def test_a_blocked_run_is_in_nobodys_way() -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"), job("c", ("a", "b")), job("clean", {"c": "done"}))
    stage.run("a")
    stage.end("1/a/1", 1)
    stage.at(HOUR)
    stage.end("2/b/1")
    assert stage.tasks(3)["clean"] == "running"
    stage.run("a")
    stage.end("4/a/1")
    assert stage.tasks(5)["c"] == "running"


def test_a_cancelled_upstream_makes_it_cancelled_and_a_skipped_one_skipped() -> None:
    stage = Stage(job("a", skip_codes=(99,)), job("b", schedule="@hourly"), job("c", ("a", "b")))
    stage.run("a")
    stage.end("1/a/1", 99)
    stage.at(HOUR)
    stage.end("2/b/1")
    assert stage.reasons(3) == {"c": "condition"}
    assert stage.tasks(3) == {"c": "skipped"}


def test_any_starts_with_the_first_that_is_met() -> None:
    stage = abc(join="any")
    stage.at(4 * HOUR)
    stage.end("1/a/1", 1)
    assert len(stage.rows()) == 1
    stage.at(4.5 * HOUR)
    stage.end("2/b/1")
    assert stage.tasks(3) == {"c": "running"}


def test_conditions_over_the_border_of_a_flow() -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"), job("alarm", {"a": "failure", "b": "done"}))
    stage.run("a")
    stage.end("1/a/1", 1)
    stage.at(HOUR)
    stage.end("2/b/1", 1)
    assert stage.tasks(3) == {"alarm": "running"}


def test_ends_from_before_the_edge_was_loaded_are_not_new() -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"))
    stage.run("a")
    stage.end("1/a/1")
    stage.reload(job("a"), job("b", schedule="@hourly"), job("c", ("a", "b")))
    stage.at(HOUR)
    stage.end("2/b/1")
    assert len(stage.rows()) == 2
    stage.run("a")
    stage.end("3/a/1")
    assert stage.tasks(4) == {"c": "running"}


@pytest.mark.parametrize("more", [{"only": True}, {"trigger": "backfill"}])
def test_runs_of_only_one_job_and_backfills_are_no_ends(more: dict[str, object]) -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"), job("c", ("a", "b")))
    stage.run("a", **more)
    stage.end("1/a/1")
    stage.at(HOUR)
    stage.end("2/b/1")
    assert len(stage.rows()) == 2


def test_a_start_by_hand_uses_up_nothing() -> None:
    stage = abc()
    stage.at(4 * HOUR)
    stage.end("1/a/1")
    stage.run("c")
    stage.end("2/c/1")
    stage.at(4.5 * HOUR)
    stage.end("3/b/1")
    assert stage.tasks(4) == {"c": "running"}


def test_what_is_decided_uses_up_the_ends_also_when_it_is_paused() -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"), job("c", ("a", "b")))
    stage.ask(happened.PauseAsked, ("c",))
    stage.run("a")
    stage.end("1/a/1")
    stage.at(HOUR)
    stage.end("2/b/1")
    assert opened(stage)[2] == "c after skipped"
    stage.ask(happened.ResumeAsked, ("c",))
    stage.at(2 * HOUR)
    stage.end("4/b/1")
    assert len(stage.rows()) == 4, "the end of `a` has been used up"


def test_a_paused_upstream_is_not_waited_for() -> None:
    stage = abc()
    stage.at(4 * HOUR)
    stage.end("1/a/1", 1)
    stage.at(4.5 * HOUR)
    stage.end("2/b/1")
    stage.ask(happened.PauseAsked, ("b",))
    stage.at(DAY + 4 * HOUR)
    stage.end("4/a/1")
    assert upstreams(stage, 5) == '{"a":4,"b":2}'


def test_a_slot_that_ends_without_running_is_no_longer_waited_for() -> None:
    stage = abc()
    stage.at(4 * HOUR)
    stage.end("1/a/1", 1)
    stage.at(4.5 * HOUR)
    stage.end("2/b/1")
    stage.at(DAY + 4 * HOUR)
    stage.end("4/a/1")
    assert len(stage.rows()) == 4, "b is to come at 04:30"
    stage.ask(happened.PauseAsked, ("b",))
    assert len(stage.rows()) == 4, "a pause is no reason to look"
    stage.at(DAY + 4.5 * HOUR)
    assert opened(stage)[4:] == ["b schedule skipped", "c after running"]


def test_an_end_that_becomes_known_after_a_restart_is_looked_at() -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"), job("c", ("a", "b")))
    stage.run("a")
    stage.end("1/a/1")
    stage.at(HOUR)
    stage.state = stage.store.load()
    stage.end("2/b/1")
    assert len(stage.rows()) == 2, "nothing is decided before the daemon is up"
    stage.state = stage.store.load()
    stage.start(stage.now)
    assert stage.tasks(3) == {"c": "running"}


def test_without_slots_the_next_daemon_decides() -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"), job("c", ("a", "b")))
    stage.run("a")
    stage.end("1/a/1")
    stage.at(HOUR)
    stage.state.slots = False
    stage.end("2/b/1")
    assert len(stage.rows()) == 2
    stage.restart()
    assert stage.tasks(3) == {"c": "running"}


def test_overlap_of_a_flow_that_starts_by_its_edges() -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"), job("c", ("a", "b"), overlap="skip"))
    for hour in (1, 2):
        stage.run("a")
        stage.end(stage.started[-1])
        stage.at(hour * HOUR)
        stage.end(stage.started[-1])
    assert opened(stage)[-1] == "c after skipped"
    assert stage.rows()[-1][4] == "overlap"


# ---- a trigger of its own -------------------------------------------------------------------------------------------------


def waiting(**keys: object) -> Stage:
    """`c` at 05:00, after `a` at 04:00."""
    return Stage(job("a", **A), job("c", ("a",), schedule="0 5 * * *", **keys))


def test_a_slot_waits_for_the_edge() -> None:
    stage = waiting()
    stage.at(4 * HOUR)
    stage.at(5 * HOUR)
    assert stage.started == ["1/a/1"]
    stage.at(5.5 * HOUR)
    stage.end("1/a/1")
    run = stage.state.runs[2]
    assert (run.trigger, run.slot, run.upstreams) == ("schedule", MIDNIGHT + 5 * HOUR, {"a": 1})
    assert stage.started[-1] == "2/c/1"


def test_an_end_from_before_the_slot_lets_it_start_at_once() -> None:
    stage = waiting()
    stage.at(4 * HOUR)
    stage.end("1/a/1")
    stage.at(5 * HOUR)
    assert stage.started[-1] == "2/c/1"


def test_a_slot_whose_upstream_has_no_new_end_is_skipped_just_before_the_next() -> None:
    stage = Stage(job("a"), job("c", ("a",), schedule="@hourly"))
    for hour in range(1, 5):
        stage.at(hour * HOUR)
    assert stage.rows() == [
        (1, "c", "schedule", "skipped", "upstream_not_new", 3),
        (4, "c", "schedule", "waiting", "upstream", 1),
    ]
    assert stage.alerts == []
    stage.run("a")
    stage.end("5/a/1")
    assert stage.started[-1] == "4/c/1"
    assert stage.state.runs[4].slot == MIDNIGHT + 4 * HOUR


def test_a_slot_whose_upstream_failed_is_blocked_just_before_the_next_without_an_alert() -> None:
    stage = Stage(job("a", alert=()), job("c", ("a",), schedule="@hourly"))
    stage.at(HOUR)
    stage.run("a")
    stage.end("2/a/1", 1)
    assert opened(stage)[0] == "c schedule waiting", "a retry may still mend it"
    stage.at(2 * HOUR)
    assert [row[1:5] for row in stage.rows()[:1]] == [("c", "schedule", "blocked", "upstream_failed")]
    assert stage.alerts == []


def test_after_timeout_blocks_and_is_told() -> None:
    stage = Stage(job("a"), job("c", ("a",), schedule="0 5 * * *", after_timeout=2 * HOUR), job("d", ("c",)))
    stage.at(5 * HOUR)
    assert next_wakeup(stage.state) == MIDNIGHT + 7 * HOUR
    stage.at(7 * HOUR)
    assert stage.tasks(1) == {"c": "blocked", "d": "blocked"}
    assert stage.reasons(1)["c"] == "after_timeout"
    assert stage.alerts == [("failure", "c")]


def test_slots_that_come_while_one_waits_past_them_are_skipped() -> None:
    stage = Stage(job("a"), job("c", ("a",), schedule="@hourly", after_timeout=2.5 * HOUR))
    for hour in (1, 2, 3):
        stage.at(hour * HOUR)
    stage.run("a")
    stage.end("2/a/1")
    assert [row[1:] for row in stage.rows() if row[1] == "c"] == [
        ("c", "schedule", "running", None, 1),
        ("c", "schedule", "skipped", "overlap", 2),
    ]


def test_slots_missed_while_the_daemon_was_down_are_caught_up_after_one_whose_time_was_over() -> None:
    stage = Stage(job("a"), job("c", ("a",), schedule="0 5 * * *", after_timeout=2 * HOUR))
    stage.at(5 * HOUR)
    stage.restart(30 * HOUR)
    assert [row[1:5] for row in stage.rows()] == [
        ("c", "schedule", "blocked", "after_timeout"),
        ("c", "catchup", "waiting", "upstream"),
    ]
    stage.run("a")
    stage.end("3/a/1")
    assert stage.started[-1] == "2/c/1"
    assert (stage.state.runs[2].trigger, stage.state.runs[2].slot) == ("catchup", MIDNIGHT + DAY + 5 * HOUR)


def test_slots_missed_while_the_daemon_was_down_are_caught_up_after_one_that_was_let_go_meanwhile() -> None:
    stage = Stage(job("a"), job("c", ("a",), schedule="0 5 * * *", after_timeout=40 * HOUR))
    stage.run("a")
    stage.at(5 * HOUR)
    stage.now += 30 * HOUR
    stage.state = stage.store.load()
    stage.do(happened.AttemptEnded(parse_ref("1/a/1"), MIDNIGHT + 6 * HOUR, exit_code=0))
    stage.start(MIDNIGHT + 5 * HOUR)
    assert stage.started[-1] == "2/c/1"
    assert [row[1:] for row in stage.rows()[1:]] == [("c", "schedule", "running", None, 1)]
    cursor = stage.state.cursors["c", next(key for _, key in stage.state.cursors)]
    assert cursor.catching_up


def test_a_row_of_several_roots_is_known_as_long_as_one_of_them_may_continue_it() -> None:
    five = {"schedule": "*/5 * * * *", "catchup": "none"}
    stage = Stage(job("a", **five), job("b", **five), job("c", ("a", "b")))
    stage.restart(HOUR)
    assert stage.rows() == [(1, "a", "schedule", "missed", "daemon_down", 12)]
    stage.reload(job("a", **five), job("x"), job("b", ("x",), **five))
    stage.at(HOUR + 300)
    assert stage.started == ["2/a/1"]
    assert stage.state.rows.keys() == stage.store.load().rows.keys() == {1}


def test_a_slot_that_waits_outlives_a_restart() -> None:
    stage = waiting()
    stage.at(4 * HOUR)
    stage.at(5 * HOUR)
    stage.restart(600.0)
    stage.end("1/a/1")
    assert stage.started[-1] == "2/c/1"


def test_a_slot_that_is_caught_up_waits_as_well() -> None:
    stage = waiting()
    stage.at(3 * HOUR)
    stage.restart(3 * HOUR)
    assert stage.started == ["1/a/1"]
    stage.end("1/a/1")
    assert opened(stage) == ["a catchup success", "c catchup running"]


def test_daily_after_monthly_runs_once_a_month() -> None:
    stage = Stage(job("month", schedule="0 0 1 * *"), job("day", ("month",), schedule="0 6 * * *"))
    for day in range(5):
        stage.at(day * DAY + 6 * HOUR)
    stage.at(5 * DAY)
    stage.end(stage.started[0])
    for day in range(5, 9):
        stage.at(day * DAY + 6 * HOUR)
    day = [row[3:] for row in stage.rows() if row[1] == "day"]
    assert day == [
        *(("skipped", "upstream_not_new", 5), ("running", None, 1)),
        *(("skipped", "upstream_not_new", 2), ("waiting", "upstream", 1)),
    ]
    run = next(run for run in stage.state.runs.values() if run.state == "running")
    assert run.slot == MIDNIGHT + 5 * DAY + 6 * HOUR, "the first slot to which the end of the month belongs"


def test_a_waiting_slot_that_is_cancelled_parts_the_skipped_ones_before_and_after_it() -> None:
    stage = Stage(job("month", schedule="0 0 1 * *"), job("day", ("month",), schedule="0 6 * * *"))
    for day in range(3):
        stage.at(day * DAY + 6 * HOUR)
    waiting_run = next(run for run in stage.state.runs.values() if run.state == "waiting")
    stage.cancel(waiting_run.id)
    for day in range(3, 5):
        stage.at(day * DAY + 6 * HOUR)
    day = [row[3:] for row in stage.rows() if row[1] == "day"]
    skipped = ("skipped", "upstream_not_new")
    assert day == [(*skipped, 2), ("cancelled", "cancelled", 1), (*skipped, 1), ("waiting", "upstream", 1)]


def test_a_task_of_a_run_with_upstreams_has_no_blockers_left() -> None:
    stage = waiting()
    stage.at(4 * HOUR)
    stage.end("1/a/1")
    stage.at(5 * HOUR)
    run = stage.state.runs[2]
    assert blockers(stage.state, run, run.tasks["c"]) == []


# ---- by hand --------------------------------------------------------------------------------------------------------------


def test_by_hand_edges_from_other_flows_count_as_met_and_the_answer_says_so() -> None:
    stage = abc()
    reply = stage.run("c")
    assert stage.started == ["1/c/1"]
    assert reply.notes == ("run 1 takes as met what comes after `a`, `b`",)


def test_upstream_brings_in_the_jobs_of_other_flows_as_edges_like_any_other() -> None:
    stage = abc()
    stage.run("c", upstream=True)
    assert stage.tasks(1) == {"a": "running", "b": "running", "c": "waiting"}
    stage.end("1/a/1")
    stage.end("1/b/1")
    assert stage.started == ["1/a/1", "1/b/1", "1/c/1"]


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace", "allow"])
def test_in_a_run_that_has_them_itself_ends_are_none_for_rule_three(overlap: str) -> None:
    stage = Stage(job("a", **A), job("b", **B), job("c", ("a", "b"), overlap=overlap), job("d", ("a", "b"), join="any"))
    stage.run("c", upstream=True)
    stage.end("1/a/1")
    stage.end("1/b/1")
    assert stage.tasks(1) == {"a": "success", "b": "success", "c": "running"}
    stage.end("1/c/1")
    assert [row[1:4] for row in stage.rows()][:2] == [("c", "manual", "success"), ("d", "after", "running")]
    assert "c" not in {row[1] for row in stage.rows()[1:]}
    stage.at(4 * HOUR)
    stage.end(stage.started[-1])
    stage.at(4.5 * HOUR)
    stage.end(stage.started[-1])
    assert stage.started[-1].split("/")[1] == "c", "the next round starts it as ever"


def test_a_retry_of_such_a_run_does_again_what_was_not_well_in_all_its_flows() -> None:
    stage = abc()
    stage.run("c", upstream=True)
    stage.end("1/a/1")
    stage.end("1/b/1", 1)
    assert stage.tasks(1) == {"a": "success", "b": "failed", "c": "blocked"}
    reply = stage.retry(1)
    assert (reply.runs, reply.notes) == ((2,), ())
    assert stage.tasks(2) == {"a": "success", "b": "running", "c": "waiting"}
    assert stage.retry(1).refused == 'run 2 of `c` is still running, and its `overlap` is "skip"'
    stage.end("2/b/1", 1)
    again = stage.retry(2).runs[0]
    assert stage.tasks(again) == {"a": "success", "b": "running", "c": "waiting"}


def test_a_retry_leaves_out_a_job_that_has_moved_to_another_flow() -> None:
    stage = Stage(job("a", **A), job("c", ("a",)))
    stage.at(4 * HOUR)
    stage.end("1/a/1", 1)
    stage.reload(job("a", **A), job("c", ("a",), **B))
    assert stage.retry(1).notes == ("left out, because they are not in this flow any more: c",)


def test_jobs_that_need_the_same_job_of_another_flow_are_one_run() -> None:
    stage = Stage(job("a", **A), job("b", ("a",), **B), job("c", ("a",), schedule="@hourly"))
    assert stage.run("b", "c", upstream=True).runs == (1,)
    assert stage.tasks(1) == {"a": "running", "b": "waiting", "c": "waiting"}


# ---- the round of a slot --------------------------------------------------------------------------------------------------


def test_a_failure_does_not_shift_the_days_that_follow() -> None:
    stage = waiting()
    stage.at(4 * HOUR)
    stage.end("1/a/1", 1)
    stage.at(5 * HOUR)
    stage.at(DAY + 4 * HOUR)
    stage.end("3/a/1")
    assert stage.started == ["1/a/1", "3/a/1"], "that end is for the slot of this day"
    stage.at(DAY + 5 * HOUR)
    assert [row[3:5] for row in stage.rows() if row[1] == "c"] == [("skipped", "upstream_not_new"), ("running", None)]
    assert stage.state.runs[4].upstreams == {"a": 3}


def test_a_slot_waits_for_what_the_upstream_had_to_do_up_to_then() -> None:
    stage = waiting()
    stage.ask(happened.PauseAsked, ("c",))
    stage.at(4 * HOUR)
    stage.end("1/a/1")
    stage.at(5 * HOUR)
    stage.ask(happened.ResumeAsked, ("c",))
    stage.at(DAY + 4 * HOUR)
    stage.at(DAY + 5 * HOUR)
    assert stage.started == ["1/a/1", "3/a/1"], "the end of yesterday is new, but not of this round"
    stage.end("3/a/1")
    assert stage.state.runs[4].upstreams == {"a": 3}
# ---- who is told ----------------------------------------------------------------------------------------------------------


def blocked_by(stage: Stage) -> list[str]:
    """What the last failure alert lists as blocked."""
    return list(next(alert.facts["blocks"] for alert in reversed(stage.last.of(ALERTS).values()) if alert.kind == "failure"))


def test_a_failure_names_what_it_blocks_in_other_flows() -> None:
    stage = Stage(
        job("a", **A),
        job("a2", ("a",)),
        job("b", **B),
        job("c", ("a2", "b")),
        job("d", ("c",)),
        job("own", {"a": "success_or_skipped"}, schedule="0 5 * * *"),
        job("either", ("a", "b"), join="any"),
        job("alarm", {"a": "failure", "b": "done"}),
    )
    stage.at(4 * HOUR)
    stage.end("1/a/1", 1)
    assert blocked_by(stage) == ["a2", "own", "c", "d"]


@pytest.mark.parametrize("more", [{"only": True}, {"trigger": "backfill"}])
def test_an_end_that_others_do_not_hear_of_blocks_nobody_elsewhere(more: dict[str, object]) -> None:
    stage = abc()
    stage.run("a", **more)
    stage.end("1/a/1", 1)
    assert blocked_by(stage) == []


def test_a_recovery_names_the_roots_of_other_flows_too() -> None:
    stage = abc()
    stage.at(4 * HOUR)
    stage.end("1/a/1", 1)
    stage.retry(1)
    stage.end("2/a/1")
    (recovery,) = stage.last.of(ALERTS).values()
    assert recovery.facts["released"] == ["c"]


def test_after_timeout_says_who_is_still_running_and_who_failed() -> None:
    stage = Stage(
        job("a", schedule="0 4 * * *"),
        job("b", schedule="1 4 * * *"),
        job("e"),
        job("c", ("a", "b", "e"), schedule="0 5 * * *", after_timeout=2 * HOUR),
    )
    stage.at(4 * HOUR)
    stage.at(4 * HOUR + 60)
    stage.end("1/a/1", 1)
    stage.at(5 * HOUR)
    stage.at(7 * HOUR)
    (alert,) = stage.last.of(ALERTS).values()
    assert alert.facts["message"] == (
        "waited 2 h for `a`, which failed in run 1; `b`, which is still running in run 2; `e`, which has no new end"
    )
    assert alert.facts["finished_at"] == MIDNIGHT + 7 * HOUR


def test_the_retry_of_a_run_without_a_slot_of_its_own_has_none() -> None:
    stage = abc()
    stage.run("a", at=int(MIDNIGHT + 1 * HOUR))
    stage.end("1/a/1", 1)
    stage.retry(1)
    stage.end("2/a/1")
    stage.at(4.5 * HOUR)
    ref = next(ref for ref in stage.started if "/b/" in ref)
    stage.end(ref)
    assert stage.started[-1].split("/")[1] == "c", "by hand and its retry belong to no round"
