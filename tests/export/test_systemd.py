"""The way out to systemd: units that `systemd-analyze verify` accepts, wired so that they start what the engine starts."""

from __future__ import annotations

import shutil
import subprocess
import textwrap
from pathlib import Path

import pytest

from cronflow.core.jobs import Job, JobSet
from cronflow.export.report import ExportReport, ExportRequest
from cronflow.export.systemd import export
from cronflow.export.units import input_lines, unit_names
from tests.export.jobs import CHAINS, CONDITIONS, NOW, chain, engine, flow, outcomes, wanted
from tests.export.manager import Manager, parse

EVERYTHING = """\
[calendars.holidays]
dates = [2026-12-25, 2027-01-01, 2020-01-01]
[jobs.a]
schedule = "30 2 * * *"
command = ["./a", "x y", "50%", "a;b", "$HOME", "é"]
cwd = "/tmp"
skip_on = ["holidays"]
env = { PATH = "/opt/bin:/usr/bin", Q = "it's \\"q\\"", P = "5%" }
[jobs.b]
schedule = "30 2 * * *"
command = "true"
skip_on = ["holidays"]
retries = 2
secrets = { TOKEN = "command:echo hi", FILE = "file:/etc/hostname", G = "env:G", K = "credential:key" }
jitter = "0s"
[jobs.c]
after = ["a", "b"]
description = "100 % of it"
runbook = "https://wiki.example/c"
command = "cat # it"
stdin = "\\n  x\\n\\ny \\\\ 5%\\n\\n"
only_if = "test -e /x"
wait_until = "test -e /y && true"
check = ["test 1", "test 2"]
on_failure = "echo bad"
on_success = ["echo", "good"]
[jobs.d]
after = { c = "done" }
command = '''
cat <<END
"$HOME" and 'more' \\n
END
'''
[jobs.e]
every = "7m"
command = "true"
jitter = "5m"
[jobs.w]
watch = ["/srv/in/*.csv", "/srv/flag"]
at = 2027-01-01T00:00:00
command = "true"
[jobs.r]
schedule = ["@reboot", "*/10 * * * *"]
command = "true"
env_file = ["-/etc/default/x"]
env = { A = "1" }
success_codes = [0, 3]
skip_codes = [99]
nice = 5
umask = "027"
timeout = "90m"
kill_after = "500ms"
user = "daemon"
group = "daemon"
cwd = "~"
stdin = "no end"
[jobs.hand]
command = "true"
matrix = { R = ["eu", "u s"], N = ["1"] }
[jobs.off]
schedule = "@daily"
enabled = false
catchup = "none"
command = "true"
"""


def units(text: str, system: bool = True) -> tuple[dict[str, str], ExportReport]:
    done = export(wanted(text, system))
    return dict(done.files), done.report


