"""A job is written as a job file that is read as the same job: all sample files of the tests, and values of every kind."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest
import tomli_w

from cronflow.core.jobs import JobSet
from cronflow.core.plan.flow import plan
from cronflow.errors import JobFileError
from cronflow.jobfile.keys import JOB
from cronflow.jobfile.read import read
from cronflow.jobfile.writing import table, toml
from tests.docs.man_play import displays
from tests.docs.pages import ROOT, job_file
from tests.jobfile.conftest import ReadText
from tests.problems import check


def sound(path: Path) -> bool:
    """Whether a file has no errors: some are there for the messages about theirs."""
    try:
        return bool(read(str(path), thorough=False).jobs.jobs)
    except JobFileError:
        return False


FILES = [path for path in sorted([*(ROOT / "tests").rglob("*.toml"), ROOT / "sample_jobs.toml"]) if sound(path)]
EVERYTHING = r'''
timezone = "Europe/Berlin"
[defaults]
env = { LANG = "C.UTF-8" }
wait_every = "5s"
timeout = "1h"
[pools]
few = 4
[calendars.holidays]
dates = [2026-12-25]
[alerts.ops]
url_env = "OPS"
[jobs.all]
command = """
printf 'a\\tb\r
"""
description = "\u00e4 \\ \" '"
tags = ["one", "two"]
schedule = ["0 4 * * *", "@daily"]
every = "1h30m"
at = [2026-12-24T18:00:00, 2026-12-24T18:00:00+05:30, 2027-10-31T02:30:00+01:00]
watch = ["in/*.csv", "~/x [1]"]
settle = "2500ms"
timezone = "America/New_York"
jitter = "10m"
skip_on = ["holidays"]
catchup = "all"
catchup_window = "2d"
only_if = ["test", "-e", "x y"]
wait_until = "true"
wait_every = "1m"
approve = true
params = { TOP = "5" }
matrix = { REGION = ["eu", "us"], N = [1, 2] }
env_file = ["a.env", "-b.env"]
secrets = { TOKEN = "file:token", PASSWORD = "env:PASSWORD" }
cwd = "work"
stdin = "yes\n"
umask = "027"
nice = 10
kill_after = "0.0005s"
retries = 2
retry_on = [1, "timeout"]
success_codes = [0, 3]
skip_codes = [99]
overlap = "queue"
pool = "few"
pool_slots = 2
priority = -3
deadline = "06:05"
slow = 2.5
check = ["true", "test -s x"]
alert = []
max_output = "1500KiB"
[jobs."odd.name"]
command = ["echo", ""]
after = { all = "done" }
approve = "may it?"
deadline = "90m"
slow = "10m"
foreach = "seq 3"
retry_on = []
alert = ["ops"]
join = "any"
[jobs.zone]
after = ["all"]
timezone = "UTC"
command = "true"
'''


def rendered(jobs: JobSet) -> str:
    return toml(jobs.jobs.values(), plan(jobs.jobs), jobs.timezone)


def round_trip(text: str, folder: str, read_text: ReadText) -> None:
    jobs = read_text(text).jobs
    shown = rendered(jobs)
    kept = {key: value for key, value in tomllib.loads(text).items() if key in ("pools", "calendars", "alerts", "settings")}
    for calendar in kept.get("calendars", {}).values():
        if "file" in calendar:
            calendar["file"] = os.path.join(folder, calendar["file"])
    again = read_text(tomli_w.dumps({**kept, **tomllib.loads(shown)})).jobs
    assert dict(again.jobs) == dict(jobs.jobs)
    assert again.timezone == jobs.timezone
    assert rendered(again) == shown


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_sample_file_is_read_as_the_same_jobs(path: Path, read_text: ReadText) -> None:
    round_trip(path.read_text(), str(path.parent), read_text)


@pytest.mark.parametrize("text", [EVERYTHING, job_file(), *(text for _, text in displays())], ids=lambda text: f"{len(text)}")
def test_so_are_all_kinds_of_values_and_the_examples_of_the_pages(text: str, read_text: ReadText, tmp_path: Path) -> None:
    round_trip(text, str(tmp_path), read_text)


def test_there_are_sample_files() -> None:
    assert len(FILES) > 60


def test_every_key_is_written_somewhere(read_text: ReadText) -> None:
    jobs = read_text(EVERYTHING).jobs.jobs
    found = {key for job in jobs.values() for key in table(job, plan(jobs), "")}
    assert JOB.keys() - found == {"owner", "runbook", "only_on", "after_timeout", "group", "user", "on_failure", "on_success"}


def test_defaults_are_written_and_what_has_no_effect_is_not(read_text: ReadText) -> None:
    jobs = read_text('[jobs.a]\nevery = "1h"\ncommand = "x"\n[jobs.b]\nafter = ["a"]\ncommand = "y"\nretries = 1\n').jobs.jobs
    first, second = (table(job, plan(jobs), job.timezone) for job in jobs.values())
    assert first == {
        "command": "x",
        "enabled": True,
        "every": "1h",
        "jitter": "0s",
        "catchup": "last",
        "shell": "/bin/sh",
        "umask": "022",
        "kill_after": "10s",
        "retries": 0,
        "success_codes": [0],
        "overlap": "skip",
        "priority": 0,
        "max_output": "10MB",
    }
    assert second["retry_delay"] == "30s"
    assert (second["after"], second["join"]) == (["a"], "all")
    assert not second.keys() & {"catchup", "overlap", "jitter", "timezone", "wait_every", "settle", "pool_slots"}


def test_check_has_nothing_to_say_to_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "shown.toml"
    sample = read(str(ROOT / "sample_jobs.toml")).jobs
    path.write_text(rendered(sample))
    assert check(str(path)) == []
    assert read(str(path)).jobs.jobs == sample.jobs
