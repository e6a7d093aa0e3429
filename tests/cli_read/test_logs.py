"""`cronflow logs`: whole, in part, raw in a pipe, harmless on a terminal, and as it grows."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cronflow.core.effects import Effects
from cronflow.core.records import Attempt, Done, Live, Run, Task
from cronflow.facts.output import Log, Visible, last_line, tail_of
from cronflow.store.store import Store
from tests.cli_read.conftest import cronflow
from tests.cli_read.tale import Ending, Tale, endings, environ


@pytest.fixture
def one(tmp_path: Path) -> Tale:
    """One job that has run once, with a log to be written by the test."""
    tale = Tale(tmp_path / "one", '[jobs.a]\ncommand = "a"\n', {"a": [Ending(5, 0, output="x\n")]})
    return tale.start("Mon 00:00").act("Run", jobs=("a",)).until("Mon 00:10").close()


def write_log(tale: Tale, data: bytes) -> Path:
    path = tale.places.log(1, "a", 1)
    path.write_bytes(data)
    return path


# ---- what is there --------------------------------------------------------------------------------------------------------


def test_a_fully_named_attempt_in_a_pipe_is_the_exact_bytes(one: Tale) -> None:
    data = bytes(range(256)) * 50 + b"\xff\xfe no newline at the end"
    write_log(one, data)
    result = cronflow(one, "logs", "1/a/1")
    assert result.raw == data
    assert "1/a/1" in result.err


def test_a_job_in_a_pipe_is_a_title_and_the_bytes(one: Tale) -> None:
    write_log(one, b"\x1b[31mred\x1b[0m\rover\xff\n")
    head, rest = cronflow(one, "logs", "a").raw.split(b"\n", 1)
    assert "── 1/a/1 ".encode() in head
    assert b"exit 0" in head
    assert rest == b"\x1b[31mred\x1b[0m\rover\xff\n"


def test_the_last_lines(one: Tale) -> None:
    write_log(one, b"".join(b"line %d\n" % number for number in range(100_000)))
    assert cronflow(one, "logs", "1/a/1", "-n", "3").raw == b"line 99997\nline 99998\nline 99999\n"
    assert cronflow(one, "logs", "1/a/1", "-n", "0").raw == b""
    assert cronflow(one, "logs", "1/a/1", "-n", "200000").raw.count(b"\n") == 100_000


def test_the_last_lines_of_one_that_has_no_newline_at_its_end(one: Tale) -> None:
    write_log(one, b"a\nb\nc")
    assert cronflow(one, "logs", "1/a/1", "-n", "2").raw == b"b\nc"


def test_json(one: Tale) -> None:
    write_log(one, b"a\n\xff\n\nlast")
    answer = cronflow(one, "logs", "--json").json
    assert answer["schema"] == 1
    assert [line["text"] for line in answer["lines"]] == ["a", "\ufffd", "", "last"]
    assert answer["lines"][0] == {"run": 1, "task": "a", "attempt": 1, "kind": "command", "text": "a"}


def test_no_output_and_no_log(one: Tale) -> None:
    path = write_log(one, b"")
    assert "(no output)" in cronflow(one, "logs", "a").err
    path.unlink()
    result = cronflow(one, "logs", "a")
    assert result.status == 0
    assert "(no log is left of it)" in result.err
    assert cronflow(one, "logs", "--json").json["lines"] == []


def test_all_attempts_of_a_run_and_the_last_one_of_a_task(tmp_path: Path) -> None:
    toml = '[jobs.a]\ncommand = "a"\nretries = 1\nretry_delay = "1s"\n[jobs.b]\nafter = ["a"]\ncommand = "b"\n'
    toml += '[jobs.c]\nafter = { a = "failure" }\ncommand = "c"\n'
    tale = Tale(tmp_path / "t", toml, {"a": endings(1, 0), "b": endings(7)})
    tale.start("Mon 00:00").act("Run", jobs=("a",)).until("Mon 00:10").close()
    out = cronflow(tale, "logs", "1").out
    titles = [line.split(" ")[1] for line in out.splitlines() if line.startswith("──")]
    assert titles == ["1/a/1", "1/a/2", "1/b/1"]
    assert [line for line in out.splitlines() if not line.startswith("──")] == ["exit 1", "exit 0", "exit 7"]
    assert "1/c · skipped" in cronflow(tale, "logs", "1").err
    assert cronflow(tale, "logs", "a").out.splitlines()[1:] == ["exit 0"], "of a job the last attempt"
    assert [line for line in cronflow(tale, "logs", "@last/a").out.splitlines() if "──" not in line] == ["exit 0"]


def test_the_middle_that_was_dropped_is_a_line(one: Tale) -> None:
    """A hole in the log, as the keeper punches it."""
    path = write_log(one, b"")
    with path.open("wb") as file:
        file.write(b"head\n".ljust(8192, b"."))
        file.seek(1 << 20)
        file.write(b"tail\n")
    if path.stat().st_blocks * 512 >= 1 << 20:
        pytest.skip("this file system has no holes")
    raw = cronflow(one, "logs", "1/a/1").raw
    assert raw.startswith(b"head\n")
    assert raw.endswith(b"tail\n")
    assert b"dropped" in raw
    assert len(raw) < 20_000
    assert last_line(path) == "tail"


# ---- on a terminal --------------------------------------------------------------------------------------------------------


def on_terminal(tale: Tale, *arguments: str) -> bytes:
    """What a command writes to a terminal of its own."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "cronflow.cli.main", *arguments]
    env = environ(tale, TERM="xterm", COLUMNS="80")
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    data = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        data += piece
    os.close(ours)
    assert process.wait(30) == 0
    return data


