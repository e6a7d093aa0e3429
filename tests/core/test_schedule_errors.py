"""What is not a schedule: the fact, the spelling that was meant, and the place of the field."""

from __future__ import annotations

import pytest

from cronflow.core.time.schedule import Schedule, ScheduleError, ZoneError

REFUSED = [  # (expression, a part of the message, a part of the hint, the text at the place)
    ("60 * * * *", "`60` is not a minute", "0 to 59", "60"),
    ("0 24 * * *", "`24` is not an hour", "midnight is `0`", "24"),
    ("0 0 0 * *", "`0` is not a day of the month", "1 to 31", "0"),
    ("0 0 32 * *", "`32`", "1 to 31", "32"),
    ("0 0 * 13 *", "`13` is not a month", "1 to 12", "13"),
    ("0 0 * 0 *", "`0` is not a month", "1 to 12", "0"),
    ("0 0 * * 8", "`8` is not a day of the week", "0 to 7", "8"),
    ("61 0 0 * * *", "`61` is not a second", "0 to 59", "61"),
    ("10-70 * * * *", "`70` is not a minute", "0 to 59", "10-70"),
    ("99999999999999999999 * * * *", "is not a minute", "0 to 59", "99999999999999999999"),
    ("0 22-2 * * *", "runs backwards", "`22-23,0-2`", "22-2"),
    ("5-2 * * * *", "runs backwards", "`5-59,0-2`", "5-2"),
    ("0 23-2 * * *", "runs backwards", "`23,0-2`", "23-2"),
    ("0 22-0 * * *", "runs backwards", "`22-23,0`", "22-0"),
    ("0 22-4/2 * * *", "runs backwards", "`22,0,2,4`", "22-4/2"),
    ("0 0 28-3 * *", "runs backwards", "`28-31,1-3`", "28-3"),
    ("0 0 1 nov-feb *", "runs backwards", "`nov-dec,jan-feb`", "nov-feb"),
    ("0 0 * * fri-mon", "runs backwards", "`fri-sat,sun-mon`", "fri-mon"),
    ("0 0 * * 5-1", "runs backwards", "`5-6,0-1`", "5-1"),
    ("0 0 * * 5-0", "runs backwards", "`5-7`", "5-0"),
    ("0 0 * * 7-3", "runs backwards", "`0-3`", "7-3"),
    ("*/60 * * * *", "steps beyond", "write `0`", "*/60"),
    ("*/100 * * * *", "steps beyond", '`every = "100m"`', "*/100"),
    ("0 */24 * * *", "steps beyond", "write `0`", "*/24"),
    ("0 0 */31 * *", "steps beyond", "write `1`", "*/31"),
    ("0 0 1 */12 *", "steps beyond", "write `1`", "*/12"),
    ("0 0 * * */7", "steps beyond", "write `0`", "*/7"),
    ("0 0 */100,1-7 * mon", "steps beyond", "`1#1`", "*/100,1-7"),
    ("10-50/60 * * * *", "steps beyond", "write `10`", "10-50/60"),
    ("*/123456789012345678901234567890 * * * *", "steps beyond", "write `0`", "*/123456789012345678901234567890"),
    ("5/15 * * * *", "no range", "`5-59/15`", "5/15"),
    ("0/15 * * * *", "no range", "`*/15`", "0/15"),
    ("59/15 * * * *", "no range", "`59`", "59/15"),
    ("0 0 2/3 * *", "no range", "`2-31/3`", "2/3"),
    ("0 0 * * mon/2", "no range", "`1-6/2`", "mon/2"),
    ("*/0 * * * *", "step of 0", "`*`", "*/0"),
    ("1-5/0 * * * *", "step of 0", "`1-5`", "1-5/0"),
    ("*/x * * * *", "not a number", "`*/2`", "*/x"),
    ("*/ * * * *", "not a number", "`*/2`", "*/"),
    ("R * * * *", "at random", "`jitter", "R"),
    ("0 R(0-5) * * *", "`R(0-5)` would pick an hour at random", "`jitter", "R(0-5)"),
    ("H * * * *", "by a hash", "`jitter", "H"),
    ("H/15 * * * *", "by a hash", "`jitter", "H/15"),
    ("H(0-29)/10 * * * *", "by a hash", "`jitter", "H(0-29)/10"),
    ("0 0 15W * *", "working day", "`15`", "15W"),
    ("0 0 W15 * *", "working day", "`15`", "W15"),
    ("0 0 LW * *", "working day", "`L`", "LW"),
    ("0 0 ? * 5", "`?`", "write `*`", "?"),
    ("0 0 1 * ?", "`?`", "write `*`", "?"),
    ("0 0 L-3 * *", "`L-3`", "`L`", "L-3"),
    ("L * * * *", "`L` is not a minute", "`59`", "L"),
    ("0 0 * * L", "needs a day", "`L6`", "L"),
    ("0 0 * * 5L", "`5L`", "`L5`", "5L"),
    ("0 0 * * friL", "`friL`", "`L5` for the last Friday", "friL"),
    ("0 0 * * Lfri", "`Lfri`", "`L5`", "Lfri"),
    ("0 0 * * 5#6", "first to a fifth Friday", "`L5`", "5#6"),
    ("0 0 * * 5#0", "first to a fifth Friday", "`5#1`", "5#0"),
    ("0 0 * * 8#1", "`8#1`", "`5#1`", "8#1"),
    ("0 0 5#2 * *", "`5#2`", "last field", "5#2"),
    ("0 0 * * 1,5#2", "mixes", "one with `1` and one with `5#2`", "1,5#2"),
    ("0 0 * * monday", "`monday`", "`mon`", "monday"),
    ("0 0 * * tues-thurs", "`tues-thurs`", "`tue-thu`", "tues-thurs"),
    ("0 0 * sept *", "`sept`", "`sep`", "sept"),
    ("0 0 * mon *", "`mon` is not a month", "last field", "mon"),
    ("0 0 nov * *", "`nov` is not a day of the month", "last field but one", "nov"),
    ("1,,2 * * * *", "empty item", "`1,2`", "1,,2"),
    ("1, * * * *", "empty item", "`1`", "1,"),
    (", * * * *", "empty item", "0 to 59", ","),
    ("-5 * * * *", "`-5` is not a minute", "0 to 59", "-5"),
    ("1- * * * *", "`1-` is not a minute", "0 to 59", "1-"),
    ("1-2-3 * * * *", "`1-2-3` is not a minute", "0 to 59", "1-2-3"),
    ("1.5 * * * *", "`1.5` is not a minute", "0 to 59", "1.5"),
    ("+5 * * * *", "`+5` is not a minute", "0 to 59", "+5"),
    ("*-5 * * * *", "`*-5` is not a minute", "0 to 59", "*-5"),
    ("** * * * *", "`**` is not a minute", "0 to 59", "**"),
    ("0 0 * * x", "`x` is not a day of the week", "sun to sat", "x"),
    ("", "empty", "0 4 * * *", ""),
    ("  ", "empty", "0 4 * * *", "  "),
    ("0 0 * *", "4 fields", "5 fields", "0 0 * *"),
    ("5", "1 field", "5 fields", "5"),
    ("0 0 0 1 1 * 2027", "7 fields", "years are not supported", "0 0 0 1 1 * 2027"),
    ("0 0 1 1 * 2027", "`2027`", "no field for the year", "2027"),
    ("0 4 * * * * * *", "8 fields", "5 fields", "0 4 * * * * * *"),
    ("0 5 * * * backup.sh", "`backup.sh`", "`0 5 * * *`; what to run goes into `command`", "backup.sh"),
    ("0 5 * * mon root /bin/true", "`root`", "`0 5 * * mon`", "root"),
    ("@daily backup.sh", "`backup.sh`", "`@daily`", "@daily backup.sh"),
    ("@every 5m", "`@every 5m`", '`every = "5m"`', "@every 5m"),
    ("@reboot", "has no timetable", "once in each boot", "@reboot"),
    ("@dayly", "`@dayly`", "`@daily`", "@dayly"),
    ("@never-heard-of-it", "`@never-heard-of-it`", "@hourly", "@never-heard-of-it"),
    ("0 0 30 2 *", "day 30 never comes: February has at most 29 days", "`L`", "30"),
    ("0 0 31 4,6 *", "day 31 never comes: April and June have at most 30 days", "`L`", "31"),
    ("0 0 0 31 2,4,11 *", "day 31 never comes: February, April and November", "`L`", "31"),
    ("0 0 */20 * 1#2", "no day is ever in both", "two schedules", "*/20"),
    ("0 0 ٣ * *", "`٣`", "signs of cron", "٣"),
    ("0 0 *\u00a0* * *", "`\u00a0`", "signs of cron", "\u00a0"),
]


