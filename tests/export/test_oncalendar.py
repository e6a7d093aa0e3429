"""`OnCalendar=` lines have the slots of the schedules that they come from: asked of systemd itself."""

from __future__ import annotations

import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from cronflow.core.time.schedule import Schedule, ScheduleError
from cronflow.export.oncalendar import calendar_lines, interval_lines
from cronflow.export.report import UnwritableError

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
FIRES = re.compile(r"(?:Next elapse|Iter\. #\d+): \w+ (\d+-\d+-\d+ \d+:\d+:\d+) UTC")


def fires(lines: Sequence[str], after: float, count: int) -> list[int]:
    """When systemd would start a timer with these lines."""
    base = f"--base-time={datetime.fromtimestamp(after, UTC):%Y-%m-%d %H:%M:%S} UTC"
    env = {"TZ": "UTC", "PATH": "/usr/bin:/bin", "LANG": "C"}
    words = ["systemd-analyze", "calendar", base, f"--iterations={count}", *lines]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) for text in FIRES.findall(done.stdout)}
    return sorted(found)[:count]


def slots(schedule: Schedule, after: float, count: int) -> list[int]:
    found: list[int] = []
    for _ in range(count):
        slot = schedule.next_after(found[-1] if found else after)
        assert slot is not None
        found.append(slot)
    return found


@pytest.mark.parametrize(
    ("expression", "lines"),
    [
        ("0 4 * * *", ["*-*-* 04:00:00"]),
        ("*/15 * * * *", ["*-*-* *:00/15:00"]),
        ("5-9,30 8-18 * * mon-fri", ["Mon..Fri *-*-* 08..18:05,06,07,08,09,30:00"]),
        ("0 0 1,15 * *", ["*-*-01,15 00:00:00"]),
        ("0 0 1 * fri", ["*-*-01 00:00:00", "Fri *-*-* 00:00:00"]),
        ("0 0 */2 * fri", ["Fri *-*-01,03,05,07,09,11,13,15,17,19,21,23,25,27,29,31 00:00:00"]),
        ("0 0 L * *", ["*-*~01 00:00:00"]),
        ("0 0 15,L * *", ["*-*-15 00:00:00", "*-*~01 00:00:00"]),
        ("0 0 * * fri#2", ["Fri *-*-08..14 00:00:00"]),
        ("0 0 * * 5#5", ["Fri *-*-29..31 00:00:00"]),
        ("0 0 * dec L0", ["Sun *-12~07/1 00:00:00"]),
        ("@weekly", ["Sun *-*-* 00:00:00"]),
        ("10 * * * * *", ["*-*-* *:*:10"]),
    ],
)
def test_an_expression_in_the_words_of_systemd(expression: str, lines: list[str]) -> None:
    assert calendar_lines(expression, "") == lines


def test_the_zone_is_named_behind() -> None:
    assert calendar_lines("0 4 * * *", "Europe/Berlin") == ["*-*-* 04:00:00 Europe/Berlin"]


def test_what_has_no_words_is_refused() -> None:
    with pytest.raises(UnwritableError, match="both a date and `L`"):
        calendar_lines("0 0 */5 * L5", "")


def field(lot: random.Random, low: int, high: int, star: float) -> str:
    def item() -> str:
        first = lot.randint(low, high)
        last = lot.randint(first, high)
        kind = lot.randrange(4)
        if kind == 0:
            return str(first)
        if kind == 1 or last - first < 3:
            return f"{first}-{last}"
        return f"{first}-{last}/{lot.randint(1, last - first - 1)}" if kind == 2 else f"*/{lot.randint(2, high - low)}"

    return "*" if lot.random() < star else ",".join(item() for _ in range(lot.choice((1, 1, 2, 3))))


def expressions(seed: int, count: int) -> list[str]:
    """Expressions of all sorts, each of which comes some day."""
    lot = random.Random(seed)
    found: list[str] = []
    while len(found) < count:
        days = field(lot, 1, 31, 0.5) if lot.random() < 0.85 else lot.choice(("L", "15,L", "20-L"))
        week = field(lot, 0, 6, 0.5) if lot.random() < 0.85 else lot.choice(("5#2", "L5", "1#1,3#5", "mon-fri#1", "L0,L3"))
        text = f"{field(lot, 0, 59, 0.2)} {field(lot, 0, 23, 0.2)} {days} {field(lot, 1, 12, 0.7)} {week}"
        text = f"{field(lot, 0, 59, 0.2)} {text}" if lot.random() < 0.1 else text
        try:
            Schedule.cron(text, "UTC")
            calendar_lines(text, "UTC")
        except (ScheduleError, UnwritableError):
            continue
        found.append(text)
    return found


@needs_systemd
@pytest.mark.parametrize("seed", range(3))
def test_systemd_has_the_slots_of_the_schedule(seed: int) -> None:
    lot = random.Random(seed)
    for text in expressions(seed, 30):
        after = datetime(2027, lot.randint(1, 12), lot.randint(1, 28), 3, 7, tzinfo=UTC).timestamp()
        lines = calendar_lines(text, "UTC")
        assert fires(lines, after, 12) == slots(Schedule.cron(text, "UTC"), after, 12), (text, lines)


@needs_systemd
@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_in_a_zone_between_the_changes_of_its_clock(zone: str) -> None:
    after = datetime(2027, 6, 1, tzinfo=UTC).timestamp()
    for text in expressions(9, 12):
        schedule = Schedule.cron(text, zone)
        wanted = [slot for slot in slots(schedule, after, 8) if slot < after + 60 * 86400]
        assert fires(calendar_lines(text, zone), after, 8)[: len(wanted)] == wanted, text


@needs_systemd
@pytest.mark.parametrize("seconds", [1, 15, 45, 60, 90, 300, 900, 2700, 3600, 5400, 7200, 14400, 21600, 43200, 86400])
def test_an_interval_is_counted_from_the_epoch(seconds: int) -> None:
    lines = interval_lines(seconds)
    assert lines is not None
    after = datetime(2027, 3, 27, 23, 59, 30, tzinfo=UTC).timestamp()
    assert fires(lines, after, 30) == slots(Schedule.every(seconds, "Europe/Berlin"), after, 30)


@pytest.mark.parametrize("seconds", [7 * 60, 5 * 3600, 2 * 86400, 7])
def test_an_interval_that_is_no_part_of_a_day_has_no_lines(seconds: int) -> None:
    assert interval_lines(seconds) is None