def verify(files: dict[str, str], folder: Path) -> str:
    """What `systemd-analyze verify` says of units."""
    for name, text in files.items():
        (folder / name).write_text(text)
    words = ["systemd-analyze", "verify", "--man=no", *(str(folder / name) for name in files)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("system", [True, False])
def test_systemd_accepts_the_units(system: bool, tmp_path: Path) -> None:
    files, report = units(EVERYTHING if system else EVERYTHING.replace('user = "daemon"\ngroup = "daemon"\n', ""), system)
    assert report.refused == {}
    assert len(files) == 18
    files = {name: text.replace("/usr/bin/env ./a", "/bin/sh ./a") for name, text in files.items()}
    assert verify(files, tmp_path) == ""


def test_a_pair_of_units() -> None:
    files, report = units(
        '[jobs.backup]\ndescription = "To the other site"\nschedule = "30 4 * * mon-fri"\njitter = "20m"\ntimeout = "2h"\n'
        'retries = 2\nretry_delay = "1m"\nuser = "backup"\ncwd = "/srv"\ncommand = \'./backup.sh "$(date +%F)"\'\n'
        'env = { TARGET = "two words" }\n'
    )
    assert files["job-backup.service"] == textwrap.dedent("""\
        # jobs.toml: job `backup`
        # lost: `retry_backoff = 2.0`: the delay stays the same

        [Unit]
        Description=backup: To the other site
        StartLimitIntervalSec=6h 3min 30s
        StartLimitBurst=3

        [Service]
        Type=oneshot
        User=backup
        WorkingDirectory=/srv
        Environment="TARGET=two words"
        TimeoutStartSec=2h
        TimeoutStopSec=10s
        ExecStart=:/bin/sh -c './backup.sh "$(date +%%F)"'
        Restart=on-failure
        RestartSec=1min
        """)
    assert files["job-backup.timer"] == textwrap.dedent("""\
        # jobs.toml: when job `backup` starts

        [Unit]
        Description=backup: To the other site

        [Timer]
        OnCalendar=Mon..Fri *-*-* 04:30:00
        AccuracySec=1s
        Persistent=true
        RandomizedDelaySec=20min
        FixedRandomDelay=true
        Unit=job-backup.service

        [Install]
        WantedBy=timers.target
        """)
    assert [loss.key for loss in report.losses] == ["retry_backoff"]


def test_retries_end_before_the_next_slot() -> None:
    """systemd counts starts in an interval: one that were longer than the time between two slots would stop these."""
    files, _ = units('[jobs.a]\nschedule = "*/5 * * * *"\nretries = 3\ntimeout = "1h"\ncommand = "true"\n')
    assert parse(files["job-a.service"])["StartLimitIntervalSec"] == ["4min 59s"]


def test_units_of_a_user_run_as_the_user() -> None:
    files, report = units('[jobs.a]\nschedule = ["@daily", "@reboot"]\ncommand = "true"\n', system=False)
    settings = parse(files["job-a.service"])
    assert "User" not in settings
    assert settings["WantedBy"] == ["default.target"]
    assert report.refused == {}
    refused = units('[jobs.a]\nschedule = "@daily"\ncommand = "true"\nuser = "www-data"\n', system=False)[1].refused
    assert "runs as `www-data`" in refused["a"]


def test_times_that_a_change_of_the_clock_leaves_out_are_told() -> None:
    _, report = units('timezone = "Europe/Berlin"\n[jobs.a]\nschedule = ["30 2 * * *", "*/20 1-3 * * *"]\ncommand = "true"\n')
    told = [loss.message for loss in report.losses if loss.key == "schedule"]
    assert told == [
        "2027-03-28 02:30 does not exist in Europe/Berlin: systemd does not start it, cronflow at 03:00",
        "2027-10-31 02:00 comes twice in Europe/Berlin: systemd starts it once, cronflow twice",
    ]


def test_what_follows_elapsed_time_all_day_is_said_in_utc() -> None:
    files, report = units('timezone = "Europe/Berlin"\n[jobs.a]\nschedule = "*/20 * * * *"\ncommand = "true"\n')
    assert parse(files["job-a.timer"])["OnCalendar"] == ["*-*-* *:00/20:00 UTC"]
    assert [loss for loss in report.losses if loss.key == "schedule"] == []


def test_standard_input_line_by_line() -> None:
    assert input_lines("a\n\n  b \n") == [
        ("StandardInput", "data"),
        ("StandardInputText", "a\\n"),
        ("StandardInputText", "\\x20 b\\x20"),
    ]
    assert input_lines("no end") == [("StandardInput", "data"), ("StandardInputData", "bm8gZW5k")]


def test_names_of_units_are_each_another_one() -> None:
    assert unit_names(["load", "load[eu]", "load-eu"]) == {
        "load": "job-load",
        "load[eu]": "job-load-eu",
        "load-eu": "job-load-eu-2",
    }


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ("approve = true", "approval"),
        ('foreach = "ls"', "`foreach`"),
        ('after = ["hourly", "daily"]', "other schedules"),
        ('after = { daily = "failure", other = "success" }', "a failure of `daily` and more"),
    ],
)
def test_what_units_cannot_say_is_refused_with_the_reason(keys: str, told: str) -> None:
    others = "".join(
        f'[jobs.{name}]\nschedule = "@{when}"\ncommand = "true"\n'
        for name, when in (("hourly", "hourly"), ("daily", "daily"), ("other", "daily"))
    )
    _, report = units(f'{others}[jobs.a]\ncommand = "true"\n{keys}\n')
    assert told in report.refused["a"]


# ---- edges ----------------------------------------------------------------------------------------------------------------


def started(jobs: dict[str, Job], codes: dict[str, int]) -> list[str]:
    """The jobs that systemd would start, in order."""
    done = export(ExportRequest(JobSet(jobs), NOW, "UTC", "anna", "jobs.toml"))
    assert done.report.refused == {}
    manager = Manager(done.files, {f"job-{name}.service": code for name, code in codes.items()})
    (timer,) = (name for name in done.files if name.endswith(".timer"))
    manager.elapse(timer)
    return [unit.removeprefix("job-").removesuffix(".service") for unit in manager.ran if not unit.endswith("-all.service")]


def same(jobs: dict[str, Job]) -> None:
    """systemd starts what the engine starts, and nothing twice, however the commands end."""
    for codes in outcomes(jobs):
        ran = started(jobs, codes)
        assert len(ran) == len(set(ran)), codes
        assert set(ran) == engine(jobs, codes), codes


@pytest.mark.parametrize("conditions", CHAINS, ids="-".join)
def test_a_chain_is_pushed(conditions: tuple[str, ...]) -> None:
    same(chain(conditions))


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_tree_is_pushed(condition: str) -> None:
    same(flow({"a": {}, "b": {"a": "success"}, "c": {"b": condition}, "d": {"b": "success"}, "e": {"c": "done"}}))


@pytest.mark.parametrize(
    "edges",
    [
        {"a": {}, "b": {}, "c": {"a": "success", "b": "success"}, "d": {"c": "success"}, "e": {"d": "done"}},
        {"a": {}, "b": {}, "c": {"a": "success", "b": "done"}, "d": {"c": "failure"}},
        {"a": {}, "b": {"a": "success"}, "c": {"a": "success"}, "d": {"b": "success", "c": "success"}, "e": {"b": "failure"}},
        {"a": {}, "b": {}, "c": {"a": "success", "b": "success"}, "d": {"a": "success", "b": "done"}, "e": {"c": "done"}},
        {"a": {}, "b": {"a": "done"}, "c": {"a": "done", "b": "done"}, "d": {"c": "success"}, "e": {"c": "failure"}},
    ],
    ids=str,
)
def test_a_join_is_pulled(edges: dict[str, dict[str, str]]) -> None:
    same(flow(edges))


def test_retries_before_a_join_are_told() -> None:
    jobs = flow({"a": {}, "b": {}, "c": {"a": "success", "b": "success"}})
    jobs["a"] = jobs["a"]._replace(retries=1)
    report = export(ExportRequest(JobSet(jobs), NOW, "UTC", "anna", "jobs.toml")).report
    assert "`c` does not wait for its retries, and fails with its first attempt" in report.of("a")
