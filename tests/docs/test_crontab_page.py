"""What cronflow-crontab(7) tells is so: its tables are imported, its job files read, played and exported, its facts looked up."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cronflow.cli.verbs import BY_NAME
from cronflow.core.jobs import Job
from cronflow.core.time.schedule import Schedule
from cronflow.crontab import cronrules, sources, writing
from cronflow.crontab.convert import convert
from cronflow.crontab.sources import ReadingOptions
from cronflow.crontab.variables import CRON_PATH
from cronflow.export import crontab
from cronflow.jobfile.machine import ROOT_PATH, USER_PATH
from cronflow.jobfile.read import read
from tests.docs.man_play import Play, displays, example, instant
from tests.docs.pages import ROOT
from tests.export.jobs import wanted
from tests.problems import check

PAGE = ROOT / "man" / "cronflow-crontab.7"
TEXT = PAGE.read_text()
TABLES = [name.split() for name, _ in displays(PAGE, "table") if name]


def jobs_of(text: str, folder: Path) -> dict[str, Job]:
    path = folder / "jobs.toml"
    path.write_text(text)
    assert [problem.message for problem in check(str(path)) if problem.severity == "error"] == []
    return dict(read(str(path), thorough=False).jobs.jobs)


def test_every_display_is_looked_at() -> None:
    kinds = re.findall(r'^\.\\" (\w+): .*\n\.Bd -literal', TEXT, re.MULTILINE)
    assert len(kinds) == TEXT.count("\n.Bd -literal")
    assert {kind: kinds.count(kind) for kind in kinds} == {"table": 6, "jobs": 6, "example": 1, "export": 1, "lines": 1}


@pytest.mark.parametrize(("kind", "name"), TABLES, ids=lambda word: word)
def test_a_table_becomes_the_jobs_beside_it(kind: str, name: str, tmp_path: Path) -> None:
    """`[defaults]` that are not shown are those of the first pair."""
    table = tmp_path / name
    table.write_text(example(f"{kind} {name}", PAGE, "table"))
    chosen = next(one for one in ("user", "system", "anacron") if one == kind)
    done = convert([sources.of_file(str(table), ReadingOptions(chosen, "auto"))])
    assert done.refused == []
    shown = example(name, PAGE, "jobs")
    common = re.match(r"\[defaults\]\n(.*\n)+?\n", example("nightly", PAGE, "jobs"))
    assert common is not None
    defaults = "" if shown.startswith("[defaults]") else common[0]
    told = jobs_of(defaults + shown, tmp_path)
    made = jobs_of(writing.write(done), tmp_path)
    assert told == made


# ---- what to loosen -------------------------------------------------------------------------------------------------------


def loosened(folder: Path, start: str, **takes: float) -> Play:
    return Play("loosened", folder, start, takes, PAGE)


def test_a_missed_start_is_made_up_for_once(tmp_path: Path) -> None:
    play = loosened(tmp_path, "2027-03-01 23:00")
    play.until("2027-03-01 23:50")
    play.off_until("2027-03-02 08:10")
    ran = play.until("2027-03-02 08:19")
    assert [one for one in play.ran if not one.startswith("mirror")] == ["dump 08:10", "upload 08:11"]
    assert ran[-1] == "upload 08:11"
    assert play.runs("dump")[-1].split()[1:] == ["catchup", "02:30", "success"]


def test_a_job_is_not_started_beside_itself(tmp_path: Path) -> None:
    play = loosened(tmp_path, "2027-03-01 03:50", mirror=25)
    ran = play.until("2027-03-01 06:10")
    assert [one for one in ran if one.startswith("mirror")] == ["mirror 04:00", "mirror 04:40", "mirror 05:20", "mirror 06:00"]
    assert play.runs("mirror")[1] == "skipped overlap × 1"


# ---- differences ----------------------------------------------------------------------------------------------------------


def test_the_paths_are_those_of_cron_and_cronflow() -> None:
    for path in (CRON_PATH, ROOT_PATH, USER_PATH):
        assert path in TEXT


def test_several_times_in_a_gap() -> None:
    assert ".Ql 0,30 2 * * *" in TEXT
    start, end = int(instant("2027-03-28 00:00")), int(instant("2027-03-28 12:00"))
    zone = ZoneInfo("Europe/Berlin")
    times = cronrules.read(["0,30", "2", "*", "*", "*"], "debian", lambda low, _: low)
    cron = list(cronrules.starts(times, cronrules.scans(zone, start, end)))
    schedule = Schedule.cron("0,30 2 * * *", "Europe/Berlin")
    assert len(cron) == 2
    assert schedule.count(start, end) == 1
    slot = schedule.next_after(start)
    assert slot is not None
    assert {datetime.fromtimestamp(at, UTC).hour for at in (*cron, slot)} == {1}


@pytest.mark.parametrize("expression", ["0 22-2 * * *", "0 0 30 2 *"])
def test_what_is_an_error_here(expression: str, tmp_path: Path) -> None:
    assert any(part in TEXT for part in (f".Ql {expression}", f".Ql {expression.split()[1]}".replace("-", "\\-")))
    path = tmp_path / "jobs.toml"
    path.write_text(f'[jobs.a]\nschedule = "{expression}"\ncommand = "true"\n')
    assert [problem.severity for problem in check(str(path)) if "warning" not in problem.severity] == ["error"]


def test_the_verbs_are_there() -> None:
    named = set(re.findall(r"^\.Ql cronflow (?:-f \S+ )?([a-z]+)", TEXT, re.MULTILINE))
    assert len(named) > 12
    assert named <= BY_NAME.keys()


# ---- the way back ---------------------------------------------------------------------------------------------------------


def test_the_jobs_become_the_lines() -> None:
    done = crontab.export(wanted(example("back", PAGE, "export")))
    assert done.report.refused == {}
    lines = [line for line in done.files[""].splitlines() if line and line[0] != "#" and not re.match(r"\w+=", line)]
    assert "\n".join(lines) + "\n" == example("back", PAGE, "lines")
