"""What bad input gets: a sentence, a hint, an exit status by its kind, one object under `--json`; never a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.live import Answer, Live, job, living

FAILED, USAGE, NO_DAEMON, NOT_THERE = 1, 2, 3, 4
GOOD = job("backup", "true", schedule="0 4 * * *") + job("load", "true", after=["backup"])


@pytest.fixture(scope="module")
def idle() -> Iterator[Live]:
    """A good job file, with a run in its history and no daemon."""
    with living() as one:
        one.write(GOOD)
        assert one.cli("run", "backup").status == 0
        yield one


@pytest.fixture(scope="module")
def served() -> Iterator[Live]:
    """The same with a daemon."""
    with living() as one:
        one.start(GOOD)
        one.final(one.run("backup"))
        yield one


def is_told(answer: Answer, status: int, *parts: str, hint: bool = True) -> None:
    """An error of a kind: on standard error in words, with a hint."""
    check_sane(answer)
    assert answer.status == status, answer
    assert answer.out == ""
    first = answer.err.splitlines()[0]
    assert first.startswith("error: "), answer
    assert first[7:8].islower() or not first[7:8].isalpha(), first
    for part in parts:
        assert part in answer.err, answer
    if hint:
        assert "hint: " in answer.err, answer


def is_told_as_json(answer: Answer, status: int, *parts: str) -> None:
    """The same as one object on standard output."""
    check_sane(answer)
    assert answer.status == status, answer
    assert answer.json["schema"] == 1
    error = answer.json["error"]
    assert set(error) == {"message", "hint", "exit"}
    assert error["exit"] == status
    for part in parts:
        assert part in f"{error['message']} {error['hint']}", answer


def check_sane(answer: Answer) -> None:
    said = answer.out + answer.err
    for word in ("Traceback", "defect", "Error:", "invalid", "an error occurred"):
        assert word not in said, answer


# ---- jobs and runs that are not there -------------------------------------------------------------------------------------

UNKNOWN = [
    (("run", "bakup"), "`bakup`", "did you mean `backup`?"),
    (("status", "bakup"), "`bakup`", "did you mean `backup`?"),
    (("logs", "bakup"), "`bakup`", "did you mean `backup`?"),
    (("next", "bakup"), "`bakup`", "did you mean `backup`?"),
    (("why", "bakup"), "`bakup`", "did you mean `backup`?"),
    (("env", "bakup"), "`bakup`", "did you mean `backup`?"),
    (("graph", "bakup"), "`bakup`", "did you mean `backup`?"),
    (("runs", "bakup"), "`bakup`", "did you mean `backup`?"),
    (("status", "77"), "run 77", ""),
    (("logs", "77"), "run 77", ""),
    (("logs", "1/none"), "none", ""),
    (("logs", "1/backup/9"), "9", ""),
    (("why", "77"), "run 77", ""),
    (("retry", "77"), "run 77", ""),
    (("status", "99999999999999999999999999"), "99999999999999999999999999", ""),
]


@pytest.mark.parametrize(("words", "name", "hint"), UNKNOWN, ids=[" ".join(words) for words, *_ in UNKNOWN])
def test_what_is_not_there(idle: Live, words: tuple[str, ...], name: str, hint: str) -> None:
    is_told(idle.cli(*words), NOT_THERE, name, hint, hint=bool(hint))
    is_told_as_json(idle.cli(*words, "--json"), NOT_THERE, name, hint)


@pytest.mark.parametrize(
    "words", [("pause", "bakup"), ("resume", "bakup"), ("cancel", "bakup"), ("cancel", "77"), ("retry", "77")], ids=" ".join
)
def test_what_is_not_there_for_the_daemon(served: Live, words: tuple[str, ...]) -> None:
    is_told(served.cli(*words), NOT_THERE, words[1])
    is_told_as_json(served.cli(*words, "--json"), NOT_THERE, words[1])


def test_a_run_that_has_ended_cannot_be_cancelled(served: Live) -> None:
    is_told(served.cli("cancel", "1"), FAILED, "run 1 has ended already", hint=False)
    is_told(served.cli("cancel", "1/backup/1"), USAGE, "`1/backup/1` is an attempt")
    is_told(served.cli("retry", "1"), FAILED, "nothing in run 1 is left to run again")
    is_told(served.cli("resume", "backup"), FAILED, "`backup` is not paused", hint=False)
    is_told(served.cli("retry", "1", "--from", "none"), NOT_THERE, "none", hint=False)


# ---- no daemon ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [("pause", "backup"), ("resume", "--all"), ("cancel", "1"), ("reload",), ("stop",), ("run", "backup", "--detach")],
    ids=" ".join,
)
def test_without_a_daemon(idle: Live, words: tuple[str, ...]) -> None:
    is_told(idle.cli(*words), NO_DAEMON, "the daemon is not running, so nothing was ", "`cronflow daemon`")
    is_told_as_json(idle.cli(*words, "--json"), NO_DAEMON, "the daemon is not running")


def test_a_socket_that_nobody_listens_at(idle: Live) -> None:
    import socket

    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(idle.places.control))
    is_told(idle.cli("pause", "backup"), NO_DAEMON, "the daemon is not running, so nothing was paused")
    idle.places.control.unlink()


# ---- usage ----------------------------------------------------------------------------------------------------------------

MISUSE = [
    ("statsu",),
    ("status", "--wach"),
    ("run",),
    ("run", "backup", "--at"),
    ("run", "backup", "--at", "the day after"),
    ("pause",),
    ("pause", "backup", "--all"),
    ("pause", "backup", "--for", "5"),
    ("pause", "backup", "--for", "-1h"),
    ("stop", "--drain", "--kill"),
    ("next", "-n", "none"),
    ("next", "-n", "-1"),
    ("runs", "-n", "0"),
    ("logs", "1", "2"),
    ("cancel",),
    ("retry", "1/backup"),
    ("check", "--no-such"),
    ("completion", "powershell"),
]


@pytest.mark.parametrize("words", MISUSE, ids=" ".join)
def test_misuse(idle: Live, words: tuple[str, ...]) -> None:
    answer = idle.cli(*words)
    check_sane(answer)
    assert answer.status == USAGE, answer
    assert answer.out == ""
    assert answer.err.startswith("error: "), answer
    is_told_as_json(idle.cli(*words, "--json"), USAGE)


# ---- files and folders ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["check", "status", "next", "graph", "daemon"])
def test_no_job_file(tmp_path: Path, verb: str) -> None:
    with living() as live:
        answer = live.cli(verb)
        check_sane(answer)
        assert answer.status == FAILED
        told = answer.out if verb == "check" else answer.err
        assert f"error: there is no job file `{live.file}`\n  = hint: `cronflow init` writes one" in told
        nowhere = live.cli(verb, "--file", str(tmp_path), "--json")
        check_sane(nowhere)
        assert nowhere.status == FAILED
        assert "is a folder, not a job file" in nowhere.out


def test_every_error_of_a_job_file_is_drawn_at_once(idle: Live) -> None:
    bad = idle.path("bad.toml")
    bad.write_text(
        'timezone = "Mars/Olympus"\n'
        "[jobs.a]\n"
        'command = ""\n'
        'schedule = "61 * * * *"\n'
        "[jobs.b]\n"
        'command = "true"\n'
        'after = ["c"]\n'
        'timeout = "5"\n'
        '[alerts.ops]\nurls = ["nonsense", "slakc://a/b/c"]\n'
    )
    for words in (("check", str(bad)), ("check", "--file", str(bad)), ("daemon", "--file", str(bad))):
        answer = idle.cli(*words)
        check_sane(answer)
        assert answer.status == FAILED
        told = answer.out + answer.err
        for line in (1, 3, 4, 7, 8, 10):
            assert f"--> {bad}:{line}:" in told, (line, told)
    told = idle.cli("check", str(bad), "--json").json
    assert told["ok"] is False
    assert {problem["line"] for problem in told["problems"] if problem["severity"] == "error"} >= {1, 3, 4, 7, 8, 10}
    assert "nonsense" not in json.dumps(told)


def test_an_apprise_url_that_is_none_is_found_by_check(idle: Live) -> None:
    bad = idle.path("urls.toml")
    bad.write_text(GOOD + '[alerts.ops]\nurls = ["nosuchservice://token-of-mine"]\n')
    answer = idle.cli("check", str(bad))
    check_sane(answer)
    assert answer.status == FAILED
    told = answer.out + answer.err
    assert f"{bad}:" in told
    assert "nosuchservice" in told
    assert "token-of-mine" not in told


@pytest.mark.parametrize(
    "verb", [("daemon",), ("run", "backup"), ("status",), ("pause", "backup"), ("runs",), ("logs", "backup")], ids=" ".join
)
def test_a_state_folder_that_cannot_be_one(idle: Live, verb: tuple[str, ...]) -> None:
    for place in (f"{idle.file}/state", "/proc/nothing/here", "/dev/null"):
        answer = idle.cli(*verb, "--state", place)
        check_sane(answer)
        if verb[0] in ("daemon", "run"):
            assert answer.status in (FAILED, 5), answer
            assert place in answer.err
        else:
            assert answer.status in (0, FAILED, NO_DAEMON, NOT_THERE), answer


def test_a_state_folder_on_a_disk_that_is_read_only(idle: Live) -> None:
    """/sys takes no files, whoever asks."""
    answer = idle.cli("run", "backup", "--state", "/sys/kernel/cronflow")
    check_sane(answer)
    assert answer.status == FAILED
    assert "cannot make the folder `/sys/kernel/cronflow`" in answer.err


@pytest.mark.parametrize("verb", ["status", "runs", "logs", "why", "next"])
def test_a_database_that_is_none(verb: str) -> None:
    with living() as live:
        live.write(GOOD)
        live.state.mkdir()
        (live.state / "cronflow.db").write_text("no database\n" * 500)
        words = {"why": ("why", "backup"), "logs": ("logs", "backup")}.get(verb, (verb,))
        answer = live.cli(*words)
        check_sane(answer)
        if verb != "next":
            assert answer.status in (FAILED, 3), answer
            assert f"cannot read the database `{live.places.database}`" in answer.err


def test_values_that_are_no_text(idle: Live) -> None:
    odd = os.fsdecode(b"b\xe4ckup")
    for words in (("run", odd), ("status", odd), ("pause", odd), ("next", odd), ("check", odd), ("graph", odd), ("env", odd)):
        done = idle.cli(*words)
        check_sane(done)
        assert done.status in (FAILED, NO_DAEMON, NOT_THERE), (words, done)
