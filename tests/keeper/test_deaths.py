"""Holder, guard or both are killed while commands run, start and end: every status is known, nothing runs twice.

CRONFLOW_KEEPER_ROUNDS sets how often each of the repeated tests is run.
"""
from __future__ import annotations

import os
import random
import signal
import time
from itertools import takewhile
from pathlib import Path

import pytest

from cronflow.keeper import client, tree
from cronflow.keeper.protocol import Message
from cronflow.linux import Pidfd

from .conftest import House, eventually, exited, is_alive

ROUNDS = int(os.environ.get("CRONFLOW_KEEPER_ROUNDS", "12"))
EACH = 24


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def reconnect(house: House, generation: int = 1) -> tuple[client.Connection | None, dict[str, Message]]:
    """What the keeper, or the journal of a dead one, now says of its attempts."""
    folder = str(house.folder)
    while True:
        connection = client.connect(folder, 1, generation)
        if connection is not None:
            try:
                message = house.hello(connection)
                return connection, {entry["id"]: entry for entry in message["attempts"]}
            except AssertionError:
                assert connection.closed
        if not client.alive(folder, 1):
            return None, {entry["id"]: entry for entry in house.journal(1)}
        time.sleep(0.005)


def collect(house: House, connection: client.Connection | None, known: dict[str, Message]) -> dict[str, Message]:
    """The end of each of these attempts."""
    ends = {name: entry for name, entry in known.items() if entry["state"] in ("ended", "failed")}
    while connection is not None and len(ends) < len(known):
        message = house.wait(connection, lambda m: m["type"] in ("ended", "failed"))
        for said in house.said:
            if said["type"] in ("ended", "failed") and said["id"] in known:
                ends.setdefault(said["id"], said)
        assert message["id"] in ends
    return ends


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_holder_is_killed_and_no_status_is_lost(house: House, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    keeper = house.start()
    count = tmp_path / "count"
    expected = {}
    for number in range(EACH):
        name = f"{seed}/{number}"
        expected[name] = number
        house.spawn(keeper, name, f"echo {number} >> {count}; sleep {dice.uniform(0, 0.25):.3f}; exit {number}")
    time.sleep(dice.uniform(0, 0.15))
    holder = house.holder()
    kill(holder)
    keeper.close()
    connection, known = reconnect(house)
    ends = collect(house, connection, known)
    ran = sorted(int(line) for line in count.read_text().split()) if count.exists() else []
    assert ran == sorted(expected[name] for name in ends), "what ran is what is known, and once"
    assert {name: exited(end["status"]) for name, end in ends.items()} == {name: expected[name] for name in ends}
    if connection is not None:
        assert house.answer["role"] == "guard"
        for name in ends:
            house.acknowledge(connection, name)
        eventually(lambda: connection.receive() == [] and connection.closed)
    eventually(lambda: not client.alive(str(house.folder), 1))


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_guard_is_killed_and_the_holder_ends_in_peace(house: House, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    keeper = house.start()
    for number in range(EACH):
        house.spawn(keeper, f"{seed}/{number}", f"echo x >> {tmp_path}/count; sleep {dice.uniform(0, 0.2):.3f}; exit {number}")
    house.started(keeper, f"{seed}/0")
    time.sleep(dice.uniform(0, 0.1))
    kill(house.guard())
    house.wait(keeper, lambda m: m["type"] == "draining")
    house.spawn(keeper, f"{seed}/late", "true")
    assert house.wait(keeper, lambda m: m["type"] == "refused")["why"] == "draining"
    started = {m["id"] for m in house.said if m["type"] == "started"}
    for name in started:
        assert exited(house.final(keeper, name)["status"]) == int(name.split("/")[1])
    assert len((tmp_path / "count").read_text().split()) == len(started)
    assert is_alive(house.holder())
    for name in started:
        house.acknowledge(keeper, name)
    eventually(lambda: keeper.receive() == [] and keeper.closed)
    eventually(lambda: not client.alive(str(house.folder), 1))


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_both_are_killed_and_the_journal_is_final(house: House, tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    keeper = house.start()
    for number in range(EACH):
        pause = dice.uniform(0, 0.1)
        house.spawn(keeper, f"{seed}/{number}", f"echo {number} >> {tmp_path}/count; sleep {pause:.3f}; exit {number}")
    time.sleep(dice.uniform(0, 0.12))
    guard, holder = house.guard(), house.holder()
    for pid in dice.sample([guard, holder], 2):
        kill(pid)
    eventually(lambda: not client.alive(str(house.folder), 1))
    known = {entry["id"]: entry for entry in house.journal(1)}
    ended = {name for name, entry in known.items() if entry["state"] == "ended"}
    for name in ended:
        assert exited(known[name]["status"]) == int(name.split("/")[1])
    for name in set(known) - ended:
        eventually(lambda name=name: not house.survivors(name, known[name]["pid"], known[name]["ticks"]))  # type: ignore[misc]
    ran = sorted(int(line) for line in (tmp_path / "count").read_text().split()) if (tmp_path / "count").exists() else []
    never_started = sorted({int(name.split("/")[1]) for name in known} - set(ran))
    assert sorted(set(ran)) == ran
    assert set(ran) <= {int(name.split("/")[1]) for name in known}
    assert all(known[f"{seed}/{number}"]["state"] != "ended" for number in never_started)


def test_an_heir_goes_on_with_timeouts_and_stops(house: House) -> None:
    keeper = house.start()
    deaf = "trap '' TERM; echo up; while :; do sleep 0.05; done"
    house.spawn(keeper, "timed", "sleep 600", timeout=0.8, kill_after=5)
    house.spawn(keeper, "stopping", deaf, kill_after=1.0)
    house.spawn(keeper, "later", f"setsid sh -c \"{deaf}\" & sleep 600", kill_after=0.3)
    for name in ("stopping", "later"):
        eventually(lambda name=name: house.log(name).exists() and "up" in house.log(name).read_text())  # type: ignore[misc]
    house.stop(keeper, "stopping", why="cancel")
    time.sleep(0.1)
    kill(house.holder())
    connection, known = reconnect(house)
    assert connection is not None
    assert {entry["state"] for entry in known.values()} == {"running"}
    assert house.final(connection, "timed")["stopped"] == "timeout"
    assert house.final(connection, "timed")["status"] == signal.SIGTERM
    assert house.final(connection, "stopping")["stopped"] == "cancel"
    assert house.final(connection, "stopping")["status"] == signal.SIGKILL
    house.stop(connection, "later")
    assert house.final(connection, "later")["stopped"] == "cancel"
    assert house.bearers("later") == []


def test_an_heir_knows_what_was_told_to_nobody(house: House) -> None:
    keeper = house.start()
    house.run(keeper, "ended", "exit 9")
    house.run(keeper, "failed", "true", cwd="/no/such")
    house.run(keeper, "gone", "true")
    house.acknowledge(keeper, "gone")
    house.spawn(keeper, "runs", "sleep 600")
    house.started(keeper, "runs")
    keeper.close()
    kill(house.holder())
    connection, known = reconnect(house, generation=2)
    assert connection is not None
    assert {name: entry["state"] for name, entry in known.items()} == {"ended": "ended", "failed": "failed", "runs": "running"}
    assert exited(known["ended"]["status"]) == 9
    assert known["ended"]["cpu_s"] is not None
    assert known["failed"]["stage"] == "cwd"
    house.stop(connection, "runs")
    assert house.final(connection, "runs")["status"] == signal.SIGTERM


def test_a_holder_killed_as_its_commands_end_leaves_the_dead_to_its_heir(house: House) -> None:
    keeper = house.start()
    for number in range(10):
        house.spawn(keeper, f"{number}", f"while [ ! -e {house.folder}/go ]; do sleep 0.01; done; exit {number}")
        house.started(keeper, f"{number}")
    holder = house.holder()
    os.kill(holder, signal.SIGSTOP)
    (house.folder / "go").touch()
    eventually(lambda: all(p.state == "Z" for p in tree.table().values() if p.parent == holder))
    kill(holder)
    connection, known = reconnect(house)
    ends = collect(house, connection, known)
    assert {name: exited(end["status"]) for name, end in ends.items()} == {f"{number}": number for number in range(10)}
    assert all(end["cpu_s"] is not None for end in ends.values())


def test_what_was_left_behind_is_inherited_with_its_name(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", "setsid sleep 600 & sleep 600", kill_after=0.2)
    eventually(lambda: len(house.bearers("a")) == 3 or len(house.bearers("a")) == 2)
    kill(house.holder())
    connection, _ = reconnect(house)
    assert connection is not None
    house.stop(connection, "a")
    house.final(connection, "a")
    assert house.bearers("a") == []


def test_what_outlives_both_still_tells_its_status(house: House) -> None:
    keeper = house.start()
    for number in range(5):
        house.spawn(keeper, f"{number}", f"while [ ! -e {house.folder}/go ]; do sleep 0.01; done; exit {number}")
    house.spawn(keeper, "killed", "sleep 600")
    house.started(keeper, "killed")
    guard, holder = house.guard(), house.holder()
    kill(guard)
    kill(holder)
    eventually(lambda: not client.alive(str(house.folder), 1))
    known = {entry["id"]: entry for entry in house.journal(1)}
    assert {entry["state"] for entry in known.values()} == {"running"}
    orphans = {name: Pidfd(entry["pid"], entry["ticks"]) for name, entry in known.items()}
    assert not any(orphan.ended() for orphan in orphans.values())
    (house.folder / "go").touch()
    kill(known["killed"]["pid"])
    eventually(lambda: all(orphan.ended() for orphan in orphans.values()))
    time.sleep(0.1)
    seen = {name: orphan.status() for name, orphan in orphans.items()}
    for orphan in orphans.values():
        orphan.close()
    told_by_kernel = {f"{number}": number << 8 for number in range(5)} | {"killed": signal.SIGKILL}
    assert all(seen[name] in (status, None) for name, status in told_by_kernel.items())
    if kernel() >= (6, 15):
        assert seen == told_by_kernel


def test_an_orphan_is_not_mistaken_for_a_later_bearer_of_its_pid() -> None:
    process = tree.look(os.getpid())
    assert process is not None
    with pytest.raises(ProcessLookupError):
        Pidfd(process.pid, process.ticks - 1)


def test_a_reaped_process_tells_where_the_kernel_can() -> None:
    pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 5"], {})
    process = tree.look(pid)
    assert process is not None
    orphan = Pidfd(pid, process.ticks)
    eventually(orphan.ended)
    assert orphan.status() == 5 << 8
    os.waitpid(pid, 0)
    assert orphan.status() == (5 << 8 if kernel() >= (6, 15) else None)
    orphan.close()


def kernel() -> tuple[int, int]:
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(takewhile(str.isdigit, minor)))
