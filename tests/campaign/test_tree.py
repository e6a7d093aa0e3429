"""A command that ignores TERM, with a child in a session of its own that ignores it too: a timeout and a cancel end all of it,
whoever of daemon, holder and guard is killed meanwhile."""

from __future__ import annotations

import os
import signal
import time

import pytest

from cronflow.keeper import tree
from tests.campaign.household import carrying
from tests.campaign.test_stall import present
from tests.campaign.workload import kill
from tests.daemon.live import Live, job

DEAF = "trap '' TERM INT HUP; "
STUBBORN = f'{DEAF} echo $$ >> "$HOUSE/pids"; setsid sh -c \'{DEAF} echo $$ >> "$HOUSE/pids"; while :; do sleep 60; done\' & '
STUBBORN += "while :; do sleep 60; done"
KILL_AFTER = 1.5
KILLED = [(), ("daemon",), ("holder",), ("guard",), ("holder", "guard"), ("daemon", "holder", "guard")]


def start(live: Live, command: str = STUBBORN, **keys: object) -> tuple[int, list[int]]:
    """A run of the stubborn job; the pids of its two shells."""
    env = {"HOUSE": str(live.folder)}
    live.start(job("a", command, env=env, kill_after=f"{KILL_AFTER}s", **keys))
    run = live.run("a")
    pids = live.path("pids")
    live.until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "the command did not begin")
    live.started(run, "a")
    return run, [int(pid) for pid in pids.read_text().split()]


def hit(live: Live, roles: tuple[str, ...]) -> None:
    """Kill some of those who should see to the end; another daemon is started where that one goes."""
    house = present(live)
    if "daemon" in roles:
        live.signal(signal.SIGKILL)
        live.ended()
    for role in roles:
        if role != "daemon":
            kill(house.holder if role == "holder" else house.guard)
    if "daemon" in roles:
        live.start()


def bearers(live: Live) -> list[int]:
    """What is alive of any attempt of this folder."""
    return [pid for pid in carrying(f"HOUSE={live.folder}") if tree.attempt_of(pid) is not None]


def alive(pid: int) -> bool:
    process = tree.look(pid)
    return process is not None and process.state not in "ZX"


def gone(live: Live) -> bool:
    return not bearers(live)


@pytest.mark.parametrize("killed", KILLED, ids=lambda roles: "+".join(roles) or "nobody")
def test_a_cancel_ends_all_of_it(live: Live, killed: tuple[str, ...]) -> None:
    run, pids = start(live)
    asked = time.monotonic()
    live.ask("cancel", run=run)
    time.sleep(0.2)
    assert len(bearers(live)) >= 2, "it does not ignore TERM"
    hit(live, killed)
    assert live.final(run) == "cancelled"
    assert time.monotonic() - asked >= KILL_AFTER - 0.3, "it had no time to clean up"
    assert bearers(live) == []
    assert not any(alive(pid) for pid in pids)
    assert time.monotonic() - asked < 10 * (KILL_AFTER + 1)


@pytest.mark.parametrize("killed", KILLED, ids=lambda roles: "+".join(roles) or "nobody")
def test_a_timeout_ends_all_of_it(live: Live, killed: tuple[str, ...]) -> None:
    run, _ = start(live, timeout="2s")
    hit(live, killed)
    assert live.final(run) == "failed"
    assert live.rows("SELECT result, reason FROM attempts WHERE run = ?", run) == [("timeout", "timeout")]
    assert bearers(live) == []


@pytest.mark.parametrize("killed", KILLED[2:], ids="+".join)
def test_what_a_dead_command_leaves_of_its_tree_is_ended_by_whoever_is_left(live: Live, killed: tuple[str, ...]) -> None:
    """The command itself obeys; its child does not, and is waited for when the keeper goes."""
    run, pids = start(live, STUBBORN.removeprefix(DEAF))
    main = live.started(run, "a")
    live.ask("cancel", run=run)
    live.until(lambda: not os.path.exists(f"/proc/{main}"), "it ignores TERM")
    hit(live, killed)
    assert live.final(run) == "cancelled"
    assert live.rows("SELECT result, signal FROM attempts WHERE run = ?", run) == [("cancelled", signal.SIGTERM)]
    assert bearers(live) == []
    assert not any(alive(pid) for pid in pids)


def test_a_timeout_holds_while_no_daemon_runs(live: Live) -> None:
    run, _ = start(live, timeout="1s")
    live.signal(signal.SIGKILL)
    live.ended()
    live.process = None
    live.until(lambda: gone(live), "the keeper does not mind the timeout")
    live.start()
    assert live.final(run) == "failed"
    assert live.rows("SELECT result, reason FROM attempts WHERE run = ?", run) == [("timeout", "timeout")]


def test_a_second_cancel_kills_at_once(live: Live) -> None:
    live.start(job("a", STUBBORN, env={"HOUSE": str(live.folder)}, kill_after="10m"))
    run = live.run("a")
    live.started(run, "a")
    live.until(lambda: len(bearers(live)) >= 4)
    live.ask("cancel", run=run)
    time.sleep(0.3)
    assert not gone(live)
    live.ask("cancel", run=run)
    assert live.final(run) == "cancelled"
    assert gone(live)
