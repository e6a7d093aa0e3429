"""How everything stands: what `status` shows, `--check` judges and `--json` tells, gathered once with few statements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cronflow.cli import coming
from cronflow.cli.expected import NOTHING, Expected, expected
from cronflow.cli.known import Known
from cronflow.cli.waits import Waiting, waiting_slots
from cronflow.core.model import Attempt, Health, Job, Pause, Task
from cronflow.core.state import State
from cronflow.store.edges import edges
from cronflow.store.queries import History, RunRecord
from cronflow.store.standing import Standing, standing

if TYPE_CHECKING:
    from cronflow.cli.caller import Caller

UNDELIVERED_AFTER = 300.0
"""Seconds after which an alert that nobody has got is trouble."""
PAUSED_LONG = 86400.0


class Failing(NamedTuple):
    """A job that is failing: its last failed task, the end of its output, and what cannot run because of it."""

    job: str
    health: Health
    task: Task | None = None
    attempt: Attempt | None = None
    last_line: str = ""
    blocks: tuple[str, ...] = ()


class Blocked(NamedTuple):
    """A job whose last task is blocked by a job that is not among the failing ones."""

    job: str
    task: Task
    blocks: tuple[str, ...] = ()


class Going(NamedTuple):
    """A task of a run that has not ended."""

    record: RunRecord
    task: Task
    expects: Expected = NOTHING

    @property
    def attempt(self) -> Attempt | None:
        commands = self.record.commands(self.task.name)
        return commands[-1] if commands else None

    @property
    def attempt_began(self) -> float | None:
        return self.attempt.started_at if self.attempt is not None else None

    @property
    def upstreams(self) -> list[Task]:
        """The tasks of the run that this one still waits for."""
        names = {job for job, _ in self.record.edges.get(self.task.job, ())}
        return [task for task in self.record.run.tasks.values() if task.job in names and not task.final]


class Overview:
    """What there is to say, most pressing first. `slots`: the next one of each flow, in order of time; `held_slots`: those that
    wait for jobs of other flows, which `edges` tells."""

    def __init__(self, known: Known, stands: Standing, daemon: Mapping[str, Any] | None, now: float) -> None:
        self.known = known
        self.now = now
        self.standing = stands
        self.daemon = daemon
        self.last_tasks: dict[str, list[Task]] = {}
        self.live: list[RunRecord] = []
        self.failing: list[Failing] = []
        self.blocked: list[Blocked] = []
        self.going: list[Going] = []
        self.slots: list[coming.Slot] = []
        self.edges = State()
        self.held_slots: list[Waiting] = []

    @property
    def running(self) -> list[Going]:
        return [one for one in self.going if one.task.state == "running"]

    @property
    def waiting(self) -> list[Going]:
        return [one for one in self.going if one.task.state != "running"]

    @property
    def late(self) -> list[Going]:
        """What has not succeeded by its deadline."""
        return [one for one in self.going if one.expects.late(one.task, self.now)]

    @property
    def slow(self) -> list[Going]:
        """What runs far longer than usual."""
        return [one for one in self.going if one.expects.slow(one.task, self.now)]

    @property
    def paused(self) -> list[Pause]:
        return [pause for job, pause in self.standing.pauses.items() if job in self.known.jobs]


def look(caller: Caller, history: History, known: Known, daemon: Mapping[str, Any] | None, now: float) -> Overview:
    """Gather how things stand at `now`."""
    view = Overview(known, standing(history, now), daemon, now)
    view.last_tasks = history.last_tasks(known.jobs)
    view.live = history.records(history.live_runs())
    view.going = _going(history, view.live)
    _find_failing(caller, history, view)
    view.slots = coming.first_slots(known, now)
    view.edges = edges(history, known.plan, view.standing.pauses)
    view.held_slots = waiting_slots(view.edges)
    return view


def _going(history: History, live: list[RunRecord]) -> list[Going]:
    tasks = [(record, task) for record in live for task in record.run.tasks.values() if not task.final]
    expects = expected(history, live)
    return [Going(record, task, expects[task.run, task.name]) for record, task in tasks]


def _find_failing(caller: Caller, history: History, view: Overview) -> None:
    jobs = view.known.jobs
    names = [name for name in view.standing.health if name in jobs and jobs[name].enabled]
    runs = history.last_in_state(names, "failed")
    records = {record.run.id: record for record in history.records(dict.fromkeys(runs.values()))}
    stuck = {name: task for name in jobs if (task := _blocked_task(view, name)) is not None}
    told: set[str] = set()
    for name in names:
        record = records.get(runs.get(name, 0))
        task = (
            next((one for one in record.run.tasks.values() if one.job == name and one.state == "failed"), None)
            if record
            else None
        )
        if name in stuck and stuck[name].reason == "after_timeout":
            record, task = None, stuck[name]
            told.add(name)
        commands = record.commands(task.name) if record and task else []
        attempt = commands[-1] if commands else None
        blocks = tuple(job for job, one in stuck.items() if task and (one.run, one.caused_by) == (task.run, task.name))
        told.update(blocks)
        view.failing.append(Failing(name, view.standing.health[name], task, attempt, _last_line(caller, attempt), blocks))
    left = {name: task for name, task in stuck.items() if name not in told and jobs[name].enabled}
    for name, task in left.items():
        flow = view.known.plan.flows[view.known.plan.flow_of[name]]
        before = {edge.job for edge in jobs[name].after}
        if not any(job in left for job in before):
            after = flow.after([name])
            view.blocked.append(Blocked(name, task, tuple(job for job in left if job in after and job != name)))


def _blocked_task(view: Overview, job: str) -> Task | None:
    return next((task for task in view.last_tasks.get(job, []) if task.state == "blocked"), None)


def _last_line(caller: Caller, attempt: Attempt | None) -> str:
    if attempt is None:
        return ""
    from cronflow.cli.output import last_line

    return last_line(caller.places.log(attempt.run, attempt.task, attempt.n, attempt.kind))


def next_start(job: Job, known: Known, pauses: Mapping[str, Pause], now: float) -> int | None:
    """When a job will start by itself, or with its flow: None while it is disabled, or paused without an end."""
    if not job.enabled or job.name not in known.plan.flow_of:
        return None
    pause = pauses.get(job.name)
    if pause is not None and pause.until is None:
        return None
    flow = known.plan.flows[known.plan.flow_of[job.name]]
    return coming.next_slot(known, flow, now if pause is None or pause.until is None else max(now, pause.until - 1))
