"""The JSON Schema and the man page are made from the table of keys; here they are held against `check`."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from cronflow.core.model import Job, Settings
from cronflow.errors import JobFileError
from cronflow.jobfile import keys, manpage
from cronflow.jobfile.read import read
from cronflow.jobfile.schema import schema

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


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("text", GOOD)
def test_what_is_read_fits_the_schema(tmp_path: Path, text: str) -> None:
    assert accepted(tmp_path, text)
    VALIDATOR.validate(tomllib.loads(text))


@pytest.mark.parametrize("text", BAD)
def test_what_is_refused_does_not_fit(tmp_path: Path, text: str) -> None:
    assert not accepted(tmp_path, text)
    assert not VALIDATOR.is_valid(tomllib.loads(text))


def table(name: str) -> dict[str, Any]:
    return {**schema()["properties"], **schema()["$defs"]}[name]["properties"]


def test_every_key_has_its_field_and_its_sentence() -> None:
    fields = set(Job._fields) - {"name"}
    assert set(keys.JOB) == fields == set(table("job"))
    assert not set(keys.JOB) & keys.JOB_LATER
    assert (
        set(Settings._fields) - {"keep_runs_count"}
        == set(keys.SETTINGS)
        == set(table("settings"))
    )
    for one in (keys.JOB, keys.SETTINGS, keys.ALERT, keys.TOP):
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
    for name in [*keys.JOB, *keys.SETTINGS, *keys.ALERT, *keys.TOP]:
        assert f".It Sy {name} " in text
    assert all(name in text for name in keys.JOB_LATER)


@pytest.mark.skipif(shutil.which("mandoc") is None, reason="mandoc is not here")
def test_the_man_page_is_sound(tmp_path: Path) -> None:
    page = tmp_path / "page.5"
    page.write_text(".Dd January 1, 2026\n.Dt PAGE 5\n.Os\n.Sh NAME\n.Nm page\n.Nd keys\n" + manpage.section())
    result = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", str(page)], capture_output=True, text=True, check=False)
    assert result.stdout == ""
