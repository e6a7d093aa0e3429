"""`python -m benchmarks.measure [--minutes 3] [--idle 65] [--json FILE] [NAME…]`: figures of this machine, as Markdown and JSON.

NAMEs are `punctual`, `many`, `idle`, `status`; all of them without one. Run it from the top of the sources, on a machine that has
nothing else to do. Times are seconds unless the name says otherwise; `after` is measured from the full minute.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cronflow.core.model import definition
from cronflow.jobfile.read import read
from cronflow.store.store import Store
from tests.campaign.household import keepers
from tests.daemon.live import PROGRAM, Live, job, living

Figures = dict[str, Any]
MANY = 200
IDLE_JOBS = 1000
STATUS_JOBS = 100
STATUS_RUNS = 10_000
BEST_OF = 10
CLOCK = 'date +%s.%N >> "$HOUSE/times"'


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.measure", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*MEASURES, []], metavar="NAME")
    parser.add_argument("--minutes", type=int, default=3, help="full minutes to look at")
    parser.add_argument("--idle", type=float, default=65.0, help="seconds to watch an idle daemon")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args(arguments)
    figures: Figures = {}
    for name in options.names or MEASURES:
        print(f"measuring {name} …", file=sys.stderr, flush=True)
        figures[name] = MEASURES[name](options)
    text = json.dumps(figures, indent=2)
    print(table(figures), f"\n\n```json\n{text}\n```", sep="")
    if options.json is not None:
        options.json.write_text(text + "\n")
    return 0


def table(figures: Figures) -> str:
    """All figures as one Markdown table."""
    lines = ["| measure | figure | value |", "| --- | --- | ---: |"]
    for measure, values in figures.items():
        lines += [f"| {measure} | {name} | {_shown(value)} |" for name, value in values.items()]
    return "\n".join(lines)


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_shown(one) for one in value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


# ---- starts ---------------------------------------------------------------------------------------------------------------


def punctual(options: argparse.Namespace) -> Figures:
    """One job each minute: how long after the minute its process exists, and its command reads the clock."""
    with living() as live:
        live.start(job("a", CLOCK, schedule="* * * * *", env={"HOUSE": str(live.folder)}))
        query = "SELECT slot, attempts.started_at FROM runs JOIN attempts ON run = id WHERE state = 'success' ORDER BY id"
        query = query.replace("WHERE state", "WHERE runs.state")
        rows = live.until(lambda: _enough(live.rows(query), options.minutes), "too few minutes", 60.0 * options.minutes + 90)
        clocks = sorted(float(line) for line in live.path("times").read_text().split())
    return {
        "process started, s after the minute": [started - slot for slot, started in rows],
        "command reads the clock, s after the minute": [clock - clock // 60 * 60 for clock in clocks],
    }


def _enough(rows: list[Any], count: int) -> list[Any]:
    return rows if len(rows) >= count else []


def many(options: argparse.Namespace) -> Figures:
    """200 jobs of one minute, and the same 200 commands from a bare loop of `subprocess.Popen` at the next one, by turns."""
    figures: Figures = {"jobs": MANY}
    with living() as live:
        env = {"HOUSE": str(live.folder), "PATH": live.env["PATH"]}
        live.path("times").touch()
        for _ in range(options.minutes):
            for limit in (64, MANY):
                _many_by_cronflow(live, env, limit)
                _spread(figures, f"cronflow, max_running {limit}", live)
            _many_by_hand(env)
            _spread(figures, "bare loop", live)
    return figures


def _many_by_cronflow(live: Live, env: dict[str, str], limit: int) -> None:
    text = f"[settings]\nmax_running = {limit}\n"
    text += "".join(job(f"job{number}", CLOCK, schedule="* * * * *", env=env) for number in range(MANY))
    while not 5 <= time.time() % 60 <= 50:
        time.sleep(0.2)
    live.start(text)
    live.until(lambda: len(_times(live)) >= MANY, "not all have run", 90.0)
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0)
    live.terminate()


def _many_by_hand(env: dict[str, str]) -> None:
    time.sleep(60 - time.time() % 60)
    command = ["/bin/sh", "-c", CLOCK]
    processes = [subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL) for _ in range(MANY)]
    for process in processes:
        process.wait()


def _times(live: Live) -> list[float]:
    return sorted(float(line) for line in live.path("times").read_text().split())


def _spread(figures: Figures, name: str, live: Live) -> None:
    clocks = _times(live)
    live.path("times").write_text("")
    figures.setdefault(f"{name}: first runs, s after the minute", []).append(clocks[0] % 60)
    figures.setdefault(f"{name}: last runs, s after the minute", []).append(clocks[-1] % 60)


# ---- rest -----------------------------------------------------------------------------------------------------------------


def idle(options: argparse.Namespace) -> Figures:
    """A daemon with 1,000 jobs of which none is due: how often anything wakes, and what it takes."""
    with living() as live:
        live.start("".join(job(f"job{number}", "true", schedule="0 0 1 1 *") for number in range(IDLE_JOBS)))
        assert live.process is not None
        house = live.until(lambda: keepers(live.places.journals))[0]
        time.sleep(5)
        pids = {"daemon": live.process.pid, "holder": house.holder, "guard": house.guard}
        before = {name: _switches(pid) for name, pid in pids.items()}
        cpu = {name: _cpu(pid) for name, pid in pids.items()}
        time.sleep(options.idle)
        figures: Figures = {"jobs": IDLE_JOBS, "watched, s": options.idle}
        for name, pid in pids.items():
            figures[f"{name}: times awake"] = _switches(pid) - before[name]
            figures[f"{name}: cpu"] = _cpu(pid) - cpu[name]
        figures["daemon: RSS, MB"] = _memory(pids["daemon"], "Rss")
        figures["daemon: PSS, MB"] = _memory(pids["daemon"], "Pss")
        figures["keeper, both processes: PSS, MB"] = _memory(house.holder, "Pss") + _memory(house.guard, "Pss")
    return figures


def _switches(pid: int) -> int:
    """Voluntary context switches: each is a sleep that has ended."""
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int, what: str) -> float:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(f"{what}:")) * 1024 / 1e6


# ---- commands -------------------------------------------------------------------------------------------------------------


def status(_options: argparse.Namespace) -> Figures:
    """`cronflow status` with 100 jobs and 10,000 runs against the same Python doing nothing, best of 10."""
    with living() as live:
        names = [f"job{number}" for number in range(STATUS_JOBS)]
        live.write("".join(job(name, "true", schedule="0 0 1 1 *") for name in names))
        live.state.mkdir()
        _fill(live, names)
        with open(os.devnull, "wb") as nowhere:
            bare = _best(lambda: _call(live, [sys.executable, "-c", "pass"], nowhere))
            alone = _best(lambda: _call(live, [*PROGRAM, "status"], nowhere))
            live.start()
            served = _best(lambda: _call(live, [*PROGRAM, "status"], nowhere))
    return {
        "jobs": STATUS_JOBS,
        "runs": STATUS_RUNS,
        "python -c pass, ms": bare * 1000,
        "status with a daemon, ms": served * 1000,
        "status without one, ms": alone * 1000,
        "status with a daemon, × python": served / bare,
    }


def _call(live: Live, command: list[str], nowhere: Any) -> None:
    subprocess.run(command, env=live.env, cwd=live.folder, stdin=subprocess.DEVNULL, stdout=nowhere, check=True)


def _best(what: Callable[[], None]) -> float:
    return min(_timed(what) for _ in range(BEST_OF))


def _timed(what: Callable[[], None]) -> float:
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


def _fill(live: Live, names: list[str]) -> None:
    """A history as a year of work leaves it: most succeed, some fail."""
    jobs = read(str(live.file)).jobs.jobs
    digests = {name: definition({name: jobs[name]}) for name in names}
    now = time.time()
    with _writing(live) as db:
        db.executemany("INSERT INTO definitions VALUES (?, ?, ?)", [(digests[name][0], name, digests[name][1]) for name in names])
        for run in range(1, STATUS_RUNS + 1):
            name = names[run % len(names)]
            at = now - (STATUS_RUNS - run) * 60.0
            state = "failed" if run % 17 == 0 else "success"
            db.execute(
                "INSERT INTO runs (id, flow, trigger, definition, state, created_at, started_at, finished_at)"
                " VALUES (?, ?, 'manual', ?, ?, ?, ?, ?)",
                (run, name, digests[name][0], state, at, at, at + 20),
            )
            db.execute(
                "INSERT INTO tasks (run, name, job, state, attempts, started_at, finished_at) VALUES (?, ?, ?, ?, 1, ?, ?)",
                (run, name, name, state, at, at + 20),
            )
            code = int(state == "failed")
            db.execute(
                "INSERT INTO attempts (run, task, kind, n, state, result, exit_code, pid, created_at, started_at, finished_at)"
                " VALUES (?, ?, 'command', 1, 'ended', ?, ?, 4711, ?, ?, ?)",
                (run, name, state, code, at, at, at + 20),
            )


@contextlib.contextmanager
def _writing(live: Live) -> Iterator[Any]:
    """The one connection that writes, in one transaction."""
    store = Store.open(live.state)
    try:
        store.connection.execute("BEGIN")
        yield store.connection
        store.connection.execute("COMMIT")
    finally:
        store.close()


MEASURES: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "punctual": punctual,
    "many": many,
    "idle": idle,
    "status": status,
}

if __name__ == "__main__":
    sys.exit(main())
