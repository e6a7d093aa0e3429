"""`cronflow doctor`: each thing that it is to find is made, and found; nothing else is told of and nothing is changed."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import sqlite3
import stat
import subprocess
import time
import zoneinfo
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest

from cronflow.cli.screens.style import style_for
from cronflow.cli.verbs.doctor import _line
from cronflow.daemon.processes.environment import Reason
from cronflow.doctor import crontabs, jobs, machine, state
from cronflow.doctor.finding import Context, Finding, problem
from cronflow.doctor.programs import programs_of
from cronflow.jobfile.read import read
from cronflow.places import Places
from cronflow.store.schema import MIGRATIONS
from cronflow.store.store import Store
from tests.daemon.live import Answer, Live, job, living

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become another user")
ELSEWHERE = {"clock", "service", "zones", "linger", "kill_mode"}
"""Checks whose results are those of the machine that the tests run on."""


@pytest.fixture
def live() -> Iterator[Live]:
    with living() as one:
        one.state.mkdir(mode=0o700)
        yield one


def told(answer: Answer) -> list[dict[str, Any]]:
    """The checks that are not well, but for those of this machine."""
    assert "Traceback" not in answer.err
    checks: list[dict[str, Any]] = answer.json["checks"]
    return [one for one in checks if one["result"] != "ok" and one["check"] not in ELSEWHERE]


def found(live: Live, check: str, *words: str) -> dict[str, Any]:
    """The one finding of a check that is not well."""
    answer = live.cli("doctor", "--json", *words)
    matching = [one for one in told(answer) if one["check"] == check]
    assert len(matching) == 1, answer.out
    assert answer.status == (1 if any(one["result"] == "problem" for one in told(answer)) else 0)
    return matching[0]


def alerts(live: Live) -> str:
    url = live.path("ops.url")
    url.write_text("json://127.0.0.1:9/\n")
    url.chmod(0o600)
    return '[alerts.ops]\nurl_file = "ops.url"\n'


# ---- nothing wrong --------------------------------------------------------------------------------------------------------


def test_where_all_is_well_nothing_is_told_and_nothing_is_changed(live: Live) -> None:
    live.start(alerts(live) + job("a", "true") + job("b", "echo $HOME | tr a b"))
    live.until(lambda: live.one("SELECT count(*) FROM meta"))
    before = sorted(path.name for path in live.state.iterdir())
    answer = live.cli("doctor", "--json")
    assert told(answer) == []
    assert answer.status == 0 or {one["check"] for one in answer.json["checks"] if one["result"] == "problem"} <= ELSEWHERE
    assert {one["check"] for one in answer.json["checks"]} >= {
        *("job_file", "job", "alerts", "state", "database", "sqlite", "disk", "daemon", "crontab", "clock", "zones", "service")
    }
    assert sorted(path.name for path in live.state.iterdir()) == before


def test_the_screen_tells_jobs_that_are_well_in_one_line(live: Live) -> None:
    live.write(alerts(live) + job("a", "true") + job("c", "nosuchprogram") + job("b", "true"))
    answer = live.cli("doctor")
    assert answer.status == 1
    assert "✓ 2 jobs: could start now\n" in answer.out
    assert "✗ job `c`: `nosuchprogram`, with which `command` begins, is not found by `/bin/sh`\n    = hint: " in answer.out
    assert answer.out.splitlines()[-1].endswith(("1 problem, 1 warning", "1 problem, 2 warnings", "1 problem, 3 warnings"))


def test_on_a_terminal_lines_are_folded_and_paths_stay_whole() -> None:
    one = problem("no_program", "`/srv/etl/bin/a-long-name-of-a-program`, which `command` calls, is not found", "`ls -l`", "a")
    lines = _line([one], style_for("UTC", 0.0, 40, False)).splitlines()
    assert lines == [
        "✗ job `a`:",
        "  `/srv/etl/bin/a-long-name-of-a-program`,",
        "  which `command` calls, is not found",
        "    = hint: `ls -l`",
    ]
    assert _line([one], style_for("UTC", 0.0, None, False)).count("\n") == 1


def test_what_is_the_same_of_several_jobs_is_told_once(live: Live) -> None:
    live.write("".join(job(f"job{number}", "true", cwd="/nonexistent") for number in range(7)))
    lines = live.cli("doctor").out.splitlines()
    assert [line.partition(": ")[0] for line in lines if "/nonexistent" in line] == ["✗ jobs `job0`, `job1`, `job2` and 4 more"]
    assert "7 problems" in lines[-1]


def test_a_first_look_before_there_is_any_state(live: Live) -> None:
    live.state.rmdir()
    live.write(alerts(live) + job("a", "true"))
    answer = live.cli("doctor", "--json")
    assert [one["check"] for one in told(answer)] == ["daemon"]
    assert not live.state.exists()


@AS_ROOT
def test_what_may_not_be_looked_at_is_told(live: Live) -> None:
    with_history(live).close()
    live.state.chmod(0o700)
    with living(prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")) as other:
        answer = other.cli("doctor", "--json", "--file", str(live.file), "--state", str(live.state))
    unseen = [one["message"] for one in told(answer) if one["check"] == "unseen"]
    assert unseen
    assert all("could not be checked: permission denied" in one for one in unseen)


def test_every_word_for_a_check_is_in_the_manual() -> None:
    root = Path(jobs.__file__).parents[1]
    sources = [root / "cli/verbs/doctor.py", *(root / "doctor").glob("*.py")]
    words = {word for file in sources for word in re.findall(r'\b(?:ok|warning|problem)\(\s*"([a-z_]+)"', file.read_text())}
    words |= set(get_args(Reason))
    assert len(words) > 30
    manual = (root.parent / "man/cronflow.1").read_text()
    assert not [word for word in words if f".Ql {word}" not in manual]


# ---- jobs -----------------------------------------------------------------------------------------------------------------

FAULTS = (
    ({"command": "nosuchprogram --all"}, "no_program", "not found by `/bin/sh`"),
    ({"command": "/nonexistent/run.sh now"}, "no_program", "`/nonexistent/run.sh`"),
    ({"only_if": "nosuchprogram"}, "no_program", "`only_if`"),
    ({"check": ["true", "nosuchprogram"]}, "no_program", "`check`"),
    ({"secrets": {"A": "command:nosuchprogram"}}, "no_program", "`secrets.A`"),
    ({"command": "cat x | nosuchprogram | sort"}, "no_program", "`nosuchprogram`, which `command` calls"),
    ({"command": "set -eu\nnosuchprogram -f x\n"}, "no_program", "`nosuchprogram`, which `command` calls"),
    ({"command": "/tmp"}, "not_executable", "`/tmp`, with which `command` begins, is a folder"),
    ({"shell": "/nonexistent/bash"}, "no_program", "which `shell` names"),
    ({"shell": "/etc/passwd"}, "not_executable", "`/etc/passwd`"),
    ({"cwd": "/nonexistent"}, "no_cwd", "cannot enter `/nonexistent`: no such file or directory"),
    ({"user": "nosuchuser"}, "no_user", "no user `nosuchuser`"),
    ({"group": "nosuchgroup"}, "no_group", "no group `nosuchgroup`"),
    ({"env_file": "/nonexistent.env"}, "no_env_file", "no file `/nonexistent.env`"),
    ({"secrets": {"A": "file:/nonexistent"}}, "no_secret", "no file `/nonexistent`"),
    ({"secrets": {"A": "env:NO_SUCH_NAME"}}, "no_secret", "`NO_SUCH_NAME`"),
)


@pytest.mark.parametrize(("keys", "check", "words"), FAULTS, ids=[f"{check}-{next(iter(keys))}" for keys, check, _ in FAULTS])
def test_what_keeps_a_job_from_starting_is_found(live: Live, keys: dict[str, Any], check: str, words: str) -> None:
    live.write(alerts(live) + job("a", str(keys.get("command", "true")), **{k: v for k, v in keys.items() if k != "command"}))
    one = found(live, check)
    assert (one["result"], one["job"]) == ("problem", "a")
    assert words in one["message"]


def test_a_program_given_as_an_array_is_looked_for_in_the_jobs_own_path(live: Live) -> None:
    own = live.path("bin")
    own.mkdir()
    (own / "tool").write_text("#!/bin/sh\n")
    text = f'[jobs.a]\ncommand = ["tool"]\nenv = {{ PATH = "{own}" }}\n'
    live.write(alerts(live) + text)
    assert "`tool` of `command` is not in the PATH" in found(live, "no_program")["message"]
    (own / "tool").chmod(0o755)
    assert [one["check"] for one in told(live.cli("doctor", "--json"))] == ["daemon"]


WORDS = ("if true; then :; fi", "set -eu; true", "PATH=/x nosuch", "'true'", ". ./x; true", "cd / && true", "[ -x /y ] && /y")


@pytest.mark.parametrize("command", WORDS)
def test_words_of_the_shell_are_no_missing_programs(live: Live, command: str) -> None:
    live.write(alerts(live) + job("a", command))
    assert [one["check"] for one in told(live.cli("doctor", "--json"))] == ["daemon"]


SCRIPTS = (
    ("#!/usr/bin/nosuch -x\n", "needs an interpreter that does not exist, `/usr/bin/nosuch`"),
    ("#!/usr/bin/env nosuch\n", "needs an interpreter that is not in the PATH of the job, `nosuch`"),
    ("#!/bin/sh\r\ntrue\r\n", "has Windows line endings"),
    ("true\n", "has no `#!` in its first line"),
)


@pytest.mark.parametrize(("text", "words"), SCRIPTS)
def test_a_script_that_cannot_be_started(live: Live, text: str, words: str) -> None:
    script = live.path("script")
    script.write_text(text)
    script.chmod(0o755)
    live.write(alerts(live) + f'[jobs.a]\ncommand = ["{script}"]\n[jobs.b]\ncommand = "true"\n')
    one = found(live, "not_executable")
    assert (one["result"], one["job"]) == ("problem", "a")
    assert f"`{script}`, which `command` names, {words}" in one["message"]


def test_a_relative_path_is_looked_for_in_the_folder_of_the_job(live: Live) -> None:
    script = live.path("script")
    script.write_text("#!/bin/sh\n")
    live.write(alerts(live) + job("a", "./script", cwd=str(live.folder)))
    assert "`./script`, with which `command` begins, may not be executed" in found(live, "not_executable")["message"]
    script.chmod(0o755)
    assert [one["check"] for one in told(live.cli("doctor", "--json"))] == ["daemon"]


def test_a_job_that_is_disabled_has_no_problem_yet(live: Live) -> None:
    live.write(alerts(live) + job("a", "nosuchprogram", enabled=False))
    assert found(live, "no_program")["result"] == "warning"


CALLS = (
    ("tar czf \"/b/$(date +%F).tgz\" /srv 2>&1 | tee -a log; logger 'a; b' # c | d", ["tar", "tee", "logger"]),
    ("A=1 B='2 3' one && ! two >x 2>>y &\nthree", ["one", "two", "three"]),
    ("cd x && ./y && /z/w && v", ["cd", "/z/w", "v"]),
    ("one || two", ["one"]),
    ("command -v one && one", ["command"]),
    ("cat <<E\none\nE\ntwo", ["cat"]),
    ("one () { two; }\none", []),
    ('one $((1 + 2)) "$((3))"; two $(a $(b)); three', ["one", "two"]),
    ("one\nfor x in 1 2; do two; done", ["one"]),
    ("one; export PATH=/x; two", ["one", "export"]),
    ("PATH=/x\none", []),
    ("$one; ~/two; `three`; 'four'; five; five", ["five"]),
    ("exec one; two", ["exec"]),
    ("one & two &> x; three", ["one", "two", "three"]),
    ("# one\n\n  two\\\n  three; four", ["two", "four"]),
    ("(one; two)", []),
    ("one 'never closed; two", ["one"]),
    ("", []),
)


@pytest.mark.parametrize(("command", "words"), CALLS)
def test_what_a_command_surely_calls(command: str, words: list[str]) -> None:
    assert list(programs_of(command)) == words


@AS_ROOT
def test_a_secret_that_belongs_to_somebody_else(live: Live) -> None:
    secret = live.path("db")
    secret.write_text("hunter22")
    secret.chmod(0o600)
    os.chown(secret, 1, 1)
    text = alerts(live) + job("a", "true", secrets={"DB": "file:db"})
    live.write(text + job("b", "true", user="daemon", cwd="/", secrets={"DB": "file:db"}))
    one = found(live, "secret_mode")
    assert (one["job"], one["result"]) == ("a", "warning")
    assert "belongs to user 1" in one["message"]


def test_a_secret_that_others_can_read(live: Live) -> None:
    secret = live.path("db")
    secret.write_text("hunter22")
    secret.chmod(0o604)
    live.write(alerts(live) + job("a", "true", secrets={"DB": "file:db"}))
    one = found(live, "secret_mode")
    assert (one["result"], one["hint"]) == ("warning", f"`chmod 600 {secret}`")
    secret.chmod(0o600)
    answer = live.cli("doctor", "--json")
    assert [one["check"] for one in told(answer)] == ["daemon"]
    assert "hunter22" not in answer.out


@AS_ROOT
@pytest.mark.parametrize(("kind", "check"), [("folder", "no_cwd"), ("program", "not_executable")])
def test_a_job_is_looked_at_with_the_rights_of_its_user(live: Live, kind: str, check: str) -> None:
    mine = live.path("mine")
    mine.mkdir()
    tool = live.path("tool")
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o744)
    mine.chmod(0o700)
    keys = {"cwd": str(mine)} if kind == "folder" else {"cwd": "/", "shell": str(tool)}
    live.write(alerts(live) + job("a", "true", user="nobody", **keys) + job("b", "true", **keys))
    one = found(live, check)
    assert (one["result"], one["job"]) == ("problem", "a")
    assert ("`nobody` cannot enter" if kind == "folder" else "may not be executed by the job's user") in one["message"]


@AS_ROOT
def test_who_is_not_root_hears_that_another_user_needs_it(live: Live) -> None:
    live.folder.chmod(0o777)
    live.write(job("a", "true", user="daemon"))
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    with living(prefix=as_nobody) as other:
        os.chown(other.folder, 65534, 65534)
        other.write(job("a", "true", user="daemon"))
        os.chown(other.file, 65534, 65534)
        one = found(other, "not_permitted")
    assert "needs a daemon that runs as root" in one["message"]


def test_a_job_whose_files_do_not_answer_holds_nobody(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SECONDS", 0.6)
    slow = live.path("sh")
    slow.write_text("#!/bin/sh\nsleep 600\n")
    slow.chmod(0o755)
    hanging = job("hangs", "x", shell=str(slow), only_if="x", wait_until="x", on_success="x")
    live.write(hanging + "".join(job(f"job{number}", "true") for number in range(20)))
    begun = time.monotonic()
    results = list(jobs.check_jobs(Context(live.places, read(str(live.file), thorough=False).jobs, None, time.time())))
    assert time.monotonic() - begun < 30
    assert [one.check for one in results if one.job == "hangs"] == ["job_hangs"]
    assert [one.result for one in results].count("ok") == 20
    while any(str(slow) in (one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"])):
        assert time.monotonic() - begun < 60, "what the look has started goes on"
        time.sleep(0.1)


# ---- the job file and alerts ----------------------------------------------------------------------------------------------


def test_a_broken_job_file_is_told_and_the_rest_is_looked_at(live: Live) -> None:
    live.write("[jobs.a]\ncomand = 'x'\n")
    answer = live.cli("doctor", "--json")
    assert answer.status == 1
    checks = {one["check"]: one for one in answer.json["checks"]}
    assert checks["job_file"]["result"] == "problem"
    assert checks["state"]["result"] == "ok"


def test_without_a_job_file(live: Live) -> None:
    answer = live.cli("doctor")
    assert (answer.status, answer.out.splitlines()[0]) == (1, f"✗ there is no job file `{live.file}`")
    live.write("[jobs.a]\ncommand = 'true'\nnosuch = 1\n")
    expected = f"✗ the job file has errors: unknown key `nosuch` in job `a` ({live.file}:3)"
    assert live.cli("doctor").out.splitlines()[0] == expected


def test_targets_of_alerts(live: Live) -> None:
    text = '[alerts.gone]\nurl_file = "gone.url"\n[alerts.odd]\nurl_file = "odd.url"\n[alerts.open]\nurl_file = "open.url"\n'
    for name, url, mode in (("odd", "nosuchservice://s3cr3t", 0o600), ("open", "json://127.0.0.1:9", 0o644)):
        live.path(f"{name}.url").write_text(url)
        live.path(f"{name}.url").chmod(mode)
    live.write(text + job("a", "true"))
    answer = live.cli("doctor", "--json")
    mine = [(one["check"], one["result"]) for one in told(answer) if one["check"].startswith("alerts")]
    assert mine == [("alerts", "problem"), ("alerts", "problem"), ("alerts_mode", "warning")]
    assert "s3cr3t" not in answer.out + answer.err
    assert "`nosuchservice://`" in answer.out
    live.write(job("a", "true"))
    assert found(live, "alerts")["message"] == "nobody is alerted when a job fails"


def test_urls_in_a_job_file_that_others_can_read(live: Live) -> None:
    text = '[alerts.desk]\nurls = ["mailto://localhost?to=ops@example.com"]\n[alerts.hook]\nurls = ["json://host/s3cr3t"]\n'
    live.write(text + job("a", "true")).chmod(0o644)
    one = found(live, "alerts_mode")
    assert one["result"] == "warning"
    assert f"others may read `{live.file}`, which holds the URLs of alert `hook`" in one["message"]
    live.file.chmod(0o600)
    assert [one["check"] for one in told(live.cli("doctor", "--json"))] == ["daemon"]


# ---- state and daemon -----------------------------------------------------------------------------------------------------


def with_history(live: Live) -> sqlite3.Connection:
    live.write(alerts(live) + job("a", "true"))
    Store.open(live.state).close()
    return sqlite3.connect(live.state / "cronflow.db", isolation_level=None)


def test_modes_of_the_state_folder(live: Live) -> None:
    with_history(live).close()
    live.state.chmod(0o777)
    (live.state / "cronflow.db").chmod(0o644)
    assert "`chmod 600" in found(live, "database_mode")["hint"]
    assert "others may write" in found(live, "state_mode")["message"]
    assert stat.S_IMODE(live.state.stat().st_mode) == 0o777


@pytest.mark.parametrize("data", [b"x" * 8192, b"SQLite format 3\0" + b"\xff" * 8176])
def test_a_damaged_database(live: Live, data: bytes) -> None:
    with_history(live).close()
    (live.state / "cronflow.db").write_bytes(data)
    assert found(live, "database")["result"] == "problem"
    assert (live.state / "cronflow.db").read_bytes() == data


def test_a_database_in_which_a_page_is_wrong(live: Live) -> None:
    with_history(live).close()
    path = live.state / "cronflow.db"
    data = bytearray(path.read_bytes())
    data[3 * 4096 : 4 * 4096] = b"\x55" * 4096
    path.write_bytes(data)
    assert "damaged" in found(live, "database")["message"]


def test_databases_of_other_versions(live: Live) -> None:
    db = with_history(live)
    db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    assert "newer cronflow" in found(live, "database")["message"]
    db.execute("PRAGMA user_version = 1")
    db.close()
    checks = {one["check"]: one["message"] for one in live.cli("doctor", "--json").json["checks"]}
    newest = len(MIGRATIONS)
    assert checks["database_format"] == f"the database has format 1; the next start copies it and converts it to {newest}"


def test_an_older_database_that_has_no_room_to_be_copied(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    with contextlib.closing(with_history(live)) as db:
        db.execute("PRAGMA user_version = 1")
    full = os.statvfs_result((4096, 4096, 100_000, 3000, 3000, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    one = next(state.check_database(Context(live.places, None, None, time.time())))
    assert (one.check, one.result) == ("database_format", "problem")
    assert "which needs 17 MB: 12 MB are free, so the daemon will not start" in one.message


def test_what_the_history_itself_says_of_troubles(live: Live) -> None:
    db = with_history(live)
    db.execute("INSERT INTO troubles VALUES ('disk', 'system', 'the disk is nearly full', 1, 1)")
    db.execute("INSERT INTO alerts (at, kind, target, error) VALUES (1, 'missed', 'ops', 'refused')")
    db.execute("INSERT INTO meta VALUES ('boot', 'an earlier one')")
    db.close()
    assert found(live, "trouble")["message"] == "the disk is nearly full"
    assert "to `ops` undelivered for " in found(live, "undelivered")["message"]
    assert "since the machine started" in found(live, "daemon_down")["message"]


def test_another_program_that_writes_to_the_database(live: Live) -> None:
    with contextlib.closing(with_history(live)) as db:
        assert db.execute("SELECT count(*) FROM runs").fetchone() == (0,)
        assert f"process {os.getpid()} " in found(live, "sqlite")["message"]


@pytest.mark.parametrize("kind", ["alive", "run"])
def test_a_clock_that_was_set_back(live: Live, kind: str) -> None:
    with contextlib.closing(with_history(live)) as db:
        if kind == "run":
            sql = "INSERT INTO runs (flow, trigger, definition, state, created_at) VALUES ('a', 'manual', '', 'success', ?)"
            db.execute(sql, (time.time() + 86400,))
        else:
            live.places.alive.touch()
            os.utime(live.places.alive, (time.time() + 86400,) * 2)
    checks = live.cli("doctor", "--json").json["checks"]
    messages = [one["message"] for one in checks if one["check"] == "clock" and one["result"] == "problem"]
    assert len(messages) == 1
    assert "in the future: the clock has been set back" in messages[0]


def test_a_daemon_that_holds_the_state_and_does_not_answer(live: Live) -> None:
    from cronflow.daemon.lock import take_lock

    live.write(alerts(live) + job("a", "true"))
    lock = take_lock(live.places)
    assert lock is not None
    with lock:
        one = found(live, "daemon")
    assert one["message"] == f"process {os.getpid()} holds the state folder and does not answer"
    assert found(live, "daemon")["result"] == "warning"


def test_a_daemon_that_hangs_and_whose_lock_file_was_removed(live: Live) -> None:
    live.start(alerts(live) + job("a", "true"))
    live.places.lock.unlink()
    assert live.process is not None
    live.process.send_signal(signal.SIGSTOP)
    try:
        answer = live.cli("doctor", "--json")
    finally:
        live.process.send_signal(signal.SIGCONT)
    expected = f"process {live.process.pid} holds the state folder and does not answer"
    assert [(one["check"], one["message"]) for one in told(answer)] == [("daemon", expected)]


def test_two_daemons_of_one_job_file(live: Live) -> None:
    live.start(alerts(live) + job("a", "true"))
    with living() as other:
        other.file.symlink_to(live.file)
        other.start()
        assert other.process is not None
        one = found(live, "two_daemons")
        assert one["result"] == "problem"
        assert f"process {other.process.pid} " in one["message"]
    assert told(live.cli("doctor", "--json")) == []


@AS_ROOT
def test_a_daemon_of_another_user_is_not_told_to_be_down(live: Live) -> None:
    live.start(alerts(live) + job("a", "true"))
    live.folder.chmod(0o755)
    live.state.chmod(0o755)
    with living(prefix=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")) as other:
        os.chown(other.folder, 65534, 65534)
        one = found(other, "daemon", "--file", str(live.file), "--state", str(live.state))
    assert one["result"] == "warning"
    assert "belongs to another user" in one["message"]


@AS_ROOT
def test_a_daemon_of_a_container_whose_job_file_has_the_same_name(live: Live) -> None:
    seen = live.write(alerts(live) + job("a", "true"), "seen.toml")
    with living(prefix=("unshare", "-m", "sh", "-c", f'mount --bind {seen} "$CRONFLOW_FILE" && exec "$@"', "sh")) as other:
        other.start(alerts(other) + job("a", "true"))
        answer = live.cli("doctor", "--json", "--file", str(other.file))
    assert [one["check"] for one in told(answer)] == ["daemon"]


def test_a_daemon_of_another_job_file(live: Live) -> None:
    live.start(alerts(live) + job("a", "true"))
    other = live.write(live.file.read_text(), "other.toml")
    assert "another job file" in found(live, "daemon", "--file", str(other))["message"]


# ---- what the machine has -------------------------------------------------------------------------------------------------


def scene(live: Live, text: str, now: float | None = None) -> Context:
    live.write(text)
    return Context(live.places, read(str(live.file), thorough=False).jobs, None, time.time() if now is None else now)


@pytest.mark.parametrize(
    ("blocks", "result", "words"),
    [
        (2000, "problem", "nearly full: 8.2 MB left"),
        (100_000, "warning", "jobs that run at once may print 1049 MB"),
        (1_000_000, "ok", "4.1 GB are free"),
    ],
)
def test_the_room_that_is_left_for_output(
    live: Live, monkeypatch: pytest.MonkeyPatch, blocks: int, result: str, words: str
) -> None:
    disk = os.statvfs_result((4096, 4096, 1_000_000, blocks, blocks, 9, 9, 9, 0, 255))
    text = job("a", "true", max_output="1000MiB") + "".join(job(f"job{n}", "true", max_output="1KiB") for n in range(9))
    looked_at = scene(live, "[settings]\nmax_running = 2\n" + text)
    monkeypatch.setattr(os, "statvfs", lambda _path: disk)
    (one,) = state.check_disk(looked_at)
    assert (one.check, one.result) == ("disk", result)
    assert words in one.message


@pytest.mark.parametrize(("version", "result"), [("2019c", "warning"), ("2999a", "ok")])
def test_the_age_of_the_zone_data(live: Live, version: str, result: str) -> None:
    looked_at = scene(live, job("a", "true", schedule="0 4 * * *", timezone="Asia/Tokyo"))
    data = live.path("zoneinfo")
    data.mkdir()
    (data / "UTC").touch()
    (data / "tzdata.zi").write_text(f"# version {version}\n")
    zoneinfo.reset_tzpath(to=[str(data)])
    try:
        (one,) = machine.check_zones(looked_at)
    finally:
        zoneinfo.reset_tzpath()
    assert (one.check, one.result) == ("zones", result)
    assert f"2 time zones in use, from {data} {version}" in one.message


def test_a_shell_whose_zone_is_not_that_of_the_daemon(live: Live) -> None:
    live.start(alerts(live) + job("a", "true", schedule="0 4 * * *"))
    live.env["TZ"] = "Asia/Tokyo"
    messages = [one["message"] for one in live.cli("doctor", "--json").json["checks"] if one["check"] == "zones"]
    assert len(messages) == 2
    assert "`TZ=Asia/Tokyo`" in messages[1]


def test_a_clock_that_is_years_behind(live: Live) -> None:
    (one,) = state.check_clock(scene(live, job("a", "true"), now=86400.0))
    assert (one.check, one.result, one.message) == ("clock", "problem", "the clock is years behind")


@AS_ROOT
def test_a_state_folder_of_somebody_else(live: Live) -> None:
    os.chown(live.state, 65534, 65534)
    live.write(alerts(live) + job("a", "true"))
    assert found(live, "state_owner")["message"] == f"`{live.state}` belongs to user 65534"


@pytest.mark.parametrize(("few", "result"), [(1 << 60, "warning"), (1, "ok")])
def test_the_limit_of_folders_that_can_be_watched(live: Live, monkeypatch: pytest.MonkeyPatch, few: int, result: str) -> None:
    monkeypatch.setattr(machine, "FEW_WATCHES", few)
    (one,) = machine.check_inotify(scene(live, job("a", "true", watch=str(live.path("*.csv")))))
    assert (one.check, one.result) == ("inotify", result)


# ---- systemd --------------------------------------------------------------------------------------------------------------


def serviced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, enabled: str, mode: str, unit: bool = True, root: bool = True
) -> list[tuple[str, str]]:
    """What is told of a machine that systemd runs."""
    for name in ("bin", "units", "config/systemd/user"):
        (tmp_path / name).mkdir(parents=True)
    script = f"#!/bin/sh\ncase $* in *is-enabled*) echo {enabled};; *KillMode*) echo {mode};; esac\n"
    (tmp_path / "bin/systemctl").write_text(script)
    (tmp_path / "bin/systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(machine, "BOOTED", str(tmp_path))
    monkeypatch.setattr(machine, "SYSTEM_UNITS", (str(tmp_path / "units"),))
    monkeypatch.setattr(machine, "LINGER", str(tmp_path / "linger"))
    monkeypatch.setattr(machine.os, "geteuid", lambda: 0 if root else 65534)
    if unit:
        (tmp_path / ("units" if root else "config/systemd/user") / "cronflow.service").touch()
    scene = Context(Places(tmp_path / "jobs.toml", tmp_path, tmp_path), None, None, 0.0)
    return [(one.check, one.result) for one in machine.check_service(scene)]


@pytest.mark.parametrize(
    ("enabled", "mode", "unit", "root", "results"),
    [
        ("enabled", "process", True, True, [("service", "ok")]),
        ("disabled", "process", True, True, [("service", "warning")]),
        ("enabled", "control-group", True, True, [("service", "ok"), ("kill_mode", "problem")]),
        ("enabled", "process", False, True, [("service", "warning")]),
        ("enabled", "process", True, False, [("linger", "warning")]),
        ("enabled", "process", False, False, [("service", "warning")]),
    ],
)
def test_the_unit_of_systemd(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    enabled: str,
    mode: str,
    unit: bool,
    root: bool,
    results: list[tuple[str, str]],
) -> None:
    assert serviced(tmp_path, monkeypatch, enabled, mode, unit, root) == results


def test_the_services_of_a_user_that_go_on_without_a_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "linger").mkdir()
    (tmp_path / "linger/nobody").touch()
    assert serviced(tmp_path, monkeypatch, "enabled", "process", root=False) == [("service", "ok")]


# ---- crontabs -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cron(tmp_path: Path) -> Iterator[None]:
    """A process with the name of a cron."""
    program = tmp_path / "cron"
    shutil.copy(shutil.which("sleep") or "", program)
    process = subprocess.Popen([str(program), "600"])
    yield
    process.kill()
    process.wait()


def looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, where: str = "cron.d/old") -> list[Finding]:
    for name, folder in (("FOLDER", "cron.d"), ("SYSTEM", "crontab"), ("SPOOLS", "spool"), ("ANACRON", "anacrontab")):
        monkeypatch.setattr(crontabs, name, (str(tmp_path / folder),) if name == "SPOOLS" else str(tmp_path / folder))
    monkeypatch.setattr(crontabs.os, "geteuid", lambda: 0)
    (tmp_path / where).parent.mkdir(exist_ok=True)
    (tmp_path / where).write_text(text)
    file = tmp_path / "jobs.toml"
    file.write_text(
        '[jobs.sync]\ncommand = "/srv/sync.sh --all"\n'
        '[jobs.tidy]\ncommand = ["find", "/tmp", "-name", "*.tmp"]\n'
        '[jobs.mail]\ncommand = "mail ops"\nstdin = "line one\\nline two\\n"\n'
    )
    file.chmod(0o644)
    jobs_of_file = read(str(file), thorough=False).jobs
    return list(crontabs.check_crontabs(Context(Places(file, tmp_path, tmp_path), jobs_of_file, None, 0.0)))


@pytest.mark.parametrize(
    ("where", "line", "name"),
    [
        ("cron.d/old", "*/5 * * * * root /srv/sync.sh --all", "sync"),
        ("cron.d/old", "@daily\troot\t/srv/sync.sh   --all >/dev/null 2>&1", "sync"),
        ("crontab", "17 *\t* * *\troot    /srv/sync.sh --all >> /var/log/sync.log 2>&1", "sync"),
        ("spool/ada", "0 4 * * mon-fri /srv/sync.sh --all", "sync"),
        ("spool/ada", "@reboot find /tmp -name '*.tmp'", "tidy"),
        ("spool/ada", "0 4 * * * mail ops %line one%line two", "mail"),
        ("anacrontab", "7\t10\tsync.weekly\t/srv/sync.sh --all", "sync"),
    ],
)
@pytest.mark.usefixtures("cron")
def test_a_line_of_cron_that_does_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, line: str, name: str
) -> None:
    results = looked_at(tmp_path, monkeypatch, f"# old things\nPATH=/bin\n\n{line}\n", where)
    assert [(one.check, one.result, one.job) for one in results] == [("crontab", "problem", name)]
    assert f"line 4 of `{tmp_path / where}`" in results[0].message


def test_lines_of_a_cron_that_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crontabs, "CRONS", frozenset(("no such program",)))
    monkeypatch.setattr(crontabs, "GENERATED", str(tmp_path / "none"))
    (one,) = looked_at(tmp_path, monkeypatch, "*/5 * * * * root /srv/sync.sh --all\n")
    assert (one.check, one.result, one.job) == ("crontab", "warning", "sync")
    assert "cron, which is not running now, would also run" in one.message


@pytest.mark.parametrize(
    "text",
    [
        "#0 4 * * * root /srv/sync.sh --all",
        "0 4 * * * root /srv/sync.sh",
        "A=/srv/sync.sh --all\n",
        "0 4 * * * root mail ops %line one%line three",
        "\0",
        "0 4 * * * /srv/sync.sh --all",  # without a user, which cron.d wants
        "",
    ],
)
def test_lines_of_cron_that_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert [(one.check, one.result) for one in looked_at(tmp_path, monkeypatch, text)] == [("crontab", "ok")]
