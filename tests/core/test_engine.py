"""The rules of flows, runs by hand, retries, overlap, catch-up and alerts, one by one."""

from __future__ import annotations

import pytest

from cronflow.core import events as happened
from cronflow.core.effects import Reply, StopAttempt
from cronflow.core.engine import next_wakeup
from cronflow.core.records import QUEUE_LIMIT
from cronflow.core.run.attempts import retry_delay
from cronflow.core.run.blockers import blockers
from cronflow.core.tables import ALERTS
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600.0

# ---- after ----------------------------------------------------------------------------------------------------------------

CASES = [
    # condition, how the upstream ends, state of the task after it
    ("success", 0, "running"),
    ("success", 1, "blocked"),
    ("failure", 0, "skipped"),
    ("failure", 1, "running"),
    ("done", 0, "running"),
    ("done", 1, "running"),
    ("done", 99, "running"),
    ("success_or_skipped", 0, "running"),
    ("success_or_skipped", 99, "running"),
    ("success_or_skipped", 1, "blocked"),
    ("success", 99, "skipped"),
    ("failure", 99, "skipped"),
]


@pytest.mark.parametrize(("condition", "code", "state"), CASES)
def test_the_four_conditions(condition: str, code: int, state: str) -> None:
    stage = Stage(job("a", skip_codes=(99,)), job("b", {"a": condition}))
    stage.run("a")
    stage.end("1/a/1", code)
    assert stage.tasks(1)["b"] == state


def test_failure_reacts_to_a_task_that_was_blocked_by_a_failure() -> None:
    stage = Stage(job("a"), job("b", ("a",)), job("alarm", {"b": "failure"}))
    stage.run("a")
    stage.end("1/a/1", 1)
    assert stage.tasks(1) == {"a": "failed", "b": "blocked", "alarm": "running"}


def test_a_cancelled_upstream_cancels_what_had_to_come_after_it() -> None:
    stage = Stage(job("a"), job("b", ("a",)), job("c", {"a": "done"}))
    stage.run("a")
    stage.ask(happened.CancelAsked, 1, task="a")
    assert stage.last.actions == [StopAttempt(happened.AttemptRef(1, "a", 1))]
    stage.end("1/a/1", None, stopped="cancel", signal=15)
    assert stage.tasks(1) == {"a": "cancelled", "b": "cancelled", "c": "running"}


def test_cancel_of_a_run_ends_what_comes_after_done_too() -> None:
    stage = Stage(job("a"), job("b", ("a",)), job("c", {"a": "done"}))
    stage.run("a")
    stage.ask(happened.CancelAsked, 1)
    assert stage.tasks(1) == {"a": "running", "b": "cancelled", "c": "cancelled"}
    stage.end("1/a/1", None, stopped="cancel", signal=15)
    assert stage.rows()[0][3:5] == ("cancelled", "cancelled")


def test_who_cancelled_a_running_task_stays_known() -> None:
    stage = Stage(job("a"))
    stage.run("a")
    stage.ask(happened.CancelAsked, 1)
    task = stage.state.runs[1].tasks["a"]
    stage.end("1/a/1", None, stopped="cancel", signal=15)
    assert (task.state, task.reason, (task.note or "").split()[0]) == ("cancelled", "cancelled", "by")


def test_the_delay_of_a_thousandth_attempt_is_the_longest_one() -> None:
    patient = job("a", retries=1000, retry_delay=1.0, retry_backoff=100.0, retry_max_delay=60.0)
    assert 54.0 <= retry_delay(patient, happened.AttemptRef(1, "a", 1000)) <= 66.0
    assert retry_delay(patient._replace(retry_delay=0.0), happened.AttemptRef(1, "a", 1000)) == 0.0


def test_join_any_goes_with_the_first_condition_that_is_met() -> None:
    stage = Stage(job("a"), job("b"), job("c", ("a", "b"), join="any"))
    stage.run("a")
    stage.end("1/a/1")
    assert stage.tasks(1)["c"] == "running"


def test_join_any_ends_only_when_no_condition_can_be_met_any_more() -> None:
    stage = Stage(job("a"), job("b"), job("c", ("a", "b"), join="any"))
    stage.run("a")
    stage.end("1/a/1", 1)
    assert stage.tasks(1)["c"] == "waiting"
    stage.end("1/b/1", 1)
    assert stage.tasks(1)["c"] == "blocked"


