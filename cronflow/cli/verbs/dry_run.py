"""`cronflow run --dry-run`: show what would start, and start nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cronflow.cli.invocation import Invocation
from cronflow.cli.screens.style import table
from cronflow.core.words import count, plain
from cronflow.errors import CronflowError

if TYPE_CHECKING:
    from cronflow.core.jobs import Job


def show(invocation: Invocation, names: list[str], only: bool, upstream: bool, given: dict[str, str]) -> int:
    """What `run` would start, flow by flow, in the order of the graph."""
    from cronflow.core.plan import params
    from cronflow.core.plan.flow import plan
    from cronflow.core.run.byhand import selection

    flows = {flow.name: (flow, jobs) for flow, jobs in selection(plan(invocation.jobs.jobs), names, only, upstream)}
    orders = {name: [job for job in flow.jobs if job in jobs] for name, (flow, jobs) in flows.items()}
    known = invocation.jobs.jobs
    if refusal := params.refused(given.items(), [known[name] for jobs in orders.values() for name in jobs]):
        raise CronflowError(str(refusal.refused), refusal.hint, refusal.exit_status)
    if invocation.json:
        told = {flow: params.given(given.items(), [known[job] for job in jobs]) for flow, jobs in orders.items()}
        invocation.print_json({"runs": [{"flow": flow, "jobs": jobs, "params": told[flow]} for flow, jobs in orders.items()]})
        return 0
    for head, jobs in orders.items():
        invocation.out(f"a run of `{head}` would start {count(len(jobs), 'job')}:")
        rows = [[job, _after(known[job], jobs), _with(known[job], given)] for job in jobs]
        invocation.out("\n".join(f"  {line}" for line in table(rows)))
        outside = dict.fromkeys(edge.job for job in jobs for edge in known[job].after if edge.job not in jobs)
        if outside and not only:
            invocation.warn(f"it takes as met what comes after {', '.join(f'`{name}`' for name in outside)}")
    return 0


def _after(job: Job, jobs: list[str]) -> str:
    after = [edge.job for edge in job.after if edge.job in jobs]
    return f"after {', '.join(after)}" if after else ""


def _with(job: Job, given: dict[str, str]) -> str:
    """The params of a job: as given, else their defaults."""
    shown = ", ".join(f"{key}={plain(given.get(key, default))}" for key, default in job.params.items())
    return f"with {shown}" if shown else ""