@pytest.mark.parametrize(("expression", "message", "hint", "place"), REFUSED, ids=[case[0] for case in REFUSED])
def test_refused_with_what_was_meant(expression: str, message: str, hint: str, place: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        Schedule.cron(expression, "UTC")
    fault = caught.value
    assert message in fault.message
    assert hint in fault.hint
    assert expression[fault.offset : fault.offset + fault.length] == place
    assert str(fault) == fault.message
    assert "invalid" not in fault.message + fault.hint


@pytest.mark.parametrize("expression", [case[0] for case in REFUSED if case[2].startswith("`") and "22-4/2" not in case[0]])
def test_a_spelling_in_a_hint_is_one_that_is_taken(expression: str) -> None:
    """Where the hint says `write X`, X in the place of the fault makes a schedule."""
    with pytest.raises(ScheduleError) as caught:
        Schedule.cron(expression, "UTC")
    fault = caught.value
    if fault.hint.startswith("write `") and "," not in expression:
        meant = fault.hint.split("`")[1]
        assert Schedule.cron(expression[: fault.offset] + meant + expression[fault.offset + fault.length :], "UTC")


def test_the_right_one_of_equal_fields_is_meant() -> None:
    with pytest.raises(ScheduleError) as caught:
        Schedule.cron("  24 24  * * *", "UTC")
    assert (caught.value.offset, caught.value.length) == (5, 2)
    with pytest.raises(ScheduleError) as caught:
        Schedule.cron("1 1 1 1 11", "UTC")
    assert (caught.value.offset, caught.value.length) == (8, 2)


def test_the_place_in_a_list() -> None:
    with pytest.raises(ScheduleError) as caught:
        Schedule.cron(["0 4 * * *", "0 4 * * 9"], "UTC")
    assert (caught.value.index, caught.value.offset) == (1, 8)


@pytest.mark.parametrize(
    "expression",
    [
        "0 0 5-5 * *",
        "0 0 * * 5-7",
        "0 0 * * 0-7",
        "0 0 * * sun-sat",
        "0 0 * * 7-7",
        "0-30/30 * * * *",
        "*,5 * * * *",
        "5,* * * * *",
    ],
)
def test_taken_as_cron_takes_it(expression: str) -> None:
    assert Schedule.cron(expression, "UTC").next_after(0)


def test_a_range_of_one_is_that_one() -> None:
    assert Schedule.cron("0 0 5-5 * *", "UTC") == Schedule.cron("0 0 5 * *", "UTC")


@pytest.mark.parametrize(
    ("zone", "hint"),
    [
        ("Europe/Berlni", "did you mean `Europe/Berlin`?"),
        ("europe/berlin", "did you mean `Europe/Berlin`?"),
        ("Berlin", "did you mean `Europe/Berlin`?"),
        ("New York", "did you mean `America/New_York`?"),
        ("America/NewYork", "did you mean `America/New_York`?"),
        ("utc", "did you mean `UTC`?"),
        ("CEST", "a zone is a place"),
        ("Mars/Phobos", "such as `Europe/Berlin`"),
        ("", "such as `Europe/Berlin`"),
        ("../../etc/passwd", "zone"),
        ("/etc/localtime", "zone"),
        ("zone\0", "zone"),
        ("x" * 5000, "such as `Europe/Berlin`"),
        ("Europe", "did you mean"),
    ],
)
def test_no_such_zone(zone: str, hint: str) -> None:
    with pytest.raises(ZoneError) as caught:
        Schedule.every(60, zone)
    assert caught.value.message == f"there is no time zone `{zone}`"
    with pytest.raises(ZoneError) as caught:
        Schedule.cron("@daily", zone)
    assert caught.value.message == f"there is no time zone `{zone}`"
    if hint != "zone":
        assert hint in caught.value.hint
