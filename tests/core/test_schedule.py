"""Schedules by example: slots, counts, keys, intervals, clock changes."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

import pytest
from croniter import croniter

from cronflow.core.time.schedule import Oddity, Schedule

SEED = os.environ.get("CRONFLOW_SEED", "1")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def slots(schedule: Schedule, start: str, number: int) -> list[str]:
    """The first slots after an instant, as the zone's clocks show them."""
    found: list[str] = []
    t: int | None = at(start)
    while len(found) < number:
        assert t is not None
        t = schedule.next_after(t)
        assert t is not None
        found.append(schedule.local(t).isoformat(timespec="seconds"))
    return found


def between(schedule: Schedule, after: int, until: int) -> list[int]:
    """All slots in (after, until], one by one."""
    found = []
    t = schedule.next_after(after)
    while t is not None and t <= until:
        found.append(t)
        t = schedule.next_after(t)
    return found


class TestSlots:
    def test_strictly_after(self) -> None:
        schedule = Schedule.cron("0 4 * * *", "UTC")
        four = at("2027-01-05T04:00Z")
        assert schedule.next_after(four - 0.001) == four
        assert schedule.next_after(four) == four + 86400
        assert isinstance(schedule.next_after(four + 0.5), int)

    def test_last_until_has_its_own_end_and_not_its_beginning(self) -> None:
        schedule = Schedule.cron("0 4 * * *", "UTC")
        four = at("2027-01-05T04:00Z")
        assert schedule.last_until(four, four - 1) == four
        assert schedule.last_until(four - 0.001, four - 1) is None
        assert schedule.last_until(four + 5, four) is None
        assert schedule.last_until(four + 5.5, 0) == four
        assert schedule.last_until(four, four + 100) is None

    def test_count_has_its_end_and_not_its_beginning(self) -> None:
        schedule = Schedule.cron("0 4 * * *", "UTC")
        four = at("2027-01-05T04:00Z")
        assert schedule.count(four, four + 86400) == 1
        assert schedule.count(four - 1, four) == 1
        assert schedule.count(four - 0.5, four - 0.25) == 0
        assert schedule.count(four, four) == 0
        assert schedule.count(four + 1, four - 86400) == 0

    def test_before_the_epoch(self) -> None:
        schedule = Schedule.cron("30 2 * * *", "Europe/Berlin")
        assert slots(schedule, "1969-12-31T00:00Z", 1) == ["1969-12-31T02:30:00+01:00"]
        assert slots(schedule, "1893-03-30T00:00Z", 3) == [
            "1893-03-30T02:30:00+00:53:28",
            "1893-03-31T02:30:00+00:53:28",
            "1893-04-01T02:30:00+01:00",
        ]

    def test_a_list_is_the_union(self) -> None:
        schedule = Schedule.cron(["0 4 * * *", "0 */12 * * *", "0 12 * * *"], "UTC")
        assert [slot[11:16] for slot in slots(schedule, "2027-01-04T23:00Z", 4)] == ["00:00", "04:00", "12:00", "00:00"]

    def test_seconds_come_first(self) -> None:
        schedule = Schedule.cron("*/20 59 23 31 12 *", "UTC")
        assert slots(schedule, "2027-01-01T00:00Z", 4) == [
            "2027-12-31T23:59:00+00:00",
            "2027-12-31T23:59:20+00:00",
            "2027-12-31T23:59:40+00:00",
            "2028-12-31T23:59:00+00:00",
        ]

    @pytest.mark.parametrize(
        ("expression", "days"),
        [
            ("0 0 1,15 * fri", [1, 5, 12, 15, 19, 26]),  # one of them
            ("0 0 */10 * fri", []),  # both of them: 1, 11, 21, 31 January 2029 are no Fridays
            ("0 0 */4 * fri", [5]),
            ("0 0 1-7 * */7,1", None),  # not a step of this field
            ("0 0 13 * fri", [5, 12, 13, 19, 26]),
            ("0 0 L * *", [31]),
            ("0 0 28-L * *", [28, 29, 30, 31]),
            ("0 0 L * sun", [7, 14, 21, 28, 31]),
            ("0 0 * * fri#2", [12]),
            ("0 0 * * 5#2,L1", [12, 29]),
            ("0 0 * * 1#5,2#5,4#5", [29, 30]),
            ("0 0 * * mon-wed#1", [1, 2, 3]),
            ("0 0 1 * 5#2", [1, 12]),
            ("0 0 */2 * 5#2,5#3", [19]),
            ("0 0 * * sat-sun", [6, 7, 13, 14, 20, 21, 27, 28]),
            ("0 0 * * 5-7/2", [5, 7, 12, 14, 19, 21, 26, 28]),
            ("0 0 * * 7", [7, 14, 21, 28]),
        ],
    )
    def test_days_of_january_2029(self, expression: str, days: list[int] | None) -> None:
        if days is None:
            with pytest.raises(ValueError, match="steps beyond"):
                Schedule.cron(expression, "UTC")
            return
        schedule = Schedule.cron(expression, "UTC")  # the 1st is a Monday
        found = between(schedule, at("2028-12-31T23:59Z"), at("2029-01-31T23:59Z"))
        assert [schedule.local(slot).day for slot in found] == days

    def test_29_february_over_a_century_that_skips_one(self) -> None:
        schedule = Schedule.cron("0 0 29 2 *", "UTC")
        assert slots(schedule, "1893-01-01T00:00Z", 2) == ["1896-02-29T00:00:00+00:00", "1904-02-29T00:00:00+00:00"]
        assert slots(schedule, "2096-03-01T00:00Z", 1) == ["2104-02-29T00:00:00+00:00"]
        assert schedule.last_until(at("2104-02-28T00:00Z"), 0) == at("2096-02-29T00:00Z")
        assert schedule.count(at("1896-02-28T00:00Z"), at("2104-03-01T00:00Z")) == 51

    def test_29_february_on_one_weekday(self) -> None:
        schedule = Schedule.cron("0 0 */28 2 mon#5", "UTC")
        assert slots(schedule, "2072-03-01T00:00Z", 1) == ["2112-02-29T00:00:00+00:00"]

    def test_far_ends_of_the_calendar(self) -> None:
        schedule = Schedule.cron("0 0 * * *", "Europe/Berlin")
        assert schedule.next_after(253_402_300_799) is None
        assert schedule.next_after(-1e15) is not None
        assert schedule.last_until(1e15, 252_900_000_000) is not None


