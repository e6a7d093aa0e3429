"""What tasks hand on: output files, state folders, items of a `foreach`; all of it with a real daemon."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.live import Live, job

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
ENV = "env | grep -E '^(CRONFLOW_OUTPUT_|ITEM|REGION)' | sort"


def outputs(live: Live, run: int, task: str = "a") -> dict[str, str]:
    live.final(run)
    found = json.loads(live.one("SELECT outputs FROM tasks WHERE run = ? AND name = ?", run, task))
    assert isinstance(found, dict)
    return found


def task(live: Live, run: int, name: str = "a") -> tuple[Any, ...]:
    """State, reason and sentence of a task that has ended."""
    live.final(run)
    return live.rows("SELECT state, reason, note FROM tasks WHERE run = ? AND name = ?", run, name)[0]


# ---- outputs --------------------------------------------------------------------------------------------------------------


def test_outputs_reach_the_tasks_after(live: Live) -> None:
    write = 'printf "rows=12345\\nfile.name=/a b\\n" >> "$CRONFLOW_OUTPUT"'
    live.start(job("a", write) + job("b", "true", after=["a"]) + job("c-1", ENV, after=["b"]) + job("d", ENV))
    run = live.run("a")
    assert outputs(live, run) == {"rows": "12345", "file.name": "/a b"}
    assert live.output(run, "c-1") == "CRONFLOW_OUTPUT_A__FILE_NAME=/a b\nCRONFLOW_OUTPUT_A__ROWS=12345\n"
    assert live.output(run, "a") == ""
    told = live.cli("status", str(run))
    assert "rows 12,345" in told.out
    shown = live.cli("status", str(run), "--json").json["runs"][0]["tasks"][0]
    assert shown["outputs"] == {"rows": "12345", "file.name": "/a b"}
    run = live.run("d")
    assert live.final(run) == "success"
    assert live.output(run, "d") == ""


def test_each_attempt_has_a_fresh_file_and_the_steps_after_it_read_it(live: Live) -> None:
    command = 'echo "n$CRONFLOW_ATTEMPT=1" >> "$CRONFLOW_OUTPUT"; test "$CRONFLOW_ATTEMPT" = 2'
    steps = {"only_if": 'echo c=1 > "$CRONFLOW_OUTPUT"', "check": 'cat "$CRONFLOW_OUTPUT"'}
    live.start(job("a", command, retries=1, retry_delay="10ms", **steps))
    run = live.run("a")
    assert outputs(live, run) == {"n2": "1"}
    assert live.places.log(run, "a", 2, "check").read_text() == "n2=1\n"


def test_lines_that_are_none_are_named_in_the_log(live: Live) -> None:
    live.start(job("a", 'printf "no end"; printf "ok=1\\nrows: 5\\n" > "$CRONFLOW_OUTPUT"'))
    run = live.run("a")
    assert outputs(live, run) == {"ok": "1"}
    assert live.final(run) == "success"
    assert live.output(run, "a") == 'no end\ncronflow: output line 2 is no `key=value`: "rows: 5"\n'


@pytest.mark.parametrize(
    ("trick", "why"),
    [
        ("ln -s /etc/passwd", "is no regular file"),
        ("mkfifo", "is no regular file"),
        ("mkdir", "is no regular file"),
        ("ln /etc/hostname", "is not the file that the task was given"),
    ],
)
def test_nothing_else_in_the_place_of_the_file_is_read(live: Live, trick: str, why: str) -> None:
    if trick.startswith("ln /"):
        trick = f"ln {live.write('root:x=1', 'other')}"
    live.start(job("a", f'rm "$CRONFLOW_OUTPUT"; {trick} "$CRONFLOW_OUTPUT"') + job("b", 'rm "$CRONFLOW_OUTPUT"'))
    run = live.run("a")
    assert outputs(live, run) == {}
    assert live.output(run, "a") == f"cronflow: the output file was not taken: it {why}\n"
    assert live.final(run) == "success"
    run = live.run("b")
    assert (live.final(run), live.output(run, "b")) == ("success", "")


def test_outputs_of_an_attempt_that_ended_while_no_daemon_ran(live: Live) -> None:
    live.start(job("a", f"touch {live.path('begun')}; sleep 1; echo rows=5 > \"$CRONFLOW_OUTPUT\"; touch {live.path('over')}"))
    run = live.run("a")
    live.until(live.path("begun").exists)
    live.terminate()
    live.until(live.path("over").exists)
    live.start()
    assert outputs(live, run) == {"rows": "5"}


@needs_root
def test_another_user_writes_its_output_and_its_state(live: Live) -> None:
    command = 'echo kept=1 > "$CRONFLOW_STATE_DIR/mark"; id -un > "$CRONFLOW_STATE_DIR/who"; echo rows=7 > "$CRONFLOW_OUTPUT"'
    again = 'cd "$CRONFLOW_STATE_DIR"; cat mark; ls .. 2>/dev/null; mv "$CRONFLOW_OUTPUT" out 2>/dev/null'
    live.start(
        job("a", command, user="nobody", cwd="/")
        + job("b", again, user="nobody", cwd="/", only_if='echo m > "$CRONFLOW_STATE_DIR/mark"')
    )
    run = live.run("a")
    assert outputs(live, run) == {"rows": "7"}
    folder = live.places.task_state(run, "a")
    assert (folder / "who").read_text() == "nobody\n"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [one.stat().st_mode & 0o777 for one in (live.state, folder.parent)] == [0o711, 0o711]
    run = live.run("b")
    assert live.final(run) == "failed"
    assert live.output(run, "b") == "m\n"
    assert live.places.output(run, "b", 1).exists()


def test_the_state_folder_lasts_over_attempts(live: Live) -> None:
    command = 'cd "$CRONFLOW_STATE_DIR"; echo x >> n; test "$(grep -c x n)" = 3'
    live.start(job("a", command, retries=3, retry_delay="10ms"))
    run = live.run("a")
    assert live.final(run) == "success"
    assert (live.places.task_state(run, "a") / "n").read_text() == "x\nx\nx\n"
    assert live.state.stat().st_mode & 0o077 == 0
    run = live.run("a")
    assert live.final(run) == "success"


# ---- foreach --------------------------------------------------------------------------------------------------------------


def test_a_task_for_each_item(live: Live) -> None:
    each = "echo to the log >&2; printf 'one\\n\\ntwo words\\none\\n'"
    command = 'echo "$ITEM"; echo "got=$ITEM" > "$CRONFLOW_OUTPUT"'
    live.start(job("a", command, foreach=each) + job("b", ENV, after=["a"]))
    run = live.run("a")
    assert live.final(run) == "success"
    assert live.output(run, "a[one]") == "one\n"
    assert live.output(run, "a[2]") == "two words\n"
    log = live.places.log(run, "a", 1, "foreach").read_text()
    assert log == "to the log\ncronflow: 1 item printed by `foreach` was there already: each is run once\n"
    assert live.output(run, "b") == "CRONFLOW_OUTPUT_A_2__GOT=two words\nCRONFLOW_OUTPUT_A_ONE__GOT=one\n"
    live.until(lambda: not list(live.places.of_run(run).glob("*.items")))
    shown = live.cli("logs", f"{run}/a")
    assert "two words" in shown.out


@pytest.mark.parametrize(
    ("each", "reason", "note"),
    [
        ("yes", "foreach", "`foreach` printed more than 1 MB"),
        ("seq 1001", "foreach", "`foreach` printed more than 1,000 items"),
        ("printf 'a\\n\\377\\n'", "foreach", "line 2 of what `foreach` printed is no UTF-8"),
        ("echo a; exit 3", "foreach", None),
        ("no-such-program", "foreach", None),
        (["no-such-program"], "foreach", None),
        ("true", "no_items", None),
    ],
)
def test_items_that_are_none(live: Live, each: object, reason: str, note: str | None) -> None:
    live.start(job("a", "true", foreach=each))
    run = live.run("a")
    assert task(live, run) == ("skipped" if reason == "no_items" else "failed", reason, note)


def test_the_status_of_a_foreach_is_its_own(live: Live) -> None:
    live.start(job("a", "true", foreach=["sh", "-c", "exit 3"]) + job("b", "true", foreach=["exit", "0"]))
    for name, code in (("a", 3), ("b", 127)):
        run = live.run(name)
        live.final(run)
        assert live.one("SELECT exit_code FROM attempts WHERE run = ? AND kind = 'foreach'", run) == code


# ---- copies of a matrix ---------------------------------------------------------------------------------------------------


def test_copies_hand_on_to_their_likes_or_each_under_its_name(live: Live) -> None:
    matrix = {"REGION": ["eu", "us"]}
    live.start(
        job("a", 'echo "at=$REGION" > "$CRONFLOW_OUTPUT"', matrix=matrix)
        + job("b", ENV, after=["a"], matrix=matrix, matrix_join="each")
        + job("c", ENV, after=["a"])
    )
    run = live.run("a")
    assert live.final(run) == "success"
    assert live.output(run, "b[eu]") == "CRONFLOW_OUTPUT_A__AT=eu\nREGION=eu\n"
    assert live.output(run, "c") == "CRONFLOW_OUTPUT_A_EU__AT=eu\nCRONFLOW_OUTPUT_A_US__AT=us\n"
    assert "REGION=eu" in live.cli("logs", f"{run}/b[eu]").out
    assert Path(live.places.log(run, "b[us]", 1)).exists()


def test_outputs_that_do_not_fit_are_left_out(live: Live) -> None:
    write = 'for n in 1 2 3 4 5 6 7 8 9; do printf "k$n=%099000d\\n" 0; done > "$CRONFLOW_OUTPUT"'
    live.start(job("a", write) + job("b", write, after=["a"]) + job("c", "env | grep -c CRONFLOW_OUTPUT_", after=["b"]))
    run = live.run("a")
    assert live.final(run) == "success"
    lines = live.output(run, "c").splitlines()
    assert lines[-1] == "10"
    assert lines[:-1] == [
        f"cronflow: `CRONFLOW_OUTPUT_B__K{n}` is left out: the outputs before are larger than 1 MB" for n in range(2, 10)
    ]
