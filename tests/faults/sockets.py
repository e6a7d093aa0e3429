"""The control socket: garbage, lines of 10 MB, connections by the thousand, half-open ones, another user.

While each of them does what it does, somebody else is answered; nobody else gets in; and nothing is left of them afterwards.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from cronflow.cli import client
from cronflow.daemon.clients.control import MAX_CLIENTS, name_of
from cronflow.errors import CronflowError
from tests.daemon.live import Live, job, living
from tests.faults.rows import Outcome, Row

ANSWERS_WITHIN = 1.0
MARGIN = 10
"""A bound of time is told from a hang; the figure is in the notes."""
MANY = 1000
OPS = ("ping", "run", "cancel", "retry", "pause", "skip", "follow", "secrets", "approve", "reject", "in_force", "handover")
ODD = (None, True, -1, 1e300, 10**40, "", "a", "\ud800", "x" * 5000, [], ["a"], {}, {"a": []}, float("nan"))
STRANGER = """\
import os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[3])); os.setuid(int(sys.argv[2]))
sock = socket.socket(socket.AF_UNIX)
try:
    sock.connect(sys.argv[1])
    try:
        sock.sendall(b'{"op": "run", "jobs": ["a"]}\\n{"op": "stop"}\\n')
    except BrokenPipeError:
        pass  # it has hung up already; what it said is still there
    print(sock.makefile().readline())
except OSError as error:
    print(type(error).__name__)
"""

Act = Callable[[Live, random.Random], "contextlib.AbstractContextManager[list[str]]"]


def call(live: Live) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(30.0)
    sock.connect(str(live.places.control))
    return sock


def said(sock: socket.socket) -> list[dict[str, object]]:
    """All that a daemon says until it hangs up."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
    return [json.loads(line) for line in data.splitlines()]