def test_a_run_in_which_nothing_failed_is_a_success_with_its_failure_branch_skipped() -> None:
    stage = Stage(job("a"), job("alarm", {"a": "failure"}))
    stage.run("a")
    stage.end("1/a/1")
    assert stage.rows() == [(1, "a", "manual", "success", None, 0)]
    assert stage.reasons(1)["alarm"] == "condition"


def test_a_blocked_task_names_the_first_cause() -> None:
    stage = Stage(job("a"), job("b", ("a",)), job("c", ("b",)))
    stage.run("a")
    stage.end("1/a/1", 1)
    caused = dict(stage.store.connection.execute("SELECT name, caused_by FROM tasks").fetchall())
    assert caused == {"a": None, "b": "a", "c": "a"}


def test_a_disabled_job_in_a_flow_is_skipped_and_what_comes_after_follows_its_condition() -> None:
    stage = Stage(job("a", schedule="0 1 * * *"), job("b", ("a",), enabled=False), job("c", ("b",)), job("d", {"b": "done"}))
    stage.at(HOUR)
    stage.end("1/a/1")
    assert stage.tasks(1) == {"a": "success", "b": "skipped", "c": "skipped", "d": "running"}
    assert stage.reasons(1)["b"] == "disabled"


# ---- attempts -------------------------------------------------------------------------------------------------------------


def test_retries_come_after_delay_times_backoff() -> None:
    stage = Stage(job("a", retries=2, retry_delay=100.0, retry_backoff=3.0))
    stage.run("a")
    stage.end("1/a/1", 1)
    first = next_wakeup(stage.state)
    assert first is not None
    assert 90 <= first - stage.now <= 110
    stage.now = first
    stage.do(happened.Woke())
    stage.end("1/a/2", 1)
    second = next_wakeup(stage.state)
    assert second is not None
    assert 270 <= second - stage.now <= 330
    stage.now = second
    stage.do(happened.Woke())
    assert stage.started == ["1/a/1", "1/a/2", "1/a/3"]
    stage.end("1/a/3", 1)
    assert stage.tasks(1) == {"a": "failed"}


@pytest.mark.parametrize(
    ("retry_on", "facts", "again"),
    [
        (None, {"code": 1}, True),
        ((75,), {"code": 1}, False),
        ((75,), {"code": 75}, True),
        (("timeout",), {"code": None, "signal": 15, "stopped": "timeout"}, True),
        (("timeout",), {"code": None, "signal": 9}, False),
        (("killed",), {"code": None, "signal": 9}, True),
        (("lost",), {"code": None}, True),
        (("lost",), {"code": None, "survivors": True}, False),
        ((127,), {"code": 127, "reason": "exit_code"}, True),
    ],
)
def test_retry_on(retry_on: tuple[int | str, ...] | None, facts: dict[str, object], again: bool) -> None:
    stage = Stage(job("a", retries=1, retry_on=retry_on))
    stage.run("a")
    stage.end("1/a/1", **facts)  # type: ignore[arg-type]
    assert stage.tasks(1) == {"a": "retrying" if again else "failed"}


def test_a_late_report_changes_nothing() -> None:
    stage = Stage(job("a", retries=1, retry_delay=1.0))
    stage.run("a")
    stage.end("1/a/1", 1)
    stage.now += 10
    stage.do(happened.Woke())
    assert not stage.end("1/a/1", 0)
    assert stage.tasks(1) == {"a": "running"}


def test_cancel_of_a_task_that_waits_for_its_next_attempt_ends_it_at_once() -> None:
    stage = Stage(job("a", retries=1))
    stage.run("a")
    stage.end("1/a/1", 1)
    stage.ask(happened.CancelAsked, 1)
    assert stage.tasks(1) == {"a": "cancelled"}
    assert next_wakeup(stage.state) is None or not stage.state.runs


def test_cancel_twice_does_not_wait_for_kill_after() -> None:
    stage = Stage(job("a"))
    stage.run("a")
    stage.ask(happened.CancelAsked, 1)
    stage.ask(happened.CancelAsked, 1)
    assert [action.now for action in stage.last.actions if isinstance(action, StopAttempt)] == [True]


