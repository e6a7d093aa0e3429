"""cron's own log beside a job file."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cronflow.crontab import shadow
from tests.crontab.reading import imported, jobs_of

ZONE = "Europe/Berlin"
NOW = datetime(2027, 1, 5, 12, tzinfo=ZoneInfo(ZONE)).timestamp()
AT = int(datetime(2027, 1, 4, 2, 30, 1, tzinfo=ZoneInfo(ZONE)).timestamp())


@pytest.mark.parametrize(
    "line",
    [
        "Jan  4 02:30:01 db1 CRON[1234]: (root) CMD (/opt/backup --all)",
        "Jan  4 02:30:01 db1 CROND[1234]: (root) CMD (/opt/backup --all)",
        "<78>Jan  4 02:30:01 db1 /USR/SBIN/CRON[1234]: (root) CMD (/opt/backup --all)",
        "Jan 04 02:30:01 db1 CRON[1234]: (root) CMD (   /opt/backup --all)",
        "2027-01-04T02:30:01.123456+01:00 db1 CRON[1234]: (root) CMD (/opt/backup --all)",
        "2027-01-04T02:30:01+0100 db1 CRON[1234]: (root) CMD ([99] /opt/backup --all)",
        "2027-01-04 02:30:01,123 db1 CRON[1]: (root) CMD (/opt/backup --all)",
        "Mon 2027-01-04 02:30:01 CET db1 CRON[1]: (root) CMD (/opt/backup --all)",
        "Jan  4 02:30:01 box cron.info crond[77]: USER root pid  123 cmd /opt/backup --all",
        json.dumps({"__REALTIME_TIMESTAMP": f"{AT}000000", "MESSAGE": "(root) CMD (/opt/backup --all)", "_COMM": "cron"}),
    ],
)
def test_a_start_is_read(line: str) -> None:
    (start,) = shadow.read(f"noise\n{line}\n", NOW, ZONE)
    assert (start.line, start.at, start.user, start.command.strip()) == (2, AT, "root", "/opt/backup --all")


def test_other_lines_are_none() -> None:
    text = (
        "Jan  4 02:30:01 db1 CRON[1]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)\n"
        "Jan  4 02:30:02 db1 cron[1]: (CRON) INFO (Running @reboot jobs)\n"
        'Foo 99 (root) CMD (x)\n{"MESSAGE": "(root) CMD (x)"}\n{bad\n{"MESSAGE": [1], "__REALTIME_TIMESTAMP": "1"}\n'
        "Feb 30 01:01:01 a CRON[1]: (r) CMD (x)\n"
    )
    assert shadow.read(text, NOW, ZONE) == []


def test_a_line_without_a_year_is_of_the_last_one() -> None:
    (start,) = shadow.read("Dec 31 23:59:01 db1 CRON[1]: (root) CMD (x)\n", NOW, "UTC")
    assert datetime.fromtimestamp(start.at, UTC).year == 2026


def logged(*starts: str, user: str = "root") -> str:
    parted = [one.split("|") for one in starts]
    return "".join(f"2027-01-{when}:02+00:00 h CRON[1]: ({user}) CMD ({command})\n" for when, command in parted)


def compare(crontab: str, log: str, tmp_path: Path) -> shadow.Comparison:
    done = imported(crontab)
    jobs = {name: job._replace(timezone="UTC") for name, job in jobs_of(done, tmp_path).items()}
    return shadow.compare(done.jobs, jobs, shadow.read(log, NOW, "UTC"))


def test_what_both_have_is_counted_and_the_rest_is_listed(tmp_path: Path) -> None:
    log = logged("04T01:00|a", "04T01:30|b  x", "04T02:00|a", "04T02:10|a", "04T03:30|b x", "04T04:00|other")
    found = compare("0 * * * * a\n30 * * * * b x\n@reboot c\n", log, tmp_path)
    assert found.same == 4
    assert [(start.line, name) for start, name in found.only_log] == [(4, "a")]
    assert [(datetime.fromtimestamp(at, UTC).strftime("%H:%M"), name) for at, name in found.only_file] == [
        ("02:30", "b-x"),
        ("03:00", "a"),
        ("04:00", "a"),
    ]
    assert [start.command for start in found.others] == ["other"]
    assert found.unexplained == 4


def test_a_busy_cron_starts_late(tmp_path: Path) -> None:
    found = compare("0 * * * * a\n", logged("04T01:00|a", "04T02:04|a"), tmp_path)
    assert (found.same, found.only_log, found.only_file) == (2, [], [])


def test_the_same_command_at_two_times_is_two_jobs(tmp_path: Path) -> None:
    found = compare("0 1 * * * a\n0 2 * * * a\n", logged("04T01:00|a", "04T02:00|a"), tmp_path)
    assert (found.same, found.unexplained) == (2, 0)


def test_what_a_percent_sign_cuts_off_is_not_in_the_log(tmp_path: Path) -> None:
    found = compare("0 1 * * * mail x%hello\n", logged("04T01:00|mail x"), tmp_path)
    assert found.same == 1


def test_starts_at_boot_are_counted_apart(tmp_path: Path) -> None:
    found = compare("0 1 * * * a\n@reboot b\n", logged("04T01:00|a", "04T01:00|b"), tmp_path)
    assert (found.same, found.boots, found.unexplained) == (1, 1, 0)
