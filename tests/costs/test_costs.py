"""What things cost, as counts: imports of a command, statements of a turn, calls of the engine, system calls of a step.

None of it is a time, so that a slow path cannot come back unseen on any machine. A bound that is met by a margin of a third or so
is there to be moved by somebody who knows why.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from cronflow.core.effects import Effects
from cronflow.daemon.jobs.source import JobSource
from tests.core.stage import Stage, job

# ---- imports --------------------------------------------------------------------------------------------------------------

PROBE = """
import json, sys
from cronflow.cli.main import call
status = call(sys.argv[1:])
sys.stdout.flush()
print(json.dumps([status, sorted(sys.modules)]))
"""
SLOW = ("apprise", "asyncio", "croniter", "filelock", "psutil", "rich", "tomli_w", "unittest", "multiprocessing", "http", "ssl")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A job file that a `check` has read, with one run in its history."""
    lines = [f'[jobs.job{number}]\nschedule = "{number} 4 * * *"\ncommand = "true"\n' for number in range(20)]
    (tmp_path / "jobs.toml").write_text("".join(lines))
    assert imports(tmp_path, "run", "job1")[0] == imports(tmp_path, "check")[0] == 0
    return tmp_path


def imports(home: Path, *words: str) -> tuple[int, set[str]]:
    """The exit status of a command, and what it has imported."""
    options = ["--file", str(home / "jobs.toml"), "--state", str(home / "state")]
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *options, *words], capture_output=True, text=True, timeout=60, check=True, cwd=home
    )
    status, modules = json.loads(done.stdout.splitlines()[-1])
    return status, set(modules)


@pytest.mark.parametrize(
    ("words", "ours"), [("--help", 8), ("status", 46), ("runs", 46), ("logs -n 20 job1", 40), ("next", 45), ("status job1", 47)]
)
def test_a_command_imports_little(home: Path, words: str, ours: int) -> None:
    status, modules = imports(home, *words.split())
    assert status == 0
    assert not modules.intersection(SLOW)
    files = [name for name in modules if name.startswith("cronflow") and not any(one.startswith(f"{name}.") for one in modules)]
    assert len(files) <= ours
    assert len(modules) <= 225


@pytest.mark.parametrize("words", ["status", "next", "runs", "logs -n 20 job1", "graph"])
def test_what_only_looks_does_not_read_the_job_file_anew(home: Path, words: str) -> None:
    _, modules = imports(home, *words.split())
    assert not modules & {"cronflow.jobfile.read", "cronflow.jobfile.build", "tomllib", "cronflow.core.state"}


def test_croniter_is_loaded_only_for_its_opinion(home: Path) -> None:
    assert "croniter" not in imports(home, "check")[1]
    assert "croniter" in imports(home, "check", "--prove")[1]


def test_the_help_of_all_verbs_runs_none_of_their_modules(home: Path) -> None:
    _, modules = imports(home, "--help")
    assert not modules & {"cronflow.cli.verbs.status", "cronflow.cli.verbs.run", "cronflow.core.records", "sqlite3"}


# ---- statements -----------------------------------------------------------------------------------------------------------


def statements(stage: Stage, act: Callable[[], Effects]) -> int:
    """How many statements a turn has the database carry out."""
    seen: list[str] = []
    stage.store.connection.set_trace_callback(seen.append)
    try:
        act()
    finally:
        stage.store.connection.set_trace_callback(None)
    return len(seen)


def test_the_statements_of_a_turn_are_its_rows() -> None:
    """A scheduled run that opens: run, slot, definition, task, attempt, cursor. One that ends: run, task, attempt, health."""
    stage = Stage(*(job(f"job{number}", schedule="* * * * *") for number in range(50)), max_running=100)
    assert statements(stage, lambda: stage.at(60)) <= 6 * 50 + 10
    started = list(stage.started)
    assert len(started) == 50
    assert statements(stage, lambda: stage.end(started[0])) <= 4 + 6


# ---- the engine -----------------------------------------------------------------------------------------------------------


def calls(act: Callable[[], Any]) -> int:
    """How many functions of Python are called."""
    count = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def calls_for_one_of(waiting: int) -> float:
    """Calls of the engine for a task that ends while so many wait in a pool of 4, all of one flow."""
    jobs = [job("root"), *(job(f"task{number}", ("root",), pool="few") for number in range(waiting))]
    stage = Stage(*jobs, pools={"few": 4})
    stage.run("root")
    stage.end(stage.started[0])
    cost = 0
    for number in range(1, 21):
        cost += calls(lambda number=number: stage.end(stage.started[number]))  # type: ignore[misc]
    return cost / 20