def test_max_running_is_first_come_first_served() -> None:
    stage = Stage(*(job(name) for name in "abcd"), max_running=2)
    stage.run("a", "b", "c", "d")
    assert stage.started == ["1/a/1", "2/b/1"]
    run = stage.state.runs[3]
    assert [one.code for one in blockers(stage.state, run, run.tasks["c"])] == ["max_running"]
    stage.end("2/b/1")
    assert stage.started == ["1/a/1", "2/b/1", "3/c/1"]


# ---- by hand --------------------------------------------------------------------------------------------------------------

FLOW = (job("a"), job("b", ("a",)), job("c", ("b",)), job("d", ("a",)))


@pytest.mark.parametrize(
    ("name", "more", "jobs"),
    [
        ("a", {}, "abcd"),
        ("b", {}, "bc"),
        ("b", {"only": True}, "b"),
        ("c", {"upstream": True}, "abc"),
        ("b", {"upstream": True}, "abc"),
        ("b", {"upstream": True, "only": True}, "ab"),
    ],
)
def test_what_run_starts(name: str, more: dict[str, bool], jobs: str) -> None:
    stage = Stage(*FLOW)
    stage.run(name, **more)
    assert set(stage.tasks(1)) == set(jobs)


def test_edges_from_jobs_outside_the_run_count_as_met_and_the_run_says_so() -> None:
    stage = Stage(*FLOW)
    reply = stage.run("b")
    assert stage.tasks(1) == {"b": "running", "c": "waiting"}
    assert "`a`" in reply.notes[0]


def test_a_job_named_runs_although_it_is_paused_or_disabled_others_do_not() -> None:
    stage = Stage(job("a"), job("b", ("a",), enabled=False))
    stage.ask(happened.PauseAsked, ("a",))
    stage.run("a")
    stage.end("1/a/1")
    assert stage.tasks(1) == {"a": "success", "b": "skipped"}
    stage.run("b")
    assert stage.tasks(2) == {"b": "running"}


def test_overlap_skip_refuses_a_run_by_hand_as_a_whole() -> None:
    stage = Stage(job("a"), job("b"))
    stage.run("a")
    reply = stage.run("b", "a")
    assert reply.refused is not None
    assert "run 1" in reply.refused
    assert (reply.exit_status, reply.runs) == (1, ())
    assert len(stage.rows()) == 1


def test_an_unknown_job_is_exit_status_4() -> None:
    assert Stage(job("a")).run("x").exit_status == 4


# ---- retry ----------------------------------------------------------------------------------------------------------------


def failed_run() -> Stage:
    stage = Stage(job("a"), job("b", ("a",)), job("c", ("b",)), job("d", ("a",)))
    stage.run("a")
    stage.end("1/a/1")
    stage.end("1/b/1", 1)
    stage.end("1/d/1")
    assert stage.tasks(1) == {"a": "success", "b": "failed", "c": "blocked", "d": "success"}
    return stage


def test_retry_runs_what_failed_and_what_comes_after_and_takes_over_the_rest() -> None:
    stage = failed_run()
    assert stage.retry(1).runs == (2,)
    assert stage.tasks(2) == {"a": "success", "b": "running", "c": "waiting", "d": "success"}
    assert stage.reasons(2)["a"] == "taken_over"
    stage.end("2/b/1")
    stage.end("2/c/1")
    assert stage.rows()[1] == (2, "a", "retry", "success", None, 0)


def test_retry_from_a_task_runs_it_and_all_after_it_whatever_their_state() -> None:
    stage = failed_run()
    stage.retry(1, from_task="a")
    assert stage.tasks(2) == {"a": "running", "b": "waiting", "c": "waiting", "d": "waiting"}


def test_retry_of_a_run_in_which_nothing_is_left_is_refused() -> None:
    stage = Stage(job("a"))
    stage.run("a")
    assert "still running" in (stage.retry(1).refused or "")
    stage.end("1/a/1")
    assert "nothing in run 1" in (stage.retry(1).refused or "")
    assert stage.retry(1, from_task="a").runs == (2,)


def test_retry_follows_the_job_file_of_today() -> None:
    stage = failed_run()
    stage.reload(job("a"), job("b", ("a",)), job("e", ("b",)), job("new", ("a",)))
    reply = stage.retry(1)
    assert stage.tasks(2) == {"a": "success", "b": "running", "e": "waiting", "new": "running"}
    assert sorted(reply.notes[0].rpartition(": ")[2].split(", ")) == ["c", "d"]


