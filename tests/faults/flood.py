"""Output without end: 3 GiB in lines, in one line, in bytes; on a file system that can punch holes and on one that cannot.

The log never takes more of the disk than `max_output` and what is written in 0.2 s; its head and tail stay; the daemon answers.
As a program, run in a mount namespace of its own: `python -m tests.faults.flood KIND BYTES`, which prints one JSON object.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

from cronflow.cli import client
from cronflow.keeper import output
from tests.daemon.live import ROOT, Live, job, living
from tests.faults.rows import Outcome, Row

FULL, SHORT = 3 << 30, 200 << 20
FIRST, LAST = "this is the head", "this is the tail"
LIMIT = 1 << 20
WRITTEN_WITHIN = 0.2
ANSWERS_WITHIN = 0.5
MARGIN = 10
"""A bound of time is told from a hang; the figures are in the notes."""
KINDS = {
    "lines": "yes 'a line of a job that says the same for ever' | head -c {size}; echo",
    "one line": "head -c {size} /dev/zero | tr '\\0' x",
    "bytes": "head -c {size} /dev/urandom; echo",
}
TRIALS = (("lines", True), ("one line", False), ("bytes", True), ("lines", False), ("one line", True), ("bytes", False))


class Seen(NamedTuple):
    """What a flood has shown: the longest time whose writing was on the disk beside `max_output`, the slowest answers."""

    behind_s: float
    ping_s: float
    status_s: float
    most_bytes: int
    wrong: tuple[str, ...]


def flood(live: Live, kind: str, size: int) -> Seen:
    """One flood, looked at all the time."""
    live.start(job("flood", f"echo {FIRST}; {KINDS[kind].format(size=size)}; echo {LAST}", max_output="1MiB"))
    run = live.run("flood", only=True)
    log = live.places.log(run, "flood", 1)
    samples: list[tuple[float, int, int]] = []
    over = threading.Event()
    looker = threading.Thread(target=look, args=(log, samples, over))
    looker.start()
    ping_s = status_s = 0.0
    try:
        while live.one("SELECT finished_at FROM runs WHERE id = ?", run) is None:
            begun = time.monotonic()
            assert client.ping(live.places, 10.0), "the daemon does not answer"
            ping_s = max(ping_s, time.monotonic() - begun)
            begun = time.monotonic()
            assert live.cli("status").status == 0
            status_s = max(status_s, time.monotonic() - begun)
            time.sleep(0.2)
    finally:
        over.set()
        looker.join()
    behind = longest(samples)
    wrong = (*kept(live, run, log), *late(behind, ping_s, status_s))
    return Seen(behind, ping_s, status_s, max((taken for _, _, taken in samples), default=0), tuple(wrong))


def look(log: Path, samples: list[tuple[float, int, int]], over: threading.Event) -> None:
    """When, how much has been written, how much of the disk it takes. Where no file has blocks, its size is what it takes."""
    while not over.wait(0.01):
        with contextlib.suppress(OSError):
            before, stat = time.monotonic(), os.stat(log)
            taken = min(stat.st_size, stat.st_blocks * 512) if stat.st_blocks else stat.st_size
            samples.append((before, output.written(str(log), LIMIT), taken))


def longest(samples: list[tuple[float, int, int]]) -> float:
    """The longest time before a look whose writing it must have been that stood on the disk beyond the limit."""
    worst = 0.0
    for number, (at, written, taken) in enumerate(samples):
        beyond = taken - LIMIT - output.SLACK
        if beyond <= 0:
            continue
        since = next((then for then, so_far, _ in reversed(samples[:number]) if written - so_far >= beyond), samples[0][0])
        worst = max(worst, at - since)
    return worst


def kept(live: Live, run: int, log: Path) -> list[str]:
    """What is wrong with a log after the flood."""
    shown = b"".join(output.read_log(str(log)))
    wrong = [] if shown.startswith(FIRST.encode() + b"\n") else ["the head is gone"]
    wrong += [] if shown.endswith(LAST.encode() + b"\n") else ["the tail is gone"]
    wrong += [] if shown.count("dropped …\n".encode()) == 1 else ["no word of what was dropped"]
    stat = os.stat(log)
    taken = min(stat.st_size, stat.st_blocks * 512) if stat.st_blocks else stat.st_size
    wrong += [] if taken <= LIMIT + 2 * output.SLACK else [f"it takes {taken} bytes afterwards"]
    wrong += [] if live.one("SELECT exit_code FROM attempts WHERE run = ?", run) == 0 else ["the job has failed"]
    answer = live.cli("logs", str(run), "-n", "5")
    return wrong + ([] if answer.status == 0 and LAST in answer.out else [f"`logs` says {answer.status} {answer.err[:300]}"])


def late(behind: float, ping_s: float, status_s: float) -> list[str]:
    """Bounds of time, with their margin."""
    wrong = [f"{behind:.2f} s of writing stood on the disk"] if behind > MARGIN * WRITTEN_WITHIN else []
    slowest = max(ping_s, status_s)
    return wrong + ([f"an answer took {slowest:.2f} s"] if slowest > MARGIN * ANSWERS_WITHIN else [])


def floods(trials: int, _seed: int) -> Outcome:
    """Each kind in turn; 200 MB at the counts of a test run."""
    size = FULL if trials >= len(TRIALS) - 1 else SHORT
    wrong: list[str] = []
    notes: list[str] = []
    done = 0
    why_not = unmountable()
    for kind, holes in (TRIALS[number % len(TRIALS)] for number in range(trials)):
        if not holes and why_not:
            notes.append(f"not tested: {kind} where holes cannot be punched: {why_not}")
            continue
        seen = here(kind, size) if holes else secluded(kind, size)
        where = f"{size >> 20} MiB, {kind}{'' if holes else ', no holes'}"
        wrong += [f"{where}: {line}" for line in seen.wrong]
        figures = f"at most {seen.most_bytes / 1e6:.0f} MB on the disk, {seen.behind_s:.2f} s of writing"
        notes.append(f"{where}: {figures}; slowest answer {seen.ping_s * 1000:.0f} ms, `cronflow status` {seen.status_s:.2f} s")
        done += 1
    return Outcome(done, 0, 0, tuple(wrong), tuple(notes))


def here(kind: str, size: int) -> Seen:
    with living() as live:
        return flood(live, kind, size)


def unmountable() -> str:
    """Why there can be no file system without holes; "" where there can."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        return "only root may mount"
    tried = subprocess.run([unshare, "-m", "true"], capture_output=True, check=False)
    return "no mount namespaces here" if tried.returncode else ""


def secluded(kind: str, size: int) -> Seen:
    """The same in a mount namespace of its own, on a ramfs: it cannot punch holes (fallocate(2): EOPNOTSUPP)."""
    words = ["unshare", "-m", "--propagation", "private", sys.executable, "-m", "tests.faults.flood", kind, str(size)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    seen = Seen(**json.loads(done.stdout))
    return seen._replace(wrong=tuple(seen.wrong))


def main() -> None:
    kind, size = sys.argv[1], int(sys.argv[2])
    libc = ctypes.CDLL(None, use_errno=True)
    with living() as live:
        live.state.mkdir(mode=0o700)
        if libc.mount(b"none", os.fsencode(live.state), b"ramfs", 0, b"") < 0:
            raise OSError(ctypes.get_errno(), "mount")
        try:
            seen = flood(live, kind, size)
        finally:
            live.close()
            libc.umount2(os.fsencode(live.state), 2)
    print(json.dumps(seen._asdict()))


ROWS = (
    Row(
        *("flood", "a job prints 3 GiB: lines, one line, bytes, also where no holes can be punched", 6, 2, floods),
        uncounted=("lost", "twice"),
    ),
)

if __name__ == "__main__":
    main()
