"""The slots of random schedules around clock changes, against brute force over every minute (or second) of a window.

The oracle asks the zone what its clock shows at each instant of a window, and then states the rule plainly. It shares nothing
with the code under test, not even a parser: each random expression is made together with the sets of numbers that it means.
CRONFLOW_SEED draws other cases.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

import pytest

from cronflow.core.time.schedule import Schedule, ScheduleError

SEED = os.environ.get("CRONFLOW_SEED", "1")
SHARDS = 12
QUERIES = 24
EXPRESSIONS = 150
"""For each shard: 12 x 150 x 24 = 43,200 cases, each of which asks three questions."""

WINDOWS = [  # (zone, the instant in the middle)
    ("Europe/Berlin", "2027-03-28T01:00"),
    ("Europe/Berlin", "2027-10-31T01:00"),
    ("Europe/Berlin", "2027-07-01T00:00"),
    ("Europe/London", "2026-03-29T01:00"),
    ("Europe/Dublin", "2026-10-25T01:00"),
    ("Europe/Dublin", "2027-03-28T01:00"),
    ("America/New_York", "2027-03-14T07:00"),
    ("America/New_York", "2027-11-07T06:00"),
    ("America/St_Johns", "2006-04-02T03:31"),
    ("America/St_Johns", "2006-10-29T02:31"),
    ("America/Havana", "2024-03-10T05:00"),
    ("America/Havana", "2024-11-03T05:00"),
    ("America/Sao_Paulo", "2018-11-04T03:00"),
    ("America/Sao_Paulo", "2018-02-18T02:00"),
    ("America/Santiago", "2026-09-06T04:00"),
    ("America/Caracas", "2007-12-09T07:00"),
    ("America/Caracas", "2016-05-01T07:00"),
    ("America/Juneau", "1867-10-18T15:30"),
    ("Africa/Cairo", "2024-04-25T22:00"),
    ("Africa/Cairo", "2024-10-31T21:00"),
    ("Africa/Casablanca", "2027-02-07T02:00"),
    ("Africa/Casablanca", "2027-03-14T02:00"),
    ("Antarctica/Troll", "2027-03-28T01:00"),
    ("Antarctica/Troll", "2027-10-31T01:00"),
    ("Asia/Beirut", "2027-03-27T22:00"),
    ("Asia/Beirut", "2027-10-30T21:00"),
    ("Asia/Gaza", "2040-10-20T00:00"),
    ("Asia/Kathmandu", "1985-12-31T18:30"),
    ("Asia/Kolkata", "2027-03-28T01:00"),
    ("Asia/Manila", "1844-12-30T16:00"),
    ("Asia/Pyongyang", "2018-05-04T15:00"),
    ("Asia/Tehran", "2022-03-21T20:30"),
    ("Asia/Tehran", "2022-09-21T19:30"),
    ("Australia/Adelaide", "2027-10-02T16:30"),
    ("Australia/Lord_Howe", "2027-04-03T15:00"),
    ("Australia/Lord_Howe", "2027-10-02T15:30"),
    ("Pacific/Apia", "2011-12-30T10:00"),
    ("Pacific/Chatham", "2027-04-03T14:00"),
    ("Pacific/Kwajalein", "1993-08-21T12:00"),
    ("Pacific/Kiritimati", "1994-12-31T10:00"),
    ("UTC", "2028-02-29T00:00"),
    ("America/New_York", "2100-02-28T12:00"),
    ("Europe/Berlin", "2027-12-31T23:00"),
]
IN_SECONDS = [  # shifts by seconds, and ordinary ones for expressions with six fields
    ("Europe/Amsterdam", "1937-06-30T22:40"),
    ("Europe/Paris", "1911-03-10T23:50"),
    ("Europe/Berlin", "2027-03-28T01:00"),
    ("Europe/Berlin", "2027-10-31T01:00"),
    ("Australia/Lord_Howe", "2027-04-03T15:00"),
    ("America/New_York", "2027-11-07T06:00"),
]


class Expression:
    """An expression and what it means."""

    def __init__(self, text: str, sets: list[set[object]], stars: list[bool]) -> None:
        self.text = text
        self.seconds, self.minutes, self.hours, self.days, self.months, self.weekdays = sets
        _, minute, hour, day, _, weekday = stars
        self.elapsed = minute or hour
        self.both = day or weekday

    def on(self, wall: datetime) -> bool:
        """Does the day of this wall time fit?"""
        day = wall.day in self.days or ("L" in self.days and (wall + timedelta(1)).month != wall.month)
        weekday = wall.isoweekday() % 7
        last = (wall + timedelta(7)).month != wall.month
        fits = (
            weekday in self.weekdays
            or (weekday, (wall.day + 6) // 7) in self.weekdays
            or (last and (weekday, "L") in self.weekdays)
        )
        return wall.month in self.months and ((day and fits) if self.both else (day or fits))

    def at(self, wall: datetime) -> bool:
        """Does the clock time of this wall time fit?"""
        return wall.minute in self.minutes and wall.hour in self.hours and wall.second in self.seconds


class Window:
    """What a zone's clock shows at each instant of a few days, one row for each `step` seconds."""

    def __init__(self, zone: str, middle: str, step: int, half: int) -> None:
        self.zone, self.step = zone, step
        info = ZoneInfo(zone)
        center = int(datetime.fromisoformat(middle).replace(tzinfo=UTC).timestamp())
        start = center - half
        if step == 60:  # begin at a full minute of the local clock, whose offset may have seconds
            start -= datetime.fromtimestamp(start, info).second
        self.instants = list(range(start, center + half, step))
        self.walls = [datetime.fromtimestamp(instant, info).replace(tzinfo=None, fold=0) for instant in self.instants]
        self.first_shown: dict[datetime, int] = {}
        for instant, wall in zip(self.instants, self.walls, strict=True):
            self.first_shown.setdefault(wall, instant)
        self.left_out: dict[datetime, int] = {}
        """Wall times that the clock never shows, with the first instant after the gap."""
        tick = timedelta(seconds=step)
        for before, after, instant in zip(self.walls, self.walls[1:], self.instants[1:], strict=False):
            missing = before + tick
            while missing < after:
                if missing not in self.first_shown:
                    self.left_out[missing] = instant
                missing += tick

    def slots(self, expression: Expression) -> set[int]:
        """The rule, said plainly."""
        good = self._fitting(expression)
        if expression.elapsed:  # each instant at which the clock shows such a time
            return {instant for instant, wall in zip(self.instants, self.walls, strict=True) if good(wall)}
        once = {instant for wall, instant in self.first_shown.items() if good(wall)}
        return once | {instant for wall, instant in self.left_out.items() if good(wall)}

    def _fitting(self, expression: Expression) -> Callable[[datetime], bool]:
        days = {wall.date(): False for wall in (*self.walls, *self.left_out)}
        for day in days:
            days[day] = expression.on(datetime(day.year, day.month, day.day))
        return lambda wall: expression.at(wall) and days[wall.date()]


