"""A house with keepers in a folder of its own, which is left empty of processes whatever a test does."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cronflow.keeper import client, tree
from cronflow.keeper.client import Connection
from cronflow.keeper.protocol import Message

PATIENCE = 20.0
"""Seconds after which a test calls something hung; nothing here takes a tenth of it."""


class House:
    """Keepers of one folder, and what they have said."""

    def __init__(self, folder: Path, cgroups: bool) -> None:
        self.folder = folder
        self.cgroups = cgroups
        self.tag = f"{os.getpid()}-{time.monotonic_ns()}:"
        self.said: list[Message] = []
        self.answer: Message = {}
        self._keepers: list[tuple[int, int]] = []
        self._connections: list[Connection] = []

    def start(self, generation: int = 1) -> Connection:
        """A keeper, and the connection to it after its hello."""
        connection = client.start_keeper(str(self.folder), generation, cgroups=self.cgroups)
        self.hello(connection)
        return connection

    def connect(self, keeper: int, generation: int) -> Connection:
        """A connection to a keeper that is there; its answer is `answer`."""
        connection = client.connect(str(self.folder), keeper, generation)
        assert connection is not None
        self.hello(connection)
        return connection

    def hello(self, connection: Connection) -> Message:
        self._connections.append(connection)
        message = self.answer = self.wait(connection, lambda m: m["type"] == "hello")
        process = tree.look(message["pid"])
        assert process is not None
        self._note(message["pid"])
        if message["role"] == "holder":
            self._note(process.parent)
        return message

    def _note(self, pid: int) -> None:
        process = tree.look(pid)
        if process is not None and "cronflow.keeper" in tree.command_of(pid):
            self._keepers.append((process.pid, process.ticks))

    def holder(self) -> int:
        return int(next(m["pid"] for m in reversed(self.said) if m["type"] == "hello"))

    def guard(self) -> int:
        process = tree.look(self.holder())
        assert process is not None
        return process.parent

    def request(self, name: str, command: str | list[str], **more: Any) -> Message:
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else command
        env = {"PATH": "/usr/local/bin:/usr/bin:/bin"} | more.pop("env", {}) | {"CRONFLOW_ID": self.tag + name}
        return {"type": "spawn", "id": self.tag + name, "argv": argv, "env": env, "log": str(self.log(name))} | more

    def spawn(self, connection: Connection, name: str, command: str | list[str], **more: Any) -> None:
        connection.send(self.request(name, command, **more))

    def stop(self, connection: Connection, name: str, why: str = "cancel", now: bool = False) -> None:
        connection.stop(self.tag + name, why, now)

    def acknowledge(self, connection: Connection, name: str) -> None:
        connection.acknowledge(self.tag + name)
        connection.flush()

    def journal(self, generation: int) -> list[Message]:
        return [self._plain(entry) for entry in client.read_journal(str(self.folder), generation)]

    def bearers(self, name: str) -> list[int]:
        """The pids of what carries the id of this attempt."""
        alive = [process.pid for process in tree.table().values() if process.state not in "ZX"]
        return [pid for pid in alive if tree.attempt_of(pid) == self.tag + name]

    def survivors(self, name: str, pid: int, ticks: int | None) -> list[int]:
        return [process.pid for process in tree.survivors(self.tag + name, pid, ticks)]

    def _plain(self, message: Message) -> Message:
        """A message as if names were short; on the wire they are this house's own."""
        if isinstance(message.get("id"), str):
            message["id"] = message["id"].removeprefix(self.tag)
        for entry in message.get("attempts", ()):
            self._plain(entry)
        return message

    def log(self, name: str) -> Path:
        return self.folder / (name.replace("/", "_") + ".log")

    def wait(self, connection: Connection, wanted: Callable[[Message], bool], seconds: float = PATIENCE) -> Message:
        """The first message from now on for which `wanted` is true."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            messages = [self._plain(message) for message in connection.receive(until - time.monotonic())]
            self.said += messages
            for message in messages:
                if wanted(message):
                    return message
            if connection.closed:
                log = self.folder / "keeper.log"
                trace = log.read_text() if log.exists() else ""
                raise AssertionError(f"the keeper has hung up: {trace} said so far: {self.said}")
        raise AssertionError(f"not said in {seconds} s: {self.said[-20:]}")

    def started(self, connection: Connection, name: str) -> Message:
        return self._about(connection, name, "started")

    def final(self, connection: Connection, name: str) -> Message:
        return self._about(connection, name, "ended", "failed")

    def _about(self, connection: Connection, name: str, *types: str) -> Message:
        def meant(message: Message) -> bool:
            return message["type"] in types and message.get("id") == name

        for message in self.said:
            if meant(message):
                return message
        return self.wait(connection, meant)

    def run(self, connection: Connection, name: str, command: str | list[str], **more: Any) -> Message:
        self.spawn(connection, name, command, **more)
        return self.final(connection, name)

    def clear(self) -> None:
        for connection in self._connections:
            connection.close()
        for pid, ticks in self._keepers:
            process = tree.look(pid)
            if process is not None and process.ticks == ticks:
                tree.send_signal(process, signal.SIGCONT)
                tree.kill([process])
        for _ in range(50):
            left = [p for p in tree.table().values() if p.state not in "ZX" and self._ours(p.pid)]
            left += [p for p in tree.table().values() if (p.pid, p.ticks) in self._keepers and p.state not in "ZX"]
            if not left:
                break
            tree.kill(left)
            time.sleep(0.02)

        for generation in client.generations(str(self.folder)):
            client.forget(str(self.folder), generation)

    def _ours(self, pid: int) -> bool:
        return (tree.attempt_of(pid) or "").startswith(self.tag)


@pytest.fixture
def house(tmp_path: Path, cgroups: bool) -> Iterator[House]:
    made = House(tmp_path, cgroups)
    yield made
    made.clear()


@pytest.fixture
def cgroups() -> bool:
    """Whether keepers may use cgroups; a test that is about ending trees is run both ways."""
    return True


def eventually(truth: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Waits until it holds; AssertionError if it does not."""
    until = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < until, "it never came to hold"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    process = tree.look(pid)
    return process is not None and process.state not in "ZX"


def exited(status: int | None) -> int:
    assert status is not None
    return os.waitstatus_to_exitcode(status)
