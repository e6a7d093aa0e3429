"""`cronflow run` as the client of a real daemon: what it tells, in a pipe, on a terminal and as JSON."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
from collections.abc import Callable
from typing import IO

from tests.cli_app.conftest import Cli, Daemon

Start = Callable[[str], Daemon]

JOBS = """\
timezone = "Europe/Berlin"
[defaults]
timeout = "1h"
[jobs.nobody]
command = "true"
env_file = "missing.env"
[jobs.long]
command = "sleep 600"
[jobs.after-long]
command = "true"
after = ["long"]
[jobs.again]
command = "false"
retries = 1
retry_delay = "1h"
"""


def test_a_run_that_is_over_at_once_is_told_like_any_other(cli: Cli, daemon: Start) -> None:
    daemon(JOBS)
    answer = cli("run", "nobody")
    assert answer.status == 1
    fact = f"`env_file`: there is no file `{cli.folder}/missing.env`"
    assert re.fullmatch(r"run 1 failed in [\d.]+ s: nobody \(" + re.escape(fact) + r"\)\n", answer.out)
    began, ended = answer.err.splitlines()
    assert began.endswith("run 1 of nobody, by hand")
    assert ended.endswith(f"1/nobody  failed: {fact}")


def test_a_detached_run_is_a_whole_run_in_json(cli: Cli, daemon: Start) -> None:
    daemon(JOBS)
    (run,) = cli("run", "long", "--detach", "--json").json["runs"]
    assert (run["id"], run["flow"], run["trigger"], run["by"] is not None) == (1, "long", "manual", True)
    assert [task["task"] for task in run["tasks"]] == ["long", "after-long"]
    assert run["finished_at"] is None


def test_cancelled_says_so_once(cli: Cli, daemon: Start) -> None:
    daemon(JOBS)
    cli("run", "long", "--detach")
    assert cli("cancel", "1").status == 0
    assert "  state    cancelled\n" in cli("status", "long").out
    (line,) = [line for line in cli("runs", "long").out.splitlines() if line.startswith("1 ")]
    assert line.count("cancelled") == 1


def test_ctrl_c_on_a_terminal_says_that_the_run_goes_on(cli: Cli, daemon: Start) -> None:
    here = daemon(JOBS)
    screen, terminal = pty.openpty()
    env = {**cli.env, "TERM": "xterm"}
    process = subprocess.Popen(
        cli.command("run", "long"), env=env, cwd=cli.folder, stdin=terminal, stdout=terminal, stderr=terminal
    )
    os.close(terminal)
    shown = b""
    while b"pid " not in shown:
        shown += os.read(screen, 65536)
    process.send_signal(signal.SIGINT)
    while piece := read(screen):
        shown += piece
    assert process.wait(60) == 130
    os.close(screen)
    note = b"no longer following run 1: the daemon goes on with it"
    assert note in shown
    assert re.search(rb"\x1b\[\d+F", shown[shown.index(note) :]) is None, "the block is drawn over the note"
    assert here.task_state(1, "long") == "running"


def test_ctrl_c_in_a_run_that_another_run_does_tells_how_its_tasks_ended(cli: Cli) -> None:
    cli.file.write_text(JOBS)
    doing = subprocess.Popen(cli.command("run", "long"), env=cli.env, cwd=cli.folder, stderr=subprocess.PIPE, text=True)
    assert doing.stderr is not None
    until(doing.stderr, "running, pid ")
    joined = subprocess.Popen(cli.command("run", "again"), env=cli.env, cwd=cli.folder, stderr=subprocess.PIPE, text=True)
    assert joined.stderr is not None
    until(joined.stderr, "attempt 1 failed: exit 1")
    joined.send_signal(signal.SIGINT)
    until(joined.stderr, "2/again  cancelled")
    assert joined.wait(60) == 130
    doing.send_signal(signal.SIGINT)
    assert doing.wait(60) == 130


def until(lines: IO[str], words: str) -> None:
    """Read up to the line that has these words in it."""
    assert any(words in line for line in lines), f"no line tells of `{words}`"


def read(screen: int) -> bytes:
    """What a terminal was sent; nothing when all its programs have gone (pty(7): EIO)."""
    try:
        return os.read(screen, 65536)
    except OSError:
        return b""


def test_a_dry_run_shows_what_upstream_brings_in_of_other_flows(cli: Cli) -> None:
    cli.file.write_text(
        '[jobs.a]\ncommand = "a"\nschedule = "0 4 * * *"\n'
        '[jobs.b]\ncommand = "b"\nschedule = "0 5 * * *"\nparams = { N = "1" }\n'
        '[jobs.both]\ncommand = "c"\nafter = ["a", "b"]\n'
    )
    assert cli("run", "both", "--dry-run").out == "a run of `both` would start 1 job:\n  both\n"
    answer = cli("run", "both", "--upstream", "--dry-run")
    assert answer.out == "a run of `both` would start 3 jobs:\n  a\n  b                 with N=1\n  both  after a, b\n"
