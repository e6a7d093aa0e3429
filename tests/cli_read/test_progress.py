"""The progress of runs that are followed, from the events of a daemon."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from cronflow.cli.invocation import Invocation, Options
from cronflow.cli.invocation import Terminal as Shown
from cronflow.cli.progress import Progress
from cronflow.cli.screens.progress import block, event_line, final_line, task_words
from cronflow.cli.screens.style import Style, style_for, visible
from cronflow.places import Places
from tests.cli_read.tale import ZONE, at

NOW = at("Thu 14:40:30")
PLACES = Places(Path("x"), Path("x"), Path("x"))


def task(name: str, state: str, **more: Any) -> dict[str, Any]:
    plain = dict.fromkeys(("reason", "note", "next_attempt_at", "started_at", "finished_at", "attempt"))
    return {"event": "task", "run": 431, "task": name, "job": name, "state": state, "attempts": 0, **plain, **more}


def attempt(**more: Any) -> dict[str, Any]:
    return {**dict.fromkeys(("pid", "result", "exit_code", "signal", "started_at", "finished_at")), "n": 1, **more}


def run(state: str, **more: Any) -> dict[str, Any]:
    started = at("Thu 14:40:02")
    plain = {"trigger": "manual", "reason": None, "created_at": started, "started_at": started, "finished_at": None}
    return {"event": "run", "run": 431, "flow": "backup", "state": state, **plain, **more}


def style(width: int | None = 80) -> Style:
    return style_for(ZONE, NOW, width)


RUNNING = task("prune", "running", attempts=1, started_at=NOW - 3, attempt=attempt(pid=5120, started_at=NOW - 3))
DONE = task(
    "backup", "success", attempts=1, started_at=NOW - 251, finished_at=NOW, attempt=attempt(result="success", exit_code=0)
)
FAILED = task("verify", "failed", attempts=2, started_at=NOW - 9, finished_at=NOW, attempt=attempt(result="failed", exit_code=1))
RETRYING = task(
    "verify",
    "retrying",
    attempts=1,
    next_attempt_at=NOW + 30,
    attempt=attempt(result="failed", exit_code=1, finished_at=NOW - 1),
)


# ---- text -----------------------------------------------------------------------------------------------------------------


def test_the_block() -> None:
    lines = block(run("running"), [DONE, RUNNING, FAILED, task("publish", "waiting")], style(), 20, 2)
    assert re.fullmatch(r"run 431  backup, by hand {40,}14:40:02", lines[0])
    assert lines[1:] == [
        "  ✓ backup    4 min 11 s",
        "  ⠹ prune     3 s   pid 5120",
        "  ✗ verify    exit 1 after 2 attempts   cronflow logs 431/verify",
        "  · publish   waiting",
    ]


@pytest.mark.parametrize("rows", [1, 2, 3, 5, 10, 24])
def test_a_thousand_tasks_fit_any_terminal(rows: int) -> None:
    tasks = [task(f"t{number}", "waiting") for number in range(990)]
    tasks += [{**RUNNING, "task": f"r{number}"} for number in range(5)] + [
        {**FAILED, "task": f"f{number}"} for number in range(5)
    ]
    lines = block(run("running"), tasks, style(), rows, 0)
    assert len(lines) <= rows
    if rows >= 5:
        assert any("r0" in line for line in lines), "what runs is shown"
        assert lines[-1] == "  5 failed, 5 running, 990 waiting"
    if rows == 24:
        assert any("f4" in line for line in lines)


def test_the_words_for_each_state() -> None:
    assert task_words(RETRYING, style()) == "attempt 1 failed: exit 1, tries again in 30 s"
    assert task_words(task("a", "queued", reason="overlap"), style()) == "queued: an earlier run was still going on"
    assert task_words(task("a", "queued", reason="max_running"), style()) == "queued"
    assert task_words(task("a", "skipped", reason="paused", finished_at=NOW), style()) == "skipped: it was paused"
    assert task_words(task("a", "success", reason="taken_over", finished_at=NOW), style()) == "taken over"
    killed = task("a", "failed", attempts=1, finished_at=NOW, attempt=attempt(result="killed", signal=9))
    assert task_words(killed, style()).startswith("killed by SIGKILL (out of memory?)")
    no_cwd = task("a", "failed", attempts=1, note="`cwd` /x does not exist", finished_at=NOW, attempt=attempt(result="failed"))
    assert task_words(no_cwd, style()).startswith("`cwd` /x does not exist")


def test_the_line_of_each_event() -> None:
    plain = style(None)
    assert event_line(RUNNING, plain) == "2024-09-26T14:40:27+02:00  431/prune  running, pid 5120"
    assert event_line(DONE, plain) == "2024-09-26T14:40:30+02:00  431/backup  success in 4 min 11 s"
    assert event_line(FAILED, plain) == "2024-09-26T14:40:30+02:00  431/verify  failed: exit 1 after 2 attempts"
    assert event_line(RETRYING, plain) == (
        "2024-09-26T14:40:29+02:00  431/verify  attempt 1 failed: exit 1; tries again 2024-09-26T14:41:00+02:00"
    )
    assert event_line(task("a", "waiting"), plain) is None
    assert event_line(task("a", "running", attempt=attempt()), plain) is None, "it has no process yet"


def test_the_last_line() -> None:
    ended = {"finished_at": at("Thu 14:44:33")}
    assert final_line(run("failed", **ended), [DONE, FAILED], style()) == "run 431 failed in 4 min 31 s: verify (exit 1)"
    assert final_line(run("success", **ended), [DONE], style()) == "run 431 succeeded in 4 min 31 s"
    skipped = run("skipped", reason="skip_code", started_at=None)
    assert final_line(skipped, [], style()) == "run 431 was skipped: it exited with one of its `skip_codes`"
    own = task("a", "skipped", stage="condition", reason="condition", finished_at=NOW)
    skipped = run("skipped", reason="condition", started_at=None)
    assert final_line(skipped, [own], style()) == "run 431 was skipped: its `only_if` said no"
    cut = attempt(kind="foreach", result="failed", exit_code=141)
    flood = task("a", "failed", reason="foreach", note="`foreach` printed more than 1 MB", finished_at=NOW, step=cut)
    assert final_line(run("failed", **ended), [flood], style()).endswith(": a (`foreach` printed more than 1 MB)")
    many = [{**FAILED, "task": f"t{number}"} for number in range(9)]
    assert final_line(run("failed", **ended), many, style()).endswith("t4 (exit 1) and 4 more")


# ---- following ------------------------------------------------------------------------------------------------------------


def follow(events: list[dict[str, Any]], runs: tuple[int, ...] = (431,), json: bool = False) -> Progress:
    one = Invocation(PLACES, Options(json=json))
    one.zone = ZONE
    progress = Progress(one, runs)
    for event in events:
        progress.event(event)
    progress.close()
    return progress


EVENTS = [
    task("backup", "waiting"),
    task("verify", "waiting"),
    run("waiting", started_at=None),
    run("running"),
    task("backup", "running", attempts=1, attempt=attempt()),
    {**RUNNING, "task": "backup"},
    DONE,
    RETRYING,
    FAILED,
    run("failed", finished_at=at("Thu 14:44:33")),
]


def test_in_a_pipe_a_line_for_each_event_and_the_end_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    progress = follow(EVENTS)
    out, err = capsys.readouterr()
    assert out == "run 431 failed in 4 min 31 s: verify (exit 1)\n"
    told = ["run 431 of backup, by hand", "431/backup", "431/backup", "431/verify", "431/verify"]
    assert [line.split("  ")[1] for line in err.splitlines()] == told
    assert "\x1b" not in err
    assert progress.over
    assert progress.exit_status() == 1


def test_a_snapshot_that_comes_again_says_nothing_twice(capsys: pytest.CaptureFixture[str]) -> None:
    follow([*EVENTS[:7], DONE, DONE, *EVENTS[7:]])
    assert capsys.readouterr().err.count("431/backup  success") == 1


def test_under_json_nothing_but_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert follow(EVENTS, json=True).exit_status() == 1
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("state", "reason", "status"),
    [
        ("success", None, 0),
        ("skipped", "skip_code", 0),
        ("skipped", "condition", 0),
        ("skipped", "paused", 1),
        ("failed", "exit_code", 1),
        ("blocked", "upstream_failed", 1),
        ("cancelled", "cancelled", 1),
        ("running", None, 1),
    ],
)
def test_the_exit_status(state: str, reason: str | None, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert follow([run(state, reason=reason)]).exit_status() == status
    capsys.readouterr()


def test_every_run_must_be_well(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = run("success", finished_at=NOW), {**run("failed", finished_at=NOW), "run": 432}
    assert follow([good, bad], (431, 432)).exit_status() == 1
    assert follow([good], (431, 432)).exit_status() == 1
    assert not follow([good], (431, 432)).over
    assert follow([good, {**bad, "state": "success"}], (431, 432)).exit_status() == 0
    capsys.readouterr()


class Terminal(io.StringIO):
    """A standard error that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_block_is_drawn_over_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("LINES", "10")
    one = Invocation(PLACES, terminal=Shown(True, 60, True))
    one.zone = ZONE
    progress = Progress(one, [431])
    for event in EVENTS:
        progress.drawn_at = 0.0
        progress.event(event)
    progress.close()
    screen = draw(terminal.getvalue(), 60)
    assert screen[0].startswith("run 431  backup, by hand")
    assert screen[1] == "  ✓ backup   4 min 11 s"
    assert screen[2] == "  ✗ verify   exit 1 after 2 attempts", "half a command is of no use"
    assert len([line for line in screen if line]) == 3
    assert terminal.getvalue().count("\x1b[?25l") >= 1
    assert terminal.getvalue().rstrip().endswith("\x1b[?25h"), "the cursor is back"
    assert visible(capsys.readouterr().out) == "run 431 failed in 4 min 31 s: verify (exit 1)\n"


