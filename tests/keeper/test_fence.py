"""Daemon generations: who is heard, and when an answer is final."""
from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from cronflow import wire
from cronflow.keeper import client, protocol, tree

from .conftest import House, eventually


@pytest.mark.parametrize("unread", [1, 40, 400])
def test_requests_of_a_dead_daemon_are_started_before_the_answer_or_never(house: House, tmp_path: Path, unread: int) -> None:
    keeper = house.start(1)
    holder = house.holder()
    os.kill(holder, signal.SIGSTOP)
    eventually(lambda: (process := tree.look(holder)) is not None and process.state == "T")
    for number in range(unread):
        house.spawn(keeper, f"{number}", f"echo {number} >> {tmp_path}/ran")
    keeper.close()
    heir = client.connect(str(house.folder), 1, 2)
    assert heir is not None
    os.kill(holder, signal.SIGCONT)
    answer = house.hello(heir)
    known = {entry["id"] for entry in answer["attempts"]}
    for name in known:
        house.final(heir, name) if next(e for e in answer["attempts"] if e["id"] == name)["state"] == "running" else None
    time.sleep(0.3)
    ran = set((tmp_path / "ran").read_text().split()) if (tmp_path / "ran").exists() else set()
    assert ran == known
    heir.send({"type": "list"})
    again = house.wait(heir, lambda m: m["type"] == "list")
    assert {entry["id"] for entry in again["attempts"]} == known


def test_an_older_daemon_is_shut_out(house: House) -> None:
    old = house.start(1)
    house.spawn(old, "a", "sleep 600")
    house.started(old, "a")
    new = house.connect(1, 5)
    assert [entry["id"] for entry in house.answer["attempts"]] == ["a"]
    assert house.answer["draining"]
    eventually(lambda: old.receive() == [] and old.closed)
    late = client.connect(str(house.folder), 1, 4)
    assert late is not None
    assert late.receive(10) == [{"type": "refused", "id": None, "why": "fenced"}]
    assert late.receive(10) == []
    assert late.closed
    house.stop(new, "a")
    house.final(new, "a")


def test_of_two_with_one_generation_the_newer_is_heard(house: House) -> None:
    first = house.start(3)
    second = house.connect(3, 3)
    eventually(lambda: first.receive() == [] and first.closed)
    assert house.run(second, "a", "true")["status"] == 0


def test_nobody_is_heard_before_hello(house: House) -> None:
    keeper = house.start(1)
    silent = client.Connection(wire.connect(house.folder, "1.sock"), 1)
    silent.send(house.request("a", "true"))
    eventually(lambda: silent.receive() == [] and silent.closed)
    keeper.send({"type": "list"})
    assert house.wait(keeper, lambda m: m["type"] == "list")["attempts"] == []


def test_nonsense_ends_the_connection_and_nothing_else(house: House) -> None:
    keeper = house.start(1)
    house.spawn(keeper, "a", "sleep 600")
    house.started(keeper, "a")
    for line in (b"nonsense\n", b'{"type":"spawn","id":"b"}\n', b'{"type":"dance"}\n', b"x" * (protocol.MAX_LINE + 2)):
        other = house.connect(1, 1)
        other.outgoing += line
        other.flush()
        deadline = time.monotonic() + 20
        while not other.closed and time.monotonic() < deadline:
            other.flush()
            assert other.receive(0.05) == []
        assert other.closed
    last = house.connect(1, 1)
    assert [entry["id"] for entry in house.answer["attempts"]] == ["a"]
    house.stop(last, "a")
    house.final(last, "a")
