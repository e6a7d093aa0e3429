"""The sample is the first thing that a newcomer runs: it is checked, and run twice as the README says, in the foreground."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cronflow.jobfile.read import read
from tests.docs.pages import ROOT, blocks

SAMPLE = ROOT / "sample_jobs.toml"
FOLDER = 'cwd = "/tmp"'


def cronflow(*words: str, state: Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "CRONFLOW_STATE": str(state), "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-m", "cronflow.cli.main", *words]
    return subprocess.run(program, env=env, cwd="/", capture_output=True, text=True, timeout=100, check=False)


def test_check_finds_nothing_to_say() -> None:
    assert read(str(SAMPLE)).problems == []


def test_it_is_one_flow_which_the_readme_starts(tmp_path: Path) -> None:
    flows = json.loads(cronflow("--file", str(SAMPLE), "graph", "--json", state=tmp_path).stdout)["flows"]
    assert [flow["name"] for flow in flows] == ["packages"]
    assert blocks("sh")[0].rstrip().endswith("--file sample_jobs.toml run packages")


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The sample, working in a folder of its own instead of /tmp."""
    text = SAMPLE.read_text()
    assert text.count(FOLDER) == 1
    path = tmp_path / "sample_jobs.toml"
    path.write_text(text.replace(FOLDER, f'cwd = "{tmp_path}"'))
    return path


def test_it_succeeds_and_can_be_run_again(sample: Path, tmp_path: Path) -> None:
    for number in (1, 2):
        done = cronflow("--file", str(sample), "run", "packages", "--json", state=tmp_path / "state")
        assert done.returncode == 0, done.stderr
        (run,) = json.loads(done.stdout)["runs"]
        tasks: dict[str, Any] = {task["job"]: task for task in run["tasks"]}
        assert {task["state"] for task in tasks.values()} == {"success"}
        results = [attempt["result"] for attempt in tasks["announce"]["attempts"]]
        assert results == ["failed", "failed", "success"]
        (work,) = tmp_path.glob("cronflow-sample-*")
        assert [path.name for path in work.iterdir()] == ["facts.db"]
        with sqlite3.connect(work / "facts.db") as database:
            kinds = dict(database.execute("SELECT kind, count(*) FROM facts WHERE run = ? GROUP BY kind", (number,)))
        assert kinds["disk"] == 4
        assert kinds["package"] > 50


def test_a_failed_extraction_blocks_the_load_and_not_the_clean_up(sample: Path, tmp_path: Path) -> None:
    sample.write_text(sample.read_text().replace("dpkg-query -W", "false"))
    done = cronflow("--file", str(sample), "run", "packages", "--json", state=tmp_path / "state")
    assert done.returncode == 1
    states = {task["job"]: task["state"] for task in json.loads(done.stdout)["runs"][0]["tasks"]}
    assert states["packages"] == "failed"
    assert states["load"] == states["report"] == states["announce"] == "blocked"
    assert states["disk-use"] == states["clean-up"] == "success"
