"""Deadlines, slowness, streaks of skipped slots, approvals: who is told, when, and only once."""

from __future__ import annotations

from typing import Any

import pytest

from cronflow.core import events as happened
from cronflow.core.effects import Effects
from cronflow.core.engine import next_wakeup
from cronflow.core.jobs import ALERT_KINDS, AlertTarget, Job, JobSet, Settings
from cronflow.core.notify import health
from cronflow.core.notify.expectations import deadline_of, slow_after, usual
from cronflow.core.records import Run, parse_ref
from cronflow.core.tables import ALERTS
from cronflow.core.turn import Turn
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600.0
SLOT = int(MIDNIGHT + HOUR)


class Attentive(Stage):
    """A stage on which `ops` wants to hear everything and `boss` only what is late; `said` is who was told what, and when."""

    def __init__(self, *jobs: Job, **more: Any) -> None:
        self.said: list[tuple[float, str, str, str]] = []
        super().__init__(*jobs, **more)

    @staticmethod
    def jobset(*jobs: Job, **settings: Any) -> JobSet:
        targets = {"ops": AlertTarget("ops", on=ALERT_KINDS), "boss": AlertTarget("boss", on=("late",))}
        return JobSet({one.name: one for one in jobs}, targets, Settings(**settings))

    def do(self, event: happened.Event) -> Effects:
        out = super().do(event)
        for one in out.of(ALERTS).values():
            self.said.append((self.now - MIDNIGHT, one.kind, one.target, one.task or one.job or ""))
        return out

    def began(self, ref: str) -> None:
        self.do(happened.AttemptBegan(parse_ref(ref), 77, self.now))

    def told(self, *kinds: str) -> list[tuple[float, str, str, str]]:
        return [one for one in self.said if one[1] in (kinds or ("late", "slow", "skipped"))]


def hourly(name: str = "a", **keys: Any) -> Job:
    return job(name, schedule="0 * * * *", **{"deadline": ("duration", 600.0), "alert": ("boss",), **keys})


# ---- until when -----------------------------------------------------------------------------------------------------------


def of(trigger: str = "schedule", slot: int | None = SLOT) -> Run:
    return Run(1, "a", trigger, 0.0, slot=slot)


@pytest.mark.parametrize(
    ("clock", "zone", "slot", "expected"),
    [
        (6 * HOUR, "UTC", SLOT, MIDNIGHT + 6 * HOUR),
        (6 * HOUR, "Europe/Berlin", SLOT, MIDNIGHT + 5 * HOUR),
        (HOUR, "UTC", SLOT, MIDNIGHT + 25 * HOUR),
        (HOUR + 0.0, "UTC", SLOT - 1, MIDNIGHT + HOUR),
        (6 * HOUR + 90, "UTC", SLOT, MIDNIGHT + 6 * HOUR + 90),
        (2.5 * HOUR, "Europe/Berlin", 1_774_738_800, 1_774_746_000),  # 2026-03-29 has no 02:30: at 03:00, when the gap ends
    ],
)
def test_a_time_of_day_is_the_first_such_time_after_the_slot(clock: float, zone: str, slot: int, expected: float) -> None:
    assert deadline_of(job("a", deadline=("time", clock), timezone=zone), of(slot=slot)) == expected


def test_only_a_slot_of_its_own_binds() -> None:
    bound = job("a", deadline=("duration", 60.0))
    assert deadline_of(job("a"), of()) is None
    assert deadline_of(bound, of(slot=None)) is None
    for trigger in ("manual", "retry", "backfill"):
        assert deadline_of(bound, of(trigger)) is None
    for trigger in ("schedule", "every", "at", "reboot", "watch", "after", "catchup"):
        assert deadline_of(bound, of(trigger)) == SLOT + 60


def test_late_is_told_once_at_the_deadline_and_not_again_after_a_restart() -> None:
    stage = Attentive(hourly())
    stage.at(HOUR)
    stage.began("1/a/1")
    stage.at(HOUR + 599)
    assert not stage.told()
    assert next_wakeup(stage.state) == SLOT + 600
    stage.at(HOUR + 600)
    assert stage.told() == [(HOUR + 600, "late", "boss", "a")]
    stage.restart(10)
    stage.at(HOUR + 700)
    stage.end("1/a/1")
    assert len(stage.told()) == 1
    assert stage.store.run(1).tasks["a"].told == ("late",)  # type: ignore[union-attr]


def test_a_deadline_that_passes_while_the_daemon_is_down_is_told_at_its_start() -> None:
    stage = Attentive(hourly())
    stage.at(HOUR)
    stage.restart(700)
    assert stage.told() == [(HOUR + 700, "late", "boss", "a")]


def test_in_time_is_quiet() -> None:
    stage = Attentive(hourly())
    stage.at(HOUR)
    stage.now += 500
    stage.end("1/a/1")
    stage.at(HOUR + 900)
    assert not stage.told()


