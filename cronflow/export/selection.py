"""Which jobs are written: a matrix becomes jobs of their own; a job that a target cannot express is left out, and what comes
after it too."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cronflow.core.jobs import Edge, Job
from cronflow.core.plan.copies import matrix_copies, paired
from cronflow.core.plan.flow import Plan, plan
from cronflow.export.report import Report, UnwritableError


def select(jobs: Mapping[str, Job], report: Report, judge: Callable[[Job], None] = lambda _job: None) -> Plan:
    """The flows of the jobs that can be written. `judge` raises UnwritableError for a job that this target cannot say."""
    every = expanded(jobs)
    report.names = list(every)
    for flow in plan(every).flows.values():
        for name, job in flow.jobs.items():
            try:
                _judge(job, judge)
            except UnwritableError as fact:
                report.refuse([name], fact.reason)
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


def _judge(job: Job, by_target: Callable[[Job], None]) -> None:
    """Refuse what nobody else can say, and what this target cannot."""
    if job.foreach is not None:
        raise UnwritableError("a `foreach` makes its tasks while it runs")
    by_target(job)
    if not job.enabled and job.after:
        raise UnwritableError("it is disabled, and what comes after it hangs on that")


def expanded(jobs: Mapping[str, Job]) -> dict[str, Job]:
    """The jobs, each copy of a matrix as a job of its own, whose values are in its `env`."""
    copies = {name: list(matrix_copies(job)) for name, job in jobs.items()}
    found: dict[str, Job] = {}
    for name, job in jobs.items():
        for number, (copy, values) in enumerate(copies[name]):
            after = []
            for edge in job.after:
                wanted = copies.get(edge.job, [(edge.job, {})])
                wanted = [wanted[number]] if paired(jobs, edge.job, job) else wanted
                after += [Edge(one, edge.condition) for one, _ in wanted]
            found[copy] = job._replace(name=copy, after=tuple(after), matrix={}, env={**job.env, **job.params, **values})
    return found
