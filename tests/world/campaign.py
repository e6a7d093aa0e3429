"""Many simulated days: calm worlds that go on for months, one seed each.

    python -m tests.world.campaign --days 100000 [--seed N] [--processes 2]

Prints how many days have passed and how many steps they took. A world in which a law is broken is named, and ends the campaign
with status 1.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time

from tests.world.jobfiles import CALM
from tests.world.world import World

DAYS = 200


def live(seed: int) -> tuple[int, int, str]:
    """Let one world go on for `DAYS` days: its seed, how many lines its trace has, and what is wrong with it."""
    world = World(seed, pace=CALM)
    try:
        world.run(hours=24.0 * DAYS)
    except Exception as error:
        return seed, len(world.log), f"{type(error).__name__}: {error}"
    return seed, len(world.log), ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--days", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    words = parser.parse_args()
    worlds = -(-words.days // DAYS)
    lines = done = bad = 0
    began = time.monotonic()
    with multiprocessing.Pool(words.processes) as pool:
        for seed, count, wrong in pool.imap_unordered(live, range(words.seed, words.seed + worlds)):
            done, lines = done + 1, lines + count
            if wrong:
                bad += 1
                print(f"seed {seed}: {wrong}", flush=True)
            if done % 25 == 0 or done == worlds:
                took = time.monotonic() - began
                print(f"{done * DAYS} days, {lines} lines of trace, {bad} worlds with a broken law, {took:.0f} s", flush=True)
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
