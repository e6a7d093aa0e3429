"""The life of a daemon: what it tells systemd, how it begins, how it ends, and what the next one makes of it."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronflow.cli import client
from tests.daemon.live import PATIENCE, Live, job, living, state_of

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs what others might write")


# ---- systemd --------------------------------------------------------------------------------------------------------------


class Systemd:
    """The socket that NOTIFY_SOCKET names, and what came, with the time of its coming."""

    def __init__(self, path: Path | str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.heard: list[tuple[float, str]] = []

    def listen(self, seconds: float = 0.0) -> list[str]:
        """All messages so far, after waiting for some seconds more."""
        end = time.monotonic() + seconds
        while True:
            self.socket.settimeout(max(end - time.monotonic(), 0.001))
            try:
                self.heard.append((time.monotonic(), self.socket.recv(4096).decode()))
            except (TimeoutError, BlockingIOError):
                if time.monotonic() >= end:
                    return [text for _, text in self.heard]

    def until(self, line: str) -> None:
        end = time.monotonic() + PATIENCE
        while line not in self.listen(0.02):
            assert time.monotonic() < end, f"no {line!r} in {self.heard}"


@pytest.fixture
def systemd(live: Live) -> Iterator[Systemd]:
    one = Systemd(live.path("notify"))
    yield one
    one.socket.close()


def test_systemd_hears_of_it_all(live: Live, systemd: Systemd) -> None:
    live.write(job("a", "env; sleep 0.2; exit 1") + job("b", "true"))
    live.launch(NOTIFY_SOCKET=str(live.path("notify")), WATCHDOG_USEC="600000")
    systemd.until("READY=1")
    before = [text for text in systemd.listen() if text not in ("READY=1", "WATCHDOG=1")]
    assert before == ["STATUS=2 jobs, 0 running, 0 failing"]
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as control:
        control.connect(str(live.places.control))  # up when it says so, without waiting
    run = live.run("a")
    assert live.final(run) == "failed"
    systemd.until("STATUS=2 jobs, 1 running, 0 failing")
    systemd.until("STATUS=2 jobs, 0 running, 1 failing")
    environment = live.output(run, "a")
    for name in ("NOTIFY_SOCKET", "WATCHDOG", "LISTEN_", "CRONFLOW_FILE", "CRONFLOW_STATE"):
        assert f"\n{name}=" not in f"\n{environment}"

    systemd.heard.clear()
    clock = time.monotonic_ns() // 1000
    live.write(job("a", "true"))
    assert live.cli("reload").status == 0
    systemd.until("READY=1")
    said = [text for text in systemd.listen() if not text.startswith(("WATCHDOG", "STATUS"))]
    assert said[-1] == "READY=1"
    reloading, monotonic = said[0].split("\n")
    assert reloading == "RELOADING=1"
    assert clock <= int(monotonic.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000

    systemd.heard.clear()
    live.write("broken")
    assert live.cli("reload").status == 1
    systemd.until("READY=1")
    live.terminate()
    assert "STOPPING=1" in systemd.listen(0.1)


def test_the_watchdog_is_fed_in_half_of_its_time(live: Live, systemd: Systemd) -> None:
    live.write(job("a", "true"))
    live.launch(NOTIFY_SOCKET=str(live.path("notify")), WATCHDOG_USEC="1000000")
    systemd.until("READY=1")
    systemd.heard.clear()
    systemd.listen(3.0)
    times = [at for at, text in systemd.heard if text == "WATCHDOG=1"]
    assert len(times) >= 4
    assert max(b - a for a, b in itertools.pairwise(times)) < 1.0


def test_a_watchdog_of_another_process_is_not_ours(live: Live, systemd: Systemd) -> None:
    live.write(job("a", "true"))
    live.launch(NOTIFY_SOCKET=str(live.path("notify")), WATCHDOG_USEC="200000", WATCHDOG_PID="1")
    systemd.until("READY=1")
    assert "WATCHDOG=1" not in systemd.listen(0.5)


def test_an_abstract_socket_and_one_that_nobody_reads(live: Live) -> None:
    name = f"cronflow-test-{os.getpid()}-{time.monotonic_ns()}"
    systemd = Systemd(f"\0{name}")
    live.write(job("a", "true"))
    live.launch(NOTIFY_SOCKET=f"@{name}")
    systemd.until("READY=1")
    systemd.socket.close()
    assert live.final(live.run("a")) == "success"


# ---- stop -----------------------------------------------------------------------------------------------------------------


def test_stop_leaves_the_jobs_and_the_next_daemon_knows_how_they_ended(live: Live) -> None:
    waiting = f"while [ ! -e {live.path('go')} ]; do sleep 0.05; done; exit 3"
    live.start(job("a", waiting) + job("b", "true", after={"a": "failure"}))
    run = live.run("a")
    pid = live.started(run, "a")
    stopped = live.cli("stop")
    assert (stopped.status, stopped.out) == (0, "the daemon has stopped; 1 job goes on\n")
    assert live.ended() == 0
    assert not live.places.control.exists()
    assert state_of(pid) is not None
    live.path("go").touch()
    live.until(lambda: state_of(pid) is None)
    live.start()
    assert live.final(run) == "failed"
    assert live.rows("SELECT exit_code, result, pid FROM attempts WHERE run = ? AND task = 'a'", run) == [(3, "failed", pid)]
    assert live.rows("SELECT state FROM tasks WHERE run = ? AND name = 'b'", run) == [("success",)]


def test_the_next_daemon_cancels_and_times_out_what_it_has_taken_over(live: Live) -> None:
    live.start(job("a", "sleep 30") + job("b", "sleep 30", timeout="2s", kill_after="200ms"))
    first, second = live.run("a"), live.run("b")
    live.started(first, "a")
    live.started(second, "b")
    live.terminate()
    live.start()
    assert live.final(second) == "failed"
    assert live.one("SELECT result FROM attempts WHERE run = ?", second) == "timeout"
    live.ask("cancel", run=first)
    assert live.final(first) == "cancelled"


def test_stop_drain_waits_and_starts_nothing_more(live: Live) -> None:
    jobs = job("a", f"while [ ! -e {live.path('go')} ]; do sleep 0.05; done") + job("b", "true", after=["a"])
    live.start(jobs + job("tick", "sleep 0.1", schedule="* * * * * *"))
    run = live.run("a")
    live.started(run, "a")
    stop = subprocess.Popen(
        live.command("stop", "--drain"), env=live.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    live.until(lambda: live.ask("ping")["draining"])
    slots = live.one("SELECT count(*) FROM run_slots")
    live.stays(lambda: live.alive() and live.one("SELECT count(*) FROM run_slots") == slots, 1.5)
    live.path("go").touch()
    out, err = stop.communicate(timeout=PATIENCE)
    assert (stop.returncode, out) == (0, "the daemon has stopped\n")
    assert re.search(r"waiting for \d jobs? …", err)
    assert live.ended() == 0
    assert live.rows("SELECT state FROM tasks WHERE run = ? AND name = 'a'", run) == [("success",)]
    live.start()
    assert live.final(run) == "success"


def test_stop_kill_ends_everything(live: Live) -> None:
    live.start(job("a", "trap '' TERM; echo up; while :; do sleep 0.1; done", kill_after="300ms") + job("b", "true", after=["a"]))
    run = live.run("a")
    pid = live.started(run, "a")
    live.until(lambda: live.output(run, "a") == "up\n")
    stopped = live.cli("stop", "--kill")
    assert (stopped.status, stopped.out) == (0, "the daemon has stopped\n")
    assert live.ended() == 0
    assert state_of(pid) is None
    assert live.rows("SELECT name, state FROM tasks WHERE run = ? ORDER BY name", run) == [("a", "cancelled"), ("b", "cancelled")]
    assert live.one("SELECT state FROM runs WHERE id = ?", run) == "cancelled"


def test_a_daemon_that_was_killed_is_no_obstacle(live: Live) -> None:
    live.start(job("a", "sleep 1; exit 4"))
    run = live.run("a")
    live.started(run, "a")
    live.signal(signal.SIGKILL)
    live.ended()
    live.process = None
    live.start()
    assert live.final(run) == "failed"
    assert live.rows("SELECT n, exit_code FROM attempts WHERE run = ?", run) == [(1, 4)]


def test_retries_go_on_where_they_were(live: Live) -> None:
    command = f"echo $CRONFLOW_ATTEMPT >> {live.path('tries')}; [ -e {live.path('ok')} ]"
    live.start(job("a", command, retries=1, retry_delay="1s", retry_max_delay="1s"))
    run = live.run("a")
    live.until(lambda: live.one("SELECT state FROM tasks WHERE run = ?", run) == "retrying")
    live.terminate()
    live.path("ok").touch()
    live.start()
    assert live.final(run) == "success"
    assert live.path("tries").read_text() == "1\n2\n"


# ---- beginnings -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("removed", [False, True])
def test_a_second_daemon_is_refused_with_the_pid_and_age_of_the_first(live: Live, removed: bool) -> None:
    live.start(job("a", "true"))
    assert live.process is not None
    if removed:
        live.places.lock.unlink()
    with living() as other:
        second = other.cli("daemon", CRONFLOW_FILE=str(live.file), CRONFLOW_STATE=str(live.state))
    assert second.status == 1
    assert re.search(rf"another daemon \(pid {live.process.pid}, up [^)]+\) already owns `{live.state}`", second.err)
    assert "hint: `cronflow reload` makes it read the job file again" in second.err
    assert live.final(live.run("a")) == "success"


def test_a_job_file_that_is_broken_at_the_start(live: Live) -> None:
    live.write('[jobs.a]\ncommand = "true"\ntimout = "5m"\n')
    refused = live.cli("daemon")
    assert refused.status == 1
    assert f"error: unknown key `timout` in job `a`\n --> {live.file}:3:1\n" in refused.err
    assert "hint: did you mean `timeout`?" in refused.err
    live.file.unlink()
    refused = live.cli("daemon")
    assert refused.status == 1
    assert f"there is no job file `{live.file}`" in refused.err
    assert not live.places.database.exists()


@needs_root
def test_root_does_not_run_what_others_may_write(live: Live) -> None:
    live.write(job("a", "true"))
    live.file.chmod(0o666)
    refused = live.cli("daemon")
    assert refused.status == 1
    assert f"users other than root can write to `{live.file}`" in refused.err
    live.file.chmod(0o644)
    live.start()
    live.write(job("a", "true") + job("b", "true"), "jobs.new")
    live.path("jobs.new").chmod(0o606)
    live.path("jobs.new").rename(live.file)
    assert live.cli("reload").status == 1
    assert live.final(live.run("a")) == "success"


def test_a_state_folder_that_cannot_be_made_or_written(live: Live) -> None:
    live.write(job("a", "true"))
    for words in (("daemon",), ("run", "a")):
        refused = live.cli(*words, "--state", f"{live.file}/state")
        assert refused.status == 1
        assert f"cannot make the folder `{live.file}/state`: not a directory" in refused.err
        assert "hint: name another one with `--state`" in refused.err


def test_few_descriptors_and_many_callers(live: Live) -> None:
    """Who cannot be served is hung up on, instead of waking the loop for ever; all is well when they have gone."""
    live.prefix = ("prlimit", "--nofile=64:64", "--")
    live.start(job("a", "true"))
    live.prefix = ()
    connections = []
    for _ in range(100):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(live.places.control))
        connections.append(connection)
    connections[-1].settimeout(PATIENCE)
    assert connections[-1].recv(1) == b""
    for connection in connections:
        connection.close()
    live.until(lambda: client.ping(live.places))
    assert live.final(live.run("a")) == "success"


@pytest.mark.parametrize("name", ["with space", "ünï ✓", "line\nbreak", "quote'\"$(x)", "dot.db"])
def test_folders_with_odd_names(name: str) -> None:
    with living() as live:
        live.folder = live.folder / name
        live.folder.mkdir()
        odd = Live(live.folder)
        odd.start(job("a", "pwd", cwd=str(odd.folder)))
        run = odd.run("a")
        assert odd.final(run) == "success"
        assert odd.output(run, "a") == f"{odd.folder}\n"
        assert odd.cli("stop").status == 0


def test_the_sockets_work_in_a_folder_with_a_very_long_name(live: Live) -> None:
    live.write(job("a", "true"))
    state = live.path("x" * 120) / ("y" * 120)
    live.env["CRONFLOW_STATE"] = str(state)
    live.launch()
    live.until(lambda: live.cli("run", "a", "--detach").status == 0)
    live.until(lambda: live.cli("status", "1", "--json").json["runs"][0]["state"] == "success")
    assert live.cli("stop").status == 0


# ---- slots ----------------------------------------------------------------------------------------------------------------


def every_slot_once(live: Live, job_name: str) -> list[tuple[int, str, str | None]]:
    """The rows of a job's slots, after checking that each second from the first to the last is in exactly one."""
    query = "SELECT slot, slot_last, slots, state, reason FROM runs WHERE flow = ? AND slots > 0 ORDER BY slot"
    rows = live.rows(query, job_name)
    expected = rows[0][0]
    for slot, last, count, _, _ in rows:
        assert slot == expected, rows
        assert count == last - slot + 1, rows
        expected = last + 1
    return [(count, state, reason) for _, _, count, state, reason in rows]


