"""`cronflow env`."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cronflow.cli.invocation import Invocation
from cronflow.cli.names import check_job, parse_params
from cronflow.errors import CronflowError, Exit

if TYPE_CHECKING:
    from cronflow.core.jobs import Job
    from cronflow.daemon.processes.environment import Difference

EXAMPLE_RUN = 1423
HIDDEN = "***"


def env(
    invocation: Invocation,
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job.")],
    param: Annotated[
        list[str] | None, typer.Option("-p", "--param", metavar="K=V", help="A param of the job; may be given several times.")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Compare it with the environment that you have here.")] = False,
) -> None:
    """Print the environment in which a job's command runs, as a shell could read it.

    It is small and the same for scheduled runs, runs by hand and retries. The values of a run (CRONFLOW_RUN_ID and so on)
    are examples, and marked as such. Secrets are not read: `***` stands for each.
    """
    from cronflow.daemon.processes.environment import Unstartable, account, difference, environment

    known = invocation.jobs.jobs
    one = known[check_job(job, known)]
    examples = {**example_facts(invocation, one), **first_values(one)}
    given = {**dict.fromkeys(one.secrets, HIDDEN), **given_params(one, parse_params(param or [])), **examples}
    try:
        found = environment(one, account(one), {}, os.environ, given)
    except Unstartable as reason:
        status = Exit.NOT_PERMITTED if reason.reason == "not_permitted" else 1
        raise CronflowError(reason.message, "call it as the user that the daemon has", status) from None
    here = {name: HIDDEN if name in one.secrets else value for name, value in os.environ.items()}
    differs = difference(found, here) if diff else None
    if invocation.json:
        invocation.print_json(
            {"job": job, "env": dict(sorted(found.items())), "examples": sorted(examples), "diff": _plain(differs)}
        )
    elif differs is not None:
        _show_difference(invocation, differs)
    else:
        for name in sorted(found):
            invocation.out(_assignment(name, found[name]) + ("   # example" if name in examples else ""))


def given_params(job: Job, given: dict[str, str]) -> dict[str, str]:
    """The params of a job in a run with these values. An unknown one is a CronflowError (exit status 2)."""
    from cronflow.core.plan import params
    from cronflow.core.records import Run

    if refusal := params.refused(given.items(), [job]):
        raise CronflowError(str(refusal.refused), refusal.hint, refusal.exit_status)
    return params.values(job, Run(EXAMPLE_RUN, job.name, "manual", 0.0, params=given))


def first_values(job: Job) -> dict[str, str]:
    """The values of the first copy of a job with a matrix or a `foreach`."""
    from cronflow.core.plan.copies import ITEM, matrix_copies

    values = next(matrix_copies(job))[1]
    return values if job.foreach is None else {**values, ITEM: "a line that `foreach` has printed"}


def example_facts(invocation: Invocation, job: Job) -> dict[str, str]:
    """The variables that a run adds, as for a scheduled run of this minute."""
    from cronflow.core.plan.copies import matrix_copies
    from cronflow.core.plan.flow import plan
    from cronflow.core.records import Run
    from cronflow.daemon.processes.spawning import attempt_facts

    minute = int(invocation.now - invocation.now % 60)
    flows = plan(invocation.jobs.jobs)
    flow = flows.flows[flows.flow_of[job.name]]
    trigger = flow.triggers[0].kind if flow.triggers else "manual"
    run = Run(EXAMPLE_RUN, flow.name, trigger, invocation.now, slot=minute if flow.triggers else None)
    places, task = invocation.places, next(matrix_copies(job))[0]
    files = {
        "CRONFLOW_STATE_DIR": str(places.task_state(EXAMPLE_RUN, task)),
        "CRONFLOW_OUTPUT": str(places.output(EXAMPLE_RUN, task, 1)),
    }
    return {**attempt_facts(job, run, 1, minute - 86400), **files}


def _assignment(name: str, value: str) -> str:
    return f"{name}={shlex.quote(value) if value else ''}"


def _show_difference(invocation: Invocation, differs: Difference) -> None:
    if not any(differs):
        invocation.out("the environment of the job is the one that you have here")
        return
    invocation.warn("- what you have here, + what the job has")
    lines = [(name, f"+ {_assignment(name, value)}") for name, value in differs.added.items()]
    lines += [(name, f"- {_assignment(name, value)}") for name, value in differs.missing.items()]
    for name, (job, here) in differs.differing.items():
        lines.append((name, f"- {_assignment(name, here)}\n+ {_assignment(name, job)}"))
    for _, text in sorted(lines):
        invocation.out(text)


def _plain(differs: Difference | None) -> dict[str, Any] | None:
    if differs is None:
        return None
    differing = {name: {"job": job, "here": here} for name, (job, here) in differs.differing.items()}
    return {"added": differs.added, "missing": differs.missing, "differing": differing}