def test_a_success_after_the_deadline_that_nobody_saw_pass_is_late() -> None:
    stage = Attentive(hourly())
    stage.at(HOUR)
    alive_at, stage.now = stage.now, stage.now + 900
    stage.state = stage.store.load()
    stage.state.jobs = stage.set
    stage.end("1/a/1")
    stage.start(alive_at)
    assert stage.told() == [(HOUR + 900, "late", "boss", "a")]
    assert stage.tasks(1) == {"a": "success"}


def test_a_success_in_time_of_which_the_daemon_hears_later_is_not_late() -> None:
    stage = Attentive(hourly())
    stage.at(HOUR)
    alive_at, ended_at = stage.now, stage.now + 100
    stage.now += 900
    stage.state = stage.store.load()
    stage.state.jobs = stage.set
    stage.do(happened.AttemptEnded(parse_ref("1/a/1"), ended_at, exit_code=0))
    stage.start(alive_at)
    assert not stage.told()


def test_a_run_that_is_caught_up_after_its_deadline_is_late_in_the_same_step() -> None:
    stage = Attentive(job("a", schedule="0 1 * * *", deadline=("duration", 600.0), alert=("boss",)))
    stage.restart(3 * HOUR)
    assert stage.told() == [(3 * HOUR, "late", "boss", "a")]
    assert stage.started == ["1/a/1"]


def test_each_task_of_the_flow_has_its_own_deadline_waiting_and_queued_ones_too() -> None:
    stage = Attentive(
        hourly(deadline=None, overlap="queue"),
        job("b", after=("a",), deadline=("duration", 300.0), alert=("boss",), overlap="queue"),
    )
    stage.at(HOUR)
    stage.at(HOUR + 300)
    stage.at(2 * HOUR)
    stage.at(2 * HOUR + 300)  # its run is held back by the one before
    assert stage.told() == [(HOUR + 300, "late", "boss", "b"), (2 * HOUR + 300, "late", "boss", "b")]


def test_a_failure_is_late_at_once_for_those_who_do_not_hear_of_failures() -> None:
    stage = Attentive(hourly(alert=None))
    stage.at(HOUR)
    stage.end("1/a/1", 1)
    stage.at(HOUR + 600)
    assert stage.told("late", "failure") == [(HOUR, "failure", "ops", "a"), (HOUR, "late", "boss", "a")]


def test_a_blocked_task_is_late_for_those_who_do_not_hear_of_its_cause() -> None:
    stage = Attentive(
        hourly(deadline=None, alert=("ops",)),
        job("b", after=("a",), deadline=("duration", 600.0), alert=None),
        job("c", after=("a",), deadline=("duration", 600.0), alert=("ops",)),
    )
    stage.at(HOUR)
    stage.end("1/a/1", 1)
    stage.at(HOUR + 700)
    assert stage.told("late", "failure") == [(HOUR, "failure", "ops", "a"), (HOUR, "late", "boss", "b")]


def test_a_task_between_two_attempts_is_late() -> None:
    stage = Attentive(hourly(retries=3, retry_delay=1000.0))
    stage.at(HOUR)
    stage.end("1/a/1", 1)
    stage.at(HOUR + 600)
    assert stage.told() == [(HOUR + 600, "late", "boss", "a")]


def test_what_is_cancelled_or_skipped_is_not_late() -> None:
    stage = Attentive(hourly(), hourly("b", skip_codes=(99,)), hourly("c"))
    stage.ask(happened.PauseAsked, ("c",))
    stage.at(HOUR)
    stage.end("2/b/1", 99)
    stage.ask(happened.CancelAsked, 1)
    stage.end("1/a/1", None, signal=15, stopped="cancel")
    stage.at(HOUR + 700)
    assert {state for number in (1, 2) for state in stage.tasks(number).values()} == {"cancelled", "skipped"}
    assert not stage.told("late")


def test_started_by_hand_nothing_is_late() -> None:
    stage = Attentive(job("a", deadline=("duration", 60.0)))
    stage.run("a", at=int(MIDNIGHT))
    stage.at(HOUR)
    assert not stage.told()
    assert next_wakeup(stage.state) is None


# ---- how long -------------------------------------------------------------------------------------------------------------


def test_what_is_slow() -> None:
    assert usual(()) is None
    assert usual((3.0, 1.0, 2.0)) == 2.0
    assert usual((4.0, 1.0)) == 2.5
    assert slow_after(job("a"), (60.0,) * 9) is None
    assert slow_after(job("a"), (60.0,) * 10) == 360.0
    assert slow_after(job("a"), (600.0,) * 10) == 1800.0
    assert slow_after(job("a", slow=("duration", 90.0)), ()) == 90.0
    assert slow_after(job("a", slow=("factor", 2.0)), ()) is None
    assert slow_after(job("a", slow=("factor", 2.0)), (60.0, 80.0)) == 140.0


