"""The edges of a flow as dependencies of units.

A job that comes after one other is pushed: the upstream unit names it in `OnSuccess=` or `OnFailure=`. A job that comes after
several is pulled: it requires their units, is ordered after them, and is started by the timer; systemd then starts, in one
transaction, everything that it needs. `OnFailure=` also applies to a unit whose requirement failed (job result `dependency`), but
not to one that was never to start: a job that reacts to a blocked one is pushed by each unit that blocks it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cronflow.core.jobs import Edge, Job
from cronflow.core.plan.flow import Flow
from cronflow.export.report import ExportReport, UnwritableError

Event = tuple[str, str]
"""A job, and the setting of its unit that starts another one: `OnSuccess` or `OnFailure`."""


@dataclass
class Wiring:
    """What the units of a flow say about each other, by job. `starts` are the jobs that the timer has to start."""

    pushes: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Job → (setting, job that it starts)."""
    pulls: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """Job → (`Requires` or `Wants`, job that comes before it)."""
    starts: list[str] = field(default_factory=list)


def wire(flow: Flow, report: ExportReport) -> Wiring:
    """The wiring of a flow. Raises UnwritableError for edges that units cannot express."""
    wiring = Wiring()
    joins = [job.name for job in flow.jobs.values() if len(_inner(flow, job)) > 1 and job.join == "all"]
    pulled = flow.before(joins)
    for name, job in flow.jobs.items():
        edges = _inner(flow, job)
        if name in pulled:
            wiring.pulls[name] = [(_pull(job, edge), edge.job) for edge in edges]
            _report_retries(flow, job, pulled, report)
            continue
        if len(edges) > 1:
            report.lose(name, "join", '`join = "any"`: it starts once for each condition that is met')
        for edge in edges:
            for upstream, setting in _events(flow, edge, pulled):
                wiring.pushes.setdefault(upstream, []).append((setting, name))
    needed = {upstream for pulls in wiring.pulls.values() for _, upstream in pulls}
    wiring.starts = [name for name in flow.jobs if name in pulled and name not in needed] or [*flow.roots]
    return wiring


def _inner(flow: Flow, job: Job) -> list[Edge]:
    return [edge for edge in job.after if edge.job in flow.jobs]


def _pull(job: Job, edge: Edge) -> str:
    if edge.condition == "failure":
        raise UnwritableError(f"`{job.name}` needs a failure of `{edge.job}` and more, which units cannot combine")
    return "Wants" if edge.condition == "done" else "Requires"


def _report_retries(flow: Flow, job: Job, pulled: set[str], report: ExportReport) -> None:
    after = [name for name in flow.down.get(job.name, ()) if name in pulled]
    if job.retries and after:
        report.lose(job.name, "retries", f"`{after[0]}` does not wait for its retries, and fails with its first attempt")


def _events(flow: Flow, edge: Edge, pulled: set[str]) -> Iterator[Event]:
    """The events that start a job with one upstream: how the upstream ends, and what keeps it from starting."""
    success, failure = (edge.job, "OnSuccess"), (edge.job, "OnFailure")
    if edge.condition != "failure":
        yield success
    if edge.condition in ("failure", "done"):
        yield failure
        yield from _blocking(flow, edge.job, pulled)
    if edge.condition in ("success_or_skipped", "done"):
        yield from _skipping(flow, edge.job, pulled)


def _blocking(flow: Flow, name: str, pulled: set[str]) -> Iterator[Event]:
    """The failures upstream that keep a job from starting, which its own unit does not see."""
    if name in pulled:
        return
    for edge in _inner(flow, flow.jobs[name]):
        if edge.condition in ("success", "success_or_skipped"):
            yield edge.job, "OnFailure"
            yield from _blocking(flow, edge.job, pulled)


def _skipping(flow: Flow, name: str, pulled: set[str]) -> Iterator[Event]:
    """The successes upstream of a job that was to react to a failure."""
    if name in pulled:
        return
    for edge in _inner(flow, flow.jobs[name]):
        if edge.condition == "failure":
            yield edge.job, "OnSuccess"
        if edge.condition in ("failure", "success"):
            yield from _skipping(flow, edge.job, pulled)
