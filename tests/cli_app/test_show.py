"""`cronflow show`: what is printed is a job file, for people and for `check`."""

from __future__ import annotations

import tomllib

import pytest

from tests.cli_app.conftest import Cli

JOBS = """\
timezone = "Europe/Berlin"
[defaults]
timeout = "1h"
env = { LANG = "C.UTF-8" }
[jobs.extract]
schedule = "0 4 * * *"
command = "true"
secrets = { TOKEN = "file:token", KEY = "command:echo hidden" }
[jobs.load]
after = ["extract"]
command = "true"
env = { A = "1" }
at = []
[jobs.once]
at = 2030-12-24T18:00:00
timezone = "America/New_York"
command = "true"
"""


@pytest.fixture
def shop(cli: Cli) -> Cli:
    cli.file.write_text(JOBS)
    (cli.folder / "token").write_text("s3cret")
    return cli


def test_what_is_shown_is_a_job_file_that_check_accepts(shop: Cli) -> None:
    told = shop("show")
    assert (told.status, told.err) == (0, "")
    (shop.folder / "shown.toml").write_text(told.out)
    (shop.folder / "shown.toml").chmod(0o644)
    checked = shop("check", "shown.toml")
    assert (checked.status, checked.out.count("warning"), checked.out.count("3 jobs in 2 flows")) == (0, 0, 1)
    assert shop("show", "--file", "shown.toml").out == told.out


def test_defaults_are_merged_and_secrets_are_references(shop: Cli) -> None:
    found = tomllib.loads(shop("show").out)
    assert found["timezone"] == "Europe/Berlin"
    extract, load, once = found["jobs"].values()
    assert load["env"] == {"LANG": "C.UTF-8", "A": "1"}
    assert (extract["timeout"], extract["kill_after"], "timezone" in extract) == ("1h", "10s", False)
    assert extract["secrets"] == {"TOKEN": f"file:{shop.folder}/token", "KEY": "command:echo hidden"}
    assert (once["timezone"], once["at"][0].isoformat()) == ("America/New_York", "2030-12-24T18:00:00-05:00")


def test_some_jobs_in_the_order_named(shop: Cli) -> None:
    assert list(tomllib.loads(shop("show", "once", "extract", "once").out)["jobs"]) == ["once", "extract"]
    told = shop("show", "extrakt")
    assert (told.status, told.out) == (4, "")
    assert "did you mean `extract`?" in told.err


def test_json(shop: Cli) -> None:
    answer = shop("show", "load", "once", "--json").json
    assert (answer["schema"], answer["timezone"]) == (1, "Europe/Berlin")
    load, once = answer["jobs"]
    assert (load["name"], load["flow"], load["keys"]["timeout"]) == ("load", "extract", "1h")
    assert (load["keys"]["timezone"], once["keys"]["timezone"]) == ("Europe/Berlin", "America/New_York")
    assert once["keys"]["at"] == ["2030-12-24T18:00:00-05:00"]


def test_a_job_file_without_jobs(cli: Cli) -> None:
    cli.file.write_text("")
    told = cli("show")
    assert (told.status, told.out, told.err) == (0, "", "the job file has no jobs\n")
    assert cli("show", "--json").json["jobs"] == []