def test_a_list_of_nothing() -> None:
    with pytest.raises(ValueError, match="empty list"):
        Schedule.cron([], "UTC")


class TestClockChanges:
    """Berlin goes from 02:00 to 03:00 on 2024-03-31, and back from 03:00 to 02:00 on 2024-10-27."""

    SPRING, AUTUMN = "2024-03-30T23:30Z", "2024-10-26T22:30Z"

    def test_a_fixed_time_that_does_not_exist_runs_at_the_end_of_the_gap(self) -> None:
        schedule = Schedule.cron("30 2 * * *", "Europe/Berlin")
        assert slots(schedule, self.SPRING, 2) == ["2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00"]

    def test_several_times_of_one_gap_and_a_regular_one_are_one_slot(self) -> None:
        schedule = Schedule.cron(["0,15,30 2 * * *", "45 2 * * *", "0 3 * * *"], "Europe/Berlin")
        assert slots(schedule, self.SPRING, 2) == ["2024-03-31T03:00:00+02:00", "2024-04-01T02:00:00+02:00"]
        assert schedule.count(at(self.SPRING), at("2024-03-31T12:00Z")) == 1

    def test_a_fixed_time_that_occurs_twice_runs_the_first_time(self) -> None:
        schedule = Schedule.cron("30 2 * * *", "Europe/Berlin")
        assert slots(schedule, self.AUTUMN, 2) == ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]
        assert schedule.last_until(at("2024-10-27T12:00Z"), 0) == at("2024-10-27T00:30Z")

    def test_a_star_follows_elapsed_time(self) -> None:
        schedule = Schedule.cron("*/30 2-3 * * *", "Europe/Berlin")
        assert [slot[11:22] for slot in slots(schedule, self.SPRING, 3)] == ["03:00:00+02", "03:30:00+02", "02:00:00+02"]
        autumn = [slot[11:22] for slot in slots(schedule, self.AUTUMN, 6)]
        assert autumn == ["02:00:00+02", "02:30:00+02", "02:00:00+01", "02:30:00+01", "03:00:00+01", "03:30:00+01"]

    def test_hourly_runs_every_hour_of_the_longer_and_the_shorter_day(self) -> None:
        schedule = Schedule.cron("@hourly", "Europe/Berlin")
        for start in (self.SPRING, self.AUTUMN):
            found = between(schedule, at(start), at(start) + 86400)
            assert {later - earlier for earlier, later in pairwise(found)} == {3600}

    def test_the_field_of_the_seconds_has_no_say(self) -> None:
        schedule = Schedule.cron("*/20 30 2 * * *", "Europe/Berlin")
        assert schedule.count(at(self.SPRING), at(self.SPRING) + 43200) == 1
        assert schedule.count(at(self.AUTUMN), at(self.AUTUMN) + 43200) == 3

    def test_only_a_star_in_front_follows_elapsed_time(self) -> None:
        schedule = Schedule.cron("0,30 2 * * *", "Europe/Berlin")
        assert schedule.count(at(self.AUTUMN), at(self.AUTUMN) + 43200) == 2
        schedule = Schedule.cron("0 1,*/2 * * *", "Europe/Berlin")
        assert schedule.count(at(self.AUTUMN), at(self.AUTUMN) + 7200) == 2  # 01:00 and 02:00
        assert Schedule.cron("0 */2,1 * * *", "Europe/Berlin").count(at(self.AUTUMN), at(self.AUTUMN) + 9000) == 3

    def test_half_an_hour_in_lord_howe(self) -> None:
        schedule = Schedule.cron("15 2 * * *", "Australia/Lord_Howe")
        assert slots(schedule, "2024-10-05T12:00Z", 2) == ["2024-10-06T02:30:00+11:00", "2024-10-07T02:15:00+11:00"]
        assert slots(Schedule.cron("45 1 * * *", "Australia/Lord_Howe"), "2024-04-06T12:00Z", 2) == [
            "2024-04-07T01:45:00+11:00",
            "2024-04-08T01:45:00+10:30",
        ]

    def test_two_hours_in_troll(self) -> None:
        schedule = Schedule.cron("30 1,2 * * *", "Antarctica/Troll")
        assert slots(schedule, "2024-03-30T12:00Z", 2) == ["2024-03-31T03:00:00+02:00", "2024-04-01T01:30:00+02:00"]

    def test_a_gap_at_midnight(self) -> None:
        for zone, start, first in (
            ("America/Sao_Paulo", "2018-11-03T12:00Z", "2018-11-04T01:00:00-02:00"),
            ("Asia/Beirut", "2024-03-30T12:00Z", "2024-03-31T01:00:00+03:00"),
            ("Africa/Cairo", "2024-04-25T12:00Z", "2024-04-26T01:00:00+03:00"),
        ):
            assert slots(Schedule.cron("@daily", zone), start, 1) == [first]

    def test_the_day_that_samoa_left_out(self) -> None:
        schedule = Schedule.cron("0 9 * * *", "Pacific/Apia")
        assert slots(schedule, "2011-12-29T12:00Z", 3) == [
            "2011-12-29T09:00:00-10:00",
            "2011-12-31T00:00:00+14:00",
            "2011-12-31T09:00:00+14:00",
        ]
        monthly = Schedule.cron("0 9 30 * *", "Pacific/Apia")
        assert slots(monthly, "2011-12-01T12:00Z", 1) == ["2011-12-31T00:00:00+14:00"]
        midnight = Schedule.cron("@daily", "Pacific/Apia")
        assert midnight.count(at("2011-12-29T12:00Z"), at("2012-01-01T12:00Z")) == 3


