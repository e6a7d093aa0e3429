"""croniter's opinion on schedules: where it reads them in another way, and by which rule."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronflow.core.jobs import Job
from cronflow.core.time.cronfields import ScheduleError, parse
from cronflow.core.time.schedule import ClockChange, clock_changes
from cronflow.core.time.secondopinion import FEW, FEW_DAYS, MOST, YEAR, Opinion, opinion, opinions
from tests.core.test_schedule_oracle import some_expression

BERLIN = "Europe/Berlin"


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


NOW = instant("2026-12-01T12:00+00:00")


def asked(expression: str, zone: str = "UTC") -> Opinion:
    return opinion(expression, zone, NOW)


def rules(found: Opinion) -> list[str]:
    return ["+".join(difference.rules) for difference in found.differences]


@pytest.mark.parametrize(
    ("expression", "times"),
    [
        ("0 4 * * *", 366),
        ("@daily", 366),
        ("30 4 * * mon-fri", 262),
        ("0 0 1,l * *", 24),
        ("0 0 31 1,3 sun", 10),
        ("0 0 * * L5", 12),
    ],
)
def test_all_of_a_year_is_compared(expression: str, times: int) -> None:
    assert asked(expression) == Opinion(expression, "UTC", times, True, ())


def test_of_more_times_the_first_are_compared_and_those_where_readings_part() -> None:
    found = asked("* * * * *", BERLIN)
    assert (found.differences, found.whole) == ((), False)
    assert MOST - 100 < found.times <= MOST


def test_of_fewer_times_some_years_are_compared() -> None:
    assert asked("0 0 29 2 *") == Opinion("0 0 29 2 *", "UTC", FEW, False, ())


@pytest.mark.parametrize(
    ("expression", "rule"),
    [
        ("0 4 */2 * mon", "both_days"),
        ("0 4 13 * */5", "both_days"),
        ("0 4 13 * */1", "both_days"),
        ("5-5 * * * *", "one_value"),
        ("0 0 * * sun-sun", "one_value"),
        ("0 0 31-L * *", "one_value"),
        ("5-5 4 */2 * mon", "one_value+both_days"),
        ("0 4 13 * fri#2", "nth_weekday"),
        ("0 4 1 * fri#2", "nth_weekday"),
    ],
)
def test_rules_by_which_the_two_part(expression: str, rule: str) -> None:
    assert rules(asked(expression)) == [rule]


def test_the_times_that_only_one_has() -> None:
    (difference,) = asked("0 4 */2 * mon").differences
    assert difference.ours == ()
    assert difference.theirs[:3] == tuple(instant(f"2026-12-{day}T04:00+00:00") for day in ("03", "05", "09"))
    (difference,) = asked("0 4 13 * fri#2").differences
    assert 0 < len(difference.ours) < FEW_DAYS
    assert difference.ours[0] == instant("2026-12-13T04:00+00:00")
    assert difference.theirs == ()


@pytest.mark.parametrize(
    ("expression", "zone", "rule", "ours", "theirs"),
    [
        ("30 2 * * *", BERLIN, "fold", (), ("2027-10-31T02:30+01:00",)),
        ("0 */2 * * *", BERLIN, "gap", (), ("2027-03-28T03:00+02:00",)),
        ("0 */2 * * *", "Australia/Lord_Howe", "gap", (), ("2027-10-03T02:30+11:00",)),
        ("20,40 * * * *", "Australia/Lord_Howe", "fold", ("2027-04-04T01:40+10:30",), ()),
    ],
)
def test_changes_of_the_clock(expression: str, zone: str, rule: str, ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    (difference,) = asked(expression, zone).differences
    assert difference == ((rule,), tuple(map(instant, ours)), tuple(map(instant, theirs)))


def test_where_day_fields_are_read_otherwise_changes_of_the_clock_are_told_beside_it() -> None:
    assert rules(asked("30 2 */2 * sun", BERLIN)) == ["both_days", "fold"]


def test_each_different_schedule_is_asked_for_once_with_its_jobs() -> None:
    jobs = [
        Job("a", "true", schedule=("0 4 * * *", "@reboot")),
        Job("b", "true", schedule=("0  4 * * *", "30 0 4 * * *")),
        Job("c", "true", schedule=("0 4 * * *",), timezone=BERLIN),
        Job("d", "true", every=60),
    ]
    found = [(one.expression, one.zone, one.jobs) for one in opinions(jobs, NOW)]
    assert found == [("0 4 * * *", "UTC", ("a", "b")), ("0 4 * * *", BERLIN, ("c",))]


def test_the_changes_of_a_clock() -> None:
    found = list(clock_changes(BERLIN, NOW, NOW + YEAR))
    expected = [("2027-03-28T03:00+02:00", 3600, 7200), ("2027-10-31T02:00+01:00", -3600, 3600)]
    assert found == [ClockChange(instant(at), by, offset) for at, by, offset in expected]
    assert list(clock_changes(BERLIN, found[0].at, found[1].at)) == found[1:]
    assert list(clock_changes("UTC", NOW, NOW + YEAR)) == []


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.sampled_from(["UTC", BERLIN, "America/New_York", "Australia/Lord_Howe"]))
def test_the_two_part_only_by_rules_that_are_known(seed: int, zone: str) -> None:
    random = Random(seed)
    near = datetime.fromtimestamp(NOW + random.randrange(YEAR), UTC).replace(tzinfo=None)
    expression = " ".join(some_expression(random, near, six=False).text.split())
    try:
        parse(expression)
    except ScheduleError:
        return  # a day that never comes
    assert "unknown" not in {rule for difference in opinion(expression, zone, NOW).differences for rule in difference.rules}