@pytest.mark.parametrize("trigger", [{"schedule": "* * * * * *"}, {"every": "1s"}], ids=["schedule", "every"])
def test_slots_of_a_downtime_are_caught_up_or_recorded_each_in_one_row(live: Live, trigger: dict[str, str]) -> None:
    policies = ("last", "all", "none")
    live.start("".join(job(policy, "true", catchup=policy, **trigger) for policy in policies))
    live.until(lambda: live.one("SELECT count(*) FROM run_slots") >= 3)
    live.terminate()
    ran = live.one("SELECT coalesce(max(slot), 0) FROM run_slots WHERE root = 'all'")
    time.sleep(3.2)
    live.start()
    up = time.time()
    live.until(lambda: live.one("SELECT max(slot) FROM run_slots") > up + 1)
    query = "SELECT count(*) FROM runs WHERE flow = 'all' AND trigger = 'catchup'"
    live.until(lambda: live.one(query) >= 2)
    live.until(lambda: live.one("SELECT max(slot) FROM run_slots WHERE root = 'all'") > up)
    live.ask("stop", mode="drain")
    live.ended()

    missed = {name: [row for row in every_slot_once(live, name) if row[2] == "daemon_down"] for name in policies}
    assert missed["all"] == []
    assert [state for _, state, _ in missed["last"] + missed["none"]] == ["missed", "missed"]
    assert missed["none"][0][0] == missed["last"][0][0] + 1 >= 3
    assert live.one("SELECT count(*) FROM runs WHERE flow = 'last' AND trigger = 'catchup'") >= 1
    caught = live.rows("SELECT slot, created_at FROM runs WHERE flow = 'all' AND trigger = 'catchup' ORDER BY id")
    assert [slot for slot, _ in caught] == sorted(slot for slot, _ in caught)
    assert all(ran < slot < at for slot, at in caught)
    assert live.one("SELECT max(n) FROM (SELECT count(*) AS n FROM run_slots GROUP BY root, trigger_key, slot)") == 1


