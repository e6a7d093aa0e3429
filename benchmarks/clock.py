"""When commands start: each reads the clock itself and prints it, so that its start is over when it is measured."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

from benchmarks.program import House

CLOCK = [shutil.which("date") or "/bin/date", "+%s.%N"]


def sleep_until(at: float) -> None:
    """To an instant of the wall clock, as a loop in Python does it."""
    while (left := at - time.time()) > 0:
        time.sleep(left)


def next_slot(every: int, ahead: float = 0.0) -> int:
    """The next full `every` seconds since the epoch that is at least so far ahead."""
    return (int(time.time() + ahead) // every + 1) * every


def clock_jobs(count: int, every: int) -> str:
    """Jobs that print the clock, all at the same second and, as in the loop, all at once."""
    command = ", ".join(f'"{word}"' for word in CLOCK)
    when = f"*/{every} * * * * *" if every > 1 else "* * * * * *"
    limit = f"[settings]\nmax_running = {max(count, 64)}\n\n"
    return limit + "".join(f'[jobs.job{number}]\nschedule = "{when}"\ncommand = [{command}]\n\n' for number in range(count))


def printed(home: House, slot: float, until: float) -> list[float]:
    """The clocks that commands of the daemon have printed between two instants, in order: their logs are read."""
    found = []
    for folder in (home.state / "logs").glob("*/*"):
        if folder.stat().st_mtime >= slot - 1.0:
            found += [float(text) for log in folder.glob("*.log") if (text := log.read_text().strip())]
    return sorted(clock for clock in found if slot <= clock < until)


def bare_loop(count: int, slot: float, folder: Path) -> list[float]:
    """The same commands at an instant, from a bare loop of `subprocess.Popen`: the clocks that they print, in order."""
    times = folder / "times"
    with open(times, "ab") as file:
        sleep_until(slot)
        processes = [subprocess.Popen(CLOCK, stdin=subprocess.DEVNULL, stdout=file) for _ in range(count)]
        for process in processes:
            process.wait()
    clocks = sorted(map(float, times.read_text().split()))
    times.unlink()
    return clocks