class TestOddities:
    YEAR = (at("2024-01-01T00:00Z"), at("2025-01-01T00:00Z"))

    def test_a_fixed_time(self) -> None:
        when = datetime(2024, 3, 31, 2, 30), datetime(2024, 10, 27, 2, 30)
        assert Schedule.cron("30 2 * * *", "Europe/Berlin").oddities(*self.YEAR) == [
            Oddity("gap", when[0], when[0], 1, 1, at("2024-03-31T01:00Z")),
            Oddity("fold", when[1], when[1], 1, 1, at("2024-10-27T00:30Z")),
        ]

    def test_several_times(self) -> None:
        (gap, _) = Schedule.cron(["*/20 2 * * *", "10-50/10 2 * * *"], "Europe/Berlin").oddities(
            self.YEAR[0], at("2024-06-01T00:00Z")
        )
        assert (gap.first.minute, gap.last.minute, gap.number, gap.runs) == (10, 50, 5, 1)
        (_, gap) = Schedule.cron(["*/20 2 * * *", "10-50/10 2 * * *"], "Europe/Berlin").oddities(
            self.YEAR[0], at("2024-06-01T00:00Z")
        )
        assert (gap.first.minute, gap.last.minute, gap.number, gap.runs) == (0, 40, 3, 0)

    def test_elapsed_time_of_some_hours_runs_twice_in_a_fold(self) -> None:
        (fold,) = Schedule.cron("*/30 2 * * *", "Europe/Berlin").oddities(at("2024-06-01T00:00Z"), self.YEAR[1])
        assert (fold.kind, fold.number, fold.runs, fold.at) == ("fold", 2, 2, at("2024-10-27T00:00Z"))

    @pytest.mark.parametrize("expression", ["* * * * *", "@hourly", "*/15 * * * *", "0 4 * * *", "30 2 1 * *"])
    def test_nothing_odd(self, expression: str) -> None:
        assert Schedule.cron(expression, "Europe/Berlin").oddities(*self.YEAR) == []

    def test_no_clock_changes(self) -> None:
        assert Schedule.cron("30 2 * * *", "UTC").oddities(*self.YEAR) == []
        assert Schedule.every(900, "Europe/Berlin").oddities(*self.YEAR) == []

    def test_a_change_is_in_a_range_by_its_instant(self) -> None:
        schedule, change = Schedule.cron("30 2 * * *", "Europe/Berlin"), at("2024-03-31T01:00Z")
        assert schedule.oddities(change, change + 3600) == []
        assert len(schedule.oddities(change - 1, change)) == 1


