"""The next hours over a simulated clock: the engine decides as it will, with the usual durations."""

from __future__ import annotations

from collections.abc import Mapping

from cronflow.core.events import PauseAsked, SkipAsked, Started
from cronflow.core.forecast import UNKNOWN, Forecast, crowds, simulate
from cronflow.core.plan.flow import plan
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600.0


def forecast(stage: Stage, usual: Mapping[str, float], hours: float = 24, most: int = 40_000) -> Forecast:
    end = stage.now + hours * HOUR
    return simulate(stage.store.load(), Started(stage.set, plan(stage.set.jobs), stage.now), usual, end, most)


def spans(found: Forecast) -> list[tuple[str, float | None, float | None]]:
    """Each task with its start and end, in hours after midnight."""
    return [
        (bar.name, *(None if t is None else (t - MIDNIGHT) / HOUR for t in (bar.started_at, bar.finished_at)))
        for course in found.courses.values()
        for bar in course.bars.values()
    ]


def test_runs_start_at_their_slots_and_take_as_long_as_usual() -> None:
    stage = Stage(job("a", schedule="0 2 * * *"), job("b", ("a",)))
    found = forecast(stage, {"a": 2 * HOUR, "b": HOUR})
    assert spans(found) == [("a", 2.0, 4.0), ("b", 4.0, 5.0)]
    assert (found.unknown, found.late, found.cut) == ({}, [], None)
    assert crowds(found) == []


def test_nothing_is_saved_by_it() -> None:
    stage = Stage(job("a", schedule="0 2 * * *"))
    before = list(stage.store.connection.iterdump())
    forecast(stage, {"a": HOUR})
    assert list(stage.store.connection.iterdump()) == before
    assert stage.state.runs == {}


def test_what_runs_now_ends_when_it_usually_does_and_holds_others_up() -> None:
    stage = Stage(job("a", schedule="0 * * * *", overlap="queue"))
    stage.at(HOUR)
    stage.now += 0.5 * HOUR
    found = forecast(stage, {"a": 1.5 * HOUR}, hours=3)
    assert spans(found)[:2] == [("a", 1.0, 2.5), ("a", 2.5, 4.0)]
    assert [course.going for course in found.courses.values()][:2] == [True, False]
    assert next(iter(crowds(found))).limits == ("overlap",)


def test_slots_that_would_not_run_are_told() -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("p", schedule="0 1 * * *"), job("s", schedule="0 1 * * *"))
    stage.ask(PauseAsked, ("p",))
    stage.ask(SkipAsked, ("s",))
    found = forecast(stage, {"a": 1.5 * HOUR}, hours=2.2)
    assert [(row.flow, row.reason, row.slots) for row in found.rows.values()] == [
        ("p", "paused", 1),
        ("s", "skip", 1),
        ("a", "overlap", 1),
    ]


def test_a_job_that_never_ran_takes_a_minute_and_that_is_said() -> None:
    found = forecast(Stage(job("a", schedule="0 2 * * *")), {})
    assert spans(found) == [("a", 2.0, 2.0 + UNKNOWN / HOUR)]
    assert list(found.unknown) == ["a"]


def test_minutes_are_crowded_where_limits_make_tasks_wait() -> None:
    stage = Stage(*(job(f"j{number}", schedule="0 2 * * *") for number in range(4)), max_running=2)
    (crowd,) = crowds(forecast(stage, {f"j{number}": 600.0 for number in range(4)}))
    assert (crowd.at, crowd.starts, crowd.longest) == (MIDNIGHT + 2 * HOUR, 2, 600.0)
    assert (crowd.waiting, crowd.limits) == (("j2", "j3"), ("max_running",))


def test_minutes_are_crowded_where_many_start() -> None:
    jobs = [job(f"j{number}", schedule="0 2 * * *") for number in range(11)]
    (crowd,) = crowds(forecast(Stage(*jobs), {}))
    assert (crowd.starts, crowd.waiting) == (11, ())
    assert crowds(forecast(Stage(*jobs[1:]), {})) == []


def test_deadlines_that_would_be_missed_are_told() -> None:
    stage = Stage(
        job("a", schedule="0 2 * * *"),
        job("soon", ("a",), deadline=("duration", HOUR)),
        job("later", ("a",), deadline=("time", 6 * HOUR)),
    )
    (late,) = forecast(stage, {"a": 2 * HOUR, "soon": HOUR, "later": HOUR}).late
    assert (late.job, late.due, late.ends) == ("soon", MIDNIGHT + 3 * HOUR, MIDNIGHT + 5 * HOUR)
    (late,) = forecast(stage, {"a": 2 * HOUR, "soon": 30 * HOUR}, hours=5).late
    assert (late.job, late.ends) == ("soon", None)


def test_a_forecast_that_becomes_too_long_is_cut_and_says_where() -> None:
    found = forecast(Stage(job("a", schedule="* * * * *")), {"a": 1.0}, most=61)
    assert found.cut == MIDNIGHT + 30 * 60 + 1
    assert found.until == found.cut
    assert len(found.courses) == 30


def test_what_was_missed_while_nobody_was_there_is_caught_up() -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    stage.now += 5.5 * HOUR
    found = forecast(stage, {"a": 60.0}, hours=1)
    assert [(course.run.trigger, course.run.slots) for course in found.courses.values()] == [("catchup", 1), ("schedule", 1)]
    assert [(row.state, row.slots) for row in found.rows.values()] == [("missed", 4)]
