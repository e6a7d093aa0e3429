"""A simulated world round the engine: a clock that jumps, a keeper with processes, people, edits, crashes.

The engine, the store and the trace are the real ones. Every random choice comes from one seed. After every step the laws of
`cronflow.core.engine` are checked; `World.finish` checks those that only the whole history can show.
"""

from __future__ import annotations

import heapq
import json
import random
from dataclasses import dataclass, field, replace

from cronflow.core import events as happened
from cronflow.core import flow, trace
from cronflow.core.effects import Effects, StartAttempt, StopAttempt
from cronflow.core.engine import blockers, next_wakeup, step
from cronflow.core.events import Event
from cronflow.core.model import QUEUE_LIMIT, AttemptRef, JobSet
from cronflow.core.state import State
from cronflow.store.store import Store
from tests.world.jobfiles import edited, random_jobs
from tests.world.oracle import check_history

START = 1_793_000_000.0


class Crash(Exception):  # noqa: N818 (it is what happens, and no error)
    """The daemon dies at this point."""


@dataclass(slots=True)
class Process:
    """One attempt as the keeper knows it."""

    ref: AttemptRef
    pid: int
    began: float
    ends: float
    report: happened.AttemptEnded
    told: bool = False


@dataclass(slots=True)
class World:
    seed: int
    crashes: bool = True
    log: list[str] = field(default_factory=list)
    now: float = START
    store: Store = field(default_factory=Store.in_memory)
    processes: dict[AttemptRef, Process] = field(default_factory=dict)
    pending: list[tuple[float, int, Event]] = field(default_factory=list)
    rng: random.Random = field(init=False)
    jobs: JobSet = field(init=False)
    state: State | None = None
    alive_at: float | None = None
    counter: int = 0
    cursors: dict[tuple[str, str], float] = field(default_factory=dict)
    starts: dict[AttemptRef, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.jobs = random_jobs(self.rng)

    # ---- the daemon ------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start a daemon: load, ask the keeper for every attempt, then begin."""
        self.state = self.store.load()
        self.log.append(f"{self.now:.1f} boot")
        for task in list(self.state.live()):
            assert task.live is not None
            process = self.processes.get(task.live.ref)
            if process is None:
                self.do(happened.AttemptUnclaimed(task.live.ref))
            elif process.ends <= self.now:
                self.do(replace(process.report, at=process.ends))
            else:
                self.do(happened.AttemptBegan(process.ref, process.pid, process.began))
        self.do(happened.Started(self.jobs, flow.plan(self.jobs.jobs), self.alive_at))

    def do(self, event: Event) -> None:
        """One turn of the daemon: step, save, deeds; it may die between any two of them."""
        state = self.state
        assert state is not None
        self.log.append(f"{self.now:.1f} {trace.event_line(event)}")
        late = isinstance(event, happened.AttemptEnded) and self._has_ended(event.ref)
        out = step(state, event, self.now)
        if late:
            ended = [str(ref) for ref, attempt in out.attempts.items() if attempt.state == "ended"]
            assert not ended, f"a late report of {trace.event_line(event)} ends {ended}"
        self.log.extend(f"  {line}" for line in trace.lines(out))
        self._maybe_crash("before the commit", isinstance(event, happened.Started))
        if out.rows:
            self.store.save(out)
        for key, cursor in out.cursors.items():
            if cursor is None:
                self.cursors.pop(key, None)
            else:
                self.cursors.setdefault(key, cursor.at)
        self._check_step(out)
        self._maybe_crash("before the deeds")
        for deed in out.deeds:
            self._carry_out(deed)
            self._maybe_crash("between deeds")
        self.alive_at = self.now

    def _has_ended(self, ref: AttemptRef) -> bool:
        sql = "SELECT state FROM attempts WHERE run = ? AND task = ? AND n = ?"
        row = self.store.connection.execute(sql, (ref.run, ref.task, ref.n)).fetchone()
        return row is not None and row[0] == "ended"

    def cursor_since(self, job: str, key: str) -> float:
        """Since when the slots of a trigger count."""
        return self.cursors[job, key]

    def _maybe_crash(self, where: str, spare: bool = False) -> None:
        if self.crashes and not spare and self.rng.random() < 0.004:
            self.log.append(f"  crash {where}")
            raise Crash

    def _carry_out(self, deed: StartAttempt | StopAttempt) -> None:
        if isinstance(deed, StartAttempt):
            self._spawn(deed.ref)
            return
        process = self.processes.get(deed.ref)
        if process is None or process.ends <= self.now:
            return
        process.ends = min(process.ends, self.now + self.rng.uniform(0.1, 5.0))
        process.report = replace(process.report, stopped="cancel", exit_code=None, signal=15, reason=None)
        self._report(process)

    def _spawn(self, ref: AttemptRef) -> None:
        """The keeper's part of the bargain: an attempt is started once, however often it is asked for."""
        if ref in self.processes:
            return
        state = self.state
        assert state is not None
        row = self.store.connection.execute(
            "SELECT state FROM attempts WHERE run = ? AND task = ? AND n = ?", (ref.run, ref.task, ref.n)
        ).fetchone()
        assert row is not None, f"{ref} is started before its row is saved"
        run = state.runs[ref.run]
        job = state.job(run, run.tasks[ref.task])
        self.starts[ref] = self.starts.get(ref, 0) + 1
        self.counter += 1
        length = self.rng.choice((0.01, 1.0, 20.0, 240.0, 3000.0)) * self.rng.uniform(0.5, 1.5)
        report = self._ending(ref)
        if job.timeout is not None and length > job.timeout:
            length = job.timeout + self.rng.uniform(0, job.kill_after)
            report = happened.AttemptEnded(ref, 0.0, signal=15, stopped="timeout")
        process = Process(ref, 1000 + self.counter, self.now, self.now + length, report)
        self.processes[ref] = process
        self._later(self.now, happened.AttemptBegan(ref, process.pid, self.now))
        self._report(process)

    def _ending(self, ref: AttemptRef) -> happened.AttemptEnded:
        kind = self.rng.random()
        if kind < 0.62:
            return happened.AttemptEnded(ref, 0.0, exit_code=0)
        if kind < 0.82:
            return happened.AttemptEnded(ref, 0.0, exit_code=self.rng.choice((1, 2, 99)))
        if kind < 0.9:
            return happened.AttemptEnded(ref, 0.0, signal=9)
        if kind < 0.95:
            return happened.AttemptEnded(ref, 0.0, survivors=self.rng.random() < 0.3)
        return happened.AttemptEnded(ref, 0.0, exit_code=127, reason="not_found", message="no such command")

    def _report(self, process: Process) -> None:
        self._later(process.ends, replace(process.report, at=process.ends))

    def _later(self, at: float, event: Event) -> None:
        self.counter += 1
        heapq.heappush(self.pending, (at, self.counter, event))

    # ---- time ------------------------------------------------------------------------------------------------------------

    def run(self, hours: float) -> None:
        """Let the world go on for some hours of its own time, then let everything that began end."""
        self._guarded(self.boot)
        end = self.now + hours * 3600.0
        while self.now < end:
            self._turn(end)
        self.crashes = False
        if self.state is None:
            self.boot()
        self._calm_down()
        check_history(self)

    def _turn(self, end: float) -> None:
        if self.state is None:
            self.now += self.rng.choice((0.0, 2.0, 90.0, 1800.0, 20_000.0))
            self._guarded(self.boot)
            return
        at, event = self._next_event(end)
        self.now = max(self.now, at)
        if event is None and self.rng.random() < 0.02:
            event = self._person()
        self._guarded(lambda: self.do(event or happened.Woke()))

    def _next_event(self, end: float) -> tuple[float, Event | None]:
        assert self.state is not None
        times = [end]
        wakeup = next_wakeup(self.state)
        if wakeup is not None:
            times.append(wakeup)
        if self.rng.random() < 0.03:
            times.append(self.now + self.rng.uniform(0.0, 3600.0))
        at = min(times)
        if self.pending and self.pending[0][0] <= at:
            at, _, event = heapq.heappop(self.pending)
            if self.rng.random() < 0.05:
                self._later(at + self.rng.uniform(0, 900), event)
            return at, event
        if self.rng.random() < 0.01:
            at += self.rng.choice((100.0, 4000.0))
        if self.rng.random() < 0.002:
            self.now -= 3600.0
            self.log.append(f"{self.now:.1f} the clock goes back by an hour")
            return self.now, None
        return at, None

    def _guarded(self, deed: object) -> None:
        try:
            deed()  # type: ignore[operator]  # a function without arguments
        except Crash:
            self.state = None
            self.pending = []
            for process in self.processes.values():
                if process.ends > self.now:
                    self._report(process)

    def _person(self) -> Event:
        """Someone types a command."""
        rng, state = self.rng, self.state
        assert state is not None
        self.counter += 1
        names = sorted(self.jobs.jobs)
        some = tuple(rng.sample(names, min(len(names), rng.choice((1, 1, 2)))))
        kind = rng.random()
        if kind < 0.05:
            slot = int(self.now - rng.uniform(0, 200_000))
            return happened.RunAsked(self.counter, some[:1], "anna", "backfill", at=slot, trigger="backfill")
        if kind < 0.35:
            return happened.RunAsked(self.counter, some, "anna", "run", rng.random() < 0.2, rng.random() < 0.2)
        if kind < 0.5 and state.runs:
            run = state.runs[rng.choice(sorted(state.runs))]
            task = rng.choice(sorted(run.tasks)) if rng.random() < 0.5 else None
            return happened.CancelAsked(self.counter, run.id, "anna", "cancel", task)
        if kind < 0.65 and state.next_run > 1:
            old = self.store.run(rng.randrange(1, state.next_run))
            if old is not None:
                scope = frozenset(plain["name"] for plain in json.loads(self.store.definition(old.definition)))
                task = rng.choice(sorted(old.tasks)) if old.tasks and rng.random() < 0.3 else None
                return happened.RetryAsked(self.counter, old, scope, "anna", "retry", task)
        if kind < 0.75:
            until = self.now + rng.uniform(60, 7200) if rng.random() < 0.6 else None
            return happened.PauseAsked(self.counter, some, "anna", "pause", until)
        if kind < 0.8:
            return happened.SkipAsked(self.counter, some, "anna", "skip", rng.choice((0, 1, 1, 3)))
        if kind < 0.9:
            return happened.ResumeAsked(self.counter, some, "anna", "resume")
        self.jobs = edited(rng, self.jobs)
        return happened.Reloaded(self.jobs, flow.plan(self.jobs.jobs))

    def _calm_down(self) -> None:
        """No more slots and people: whatever began must end."""
        assert self.state is not None
        self.state.slots = False
        for _ in range(100_000):
            if not self.state.runs:
                return
            wakeup = next_wakeup(self.state)
            if self.pending and (wakeup is None or self.pending[0][0] <= wakeup):
                at, _, event = heapq.heappop(self.pending)
                self.now = max(self.now, at)
                self.do(event)
            elif wakeup is not None:
                self.now = max(self.now, wakeup)
                self.do(happened.Woke())
            else:
                break
        assert not self.state.runs, f"never end: {[(run.id, run.state, run.held) for run in self.state.runs.values()]}"

    # ---- the laws --------------------------------------------------------------------------------------------------------

    def _check_step(self, out: Effects) -> None:
        state = self.state
        assert state is not None
        again = step(state, happened.Woke(), self.now)
        assert not again, f"a second step returns {list(trace.lines(again))}"
        wakeup = next_wakeup(state)
        assert wakeup is None or wakeup > self.now, "next_wakeup is not in the future"
        if any(isinstance(deed, StartAttempt) for deed in out.deeds) and state.up_since is not None and not self._resent(out):
            assert state.running <= state.jobs.settings.max_running, "more processes than `max_running`"
        for run in state.runs.values():
            for task in run.tasks.values():
                if not task.final and task.live is None and state.up_since is not None:
                    assert blockers(state, run, task), f"{run.id}/{task.name} has no blockers and does not start"
        self._check_starts(out)
        self._check_queues()
        if self.rng.random() < 0.05:
            self._check_rebuild()

    def _resent(self, out: Effects) -> bool:
        """Whether these starts are old ones, asked for again after a restart."""
        return all(deed.ref not in out.attempts for deed in out.deeds if isinstance(deed, StartAttempt))

    def _check_starts(self, out: Effects) -> None:
        """Nothing starts before its upstreams are final; attempts ≤ retries + 1; one process of a task at a time."""
        state = self.state
        assert state is not None
        for deed in out.deeds:
            if not isinstance(deed, StartAttempt) or deed.ref.run not in state.runs:
                continue
            run = state.runs[deed.ref.run]
            task = run.tasks[deed.ref.task]
            job = state.job(run, task)
            assert task.attempts <= job.retries + 1, f"{deed.ref} is one attempt too many"
            upstreams = [run.tasks[edge.job] for edge in job.after if edge.job in run.tasks]
            enough = any if job.join == "any" and upstreams else all
            assert enough(upstream.final for upstream in upstreams), f"{deed.ref} starts before its upstreams are final"
            if state.plan.flow_of.get(job.name) and job.overlap != "allow":
                others = [other for other in state.live() if other.job == job.name and other.run != run.id]
                if run.trigger == "backfill":
                    others = [other for other in others if state.runs[other.run].trigger != "backfill"]
                assert not others or any(state.job(state.runs[other.run], other).overlap == "allow" for other in others), (
                    f"{deed.ref} overlaps {others[0].run}"
                )

    def _check_queues(self) -> None:
        state = self.state
        assert state is not None
        held: dict[tuple[str, bool], int] = {}
        for number in state.held:
            line = state.runs[number].flow, state.runs[number].trigger == "backfill"
            held[line] = held.get(line, 0) + 1
        assert all(count <= QUEUE_LIMIT for count in held.values()), "a queue grows without bound"

    def _check_rebuild(self) -> None:
        """What is in the database rebuilds the live state exactly, indexes included."""
        live, loaded = self.state, self.store.load()
        assert live is not None
        for name in ("runs", "rows", "cursors", "pauses", "skips", "troubles", "next_run", "left", "running", "lining"):
            assert getattr(live, name) == getattr(loaded, name), f"`{name}` is not what the database says"
        assert list(live.held) == list(loaded.held)
        assert {job: set(runs) for job, runs in live.busy.items() if runs} == {j: set(r) for j, r in loaded.busy.items()}
        assert {job: one for job, one in live.health.items() if one.last_success_at or one.failures} == {
            job: one for job, one in loaded.health.items() if one.last_success_at or one.failures
        }
        for name in ("ready", "timers"):
            assert _still_meant(live, name) == sorted(getattr(loaded, name)), f"`{name}` is not what the database says"


def _still_meant(state: State, name: str) -> list[tuple[object, ...]]:
    """The entries of a heap that still stand for something; a heap drops the others when it meets them."""
    found = set()
    for entry in getattr(state, name):
        if name == "timers" and entry[1] == "resume":
            pause = state.pauses.get(entry[3])
            if pause is not None and pause.until == entry[0]:
                found.add(entry)
            continue
        number, task_name = entry[-2:]
        run = state.runs.get(number)
        task = run.tasks.get(task_name) if run else None
        at = None if task is None else task.queued_at if name == "ready" else task.next_attempt_at
        if task is not None and task.state == ("queued" if name == "ready" else "retrying") and at == entry[0]:
            found.add(entry)
    return sorted(found)
