"""Commands that outlived both processes of their keeper: watched until they end, and ended if they must be.

The journal of the dead keeper says what it would still have done: a timeout to come, a KILL after a TERM. That is done here.
The kernel tells how such a command ended (`cronflow.linux.Pidfd`), from Linux 6.15 on also after somebody else reaped it;
before that, it is lost.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from cronflow.keeper import cgroup, tree
from cronflow.keeper.escalation import GIVE_UP, LOOK_EVERY, Escalation
from cronflow.linux import Pidfd


@dataclass(slots=True)
class Orphan:
    """An attempt without a keeper. `main` is None when its main process is known to have ended; `entry` is what the journal
    says of it. Deadlines are of the monotonic clock."""

    attempt_id: str
    entry: dict[str, Any]
    main: Pidfd | None
    status: int | None = field(init=False)
    stopped: str | None = field(init=False)
    deadline: float | None = field(init=False)
    kill_at: float | None = field(init=False)
    ending: Escalation = field(init=False)

    def __post_init__(self) -> None:
        for name in ("status", "stopped", "deadline", "kill_at"):
            setattr(self, name, self.entry.get(name))
        ticks = self.main.ticks if self.main is not None else self.entry.get("ticks") or None
        pid = self.entry.get("pid") if ticks else None  # without ticks nothing is taken for its session
        self.ending = Escalation(lambda: tree.survivors(self.attempt_id, pid, ticks), self._strike)

    def goes_on(self, now: float) -> bool:
        """Do what is due to end the tree; whether something is left of it that is not given up."""
        assert self.kill_at is not None
        return bool(self.ending.proceed(now, self.kill_at)) and now < self.kill_at + GIVE_UP

    def _strike(self) -> None:
        if self.entry.get("cgroup"):
            cgroup.kill(self.entry["cgroup"])


@dataclass(slots=True)
class Orphans:
    """All commands without a keeper."""

    watched: dict[str, Orphan] = field(default_factory=dict)

    def adopt(self, attempt_id: str, entry: dict[str, Any]) -> None:
        """Watch over an attempt as the journal of its dead keeper shows it, unless its main process is gone and nobody was about
        to end the rest: then nothing is to be waited for."""
        if attempt_id in self.watched:
            return
        stopped = entry.get("stopped")
        main = _main(attempt_id, entry) if entry.get("status") is None else None
        if main is None and stopped is None:
            return
        one = Orphan(attempt_id, entry, main)
        if stopped is not None:
            now = time.monotonic()
            one.kill_at = max(one.kill_at or now + entry["kill_after"], now)
            one.ending.terminate()
        self.watched[attempt_id] = one

    def stop(self, attempt_id: str, why: str, now: bool) -> None:
        """End the tree of an orphan: TERM, later KILL."""
        one = self.watched[attempt_id]
        if one.stopped is None:
            one.stopped = why
            one.kill_at = time.monotonic() + one.entry["kill_after"]
            one.ending.terminate()
        if now:
            one.kill_at = time.monotonic()

    def fds(self) -> list[int]:
        """The pidfds to wait for; those that are being ended are looked at by the clock."""
        return [one.main.fileno() for one in self.watched.values() if one.main is not None and one.stopped is None]

    def deadline(self) -> float | None:
        """When `collect` has something to do without a word of a pidfd (monotonic clock)."""
        if any(one.stopped is not None for one in self.watched.values()):
            return time.monotonic() + LOOK_EVERY
        return min((one.deadline for one in self.watched.values() if one.deadline is not None), default=None)

    def collect(self) -> list[Orphan]:
        """Those that have ended, with their status where the kernel tells it; and end those whose time has come."""
        gone = []
        for one in list(self.watched.values()):
            now = time.monotonic()
            if one.deadline is not None and one.deadline <= now:
                one.deadline = None
                self.stop(one.attempt_id, "timeout", now=False)
            if one.main is not None and one.main.ended():
                one.status = one.main.status()
                one.main.close()
                one.main = None
            if one.main is not None and one.stopped is None:
                continue
            if one.stopped is not None and (one.goes_on(now) or one.main is not None):
                continue
            gone.append(one)
            del self.watched[one.attempt_id]
        return gone


def _main(attempt_id: str, entry: dict[str, Any]) -> Pidfd | None:
    """The main process, dead or alive, as long as it is there and no other one has its pid by now."""
    pid, ticks = entry.get("pid"), entry.get("ticks")
    if not pid:
        return None
    if not ticks:  # the keeper was killed before it could write when the process began
        process = tree.look(pid)
        if process is None or not _is_ours(attempt_id, pid):
            return None
        ticks = process.ticks
    try:
        return Pidfd(pid, ticks)
    except OSError:
        return None


def _is_ours(attempt_id: str, pid: int) -> bool:
    """By its environment, or, on its way to the command, by the command line of the keeper that begot it."""
    return tree.attempt_of(pid) == attempt_id or "cronflow.keeper" in tree.command_of(pid)
