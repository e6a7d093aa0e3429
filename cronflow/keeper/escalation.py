"""How a tree of processes is ended: TERM to each of them once, KILL from some time on, until nothing new appears; what does not
die of it is given up."""
from __future__ import annotations

from collections.abc import Callable

from . import tree
from .tree import Process

LOOK_EVERY = 0.05
"""Seconds between two looks at a tree that has been told to end."""
KILL_ROUNDS = 20
GIVE_UP = 1.0
"""Seconds after KILL when what is still there, in a system call that cannot be interrupted, no longer holds up the end."""


class Escalation:
    """The end of one tree. `find` tells its living processes. `strike` kills as many of them as it can at one blow: hundreds that
    fork all the time leave no time to look at each."""

    __slots__ = ("_find", "_killed", "_strike", "_told")

    def __init__(self, find: Callable[[], list[Process]], strike: Callable[[], None]) -> None:
        self._find = find
        self._strike = strike
        self._told: set[tuple[int, int]] = set()
        self._killed: set[tuple[int, int]] = set()

    def terminate(self) -> list[Process]:
        """Tell all of it to end that was not told before; what was alive."""
        found = self._find()
        tree.terminate(_fresh(found, self._told))
        return found

    def kill(self) -> list[Process]:
        """Kill until a look shows nothing that has not been killed; what is still to be seen."""
        self._strike()
        found: list[Process] = []
        for _ in range(KILL_ROUNDS):
            found = self._find()
            fresh = _fresh(found, self._killed)
            if not fresh:
                break
            tree.kill(fresh)
        return found

    def proceed(self, now: float, kill_at: float) -> list[Process]:
        """Do what is due; what is left alive. Whatever was born while the others were told is told as well."""
        return self.kill() if now >= kill_at or self._killed else self.terminate()


def _fresh(found: list[Process], known: set[tuple[int, int]]) -> list[Process]:
    """Those that are not known yet; from now on they are."""
    fresh = [process for process in found if (process.pid, process.ticks) not in known]
    known.update((process.pid, process.ticks) for process in fresh)
    return fresh
