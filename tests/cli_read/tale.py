"""A history that was lived through: the real engine and the real database under a clock that the test moves.

Commands are scripted: how long each takes, how it ends, what it prints.
"""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cronflow.core import engine, events
from cronflow.core.effects import Effects, StartAttempt, StopAttempt
from cronflow.core.plan.flow import plan
from cronflow.core.records import Alert, AttemptRef
from cronflow.core.state import LiveState
from cronflow.jobfile.read import read
from cronflow.places import Places
from cronflow.store import outbox
from cronflow.store.store import Store

ZONE = "Europe/Berlin"
_DAYS = {"Mon": 23, "Tue": 24, "Wed": 25, "Thu": 26, "Fri": 27, "Sat": 28, "Sun": 29}


def at(text: str) -> float:
    """`"Thu 02:31:14"`: a time of the week of Thursday 2024-09-26, in Berlin, as epoch seconds."""
    day, time = text.split()
    return datetime.fromisoformat(f"2024-09-{_DAYS[day]}T{time}").replace(tzinfo=ZoneInfo(ZONE)).timestamp()


@dataclass
class Ending:
    """How one process goes: seconds, exit code (or signal), output."""

    took: float = 10.0
    code: int | None = 0
    signal: int | None = None
    output: str = ""
    reason: str | None = None
    message: str | None = None
    items: tuple[str, ...] = ()


@dataclass
class Tale:
    """One state folder. `script` gives the endings of each task in order, the last one for ever; of its steps by their kind:
    `load:check`."""

    folder: Path
    toml: str
    script: dict[str, list[Ending]] = field(default_factory=dict)
    now: float = 0.0
    requests: int = 0
    pid: int = 5000

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / "jobs.toml"
        self.file.write_text(self.toml)
        self.places = Places(self.file, self.folder / "state", self.folder / "state")
        self.places.state.mkdir(exist_ok=True)
        self.store = Store.open(self.places.state)
        self.state = LiveState()
        self.coming: list[tuple[float, int, AttemptRef, Ending]] = []

    # ---- what happens ----------------------------------------------------------------------------------------------------

    def start(self, when: str, alive: str | None = None) -> Tale:
        """The daemon comes up; `alive` is when the one before was last seen."""
        self.now = at(when)
        self.state = self.store.load()
        jobs = read(str(self.file), thorough=False).jobs
        self.step(events.Started(jobs, plan(jobs.jobs), at(alive) if alive else None))
        return self

    def until(self, when: str) -> Tale:
        """Let time pass: slots, retries and scripted ends."""
        end = at(when)
        while True:
            due = [
                time for time in (engine.next_wakeup(self.state), self.coming[0][0] if self.coming else None) if time is not None
            ]
            if not due or min(due) > end:
                break
            self.now = max(min(due), self.now)
            if self.coming and self.coming[0][0] <= self.now:
                _, _, ref, ending = heapq.heappop(self.coming)
                self._end(ref, ending)
            else:
                self.step(events.Woke())
        self.now = end
        return self

    def act(self, kind: str, **fields: object) -> Tale:
        """A person asks: `act("Pause", jobs=("a",))`."""
        self.requests += 1
        fields.setdefault("by", "anna")
        fields.setdefault("words", f"cronflow {kind.lower()}")
        asked = events.ApprovalGiven if kind == "Approval" else getattr(events, f"{kind}Asked")
        effects = self.step(asked(request=self.requests, **fields))
        reply = effects.replies[self.requests]
        assert reply.refused is None, reply.refused
        return self

    def trouble(self, key: str, kind: str, message: str) -> Tale:
        from cronflow.core.records import Trouble

        self.step(events.TroubleFound(Trouble(key, kind, message, self.now)))  # type: ignore[arg-type]  # tests name a kind
        return self

    def alert(self, when: str, error: str) -> Tale:
        """An alert that could not be delivered."""
        effects = Effects.saving(Alert(at(when), "failure", "ops"))
        self.store.save(effects)
        number = self.store.connection.execute("SELECT max(id) FROM alerts").fetchone()[0]
        outbox.note_try(self.store.connection, number, None, error, self.now + 600)
        return self

    def edit(self, toml: str) -> Tale:
        """The job file is changed and taken over."""
        self.file.write_text(toml)
        jobs = read(str(self.file), thorough=False).jobs
        self.step(events.Reloaded(jobs, plan(jobs.jobs)))
        return self

    def crash(self) -> Tale:
        """The daemon is gone; what ran is lost with the machine."""
        self.coming = []
        return self

    def close(self) -> Tale:
        self.store.connection.execute("UPDATE alerts SET sent_at = at WHERE error IS NULL")
        self.store.close()
        return self

    # ---- how -------------------------------------------------------------------------------------------------------------

    def step(self, event: events.Event) -> Effects:
        effects = engine.step(self.state, event, self.now)
        self.store.save(effects)
        for action in effects.actions:
            if isinstance(action, StartAttempt):
                self._begin(action.ref)
            elif isinstance(action, StopAttempt):
                self.coming = [one for one in self.coming if one[2] != action.ref]
                heapq.heapify(self.coming)
                heapq.heappush(self.coming, (self.now + 1, 0, action.ref, Ending(1, None, 15)))
        return effects

    def _begin(self, ref: AttemptRef) -> None:
        command = ref.kind == "command"
        endings = self.script.get(ref.task if command else f"{ref.task}:{ref.kind}", [Ending() if command else Ending(1)])
        ending = endings.pop(0) if len(endings) > 1 else endings[0]
        self.pid += 1
        if ending.output:
            path = self.places.log(ref.run, ref.task, ref.n, ref.kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(ending.output)
        if ending.reason is None:
            self.step(events.AttemptBegan(ref, self.pid, self.now))
        heapq.heappush(self.coming, (self.now + ending.took, self.pid, ref, ending))

    def _end(self, ref: AttemptRef, ending: Ending) -> None:
        task = self.state.runs[ref.run].tasks[ref.task]
        stopped = task.live.stop if task.live else None
        size = len(ending.output)
        self.step(
            events.AttemptEnded(
                ref,
                self.now,
                ending.code,
                ending.signal,
                ending.reason,
                ending.message,
                stopped,
                cpu_s=ending.took / 2,
                max_rss_kb=2048,
                output_bytes=size,
                items=ending.items,
            )
        )


def endings(*given: Ending | int) -> list[Ending]:
    """Endings; a number is an exit code."""
    return [Ending(code=one, output=f"exit {one}\n") if isinstance(one, int) else one for one in given]


def environ(tale: Tale, **more: str) -> dict[str, str]:
    """The environment in which the command finds this job file and state."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith("CRONFLOW_") and key not in ("NO_COLOR", "COLUMNS")
    }
    return kept | {"CRONFLOW_FILE": str(tale.file), "CRONFLOW_STATE": str(tale.places.state), "LC_ALL": "C.UTF-8", **more}


def walk(value: object) -> Iterator[tuple[str, object]]:
    """Every key and value of a JSON object, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from walk(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner)
