"""The JSON Schema and the man page are made from the table of keys; here they are held against `check`."""

from __future__ import annotations

import json
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cronflow.core.jobs import Job, Settings
from cronflow.errors import JobFileError
from cronflow.jobfile import keys
from cronflow.jobfile.read import read
from cronflow.jobfile.schema import schema
from tests.docs import manpage

VALIDATOR = jsonschema.Draft202012Validator(schema())

GOOD = [
    "",
    'jobs.a.command = "true"',
    'jobs.a = { command = ["true", ""], every = "1h30m", after = [], umask = 0o27, timeout = "500ms" }',
    'jobs.a = { command = "a", schedule = ["@daily"], env = { A = "" }, env_file = ["x", "-y"] }',
    'jobs.a = { command = "a", schedule = "@daily", umask = "027", retry_on = [1, "lost"] }',
    'jobs.a.command = "a"\njobs.b = { command = "b", after = { a = "failure" }, join = "any", max_output = "5MiB", nice = -5 }',
    'settings = { keep_runs = 1000, keep_logs = "1w", reload = "manual", max_running = 1 }\n[x-any]\na = 1',
    'timezone = "UTC"\ninclude = []\ndefaults = { retries = 2, command = "x" }\njobs.a = {}',
    'alerts.ops = { url_env = "OPS", on = ["slow"] }\njobs.a = { command = "a", alert = ["ops"] }',
    'pools = { a = 1, "b.c" = 10000 }\ncalendars.x.dates = [2026-12-25]\ncalendars.y.dates = []',
    'jobs.a = { command = "a", at = [2026-12-24T18:00:00, 2026-12-24 18:00:00+01:00], watch = ["a/*"], settle = "1s" }',
    'jobs.a = { command = "a", at = 2026-12-24T18:00:00Z, schedule = "@reboot", jitter = "5m", skip_on = [], only_on = [] }',
    'jobs.a = { command = "a", only_if = "x", wait_until = ["x"], wait_every = "1s", wait_timeout = "1h", approve = "now?" }',
    'jobs.a = { command = "a", approve = true, after_timeout = "1h", priority = -5, pool_slots = 1, foreach = "ls" }',
    'jobs.a = { command = "a", params = { A = "" }, matrix = { B = ["x", 5], C = [1] }, matrix_join = "each" }',
    'jobs.a = { command = "a", secrets = { A = "file:/x", B = "env:B", C = "credential:c.d", D = "command:pass x" } }',
    'jobs.a = { command = "a", deadline = "06:00", slow = 3, check = ["a", "b"], on_failure = "a", on_success = ["a"] }',
    'jobs.a = { command = "a", pool = "p", enabled = false, description = "d", owner = "o", tags = ["t"] }\n[pools]\np = 1',
    'jobs.a = { command = "a", cwd = "/", user = "u", group = "g", shell = "/bin/sh", stdin = "", retries = 1 }',
    'jobs.a = { command = "a", retry_delay = "1s", retry_backoff = 1.5, retry_max_delay = "1h", skip_codes = [99], alert = [] }',
    'jobs.a = { command = "a", every = "1h", timezone = "UTC", catchup = "all", catchup_window = "1h", overlap = "queue" }',
    'jobs.a = { command = "a", success_codes = [0, 1], runbook = "r", kill_after = "1s" }',
    'jobs.a = { command = "a", deadline = "2h", slow = "1h", check = "a" }',
    'alerts.ops.urls = ["json://localhost"]\nalerts.two.urls = "json://localhost"',
]
BAD = [
    "job.a.command = 'true'",
    "jobs.a = { command = 'a', timout = '1h' }",
    "jobs.a = { command = 'a', executor = 'x' }",
    "jobs.a = { command = 'a', timeout = 10 }",
    "jobs.a = { command = 'a', timeout = '10' }",
    "jobs.a = { command = 'a', timeout = '10min' }",
    "jobs.a = { command = 'a', timeout = '1m1h' }",
    "jobs.a = { command = '' }",
    "jobs.a = { command = [] }",
    "jobs.a = { command = 'a', env = { A = 5 } }",
    "jobs.a = { command = 'a', env = { CRONFLOW_A = '5' } }",
    "jobs.a = { command = 'a', after = 'b' }",
    "jobs.a = { command = 'a', after = { b = 'maybe' } }",
    "jobs.a = { command = 'a', success_codes = [] }",
    "jobs.a = { command = 'a', success_codes = [256] }",
    "jobs.a = { command = 'a', retries = true }",
    "jobs.a = { command = 'a', umask = '888' }",
    "jobs.a = { command = 'a', max_output = '10M' }",
    "jobs.a = { command = 'a', overlap = 'no' }",
    "jobs.'a b'.command = 'a'",
    "jobs.17.command = 'a'",
    "alerts.ops.on = ['failure']",
    "settings.max_running = 0",
    "pools.a = 0",
    "pools.a = '1'",
    "pools.a = 10001",
    "calendars.a = {}",
    "calendars.a = { dates = [], file = 'x' }",
    "calendars.a.dates = ['tomorrow']",
    "calendars.a.dates = 2026-12-25",
    "calendars.a.date = [2026-12-25]",
    "jobs.a = { command = 'a', at = 2026-12-24 }",
    "jobs.a = { command = 'a', at = 18:00:00 }",
    "jobs.a = { command = 'a', watch = 5 }",
    "jobs.a = { command = 'a', settle = 2 }",
    "jobs.a = { command = 'a', wait_until = '' }",
    "jobs.a = { command = 'a', approve = 1 }",
    "jobs.a = { command = 'a', approve = '' }",
    "jobs.a = { command = 'a', params = { A = 5 } }",
    "jobs.a = { command = 'a', params = { PATH = '/bin' } }",
    "jobs.a = { command = 'a', matrix = { HOME = ['a'] } }",
    "jobs.a = { command = 'a', matrix = { A = [] } }",
    "jobs.a = { command = 'a', matrix = { A = ['x', 'x'] } }",
    "jobs.a = { command = 'a', matrix = { A = [1.5] } }",
    "jobs.a = { command = 'a', matrix = { A = [true] } }",
    "jobs.a = { command = 'a', matrix_join = 'one' }",
    "jobs.a = { command = 'a', secrets = { A = 'plain' } }",
    "jobs.a = { command = 'a', secrets = { A = 'env:1' } }",
    "jobs.a = { command = 'a', secrets = { A = 'file://x' } }",
    "jobs.a = { command = 'a', secrets = { A = 'file:' } }",
    "jobs.a = { command = 'a', pool_slots = 0 }",
    "jobs.a = { command = 'a', priority = 1001 }",
    "jobs.a = { command = 'a', deadline = '24:00' }",
    "jobs.a = { command = 'a', slow = 1 }",
    "jobs.a = { command = 'a', slow = '3' }",
    "jobs.a = { command = 'a', check = [''] }",
]