@cache
def window(zone: str, middle: str, step: int) -> Window:
    return Window(zone, middle, step, 36 * 3600 if step == 60 else 2 * 3600)


MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
NAMES = {4: MONTHS, 5: ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]}
BOUNDS = [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]


def spelled(random: Random, field: int, value: int) -> str:
    if field in NAMES and random.random() < 0.4:
        name = NAMES[field][value - BOUNDS[field][0]]
        return random.choice([name, name.upper(), name.capitalize()])
    if field == 5 and value == 0 and random.random() < 0.3:
        return "7"
    return f"{value:02}" if random.random() < 0.1 else str(value)


def some_values(random: Random, field: int, near: int | None) -> tuple[str, set[object]]:
    """One item of a list, and what it means; `near` draws it towards a value."""
    low, high = BOUNDS[field]
    sort = random.random()
    if sort < 0.5 or (field == 5 and sort < 0.6):
        value = random.randint(low, high)
        if near is not None and random.random() < 0.7:
            value = min(high, max(low, near + random.randint(-2, 2)))
        return spelled(random, field, value), {value}
    if sort < 0.75:
        first = random.randint(low, high)
        last = random.randint(first, high)
        step = random.randint(1, high - low) if random.random() < 0.4 else 1
        text = f"{spelled(random, field, first).replace('7', '0') if field == 5 else spelled(random, field, first)}-"
        if field == 5 and random.random() < 0.3 and first > 0:  # a range up to Sunday
            return f"{text}{random.choice(['7', 'sun', 'Sun'])}/{step}", {value % 7 for value in range(first, 8, step)}
        text += str(last) if field == 5 and last == 0 else spelled(random, field, last)
        return text + (f"/{step}" if step > 1 or random.random() < 0.1 else ""), set(range(first, last + 1, step))
    step = random.choice([1, 2, 3, 5, 10, 15, 20, 30, high - low])
    step = min(step, high - low)
    return f"*/{step}", set(range(low, high + 1, step))


