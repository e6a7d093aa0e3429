"""What becomes of attempts: those that cannot start, are retried, write too much, take too long, leave something behind."""

from __future__ import annotations

import json
import os
import re
import time
from typing import Any

import pytest

from tests.daemon.live import Live, job, state_of

RETRY: dict[str, Any] = {"retries": 2, "retry_delay": "50ms"}


def task(live: Live, run: int, name: str = "a") -> tuple[Any, ...]:
    """State, reason and sentence of a task that has ended."""
    live.final(run)
    return live.rows("SELECT state, reason, note FROM tasks WHERE run = ? AND name = ?", run, name)[0]


def attempts(live: Live, run: int, name: str = "a") -> list[tuple[Any, ...]]:
    query = "SELECT n, result, reason, exit_code, signal FROM attempts WHERE run = ? AND task = ? ORDER BY n"
    return live.rows(query, run, name)


# ---- starts that fail -----------------------------------------------------------------------------------------------------


def test_a_command_that_is_not_found(live: Live) -> None:
    live.start(job("a", "no-such-command --now", **RETRY) + '[jobs.b]\ncommand = ["no-such-program", "x"]\n')
    run = live.run("a")
    assert task(live, run) == ("failed", "exit_code", None)
    assert attempts(live, run) == [(n, "failed", "exit_code", 127, None) for n in (1, 2, 3)]
    assert "no-such-command" in live.output(run, "a", 3)
    run = live.run("b")
    assert task(live, run, "b") == ("failed", "exit_code", "command not found: `no-such-program`; check `command` and PATH")
    assert attempts(live, run, "b")[0][3] == 127


def test_a_program_that_cannot_be_executed(live: Live) -> None:
    script = live.write("#!/bin/sh\n", "script")
    live.start(f"[jobs.a]\ncommand = [{json.dumps(str(script))}]\n" + job("b", "true", shell="/no/shell"))
    run = live.run("a")
    assert task(live, run) == ("failed", "exit_code", f"not executable: `{script}`: permission denied")
    assert attempts(live, run) == [(1, "failed", "exit_code", 126, None)]
    script.chmod(0o755)
    assert live.final(live.run("a")) == "success"
    run = live.run("b")
    assert task(live, run, "b") == ("failed", "exit_code", "command not found: `/no/shell`; check `shell` and PATH")


@pytest.mark.parametrize(
    ("keys", "reason", "message"),
    [
        ({"cwd": "/no/where"}, "no_cwd", "`cwd`: cannot enter `/no/where`: no such file or directory"),
        ({"user": "no-one-here"}, "no_user", "`user`: there is no user `no-one-here` on this machine"),
        ({"group": "no-group-here"}, "no_group", "`group`: there is no group `no-group-here` on this machine"),
        ({"env_file": "/no/file"}, "no_env_file", "`env_file`: there is no file `/no/file`"),
    ],
)
def test_a_start_that_fails_names_its_key_and_is_retried(live: Live, keys: dict[str, str], reason: str, message: str) -> None:
    live.start(job("a", "true", **keys, **RETRY))
    run = live.run("a")
    assert task(live, run) == ("failed", reason, message)
    assert attempts(live, run) == [(n, "failed", reason, None, None) for n in (1, 2, 3)]
    told = live.cli("status", str(run)).out
    assert message.partition(": ")[2] in told.replace("\n", " ")


def test_a_start_that_fails_once_and_then_does(live: Live) -> None:
    live.start(job("a", "pwd", cwd=str(live.path("later")), retries=50, retry_delay="50ms", retry_max_delay="50ms"))
    run = live.run("a")
    live.until(lambda: len(attempts(live, run)) >= 2)
    live.path("later").mkdir()
    assert live.final(run) == "success"
    results = [result for _, result, *_ in attempts(live, run)]
    assert results == ["failed"] * (len(results) - 1) + ["success"]
    assert live.output(run, "a", len(results)) == f"{live.path('later')}\n"


def test_a_start_that_is_longer_than_a_keeper_reads_is_told_and_does_not_hold_up_others(live: Live) -> None:
    live.start(job("a", "cat", stdin="é" * 700_000) + job("b", "true"))
    state, reason, note = task(live, live.run("a"))
    assert (state, reason) == ("failed", "too_long")
    assert note.endswith("longer than the 4 MB that a start may have")
    assert live.final(live.run("b")) == "success"


