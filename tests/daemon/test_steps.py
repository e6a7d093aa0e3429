"""What is started for each kind of process of a task: its command, its limits, its environment, its log."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from cronflow.core.jobs import Job, definition
from cronflow.core.plan.flow import flow_of_definition
from cronflow.core.records import Attempt, End, Hook, Live, Run, Task
from cronflow.core.state import LiveState
from cronflow.daemon.processes import reports
from cronflow.daemon.processes.orders import Order
from cronflow.daemon.processes.secrets import Secrets
from cronflow.daemon.processes.spawning import Orders
from cronflow.places import Places

NOW = 1_793_059_200.0
JOB = Job(
    "load",
    "load.sh",
    only_if=("test", "-e", "/data"),
    wait_until="test -e ready",
    wait_timeout=600.0,
    foreach="ls",
    check=("first", "second"),
    on_failure="warn",
    on_success=("tell", "all"),
    stdin="text",
    timeout=3600.0,
)


def asked(
    tmp_path: Path, kind: str, job: Job = JOB, n: int = 1, exit_code: int | None = None, name: str = "load", **facts: Any
) -> Order:
    """The order for a process of that kind."""
    digest, body = definition({job.name: job})
    attempt = Attempt(7, name, n, kind, created_at=NOW)
    end = facts.pop("end", None)
    phase = Hook(end, NOW, attempt) if end is not None else Live(attempt, facts.pop("entered", NOW), facts.pop("passed", 0))
    task = Task(7, name, job.name, phase, **facts)
    run = Run(7, job.name, "schedule", NOW, digest, slot=int(NOW), tasks={name: task})
    state = LiveState(runs={7: run})
    state.know(digest, body)
    state.flows[7] = flow_of_definition(state.definition_of(run), run.flow, ())
    return Orders(Places(tmp_path / "jobs.toml", tmp_path, tmp_path), Secrets("")).order(state, attempt.ref, NOW, exit_code)


def words(tmp_path: Path, kind: str, **facts: Any) -> list[str]:
    argv = asked(tmp_path, kind, **facts).argv
    return [os.path.basename(argv[0]), *argv[1:]]


def test_each_kind_has_its_command(tmp_path: Path) -> None:
    assert words(tmp_path, "command", attempts=1) == ["sh", "-c", "load.sh"]
    assert words(tmp_path, "condition") == ["test", "-e", "/data"]
    assert words(tmp_path, "sensor") == ["sh", "-c", "test -e ready"]
    assert words(tmp_path, "check", attempts=1) == ["sh", "-c", "first"]
    assert words(tmp_path, "check", attempts=1, passed=1) == ["sh", "-c", "second"]
    assert words(tmp_path, "on_failure", end=End("failed", "exit_code")) == ["sh", "-c", "warn"]
    assert words(tmp_path, "on_success", end=End("success")) == ["tell", "all"]


@pytest.mark.parametrize("kind", ["command", "condition", "check", "foreach", "on_success"])
def test_every_process_has_the_limit_of_the_job(tmp_path: Path, kind: str) -> None:
    assert asked(tmp_path, kind).timeout == 3600.0
    assert asked(tmp_path, kind, JOB._replace(timeout=None)).timeout is None


def test_a_poll_has_what_is_left_of_the_wait(tmp_path: Path) -> None:
    unlimited = JOB._replace(timeout=None)
    assert asked(tmp_path, "sensor", unlimited, entered=NOW).timeout == 600.0
    assert asked(tmp_path, "sensor", unlimited, entered=NOW - 590).timeout == 10.0
    assert asked(tmp_path, "sensor", unlimited, entered=NOW - 700).timeout == 1.0
    assert asked(tmp_path, "sensor", JOB._replace(timeout=20.0), entered=NOW - 590).timeout == 10.0
    assert asked(tmp_path, "sensor", JOB._replace(timeout=5.0), entered=NOW - 590).timeout == 5.0


def test_only_the_command_reads_stdin(tmp_path: Path) -> None:
    assert asked(tmp_path, "command").stdin == "text"
    assert asked(tmp_path, "check").stdin is None


def test_the_environment_of_a_step_is_that_of_the_command(tmp_path: Path) -> None:
    command = asked(tmp_path, "command", attempts=2).env
    assert command["CRONFLOW_ATTEMPT"] == "2"
    assert asked(tmp_path, "check", attempts=2).env == command
    assert asked(tmp_path, "condition").env["CRONFLOW_ATTEMPT"] == "1"


def test_a_hook_is_told_how_the_task_ended(tmp_path: Path) -> None:
    env = asked(tmp_path, "on_failure", exit_code=3, end=End("failed", "exit_code")).env
    assert (env["CRONFLOW_TASK_STATE"], env["CRONFLOW_TASK_REASON"], env["CRONFLOW_EXIT_CODE"]) == ("failed", "exit_code", "3")
    env = asked(tmp_path, "on_success", end=End("success")).env
    assert (env["CRONFLOW_TASK_STATE"], env["CRONFLOW_TASK_REASON"]) == ("success", "")
    assert "CRONFLOW_EXIT_CODE" not in env


def test_each_process_has_its_log_and_a_sensor_only_its_last(tmp_path: Path) -> None:
    def log(kind: str, n: int, name: str = "load") -> Path:
        return Path(asked(tmp_path, kind, n=n, name=name).log)

    assert [log("command", 2).name, log("check", 3).name] == ["load.2.log", "load.check3.log"]
    assert log("command", 1, "load[eu,1]").name == "load[eu,1].1.log"
    first = log("sensor", 1)
    assert first.exists()
    assert log("sensor", 2).exists()
    assert not first.exists()


def test_a_program_that_is_not_found_names_the_key(tmp_path: Path) -> None:
    order = asked(tmp_path, "condition", JOB._replace(only_if=("no-such-program",)))
    end = reports.not_begun(Attempt(7, "load", 1, "condition").ref, {"stage": "exec", "errno": 2}, order.named, NOW)
    assert order.argv == ["no-such-program"]
    assert end.message == "command not found: `no-such-program`; check `only_if` and PATH"
    order = asked(tmp_path, "sensor", JOB._replace(shell="/no/shell"))
    end = reports.not_begun(Attempt(7, "load", 1, "sensor").ref, {"stage": "exec", "errno": 2}, order.named, NOW)
    assert end.message == "command not found: `/no/shell`; check `shell` and PATH"
