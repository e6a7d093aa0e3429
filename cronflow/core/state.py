"""The live state: what is in force, what goes on, and the indexes that make each question cheap.

What `Store.load` gives back rebuilds it exactly. The indexes (everything from `active` on) are derived from the rest and not
saved; the simulated world rebuilds them after every step and compares.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from cronflow.core.jobs import Job, JobSet, jobs_from_definition
from cronflow.core.notify import expectations
from cronflow.core.plan.flow import Flow, Plan, flow_of_definition
from cronflow.core.records import (
    COMMAND,
    RUN_RANK,
    Attempt,
    AttemptRef,
    Cursor,
    Health,
    Hook,
    Link,
    Live,
    Pause,
    Pausing,
    Queued,
    Run,
    Skip,
    Task,
    TaskState,
    Trouble,
)


class QueueEntry(NamedTuple):
    """An entry of the queue, in the order in which they are served: of tasks that came at once, `load[9]` before `load[10]`."""

    rank: int
    since: float
    run: int
    job: str
    length: int
    task: str


def queue_of(job: Job, task: Task) -> str:
    """The queue of a task: that of its pool, for its command; else the one of all others."""
    return job.pool or "" if task.phase.stage == COMMAND else ""


@dataclass(slots=True)
class LiveState:
    """Everything the engine decides upon. Only `engine.step` changes it."""

    jobs: JobSet = field(default_factory=lambda: JobSet({}))
    plan: Plan = field(default_factory=Plan)
    runs: dict[int, Run] = field(default_factory=dict)
    rows: dict[int, Run] = field(default_factory=dict)
    cursors: dict[tuple[str, str], Cursor] = field(default_factory=dict)
    links: dict[tuple[str, str], Link] = field(default_factory=dict)
    pauses: dict[str, Pause] = field(default_factory=dict)
    skips: dict[str, Skip] = field(default_factory=dict)
    already_run: dict[tuple[str, str], set[int]] = field(default_factory=dict)
    health: dict[str, Health] = field(default_factory=dict)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    definitions: dict[str, Mapping[str, Job]] = field(default_factory=dict)
    next_run: int = 1

    up_since: float | None = None
    slots: bool = False
    draining: bool = False

    active: dict[str, dict[int, None]] = field(default_factory=dict)
    by_job: dict[int, dict[str, list[Task]]] = field(default_factory=dict)
    open_by_job: dict[int, dict[str, int]] = field(default_factory=dict)
    with_outputs: dict[int, set[str]] = field(default_factory=dict)
    flows: dict[int, Flow] = field(default_factory=dict)
    ready: dict[str, list[QueueEntry]] = field(default_factory=dict)
    used: dict[str, int] = field(default_factory=dict)
    timers: list[tuple[float, str, int, str]] = field(default_factory=list)
    due: list[tuple[float, str, str]] = field(default_factory=list)
    held: dict[int, None] = field(default_factory=dict)
    gated: dict[tuple[str, str], int] = field(default_factory=dict)
    catching_up: set[tuple[str, str]] = field(default_factory=set)
    linked: dict[str, list[str]] = field(default_factory=dict)
    dirty_edges: dict[str, None] = field(default_factory=dict)
    running: int = 0

    missed: dict[str, MissedReport] = field(default_factory=dict)
    interrupted: list[tuple[str, int, str, str]] = field(default_factory=list)
    down_from: float | None = None
    rebooted: bool = False
    boot: str | None = None
    dirty: bool = False

    def index(self) -> None:
        """Derive the indexes from the runs, after a load."""
        self.active, self.by_job, self.open_by_job, self.with_outputs, self.flows = {}, {}, {}, {}, {}
        self.ready, self.used, self.timers, self.held, self.gated, self.running = {}, {}, [], {}, {}, 0
        for run in self.runs.values():
            self.enter(run)
            for task in run.tasks.values():
                if not task.final:
                    self._index_task(run, task)
        for pause in self.pauses.values():
            if pause.until is not None:
                self.timers.append((pause.until, "resume", 0, pause.job))
        self.catching_up = {key for key, cursor in self.cursors.items() if cursor.catching_up}
        self.link_up()
        heapq.heapify(self.timers)
        self.dirty = True

    def link_up(self) -> None:
        """Derive who comes after whom over the borders of flows, and whose edges are to be looked at."""
        self.linked, self.dirty_edges = {}, {}
        for root, upstream in sorted(self.links):
            self.linked.setdefault(upstream, []).append(root)
            if self.links[root, upstream].look:
                self.dirty_edges[root] = None

    def _index_task(self, run: Run, task: Task) -> None:
        job, phase = self.job(run, task), task.phase
        durations = self.health[task.job].durations if task.job in self.health else ()
        self.timers.extend(expectations.timers(run, task, job, durations))
        if task.live is not None:
            self.take_place(job, task)
        elif isinstance(phase, Queued | Hook):
            self.enqueue(job, task, phase.since)
        elif isinstance(phase, Pausing):
            self.timers.append((phase.again_at, "again", run.id, task.name))
        at = self.gives_up_at(run, task)
        if at is not None and (task.live is None or task.live.stop is None):
            self.timers.append((at, "wait_timeout", run.id, task.name))

    def gives_up_at(self, run: Run, task: Task) -> float | None:
        """When a sensor that is still asking has waited long enough."""
        phase = task.phase
        if not isinstance(phase, Queued | Live | Pausing) or phase.stage != "sensor":
            return None
        return phase.entered + self.job(run, task).wait_timeout

    def enqueue(self, job: Job, task: Task, since: float) -> None:
        """Put a task into its queue; the higher its priority, the lower its rank."""
        entry = QueueEntry(-job.priority, since, task.run, task.job, len(task.name), task.name)
        heapq.heappush(self.ready.setdefault(queue_of(job, task), []), entry)

    def take_place(self, job: Job, task: Task) -> None:
        """A process of a task takes its place in the limits; in its pool once the command has had an attempt."""
        self.running += 1
        if job.pool is not None and task.attempts > 0:
            self.used[job.pool] = self.used.get(job.pool, 0) + job.pool_slots

    def give_place_back(self, job: Job, task: Task) -> None:
        """The place of a task's process is free again."""
        self.running -= 1
        if job.pool is not None and task.attempts > 0:
            self.used[job.pool] -= job.pool_slots
            if not self.used[job.pool]:
                del self.used[job.pool]

    def enter(self, run: Run) -> None:
        """Take a run that is not final into the indexes of runs."""
        self.flows[run.id] = flow_of_definition(self.definition_of(run), run.flow, run.roots)
        self.by_job[run.id], self.open_by_job[run.id], self.with_outputs[run.id] = {}, {}, set()
        if run.gate == "overlap":
            self.held[run.id] = None
        elif run.gate == "edges":
            self.gated.update({(root, run.trigger_key or ""): run.id for root in run.roots})
            if run.gate_until is not None:
                heapq.heappush(self.timers, (run.gate_until, "edges", run.id, ""))
        for task in run.tasks.values():
            self.enter_task(task)

    def leave(self, run: Run, now: float) -> None:
        """Take a run that has ended out of the indexes."""
        for index in (self.runs, self.open_by_job, self.by_job, self.with_outputs, self.flows):
            del index[run.id]
        self.leave_gate(run, now)
        self.dirty = True

    def leave_gate(self, run: Run, now: float) -> None:
        """A run is not held back any more, or has ended: what lined up behind it is due now."""
        self.held.pop(run.id, None)
        key = run.trigger_key or ""
        waiting = [root for root in run.roots if self.gated.get((root, key)) == run.id]
        for root in waiting:
            del self.gated[root, key]
        for name in dict.fromkeys(self.plan.flow_of[root] for root in waiting if root in self.plan.flow_of):
            if any(trigger.key == key and trigger.timed for trigger in self.plan.flows[name].triggers):
                heapq.heappush(self.due, (now, name, key))

    def enter_task(self, task: Task) -> None:
        """Take a task into the indexes of its run."""
        self.by_job[task.run].setdefault(task.job, []).append(task)
        if task.outputs:
            self.note_outputs(task)
        if not task.final:
            left = self.open_by_job[task.run]
            left[task.job] = left.get(task.job, 0) + 1
            self.active.setdefault(task.job, {})[task.run] = None

    def note_outputs(self, task: Task) -> None:
        """Remember that a task has something to hand on."""
        self.with_outputs[task.run].add(task.job)

    def leave_task(self, task: Task) -> None:
        """A task has become final, or is replaced by its copies: it is in nobody's way any more, unless copies of it are."""
        left = self.open_by_job[task.run]
        left[task.job] -= 1
        if not left[task.job]:
            del left[task.job]
            self.active[task.job].pop(task.run, None)
            self.dirty = True

    def definition_of(self, run: Run) -> Mapping[str, Job]:
        """The jobs as they were when the run was opened."""
        return self.definitions[run.definition]

    def job(self, run: Run, task: Task) -> Job:
        """The definition under which a task runs."""
        return self.definitions[run.definition][task.job]

    def know(self, digest: str, body: str) -> None:
        """Make a stored definition available to the runs that point to it."""
        if digest not in self.definitions:
            self.definitions[digest] = jobs_from_definition(body)

    def live_at(self, ref: AttemptRef) -> tuple[Task, Attempt] | None:
        """The attempt `ref`, if it is still going on, and its task; None for a late or foreign report."""
        run = self.runs.get(ref.run)
        task = run.tasks.get(ref.task) if run else None
        live = task.live if task is not None else None
        return (task, live) if task is not None and live is not None and live.ref == ref else None

    def queued(self, entry: QueueEntry) -> Task | None:
        """The task of an entry of the queue; None if it has left the queue since."""
        run = self.runs.get(entry.run)
        task = run.tasks.get(entry.task) if run else None
        phase = task.phase if task is not None else None
        if isinstance(phase, Queued) or (isinstance(phase, Hook) and phase.attempt is None):
            return task if phase.since == entry.since else None
        return None

    def live(self) -> Iterator[Task]:
        """Every task that has a process."""
        for run in self.runs.values():
            for task in run.tasks.values():
                if task.live is not None:
                    yield task

    def in_the_way(self, jobs: Mapping[str, object]) -> list[Run]:
        """The runs going on that have one of these jobs still to end. One that waits for jobs of other flows, or tells that edges
        are not met, is in nobody's way."""
        found = {run for job in jobs for run in self.active.get(job, ())}
        return [run for run in map(self.runs.__getitem__, sorted(found)) if not run.aside and run.gate != "edges"]

    def before(self, run: Run) -> list[Run]:
        """The runs that a held run waits for. A backfill does not wait for others: how many go on at once, its asker decides."""
        place = (run.gate_after or 0, run.id)
        others = [
            other
            for other in self.in_the_way(jobs_of(run))
            if other is not run
            and ((other.gate_after or 0, other.id) < place if other.gate == "overlap" else other.id <= place[0])
        ]
        return [other for other in others if not other.kind.paced] if run.kind.paced else others


@dataclass(slots=True)
class MissedReport:
    """What became of the slots of one root that nobody was there for; told in one alert at the end of the step."""

    caught_up: int | None = None
    recorded: int = 0
    waiting: int = 0


def jobs_of(run: Run) -> dict[str, None]:
    """The jobs that have a task in the run."""
    return dict.fromkeys(task.job for task in run.tasks.values())


def judge_run(run: Run) -> tuple[TaskState, str | None]:
    """The state in which a run ends whose tasks are all final, and the reason of the first task in that state."""
    for rank in RUN_RANK:
        for task in run.tasks.values():
            if task.state == rank:
                return rank, None if rank == "success" else task.reason
    return "skipped", "empty"
