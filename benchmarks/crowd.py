"""Many jobs that are due at the same second: when the first, the middle and the last one of them start."""

from __future__ import annotations

import statistics

from benchmarks.clock import bare_loop, clock_jobs, next_slot, printed, sleep_until
from benchmarks.figures import Figure, Goal, Options
from benchmarks.program import House, house

SIZES = ((200, 20), (1000, 30))
"""How many jobs, and every how many seconds they are due."""


def crowd(options: Options) -> list[Figure]:
    """200 and 1,000 jobs, and at another second a bare loop of `subprocess.Popen` over the same commands, by turns."""
    return [figure for count, every in SIZES[: 1 if options.quick else None] for figure in _crowd(options, count, every)]


def _crowd(options: Options, count: int, every: int) -> list[Figure]:
    with house(options, clock_jobs(count, every)) as home:
        home.start()
        _slot(home, count, every)  # not counted: logs, connections and caches are made in the first one
        turns = [_slot(home, count, every) for _ in range(options.times(5))]
    figures = []
    for name, place in (("first", 0), ("median", 1), ("last", 2)):
        ours = tuple(our[place] for our, _ in turns)
        theirs = tuple(their[place] for _, their in turns)
        ratios = tuple(our / their for our, their in zip(ours, theirs, strict=True))
        goal = Goal(1.3) if name == "last" else None
        note = f"{statistics.median(ours) * 1000:.0f} ms against {statistics.median(theirs) * 1000:.0f} ms after the second"
        what = f"{count:,} jobs at the same second: {name} start"
        figures.append(Figure(what, "a bare loop of `Popen`", ratios, goal, "×", ours, theirs, note))
    return figures


def _slot(home: House, count: int, every: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """One slot of the daemon, and half a period later one of the loop: first, median and last start after it, in seconds."""
    slot = next_slot(every)
    half = slot + every // 2
    sleep_until(half - 2.0)
    ours = printed(home, slot, half)
    if len(ours) < count:
        raise RuntimeError(f"of {count} jobs only {len(ours)} have started within {every // 2 - 2} s")
    return _three(ours, slot), _three(bare_loop(count, half, home.folder), half)


def _three(clocks: list[float], slot: float) -> tuple[float, ...]:
    return tuple(clock - slot for clock in (clocks[0], statistics.median(clocks), clocks[-1]))
