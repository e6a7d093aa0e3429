"""The graph of 1,000 no-op tasks in other orchestrators, each from PyPI in an environment of its own, as near to its usual way
as it allows. Each has a file here that draws the same graph from `benchmarks.graph`."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.figures import Figure, Goal, Options, in_turn
from benchmarks.graph import WIDTH, job_file, task
from benchmarks.program import House, fresh_folder, house

HERE = Path(__file__).resolve().parent
LAYERS = 10
LIMIT = 600.0
"""Seconds after which one that is still running is ended, and said to take longer."""
ONCE = 60.0
"""Seconds from which on one time is enough."""


class Peer(NamedTuple):
    """`command` are the words after the folder of its programs; `prepare` those that make what it needs, not measured; `beside`
    what has to be installed with it for it to start."""

    package: str
    command: tuple[str, ...]
    prepare: tuple[str, ...] = ()
    goal: bool = True
    beside: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.package.removeprefix("apache-")


PEERS = (
    Peer("doit", ("doit", "-f", str(HERE / "doit_graph.py"), "-d", ".", "-n", "2"), goal=False),
    Peer("luigi", ("luigi", "--module", "benchmarks.peers.luigi_graph", "All", "--local-scheduler", "--workers", "2")),
    Peer("snakemake", ("snakemake", "-s", str(HERE / "Snakefile"), "-j", "2")),
    Peer("dagster", ("dagster", "job", "execute", "-m", "benchmarks.peers.dagster_graph", "-j", "graph")),
    Peer("prefect", ("python", "-m", "benchmarks.peers.prefect_graph"), beside=("fastapi<0.140",)),  # 3.8.8 breaks with 0.165
    Peer("apache-airflow", ("airflow", "dags", "test", "graph", "2026-01-01"), ("airflow", "db", "migrate")),
)


def peers(options: Options) -> list[Figure]:
    """Each against cronflow, by turns. One that cannot be installed, or fails, is named, and the others are measured."""
    if options.install is None:
        raise RuntimeError("`--install DIR` names the folder for the other orchestrators, some gigabytes")
    found = []
    with house(options, job_file(LAYERS)) as home:
        home.call("run", task(0, 0))
        for peer in PEERS:
            print(f" {peer.name}", end="", file=sys.stderr, flush=True)
            try:
                found.append(_measured(options, home, peer, installed(peer.package, Path(options.install), *peer.beside)))
            except (RuntimeError, OSError) as error:
                print(f" ({error})", end="", file=sys.stderr)
    return found


def installed(package: str, folder: Path, *beside: str) -> Path:
    """The folder of its programs; installs it where it is not yet. RuntimeError where that cannot be."""
    place = folder.absolute() / package
    programs = place / "bin"
    if not version(programs, package):
        for words in ([sys.executable, "-m", "venv", str(place)], [str(programs / "pip"), "install", "-q", package, *beside]):
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"not installed: {' '.join(done.stderr.split())[-300:]}")
    return programs


def version(programs: Path, package: str) -> str:
    """What is installed there; empty if it is not."""
    python = programs / "python"
    if not python.exists():
        return ""
    words = [str(python), "-c", f"import importlib.metadata as m; print(m.version({package!r}))"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def _measured(options: Options, home: House, peer: Peer, programs: Path) -> Figure:
    against = f"{peer.name} {version(programs, peer.package)}"
    what = f"graph of {LAYERS * WIDTH:,} no-op tasks"
    goal = Goal(1.0) if peer.goal else None

    def ours() -> float:
        return home.call("run", task(0, 0)).seconds

    def theirs() -> float:
        with _place(options, peer, programs) as run:
            return run()

    first = (ours(), theirs())
    if first[1] < ONCE:
        pairs = in_turn(options.times(3), ours, theirs, warm=False)
        note = f"{min(pairs.ours):.1f} s against {min(pairs.theirs):.1f} s at best"
        return pairs.figure(what, against, None if goal is None else goal.limit, note)
    more = "more than " if first[1] >= LIMIT else ""
    note = f"{first[0]:.1f} s against {more}{first[1]:.0f} s, once"
    return Figure(what, against, (first[0] / first[1],), goal, "×", first[:1], first[1:], note)


@contextlib.contextmanager
def _place(options: Options, peer: Peer, programs: Path) -> Iterator[Callable[[], float]]:
    """A fresh folder, in which nothing has been done yet, and the run in it."""
    with fresh_folder(options) as folder:
        env = _environment(programs, folder)
        if peer.prepare:
            _run([str(programs / peer.prepare[0]), *peer.prepare[1:]], env, folder)
        yield lambda: _run([str(programs / peer.command[0]), *peer.command[1:]], env, folder)


def _environment(programs: Path, folder: Path) -> dict[str, str]:
    """Everything that it keeps is in the folder; nothing is told to its makers."""
    return {
        "PATH": f"{programs}:/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(HERE.parents[1]),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(HERE / "airflow"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "DO_NOT_TRACK": "1",
        "DAGSTER_HOME": str(folder),
    }


def _run(command: list[str], env: dict[str, str], folder: Path) -> float:
    """Seconds until it has ended, or LIMIT. Nothing of it is left behind: it is in a session of its own."""
    begun = time.perf_counter()
    with open(folder / "output", "ab") as said:
        process = subprocess.Popen(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        try:
            status = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            return LIMIT
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if status:
        raise RuntimeError(f"ended with {status}: {' '.join((folder / 'output').read_text(errors='replace').split())[-1500:]}")
    return time.perf_counter() - begun
