"""A figure of the table, and how it is come by: two things in turn, on the same machine, several times."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple


class Options(NamedTuple):
    """What the command line asks for. `repeat` None: what suits the row. `quick`: small and few, to see that it works."""

    program: str
    folder: str
    repeat: int | None = None
    quick: bool = False
    install: str | None = None

    def times(self, usual: int) -> int:
        """How often a pair is measured."""
        return self.repeat or (min(usual, 2) if self.quick else usual)


class Goal(NamedTuple):
    """What a figure should be at most, or at the least."""

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


class Figure(NamedTuple):
    """One row. `values` has one entry for each pair (or start, where starts are looked at one by one), in `unit`; `ours` and
    `theirs` are what was measured, in seconds or bytes. What counts for the goal is the median, or the percentile `of`."""

    what: str
    against: str
    values: tuple[float, ...]
    goal: Goal | None = None
    unit: str = "×"
    ours: tuple[float, ...] = ()
    theirs: tuple[float, ...] = ()
    note: str = ""
    of: float = 50.0

    @property
    def value(self) -> float:
        """The one number of the row."""
        return percentile(self.values, self.of)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without one."""
        return None if self.goal is None else self.goal.met(self.value)


def percentile(values: Sequence[float], percent: float) -> float:
    """The median, or the smallest value that so many percent of all do not exceed."""
    if percent == 50.0:
        return statistics.median(values)
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100.0) - 1)]


class Pairs(NamedTuple):
    """What two things took, pair by pair."""

    ours: tuple[float, ...]
    theirs: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        return tuple(our / their for our, their in zip(self.ours, self.theirs, strict=True))

    def figure(self, what: str, against: str, limit: float | None = None, note: str = "") -> Figure:
        """The row of their ratios."""
        goal = None if limit is None else Goal(limit)
        return Figure(what, against, self.ratios, goal, "×", self.ours, self.theirs, note)


def in_turn(times: int, ours: Callable[[], float], theirs: Callable[[], float], warm: bool = True) -> Pairs:
    """Both by turns, so that a machine that is slower for a while is so for both. `warm`: once each before, not counted."""
    if warm:
        ours()
        theirs()
    taken = [(ours(), theirs()) for _ in range(times)]
    return Pairs(tuple(our for our, _ in taken), tuple(their for _, their in taken))