def draw(text: str, width: int) -> list[str]:
    """The lines that a terminal shows after these bytes, with as much of a terminal as the display uses."""
    rows, row = [""], 0
    for piece in filter(None, re.split(r"(\x1b\[[0-9]*[A-Za-z]|\n)", re.sub(r"\x1b\[(\?25[lh]|[0-9;]*m)", "", text))):
        if piece == "\n":
            row += 1
            rows += [""] * (row + 1 - len(rows))
        elif piece.endswith("F") and piece.startswith("\x1b"):
            row -= int(piece[2:-1])
            assert row >= 0
        elif piece == "\x1b[J":
            rows[row:] = [""]
        elif piece != "\x1b[K":
            rows[row] = piece
            assert len(piece) < width, "a line that folds would spoil the count"
    return rows


# ---- stages and copies ----------------------------------------------------------------------------------------------------


def step(kind: str, **more: Any) -> dict[str, Any]:
    return {**attempt(**more), "kind": kind, "count": 1, **more}


def test_the_words_for_stages_and_steps() -> None:
    approval = task("ship[eu]", "waiting", stage="approval", stage_at=NOW)
    assert task_words(approval, style()) == "waits for approval: cronflow approve '431/ship[eu]'"
    assert event_line(approval, style(None)) == (
        "2024-09-26T14:40:30+02:00  431/ship[eu]  waits for approval: cronflow approve '431/ship[eu]'"
    )
    sensor = task("a", "waiting", stage="sensor", stage_at=NOW, step=step("sensor", count=7))
    assert task_words(sensor, style()) == "waits for its `wait_until`, polled 7 times"
    assert task_words(task("a", "queued", reason="pool_full"), style()) == "queued: the slots of its pool are taken"
    skipped = task("a", "skipped", reason="condition", stage="condition", finished_at=NOW)
    assert task_words(skipped, style()) == "skipped: its `only_if` said no"
    assert task_words({**RUNNING, "stage": "check"}, style()) == "3 s   its `check` looks at it"
    rejected = task("a", "failed", reason="rejected", note="by anna: no", finished_at=NOW)
    assert task_words(rejected, style()).startswith("rejected by anna: no   ")


