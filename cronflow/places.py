"""Where things are: the job file, its state folder, its runtime folder, the log of an attempt.

State belongs to a job file: the default file has the folder `default`, another one `<stem>-<8 hex of its path>`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Places(NamedTuple):
    """The job file, the state folder (database, logs, journals) and the runtime folder (sockets)."""

    file: Path
    state: Path
    runtime: Path

    @property
    def database(self) -> Path:
        return self.state / "cronflow.db"

    @property
    def lock(self) -> Path:
        return self.state / "lock"

    @property
    def control(self) -> Path:
        """The control socket."""
        return self.runtime / "control.sock"

    @property
    def journals(self) -> Path:
        return self.state / "keeper"

    @property
    def alive(self) -> Path:
        """A file whose time of change is when a daemon was last seen alive."""
        return self.state / "alive"

    def of_run(self, run: int) -> Path:
        """The folder of all files of a run: `logs/1/1423`, a thousand runs to a folder."""
        return Path(f"{self.state}/logs/{run // 1000}/{run}")

    def log(self, run: int, task: str, n: int, kind: str = "command") -> Path:
        """The log of an attempt: `load.2.log`; a step bears its kind: `load.check3.log`."""
        tail = str(n) if kind == "command" else f"{kind}{n}"
        return Path(f"{self.state}/logs/{run // 1000}/{run}/{task}.{tail}.log")

    def task_state(self, run: int, task: str) -> Path:
        """The folder that lasts over the attempts of a task (CRONFLOW_STATE_DIR): `load.state`."""
        return Path(f"{self.state}/logs/{run // 1000}/{run}/{task}.state")

    def output(self, run: int, task: str, attempt: int) -> Path:
        """The file into which an attempt writes what it hands on (CRONFLOW_OUTPUT): `load.2.output`."""
        return Path(f"{self.state}/logs/{run // 1000}/{run}/{task}.{attempt}.output")

    def items(self, run: int, task: str, n: int) -> Path:
        """The file into which a `foreach` prints: `load.1.items`."""
        return Path(f"{self.state}/logs/{run // 1000}/{run}/{task}.{n}.items")

    def paths(self, run: int) -> Path:
        """The list of the files that caused a run, beside its logs."""
        return self.log(run, "", 0).with_name("paths")


def numbers_in(folder: str) -> list[int]:
    """The shelves in the folder of all logs, one for a thousand runs, or the runs on one; nothing where it cannot be read."""
    try:
        return [int(name) for name in os.listdir(folder) if name.isdecimal()]
    except OSError:
        return []


def newest_logged(places: Places) -> int:
    """The highest number of a run that has logs; 0 without any."""
    logs = places.state / "logs"
    shelf = max(numbers_in(str(logs)), default=None)
    return 0 if shelf is None else max(numbers_in(str(logs / str(shelf))), default=0)


def find_places(
    file: str | None = None, state: str | None = None, environ: Mapping[str, str] = os.environ, uid: int | None = None
) -> Places:
    """The places for a job file and state folder as named (options, then CRONFLOW_FILE and CRONFLOW_STATE), or the defaults
    of the XDG Base Directory Specification for a user and of the FHS for root."""
    root = (os.geteuid() if uid is None else uid) == 0
    standard = _default_file(environ, root)
    path = Path(os.path.abspath(file or environ.get("CRONFLOW_FILE") or standard))
    named = state or environ.get("CRONFLOW_STATE")
    if named:
        folder = Path(os.path.abspath(named))
        return Places(path, folder, folder)
    name = "default" if path == standard else f"{path.stem}-{_digest(path)}"
    folder = _state_home(environ, root) / "cronflow" / name
    runtime = "/run" if root else environ.get("XDG_RUNTIME_DIR", "")
    if not runtime or not os.path.isdir(runtime):
        return Places(path, folder, folder)
    return Places(path, folder, Path(runtime) / "cronflow" / name)


def _digest(path: Path) -> str:
    import hashlib

    return hashlib.sha256(os.fsencode(path)).hexdigest()[:8]


def _default_file(environ: Mapping[str, str], root: bool) -> Path:
    if root:
        return Path("/etc/cronflow/jobs.toml")
    base = environ.get("XDG_CONFIG_HOME") or os.path.join(environ.get("HOME", "/"), ".config")
    return Path(base) / "cronflow" / "jobs.toml"


def _state_home(environ: Mapping[str, str], root: bool) -> Path:
    if root:
        return Path("/var/lib")
    return Path(environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME", "/"), ".local", "state"))
