"""Approvals given and refused, against a real daemon."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from tests.cli_app.conftest import Answer, Cli, Daemon, interrupt

Start = Callable[[str], Daemon]

JOBS = """\
timezone = "Europe/Berlin"
[defaults]
timeout = "1h"
[jobs.build]
command = "true"
[jobs.deploy]
after = ["build"]
approve = "put it on the air?"
command = "echo deployed"
[jobs.tell]
after = ["deploy"]
command = "true"
[jobs.ship]
approve = true
matrix = { REGION = ["eu", "us", "far away"] }
command = "echo $REGION"
[jobs.two]
approve = true
command = "true"
[jobs.two-side]
after = { two = "done" }
approve = true
command = "true"
[jobs.plain]
command = "true"
"""


def begun(cli: Cli, here: Daemon, job: str, task: str | None = None) -> str:
    """A run of which a task waits for an approval."""
    number = cli("run", job, "--detach").out.strip()
    here.wait(lambda: f"{number}/{task or job}" in cli("approve").out)
    return number


def said(answer: Answer) -> str:
    assert (answer.status, answer.err) == (0, "")
    return answer.out


def test_without_a_daemon_nothing_is_approved_but_the_list_is_there(cli: Cli) -> None:
    for words, done in (("approve", "approved"), ("reject", "rejected")):
        answer = cli(words, "1/deploy")
        assert (answer.status, answer.out) == (3, "")
        assert answer.err.startswith(f"error: the daemon is not running, so nothing was {done}\n")
    answer = cli("approve")
    assert (answer.status, answer.out, answer.err) == (0, "", "nothing waits for an approval\n")
    assert cli("approve", "--json").json["waiting"] == []


def test_a_task_goes_on_once_it_is_approved(cli: Cli, daemon: Start) -> None:
    here = daemon(JOBS)
    number = begun(cli, here, "build", "deploy")
    (line,) = cli("approve").out.splitlines()
    assert line.startswith(f"{number}/deploy   since 20")
    assert line.endswith("   put it on the air?")
    assert cli("approve", "--json").json["waiting"][0]["message"] == "put it on the air?"
    why = cli("why", "deploy").out
    assert f"deploy waits for an approval in run {number} " in why
    assert f'"put it on the air?"   cronflow approve {number}/deploy' in why
    assert f"cronflow reject {number}/deploy" in why
    assert "waits for approval since" in cli("status").out
    assert f"cronflow approve {number}/deploy" in cli("status", number).out
    assert "after deploy: it waits for an approval" in cli("why", f"{number}/tell").out
    assert said(cli("approve", f"{number}/deploy")) == f"approved {number}/deploy\n"
    here.wait(lambda: here.task_state(int(number), "tell") == "success")
    assert f"cronflow approve {number}/deploy (run {number})" in cli("runs").out
    again = cli("approve", f"{number}/deploy")
    assert (again.status, again.err.splitlines()[0]) == (1, f"error: run {number} has ended already")


def test_rejected_is_failed_with_who_and_why(cli: Cli, daemon: Start) -> None:
    here = daemon(JOBS)
    number = begun(cli, here, "build", "deploy")
    told = cli("reject", "deploy", "--reason", "not on a Friday", "--json").json
    assert told["rejected"] == [{"run": int(number), "task": "deploy"}]
    here.wait(lambda: here.task_state(int(number), "tell") == "blocked")
    for words in (("status", number), ("why", f"{number}/deploy"), ("why", "tell"), ("runs",)):
        out = cli(*words).out
        assert "rejected by " in out
        assert ": not on a Friday" in out
    task = cli("runs", "--json").json["runs"][0]["tasks"][1]
    assert (task["state"], task["reason"], task["attempts"]) == ("failed", "rejected", [])


def test_a_run_a_job_and_the_last_run(cli: Cli, daemon: Start) -> None:
    here = daemon(JOBS)
    first = begun(cli, here, "two")
    assert said(cli("approve", "@last")) == f"approved {first}/two\n"
    here.wait(lambda: f"{first}/two-side" in cli("approve").out)
    assert said(cli("approve", first)) == f"approved {first}/two-side\n"
    here.wait(lambda: here.task_state(int(first), "two-side") == "success")
    over = cli("approve", first)
    assert (over.status, over.out) == (1, "")
    assert over.err == f"error: run {first} has ended already: success\n  = hint: `cronflow retry {first}` runs it again\n"


def test_copies_one_by_one_and_all_at_once(cli: Cli, daemon: Start) -> None:
    here = daemon(JOBS)
    number = begun(cli, here, "ship", "ship[eu]")
    several = cli("approve", number)
    assert several.status == 1
    assert f"3 tasks of run {number} wait for an approval: ship[3], ship[eu], ship[us]" in several.err
    assert f"`cronflow approve '{number}/ship[3]'` names one of them" in several.err
    assert said(cli("approve", f"{number}/ship[eu]")) == f"approved {number}/ship[eu]\n"
    here.wait(lambda: here.task_state(int(number), "ship[eu]") == "success")
    done = cli("approve", f"{number}/ship[eu]")
    assert (done.status, "has ended already: success" in done.err) == (1, True)
    assert said(cli("approve", "ship")) == f"approved {number}/ship\n"
    here.wait(lambda: here.task_state(int(number), "ship[3]") == "success")


def test_what_is_not_there_or_does_not_wait(cli: Cli, daemon: Start) -> None:
    here = daemon(JOBS)
    number = begun(cli, here, "build", "deploy")
    for words, status, told in (
        (f"{number}/deplyo", 4, "did you mean `deploy`?"),
        (f"{number}/tell", 1, "does not wait for an approval"),
        (f"{number}/build", 1, "has ended already: success"),
        ("99/deploy", 4, "there is no run 99"),
        ("99", 4, "there is no run 99"),
        ("deplyo", 4, "did you mean `deploy`?"),
        ("plain", 1, "`plain` does not wait for an approval"),
        (f"{number}/deploy/1", 2, "is an attempt"),
    ):
        for verb in ("approve", "reject"):
            answer = cli(verb, words)
            assert (answer.status, answer.out) == (status, "")
            assert told in answer.err
    assert cli("reject").status == 2
    assert cli("cancel", f"{number}/deplyo").err.endswith("did you mean `deploy`?\n")


def test_a_run_in_the_foreground_is_approved_from_another_terminal(cli: Cli) -> None:
    cli.file.write_text(JOBS)
    running = cli.start("run", "build")
    number = None
    assert running.stderr is not None
    for raw in running.stderr:
        if b"waits for approval" in raw:
            number = raw.decode().split("/")[0].split()[-1]
            assert raw.decode().rstrip().endswith(f"{number}/deploy  waits for approval: cronflow approve {number}/deploy")
            break
    assert number is not None
    assert said(cli("approve", f"{number}/deploy")) == f"approved {number}/deploy\n"
    try:
        out, _ = running.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        interrupt(running)
        raise
    assert (running.returncode, out.decode().startswith(f"run {number} succeeded")) == (0, True)
