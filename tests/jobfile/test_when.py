"""What starts a job, and when it must have ended: moments, watched files, calendars and their files, deadlines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cronflow.core.jobs import Job
from cronflow.errors import JobFileError
from cronflow.jobfile.machine import home
from cronflow.jobfile.read import read
from tests.jobfile.conftest import ReadText


@pytest.fixture(name="job")
def job_(read_text: ReadText) -> Callable[[str], Job]:
    def job(body: str) -> Job:
        return read_text(f'[jobs.a]\ncommand = "a"\n{body}\n').jobs.jobs["a"]

    return job


def berlin(text: str) -> int:
    """The instant of a local time that comes once."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).timestamp())


@pytest.mark.parametrize(
    ("moment", "instant"),
    [
        ("2026-12-24T18:00:00+01:00", "2026-12-24T18:00:00"),
        ("2026-12-24T17:00:00Z", "2026-12-24T18:00:00"),
        ("2026-12-24T18:00:00", "2026-12-24T18:00:00"),
        ("2026-12-24 18:00:00", "2026-12-24T18:00:00"),
        ("2026-03-29T02:00:00", "2026-03-29T03:00:00"),  # the gap: from 02:00 to 03:00
        ("2026-03-29T02:30:00", "2026-03-29T03:00:00"),
        ("2026-03-29T02:59:59", "2026-03-29T03:00:00"),
        ("2026-03-29T03:00:00", "2026-03-29T03:00:00"),
        ("2026-03-29T01:59:59", "2026-03-29T01:59:59"),
    ],
)
def test_a_moment(job: Callable[[str], Job], moment: str, instant: str) -> None:
    assert job(f'timezone = "Europe/Berlin"\nat = {moment}').at == (berlin(instant),)


def test_a_moment_that_comes_twice_is_its_first_pass(job: Callable[[str], Job]) -> None:
    first = berlin("2026-10-25T01:59:59") + 1 + 1800
    assert job('timezone = "Europe/Berlin"\nat = 2026-10-25T02:30:00').at == (first,)
    assert job('timezone = "Europe/Berlin"\nat = 2026-10-25T02:30:00+01:00').at == (first + 3600,)


def test_moments_are_in_order_and_each_of_them_once(job: Callable[[str], Job]) -> None:
    found = job("timezone = 'UTC'\nat = [2027-01-01T00:00:00Z, 2026-01-01T01:00:00, 2026-01-01T02:00:00+01:00]").at
    assert found == (1767229200, 1798761600)
    assert job("at = []").at == ()


def test_a_moment_of_defaults_is_in_the_zone_of_each_job(read_text: ReadText) -> None:
    text = '[defaults]\nat = 2026-06-01T12:00:00\n[jobs]\na = { command = "a", timezone = "UTC" }\n'
    jobs = read_text(text + 'b = { command = "b", timezone = "Asia/Tokyo" }').jobs.jobs
    assert jobs["a"].at[0] - jobs["b"].at[0] == 9 * 3600


@pytest.mark.parametrize("zone", ["Australia/Lord_Howe", "Pacific/Apia", "America/St_Johns", "Africa/Monrovia"])
def test_a_moment_is_the_first_instant_at_which_the_clock_shows_it_or_a_later_one(job: Callable[[str], Job], zone: str) -> None:
    """Told by going through the minutes of the days of change: half an hour in Lord Howe, a whole day in Apia."""
    day = {"Pacific/Apia": datetime(2011, 12, 29, 18), "Australia/Lord_Howe": datetime(2026, 10, 3, 20)}.get(zone)
    day = day or {"America/St_Johns": datetime(2026, 3, 7, 20), "Africa/Monrovia": datetime(1972, 1, 6, 20)}[zone]
    info = ZoneInfo(zone)
    start = int(day.replace(tzinfo=info).timestamp())
    shown = [(at, datetime.fromtimestamp(at, info).replace(tzinfo=None)) for at in range(start, start + 40 * 3600, 30)]
    for minutes in range(60, 36 * 60, 37):
        local = day + timedelta(minutes=minutes)
        first = next(at for at, clock in shown if clock >= local)
        assert job(f'timezone = "{zone}"\nat = {local.isoformat()}').at == (first,), local


def test_reboot_stands_alone_or_beside_other_elements(job: Callable[[str], Job]) -> None:
    assert job('schedule = "@reboot"').schedule == ("@reboot",)
    assert job('schedule = ["0 4 * * *", " @Reboot "]').schedule == ("0 4 * * *", " @Reboot ")


def test_a_fault_beside_reboot_is_told_at_its_place(read_text: ReadText) -> None:
    with pytest.raises(JobFileError) as error:
        read_text('[jobs.a]\ncommand = "a"\nschedule = ["@reboot", "0 25 * * *"]\n')
    (problem,) = error.value.problems
    assert problem.span is not None
    assert (problem.span.line, problem.span.text[problem.span.column - 1 :][:2]) == (3, "25")


def test_watched_files_are_found_from_the_folder_of_the_file(job: Callable[[str], Job], tmp_path: Path) -> None:
    found = job('watch = ["in/*.csv", "/srv/[ab]/x", "../y", "~/z"]\nsettle = "500ms"')
    assert found.watch == (f"{tmp_path}/in/*.csv", "/srv/[ab]/x", f"{tmp_path.parent}/y", f"{home(None)}/z")
    assert found.settle == 0.5
    assert job('watch = "in"').watch == (f"{tmp_path}/in",)