class TestEvery:
    def test_multiples_of_the_epoch(self) -> None:
        schedule = Schedule.every(900, "Europe/Berlin")
        assert slots(schedule, "2024-01-01T00:01:00Z", 2) == ["2024-01-01T01:15:00+01:00", "2024-01-01T01:30:00+01:00"]
        week = Schedule.every(7 * 86400, "UTC")
        assert week.next_after(0) == 604800
        assert week.next_after(-1) == 0
        assert week.next_after(-0.5) == 0

    @pytest.mark.parametrize("period", [1, 7, 60, 900, 3661, 86400])
    def test_the_three_questions_agree(self, period: int) -> None:
        schedule = Schedule.every(period, "UTC")
        random = Random(period)
        for _ in range(50):
            after = random.uniform(-1e5, 1e5)
            until = after + random.uniform(0, 50 * period)
            found = between(schedule, after, until)  # type: ignore[arg-type]  # floats are instants too
            assert all(slot % period == 0 for slot in found)
            assert schedule.count(after, until) == len(found)
            assert schedule.last_until(until, after) == (found[-1] if found else None)

    def test_no_clock_change_moves_it(self) -> None:
        schedule = Schedule.every(7200, "Europe/Berlin")
        found = between(schedule, at("2024-03-30T00:00Z"), at("2024-04-01T00:00Z"))
        assert {later - earlier for earlier, later in pairwise(found)} == {7200}

    @pytest.mark.parametrize("seconds", [0, -60, 0.5, 90.5])
    def test_no_interval(self, seconds: float) -> None:
        with pytest.raises(ValueError, match="whole seconds"):
            Schedule.every(seconds, "UTC")


