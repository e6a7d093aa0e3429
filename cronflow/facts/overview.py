"""How everything stands: what `status` shows, `--check` judges and `--json` gives, gathered once with few statements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.records import Attempt, Health, Pause, Skip, Task, Trouble
from cronflow.facts import upcoming
from cronflow.facts.expected import NOTHING, Expected, expected
from cronflow.facts.known import KnownJobs
from cronflow.facts.live import edges_state
from cronflow.facts.sentences import telling_attempt
from cronflow.facts.waits import Upstream, Waiting, waiting_slots, waits_for
from cronflow.store.queries import History, RunRecord
from cronflow.store.standing import Standing, standing

if TYPE_CHECKING:
    from cronflow.core.state import LiveState
    from cronflow.facts.output import Logs

UNDELIVERED_AFTER = 300.0
"""Seconds after which an alert that nobody has got is trouble."""
PAUSED_LONG = 86400.0


class Failing(NamedTuple):
    """A job that is failing: its last failed task, the end of its output, what it blocks, and which of how many copies failed."""

    job: str
    health: Health
    task: Task | None = None
    attempt: Attempt | None = None
    last_line: str = ""
    blocks: tuple[str, ...] = ()
    failed: tuple[Task, ...] = ()
    copies: int = 1


class Blocked(NamedTuple):
    """A job whose last task is blocked by a job that is not one of the failing ones."""

    job: str
    task: Task
    blocks: tuple[str, ...] = ()


class TaskNow(NamedTuple):
    """A task as it is now, and what is expected of it."""

    record: RunRecord
    task: Task
    expects: Expected = NOTHING

    @property
    def attempt(self) -> Attempt | None:
        return self.record.step(self.task.name, "command")

    @property
    def attempt_began(self) -> float | None:
        return self.attempt.started_at if self.attempt is not None else None


class JobNow(NamedTuple):
    """A job as it is now: its flow, its tasks in its newest run, that run, its next start, and what it waits for."""

    job: Job
    flow: str
    tasks: Sequence[Task]
    last: RunRecord | None
    next_at: int | None
    pause: Pause | None
    skip: Skip | None
    waits_for: Sequence[Upstream]


class Overview:
    """Everything there is to say. `slots`: the next one of each flow, in order of time; `held_slots`: those that wait for jobs
    of other flows; `edges`: the live state, if any flow comes after another."""

    def __init__(self, known: KnownJobs, stands: Standing, daemon: Mapping[str, Any] | None, now: float) -> None:
        self.known = known
        self.now = now
        self.standing = stands
        self.daemon = daemon
        self.last_tasks: dict[str, list[Task]] = {}
        self.live: list[RunRecord] = []
        self.failing: list[Failing] = []
        self.blocked: list[Blocked] = []
        self.going: list[TaskNow] = []
        self.slots: list[upcoming.Slot] = []
        self.edges: LiveState | None = None
        self.held_slots: list[Waiting] = []

    @property
    def running(self) -> list[TaskNow]:
        return [one for one in self.going if one.task.state == "running"]

    @property
    def waiting(self) -> list[TaskNow]:
        return [one for one in self.going if one.task.state != "running"]

    @property
    def late(self) -> list[TaskNow]:
        """What has not succeeded by its deadline."""
        return [one for one in self.going if one.expects.late(one.task, self.now)]

    @property
    def slow(self) -> list[TaskNow]:
        """What runs far longer than usual."""
        return [one for one in self.going if one.expects.slow(one.task, self.now)]

    @property
    def paused(self) -> list[Pause]:
        return [pause for job, pause in self.standing.pauses.items() if job in self.known.jobs]

    @property
    def skips(self) -> list[Skip]:
        return [skip for job, skip in self.standing.skips.items() if job in self.known.jobs]

    @property
    def suspensions(self) -> upcoming.Suspensions:
        return upcoming.Suspensions(self.known, self.standing.pauses, self.standing.skips, self.now)


def gather(
    history: History, known: KnownJobs, daemon: Mapping[str, Any] | None, now: float, logs: Logs | None = None
) -> Overview:
    """Gather how things stand at `now`. `daemon` is what it says of itself. With `logs` the last lines of what fails are read,
    for which secrets are needed."""
    view = Overview(known, _with_live_troubles(standing(history, now), daemon), daemon, now)
    view.last_tasks = history.last_tasks(known.jobs)
    view.live = history.records(history.live_runs())
    begun = [record for record in view.live if record.run.gate != "edges"]
    view.going = [one for one in tasks_now(history, begun) if not one.task.final]
    _find_failing(history, view, logs)
    view.slots = upcoming.first_slots(known, now)
    view.edges = edges_state(history, known, now)
    view.held_slots = waiting_slots(view.edges, now)
    return view


def _with_live_troubles(stands: Standing, daemon: Mapping[str, Any] | None) -> Standing:
    """A running daemon tells its troubles itself: it may be unable to write them down."""
    if daemon is None or "problems" not in daemon:
        return stands
    troubles = (Trouble(**{key: one.get(key) for key in Trouble._fields}) for one in daemon["problems"])
    return stands._replace(troubles=sorted(troubles, key=lambda one: one.since))


def tasks_now(history: History, records: Sequence[RunRecord]) -> list[TaskNow]:
    """The tasks of some runs as they are now."""
    expects = expected(history, records)
    return [TaskNow(record, task, expects[task.run, task.name]) for record in records for task in record.run.tasks.values()]


def jobs_now(history: History, view: Overview, names: Sequence[str]) -> list[JobNow]:
    """Some jobs as they are now."""
    known, suspensions = view.known, view.suspensions
    last = history.last_runs(names)
    records = {record.run.id: record for record in history.records(dict.fromkeys(last.values()))}
    return [
        JobNow(
            known.jobs[name],
            known.flow_name(name),
            view.last_tasks.get(name, []),
            records.get(last.get(name, 0)),
            next_start(known.jobs[name], suspensions),
            suspensions.pauses.get(name),
            suspensions.skips.get(name),
            waits_for(view.edges, name, view.now),
        )
        for name in names
    ]


def _find_failing(history: History, view: Overview, logs: Logs | None) -> None:
    jobs = view.known.jobs
    names = [name for name in view.standing.health if name in jobs and jobs[name].enabled]
    runs = history.last_in_state(names, "failed")
    records = {record.run.id: record for record in history.records(dict.fromkeys(runs.values()))}
    stuck = {name: task for name in jobs if (task := _blocked_task(view, name)) is not None}
    told: set[str] = set()
    for name in names:
        record = records.get(runs.get(name, 0))
        copies = record.tasks_of(name) if record else []
        failed = tuple(one for one in copies if one.state == "failed")
        if name in stuck and stuck[name].reason == "after_timeout":
            record, failed = None, (stuck[name],)
            told.add(name)
        task = failed[0] if failed else None
        attempt = telling_attempt(record, task) if record and task else None
        causes = {(one.run, one.name) for one in failed}
        blocks = tuple(job for job, one in stuck.items() if (one.run, one.caused_by) in causes)
        told.update(blocks)
        line = _last_line(logs, record, attempt)
        view.failing.append(Failing(name, view.standing.health[name], task, attempt, line, blocks, failed, len(copies)))
    left = {name: task for name, task in stuck.items() if name not in told and jobs[name].enabled}
    for name, task in left.items():
        flow = view.known.plan.flows[view.known.plan.flow_of[name]]
        before = {edge.job for edge in jobs[name].after}
        if not any(job in left for job in before):
            after = flow.after([name])
            view.blocked.append(Blocked(name, task, tuple(job for job in left if job in after and job != name)))


def _blocked_task(view: Overview, job: str) -> Task | None:
    return next((task for task in view.last_tasks.get(job, []) if task.state == "blocked"), None)


def _last_line(logs: Logs | None, record: RunRecord | None, attempt: Attempt | None) -> str:
    if logs is None or attempt is None or record is None:
        return ""
    return logs.last_line(attempt, record.job(record.run.tasks[attempt.task]))


def next_start(job: Job, suspensions: upcoming.Suspensions) -> int | None:
    """When a job will next start, by itself or with its flow; None while it is disabled, or paused without an end."""
    known = suspensions.known
    if not job.enabled or job.name not in known.plan.flow_of:
        return None
    pause, skip = suspensions.pauses.get(job.name), suspensions.skips.get(job.name)
    if pause is not None and pause.until is None:
        return None
    flow = known.plan.flows[known.plan.flow_of[job.name]]
    after = suspensions.now if pause is None or pause.until is None else max(suspensions.now, pause.until - 1)
    slot = upcoming.next_slot(known, flow, after)
    for _ in range(skip.left if skip is not None else 0):
        slot = None if slot is None else upcoming.next_slot(known, flow, slot)
    return slot
