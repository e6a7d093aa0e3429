"""Schedules in words, and that no words are wrong."""

from __future__ import annotations

import pytest

from cronflow.core.time.schedule import Schedule

WORDS = [
    ("* * * * *", "every minute"),
    ("*/15 * * * *", "every 15 minutes"),
    ("0,20,40 * * * *", "every 20 minutes"),
    ("@hourly", "every hour"),
    ("5 * * * *", "every hour at :05"),
    ("0 */2 * * *", "every 2 hours"),
    ("20 */2 * * *", "every 2 hours at :20"),
    ("*/10 * * * * *", "every 10 seconds"),
    ("* * * * * *", "every second"),
    ("30 2 * * *", "at 02:30 every day"),
    ("@daily", "at 00:00 every day"),
    ("15 30 2 * * *", "at 02:30:15 every day"),
    ("0 2,14 * * *", "at 02:00 and 14:00 every day"),
    ("0 4 * * mon-fri", "at 04:00 on Mon-Fri"),
    ("0 4 * * sat,sun", "at 04:00 on Sat and Sun"),
    ("0 4 * * fri-sun", "at 04:00 on Fri-Sun"),
    ("@weekly", "at 00:00 on Sun"),
    ("0 4 * * 1,3,5", "at 04:00 on Mon, Wed and Fri"),
    ("@monthly", "at 00:00 on the 1st of each month"),
    ("0 0 2,3,11,22 * *", "at 00:00 on the 2nd, 3rd, 11th and 22nd of each month"),
    ("0 0 31 * *", "at 00:00 on the 31st of each month that has it"),
    ("0 0 L * *", "at 00:00 on the last day of each month"),
    ("0 0 15,L * *", "at 00:00 on the 15th and last day of each month"),
    ("0 6 1 jan,apr,jul,oct *", "at 06:00 on the 1st of Jan, Apr, Jul and Oct"),
    ("@yearly", "at 00:00 on the 1st of Jan"),
    ("0 0 * 6 *", "at 00:00 every day in Jun"),
    ("0 0 * * 5#2", "at 00:00 on the 2nd Fri of each month"),
    ("0 0 * 3 L0", "at 00:00 on the last Sun of Mar"),
    ("0 9 * 4-9 mon", "at 09:00 on Mon in Apr-Sep"),
    ("*/15 8-17 * * 1-5", "every 15 minutes from 08:00 to 17:45 on Mon-Fri"),
    ("0 8-17 * * *", "every hour from 08:00 to 17:00"),
    ("* 2 * * *", "every minute from 02:00 to 02:59"),
]
NO_WORDS = [
    "*/7 * * * *",  # 0, 7 … 56, and then after 4 minutes
    "7-59/15 * * * *",
    "0 */5 * * *",
    "10 8-17 * * *",
    "0 0 1,15 * 5",  # one of two day fields
    "0 0 */2 * 5",  # both
    "0 0 1-7,20 * *",
    "1,2,3,5,8 0 * * *",
    "*/7 30 * * * *",
    "0 0 * 1,3,5,7,9 *",
]


@pytest.mark.parametrize(("expression", "words"), WORDS)
def test_words(expression: str, words: str) -> None:
    assert Schedule.cron(expression, "UTC").describe() == words


@pytest.mark.parametrize("expression", NO_WORDS)
def test_the_expression_where_words_could_be_wrong(expression: str) -> None:
    assert Schedule.cron(expression, "UTC").describe() == expression


def test_different_slots_have_different_words() -> None:
    """Over all of these, words that are the same mean a schedule that is the same."""
    minutes = ["0", "5", "*", "*/15", "0,30", "0-29", "30"]
    hours = ["0", "2", "*", "*/2", "8-17", "0-23/3", "22,23"]
    days = ["*", "1", "31", "L", "1,15", "*/2"]
    weekdays = ["*", "1", "1-5", "0", "6,0", "5#1", "L5"]
    meaning: dict[str, str] = {}
    for minute in minutes:
        for hour in hours:
            for day in days:
                for month in ("*", "2,3", "6"):
                    for weekday in weekdays:
                        expression = f"{minute} {hour} {day} {month} {weekday}"
                        if (day, month, weekday) == ("31", "6", "*"):
                            continue  # never comes
                        schedule = Schedule.cron(expression, "UTC")
                        times = _first_slots(schedule)
                        words = schedule.describe()
                        assert meaning.setdefault(words, times) == times, (words, expression)


def _first_slots(schedule: Schedule) -> str:
    counts = [schedule.count(day * 604_800, (day + 1) * 604_800) for day in range(2900, 2920)]
    slot: int | None = 2900 * 604_800
    slots = []
    for _ in range(5):
        assert slot is not None
        slot = schedule.next_after(slot)
        slots.append(slot)
    return f"{slots} {counts}"


@pytest.mark.parametrize(
    ("expressions", "words"),
    [
        (["0 2 * * *", "30 14 * * *"], "at 02:00 and 14:30 every day"),
        (["0 2 * * sat,sun", "0 4 * * mon-fri"], "at 02:00 on Sat and Sun; at 04:00 on Mon-Fri"),
        (["0 2 * * *", "*/7 * * * *"], "at 02:00 every day; */7 * * * *"),
    ],
)
def test_several_expressions(expressions: list[str], words: str) -> None:
    assert Schedule.cron(expressions, "UTC").describe() == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "every second"),
        (30, "every 30 seconds"),
        (60, "every minute"),
        (90, "every 1 min 30 sec"),
        (900, "every 15 minutes"),
        (3600, "every hour"),
        (5400, "every 1 h 30 min"),
        (43200, "every 12 hours"),
        (86400, "every day at 00:00 UTC"),
        (604800, "every 7 days at 00:00 UTC"),
        (100000, "every 27 h 46 min 40 sec"),
    ],
)
def test_intervals(seconds: int, words: str) -> None:
    assert Schedule.every(seconds, "Europe/Berlin").describe() == words
