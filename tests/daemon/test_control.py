"""The control socket: strangers, nonsense, floods and people who go away, while everyone else is still answered."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cronflow.cli import client
from cronflow.errors import CronflowError
from tests.daemon.live import PATIENCE, ROOT, Live, job, living

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
AS_ANOTHER = """\
import os, sys
from cronflow.cli.main import call
uid, gid, *words = sys.argv[1:]
sys.argv = ["cronflow", *words]
call([*words, "--state", "/nowhere/at/all"])  # imports all that it needs, while it may read it
os.setgroups([]); os.setgid(int(gid)); os.setuid(int(uid))
sys.exit(call(words))
"""
RESPONSIVE = 10.0
"""Seconds: ten times what a busy daemon may take to answer; a hung one takes for ever."""


def call(live: Live) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(str(live.places.control))
    connection.settimeout(PATIENCE)
    return connection


def lines(connection: socket.socket, enough: int = 1) -> list[dict[str, Any]]:
    """The first lines that come; fewer if the daemon hangs up."""
    data = b""
    while data.count(b"\n") < enough:
        try:
            piece = connection.recv(65536)
        except ConnectionResetError:
            break
        if not piece:
            break
        data += piece
    return [json.loads(line) for line in data.splitlines()]


def free(live: Live) -> Live:
    """The house, once nothing runs in it."""
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0)
    return live


def answers(live: Live) -> None:
    """Fail if the daemon does not answer in time."""
    begun = time.monotonic()
    with client.connect(live.places) as daemon:
        assert daemon.ask("ping", seconds=RESPONSIVE)["ok"]
    assert time.monotonic() - begun < RESPONSIVE
    assert live.alive()


@pytest.fixture(scope="module")
def house() -> Iterator[Live]:
    """One daemon for all those who do it no harm."""
    with living() as live:
        yield live.start(job("a", "true") + job("long", "sleep 30"))


@pytest.fixture
def quiet(house: Live) -> Iterator[Live]:
    """What is asked of it in a test must not keep it from answering, nor leave an act behind unless the test looks for one."""
    yield house
    answers(house)
    assert "defect" not in house.log


def acts(live: Live, since: int = 0) -> list[tuple[Any, ...]]:
    return live.rows("SELECT by, verb, words, job, run FROM acts WHERE id > ? ORDER BY id", since)


def newest_act(live: Live) -> int:
    return int(live.one("SELECT coalesce(max(id), 0) FROM acts"))


# ---- nonsense -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.0\r\n",
        b"\n",
        b"{}\n",
        b"[]\n",
        b'{"op": 5}\n',
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b'{"op": "ping"\n',
        b"1" * 5000 + b"\n",
        b"NaN\n",
    ],
    ids=lambda line: line[:12].decode(errors="replace").strip() or "empty",
)
def test_what_is_no_request_ends_the_conversation(quiet: Live, line: bytes) -> None:
    with call(quiet) as connection:
        connection.sendall(line + b'{"op": "stop"}\n')
        said = lines(connection, 9)
    assert [one["ok"] for one in said] == [False]
    assert said[0]["error"]["exit"] == 2


@pytest.mark.parametrize(
    "request_",
    [
        {"op": "run"},
        {"op": "run", "jobs": []},
        {"op": "run", "jobs": "a"},
        {"op": "run", "jobs": ["a", 1]},
        {"op": "run", "jobs": ["a"], "at": "noon"},
        {"op": "run", "jobs": ["a"], "at": float("inf")},
        {"op": "run", "jobs": ["a"], "at": float("nan")},
        {"op": "run", "jobs": ["a"], "at": 1e300},
        {"op": "run", "jobs": ["a"], "at": -1},
        {"op": "run", "jobs": ["a"], "words": ["x"]},
        {"op": "run", "jobs": ["a"], "params": ["DAY=x"]},
        {"op": "run", "jobs": ["a"], "params": {"DAY": 5}},
        {"op": "run", "jobs": ["a"], "trigger": "schedule"},
        {"op": "run", "jobs": ["a"], "trigger": "backfill"},
        {"op": "run", "jobs": ["a"], "trigger": ["backfill"], "at": 0},
        {"op": "approve"},
        {"op": "approve", "run": "1", "task": "a"},
        {"op": "approve", "run": 10**40, "task": "a"},
        {"op": "approve", "run": 1, "task": ["a"]},
        {"op": "reject", "run": 1, "task": "a", "reason": {}},
        {"op": "skip"},
        {"op": "skip", "jobs": []},
        {"op": "skip", "jobs": ["a"], "slots": -1},
        {"op": "skip", "jobs": ["a"], "slots": 1001},
        {"op": "skip", "jobs": ["a"], "slots": True},
        {"op": "skip", "jobs": ["a"], "slots": 1.5},
        {"op": "pause", "jobs": ["a"], "until": "noon"},
        {"op": "pause", "jobs": ["a"], "until": [1]},
        {"op": "pause", "jobs": ["a"], "until": float("inf")},
        {"op": "pause", "jobs": ["a"], "reason": 5},
        {"op": "cancel"},
        {"op": "cancel", "run": "1"},
        {"op": "cancel", "run": True},
        {"op": "cancel", "run": 10**40},
        {"op": "cancel", "run": 1, "task": {}},
        {"op": "retry", "run": 10**40},
        {"op": "retry", "run": -(10**40)},
        {"op": "retry", "run": None},
        {"op": "stop", "mode": "now!"},
        {"op": "stop", "mode": ["drain"]},
        {"op": "no-such-thing"},
        {"op": "handover"},
    ],
    ids=str,
)
def test_fields_of_another_shape_are_refused(quiet: Live, request_: dict[str, Any]) -> None:
    before = newest_act(quiet)
    with call(quiet) as connection:
        connection.sendall(json.dumps(request_).encode() + b'\n{"op": "ping"}\n')
        refused, pong = lines(connection, 2)
    assert refused["ok"] is False
    assert refused["error"]["exit"] in (1, 2)
    assert refused["error"]["message"]
    assert pong["ok"] is True
    assert acts(quiet, before) == []


def test_odd_values_that_do_no_harm(quiet: Live) -> None:
    odd: list[dict[str, Any]] = [
        {"op": "follow", "runs": [10**40, -1, "x", None, 7]},
        {"op": "follow", "runs": 5},
        {"op": "secrets"},
        {"op": "secrets", "job": {"a": []}},
        {"op": "secrets", "job": "\ud800"},
        {"op": "in_force", "job": 5},
        {"op": "pause", "jobs": ["a", "a"], "reason": "\udcff \0 \u202e", "words": "cronflow pause \udcff"},
        {"op": "resume", "jobs": None, "words": "\ud800"},
    ]
    before = newest_act(quiet)
    with call(quiet) as connection:
        for one in odd:
            connection.sendall(json.dumps(one).encode() + b"\n")
            assert lines(connection)[0]["ok"], one
    assert [words for _, _, words, _, _ in acts(quiet, before)] == ["cronflow pause \\udcff", "\\ud800"]


def test_words_that_are_no_utf8_are_kept_readable(quiet: Live) -> None:
    done = subprocess.run(
        [*(os.fsencode(word) for word in quiet.command("pause", "a", "--reason")), b"caf\xe9"],
        env=quiet.env,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers(quiet)
    assert quiet.one("SELECT reason FROM pauses") == "caf\\udce9"
    quiet.ask("resume", jobs=["a"])


def test_a_line_of_ten_megabytes_is_cut_off(quiet: Live) -> None:
    with call(quiet) as connection:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(160):
                connection.sendall(b"x" * 65536)
        said = lines(connection)
    assert said[0]["error"]["exit"] == 2
    assert said[0]["error"]["message"] == "a request longer than 1048576 bytes"


def test_a_request_that_comes_in_pieces(quiet: Live) -> None:
    with call(quiet) as connection:
        for byte in b'{"op": "ping"}\n{"op": "ping"}\n{"op"':
            connection.sendall(bytes([byte]))
        assert len(lines(connection, 2)) == 2
        connection.sendall(b': "ping"}\n')
        assert len(lines(connection)) == 1


# ---- people ---------------------------------------------------------------------------------------------------------------


def test_who_asks_and_goes_away_leaves_no_trace(quiet: Live) -> None:
    """Its descriptor is the next one's: who calls then must be heard."""
    for _ in range(30):
        with call(quiet) as connection:
            connection.sendall(b'{"op": "run", "jobs": ["a"]}\n')
        answers(quiet)
    quiet.until(lambda: quiet.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0)