def test_slots_start_when_they_are_due(live: Live) -> None:
    live.start(job("a", "true", schedule="* * * * * *"))
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE state = 'success'") >= 3)
    late = [created - slot for slot, created in live.rows("SELECT slot, created_at FROM runs WHERE trigger = 'schedule'")]
    assert min(late) >= 0
    assert max(late) < 10


def test_a_first_load_an_edit_and_a_resume_start_nothing_by_themselves(live: Live) -> None:
    manual = '[settings]\nreload = "manual"\n'
    live.start(manual + job("a", "true", every="1d"))
    live.write(manual + job("a", "true", every="2d") + job("b", "true", schedule="@yearly"))
    assert live.cli("reload").status == 0
    live.ask("pause", jobs=["a"])
    live.ask("resume", jobs=["a"])
    live.terminate()
    live.start()
    live.stays(lambda: live.rows("SELECT * FROM runs") == [], 0.5)


def test_overlap_skips_and_says_why(live: Live) -> None:
    live.start(job("a", f"while [ ! -e {live.path('go')} ]; do sleep 0.05; done", schedule="* * * * * *"))
    live.until(lambda: live.one("SELECT coalesce(sum(slots), 0) FROM runs WHERE reason = 'overlap'") >= 2)
    refused = live.cli("run", "a", "--json")
    assert refused.status == 1
    assert "is still running" in refused.json["error"]["message"]
    live.path("go").touch()
    live.ask("stop", mode="drain")
    live.ended()
    rows = every_slot_once(live, "a")
    assert rows[0][1:] == ("success", None)
    assert rows[1][1:] == ("skipped", "overlap")


def test_the_facts_of_status(live: Live) -> None:
    live.start(job("a", "true", schedule="0 4 * * *"))
    told = live.cli("status", "--json").json["daemon"]
    assert live.process is not None
    assert told["running"] is True
    assert told["pid"] == live.process.pid
    assert told["file"] == str(live.file)
    live.terminate()
    told = live.cli("status", "--json").json["daemon"]
    assert told["running"] is False
    assert json.dumps(told)


def test_a_clock_that_was_days_ahead_does_not_keep_the_schedule_waiting(live: Live) -> None:
    live.start(job("tick", "true", schedule="* * * * * *"))
    live.until(lambda: live.one("SELECT count(*) FROM run_slots"))
    live.terminate()
    with contextlib.closing(sqlite3.connect(live.places.database)) as db, db:
        db.execute("UPDATE cursors SET at = at + 864000")
    before = live.one("SELECT max(slot) FROM run_slots")
    live.start()
    live.until(lambda: live.one("SELECT max(slot) FROM run_slots") > before + 1)
    assert "the clock was set back" in live.log
    live.until(lambda: live.one("SELECT at FROM cursors") < time.time() + 60)
