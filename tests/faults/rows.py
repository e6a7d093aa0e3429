"""A row of the table of faults: how one kind of fault is made to happen, how often, and what came of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import NamedTuple

MODULES = (
    *("effects", "fulldisk", "kills", "database", "flood", "forks", "clocks", "jobfiles", "services", "sockets"),
    *("powercut", "reboot"),
)
"""The modules of this package that have rows, in the order of the table; each offers `ROWS`."""


at_once = 1
"""How many trials go on at the same time, in a row that can do so; set by the command line."""


class NotTestedError(Exception):
    """This fault cannot be made on this machine; the text says why. It is named so, and never counted."""


class Outcome(NamedTuple):
    """What some trials have shown. `lost` and `twice` count commands, slots and alerts that were lost, or were there twice."""

    trials: int
    lost: int = 0
    twice: int = 0
    wrong: tuple[str, ...] = ()
    """A line for everything that does not hold, losses and doubles included."""
    notes: tuple[str, ...] = ()
    """Figures of this fault alone, in words."""
    seconds: float = 0.0
    """Filled in by who calls the row."""

    def __add__(self, other: Outcome) -> Outcome:  # type: ignore[override]
        sums = (self.trials + other.trials, self.lost + other.lost, self.twice + other.twice)
        return Outcome(*sums, self.wrong + other.wrong, self.notes + other.notes, self.seconds + other.seconds)


class Row(NamedTuple):
    """A kind of fault. `run(trials, seed)` makes so many of them and gives the outcome, or raises NotTestedError."""

    name: str
    fault: str
    """How it is made, in words, for the table."""
    trials: int
    """The count of the full campaign; 0: every point at which the fault can be made."""
    ci: int
    """The count of a test run, of some seconds."""
    run: Callable[[int, int], Outcome]
    batch: int = 0
    """How many trials share one call, for a row that can be continued; 0: all of them."""
    may_lose: str = ""
    """Where losses are documented: they are counted, and are no defect."""
    uncounted: tuple[str, ...] = ()
    """`lost` or `twice`, where trials of this fault have nothing of the kind to count: no figure is given for it."""

    def fine(self, outcome: Outcome) -> bool:
        """Whether the outcome is what is promised."""
        return not (outcome.wrong or outcome.twice or (outcome.lost and not self.may_lose))


def every() -> list[Row]:
    """All rows, in the order of the table."""
    return [row for name in MODULES for row in importlib.import_module(f"tests.faults.{name}").ROWS]
