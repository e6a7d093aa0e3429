"""`python -m benchmarks.prune [--runs 1000000] [--seconds 40]`: how late jobs start while half of a long history is removed.

A daemon on a year of history has a job that starts each second, and a person starts another one by hand all the time; for some
seconds as it is, then while `cronflow prune` removes what is older than half a year.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import threading
import time
from typing import Any

from benchmarks.history import make
from tests.daemon.live import Live, job, living

KEEP = 'keep_runs = "395d"'
LESS = 'keep_runs = "182d"'


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prune", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=40.0)
    options = parser.parse_args(arguments)
    with living() as live:
        live.folder.rmdir()
        make(live.folder, runs=options.runs)
        beat = job("beat", "true", schedule="* * * * * *") + job("hand", "true", overlap="allow")
        live.write(live.file.read_text() + beat)
        live.start()
        before = _late(live, options.seconds)
        live.write(live.file.read_text().replace(KEEP, LESS))
        live.cli("reload")
        runs = live.one("SELECT count(*) FROM runs")
        begun = time.monotonic()
        pruning = subprocess.Popen([*live.command("prune")], env=live.env, cwd=live.folder, stdout=subprocess.PIPE, text=True)
        while_pruning = _late(live, options.seconds, pruning)
        print("\n| | starts | median, ms | 99 %, ms | longest, ms |\n| --- | ---: | ---: | ---: | ---: |")
        for name, figures in (*_told("without", before), *_told("while pruning", while_pruning)):
            figures.sort()
            picked = (figures[len(figures) // 2], figures[len(figures) * 99 // 100], figures[-1])
            print(f"| {name} | {len(figures)} |", " | ".join(f"{1000 * one:.1f}" for one in picked), "|")
        gone = runs - live.one("SELECT count(*) FROM runs")
        how = "going on" if pruning.poll() is None else "over"
        print(f"\n{gone} runs fewer after {time.monotonic() - begun:.0f} s; {how}")
        pruning.kill()
        pruning.wait()
    return 0


def _told(name: str, late: dict[str, list[float]]) -> list[Any]:
    return [(f"{which}, {name}", figures) for which, figures in late.items()]


def _late(live: Live, seconds: float, pruning: subprocess.Popen[str] | None = None) -> dict[str, list[float]]:
    """How long after their second jobs were begun, and how long a request waits for its answer."""
    first = live.one("SELECT max(id) FROM runs")
    answers: list[float] = []
    end = time.monotonic() + seconds

    def by_hand() -> None:
        while time.monotonic() < end and (pruning is None or pruning.poll() is None):
            begun = time.perf_counter()
            live.run("hand")
            answers.append(time.perf_counter() - begun)
            time.sleep(0.05)

    person = threading.Thread(target=by_hand)
    person.start()
    person.join()
    query = "SELECT attempts.created_at - slot FROM runs JOIN attempts ON run = id WHERE flow = 'beat' AND id > ?"
    return {"each second": [row[0] for row in live.rows(query, first)], "by hand": answers}


if __name__ == "__main__":
    sys.exit(main())