def test_the_folder_of_the_file_is_no_pattern(tmp_path: Path) -> None:
    path = tmp_path / "a[b]*" / "jobs.toml"
    path.parent.mkdir()
    path.write_text('jobs.a = { command = "a", watch = "*.csv" }')
    (pattern,) = read(str(path), thorough=False).jobs.jobs["a"].watch
    assert pattern == f"{tmp_path}/a[[]b][*]/*.csv"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('deadline = "2h"', ("duration", 7200.0)),
        ('deadline = "06:00"', ("time", 21600.0)),
        ('deadline = "6:05"', ("time", 21900.0)),
        ('deadline = "00:00"', ("time", 0.0)),
        ('deadline = "23:59"', ("time", 86340.0)),
        ("slow = 3", ("factor", 3.0)),
        ("slow = 1.5", ("factor", 1.5)),
        ('slow = "20m"', ("duration", 1200.0)),
    ],
)
def test_deadlines_and_slowness(job: Callable[[str], Job], text: str, meant: tuple[str, float]) -> None:
    assert getattr(job(text), text.split(" ", 1)[0]) == meant


@pytest.mark.parametrize(
    "text",
    [
        *('deadline = "24:00"', 'deadline = "6:5"', 'deadline = "0s"', "deadline = 06:00:00"),
        *("slow = 1", "slow = 1001", "slow = true", "slow = nan", "slow = inf", 'slow = "3"'),
        *("at = 2026-12-24", "at = 18:00:00", 'at = "2026-12-24T18:00:00"'),
    ],
)
def test_what_is_none(job: Callable[[str], Job], text: str) -> None:
    with pytest.raises(JobFileError, match=f"`{text.split(' ', 1)[0]}"):
        job(text)


# ---- calendars ------------------------------------------------------------------------------------------------------------


def days(*texts: str) -> frozenset[int]:
    return frozenset(date.fromisoformat(text).toordinal() for text in texts)


def test_dates_in_the_job_file(read_text: ReadText) -> None:
    jobs = read_text("[calendars]\na.dates = [2026-12-25, 2024-02-29, 2026-12-25]\nb.dates = []").jobs
    assert jobs.calendars == {"a": days("2026-12-25", "2024-02-29"), "b": frozenset()}


def test_dates_in_a_file_of_their_own(read_text: ReadText, tmp_path: Path) -> None:
    raw = b"\xef\xbb\xbf# closed\r\n2026-12-25\r\n\r\n  2026-12-26 # Boxing Day\n\t# 2026-12-27\n2024-02-29"
    (tmp_path / "dates.txt").write_bytes(raw)
    reading = read_text('[calendars]\na.file = "dates.txt"\nb.file = "./dates.txt"')
    assert reading.jobs.calendars == dict.fromkeys("ab", days("2026-12-25", "2026-12-26", "2024-02-29"))
    assert reading.sources[1:] == [(str(tmp_path / "dates.txt"), hashlib.sha256(raw).digest())]
    assert reading.jobs.files == (str(tmp_path / "jobs.toml"),)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"2026-12-25\n2026-13-01\n", "line 2 of `.*`: there is no 2026-13-01"),
        (b"2026-02-29", "there is no 2026-02-29"),
        (b"0000-01-01", "there is no 0000-01-01"),
        (b"2026-12-25 2026-12-26", "line 1 of .* is not a date"),
        ("２０２６-12-25".encode(), "is not a date"),
        (b"\xff\xfe2\x000\x00", "line 1 of .* is not a date"),
        (b"\n" * 1_000_001, "is larger than 1 MB"),
    ],
)
def test_a_file_with_something_else(read_text: ReadText, tmp_path: Path, raw: bytes, told: str) -> None:
    (tmp_path / "dates.txt").write_bytes(raw)
    with pytest.raises(JobFileError, match=told) as error:
        read_text('[calendars.a]\nfile = "dates.txt"')
    (problem,) = error.value.problems
    assert problem.span is not None
    assert (problem.span.line, problem.span.column) == (2, 8)


def test_a_file_of_thousands_of_other_lines_is_told_in_three(read_text: ReadText, tmp_path: Path) -> None:
    (tmp_path / "dates.txt").write_text("x\n" * 5000)
    with pytest.raises(JobFileError) as error:
        read_text('[calendars.a]\nfile = "dates.txt"')
    assert [problem.message.partition(" of")[0] for problem in error.value.problems] == ["line 1", "line 2", "line 3"]
    assert error.value.problems[-1].message.endswith("(so are 4997 more lines)")


def test_a_calendar_that_was_refused_is_not_missing_too(read_text: ReadText) -> None:
    with pytest.raises(JobFileError) as error:
        read_text('[calendars.a]\nfile = "none"\n[jobs.j]\ncommand = "j"\nschedule = "@daily"\nskip_on = "a"')
    assert len(error.value.problems) == 1


def test_calendars_and_pools_belong_into_the_main_file(read_text: ReadText, tmp_path: Path) -> None:
    (tmp_path / "more.toml").write_text("[pools]\na = 1\n[calendars.b]\ndates = []\n")
    (tmp_path / "more.toml").chmod(0o644)
    with pytest.raises(JobFileError) as error:
        read_text('include = ["more.toml"]')
    assert [problem.message.split("`")[1] for problem in error.value.problems] == ["pools", "calendars"]


def test_the_machine_has_its_name(read_text: ReadText) -> None:
    import socket

    assert read_text("").jobs.host == socket.gethostname()