def succeed(stage: Attentive, number: int, took: float) -> None:
    stage.began(f"{number}/a/1")
    stage.now += took
    stage.end(f"{number}/a/1")


def test_the_last_twenty_successes_are_remembered_with_the_time_of_their_own_attempt() -> None:
    stage = Attentive(job("a", retries=1, retry_delay=500.0))
    for number in range(1, 23):
        stage.run("a")
        succeed(stage, number, float(number))
    stage.run("a")
    stage.end("23/a/1", 1)
    stage.now += 1000
    stage.do(happened.Woke())
    stage.began("23/a/2")
    stage.now += 4.0
    stage.end("23/a/2")
    assert stage.state.health["a"].durations == (*map(float, range(4, 23)), 4.0)
    assert stage.store.load().health["a"].durations == stage.state.health["a"].durations


def test_slow_is_told_once_while_it_runs_also_after_a_restart() -> None:
    stage = Attentive(job("a"))
    for number in range(1, 11):
        stage.run("a")
        succeed(stage, number, 60.0)
    stage.run("a")
    stage.now += 5
    stage.began("11/a/1")
    begun = stage.now
    assert next_wakeup(stage.state) == begun + 360
    stage.now += 300
    stage.restart(10)
    assert next_wakeup(stage.state) == begun + 360
    stage.now = begun + 360
    stage.do(happened.Woke())
    assert [one[1:] for one in stage.told()] == [("slow", "ops", "a")]
    assert stage.last.of(ALERTS)[0].facts["usual_s"] == 60.0
    stage.restart(10)
    stage.now += 9000
    stage.do(happened.Woke())
    assert len(stage.told()) == 1


def test_what_ends_before_is_not_slow() -> None:
    stage = Attentive(job("a", slow=("duration", 90.0)))
    stage.run("a")
    succeed(stage, 1, 89.0)
    stage.now += 500
    stage.do(happened.Woke())
    assert not stage.told()


def test_slowness_follows_what_others_of_the_job_have_taken_meanwhile() -> None:
    stage = Attentive(job("a", slow=("factor", 2.0), overlap="allow"))
    stage.run("a")
    stage.began("1/a/1")
    begun = stage.now
    stage.run("a")
    succeed(stage, 2, 50.0)
    assert next_wakeup(stage.state) == begun + 100
    stage.run("a")
    succeed(stage, 3, 20.0)
    stage.now = begun + 75
    stage.do(happened.Woke())
    assert [one[1:] for one in stage.told()] == [("slow", "ops", "a")]


# ---- streaks and approvals ------------------------------------------------------------------------------------------------


def test_the_third_slot_skipped_in_a_row_is_told_once_for_the_streak() -> None:
    stage = Attentive(job("a", schedule="0 * * * *"))
    for hour in range(1, 4):
        stage.at(hour * HOUR)
    assert not stage.told("skipped")
    stage.restart()
    stage.at(4 * HOUR)
    assert stage.told("skipped") == [(4 * HOUR, "skipped", "ops", "a")]
    facts = stage.last.of(ALERTS)[0].facts
    assert (facts["slots"], facts["slot"], facts["going"]) == (3, MIDNIGHT + 2 * HOUR, [[1, MIDNIGHT + HOUR]])
    stage.at(5 * HOUR)
    stage.end("1/a/1")
    for hour in range(6, 10):
        stage.at(hour * HOUR)
    assert stage.told("skipped")[1:] == [(9 * HOUR, "skipped", "ops", "a")]


def test_paused_slots_are_no_streak() -> None:
    stage = Attentive(job("a", schedule="0 * * * *"))
    stage.ask(happened.PauseAsked, ("a",))
    for hour in range(1, 6):
        stage.at(hour * HOUR)
    assert stage.rows()[0][-1] == 5
    assert not stage.told("skipped")


def test_an_approval_is_asked_for_once() -> None:
    stage = Attentive(job("a", approve="look at the figures first"), job("b", after=("a",)))
    stage.run("a")
    assert [(one.kind, one.target, one.task) for one in stage.last.of(ALERTS).values()] == [("approval", "ops", "a")]
    assert stage.last.of(ALERTS)[0].facts == {"message": "look at the figures first", "blocks": ["b"]}
    stage.restart(10)
    run, turn = stage.state.runs[1], Turn(stage.state, Effects(), stage.now)
    health.ask_approval(turn, run.tasks["a"])
    assert len(stage.told("approval")) == 1
    assert not turn.out


def test_the_copies_of_a_job_are_told_of_once() -> None:
    stage = Stage(job("a", approve="look", matrix={"REGION": ("eu", "us")}))
    stage.run("a")
    assert stage.alerts == [("approval", "a")]