def accepted(tmp_path: Path, text: str) -> bool:
    path = tmp_path / "jobs.toml"
    path.write_text(text)
    path.chmod(0o644)
    try:
        read(str(path), thorough=False)
    except JobFileError:
        return False
    return True


def as_json(text: str) -> Any:
    """A TOML text as editors hand it to a schema: dates and times are strings."""
    return json.loads(json.dumps(tomllib.loads(text), default=lambda moment: moment.isoformat()))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", GOOD)
def test_what_is_read_fits_the_schema(tmp_path: Path, text: str) -> None:
    assert accepted(tmp_path, text)
    VALIDATOR.validate(as_json(text))


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused_does_not_fit(tmp_path: Path, text: str) -> None:
    assert not accepted(tmp_path, text)
    assert not VALIDATOR.is_valid(as_json(text))


def test_every_key_of_a_job_is_held_against_the_schema() -> None:
    tried: set[str] = set()
    for text in GOOD:
        tried.update(*(job for job in tomllib.loads(text).get("jobs", {}).values()))
    assert set(keys.JOB) - tried == set()


def table(name: str) -> dict[str, Any]:
    return {**schema()["properties"], **schema()["$defs"]}[name]["properties"]


def test_every_key_has_its_field_and_its_sentence() -> None:
    fields = set(Job._fields) - {"name"}
    assert set(keys.JOB) == fields == set(table("job"))
    assert not set(keys.JOB) & keys.LATER["jobs"]
    assert (
        set(Settings._fields) - {"keep_runs_count"}
        == set(keys.SETTINGS)
        == set(table("settings"))
    )
    for one in (keys.JOB, keys.SETTINGS, keys.ALERT, keys.CALENDAR, keys.TOP):
        assert all(key.meaning.endswith(".") for key in one.values())


def test_the_defaults_told_are_the_defaults(tmp_path: Path) -> None:
    """What the table says is the default is what a job gets that says so."""
    for name, key in keys.JOB.items():
        if key.default[:1] in ('"', "[", "{", "t", *"0123456789") and not key.default.startswith(("that", "the ")):
            text = f'jobs.a = {{ command = "a", {name} = {key.default} }}'
            path = tmp_path / "jobs.toml"
            path.write_text(text)
            path.chmod(0o644)
            (job,) = read(str(path), thorough=False).jobs.jobs.values()
            assert job == Job("a", "a", timezone=job.timezone), name


def test_the_man_page_names_every_key() -> None:
    text = manpage.section()
    for name in [*keys.JOB, *keys.SETTINGS, *keys.ALERT, *keys.CALENDAR, *keys.TOP]:
        assert f".It Sy {name} " in text
    assert all(name in text for name in keys.LATER["jobs"])


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not here")
def test_the_man_page_is_sound(tmp_path: Path) -> None:
    page = tmp_path / "page.5"
    page.write_text(".Dd January 1, 2026\n.Dt PAGE 5\n.Os\n.Sh NAME\n.Nm page\n.Nd keys\n" + manpage.section())
    result = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True, check=False)
    assert result.stdout == ""
