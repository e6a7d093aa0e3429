"""What the next hours would bring: the engine itself over a simulated clock, in which every command takes as long as it usually
does, and succeeds. Nothing of it is saved, and no process is started.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from cronflow.core.effects import Effects, StartAttempt
from cronflow.core.engine import next_wakeup, step
from cronflow.core.events import AttemptEnded, Event, Started, Woke
from cronflow.core.notify.expectations import deadline_of
from cronflow.core.records import Attempt, AttemptRef, Queued, Run, Task
from cronflow.core.state import LiveState
from cronflow.core.tables import RUNS, TASKS

UNKNOWN = 60.0
"""Seconds that a command is taken to run of which nobody knows how long it usually does."""
MOST = 40_000
"""Steps of the engine that are simulated at most: two for each command."""
LONG_WAIT = 60.0
MANY_STARTS = 10


@dataclass(slots=True)
class Bar:
    """One task in the simulated time: when it stood in line, ran and ended (None: not within the time), what it waited for."""

    job: str
    name: str
    queued_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    waits_for: str | None = None

    def waited(self, until: float) -> float:
        """Seconds in line for a limit, or for another run to end."""
        return 0.0 if self.queued_at is None else (until if self.started_at is None else self.started_at) - self.queued_at


@dataclass(slots=True)
class Course:
    """One run in the simulated time, with those of its tasks that had something to do. `going`: it goes on already."""

    run: Run
    going: bool
    bars: dict[str, Bar] = field(default_factory=dict)

    @property
    def begin(self) -> float:
        return self.run.created_at


@dataclass(slots=True)
class NotRun:
    """Consecutive slots of a flow that would not run, and why."""

    flow: str
    slot: int
    slot_last: int
    slots: int
    state: str
    reason: str | None


class Crowd(NamedTuple):
    """A minute in which tasks wait long for a limit, or in which many start."""

    at: float
    starts: int
    waiting: tuple[str, ...]
    longest: float
    limits: tuple[str, ...]


class Late(NamedTuple):
    """A job that would miss its deadline: in which run, when it is due, and when it would end (None: not within the time)."""

    job: str
    run: int
    due: float
    ends: float | None


@dataclass(slots=True)
class Forecast:
    """What would happen in [start, end]; `cut` is where the simulation was given up because it had become too long. `unknown` are
    jobs of which nobody knows how long they take."""

    start: float
    end: float
    courses: dict[int, Course] = field(default_factory=dict)
    rows: dict[int, NotRun] = field(default_factory=dict)
    unknown: dict[str, None] = field(default_factory=dict)
    late: list[Late] = field(default_factory=list)
    cut: float | None = None

    @property
    def until(self) -> float:
        return self.end if self.cut is None else self.cut


def simulate(
    state: LiveState, started: Started, usual: Mapping[str, float], end: float, most: int = MOST
) -> Forecast:
    """Let the engine run to `end` on a state as it was loaded, which is used up by it, from when a daemon that is `started` was
    last seen alive. `usual` are seconds by job."""
    assert started.alive_at is not None
    quiet = replace(started, jobs=started.jobs._replace(alerts={}))
    return _Simulation(state, usual, Forecast(started.alive_at, end), most).run(quiet)


class _Simulation:
    def __init__(self, state: LiveState, usual: Mapping[str, float], found: Forecast, most: int) -> None:
        self.state = state
        self.usual = usual
        self.found = found
        self.left = most
        self.now = found.start
        self.pending: list[tuple[float, int, Event]] = []
        self.number = 0
        self.told = {number: row.slots for number, row in state.rows.items()}

    def run(self, started: Started) -> Forecast:
        found = self.found
        for run in self.state.runs.values():
            self._course(run, True)
        for task in list(self.state.live()):
            assert task.live is not None
            began = task.live.started_at or task.live.created_at
            self._later(max(found.start, began + self._length(task, task.live)), task.live.ref)
        self._do(started, found.start)
        while self.left > 0:
            wakeup = next_wakeup(self.state)
            soonest = self.pending[0][0] if self.pending else None
            at = min((t for t in (wakeup, soonest) if t is not None), default=None)
            if at is None or at > found.end:
                break
            self._do(heapq.heappop(self.pending)[2] if at == soonest else Woke(), at)
        else:
            found.cut = self.now
        found.late = _late(found, self.state)
        return found

    def _do(self, event: Event, now: float) -> None:
        self.left -= 1
        self.now = now
        out = step(self.state, event, now)
        self._note(out, now)
        for action in out.actions:
            if isinstance(action, StartAttempt):
                live = self.state.live_at(action.ref)
                if live is not None:
                    self._later(now + self._length(*live), action.ref)

    def _length(self, task: Task, attempt: Attempt) -> float:
        if attempt.kind != "command":
            return 0.0
        if task.job not in self.usual:
            self.found.unknown[task.job] = None
        return self.usual.get(task.job, UNKNOWN)

    def _later(self, at: float, ref: AttemptRef) -> None:
        self.number += 1
        items = ("item",) if ref.kind == "foreach" else ()
        heapq.heappush(self.pending, (at, self.number, AttemptEnded(ref, at, exit_code=0, items=items)))

    # ---- what is noted ---------------------------------------------------------------------------------------------------

    def _course(self, run: Run, going: bool) -> None:
        course = self.found.courses[run.id] = Course(run, going)
        for task in run.tasks.values():
            if not task.final:
                bar = course.bars[task.name] = Bar(task.job, task.name)
                if task.live is not None:
                    bar.started_at = task.started_at
                elif task.state == "queued":
                    since = task.phase.since if isinstance(task.phase, Queued) else run.created_at
                    bar.queued_at, bar.waits_for = since, task.reason

    def _note(self, out: Effects, now: float) -> None:
        for run in (run for run in out.of(RUNS).values() if run is not None):
            if run.is_row:
                self._row(run)
            elif run.id not in self.found.courses:
                self.found.courses[run.id] = Course(run, False)
        for (number, name), task in out.of(TASKS).items():
            if task is None:
                continue
            course = self.found.courses[number]
            bar = course.bars.setdefault(name, Bar(task.job, name))
            if task.state == "queued" and bar.queued_at is None:
                bar.queued_at, bar.waits_for = now, task.reason
            if task.live is not None and bar.started_at is None:
                bar.started_at = now
            if task.final and bar.finished_at is None:
                bar.finished_at = now


    def _row(self, row: Run) -> None:
        """A row that was there before is told from its next slot on."""
        assert row.slot is not None
        assert row.slot_last is not None
        before = self.told.get(row.id, 0)
        here = self.found.rows.setdefault(
            row.id, NotRun(row.flow, row.slot_last if before else row.slot, row.slot_last, 0, row.state, row.reason)
        )
        here.slot_last, here.slots = row.slot_last, row.slots - before


def crowds(found: Forecast) -> list[Crowd]:
    """The minutes in which more than ten tasks start, or from which on tasks wait for more than a minute."""
    starts: Counter[int] = Counter()
    waiting: dict[int, list[Bar]] = {}
    for course in found.courses.values():
        for bar in course.bars.values():
            if bar.started_at is not None and bar.started_at >= found.start:
                starts[int(bar.started_at // 60)] += 1
            if bar.queued_at is not None and bar.waited(found.until) > LONG_WAIT:
                waiting.setdefault(int(bar.queued_at // 60), []).append(bar)
    minutes = sorted({*waiting, *(minute for minute, number in starts.items() if number > MANY_STARTS)})
    return [_crowd(found, minute, starts[minute], waiting.get(minute, [])) for minute in minutes]


def _crowd(found: Forecast, minute: int, starts: int, bars: list[Bar]) -> Crowd:
    longest = max((bar.waited(found.until) for bar in bars), default=0.0)
    limits = tuple(dict.fromkeys(bar.waits_for for bar in bars if bar.waits_for))
    return Crowd(minute * 60.0, starts, tuple(bar.name for bar in bars), longest, limits)


def _late(found: Forecast, state: LiveState) -> list[Late]:
    late = []
    for number, course in found.courses.items():
        jobs = state.definitions.get(course.run.definition, {})
        for bar in course.bars.values():
            at = deadline_of(jobs[bar.job], course.run) if bar.job in jobs else None
            if at is not None and at <= found.until and (bar.finished_at is None or bar.finished_at > at):
                late.append(Late(bar.job, number, at, bar.finished_at))
    return late