def test_followers_who_go_away(quiet: Live) -> None:
    for _ in range(10):
        connection = call(quiet)
        run = json.dumps({"op": "run", "jobs": ["a"]}).encode() + b"\n"
        connection.sendall(run)
        reply = lines(connection)[0]
        if reply["ok"]:
            connection.sendall(json.dumps({"op": "follow", "runs": reply["runs"]}).encode() + b"\n")
        connection.close()
        answers(quiet)


def test_three_hundred_connections(quiet: Live) -> None:
    connections = [call(quiet) for _ in range(300)]
    try:
        for connection in connections[::3]:
            connection.sendall(b'{"op": ')
        for connection in connections[1::3]:
            connection.sendall(b'{"op": "ping"}\n')
        answers(quiet)
        for connection in connections[1::3]:
            assert lines(connection)[0]["ok"]
        for connection in connections[2::3]:
            connection.shutdown(socket.SHUT_WR)
        answers(quiet)
        assert quiet.final(free(quiet).run("a")) == "success"
    finally:
        for connection in connections:
            connection.close()


def test_more_than_can_be_served_are_told_so(quiet: Live) -> None:
    connections: list[socket.socket] = []
    try:
        for _ in range(520):
            connections.append(call(quiet))
        last = connections[-1]
        assert lines(last)[0]["error"]["message"] == "500 commands are talking to the daemon already"
        assert quiet.alive()
    finally:
        for connection in connections:
            connection.close()
    quiet.until(lambda: client.ping(quiet.places))


