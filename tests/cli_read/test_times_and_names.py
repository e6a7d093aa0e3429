"""TIME, RUN and JOB as people type them."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from cronflow.cli.names import Process, check_job, is_run, parse_run_ref, resolve_run
from cronflow.cli.times import parse_time
from cronflow.errors import CronflowError
from cronflow.store.queries import History
from tests.cli_read.tale import ZONE, Tale, at

NOW = at("Thu 08:52:30")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("2024-09-26T02:30", at("Thu 02:30")),
        ("2024-09-26 02:30:15", at("Thu 02:30:15")),
        ("2024-09-26T02:30:00+00:00", at("Thu 04:30")),
        ("2024-09-26T02:30:00Z", at("Thu 04:30")),
        ("2024-09-25", at("Wed 00:00")),
        ("14:30", at("Thu 14:30")),
        ("8:05", at("Thu 08:05")),
        ("02:31:14", at("Thu 02:31:14")),
        ("today", at("Thu 00:00")),
        ("yesterday", at("Wed 00:00")),
        ("yesterday 23:10", at("Wed 23:10")),
        ("tomorrow 02:30", at("Fri 02:30")),
        ("tue", at("Tue 00:00")),
        ("Tue 16:20", at("Tue 16:20")),
        ("tuesday 16:20", at("Tue 16:20")),
        ("thu 06:00", at("Thu 06:00")),
        ("2h", NOW - 7200),
        ("1h30m", NOW - 5400),
        ("1h 30m ago", NOW - 5400),
        ("90 s", NOW - 90),
        ("1.5h", NOW - 5400),
        ("2d", NOW - 2 * 86400),
        ("1w", NOW - 7 * 86400),
        ("5 min ago", NOW - 300),
        (" 2h ", NOW - 7200),
    ],
)
def test_a_time(text: str, expected: float) -> None:
    assert parse_time(text, ZONE, NOW) == expected


@pytest.mark.parametrize(
    "text", ["", "soon", "25:00", "12:60", "2026-13-01", "10", "2 fortnights", "yesterday noon", "-2h", "tuesdays", "99999-01-01"]
)
def test_what_is_no_time_is_a_usage_error(text: str) -> None:
    with pytest.raises(CronflowError, match="is not a time") as caught:
        parse_time(text, ZONE, NOW)
    assert caught.value.exit_status == 2
    assert "yesterday" in str(caught.value.hint)


def test_a_repeated_local_time_means_its_first_pass() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo(ZONE)).timestamp()
    assert parse_time("2026-10-25T02:30", ZONE, NOW) == first


def test_yesterday_is_a_calendar_day_also_across_a_clock_change() -> None:
    now = datetime(2026, 10, 26, 12, tzinfo=ZoneInfo(ZONE)).timestamp()
    assert parse_time("yesterday", ZONE, now) == datetime(2026, 10, 25, tzinfo=ZoneInfo(ZONE)).timestamp()
    assert parse_time("yesterday 12:00", ZONE, now) == now - 86400


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1423", ("1423", None, None)),
        ("1423/load", ("1423", "load", None)),
        ("1423/load[eu]/2", ("1423", "load[eu]", Process(2))),
        ("1423/load/check12", ("1423", "load", Process(12, "check"))),
        ("1423/load/on_failure1", ("1423", "load", Process(1, "on_failure"))),
        ("@last/load", ("@last", "load", None)),
        ("backup", ("backup", None, None)),
    ],
)
def test_a_run_with_its_task_and_attempt(text: str, expected: tuple[str, str | None, Process | None]) -> None:
    assert parse_run_ref(text) == expected


@pytest.mark.parametrize("text", ["", "/", "1/", "1//2", "1/a/2/3", "1/a/x", "1/a/²", "1/a/check", "1/a/chek1"])
def test_what_is_no_run(text: str) -> None:
    with pytest.raises(CronflowError) as caught:
        parse_run_ref(text)
    assert caught.value.exit_status == 2


def test_a_run_is_a_number_or_last() -> None:
    assert is_run("1423")
    assert is_run("@last")
    assert not is_run("backup")
    assert not is_run("²")
    assert not is_run("1" * 30)


def test_runs_are_found(shop: Tale) -> None:
    with History.open(shop.places.database) as history:
        assert resolve_run(history, "12", ()) == 12
        assert resolve_run(history, "@last", ()) == history.newest_run()
        assert resolve_run(history, "backup-db", ["backup-db"]) == 338
        assert resolve_run(history, "backup-db", []) == 338, "a job that is gone from the file is still in the history"


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("99999", "there is no run 99999", "the last one is"),
        ("old", "`old` has not run yet", "cronflow why old"),
        ("bakup-db", "no job `bakup-db`", "did you mean `backup-db`?"),
        ("zzz", "no job `zzz`", "cronflow graph"),
    ],
)
def test_what_is_not_there_exits_4_with_a_suggestion(shop: Tale, text: str, message: str, hint: str) -> None:
    with History.open(shop.places.database) as history, pytest.raises(CronflowError) as caught:
        resolve_run(history, text, ["backup-db", "old", "sync"])
    assert caught.value.exit_status == 4
    assert message in caught.value.message
    assert hint in str(caught.value.hint)


def test_a_job_is_itself() -> None:
    assert check_job("a", ["a", "b"]) == "a"
    with pytest.raises(CronflowError, match="no job `x`") as caught:
        check_job("x", [])
    assert "no jobs" in str(caught.value.hint)