class TestKey:
    @pytest.mark.parametrize(
        "spellings",
        [
            ["@daily", "@midnight", "0 0 * * *", "00 0 * * *", " 0  0 * *\t*", "0 0 0 * * *", "@Daily", "0 0 */1 * *"],
            ["@yearly", "@annually", "0 0 1 1 *", "0 0 1 jan *", "0 0 1 JAN *"],
            ["@weekly", "0 0 * * 0", "0 0 * * 7", "0 0 * * Sun", "0 0 * * 0,7"],
            ["@hourly", "0 * * * *", "0 */1 * * *", "0 0 * * * *"],
            ["0 4 * * mon-fri", "0 4 * * 1-5", "0 4 * * 5,4,3,2,1", "0 4 * * MON,2-5,tue"],
            ["0 4 * * fri-sun", "0 4 * * 5-7", "0 4 * * 0,5,6"],
            ["*/15 * * * *", "*/15 */1 * * *", "0,15,30,45 * * * *"],
            ["0 0 * * 5#1,5#2", "0 0 * * fri#2,fri#1"],
            ["0 0 28-L * *", "0 0 28-31 * *"],
            ["0 0 1-31 * 5", "0 0 1 * 0-6", "0 0 * * *"],  # one of two day fields fits every day
        ],
    )
    def test_one_schedule_in_many_spellings(self, spellings: list[str]) -> None:
        schedules = [Schedule.cron(spelling, "Europe/Berlin") for spelling in spellings]
        assert {schedule.key for schedule in schedules} == {schedules[0].key}
        assert len(set(schedules)) == 1

    def test_order_and_repetition_in_a_list(self) -> None:
        one = Schedule.cron(["0 4 * * *", "@daily", "0 0 * * *"], "UTC")
        assert one == Schedule.cron(["0 0 * * *", "00 04 * * *"], "UTC")
        assert one != Schedule.cron("0 0 * * *", "UTC")
        assert Schedule.cron(["@daily"], "UTC") == Schedule.cron("@daily", "UTC")

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("*/30 2 * * *", "0,30 2 * * *"),  # the first one follows elapsed time
            ("0 0-23 * * *", "0 * * * *"),
            ("0 0 */2 * 5", "0 0 1-31/2 * 5"),  # both day fields, one of them
            ("0 0 * * 5#1", "0 0 * * 5"),
            ("0 0 L * *", "0 0 31 * *"),
            ("0 0 * * L5", "0 0 * * 5#5"),
            ("0 0 * * *", "0 0 0 1 * *"),
        ],
    )
    def test_different_schedules(self, one: str, other: str) -> None:
        assert Schedule.cron(one, "UTC").key != Schedule.cron(other, "UTC").key

    def test_zone_and_interval(self) -> None:
        assert Schedule.cron("@daily", "UTC") != Schedule.cron("@daily", "Europe/Berlin")
        assert Schedule.every(3600, "UTC") == Schedule.every(3600.0, "UTC")
        assert Schedule.every(3600, "UTC") != Schedule.every(3600, "Europe/Berlin")
        assert Schedule.every(3600, "UTC") != Schedule.cron("@hourly", "UTC")

    def test_frozen(self) -> None:
        with pytest.raises(AttributeError):
            Schedule.every(60, "UTC").key = "other"  # type: ignore[misc]  # that is the point


