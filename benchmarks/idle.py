"""A daemon with 10,000 jobs of which none is due: its memory, the time it takes from the processors, how often it wakes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.figures import Figure, Goal, Options
from benchmarks.program import PATIENCE, House, house

JOBS = 10_000
SETTLE = 65.0
"""Seconds after the start of the daemon before it is watched: its look through the database, once a day, is over then."""
QUICKLY = 5.0
"""The same where only a few things are measured, to see that it works."""
_SAME = """
import importlib, sys
for name in sys.stdin.read().split():
    try:
        importlib.import_module(name)
    except ImportError:
        pass
print("ready", flush=True)
sys.stdin = None
import time
time.sleep(1e6)
"""


def idle(options: Options) -> list[Figure]:
    """Against an idle Python that has imported the same libraries."""
    jobs = JOBS // 10 if options.quick else JOBS
    seconds = 10.0 if options.quick else 61.0
    text = "".join(f'[jobs.job{number}]\nschedule = "0 0 1 1 *"\ncommand = "true"\n\n' for number in range(jobs))
    with house(options, text) as home:
        libraries = _libraries(home)
        home.start()
        assert home.daemon is not None
        pids = [home.daemon.pid, *home.keepers()]
        time.sleep(QUICKLY if options.quick else SETTLE)
        other = _same_libraries(home, libraries)
        try:
            return [_memory(jobs, pids, other.pid), *_rest(jobs, pids, seconds)]
        finally:
            other.kill()
            other.wait(PATIENCE)


def _libraries(home: House) -> list[str]:
    """All modules that the daemon imports and that are not its own, as Python tells them."""
    home.start(PYTHONPROFILEIMPORTTIME="1")
    home.stop()
    lines = (home.folder / "daemon.log").read_text().splitlines()
    names = [line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")]
    return [name for name in names if name.split(".")[0] not in ("cronflow", "package", "imported package")]


def _same_libraries(home: House, names: Sequence[str]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SAME], env=home.env, cwd=home.folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n".join(names))
    process.stdin.close()
    process.stdout.readline()
    return process


def _memory(jobs: int, pids: Sequence[int], other: int) -> Figure:
    """Resident memory of all processes together; pages that they share are counted once."""
    each = [_resident(pid) for pid in pids]
    ours, theirs = _together(each), _together([_resident(other)])
    parts = ", ".join(f"{one.own / 1e6:.0f}" for one in each)
    note = f"{ours / 1e6:.0f} MB against {theirs / 1e6:.0f} MB; daemon and keeper without programs and libraries {parts} MB"
    what = f"{jobs:,} idle jobs: resident memory"
    return Figure(what, "an idle Python with the same libraries", (ours / theirs,), Goal(2.0), "×", (ours,), (theirs,), note)


def _rest(jobs: int, pids: Sequence[int], seconds: float) -> Iterator[Figure]:
    """What happens in a minute in which no slot is due."""
    wakes, spent = [_wakes(pid) for pid in pids], [_spent(pid) for pid in pids]
    time.sleep(seconds)
    woken = [_wakes(pid) - before for pid, before in zip(pids, wakes, strict=True)]
    used = [_spent(pid) - before for pid, before in zip(pids, spent, strict=True)]
    minute = 60.0 / seconds
    note = ", ".join(f"{name} {count}" for name, count in zip(("daemon", "keeper", "keeper"), woken, strict=False))
    what = f"{jobs:,} idle jobs: times that a process sleeps and wakes, a minute"
    yield Figure(what, "nothing but a look every 30 s", (sum(woken) * minute,), Goal(3.0), "", note=note)
    what = f"{jobs:,} idle jobs: processor time, a minute"
    yield Figure(what, "nothing", (sum(used) * minute * 1000,), Goal(50.0), "ms", tuple(used))


class Resident(NamedTuple):
    """Bytes of a process in memory: its own, a part of those that it shares with others of its family; programs and libraries."""

    own: float
    files: float


def _together(each: Sequence[Resident]) -> float:
    return sum(one.own for one in each) + max(one.files for one in each)


def _resident(pid: int) -> Resident:
    """As proc_pid_smaps(5) and proc_pid_status(5) have it: of what a fork shares each has its part (Pss_Anon)."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        own = next(int(line.split()[1]) for line in file if line.startswith("Pss_Anon:"))
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        files = next(int(line.split()[1]) for line in file if line.startswith("RssFile:"))
    return Resident(own * 1024.0, files * 1024.0)


def _wakes(pid: int) -> int:
    """Voluntary context switches of all threads: each is a sleep that has ended (proc_pid_status(5))."""
    count = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status", encoding="ascii") as file:
            count += next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches"))
    return count


def _spent(pid: int) -> float:
    """Seconds on a processor, to the nanosecond (the first field of /proc/PID/schedstat), else in ticks of the clock."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9
    except OSError:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
