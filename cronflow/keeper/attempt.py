"""An attempt as its keeper sees it: what was asked for, how far it is, and the record and messages of that."""
from __future__ import annotations

import enum
import math
from typing import Any

from .escalation import Escalation
from .journal import Mark, Record
from .protocol import Message

NEVER = math.inf
KILL_AFTER = 10.0

_KEPT = (
    "id", "state", "at", "log", "timeout", "kill_after", "max_output", "pid", "started_at", "deadline", "kill_at",
    "stopped", "status", "ended_at", "cpu_s", "max_rss_kb", "output_bytes", "left_behind", "stage", "errno", "cgroup",
)


class State(enum.StrEnum):
    """How far an attempt is; the values are those of the protocol and the journal."""

    CLAIMED = "claimed"
    RUNNING = "running"
    ENDING = "ending"
    """Its main process is gone, the rest of its tree is being ended."""
    ENDED = "ended"
    FAILED = "failed"
    """Its command never ran."""


_END = ("status", "started_at", "cpu_s", "max_rss_kb", "output_bytes", "left_behind", "stopped")
_FAILURE = ("stage", "errno")
_ANSWERS = {State.ENDED: ("ended", _END), State.FAILED: ("failed", _FAILURE)}


class HeldAttempt:
    """An attempt, with all that the journal keeps of it.

    `at`, `started_at`, `ended_at` are epoch seconds; `deadline`, `kill_at` and the two instants that only a living
    keeper has (`look_at` for the output, `check_at` for the tree) are seconds of the monotonic clock, which all
    processes of a boot share.
    """

    __slots__ = (*_KEPT, "check_at", "escalation", "look_at", "page", "seen_bytes", "watch")

    def __init__(self, request: Message, at: float) -> None:
        self.id: str = request["id"]
        self.state: State = State.CLAIMED
        self.at = at
        self.log: str = request["log"]
        self.timeout: float | None = request.get("timeout")
        kill_after = request.get("kill_after")
        self.kill_after: float = KILL_AFTER if kill_after is None else kill_after
        self.max_output: int | None = request.get("max_output")
        self.pid: int | None = None
        self.started_at: float | None = None
        self.deadline = NEVER
        self.kill_at = NEVER
        self.stopped: str | None = None
        self.status: int | None = None
        self.ended_at: float | None = None
        self.cpu_s: float | None = None
        self.max_rss_kb: int | None = None
        self.output_bytes: int | None = None
        self.left_behind: list[dict[str, Any]] = []
        self.stage: str | None = None
        self.errno: int | None = None
        self.cgroup: str | None = None
        self.page = 0
        self.escalation: Escalation | None = None
        self.look_at = NEVER
        self.check_at = NEVER
        self.seen_bytes = 0
        self.watch: int | None = None

    @classmethod
    def of_record(cls, record: Record, page: int, mark: Mark | None) -> HeldAttempt:
        """The attempt of a page of the journal; what its child has marked there counts as well."""
        attempt = cls(record, record["at"])
        for name in _KEPT:
            if name in record:
                setattr(attempt, name, record[name])
        attempt.state = State(attempt.state)
        for name in ("deadline", "kill_at"):
            if getattr(attempt, name) is None:
                setattr(attempt, name, NEVER)
        attempt.page = page
        if mark is not None:
            attempt.pid = mark.pid
            if attempt.state is State.CLAIMED:
                attempt.state = State.RUNNING
        return attempt

    def begin(self, now: float) -> None:
        """Its time runs from the claim, a moment before its process exists; `now` on the monotonic clock."""
        self.started_at = self.at
        if self.timeout is not None:
            self.deadline = now + self.timeout

    def fail(self, stage: str, number: int, at: float) -> None:
        """Its command never ran."""
        self.state, self.stage, self.errno, self.ended_at = State.FAILED, stage, number, at

    @property
    def final(self) -> bool:
        """Whether its end is known and only waits to be acknowledged."""
        return self.state in (State.ENDED, State.FAILED)

    @property
    def wake_at(self) -> float:
        """When it next needs attention without any event."""
        return min(self.deadline, self.kill_at, self.look_at, self.check_at)

    def record(self) -> Record:
        """What the journal keeps of it."""
        kept: Record = {}
        for name in _KEPT:
            value = getattr(self, name)
            if value is not None and value != NEVER and value != []:
                kept[name] = value
        return kept

    def message(self) -> Message:
        """The answer about it that its state calls for: claimed ones have none but `started` without a pid."""
        kind, keys = _ANSWERS.get(self.state, ("started", ("pid",)))
        about = self.description()
        return {"type": kind, **{key: about[key] for key in ("id", *keys, "at")}}

    def description(self) -> Message:
        """Its entry in `attempts`: the state, and every key that a message about it can have."""
        at = self.ended_at if self.final else self.started_at
        return {**{key: getattr(self, key) for key in ("id", "state", "pid", *_END, *_FAILURE)}, "at": at}
