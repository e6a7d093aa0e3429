"""Commands that become many: a fork bomb, 2,000 children, grandchildren in sessions of their own, all of it deaf to TERM.

Each is ended by its timeout or by a cancel. Nothing of it is left `kill_after` + 2 s later, and the daemon answers all the time.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import sys
import time
from collections.abc import Iterator
from multiprocessing import Event, Pipe, Process
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

from cronflow.cli import client
from cronflow.places import Places
from tests.campaign.household import carrying
from tests.daemon.live import Live, job, living
from tests.faults.rows import Outcome, Row

KILL_AFTER = 1.0
GONE_WITHIN = 2.0
ANSWERS_WITHIN = 0.5
MARGIN = 10
"""A bound of time is told from a hang; the figures are in the notes."""
AT_MOST = 500
"""Processes of the user of a fork bomb: the limit that any machine should have."""
DEAF = "trap '' TERM INT HUP; "
DAEMON = "import os,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
CHILDREN = "i=0; while [ $i -lt {many} ]; do sleep 600 & i=$((i + 1)); done; echo up; wait"
SESSIONS = 'i=0; while [ $i -lt {many} ]; do setsid sh -c "sleep 601 & sleep 602" & i=$((i + 10)); done; echo up; wait'
BOMB = (
    f"exec prlimit --nproc={AT_MOST} perl -e '$SIG{{$_}} = q(IGNORE) for qw(TERM INT HUP); $| = 1; print qq(up\\n);"
    " while (1) { fork() // select(undef, undef, undef, 0.001) }'"
)
KINDS = ("bomb", "children", "sessions", "deaf children", "deaf sessions", "daemons")
BEARER = "nobody"


class Seen(NamedTuple):
    """What one trial has shown: how long after its end was asked for the tree was gone, and the slowest answer meanwhile."""

    gone_s: float
    ping_s: float
    processes: int
    wrong: tuple[str, ...]


def command(kind: str, many: int) -> str:
    """A command that becomes many."""
    if kind == "bomb":
        return BOMB
    if kind == "daemons":
        one = f"{sys.executable} -I -S -c '{DAEMON}'"
        return f"{DEAF} i=0; while [ $i -lt {many // 40} ]; do {one}; i=$((i + 1)); done; echo up; while :; do sleep 1; done"
    text = (CHILDREN if kind.endswith("children") else SESSIONS).format(many=many)
    return DEAF + text.replace("wait", "while :; do sleep 1; done") if kind.startswith("deaf") else text


def trial(live: Live, kind: str, how: str, many: int) -> Seen:
    """Let a command become many, end it, and look what is left."""
    env = {"HOUSE": str(live.folder)}
    keys: dict[str, object] = {"user": BEARER, "cwd": "/"} if kind == "bomb" else {}
    if how == "timeout":
        keys["timeout"] = "6s"
    live.start(job("many", command(kind, many), env=env, kill_after=f"{KILL_AFTER}s", **keys) + job("a", "true"))
    run = live.run("many")
    log = live.places.log(run, "many", 1)
    live.until(lambda: log.exists() and "up" in log.read_text(errors="replace"), "the command does not come to be many")
    if kind == "bomb":
        time.sleep(1.0)
    fault = f"the command does not become {at_least(kind, many)} processes"
    live.until(lambda: len(bearers(live)) >= at_least(kind, many), fault)  # one that is in its exec bears nothing
    with asking(live) as answers:
        most = len(bearers(live))
        asked = time.time()
        if how == "cancel":
            live.ask("cancel", run=run)
        live.final(run)
        if how == "timeout":
            asked = live.one("SELECT started_at FROM attempts WHERE run = ?", run) + 6.0
        gone_s = live.one("SELECT finished_at FROM attempts WHERE run = ?", run) - asked
        left = bearers(live)
    wrong = [f"{len(left)} processes are left"] if left else []
    wrong += [f"gone after {gone_s:.1f} s"] if gone_s > KILL_AFTER + MARGIN * GONE_WITHIN else []
    slowest = max(answers, default=float("inf"))
    wrong += [f"an answer took {slowest:.1f} s"] if slowest > MARGIN * ANSWERS_WITHIN else []
    result = live.one("SELECT result FROM attempts WHERE run = ?", run)
    wrong += [f"it has ended as {result}"] if result != ("timeout" if how == "timeout" else "cancelled") else []
    if live.final(live.run("a")) != "success":
        wrong.append("another job does not run afterwards")
    return Seen(gone_s, slowest, most, tuple(wrong))


def at_least(kind: str, many: int) -> int:
    """How many processes a command must have become: of the children all, of the others those that it has waited for."""
    shares = {"bomb": 4, "children": 1, "deaf children": 1, "sessions": 10, "deaf sessions": 10, "daemons": 40}
    return (AT_MOST if kind == "bomb" else many) // shares[kind]


@contextlib.contextmanager
def asking(live: Live) -> Iterator[list[float]]:
    """Has the daemon answer all the time; how long each answer took is in the list at the end."""
    took: list[float] = []
    stop, (told, teller) = Event(), Pipe(duplex=False)
    asker = Process(target=ask, args=(live.places, stop, teller))
    asker.start()
    teller.close()
    try:
        yield took
    finally:
        stop.set()
        with contextlib.suppress(EOFError):
            took += told.recv()
        asker.join()


def ask(places: Places, stop: Any, teller: Connection) -> None:
    """Asks from a process of its own that goes before all others, where it may: else the figure were how long the question had to
    wait for a processor, and not the answer."""
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    answers = []
    while not stop.is_set():
        begun = time.monotonic()
        client.ping(places, MARGIN * 10.0)
        answers.append(time.monotonic() - begun)
        stop.wait(0.05)
    teller.send(answers)


def bearers(live: Live) -> list[int]:
    """What is alive of any attempt of this folder."""
    return carrying(f"HOUSE={live.folder}")


def forks(trials: int, seed: int) -> Outcome:
    """Each kind in turn, by cancel and by timeout; 100 processes at the counts of a test run."""
    many = 2000 if trials >= len(KINDS) else 100
    wrong: list[str] = []
    seen: list[Seen] = []
    why_not = no_bomb()
    skipped = 0
    for number in range(trials):
        kind, how = KINDS[(number + seed - 1) % len(KINDS)], ("cancel", "timeout")[number // len(KINDS) % 2]
        if kind == "bomb" and why_not:
            skipped += 1
            continue
        with living() as live:
            one = trial(live, kind, how, many)
        seen.append(one)
        wrong += [f"{kind}, {how}: {line}" for line in one.wrong]
    slowest, answer = max((one.gone_s for one in seen), default=0.0), max((one.ping_s for one in seen), default=0.0)
    notes = [f"up to {max((one.processes for one in seen), default=0)} processes; all gone within {slowest:.1f} s"
             f" with `kill_after` of {KILL_AFTER:g} s; slowest answer {answer * 1000:.0f} ms"]
    notes += [f"not tested: {skipped} fork bombs: {why_not}"] if skipped else []
    return Outcome(len(seen), 0, 0, tuple(wrong), tuple(notes))


def no_bomb() -> str:
    """Why no fork bomb may be let off here; "" where it may."""
    if os.geteuid() != 0 or shutil.which("prlimit") is None or shutil.which("perl") is None:
        return "it takes root to give it a user with a limit of its own, prlimit(1) and perl(1)"
    try:
        pwd.getpwnam(BEARER)
    except KeyError:
        return f"there is no user `{BEARER}`"
    return ""


ROWS = (
    Row(
        *("forks", "a fork bomb, 2,000 children, grandchildren in other sessions, TERM ignored", 20, 3, forks),
        uncounted=("lost", "twice"),
    ),
)
