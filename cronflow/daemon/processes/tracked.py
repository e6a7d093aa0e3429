"""What the daemon knows of an attempt from its start until its keeper may forget it."""

from __future__ import annotations

import enum
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from cronflow.core.events import AttemptUnclaimed, Event
from cronflow.core.records import AttemptRef, parse_ref
from cronflow.daemon.processes import reports
from cronflow.keeper.protocol import Message

FINAL = ("ended", "failed")


class Stage(enum.Enum):
    """How far an attempt is.

    UNKNOWN or OFFERED → WAITING or ASKED → BEGUN → ENDED, with ORPHANED before ENDED if its keeper dies first. An attempt that no
    keeper has is no longer tracked, nor is one whose end is acknowledged.
    """

    UNKNOWN = enum.auto()
    """Not asked for in this life of the daemon, and no keeper has told of it yet."""
    WAITING = enum.auto()
    """It is to be started, and no keeper can be had."""
    OFFERED = enum.auto()
    """It waited, and the engine was told that it is unclaimed: it is asked for again, or was cancelled."""
    ASKED = enum.auto()
    """A keeper was asked to start it."""
    BEGUN = enum.auto()
    """Its keeper has told of its process."""
    ORPHANED = enum.auto()
    """Its keeper is dead, its process goes on."""
    ENDED = enum.auto()
    """Its end is told. Once that is committed, it is acknowledged."""


@dataclass(slots=True)
class Tracked:
    """An attempt on its way. `keeper` is the number of the one that has it, `stop` why it is to end and whether at once, `named`
    what the message of a failed start names. `waits_since` is of the monotonic clock."""

    ref: AttemptRef
    stage: Stage = Stage.UNKNOWN
    keeper: int | None = None
    stop: tuple[str, bool] | None = None
    named: Mapping[str, str] = field(default_factory=dict)
    may_have_run: bool = False
    waits_since: float | None = None


@dataclass(slots=True)
class Attempts:
    """The attempts of one state folder that are on their way. `ends` are those whose end is to be acknowledged."""

    state_id: str
    tracked: dict[AttemptRef, Tracked] = field(default_factory=dict)
    ends: list[Tracked] = field(default_factory=list)

    def name(self, ref: AttemptRef) -> str:
        """The name of an attempt for its keeper and in its environment, unlike that of any other state folder."""
        return f"{self.state_id}:{ref}"

    def ref(self, name: object) -> AttemptRef | None:
        """The attempt of a keeper's name for it; None if it is another state folder's."""
        owner, _, text = str(name).partition(":")
        try:
            return parse_ref(text) if owner == self.state_id else None
        except ValueError:
            return None

    def track(self, ref: AttemptRef) -> Tracked:
        """The attempt, from now on if it was not tracked before."""
        return self.tracked.setdefault(ref, Tracked(ref))

    def told(self, one: Tracked, keeper: int, kind: str, message: Message) -> list[Event]:
        """What a keeper or its journal has told of an attempt that it has: `started`, `failed`, `ended`."""
        if kind == "started":
            event = reports.began(one.ref, message)
            if event is None:
                return []
            one.stage = Stage.BEGUN
            return [event]
        if kind not in FINAL:
            return []
        one.keeper = keeper
        if kind == "ended":
            return [self.ended(one, message)]
        self._end(one)
        return [reports.not_begun(one.ref, message, one.named, time.time())]

    def ended(self, one: Tracked, message: Message) -> Event:
        """It has ended; without a status in the message it is lost."""
        self._end(one)
        return reports.ended(one.ref, message, self.name(one.ref), time.time())

    def _end(self, one: Tracked) -> None:
        """Its end is told, maybe not for the first time: a keeper repeats it until it is acknowledged."""
        if one.stage is not Stage.ENDED:
            one.stage = Stage.ENDED
            self.ends.append(one)

    def refused(self, one: Tracked, why: str) -> Event:
        """No keeper takes it, and none will."""
        del self.tracked[one.ref]
        return reports.refused(one.ref, why, time.time())

    def nowhere(self, one: Tracked) -> Event:
        """An attempt that no keeper knows was never started: every claim is in a journal. Only a journal that was not yet on
        disk when the machine went down, or that somebody removed, can lack one that ran; then it is lost."""
        del self.tracked[one.ref]
        if one.stage is Stage.BEGUN or (one.stage is Stage.UNKNOWN and one.may_have_run):
            return reports.ended(one.ref, {"status": None}, self.name(one.ref), time.time())
        return AttemptUnclaimed(one.ref)

    def unknown(self) -> list[Event]:
        """What became of those that no keeper has told of, once all have answered."""
        return [self.nowhere(one) for one in self._sorted() if one.stage is Stage.UNKNOWN]

    def forgotten(self, keeper: int, entries: Iterable[Message]) -> list[Event]:
        """Attempts that a keeper was asked to start and that it does not know: it never will start them."""
        known = {str(entry["id"]) for entry in entries}
        mine = [one for one in self._sorted() if one.keeper == keeper and one.stage in (Stage.ASKED, Stage.BEGUN)]
        return [self.nowhere(one) for one in mine if self.name(one.ref) not in known]

    def _sorted(self) -> list[Tracked]:
        return [self.tracked[ref] for ref in sorted(self.tracked)]

    def offer(self) -> list[Event]:
        """Attempts that wait for a keeper were never asked for, so they are unclaimed: the engine starts them again, or ends them
        if they were cancelled. Those offered before that did not come back are forgotten."""
        for one in [one for one in self.tracked.values() if one.stage is Stage.OFFERED]:
            del self.tracked[one.ref]
        waiting = [one for one in self.tracked.values() if one.stage is Stage.WAITING]
        for one in waiting:
            one.stage = Stage.OFFERED
        return [AttemptUnclaimed(one.ref) for one in waiting]