def test_the_others_go_on_while_one_cannot_start(live: Live) -> None:
    live.start(job("a", "true", cwd="/no/where") + job("b", "true", after={"a": "done"}) + job("c", "true", after=["a"]))
    run = live.run("a")
    assert live.final(run) == "failed"
    assert live.rows("SELECT name, state FROM tasks WHERE run = ? ORDER BY name", run) == [
        ("a", "failed"),
        ("b", "success"),
        ("c", "blocked"),
    ]


# ---- how it ended ---------------------------------------------------------------------------------------------------------


def test_retry_on_success_codes_and_skip_codes(live: Live) -> None:
    jobs = job("a", "exit 3", retry_on=[4], **RETRY) + job("b", "exit 3", success_codes=[0, 3])
    jobs += job("c", "exit 99", skip_codes=[99]) + job("d", "kill -9 $$", retry_on=["killed"], **RETRY)
    live.start(jobs + job("e", "true", after=["c"]))
    runs = [live.run(name) for name in "abcd"]
    assert [live.final(run) for run in runs] == ["failed", "success", "skipped", "failed"]
    assert len(attempts(live, runs[0])) == 1
    assert attempts(live, runs[3], "d") == [(n, "killed", "killed", None, 9) for n in (1, 2, 3)]
    assert live.rows("SELECT name, state, reason FROM tasks WHERE run = ? ORDER BY name", runs[2])[1][:2] == ("e", "skipped")


def test_a_timeout_ends_the_whole_tree(live: Live) -> None:
    live.write("trap '' TERM; echo $$ > child; while :; do sleep 0.1; done", "stubborn")
    command = "trap '' TERM; setsid sh stubborn & while :; do sleep 0.1; done"
    keys = {"timeout": "500ms", "kill_after": "300ms", "retries": 1, "retry_delay": "50ms"}
    live.start(job("a", command, cwd=str(live.folder), **keys))
    begun = time.monotonic()
    run = live.run("a")
    assert live.final(run) == "failed"
    assert time.monotonic() - begun < 20
    assert [(result, number) for _, result, _, _, number in attempts(live, run)] == [("timeout", 9), ("timeout", 9)]
    assert task(live, run)[:2] == ("failed", "timeout")
    child = int(live.path("child").read_text())
    live.until(lambda: state_of(child) is None, "something of it is left")


def test_a_timeout_is_polite_first(live: Live) -> None:
    live.start(job("a", "trap 'echo cleaned; exit 7' TERM; sleep 60 & wait", timeout="300ms", kill_after="20s"))
    begun = time.monotonic()
    run = live.run("a")
    assert live.final(run) == "failed"
    assert time.monotonic() - begun < 15
    assert attempts(live, run) == [(1, "timeout", "timeout", 7, None)]
    assert live.output(run, "a") == "cleaned\n"


def test_a_flood_keeps_its_head_and_tail(live: Live) -> None:
    live.start(job("a", "echo first; yes 0123456789abcde | head -c 8000000; echo last", max_output="100KB"))
    run = live.run("a")
    assert live.final(run) == "success"
    text = live.cli("logs", f"{run}/a").out
    assert text.splitlines()[1] == "first"
    assert text.endswith("last\n")
    assert re.search(r"\n… .+ dropped …\n", text)
    assert len(text) < 400_000
    assert live.one("SELECT output_bytes FROM attempts WHERE run = ?", run) == 8_000_000 + len("first\nlast\n")
    log = live.places.log(run, "a", 1).stat()
    assert log.st_blocks * 512 < 1_000_000


def test_what_is_left_behind_goes_on_and_is_listed(live: Live) -> None:
    live.start(job("a", "sleep 987 & echo $!"))
    run = live.run("a")
    assert live.final(run) == "success"
    pid = int(live.output(run, "a"))
    left = json.loads(live.one("SELECT left_behind FROM attempts WHERE run = ?", run))
    assert [int(one.split()[0]) for one in left] == [pid]
    assert "sleep 987" in left[0]
    assert state_of(pid) is not None
    answer = live.cli("status", str(run), "--json").json
    assert answer["runs"][0]["tasks"][0]["attempts"][0]["left_behind"] == left
    os.kill(pid, 15)


def test_figures_of_an_attempt(live: Live) -> None:
    live.start(job("a", "i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done; sleep 0.2"))
    run = live.run("a")
    live.final(run)
    query = "SELECT pid, started_at, finished_at, cpu_s, max_rss_kb, output_bytes FROM attempts WHERE run = ?"
    ((pid, started, finished, cpu, memory, size),) = live.rows(query, run)
    assert pid > 1
    assert 0.2 <= finished - started < 30
    assert 0.01 < cpu < 20
    assert 300 < memory < 100_000
    assert size == 0
