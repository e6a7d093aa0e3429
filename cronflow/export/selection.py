"""Selects the jobs to write: copies of a matrix become jobs; what a target cannot express is left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from cronflow.core.jobs import Edge, Job
from cronflow.core.plan.copies import matrix_copies, paired
from cronflow.core.plan.flow import Flow, Plan, plan
from cronflow.export.report import ExportReport, UnwritableError

T = TypeVar("T")


def select(report: ExportReport, check: Callable[[Job], None] = lambda _job: None) -> Plan:
    """The flows of the jobs that can be written. `check` raises UnwritableError for a job that the target cannot express."""
    every = expanded(report.request.jobs.jobs)
    report.names = list(every)
    for flow in plan(every).flows.values():
        for name, job in flow.jobs.items():
            try:
                _check(job, check)
            except UnwritableError as error:
                report.refuse([name], str(error))
    refused_before = None
    while refused_before != len(report.refused):
        refused_before = len(report.refused)
        for name, job in every.items():
            gone = [edge.job for edge in job.after if edge.job in report.refused]
            if gone and name not in report.refused:
                report.refuse([name], f"it comes after `{gone[0]}`, which is not written")
    kept = plan({name: job for name, job in every.items() if name not in report.refused})
    report.roots = {root for flow in kept.flows.values() for root in flow.roots}
    return kept


def write_flows(plan: Plan, report: ExportReport, write: Callable[[Flow], T]) -> list[tuple[Flow, T]]:
    """Write each flow; one for which `write` raises UnwritableError is refused."""
    written = []
    for flow in plan.flows.values():
        try:
            written.append((flow, write(flow)))
        except UnwritableError as error:
            report.refuse(flow.jobs, str(error))
    return written


def _check(job: Job, check: Callable[[Job], None]) -> None:
    """Raise UnwritableError for a job that no other scheduler can express, or not this one."""
    if job.foreach is not None:
        raise UnwritableError("`foreach` makes its tasks at run time")
    check(job)
    if not job.enabled and job.after:
        raise UnwritableError("it is disabled, and jobs come after it")


def expanded(jobs: Mapping[str, Job]) -> dict[str, Job]:
    """The jobs, with each copy of a matrix as a separate job that has its values in `env`."""
    copies = {name: list(matrix_copies(job)) for name, job in jobs.items()}
    found: dict[str, Job] = {}
    for name, job in jobs.items():
        for number, (copy, values) in enumerate(copies[name]):
            after = []
            for edge in job.after:
                upstreams = copies.get(edge.job, [(edge.job, {})])
                upstreams = [upstreams[number]] if paired(jobs, edge.job, job) else upstreams
                after += [Edge(upstream, edge.condition) for upstream, _ in upstreams]
            found[copy] = job._replace(name=copy, after=tuple(after), matrix={}, env={**job.env, **job.params, **values})
    return found
