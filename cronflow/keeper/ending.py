"""Which process belongs to which attempt, and the end of all that belong to one."""
from __future__ import annotations

import os
import time
from typing import Any

from . import tree
from .attempt import NEVER, HeldAttempt
from .cgroup import Cgroup, Cgroups
from .escalation import GIVE_UP, LOOK_EVERY, Escalation
from .tree import Process, Table

BUSY = 5
"""If a look at a tree that is being ended takes long, the next one is due after this many times as long."""
KILL_AGAIN = 0.5
"""Seconds until a tree is looked at again whose main process does not die of KILL at once."""
SHOWN = 20


class Trees:
    """Which child of this keeper belongs to which attempt, and what is done to all of them."""

    def __init__(self, cgroups: Cgroups | None) -> None:
        self.cgroups = cgroups
        self.mains: dict[int, HeldAttempt] = {}
        self._orphans: dict[int, str | None] = {}
        self._sessions: dict[int, str] = {}
        self._cgroups: dict[str, str] = {}
        self._places: dict[str, Cgroup] = {}
        self._own = os.getpid()

    def place(self, attempt: HeldAttempt) -> int | None:
        """A cgroup for an attempt that is to be started, as a descriptor; None where we may not."""
        taken = self.cgroups.take() if self.cgroups is not None else None
        if taken is None:
            return None
        attempt.cgroup = taken.name
        self._cgroups[taken.name] = attempt.id
        self._places[taken.name] = taken
        return taken.fd

    def close(self) -> None:
        """Remove the cgroups that are empty, and use none from now on: what a kernel or a container forbids once, it will forbid
        again."""
        if self.cgroups is not None:
            self.cgroups.close()
            self.cgroups = None

    def add(self, attempt: HeldAttempt) -> None:
        """Its main process exists. An old session of that number has ended, or the pid would not be free."""
        assert attempt.pid is not None
        self.mains[attempt.pid] = attempt
        self.remember(attempt)

    def remember(self, attempt: HeldAttempt) -> None:
        """Note what its processes are known by, even after its main process is reaped."""
        if attempt.pid is not None:
            self._sessions[attempt.pid] = attempt.id
        if attempt.cgroup is not None:
            self._cgroups[attempt.cgroup] = attempt.id

    def reaped(self, pid: int) -> None:
        """This child has been reaped; its pid may be used again."""
        self.mains.pop(pid, None)
        self._orphans.pop(pid, None)

    def forget(self, attempt: HeldAttempt) -> None:
        """The attempt has ended; what it left behind keeps its name until it ends too."""
        attempt.escalation = None
        if attempt.pid is not None and self._sessions.get(attempt.pid) == attempt.id:
            del self._sessions[attempt.pid]
        if attempt.cgroup is not None and self.cgroups is not None:
            self._cgroups.pop(attempt.cgroup, None)
            place = self._places.pop(attempt.cgroup, None)
            if place is not None:
                self.cgroups.give_back(place)

    def left_behind(self, attempt: HeldAttempt) -> list[dict[str, Any]]:
        """What is still alive when the main process has ended: pid and command of at most 20."""
        pids = tree.children()
        if pids is not None and not [pid for pid in pids if self._belongs(pid, attempt.id)]:
            return []
        return _shown(self.members(attempt, tree.table()))

    def members(self, attempt: HeldAttempt, processes: Table) -> list[Process]:
        """Every living process of the attempt."""
        main = attempt.pid if self.mains.get(attempt.pid or 0) is attempt else None
        sid = attempt.pid if self._sessions.get(attempt.pid or 0) == attempt.id else None
        return tree.members(processes, self._own, main, sid, lambda pid: self._belongs(pid, attempt.id))

    def _belongs(self, pid: int, attempt_id: str) -> bool:
        if pid in self.mains:
            return False
        if pid not in self._orphans:
            self._orphans[pid] = self._owner(pid)
        return self._orphans[pid] == attempt_id

    def _owner(self, pid: int) -> str | None:
        if self.cgroups is not None and (name := self.cgroups.name_of(pid)) in self._cgroups:
            return self._cgroups[name or ""]
        process = tree.look(pid)
        if process is not None and process.session in self._sessions:
            return self._sessions[process.session]
        return tree.attempt_of(pid)

    def gone(self, attempt: HeldAttempt, now: float) -> bool:
        """Whether nothing of the tree is left, or nothing that a KILL could still end, now that its main process has gone."""
        left = self.ending(attempt).proceed(now, attempt.kill_at)
        if left and now < attempt.kill_at + GIVE_UP:
            done = time.monotonic()
            attempt.check_at = done + max(LOOK_EVERY, BUSY * (done - now))
            return False
        attempt.check_at = attempt.kill_at = NEVER
        attempt.left_behind = _shown(left)
        return True

    def ending(self, attempt: HeldAttempt) -> Escalation:
        """How its tree is ended, with all that has been told or killed of it so far."""
        if attempt.escalation is None:
            attempt.escalation = Escalation(lambda: self.members(attempt, tree.table()), lambda: self._strike(attempt))
        return attempt.escalation

    def _strike(self, attempt: HeldAttempt) -> None:
        if attempt.cgroup is not None and self.cgroups is not None:
            self.cgroups.kill(attempt.cgroup)
        if attempt.pid is not None and self.mains.get(attempt.pid) is attempt:
            tree.kill_group(attempt.pid)


def _shown(processes: list[Process]) -> list[dict[str, Any]]:
    return [{"pid": one.pid, "command": tree.command_of(one.pid)} for one in processes[:SHOWN]]
