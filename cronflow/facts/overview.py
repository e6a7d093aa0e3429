"""How everything stands: what `status` shows, `--check` judges and `--json` tells, gathered once with few statements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.records import Attempt, Health, Pause, Skip, Task, Trouble
from cronflow.facts import upcoming
from cronflow.facts.expected import NOTHING, Expected, expected
from cronflow.facts.known import Known
from cronflow.facts.phrases import telling_attempt
from cronflow.facts.waits import Waiting, waiting_slots
from cronflow.store.edges import edges
from cronflow.store.queries import History, RunRecord
from cronflow.store.standing import Standing, standing

if TYPE_CHECKING:
    from cronflow.cli.invocation import Caller
    from cronflow.core.state import LiveState

UNDELIVERED_AFTER = 300.0
"""Seconds after which an alert that nobody has got is trouble."""
PAUSED_LONG = 86400.0


class Failing(NamedTuple):
    """A job that is failing: its last failed task, the end of its output, what cannot run because of it, and which of how many
    copies failed."""

    job: str
    health: Health
    task: Task | None = None
    attempt: Attempt | None = None
    last_line: str = ""
    blocks: tuple[str, ...] = ()
    failed: tuple[Task, ...] = ()
    copies: int = 1


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
        return self.record.step(self.task.name, "command")

    @property
    def attempt_began(self) -> float | None:
        return self.attempt.started_at if self.attempt is not None else None


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
        self.slots: list[upcoming.Slot] = []
        self.edges: LiveState | None = None
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

    @property
    def skips(self) -> list[Skip]:
        return [skip for job, skip in self.standing.skips.items() if job in self.known.jobs]

    def stops(self, now: float) -> upcoming.Stops:
        """What keeps jobs from running in the slots after `now`."""
        return upcoming.Stops(self.known, self.standing.pauses, self.standing.skips, now)


def look(
    caller: Caller, history: History, known: Known, daemon: Mapping[str, Any] | None, now: float, output: bool = False
) -> Overview:
    """Gather how things stand at `now`; with `output` the last lines of what fails, for which secrets have to be read."""
    view = Overview(known, _with_live_troubles(standing(history, now), daemon), daemon, now)
    view.last_tasks = history.last_tasks(known.jobs)
    view.live = history.records(history.live_runs())
    view.going = _going(history, view.live)
    _find_failing(caller, history, view, output)
    view.slots = upcoming.first_slots(known, now)
    view.edges = edges(history, known.plan, view.standing.pauses)
    view.held_slots = waiting_slots(view.edges, now)
    return view


def _with_live_troubles(stands: Standing, daemon: Mapping[str, Any] | None) -> Standing:
    """What troubles a daemon that is there is told by itself: it may be that it cannot write it down."""
    if daemon is None or "problems" not in daemon:
        return stands
    troubles = (Trouble(**{key: one.get(key) for key in Trouble._fields}) for one in daemon["problems"])
    return stands._replace(troubles=sorted(troubles, key=lambda one: one.since))


def _going(history: History, live: list[RunRecord]) -> list[Going]:
    tasks = [(record, task) for record in live for task in record.run.tasks.values() if not task.final]
    expects = expected(history, live)
    return [Going(record, task, expects[task.run, task.name]) for record, task in tasks]


def _find_failing(caller: Caller, history: History, view: Overview, output: bool) -> None:
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
        line = _last_line(caller, history, record, attempt) if output else ""
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


def _last_line(caller: Caller, history: History, record: RunRecord | None, attempt: Attempt | None) -> str:
    if attempt is None or record is None:
        return ""
    from cronflow.facts.output import last_line

    job = history.definition(record.run.definition).get(record.run.tasks[attempt.task].job)
    return last_line(caller.places.log(attempt.run, attempt.task, attempt.n, attempt.kind), caller.masks(job))


def next_start(job: Job, stops: upcoming.Stops) -> int | None:
    """When a job will start by itself, or with its flow: None while it is disabled, or paused without an end."""
    known = stops.known
    if not job.enabled or job.name not in known.plan.flow_of:
        return None
    pause, skip = stops.pauses.get(job.name), stops.skips.get(job.name)
    if pause is not None and pause.until is None:
        return None
    flow = known.plan.flows[known.plan.flow_of[job.name]]
    after = stops.now if pause is None or pause.until is None else max(stops.now, pause.until - 1)
    slot = upcoming.next_slot(known, flow, after)
    for _ in range(skip.left if skip is not None else 0):
        slot = None if slot is None else upcoming.next_slot(known, flow, slot)
    return slot