def test_a_check_and_a_hook_do_not_pass_for_the_command() -> None:
    good = attempt(result="success", exit_code=0)
    checked = {**FAILED, "attempt": good, "reason": "check", "step": step("check", result="failed", exit_code=4)}
    assert event_line(checked, style(None)) == "2024-09-26T14:40:30+02:00  431/verify  failed: check: exit 4 after 2 attempts"
    hooked = {**FAILED, "reason": "exit_code", "step": step("on_failure", result="failed", exit_code=9)}
    assert task_words(hooked, style()).startswith(
        "exit 1 after 2 attempts; its `on_failure` hook failed (exit 9)   cronflow logs"
    )
    well = {**DONE, "step": step("on_success", result="failed", exit_code=9)}
    assert task_words(well, style()) == "4 min 11 s   its `on_success` hook failed (exit 9)"


def test_many_copies_are_one_line() -> None:
    copies = [{**DONE, "task": f"load[{number}]", "job": "load"} for number in range(998)]
    copies += [{**FAILED, "task": f"load[x{number}]", "job": "load"} for number in range(2)]
    lines = block(run("running"), [*copies, RUNNING], style(), 20, 2)
    assert lines[1:] == [
        "  ✗ load × 1000   998 success, 2 failed: load[x0], load[x1]",
        "  ⠹ prune         3 s   pid 5120",
    ]


def test_the_command_is_remembered_while_its_hook_runs_and_a_lister_goes(capsys: pytest.CaptureFixture[str]) -> None:
    running = {**FAILED, "state": "running", "finished_at": None, "stage": "on_failure"}
    events = [
        task("list", "waiting", stage="foreach"),
        {"event": "gone", "run": 431, "task": "list"},
        running,
        {**running, "attempt": None, "step": step("on_failure", pid=7)},
        {**FAILED, "attempt": None, "step": step("on_failure", result="success", exit_code=0)},
        run("failed", finished_at=NOW),
    ]
    progress = follow(events)
    assert list(progress.tasks[431]) == ["verify"]
    assert "verify (exit 1)" in capsys.readouterr().out
