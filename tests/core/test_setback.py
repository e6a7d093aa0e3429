"""A clock that is set back: by little, nothing is repeated; by hours, slots count from the time that it shows."""

from __future__ import annotations

import pytest

from cronflow.core import events as happened
from cronflow.core.slots.clock_correction import CORRECTION, is_behind, since
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600.0


def hourly(**keys: object) -> Stage:
    """A job of each hour whose runs end at once, at half past midnight."""
    return Stage(job("a", schedule="0 * * * *", **keys), now=MIDNIGHT + HOUR / 2)


def let_run(stage: Stage, *hours: float) -> None:
    """Come to these hours, one after the other; whatever begins ends."""
    for hour in hours:
        stage.at(hour * HOUR)
        finish(stage)


def finish(stage: Stage) -> None:
    while stage.state.runs:
        stage.end(f"{next(iter(stage.state.runs))}/a/1")


def set_back(stage: Stage, hours: float) -> None:
    """What the daemon does about a clock that shows another time."""
    stage.now = MIDNIGHT + hours * HOUR
    if is_behind(stage.state, stage.state.plan, stage.now):
        stage.do(happened.ClockSetBack(*stage.store.slots_after(since(stage.state, stage.state.plan, stage.now))))
    else:
        stage.do(happened.Woke())


def slots(stage: Stage) -> list[tuple[float, str]]:
    """Hours after midnight of all slots in rows, with the state of each row, in order."""
    rows = stage.store.connection.execute("SELECT slot, slot_last, state FROM runs WHERE slot IS NOT NULL ORDER BY slot")
    return [
        ((at - MIDNIGHT) / HOUR, state) for first, last, state in rows for at in range(first, (last or first) + 1, int(HOUR))
    ]


def test_three_hours_back_repeat_nothing() -> None:
    stage = hourly()
    let_run(stage, 1, 2, 3, 4)
    set_back(stage, 4 - CORRECTION / HOUR)
    let_run(stage, 2, 3, 4, 5)
    assert slots(stage) == [(1, "success"), (2, "success"), (3, "success"), (4, "success"), (5, "success")]


def test_after_days_back_the_schedule_goes_on_at_once() -> None:
    """The machine began its day three days ahead: what was recorded as missed is still to come."""
    stage = hourly()
    let_run(stage, 1, 73.5)
    assert [state for _, state in slots(stage)] == ["success", *["missed"] * 71, "success"]
    set_back(stage, 1.5)
    assert slots(stage) == [(1, "success"), (73, "success")]
    let_run(stage, 2, 3)
    assert slots(stage) == [(1, "success"), (2, "success"), (3, "success"), (73, "success")]


def test_a_row_that_reaches_beyond_is_cut_and_not_taken_away() -> None:
    stage = hourly(catchup="none")
    stage.at(10.5 * HOUR)
    assert [hour for hour, _ in slots(stage)] == [*range(1, 11)]
    set_back(stage, 4.2)
    assert slots(stage) == [(1, "missed"), (2, "missed"), (3, "missed"), (4, "missed")]
    let_run(stage, 5, 6)
    assert slots(stage)[4:] == [(5, "success"), (6, "success")]


def test_what_ran_when_the_clock_was_ahead_runs_no_second_time_also_after_a_restart() -> None:
    stage = hourly()
    let_run(stage, 1, 30, 31)
    set_back(stage, 26.5)
    before = stage.state.already_run
    stage.restart()
    assert stage.state.already_run == before
    assert [sorted(ran) for ran in before.values()] == [[MIDNIGHT + hour * HOUR for hour in (29, 30, 31)]]
    let_run(stage, 27, 28, 29)
    before = len(stage.started)
    let_run(stage, 30, 31)
    assert len(stage.started) == before
    let_run(stage, 32)
    assert len(stage.started) == before + 1
    assert stage.state.already_run == {}
    ended = [hour for hour, state in slots(stage) if state == "success"]
    assert ended == sorted(set(ended))
    assert ended[-6:] == [27, 28, 29, 30, 31, 32]


