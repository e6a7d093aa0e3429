"""A simulated world round the engine: a clock that jumps, a keeper with processes, people, edits, crashes.

The engine, the store and the trace are the real ones. Every random choice comes from one seed. After every step the laws of
`cronflow.core.engine` are checked; `World.finish` checks those that only the whole history can show.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field, replace

from cronflow.core import events as happened
from cronflow.core import trace
from cronflow.core.effects import Effects, StartAttempt, StopAttempt
from cronflow.core.engine import blockers, next_wakeup, step
from cronflow.core.events import Event
from cronflow.core.jobs import Job, JobSet, jobs_from_definition
from cronflow.core.notify.expectations import timers
from cronflow.core.plan import flow
from cronflow.core.plan.flow import several_flows
from cronflow.core.records import QUEUE_LIMIT, Approval, AttemptRef
from cronflow.core.slots.clock_correction import is_behind, since
from cronflow.core.state import LiveState
from cronflow.core.tables import ATTEMPTS, CURSORS
from cronflow.store.store import Store
from tests.world.ends import check_rounds
from tests.world.jobfiles import BUSY, START, Pace, edited, random_jobs
from tests.world.oracle import check_history
from tests.world.told import check_alerts

SAVED = (
    *("runs", "rows", "cursors", "links", "pauses", "skips", "troubles"),
    *("next_run", "open_by_job", "running", "used", "catching_up"),
)
"""What of the live state has to be what the database rebuilds."""
JUMPS = {"+1 h": 3600.0, "-1 h": -3600.0, "+3 days": 259200.0, "a suspend": 20_000.0}
"""What a clock may do at once. After a suspend timers are late, as after a step forward."""
SET_BACK = {"-3 days": -259200.0}
"""What it does besides in a world that is `far`."""
FOLLOW_UPS = frozenset({"check", "on_failure", "on_success"})
"""Processes that take the place of the one before them in the limits."""

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
    pace: Pace = BUSY
    jumps: float = 0.0
    far: bool = False
    was_set_back: bool = False
    log: list[str] = field(default_factory=list)
    now: float = START
    store: Store = field(default_factory=Store.in_memory)
    processes: dict[AttemptRef, Process] = field(default_factory=dict)
    pending: list[tuple[float, int, Event]] = field(default_factory=list)
    rng: random.Random = field(init=False)
    jobs: JobSet = field(init=False)
    state: LiveState | None = None
    alive_at: float | None = None
    counter: int = 0
    cursors: dict[tuple[str, str], float] = field(default_factory=dict)
    starts: dict[AttemptRef, int] = field(default_factory=dict)
    boot_number: int = 1
    approved: set[tuple[int, str]] = field(default_factory=set)
    polls: dict[tuple[int, str], Process] = field(default_factory=dict)
    boots: dict[tuple[str, str], set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.jobs = random_jobs(self.rng, self.pace)

    # ---- the daemon ------------------------------------------------------------------------------------------------------

    def boot(self) -> None:
        """Start a daemon: load, ask the keeper for every attempt, then begin."""
        self.state = self.store.load()
        self.state.jobs = self.jobs
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
        boot = f"boot {self.boot_number}"
        self.do(happened.Started(self.jobs, flow.plan(self.jobs.jobs), self.alive_at, boot=boot))
        self._look_at_clock()

    def do(self, event: Event) -> None:
        """One turn of the daemon: step, save, actions; it may die between any two of them."""
        state = self.state
        assert state is not None
        self.log.append(f"{self.now:.1f} {trace.event_line(event)}")
        late = isinstance(event, happened.AttemptEnded) and self._has_ended(event.ref)
        out = step(state, event, self.now)
        if late:
            ended = [str(ref) for ref, attempt in out.of(ATTEMPTS).items() if attempt is not None and attempt.state == "ended"]
            assert not ended, f"a late report of {trace.event_line(event)} ends {ended}"
        self.log.extend(f"  {line}" for line in trace.lines(out))
        self._maybe_crash("before the commit", isinstance(event, happened.Started))
        if out.unsaved:
            self.store.save(out)
        for key, cursor in out.of(CURSORS).items():
            if cursor is None:
                self.cursors.pop(key, None)
                self.boots.pop(key, None)
            else:
                since = self.cursors.setdefault(key, cursor.at)
                if isinstance(event, happened.ClockSetBack):
                    self.cursors[key] = min(since, cursor.at)
                self.boots.setdefault(key, {self.boot_number})
        if isinstance(event, happened.Started):
            for key in state.cursors:
                self.boots[key].add(self.boot_number)
        self._check_step(out)
        check_rounds(self, event, out)
        if isinstance(event, happened.ApprovalGiven) and event.approved and out.replies[event.request].refused is None:
            self.approved.add((event.run, event.task))
        self._maybe_crash("before the actions")
        for action in out.actions:
            self._carry_out(action)
            self._maybe_crash("between actions")
        self.alive_at = self.now

    def _has_ended(self, ref: AttemptRef) -> bool:
        sql = "SELECT state FROM attempts WHERE run = ? AND task = ? AND n = ? AND kind = ?"
        row = self.store.connection.execute(sql, tuple(ref)).fetchone()
        return row is not None and row[0] == "ended"

    def cursor_since(self, job: str, key: str) -> float:
        """Since when the slots of a trigger count."""
        return self.cursors[job, key]

    def _maybe_crash(self, where: str, spare: bool = False) -> None:
        if self.crashes and not spare and self.rng.random() < 0.004:
            self.log.append(f"  crash {where}")
            raise Crash

    def _carry_out(self, action: StartAttempt | StopAttempt) -> None:
        if isinstance(action, StartAttempt):
            self._spawn(action.ref)
            return
        process = self.processes.get(action.ref)
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
            "SELECT state FROM attempts WHERE run = ? AND task = ? AND n = ? AND kind = ?", tuple(ref)
        ).fetchone()
        assert row is not None, f"{ref} is started before its row is saved"
        run = state.runs[ref.run]
        job = state.job(run, run.tasks[ref.task])
        self.starts[ref] = self.starts.get(ref, 0) + 1
        self.counter += 1
        length = self.rng.choice((0.01, 1.0, 20.0, 240.0, 3000.0)) * self.rng.uniform(0.5, 1.5)
        report = self._ending(ref)
        if ref.kind == "sensor":
            length = min(length, 30.0)
        if job.timeout is not None and length > job.timeout:
            length = job.timeout + self.rng.uniform(0, job.kill_after)
            report = happened.AttemptEnded(ref, 0.0, signal=15, stopped="timeout")
        process = Process(ref, 1000 + self.counter, self.now, self.now + length, report)
        self.processes[ref] = process
        self._check_patience(job, process)
        self._later(self.now, happened.AttemptBegan(ref, process.pid, self.now))
        self._report(process)

    def _check_patience(self, job: Job, process: Process) -> None:
        """A sensor is not polled again too soon, unless nobody knows how its poll ended; and nothing runs without approval."""
        ref = process.ref
        if ref.kind == "sensor":
            before, self.polls[ref.run, ref.task] = self.polls.get((ref.run, ref.task)), process
            known = before is not None and (before.report.exit_code, before.report.signal, before.report.reason) != (None,) * 3
            assert before is None or not known or self.now >= before.ends + job.wait_every - 0.001, f"{ref} is too soon"
        if job.approve is not None and ref.kind in ("foreach", "command", "check", "on_success"):
            assert {(ref.run, ref.task), (ref.run, job.name)} & self.approved, f"{ref} is started without approval"

    def _ending(self, ref: AttemptRef) -> happened.AttemptEnded:
        kind = self.rng.random()
        if kind < 0.62 or (ref.kind != "command" and kind < 0.8):
            return happened.AttemptEnded(ref, 0.0, exit_code=0, **self._printed(ref))
        if kind < 0.82:
            return happened.AttemptEnded(ref, 0.0, exit_code=self.rng.choice((1, 2, 99)))
        if kind < 0.9:
            return happened.AttemptEnded(ref, 0.0, signal=9)
        if kind < 0.95:
            return happened.AttemptEnded(ref, 0.0, survivors=self.rng.random() < 0.3)
        return happened.AttemptEnded(ref, 0.0, exit_code=127, reason="not_found", message="no such command")

    def _printed(self, ref: AttemptRef) -> dict[str, tuple[object, ...]]:
        if ref.kind == "foreach":
            return {"items": tuple(self.rng.sample(("a", "b", "c d", "3", "e"), self.rng.choice((0, 1, 2, 4))))}
        return {"outputs": (("rows", str(self.counter)),)} if ref.kind == "command" and self.rng.random() < 0.2 else {}

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
            if self.rng.random() < 0.4:
                self._reboot()
            self._guarded(self.boot)
            return
        at, event = self._next_event(end)
        self.now = max(self.now, at)
        if event is None and self.rng.random() < 0.02:
            event = self._person()
        if event is None and self.rng.random() < 0.03:
            event = self._file()
        self._guarded(lambda: self._look_at_clock() or self.do(event or happened.Woke()))

    def _look_at_clock(self) -> None:
        """Notice, as the daemon does, a clock that was set back by hours."""
        assert self.state is not None
        if is_behind(self.state, self.state.plan, self.now):
            self.was_set_back = True
            self.do(happened.ClockSetBack(*self.store.slots_after(since(self.state, self.state.plan, self.now))))

    def _reboot(self) -> None:
        """Another boot of the machine: of what was running nothing is left, nor known how it ended."""
        self.boot_number += 1
        self.log.append(f"{self.now:.1f} reboot")
        for process in self.processes.values():
            if process.ends > self.now:
                process.ends, process.report = self.now, happened.AttemptEnded(process.ref, 0.0)

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
        if self.jumps and self.rng.random() < self.jumps:
            jumps = JUMPS | SET_BACK if self.far else JUMPS
            word = self.rng.choice(sorted(jumps))
            self.now = max(self.now, at if jumps[word] > 0 else 0.0) + jumps[word]
            self.log.append(f"{self.now:.1f} the clock jumps: {word}")
            return self.now, None
        if self.rng.random() < 0.002:
            self.now -= 3600.0
            self.log.append(f"{self.now:.1f} the clock goes back by an hour")
            return self.now, None
        return at, None

    def _guarded(self, action: object) -> None:
        try:
            action()  # type: ignore[operator]  # a function without arguments
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
        waiting = [task for run in state.runs.values() for task in run.tasks.values() if isinstance(task.phase, Approval)]
        if waiting and rng.random() < 0.7:
            task = rng.choice(waiting)
            return happened.ApprovalGiven(self.counter, task.run, task.name, rng.random() < 0.5, "anna", "approve")
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
                jobs = jobs_from_definition(self.store.definition(old.definition))
                task = rng.choice(sorted(old.tasks)) if old.tasks and rng.random() < 0.3 else None
                return happened.RetryAsked(self.counter, old, frozenset(jobs), "anna", "retry", task, several_flows(jobs))
        if kind < 0.75:
            until = self.now + rng.uniform(60, 7200) if rng.random() < 0.6 else None
            return happened.PauseAsked(self.counter, some, "anna", "pause", until)
        if kind < 0.8:
            return happened.SkipAsked(self.counter, some, "anna", "skip", rng.choice((0, 1, 1, 3)))
        if kind < 0.9:
            return happened.ResumeAsked(self.counter, some, "anna", "resume")
        self.jobs = edited(rng, self.jobs, self.pace)
        return happened.Reloaded(self.jobs, flow.plan(self.jobs.jobs))

    def _file(self) -> Event | None:
        """A watch sees a file come or go, now and then twice within a second."""
        assert self.state is not None
        triggers = (trigger for one in self.state.plan.flows.values() for trigger in one.triggers)
        watches = sorted({trigger.key for trigger in triggers if trigger.watch})
        if not watches:
            return None
        self.counter += 1
        path, stamp = f"/in/{self.rng.randint(1, 9)}", self.rng.choice((None, f"stamp {self.counter}"))
        event = happened.Triggered(self.rng.choice(watches), (path,) if stamp else (), ((path, stamp),))
        if self.counter % 3 == 0:
            self._later(self.now + 0.2, event)
        return event

    def _calm_down(self) -> None:
        """No more slots and people: whatever began must end."""
        assert self.state is not None
        self.state.slots = False
        for run in [run for run in self.state.runs.values() if run.gate == "edges"]:
            self.do(happened.CancelAsked(0, run.id, "anna", "cancel"))
        for _ in range(100_000):
            if not self.state.runs:
                return
            wakeup = next_wakeup(self.state)
            for run in list(self.state.runs.values()):
                for task in list(run.tasks.values()):
                    if isinstance(task.phase, Approval):
                        self.do(happened.ApprovalGiven(0, run.id, task.name, True, "anna", "approve"))
            if self.pending and (wakeup is None or self.pending[0][0] <= wakeup):
                at, _, event = heapq.heappop(self.pending)
                self.now = max(self.now, at)
                self.do(event)
            elif wakeup is not None:
                self.now = max(self.now, wakeup)
                self.do(happened.Woke())
            else:
                break
        assert not self.state.runs, f"never end: {[(run.id, run.state, run.gate) for run in self.state.runs.values()]}"

    # ---- the laws --------------------------------------------------------------------------------------------------------

    def _check_step(self, out: Effects) -> None:
        state = self.state
        assert state is not None
        again = step(state, happened.Woke(), self.now)
        assert not again, f"a second step returns {list(trace.lines(again))}"
        wakeup = next_wakeup(state)
        assert wakeup is None or wakeup > self.now, "next_wakeup is not in the future"
        starts = any(isinstance(action, StartAttempt) for action in out.actions)
        if starts and state.up_since is not None and not self._resent(out):
            assert state.running <= state.jobs.settings.max_running, "more processes than `max_running`"
        self._check_pools(out)
        for run in state.runs.values():
            for task in run.tasks.values():
                if not task.final and task.live is None and state.up_since is not None:
                    assert blockers(state, run, task), f"{run.id}/{task.name} has no blockers and does not start"
        self._check_starts(out)
        self._check_queues()
        check_alerts(out, self.now)
        if self.rng.random() < 0.05:
            self._check_rebuild()

    def _check_pools(self, out: Effects) -> None:
        """A start leaves no pool with more taken than it has, unless it has shrunk: then it is the only one in it."""
        state = self.state
        assert state is not None
        for action in out.actions:
            if not isinstance(action, StartAttempt) or action.ref not in out.of(ATTEMPTS) or action.ref.kind != "command":
                continue
            run = state.runs.get(action.ref.run)
            job = state.job(run, run.tasks[action.ref.task]) if run else None
            if job is None or job.pool not in state.jobs.pools:
                continue
            size = state.jobs.pools[job.pool]
            taken = [state.job(state.runs[one.run], one) for one in state.live() if one.attempts > 0]
            used = sum(one.pool_slots for one in taken if one.pool == job.pool)
            assert used <= max(size, job.pool_slots), f"{used} slots of {size} of `{job.pool}` are taken"

    def _resent(self, out: Effects) -> bool:
        """Whether these starts are old ones, asked for again after a restart, or take the place of what came before them."""
        starts = (action.ref for action in out.actions if isinstance(action, StartAttempt))
        return all(ref not in out.of(ATTEMPTS) or ref.kind in FOLLOW_UPS for ref in starts)

    def _check_starts(self, out: Effects) -> None:
        """Nothing starts before its upstreams are final; attempts ≤ retries + 1; one process of a task at a time."""
        state = self.state
        assert state is not None
        for action in out.actions:
            if not isinstance(action, StartAttempt) or action.ref.run not in state.runs:
                continue
            run = state.runs[action.ref.run]
            task = run.tasks[action.ref.task]
            job = state.job(run, task)
            assert task.attempts <= job.retries + 1, f"{action.ref} is one attempt too many"
            upstreams = [other for edge in job.after for other in run.tasks.values() if other.job == edge.job]
            if job.matrix_join == "each" and job.matrix:
                alike = {name for name, other in state.flows[run.id].jobs.items() if other.matrix == job.matrix}
                upstreams = [other for other in upstreams if other.job not in alike or other.matrix == task.matrix]
            enough = any if job.join == "any" and upstreams else all
            assert enough(upstream.final for upstream in upstreams), f"{action.ref} starts before its upstreams are final"
            if job.name in state.plan.flow_of and self._overlap(job.name) != "allow":
                others = [other for other in state.live() if other.job == job.name and other.run != run.id]
                others = [other for other in others if not (run.aside or state.runs[other.run].aside)]
                if run.trigger == "backfill":
                    others = [other for other in others if state.runs[other.run].trigger != "backfill"]
                assert not others, f"{action.ref} overlaps {others[0].run}"

    def _overlap(self, job: str) -> str:
        """The rule of the flow that a job belongs to."""
        assert self.state is not None
        return self.state.plan.flows[self.state.plan.flow_of[job]].settings_root.overlap

    def _check_queues(self) -> None:
        state = self.state
        assert state is not None
        held: dict[tuple[str, bool], int] = {}
        for number in state.held:
            by_backfill = state.runs[number].trigger == "backfill"
            for job in {task.job for task in state.runs[number].tasks.values() if not task.final}:
                held[job, by_backfill] = held.get((job, by_backfill), 0) + 1
        assert all(count <= QUEUE_LIMIT for count in held.values()), "a queue grows without bound"

    def _check_rebuild(self) -> None:
        """What is in the database rebuilds the live state exactly, indexes included."""
        live, loaded = self.state, self.store.load()
        assert live is not None
        for name in SAVED:
            assert getattr(live, name) == getattr(loaded, name), f"`{name}` is not what the database says"
        assert live.held.keys() == loaded.held.keys()
        assert live.gated == loaded.gated
        assert {job: set(runs) for job, runs in live.active.items() if runs} == {j: set(r) for j, r in loaded.active.items()}
        assert {job: one for job, one in live.health.items() if one.last_success_at or one.failures} == {
            job: one for job, one in loaded.health.items() if one.last_success_at or one.failures
        }
        assert _in_lines(live) == _in_lines(loaded), "the lines are not what the database says"
        if live.slots:
            assert _still_meant(live) == _still_meant(loaded), "the timers are not what the database says"
        assert _still_meant(loaded) == sorted(set(loaded.timers)), "a timer derived from the database stands for nothing"


def _in_lines(state: LiveState) -> dict[str, list[tuple[object, ...]]]:
    """Who stands in which line; a line drops those who have left it when they come to its head."""
    lines = {name: sorted(place for place in line if state.queued(place)) for name, line in state.ready.items()}
    return {name: line for name, line in lines.items() if line}


def _still_meant(state: LiveState) -> list[tuple[object, ...]]:
    """The timers that still stand for something; the others are dropped when their time has come."""
    found = set()
    for at, kind, number, name in state.timers:
        if kind == "resume":
            pause = state.pauses.get(name)
            if pause is not None and pause.until == at:
                found.add((at, kind, number, name))
            continue
        if kind == "edges":
            if number in state.runs and state.runs[number].gate_until == at:
                found.add((at, kind, number, name))
            continue
        run = state.runs.get(number)
        task = run.tasks.get(name) if run else None
        if run is None or task is None or task.final:
            continue
        one = state.health.get(task.job)
        if (at, kind, number, name) in timers(run, task, state.job(run, task), one.durations if one else ()):
            found.add((at, kind, number, name))
        waits = state.gives_up_at(run, task) == at and (task.live is None or task.live.stop is None)
        if (kind == "again" and task.again_at == at) or (kind == "wait_timeout" and waits):
            found.add((at, kind, number, name))
    return sorted(found)