def test_retry_of_a_run_none_of_whose_jobs_are_left_is_refused() -> None:
    stage = failed_run()
    stage.reload(job("other"))
    assert "none of the jobs" in (stage.retry(1).refused or "")


def test_retry_carries_the_slot_without_owning_it() -> None:
    stage = Stage(job("a", schedule="0 1 * * *"))
    stage.at(HOUR)
    stage.end("1/a/1", 1)
    stage.retry(1)
    assert stage.state.runs[2].slot == MIDNIGHT + HOUR
    owners = stage.store.connection.execute("SELECT run FROM run_slots").fetchall()
    assert owners == [(1,)]


def test_a_row_of_slots_that_did_not_run_is_retried_as_a_whole() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", ("a",)))
    stage.ask(happened.PauseAsked, ("a",))
    stage.at(HOUR)
    assert stage.rows() == [(1, "a", "schedule", "skipped", "paused", 1)]
    stage.ask(happened.ResumeAsked, ("a",))
    assert stage.retry(1).runs == (2,)
    assert set(stage.tasks(2)) == {"a", "b"}


# ---- slots ----------------------------------------------------------------------------------------------------------------


def test_the_first_load_fires_nothing_and_the_next_slot_does() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    assert stage.rows() == []
    assert next_wakeup(stage.state) == MIDNIGHT + HOUR
    stage.at(HOUR)
    assert stage.rows() == [(1, "a", "schedule", "running", None, 1)]


def test_an_edit_of_the_schedule_fires_nothing_from_before() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.now += 1800
    stage.reload(job("a", schedule="*/10 * * * *"))
    assert stage.rows() == []
    assert next_wakeup(stage.state) == MIDNIGHT + 2400


def test_slots_while_all_roots_are_paused_are_one_row() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.ask(happened.PauseAsked, ("a",))
    for hour in range(1, 6):
        stage.at(hour * HOUR)
    assert stage.rows() == [(1, "a", "schedule", "skipped", "paused", 5)]


def test_a_pause_ends_by_itself() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.ask(happened.PauseAsked, ("a",), until=MIDNIGHT + 1800)
    stage.at(1800)
    stage.at(HOUR)
    assert stage.rows()[0][3] == "running"


def test_a_flow_whose_roots_are_disabled_has_no_slots_and_enabling_it_fires_nothing() -> None:
    stage = Stage(job("a", schedule="0 * * * *", enabled=False))
    stage.at(3.5 * HOUR)
    stage.reload(job("a", schedule="0 * * * *"))
    assert stage.rows() == []
    stage.at(4 * HOUR)
    assert len(stage.rows()) == 1


def test_overlap_skip_is_one_row_with_the_count() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    for hour in range(1, 5):
        stage.at(hour * HOUR)
    assert stage.rows() == [
        (1, "a", "schedule", "running", None, 1),
        (2, "a", "schedule", "skipped", "overlap", 3),
    ]


def test_overlap_queue_runs_one_after_the_other_and_is_bounded() -> None:
    stage = Stage(job("a", schedule="* * * * *", overlap="queue"))
    for minute in range(1, QUEUE_LIMIT + 4):
        stage.at(minute * 60)
    states = [row[3] for row in stage.rows()]
    assert states == ["running"] + ["waiting"] * QUEUE_LIMIT + ["skipped"]
    assert stage.rows()[-1][4:] == ("queue_full", 2)
    stage.end("1/a/1")
    assert stage.started == ["1/a/1", "2/a/1"]


def test_overlap_replace_ends_the_one_that_goes_on() -> None:
    stage = Stage(job("a", schedule="* * * * *", overlap="replace"))
    stage.at(60)
    stage.at(120)
    assert stage.started == ["1/a/1"]
    stage.end("1/a/1", None, stopped="cancel", signal=15)
    assert stage.tasks(1) == {"a": "cancelled"}
    assert stage.started == ["1/a/1", "2/a/1"]
    assert stage.rows()[0][3:5] == ("cancelled", "replaced"), "and not as if a person had cancelled it"


def test_overlap_allow() -> None:
    stage = Stage(job("a", schedule="* * * * *", overlap="allow"))
    stage.at(60)
    stage.at(120)
    assert stage.started == ["1/a/1", "2/a/1"]