def test_a_slot_that_jitter_delays_has_been_although_the_clock_shows_more_than_it() -> None:
    stage = hourly(jitter=3000.0, catchup="none")
    (trigger,) = stage.state.plan.flows["a"].triggers
    delay = trigger.delay(stage.state.jobs.host, "a") / HOUR
    assert delay > 0
    let_run(stage, *(hour + delay for hour in (1, 2, 3, 4, 5, 6, 7)))
    set_back(stage, 2 + delay / 2)
    assert len(stage.started) == 7
    assert [sorted(ran) for ran in stage.state.already_run.values()] == [[MIDNIGHT + hour * HOUR for hour in range(2, 8)]]
    let_run(stage, *(hour + delay for hour in (2, 3, 4, 5, 6, 7)))
    assert len(stage.started) == 7
    let_run(stage, 8 + delay)
    assert [hour for hour, _ in slots(stage)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_row_that_jitter_delays_is_cut_where_it_has_come_to() -> None:
    stage = hourly(jitter=3000.0, catchup="none")
    (trigger,) = stage.state.plan.flows["a"].triggers
    delay = trigger.delay(stage.state.jobs.host, "a") / HOUR
    stage.at((6 + delay + 0.5) * HOUR)
    assert [hour for hour, _ in slots(stage)] == [1, 2, 3, 4, 5, 6]
    set_back(stage, 2 + delay / 2)
    assert slots(stage) == [(1, "missed")]
    let_run(stage, 2 + delay)
    assert slots(stage) == [(1, "missed"), (2, "success")]


def test_a_cursor_ahead_is_found_when_the_daemon_starts() -> None:
    stage = hourly()
    let_run(stage, 1, 400)
    stage.restart(-300 * HOUR)
    assert is_behind(stage.state, stage.state.plan, stage.now)
    set_back(stage, (stage.now - MIDNIGHT) / HOUR)
    assert not is_behind(stage.state, stage.state.plan, stage.now)
    before = len(stage.started)
    let_run(stage, 101, 102)
    assert len(stage.started) == before + 2


# ---- what goes on ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", [None, "*/5 * * * *"])
@pytest.mark.parametrize("restarted", [False, True])
def test_a_retry_comes_after_its_own_delay_and_not_when_the_clock_is_there_again(schedule: str | None, restarted: bool) -> None:
    stage = Stage(job("a", schedule=schedule, retries=1, retry_delay=60.0), now=MIDNIGHT + 10 * HOUR)
    stage.run("a")
    stage.end("1/a/1", 1)
    set_back(stage, 1)
    if restarted:
        stage.restart()
    stage.at(HOUR + 70)
    assert stage.started == ["1/a/1", "1/a/2"]


def test_a_sensor_polls_and_gives_up_as_if_it_had_begun_to_wait_now() -> None:
    sensor = job("a", wait_until="test -e x", wait_every=60.0, wait_timeout=600.0)
    stage = Stage(sensor, now=MIDNIGHT + 10 * HOUR)
    stage.run("a")
    stage.end("1/a/sensor1", 1)
    set_back(stage, 1)
    stage.at(HOUR + 60)
    stage.end("1/a/sensor2", 1)
    stage.at(HOUR + 601)
    assert (stage.tasks(1), stage.reasons(1)) == ({"a": "failed"}, {"a": "wait_timeout"})


def test_a_job_that_goes_on_failing_is_told_again_a_day_after() -> None:
    stage = Stage(job("a"), now=MIDNIGHT + 100 * HOUR)
    stage.run("a")
    stage.end("1/a/1", 1)
    stage.run("a")
    stage.end("2/a/1", 1)
    assert stage.alerts == [("failure", "a")]
    stage.now = MIDNIGHT
    stage.do(happened.ClockSetBack(*stage.store.slots_after(since(stage.state, stage.state.plan, stage.now))))
    stage.at(24 * HOUR)
    stage.run("a")
    stage.end("3/a/1", 1)
    assert stage.alerts == [("failure", "a")] * 2


def test_a_slot_that_ended_when_the_clock_was_ahead_is_not_skipped_behind_one_that_waits() -> None:
    """Two hours long a slot waits for another flow, which never runs; those that come meanwhile meet `overlap`."""
    waits = job("w", schedule="0 * * * *", after={"never": "success"}, after_timeout=2 * HOUR)
    stage = Stage(waits, job("never", schedule="0 0 1 1 *"), now=MIDNIGHT + HOUR / 2)
    for hour in range(1, 11):
        stage.at(hour * HOUR)
    set_back(stage, 1.5)
    for hour in range(2, 8):
        stage.at(hour * HOUR)
    told = [row for row in slots(stage) if row[0] <= 7]
    assert told == [
        (1, "blocked"), (2, "blocked"), (3, "skipped"), (4, "blocked"), (5, "blocked"), (6, "skipped"), (7, "blocked"),
    ]


def test_a_sensor_gives_up_once_after_the_clock_was_set_back() -> None:
    asks = job("a", schedule="0 * * * *", wait_until="false", wait_timeout=HOUR, wait_every=60.0)
    stage = Stage(asks, now=MIDNIGHT + 72 * HOUR)
    stage.at(73 * HOUR)
    set_back(stage, 1.5)
    limits = [at - stage.now for at, kind, _, _ in stage.state.timers if kind == "wait_timeout"]
    assert min(limits) == HOUR
