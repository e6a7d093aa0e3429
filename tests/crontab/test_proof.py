"""The proof: what is written starts when cron would start it, by a reading of cron's rules that shares nothing with `core`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cronflow.core.jobs import Job
from cronflow.crontab import cronrules
from cronflow.crontab.convert import Import, convert
from cronflow.crontab.proof import JobProof, prove
from tests.crontab.reading import SHARED, imported, jobs_of, real_crontabs, table

DAY = 86_400
START = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Chatham", "Africa/Cairo", "America/Santiago")
"""Clocks that change by an hour and by half an hour, at 00:00, 02:00 and 02:45, on both halves of the earth."""
needs_crontabs = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real crontabs are not there: {SHARED}")


def in_zone(jobs: Mapping[str, Job], zone: str) -> dict[str, Job]:
    return {name: job._replace(timezone=zone) for name, job in jobs.items()}


def proved(text: str, tmp_path: Path, zone: str, start: int, days: int) -> list[JobProof]:
    done = imported(text)
    own = {job.name for job in done.jobs if "timezone" in job.keys}
    jobs = {name: job if name in own else job._replace(timezone=zone) for name, job in jobs_of(done, tmp_path).items()}
    return list(prove(done.jobs, jobs, start, start + days * DAY))


@lru_cache(maxsize=1)
def everything() -> Import:
    """All real crontabs as one import; a timetable that many of them have is reckoned once."""
    files = real_crontabs()
    return convert([table(path.read_bytes(), None, "auto", path.name) for path in files])


@needs_crontabs
def test_all_real_crontabs_start_as_by_cron_for_400_days(tmp_path: Path) -> None:
    jobs = in_zone(jobs_of(everything(), tmp_path), "Europe/Berlin")
    found = list(prove(everything().jobs, jobs, START, START + 400 * DAY))
    assert sum(one.timed for one in found) > 200
    assert [one for one in found if one.unexplained] == []
    differing = [one for one in found if one.differences]
    assert all(one.imported.daemon == "busybox" or len(one.differences) <= 2 for one in differing)


def changes(zone: str) -> list[int]:
    """The instants of 2027 at which a zone's clock is changed."""
    info = ZoneInfo(zone)
    offsets = {at: datetime.fromtimestamp(at, info).utcoffset() for at in range(START, START + 365 * DAY, 1800)}
    return [at for at, offset in offsets.items() if offset != offsets.get(at - 1800, offset)]


@needs_crontabs
@pytest.mark.parametrize("zone", ZONES)
def test_all_real_crontabs_start_as_by_cron_around_changes_of_the_clock(zone: str, tmp_path: Path) -> None:
    jobs = in_zone(jobs_of(everything(), tmp_path), zone)
    shifts = changes(zone)
    assert shifts
    for shift in shifts:
        found = list(prove(everything().jobs, jobs, shift - 10 * DAY, shift + 10 * DAY))
        assert [one for one in found if one.unexplained] == []


# ---- the clock ------------------------------------------------------------------------------------------------------------

SPRING = int(datetime(2027, 3, 28, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
AUTUMN = int(datetime(2027, 10, 31, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
FIXED = ("30 2 * * *", "0 2,3 * * *", "0 3 * * *", "15 1 * * *", "59 2 * * 0", "0 0 31 10 *")
WILD = ("*/5 * * * *", "* * * * *", "5 * * * *", "*/20 2 * * *", "30 */2 * * *", "@hourly")


@pytest.mark.parametrize("line", [*FIXED, *WILD])
def test_a_change_of_the_clock_is_the_only_reason_to_differ(line: str, tmp_path: Path) -> None:
    for start in (SPRING, AUTUMN):
        (one,) = proved(f"{line} x\n", tmp_path, "Europe/Berlin", start - DAY, 3)
        assert one.cron > 0 or "31 10" in line
        assert one.unexplained == 0
        assert {difference.at for difference in one.differences} <= {SPRING + 2 * 3600}


def test_several_times_that_a_gap_leaves_out_are_one_start_here(tmp_path: Path) -> None:
    (one,) = proved("0,30 2 * * * x\n", tmp_path, "Europe/Berlin", SPRING - DAY, 3)
    (difference,) = one.differences
    assert (difference.at, difference.cron, difference.ours) == (SPRING + 2 * 3600, 2, 1)
    assert "the clock goes forward by 1 h" in difference.reason


def test_cronie_has_no_rule_for_a_zone_of_its_own(tmp_path: Path) -> None:
    (one,) = proved("CRON_TZ=Europe/Berlin\n30 2 * * * x\n", tmp_path, "UTC", SPRING - DAY, 3)
    (difference,) = one.differences
    assert (difference.cron, difference.ours) == (0, 1)
    assert "CRON_TZ has no rule" in difference.reason


def test_a_wrong_job_file_is_noticed(tmp_path: Path) -> None:
    done = imported("30 2 * * * x\n@reboot y\n")
    jobs = {name: job._replace(schedule=("31 2 * * *",)) for name, job in jobs_of(done, tmp_path).items() if name == "x"}
    (one,) = prove(done.jobs[:1], jobs, START, START + 10 * DAY)
    assert (one.cron, one.ours, one.unexplained) == (10, 10, 20)


def test_a_job_without_a_timetable_has_nothing_to_compare(tmp_path: Path) -> None:
    (one,) = proved("@reboot x\n", tmp_path, "UTC", START, 1)
    assert not one.timed


def test_a_condition_makes_up_for_days_that_no_schedule_leaves_out(tmp_path: Path) -> None:
    """`*/31` begins with a star and is the 1st: both day fields must hold (DOM_STAR in entry.c)."""
    (one,) = proved("0 5 */31 * 1-5 x\n", tmp_path, "UTC", START, 400)
    assert one.unexplained == 0
    assert {difference.reason for difference in one.differences} == {"`only_if` skips it: it is a different weekday"}
    assert one.ours == one.cron + len(one.differences) == 14


def test_the_looks_of_an_ordinary_day_are_one_stretch() -> None:
    (look,) = cronrules.scans(ZoneInfo("Europe/Berlin"), START, START + DAY)
    assert (look.last - look.first + 1, look.behind) == (1440, -60)


def test_the_reading_of_cron_shares_nothing_with_the_program() -> None:
    """`cronrules` is an independent reading: it imports the standard library alone."""
    tree = ast.parse(Path(cronrules.__file__).read_text())
    modules = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    modules += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    assert not [module for module in modules if module and module.startswith(("cronflow", "croniter"))]
