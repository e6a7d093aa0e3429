"""One job: how long after its slot its command runs."""

from __future__ import annotations

from pathlib import Path

from benchmarks.clock import bare_loop, clock_jobs, next_slot, printed
from benchmarks.figures import Figure, Goal, Options, percentile
from benchmarks.program import house


def punctual(options: Options) -> list[Figure]:
    """A job each second; between its slots, half a second later, a bare loop in Python starts the same command."""
    slots = 10 if options.quick else 60
    with house(options, clock_jobs(1, 1)) as home:
        home.start()
        first = next_slot(1, ahead=2.0)
        theirs = _loop(first, slots, home.folder)
        ours = [clock % 1.0 for clock in printed(home, first, first + slots)]
    ours += [1.0] * (slots - len(ours))  # passed over, because the run before had not ended: a second late at the least
    return [_row("median", 50.0, 5.0, ours, theirs), _row("99 %", 99.0, 20.0, ours, theirs)]


def _loop(first: int, slots: int, folder: Path) -> list[float]:
    found: list[float] = []
    for number in range(slots):
        at = first + number + 0.5
        found.extend(clock - at for clock in bare_loop(1, at, folder))
    return found


def _row(name: str, of: float, limit: float, ours: list[float], theirs: list[float]) -> Figure:
    values = tuple(delay * 1000 for delay in ours)
    note = f"the loop: {percentile(theirs, of) * 1000:.1f} ms"
    what = f"1 job, {len(ours)} slots: start after the slot, {name}"
    return Figure(what, "a bare loop in Python", values, Goal(limit), "ms", tuple(ours), tuple(theirs), note, of)