@pytest.mark.parametrize(
    ("catchup", "rows"),
    [
        ("none", [("schedule", "missed", 5)]),
        ("last", [("schedule", "missed", 4), ("catchup", "running", 1)]),
        ("all", [("catchup", "running", 1)]),
    ],
)
def test_catchup_after_downtime(catchup: str, rows: list[tuple[str, str, int]]) -> None:
    stage = Stage(job("a", schedule="0 * * * *", catchup=catchup))
    stage.restart(after=5.5 * HOUR)
    assert [(row[2], row[3], row[5]) for row in stage.rows()] == rows


def test_catchup_all_runs_oldest_first_one_after_the_other_and_newer_slots_line_up() -> None:
    stage = Stage(job("a", schedule="0 * * * *", catchup="all", overlap="allow"))
    stage.restart(after=2.5 * HOUR)
    stage.at(3 * HOUR)
    assert stage.started == ["1/a/1"]
    for number in (1, 2):
        stage.end(f"{number}/a/1")
    slots = stage.store.connection.execute("SELECT slot, run FROM run_slots ORDER BY slot").fetchall()
    assert slots == [(MIDNIGHT + HOUR, 1), (MIDNIGHT + 2 * HOUR, 2), (MIDNIGHT + 3 * HOUR, 3)]
    assert [row[2] for row in stage.rows()] == ["catchup"] * 3


def test_catchup_window_only_records_what_is_older() -> None:
    stage = Stage(job("a", schedule="0 * * * *", catchup="all", catchup_window=2 * HOUR))
    stage.restart(after=10.5 * HOUR)
    assert [(row[2], row[3], row[5]) for row in stage.rows()] == [("schedule", "missed", 8), ("catchup", "running", 1)]


def test_a_year_of_missed_minutes_is_counted_not_walked() -> None:
    stage = Stage(job("a", schedule="* * * * *"))
    stage.restart(after=365 * 24 * HOUR)
    assert stage.rows()[0][5] == 365 * 24 * 60 - 1


def test_a_slot_fires_once_when_the_clock_goes_back() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.at(HOUR)
    stage.end("1/a/1")
    stage.at(0.5 * HOUR)
    stage.at(HOUR)
    assert len(stage.rows()) == 1


def test_a_jump_of_the_clock_makes_missed_slots() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.at(3 * HOUR + 1800)
    assert [(row[2], row[3], row[5]) for row in stage.rows()] == [("schedule", "missed", 2), ("catchup", "running", 1)]
    assert ("missed", None) in stage.alerts


# ---- alerts ---------------------------------------------------------------------------------------------------------------


def test_one_alert_a_change_of_state_and_recovery_only_where_the_failure_was_told() -> None:
    stage = Stage(job("a", schedule="0 * * * *", retries=1, retry_delay=1.0))
    for hour in (1, 2):
        stage.at(hour * HOUR)
        stage.end(f"{hour}/a/1", 1)
        stage.at(hour * HOUR + 10)
        stage.end(f"{hour}/a/2", 1)
    assert stage.alerts == [("failure", "a")]
    stage.at(3 * HOUR)
    stage.end("3/a/1")
    stage.at(4 * HOUR)
    stage.end("4/a/1")
    assert stage.alerts == [("failure", "a"), ("recovery", "a")]


def test_a_reminder_a_day_while_it_goes_on_failing() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    for hour in range(1, 30):
        stage.at(hour * HOUR)
        stage.end(f"{hour}/a/1", 1)
    assert stage.alerts == [("failure", "a")] * 2


def test_blocked_tasks_send_no_alert_the_cause_names_them() -> None:
    stage = Stage(job("a"), job("b", ("a",)), job("c", ("b",)), job("d", {"a": "done"}))
    stage.run("a")
    stage.end("1/a/1", 1)
    assert stage.alerts == [("failure", "a")]
    assert stage.last.of(ALERTS)[0].facts["blocks"] == ["b", "c"]


def test_a_slot_that_a_short_restart_delayed_is_no_news() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.now = MIDNIGHT + HOUR - 2
    stage.restart(after=5)
    assert [row[2] for row in stage.rows()] == ["catchup"]
    assert stage.alerts == []