def test_output_cannot_drive_the_terminal(one: Tale) -> None:
    write_log(one, b"\x1b[2J\x1b]0;title\x07 tab\there\r\nbell\x07 c1\xc2\x9b bad\xff \xe2\x80\xae end\n")
    shown = on_terminal(one, "logs", "a", "--no-color")
    assert b"\x1b" not in shown
    assert b"\x07" not in shown
    text = shown.decode()
    assert "^[[2J^[]0;title^G tab\there\r\nbell^G c1<U+009B> bad\ufffd <U+202E> end" in text


def test_a_character_that_is_parted_between_two_pieces() -> None:
    visible = Visible()
    assert visible.text(b"a\xe2\x82") == "a"
    assert visible.text(b"\xac\x1b") == "€^["
    assert visible.text(b"\xe2", last=True) == "\ufffd"


# ---- following ------------------------------------------------------------------------------------------------------------


class Growing:
    """A run that goes on: the test writes its log and its end."""

    def __init__(self, folder: Path) -> None:
        self.tale = Tale(folder, '[jobs.a]\ncommand = "a"\n')
        self.store: Store = self.tale.store
        self.run = Run(1, "a", "manual", 1.0, by="anna", state="running", started_at=1.0)
        self.attempt = Attempt(1, "a", 1, state="running", pid=77, created_at=1.0, started_at=1.0)
        self.task = Task(1, "a", "a", Live(self.attempt, 1.0), attempts=1, started_at=1.0)
        self.path = self.tale.places.log(1, "a", 1)
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(b"")
        self.save()

    def save(self) -> None:
        self.store.save(Effects.saving(self.run, self.task, self.attempt))

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)

    def end(self, code: int) -> None:
        self.attempt.state, self.attempt.exit_code, self.attempt.finished_at = "ended", code, 9.0
        self.attempt.result = "success" if code == 0 else "failed"
        self.task.phase, self.task.finished_at = Done("success" if code == 0 else "failed", 9.0), 9.0
        self.run.state, self.run.finished_at = self.task.state, 9.0
        self.save()


def follow(growing: Growing, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "cronflow.cli.main", "logs", "-f", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ(growing.tale))


def read_until(process: subprocess.Popen[bytes], wanted: bytes, seconds: float = 30.0) -> bytes:
    """Standard output up to and with `wanted`."""
    assert process.stdout is not None
    data, end = b"", time.monotonic() + seconds
    while wanted not in data:
        assert time.monotonic() < end, data
        if select.select([process.stdout], [], [], 0.5)[0]:
            piece = os.read(process.stdout.fileno(), 65536)
            assert piece, data
            data += piece
    return data


def test_it_follows_to_the_end_and_says_how_it_ended(tmp_path: Path) -> None:
    growing = Growing(tmp_path / "g")
    growing.write(b"first\n")
    process = follow(growing, "a")
    seen = read_until(process, b"first\n")
    growing.write(b"second\n")
    seen += read_until(process, b"second\n")
    assert process.poll() is None
    growing.write(b"third, without a newline")
    growing.end(3)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (seen + out).endswith(b"first\nsecond\nthird, without a newline\n")
    assert b"exit 3" in err


def test_what_is_written_just_before_the_end_is_not_lost(tmp_path: Path) -> None:
    growing = Growing(tmp_path / "g")
    process = follow(growing, "1/a/1")
    lines = b"".join(b"%06d\n" % number for number in range(20_000))

    def write() -> None:
        for start in range(0, len(lines), 7000):
            growing.write(lines[start : start + 7000])
            time.sleep(0.01)

    writer = threading.Thread(target=write)
    writer.start()
    writer.join(30)
    growing.end(0)
    out, _ = process.communicate(timeout=30)
    assert out == lines


def test_following_the_last_lines(tmp_path: Path) -> None:
    growing = Growing(tmp_path / "g")
    growing.write(b"1\n2\n3\n")
    process = follow(growing, "1/a/1", "-n", "1")
    seen = read_until(process, b"3\n")
    growing.write(b"4\n")
    growing.end(0)
    out, _ = process.communicate(timeout=30)
    assert seen + out == b"3\n4\n"


def test_what_has_ended_is_not_waited_for(one: Tale) -> None:
    result = cronflow(one, "logs", "-f", "a")
    assert result.status == 0
    assert result.out.endswith("x\n")
    assert "exit 0" in result.err


# ---- the parts ------------------------------------------------------------------------------------------------------------


def test_a_log_that_was_made_shorter_goes_on_at_its_new_end(tmp_path: Path) -> None:
    """Where no hole can be punched, the keeper copies the tail to the front."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1000)
    with Log(path) as log:
        assert b"".join(log.new()) == b"x" * 1000
        path.write_bytes(b"y" * 100)
        assert b"dropped" in b"".join(log.new())
        with path.open("ab") as file:
            file.write(b"more")
        assert b"".join(log.new()) == b"more"


def test_tail_of_looks_further_back_where_lines_are_long(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"a" * 300_000 + b"\n" + b"b" * 300_000 + b"\n" + b"c" * 300_000 + b"\n")
    data, offset = tail_of(path, 2)
    assert (len(data), offset) == (600_002, 900_003)
    assert data.startswith(b"b")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"", ""),
        (b"\n\n", ""),
        (b"one\ntwo\n\n  \n", "two"),
        (b"10%\r50%\r100%\n", "100%"),
        (b"\x1b[31mred\x1b[0m\n", "red"),
        (b"\xff\xfe\n", "\ufffd\ufffd"),
    ],
)
def test_the_last_line(tmp_path: Path, data: bytes, line: str) -> None:
    path = tmp_path / "log"
    path.write_bytes(data)
    assert last_line(path) == line
    assert last_line(tmp_path / "none") == ""