def test_what_waits_costs_nothing() -> None:
    few, many = calls_for_one_of(100), calls_for_one_of(1000)
    assert many <= 1.1 * few
    assert many <= 400


def calls_for_one_after(upstreams: int) -> float:
    """Calls of the engine for a task of a chain, at its end."""
    jobs = [job("j0"), *(job(f"j{number}", (f"j{number - 1}",)) for number in range(1, upstreams + 10))]
    stage = Stage(*jobs)
    stage.run("j0")
    for number in range(upstreams):
        stage.end(stage.started[number])
    return calls(lambda: stage.end(stage.started[upstreams]))


def test_what_has_ended_costs_nothing() -> None:
    assert calls_for_one_after(300) <= 1.1 * calls_for_one_after(30)


# ---- system calls ---------------------------------------------------------------------------------------------------------

COUNTED = "fdatasync,fsync,openat,mkdir,clone,clone3,fork,vfork,execve,newfstatat,getdents64,sendto"


def system_calls(home: Path, *words: str) -> Counter[str]:
    """The system calls of a command and of all that it starts."""
    program = [sys.executable, "-m", "cronflow.cli.main", "--file", str(home / "jobs.toml"), "--state", str(home / "state")]
    trace = home / "trace"
    trace.mkdir()
    command = ["strace", "-f", "-qq", "-e", f"trace={COUNTED}", "-o", str(trace / "all"), *program, *words]
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd=trace)
    return Counter(re.findall(r"^\d+ +([a-z0-9]+)\(", (trace / "all").read_text(errors="replace"), re.M))


def strace_works() -> bool:
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-qq", "-o", os.devnull, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not strace_works(), reason="there is no strace that may trace here")
def test_a_step_of_a_chain_makes_few_system_calls(tmp_path: Path) -> None:
    """What a chain of 40 needs more than one of 10, for each step: a commit (two where a step lasts, as it does under a
    debugger), a child, a folder and two files, one line to the keeper."""
    cost: list[Counter[str]] = []
    for length in (10, 40):
        home = tmp_path / str(length)
        home.mkdir()
        after = "".join(f'[jobs.j{number}]\ncommand = ": {number}"\nafter = ["j{number - 1}"]\n' for number in range(1, length))
        (home / "jobs.toml").write_text(f'[jobs.j0]\ncommand = ": 0"\n{after}')
        cost.append(system_calls(home, "run", "j0"))
    each = {name: (cost[1][name] - cost[0][name]) / 30 for name in cost[1]}
    forks = sum(each.get(name, 0.0) for name in ("clone", "clone3", "fork", "vfork"))
    assert each["fdatasync"] + each.get("fsync", 0.0) <= 2.2
    assert each["execve"] == 1.0
    assert forks == 1.0
    assert each["mkdir"] <= 1.2
    assert each["openat"] <= 12
    assert each["newfstatat"] <= 12
    assert each.get("getdents64", 0.0) <= 0.2
    assert each["sendto"] <= 5


# ---- memory ---------------------------------------------------------------------------------------------------------------


def test_jobs_that_are_alike_share_what_says_so(tmp_path: Path) -> None:
    from cronflow.core.plan.flow import plan
    from cronflow.jobfile.read import read

    def blocks(count: int) -> int:
        """Small pieces of memory that a reading of so many jobs and its flows keep."""
        file = tmp_path / "jobs.toml"
        file.write_text("".join(f'[jobs.job{n}]\nschedule = "0 4 * * *"\ncommand = "true"\n' for n in range(count)))
        gc.collect()
        before = sys.getallocatedblocks()
        reading = read(str(file), thorough=False)
        flows = plan(reading.jobs.jobs)
        gc.collect()
        assert len(flows.flows) == count
        return sys.getallocatedblocks() - before

    blocks(10)  # what is imported and kept with the first one
    assert (blocks(1100) - blocks(100)) / 1000 <= 8


# ---- a job file -----------------------------------------------------------------------------------------------------------


def test_a_job_file_is_parsed_once_to_start_and_twice_to_be_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[str] = []
    loads = tomllib.loads

    def counted(text: str, **more: Any) -> dict[str, Any]:
        parsed.append(text)
        return loads(text, **more)

    monkeypatch.setattr(tomllib, "loads", counted)
    path = tmp_path / "jobs.toml"
    path.write_text('[jobs.a]\ncommand = "true"\n')
    source = JobSource.open(str(path))
    assert len(parsed) == 1
    path.write_text('[jobs.a]\ncommand = "true"\n\n[jobs.b]\ncommand = "true"\n')
    source.check_at = 0.0
    assert source.edited()
    assert source.read_again() is not None
    assert len(parsed) == 3
    source.watch.close()