def test_who_never_reads_holds_up_nobody(quiet: Live) -> None:
    with call(quiet) as deaf:
        deaf.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            while sent < 50_000:
                sent += deaf.send(b'{"op": "ping"}\n' * 100) // 15
        answers(quiet)
        assert quiet.final(free(quiet).run("a")) == "success"


@needs_root
def test_another_user_is_refused(quiet: Live) -> None:
    nobody, before = pwd.getpwnam("nobody"), newest_act(quiet)
    state, control = quiet.state, quiet.places.control

    def pause() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", AS_ANOTHER, str(nobody.pw_uid), str(nobody.pw_gid), "pause", "a"],
            env={**quiet.env, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )

    refused = pause()
    assert refused.returncode == 5, refused
    assert "belongs to another user, so nothing was paused" in refused.stderr
    state.chmod(0o755)
    control.chmod(0o777)  # the mode of a file is not what keeps others out
    refused = pause()
    assert refused.returncode == 5, refused
    assert f"the daemon belongs to `{pwd.getpwuid(os.geteuid()).pw_name}`" in refused.stderr
    assert acts(quiet, before) == []


# ---- acts -----------------------------------------------------------------------------------------------------------------


def test_acts_are_written_down_and_survive_a_restart(live: Live) -> None:
    """Pause, cancel and retry over the socket, and what the next daemon makes of them."""
    gate = live.path("go")
    live.start(job("a", f"[ -e {gate} ]", every="1d") + job("b", "true", after=["a"]) + job("long", "sleep 30", retries=3))
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert live.cli("pause", "b", "--for", "1h", "--reason", "vendor migration").status == 0
    failed = live.run("a")
    assert live.final(failed) == "failed"
    slow = live.run("long")
    live.started(slow, "long")
    live.terminate()

    live.start()
    status = {one["name"]: one for one in live.cli("status", "--json").json["jobs"]}
    assert status["b"]["paused"]
    assert not status["a"]["paused"]
    assert live.cli("cancel", str(slow)).status == 0
    assert live.final(slow) == "cancelled"
    assert live.rows("SELECT n, result FROM attempts WHERE run = ?", slow) == [(1, "cancelled")]
    gate.touch()
    assert live.cli("retry", str(failed)).status == 0
    retried = live.one("SELECT max(id) FROM runs")
    assert live.rows("SELECT name, state FROM tasks WHERE run = ? ORDER BY name", retried) == [("a", "success"), ("b", "success")]
    assert live.cli("resume", "b").status == 0
    assert live.cli("resume", "b").status == 1
    live.terminate()

    live.start()
    assert not any(one["paused"] for one in live.cli("status", "--json").json["jobs"])
    assert acts(live) == [
        (me, "pause", "cronflow pause b --for 1h --reason 'vendor migration'", "b", None),
        (me, "run", "run", "a", failed),
        (me, "run", "run", "long", slow),
        (me, "cancel", f"cronflow cancel {slow}", None, slow),
        (me, "retry", f"cronflow retry {failed}", None, retried),
        (me, "resume", "cronflow resume b", "b", None),
    ]


def test_a_paused_job_is_skipped_by_its_slots_across_a_restart(live: Live) -> None:
    live.start(job("a", "true", schedule="* * * * * *") + job("b", "true", every="1s"))
    live.ask("pause", jobs=["a"])
    live.terminate()
    live.start()
    skipped = "SELECT coalesce(sum(slots), 0) FROM runs WHERE flow = 'a' AND reason = 'paused'"
    count = live.one(skipped)
    live.until(lambda: live.one(skipped) > count + 1)
    live.ask("resume", jobs=["a"])
    live.until(lambda: live.one("SELECT max(id) FROM runs WHERE flow = 'a' AND state = 'success'"))


def test_a_pause_with_an_end_ends_by_itself(live: Live) -> None:
    live.start(job("a", "true", schedule="* * * * * *"))
    live.ask("pause", jobs=["a"], until=time.time() + 1.5)
    live.until(lambda: live.rows("SELECT * FROM pauses"))
    live.until(lambda: not live.rows("SELECT * FROM pauses"))
    with pytest.raises(CronflowError, match="is not paused"):
        live.ask("resume", jobs=["a"])


def test_unknown_jobs_and_runs_are_refused_with_four(quiet: Live) -> None:
    before, runs = newest_act(quiet), quiet.one("SELECT max(id) FROM runs")
    for op, fields in (
        ("run", {"jobs": ["a", "none"]}),
        ("pause", {"jobs": ["none"]}),
        ("resume", {"jobs": ["none"]}),
        ("retry", {"run": 7777}),
    ):
        with pytest.raises(CronflowError) as refusal:
            quiet.ask(op, **fields)
        assert refusal.value.exit_status == 4
    assert acts(quiet, before) == []
    assert quiet.one("SELECT max(id) FROM runs") == runs