def send(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        sock.sendall(data)


@contextlib.contextmanager
def garbage(live: Live, dice: random.Random) -> Iterator[list[str]]:
    """Bytes that are no request, with one behind them that must not be heard."""
    with call(live) as sock:
        noise = bytes(dice.randrange(256) for _ in range(dice.randrange(1, 2000)))
        send(sock, b"!" + noise.replace(b"\n", b"") + b'\n{"op": "stop"}\n')
        answers = said(sock)
        yield [] if [one["ok"] for one in answers] == [False] else [f"garbage is answered with {answers}"]


@contextlib.contextmanager
def odd(live: Live, dice: random.Random) -> Iterator[list[str]]:
    """A request whose fields are of any shape; one that would be obeyed is left out."""
    op = dice.choice(OPS)
    keys = dice.sample(("jobs", "run", "task", "at", "until", "slots", "params", "reason", "from", "trigger", "words"), 3)
    fields = {key: dice.choice(ODD) for key in keys if key != "jobs"} | {"jobs": dice.choice(ODD[:9])}
    with call(live) as sock:
        send(sock, json.dumps({"op": op, **fields}).encode() + b"\n")
        answer = json.loads(sock.makefile().readline())
        yield [] if isinstance(answer.get("ok"), bool) else [f"{op} with {fields} is answered with {answer}"]


@contextlib.contextmanager
def long(live: Live, _dice: random.Random) -> Iterator[list[str]]:
    """A line of 10 MB."""
    with call(live) as sock:
        send(sock, b'{"op": "run", "jobs": ["' + b"x" * 10_000_000 + b'"]}\n')
        answers = said(sock)
        yield [] if [one["ok"] for one in answers] in ([False], []) else [f"10 MB are answered with {answers}"]


@contextlib.contextmanager
def many(live: Live, dice: random.Random) -> Iterator[list[str]]:
    """A thousand connections at once, some of which say half a word. Those beyond the limit are told so."""
    socks: list[socket.socket] = []
    try:
        for number in range(MANY):
            sock = socket.socket(socket.AF_UNIX)
            sock.setblocking(False)
            until = time.monotonic() + 30.0
            while True:
                try:
                    sock.connect(str(live.places.control))
                    break
                except BlockingIOError:  # the queue is full: a daemon that lives empties it
                    assert time.monotonic() < until, "nobody takes up calls any more"
                    time.sleep(0.001)
            socks.append(sock)
            if number % 3 == 0:
                with contextlib.suppress(OSError):
                    sock.send(b'{"op": "pi')
        told = answer_at_once(live)
        for sock in dice.sample(socks, MANY - MAX_CLIENTS // 2):  # else nobody else would be served
            sock.close()
        yield [] if "are talking to the daemon already" in told else [f"with {MANY} connections somebody else is told {told!r}"]
    finally:
        for sock in socks:
            sock.close()


@contextlib.contextmanager
def half_open(live: Live, dice: random.Random) -> Iterator[list[str]]:
    """One that never reads, one that has shut its side, one that says half a word, one that resets."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(call(live)) for _ in range(4)]
        socks[0].setblocking(False)
        with contextlib.suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
            for _ in range(dice.randrange(1, 300)):
                socks[0].send(b'{"op": "ping"}\n' * 20)
        socks[1].shutdown(socket.SHUT_WR)
        socks[2].send(b'{"op": "stop"')
        socks[3].send(b'{"op": "follow", "runs": [1]}\n')
        socks[3].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socks[3].close()
        yield []


@contextlib.contextmanager
def stranger(live: Live, dice: random.Random) -> Iterator[list[str]]:
    """Another user, also where the modes of folder and socket would let him in."""
    nobody = pwd.getpwnam("nobody")
    opened = dice.random() < 0.5
    live.state.chmod(0o755 if opened else 0o700)
    live.places.control.chmod(0o777 if opened else 0o600)
    words = [sys.executable, "-I", "-S", "-c", STRANGER, str(live.places.control), str(nobody.pw_uid), str(nobody.pw_gid)]
    answer = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    right = "belongs to" in answer if opened else answer == "PermissionError"
    yield [] if right else [f"another user is told {answer!r}"]


def acts_of_all() -> list[tuple[int, Act]]:
    """What is done to the socket, and how often of a hundred."""
    found: list[tuple[int, Act]] = [(30, garbage), (35, odd), (8, long), (2, many), (20, half_open)]
    return [*found, (5, stranger)] if os.geteuid() == 0 else found


def sockets(trials: int, seed: int) -> Outcome:
    """So many callers of every kind, one after the other, at one daemon."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4096), hard), hard))
    dice = random.Random(seed)
    wrong: list[str] = []
    slowest = 0.0
    weights, acts = zip(*acts_of_all(), strict=True)
    with living() as live:
        live.start(job("a", "true", every="1d") + job("tick", "true", schedule="* * * * * *"))
        before = open_files(live)
        for number in range(trials):
            act = acts[number] if number < len(acts) else dice.choices(acts, weights)[0]
            with act(live, dice) as lines:
                wrong += [f"seed {seed} {number}: {line}" for line in lines]
                took = answered(live)
                slowest = max(slowest, took)
                if took > MARGIN * ANSWERS_WITHIN:
                    wrong.append(f"seed {seed} {number}, {act.__name__}: an answer took {took:.1f} s")
        live.until(lambda: open_files(live) <= before + 8, "connections are left open")
        wrong += [f"the daemon says `{word}`" for word in ("Traceback", "defect") if word in live.log]
        unwanted = live.rows("SELECT DISTINCT verb FROM acts WHERE verb IN ('stop', 'reload', 'resume')")
        wrong += [f"{verb} was obeyed" for (verb,) in unwanted]
        strangers = live.rows("SELECT DISTINCT by FROM runs WHERE trigger = 'manual' UNION SELECT by FROM acts")
        me = name_of(os.geteuid())
        wrong += [f"`{name}` was obeyed" for (name,) in strangers if name != me]
        status = live.terminate()
        wrong += [f"the daemon ends with {status}"] if status else []
    notes = [f"the slowest answer to somebody else took {slowest * 1000:.0f} ms"]
    notes += [] if os.geteuid() == 0 else ["not tested: another user: only root may become one"]
    return Outcome(trials, 0, 0, tuple(wrong), tuple(notes))


def answer_at_once(live: Live) -> str:
    """What somebody is told who calls only once."""
    with contextlib.suppress(CronflowError, OSError), client.connect(live.places) as daemon:
        try:
            return str(daemon.ask("ping", seconds=MARGIN * ANSWERS_WITHIN))
        except CronflowError as refusal:
            return refusal.message
    return "nothing"


def answered(live: Live) -> float:
    """How long somebody else waits for an answer; one who is told that too many talk tries again, as the message says."""
    begun = time.monotonic()
    while client.ping(live.places, 30.0) is None:
        assert live.alive(), "the daemon has ended"
        assert time.monotonic() - begun < 60.0, "nobody is answered any more"
        time.sleep(0.01)
    return time.monotonic() - begun


def open_files(live: Live) -> int:
    assert live.process is not None
    return len(os.listdir(f"/proc/{live.process.pid}/fd"))


ROWS = (
    Row(
        "socket",
        "the control socket: garbage, 10 MB lines, 1,000 connections, half-open ones, another user",
        *(1000, 40, sockets),
        uncounted=("lost", "twice"),
    ),
)