def test_what_was_lost_and_missed_in_a_reboot_is_one_alert() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.at(HOUR)
    stage.now += 4 * HOUR
    stage.state = stage.store.load()
    out = stage.do(happened.AttemptEnded(happened.AttemptRef(1, "a", 1), stage.now))
    out.add(stage.start(MIDNIGHT + HOUR))
    assert [alert.kind for alert in out.of(ALERTS).values()] == ["missed"]
    facts = out.of(ALERTS)[0].facts
    assert facts["interrupted"] == [["a", 1, "a", "lost"]]
    assert facts["slots"] == 4


# ---- what goes on under an edit -------------------------------------------------------------------------------------------


def test_a_run_ends_under_the_definition_it_started_with() -> None:
    stage = Stage(job("a", retries=1), job("b", ("a",)))
    stage.run("a")
    stage.reload(job("a"), job("c", ("a",)))
    stage.end("1/a/1", 1)
    assert stage.tasks(1) == {"a": "retrying", "b": "waiting"}


def test_the_state_comes_back_exactly_from_the_database() -> None:
    stage = Stage(job("a", schedule="0 * * * *", retries=3), job("b", ("a",)), job("c", schedule="30 * * * *"))
    stage.ask(happened.PauseAsked, ("c",))
    stage.at(1.6 * HOUR)
    stage.end("1/a/1", 1)
    loaded = stage.store.load()
    for name in ("runs", "rows", "cursors", "pauses", "health", "next_run", "open_by_job", "running"):
        assert getattr(loaded, name) == getattr(stage.state, name), name


def test_drain_starts_nothing_more_and_kill_cancels() -> None:
    stage = Stage(job("a"), job("b", ("a",)))
    stage.run("a")
    stage.do(happened.DrainAsked("anna", "stop --drain"))
    stage.end("1/a/1")
    assert stage.tasks(1) == {"a": "success", "b": "queued"}
    assert stage.started == ["1/a/1"]
    stage.do(happened.DrainAsked("anna", "stop --kill", kill=True))
    assert stage.tasks(1)["b"] == "cancelled"


def test_an_end_that_is_heard_of_late_has_its_own_time() -> None:
    stage = Stage(job("a"), job("b", ("a",)))
    stage.run("a")
    stage.now += 7200
    stage.do(happened.AttemptEnded(happened.AttemptRef(1, "a", 1), MIDNIGHT + 4, exit_code=0))
    task = stage.state.runs[1].tasks["a"]
    assert (task.started_at, task.finished_at) == (MIDNIGHT, MIDNIGHT + 4)
    stage.end("1/b/1")
    finished = stage.store.connection.execute("SELECT finished_at FROM runs").fetchone()
    assert finished == (stage.now,)


def test_a_job_is_well_again_when_all_its_copies_are_and_fails_once_a_run() -> None:
    stage = Stage(job("a", matrix={"X": ("p", "q", "r")}))
    stage.run("a")
    stage.end("1/a[p]/1", 1)
    stage.end("1/a[q]/1", 1)
    stage.end("1/a[r]/1", 0)
    health = stage.state.health["a"]
    assert (health.failures, health.failing_since is not None) == (1, True)
    assert stage.alerts == [("failure", "a")]
    stage.run("a")
    stage.end("2/a[p]/1", 0)
    stage.end("2/a[q]/1", 0)
    assert stage.alerts == [("failure", "a")]
    stage.end("2/a[r]/1", 0)
    assert stage.alerts == [("failure", "a"), ("recovery", "a")]
    assert stage.state.health["a"].failures == 0


def test_approval_by_a_jobs_name_is_for_all_its_copies_that_wait() -> None:
    stage = Stage(job("a", matrix={"X": ("p", "q", "r")}, approve=""))
    stage.run("a")

    def decide(task: str, approved: bool, reason: str = "") -> Reply:
        stage.requests += 1
        event = happened.ApprovalGiven(stage.requests, 1, task, approved, "anna", "words", reason)
        return stage.do(event).replies[stage.requests]

    assert decide("a[p]", False, "too late").refused is None
    task = stage.state.runs[1].tasks["a[p]"]
    assert (task.state, task.reason, task.note) == ("failed", "rejected", "by anna: too late")
    assert decide("a[p]", True).refused == "task `1/a[p]` has ended already: failed"
    assert decide("a", True).refused is None
    assert stage.started == ["1/a[q]/1", "1/a[r]/1"]
    assert decide("a[q]", True).refused == "task `1/a[q]` does not wait for an approval"
    assert decide("b", True).exit_status == 4
