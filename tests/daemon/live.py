"""A real daemon with a job file and a state folder of its own; whatever a test does, nothing of it is left running."""

from __future__ import annotations

import compileall
import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from cronflow.cli import client
from cronflow.keeper import tree
from cronflow.places import Places

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = (sys.executable, "-m", "cronflow.cli.main")
compileall.compile_dir(ROOT / "cronflow", quiet=2)  # once, and not in each of the processes that tests start
PATIENCE = 30.0
"""Seconds after which a test calls something hung; nothing here takes a tenth of it."""

T = TypeVar("T")


@dataclass
class Answer:
    """What a command said and how it ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one object on standard output."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


@dataclass
class Live:
    """A folder with `jobs.toml` and `state`, and the daemons that run in it, one after the other."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TZ": "Europe/Berlin",
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CRONFLOW_FILE": str(self.file),
            "CRONFLOW_STATE": str(self.state),
            **self.env,
        }

    # ---- places ----------------------------------------------------------------------------------------------------------

    @property
    def file(self) -> Path:
        return self.folder / "jobs.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def places(self) -> Places:
        return Places(self.file, self.state, self.state)

    def path(self, name: str) -> Path:
        return self.folder / name

    def write(self, text: str, name: str = "jobs.toml") -> Path:
        """Write a file of the folder at once, as an editor does: beside it, then renamed."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text)
        fresh.chmod(0o644)
        fresh.rename(path)
        return path

    # ---- the daemon ------------------------------------------------------------------------------------------------------

    def start(self, jobs: str | None = None, *program: str, **env: str) -> Live:
        """Start a daemon and wait until it answers."""
        if jobs is not None:
            self.write(jobs)
        self.launch(*program, **env)
        self.until(lambda: client.ping(self.places), "the daemon does not answer")
        return self

    def launch(self, *program: str, **env: str) -> subprocess.Popen[bytes]:
        """Start a daemon (`program`: the words of another one than `cronflow daemon`) and do not wait for it."""
        with open(self.folder / "daemon.log", "ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *(program or (*PROGRAM, "daemon"))],
                env={**self.env, **env},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        return self.process

    @property
    def log(self) -> str:
        """All that the daemons have said."""
        return (self.folder / "daemon.log").read_text(errors="replace")

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def ended(self) -> int:
        """The exit status of the daemon, once it has one."""
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def terminate(self) -> int:
        """End the daemon as systemd does; commands go on."""
        self.signal(signal.SIGTERM)
        return self.ended()

    # ---- talking ---------------------------------------------------------------------------------------------------------

    def command(self, *words: str) -> list[str]:
        return [*self.prefix, *PROGRAM, *words]

    def cli(self, *words: str, **env: str) -> Answer:
        """Call the program."""
        done = subprocess.run(
            self.command(*words),
            env={**self.env, **env},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=2 * PATIENCE,
            check=False,
        )
        return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """A request over the control socket."""
        with client.connect(self.places) as daemon:
            return daemon.ask(op, fields)

    def run(self, *jobs: str, **fields: Any) -> int:
        """Start jobs by hand; the number of the run."""
        return int(self.ask("run", jobs=list(jobs), **fields)["runs"][0])

    # ---- looking ---------------------------------------------------------------------------------------------------------

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database says; [] while it is not there yet."""
        path = self.state / "cronflow.db"
        if not path.exists():
            return []
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as db:
            return db.execute(query, values).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        rows = self.rows(query, *values)
        return rows[0][0] if rows else None

    def output(self, run: int, task: str, n: int = 1) -> str:
        return self.places.log(run, task, n).read_text(errors="replace")

    def until(self, what: Callable[[], T], otherwise: str = "it did not come to be", seconds: float = PATIENCE) -> T:
        """What a condition gives, once it gives something true. Fails at once if the daemon has died of a defect."""
        end = time.monotonic() + seconds
        while not (found := what()):
            assert time.monotonic() < end, f"{otherwise} within {seconds:g} s\n{self.log[-3000:]}"
            assert self.process is None or self.process.poll() in (None, 0), self.log[-3000:]
            time.sleep(0.02)
        return found

    def final(self, run: int) -> str:
        """The state in which a run has ended."""
        query = "SELECT state FROM runs WHERE id = ? AND finished_at IS NOT NULL"
        return str(self.until(lambda: self.one(query, run), f"run {run} did not end"))

    def started(self, run: int, task: str, n: int = 1) -> int:
        """The pid of an attempt that has begun."""
        query = "SELECT pid FROM attempts WHERE run = ? AND task = ? AND n = ? AND kind = 'command'"
        return int(self.until(lambda: self.one(query, run, task, n), f"{run}/{task}/{n} did not begin"))

    def stays(self, what: Callable[[], bool], seconds: float) -> None:
        """A condition that holds all the time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert what()
            time.sleep(0.05)

    # ---- the end ---------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the daemon and everything that its keepers hold."""
        if self.alive():
            assert self.process is not None
            self.process.kill()
            self.process.wait(PATIENCE)
        end = time.monotonic() + PATIENCE
        while (pids := self.left()) and time.monotonic() < end:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)
        assert not pids, f"processes {pids} are left"

    def left(self) -> list[int]:
        """The keepers of this folder (it is in their command line), and before them all that they hold."""
        parents, keepers = dict[int, int](), set[int]()
        mark = str(self.folder)
        for name in os.listdir("/proc"):
            process = tree.look(int(name)) if name.isdigit() else None
            if process is not None:
                parents[process.pid] = process.parent
                if self._is_keeper(process.pid, mark):
                    keepers.add(process.pid)
        held = {pid for pid in parents if pid not in keepers and any(above in keepers for above in _above(pid, parents))}
        return [*held, *keepers]

    def _is_keeper(self, pid: int, mark: str) -> bool:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="surrogateescape").split("\0")
        except OSError:
            return False
        return any("cronflow.keeper" in word for word in words) and any(word.startswith(mark) for word in words)


def _above(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    """The parent of a process, its parent, and so on."""
    while (pid := parents.get(pid, 0)) > 1:
        yield pid


def state_of(pid: int) -> tree.Process | None:
    """A process as the kernel shows it, or None."""
    return tree.look(pid)


def job(name: str, command: str, **keys: Any) -> str:
    """A `[jobs.NAME]` as text; values are written as TOML understands JSON."""
    lines = [f"[jobs.{name}]", f"command = {json.dumps(command)}"]
    lines += [f"{key} = {_value(value)}" for key, value in keys.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_value(one)}" for key, one in value.items()) + " }"
    return json.dumps(value)


@contextlib.contextmanager
def living(env: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()) -> Iterator[Live]:
    """A folder that others can enter too, with a daemon yet to be started; empty of processes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="cronflow-test-"))
    folder.chmod(0o755)
    live = Live(folder, dict(env or {}), prefix)
    try:
        yield live
    finally:
        live.close()
        shutil.rmtree(folder, ignore_errors=True)