class TestLongRanges:
    """Counting and looking back over years, against going forward one by one."""

    CASES = (
        (["30 2 * * *"], "Europe/Berlin", 1500),
        (["*/30 1-3 * * *"], "America/New_York", 700),
        (["0 * * * *", "30 2 * * *", "*/20 0-5 1 * *"], "Australia/Lord_Howe", 200),
        (["0 0 1 1 *", "59 23 31 12 *"], "Pacific/Apia", 12000),
        (["0 0 L * *", "0 12 * * 5#2", "30 12 */3 * mon"], "Africa/Casablanca", 4000),
        (["@daily", "@hourly", "*/15 * * * *", "*/45 3 * * *"], "Asia/Gaza", 60),
        (["15 30 2 * * *", "*/30 0 3 * * *"], "America/Sao_Paulo", 900),
    )

    @pytest.mark.parametrize(("expressions", "zone", "days"), CASES)
    def test_the_three_questions_agree(self, expressions: list[str], zone: str, days: int) -> None:
        random = Random(f"{SEED}/{expressions}")
        schedule = Schedule.cron(expressions, zone)
        for _ in range(6):
            after = random.randint(at("1950-01-01T00:00Z"), at("2060-01-01T00:00Z"))
            until = after + random.randint(0, days * 86400)
            found = between(schedule, after, until)
            assert schedule.count(after, until) == len(found), (after, until, SEED)
            assert schedule.last_until(until, after) == (found[-1] if found else None), (after, until, SEED)

    def test_every_minute_of_five_years(self) -> None:
        schedule = Schedule.cron("* * * * *", "Europe/Berlin")
        assert schedule.count(at("2022-01-01T00:00Z"), at("2027-01-01T00:00Z")) == 1826 * 1440
        every_second = Schedule.cron("* * * * * *", "Europe/Berlin")
        assert every_second.count(at("2022-01-01T00:00Z"), at("2027-01-01T00:00Z")) == 1826 * 86400

    def test_overlapping_expressions_are_counted_once(self) -> None:
        schedule = Schedule.cron([f"*/{step} * * * *" for step in range(1, 30)], "Europe/Berlin")
        assert schedule.count(at("2022-01-01T00:00Z"), at("2027-01-01T00:00Z")) == 1826 * 1440


EXPRESSIONS_OF_CRONITER = (
    "* * * * *",
    "*/7 * * * *",
    "5-55/10 3,4-8/2 * * *",
    "0 0 29 2 *",
    "0 0 31 * *",
    "0 12 1,15 * fri",
    "0 12 */2 * mon",
    "0 12 13 * */2",
    "0 12 L * *",
    "30 6 1,L 2,4 *",
    "0 12 L * tue",
    "30 6 20-L feb *",
    "0 0 * * 5#2",
    "0 0 * jan-jun mon#1,tue#5",
    "0 0 * * L5",
    "15 14 * * l0,3#3",
    "0 0 * * mon-fri#2",
    "0 22 * 3,6,9,12 1-5",
    "*/10 0 0 1 * *",
    "7,9 59 23 * 12 sun",
    "0 0 0 L 2 *",
)


@pytest.mark.parametrize("expression", EXPRESSIONS_OF_CRONITER)
def test_croniter_agrees_where_no_clock_shifts(expression: str) -> None:
    random = Random(f"{SEED}/{expression}")
    schedule = Schedule.cron(expression, "UTC")
    for _ in range(40):
        start = datetime(1975, 1, 1) + timedelta(seconds=random.randint(0, 110 * 365 * 86400))
        other = croniter(expression, start, implement_cron_bug=True, second_at_beginning=True)
        t: int | None = int(start.replace(tzinfo=UTC).timestamp())
        for _ in range(3):
            assert t is not None
            t = schedule.next_after(t)
            assert t == other.get_next(float), (expression, start, SEED)
        back = croniter(expression, start, implement_cron_bug=True, second_at_beginning=True).get_prev(float)
        before = start.replace(tzinfo=UTC).timestamp() - 0.5
        assert schedule.last_until(before, 0) == back, (expression, start, SEED)
