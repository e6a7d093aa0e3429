"""The real command line in a folder of its own, and a peer at its control socket that says what it is told to say."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.live import Answer

PROGRAM = (sys.executable, "-m", "cronflow.cli.main")
ROOT = Path(__file__).resolve().parents[2]
JOBS = """\
timezone = "Europe/Berlin"
[defaults]
timeout = "1h"
[jobs.extract]
schedule = "0 4 * * *"
command = "true"
[jobs.load]
after = ["extract"]
command = "true"
env = { GREETING = "it's here", EMPTY = "" }
[jobs.sweep]
command = "true"
"""


@dataclass
class Cli:
    """The program with a job file and a state folder of its own."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "jobs.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def command(self, *words: str) -> list[str]:
        return [*PROGRAM, *words]

    def __call__(self, *words: str, **env: str) -> Answer:
        done = subprocess.run(
            self.command(*words),
            env={**self.env, **env},
            cwd=self.folder,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=100,
            check=False,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *words: str, **env: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self.command(*words), env={**self.env, **env}, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "TZ": "Europe/Berlin",
        "PYTHONPATH": str(ROOT),
        "CRONFLOW_FILE": str(folder / "jobs.toml"),
        "CRONFLOW_STATE": str(folder / "state"),
    }


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    os.chmod(tmp_path, 0o755)
    (tmp_path / "state").mkdir()
    (tmp_path / "jobs.toml").write_text(JOBS)
    (tmp_path / "jobs.toml").chmod(0o644)
    return Cli(tmp_path, environment(tmp_path))


Talk = Callable[["Conversation", dict[str, Any]], None]


class Conversation:
    """One connection to the peer."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection

    def say(self, message: dict[str, Any]) -> None:
        self.raw(json.dumps(message).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.connection.sendall(data)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class Peer:
    """Listens where a daemon would, writes down each request, and lets `talk` answer it."""

    def __init__(self, folder: Path, talk: Talk) -> None:
        self.requests: list[dict[str, Any]] = []
        self._talk = talk
        self._folder = os.open(folder, os.O_PATH | os.O_DIRECTORY)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(f"/proc/self/fd/{self._folder}/control.sock")
        self._listener.listen(8)
        self._over, self._end = os.pipe()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        buffers: dict[socket.socket, bytes] = {}
        while True:
            watched = [self._over, self._listener.fileno(), *(connection.fileno() for connection in buffers)]
            ready = select.select(watched, [], [])[0]
            if self._over in ready:
                for connection in buffers:
                    connection.close()
                return
            for connection in list(buffers):
                if connection.fileno() in ready:
                    self._read(connection, buffers)
            if self._listener.fileno() in ready:
                buffers[self._listener.accept()[0]] = b""

    def _read(self, connection: socket.socket, buffers: dict[socket.socket, bytes]) -> None:
        try:
            data = connection.recv(65536)
        except OSError:
            data = b""
        if not data:
            del buffers[connection]
            connection.close()
            return
        *lines, buffers[connection] = (buffers[connection] + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            self.requests.append(request)
            self._talk(Conversation(connection), request)

    def close(self) -> None:
        os.write(self._end, b"x")
        self._thread.join(10)
        self._listener.close()
        for fd in (self._folder, self._over, self._end):
            os.close(fd)


@pytest.fixture
def peer(cli: Cli) -> Iterator[Callable[[Talk], Peer]]:
    """Starts a peer that answers as told."""
    peers: list[Peer] = []

    def start(talk: Talk) -> Peer:
        peers.append(Peer(cli.state, talk))
        return peers[-1]

    yield start
    for one in peers:
        one.close()


def always(reply: dict[str, Any]) -> Talk:
    """The same answer to every request."""
    return lambda conversation, _: conversation.say(reply)


def interrupt(process: subprocess.Popen[bytes]) -> Answer:
    """Ctrl-C for a command that waits."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Answer(process.returncode, out.decode(), err.decode())


@dataclass
class Daemon:
    """A real daemon beside the command line under test."""

    cli: Cli
    process: subprocess.Popen[bytes]

    def wait(self, what: Callable[[], bool], seconds: float = 60.0) -> None:
        """Until something is so; a test that waits in vain fails."""
        end = time.monotonic() + seconds
        while not what():
            assert time.monotonic() < end, "it did not come to be"
            time.sleep(0.05)

    def task_state(self, run: int, task: str) -> str | None:
        """What the database says of a task."""
        with contextlib.closing(sqlite3.connect(f"file:{self.cli.state}/cronflow.db?mode=ro", uri=True)) as db:
            row = db.execute("SELECT state FROM tasks WHERE run = ? AND name = ?", (run, task)).fetchone()
        return None if row is None else str(row[0])


@pytest.fixture
def daemon(cli: Cli) -> Iterator[Callable[[str], Daemon]]:
    """Starts the daemon with a job file, and waits until it answers."""
    from cronflow.cli.client import ping
    from cronflow.places import Places

    places = Places(cli.file, cli.state, cli.state)
    processes: list[subprocess.Popen[bytes]] = []

    def start(jobs: str) -> Daemon:
        cli.file.write_text(jobs)
        log = open(cli.folder / "daemon.log", "ab")  # noqa: SIM115 (closed by the process that inherits it, and here)
        processes.append(subprocess.Popen(cli.command("daemon"), env=cli.env, cwd=cli.folder, stderr=log, stdout=log))
        log.close()
        one = Daemon(cli, processes[-1])
        one.wait(lambda: ping(places) is not None or processes[-1].poll() is not None)
        assert processes[-1].poll() is None, (cli.folder / "daemon.log").read_text()
        return one

    yield start
    for process in processes:
        if process.poll() is None:
            cli("stop", "--kill")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(30)
        if process.poll() is None:
            process.kill()
            process.wait(30)
