"""An engine with a store, a clock that the test sets, and processes that end when the test says so."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from cronflow.core import events as happened
from cronflow.core.effects import Effects, Reply, StartAttempt
from cronflow.core.engine import step
from cronflow.core.events import Event
from cronflow.core.jobs import AlertTarget, Edge, Job, JobSet, Settings, jobs_from_definition
from cronflow.core.plan.flow import plan, several_flows
from cronflow.core.records import parse_ref
from cronflow.core.run.blockers import blockers
from cronflow.core.tables import ALERTS
from cronflow.store.store import Store

MIDNIGHT = 1_793_059_200.0
"""2026-10-27 00:00 UTC, a Tuesday."""


def job(name: str, after: Mapping[str, str] | tuple[str, ...] = (), **keys: Any) -> Job:
    edges = after.items() if isinstance(after, Mapping) else [(upstream, "success") for upstream in after]
    schedule = keys.pop("schedule", None)
    return Job(
        name,
        "true",
        after=tuple(Edge(upstream, condition) for upstream, condition in edges),  # type: ignore[arg-type]
        schedule=(schedule,) if schedule else (),
        **keys,
    )


class Stage:
    """`now` is the clock. `started` are the references of attempts whose start has been asked for, in order. `boot`, `host` and
    `calendars` are what the daemon finds when it starts or reads the job file."""

    boot: str | None = "first"
    host = ""
    calendars: Mapping[str, frozenset[int]] = MappingProxyType({})

    def __init__(self, *jobs: Job, now: float = MIDNIGHT, up: bool = True, **settings: Any) -> None:
        self.store = Store.in_memory()
        self.state = self.store.load()
        self.now = now
        self.started: list[str] = []
        self.last = Effects()
        self.requests = 0
        self.alerts: list[tuple[str, str | None]] = []
        self.set = self.jobset(*jobs, **settings)
        if up:
            self.start()

    @staticmethod
    def jobset(*jobs: Job, **settings: Any) -> JobSet:
        pools = settings.pop("pools", {})
        return JobSet({one.name: one for one in jobs}, {"ops": AlertTarget("ops")}, Settings(**settings), pools=pools)

    def start(self, alive_at: float | None = None) -> Effects:
        return self.do(happened.Started(self._found(), plan(self.set.jobs), alive_at, boot=self.boot))

    def _found(self) -> JobSet:
        return self.set._replace(host=self.host, calendars=self.calendars)

    def restart(self, after: float = 0.0) -> Effects:
        """The daemon dies and another one starts; what was running goes on."""
        alive_at, self.now = self.now, self.now + after
        self.state = self.store.load()
        return self.start(alive_at)

    def reload(self, *jobs: Job, **settings: Any) -> Effects:
        self.set = self.jobset(*jobs, **settings)
        return self.do(happened.Reloaded(self._found(), plan(self.set.jobs)))

    def do(self, event: Event) -> Effects:
        out = step(self.state, event, self.now)
        if out.unsaved:
            self.store.save(out)
        self.started += [str(action.ref) for action in out.actions if isinstance(action, StartAttempt)]
        self.alerts += [(alert.kind, alert.job) for alert in out.of(ALERTS).values()]
        self.last = out
        return out

    def at(self, seconds: float) -> Effects:
        """Let the clock come to `seconds` after midnight."""
        self.now = MIDNIGHT + seconds
        return self.do(happened.Woke())

    def end(self, ref: str, code: int | None = 0, **facts: Any) -> Effects:
        """An attempt ends."""
        return self.do(happened.AttemptEnded(parse_ref(ref), self.now, exit_code=code, **facts))

    def ask(self, kind: Any, *words: Any, **more: Any) -> Reply:
        """A person asks for something."""
        self.requests += 1
        return self.do(kind(self.requests, *words, "anna", "words", **more)).replies[self.requests]

    def run(self, *jobs: str, **more: Any) -> Reply:
        return self.ask(happened.RunAsked, jobs, **more)

    def cancel(self, number: int, task: str | None = None) -> Reply:
        return self.ask(happened.CancelAsked, number, task=task)

    def approve(self, number: int, task: str, approved: bool = True) -> Reply:
        return self.ask(happened.ApprovalGiven, number, task, approved)

    def retry(self, number: int, from_task: str | None = None) -> Reply:
        run = self.state.runs.get(number) or self.store.run(number)
        assert run is not None
        jobs = jobs_from_definition(self.store.definition(run.definition))
        return self.ask(happened.RetryAsked, run, frozenset(jobs), from_task=from_task, upstream=several_flows(jobs))

    def codes(self, number: int, name: str = "a") -> list[str]:
        """Why a task does not start, as stable words."""
        run = self.state.runs[number]
        return [one.code for one in blockers(self.state, run, run.tasks[name])]

    def tasks(self, number: int) -> dict[str, str]:
        """The states of the tasks of a run, from the database."""
        return dict(self.store.connection.execute("SELECT name, state FROM tasks WHERE run = ?", (number,)).fetchall())

    def reasons(self, number: int) -> dict[str, str | None]:
        return dict(self.store.connection.execute("SELECT name, reason FROM tasks WHERE run = ?", (number,)).fetchall())

    def attempts(self, number: int) -> list[tuple[Any, ...]]:
        """The attempts and steps of a run, from the database: task, kind, number, count, result, reason."""
        sql = "SELECT task, kind, n, count, result, reason FROM attempts WHERE run = ? ORDER BY task, kind, n"
        return self.store.connection.execute(sql, (number,)).fetchall()

    def rows(self) -> list[tuple[Any, ...]]:
        """Every run and row: number, flow, trigger, state, reason, slots."""
        sql = "SELECT id, flow, trigger, state, reason, slots FROM runs ORDER BY id"
        return self.store.connection.execute(sql).fetchall()