def some_field(random: Random, field: int, star: float, near: int | None) -> tuple[str, set[object], bool]:
    low, high = BOUNDS[field]
    if random.random() < star:
        return "*", set(range(low, high + 1)), True
    if field == 3 and random.random() < 0.1:
        day = random.randint(20, 31)
        lasts: list[tuple[str, set[object]]] = [("L", {"L"}), ("1,l", {1, "L"}), (f"{day}-L", {*range(day, 32)})]
        return *random.choice(lasts), False
    if field == 5 and random.random() < 0.15:
        day, nth = random.randint(0, 6), random.randint(1, 5)
        name = NAMES[5][day]
        nths: list[tuple[str, set[object]]] = [(f"{name}#{nth}", {(day, nth)}), (f"L{day}", {(day, "L")})]
        nths.append((f"{day}#{nth},l2", {(day, nth), (2, "L")}))
        return *random.choice(nths), False
    items = [some_values(random, field, near) for _ in range(random.choice([1, 1, 1, 2, 3]))]
    text = ",".join(item for item, _ in items)
    return text, set().union(*(values for _, values in items)), text[0] == "*"


def some_expression(random: Random, near: datetime, six: bool) -> Expression:
    """A random expression that likes to be due around a wall time."""
    stars = [0.2, 0.15, 0.15, 0.6, 0.85, 0.6]
    nearby = [None, near.minute, near.hour, near.day, near.month, near.isoweekday() % 7]
    fields = [some_field(random, field, stars[field], nearby[field]) for field in range(6)]
    if not six:
        fields[0] = ("0", {0}, False)
    words = [text for text, _, _ in fields]
    text = random.choice([" ", "  ", "\t"]).join(words if six else words[1:])
    return Expression(text, [values for _, values, _ in fields], [star for _, _, star in fields])


def some_schedule(random: Random, place: Window, six: bool) -> tuple[Schedule, set[int]]:
    """A schedule of one to three expressions, and its slots in the window."""
    while True:
        number = random.choice([1, 1, 1, 2, 3])
        expressions = [some_expression(random, random.choice(place.walls), six) for _ in range(number)]
        try:
            schedule = Schedule.cron([expression.text for expression in expressions], place.zone)
        except ScheduleError as fault:
            if "never comes" not in fault.message and "no day is ever" not in fault.message:
                raise
            continue
        return schedule, set().union(*(place.slots(expression) for expression in expressions))


def ask(random: Random, place: Window, schedule: Schedule, slots: list[int]) -> None:
    start, end = place.instants[0], place.instants[-1]
    kinds = [random.uniform(start, end), random.choice(place.instants), random.choice(slots or place.instants)]
    t = random.choice(kinds)
    after = random.uniform(start, t)
    case = (schedule.expressions, schedule.zone, t, after, f"CRONFLOW_SEED={SEED}")
    index = bisect_right(slots, t)
    found = schedule.next_after(t)
    if index < len(slots):
        assert found == slots[index], case
    else:
        assert found is None or found > end, case
    before = slots[index - 1] if index and slots[index - 1] > after else None
    assert schedule.last_until(t, after) == before, case
    assert schedule.count(after, t) == index - bisect_right(slots, after), case


@pytest.mark.parametrize("shard", range(SHARDS))
def test_slots_are_those_of_brute_force(shard: int) -> None:
    random = Random(f"{SEED}/{shard}")
    places = WINDOWS[shard::SHARDS]
    for number in range(EXPRESSIONS):
        place = window(*places[number % len(places)], 60)
        schedule, slots = some_schedule(random, place, six=False)
        ordered = sorted(slots)
        for _ in range(QUERIES):
            ask(random, place, schedule, ordered)


@pytest.mark.parametrize("place", IN_SECONDS, ids=lambda place: f"{place[0]}-{place[1][:4]}")
def test_slots_by_seconds_are_those_of_brute_force(place: tuple[str, str]) -> None:
    random = Random(f"{SEED}/{place}")
    table = window(*place, 1)
    for number in range(40):
        schedule, slots = some_schedule(random, table, six=number % 4 > 0)
        ordered = sorted(slots)
        for _ in range(QUERIES):
            ask(random, table, schedule, ordered)


def test_the_windows_are_around_clock_changes() -> None:
    """The oracle would prove little if its windows missed what they are for."""
    shifting = {zone for zone, middle in WINDOWS if _shifts(window(zone, middle, 60))}
    assert len(shifting) >= 15
    quiet = [(zone, middle) for zone, middle in WINDOWS if not _shifts(window(zone, middle, 60))]
    assert len(quiet) <= 10, quiet  # five on purpose, the others if a country changes its mind
    assert _shifts(window(*IN_SECONDS[0], 1))
    assert _shifts(window(*IN_SECONDS[1], 1))


def _shifts(place: Window) -> bool:
    span = timedelta(seconds=place.instants[-1] - place.instants[0])
    return place.walls[-1] - place.walls[0] != span
