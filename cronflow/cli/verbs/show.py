"""`cronflow show`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Caller
from cronflow.facts.known import known_jobs
from cronflow.store.queries import History


def show(
    caller: Caller,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB…", help="The jobs; all of them if none is named.")] = None,
) -> None:
    """Show jobs as a job file would have them, with all defaults filled in.

    It is TOML, which `cronflow check` accepts beside the pools, calendars, alert targets and other jobs that it names. Keys
    that have no effect in a job are left out. Secrets are references, and paths are absolute.
    """
    from cronflow.jobfile.rendering import table, toml

    with History.open(caller.places.database) as history:
        known = known_jobs(caller, history)
    chosen = [known.jobs[names.check_job(name, known.jobs)] for name in dict.fromkeys(jobs or known.jobs)]
    if caller.json:
        tables = {job.name: table(job, known.plan, "") for job in chosen}
        shown = [{"name": name, "flow": known.flow_name(name), "keys": _plain(keys)} for name, keys in tables.items()]
        caller.answer({"timezone": caller.zone, "jobs": shown})
    elif chosen:
        caller.out(toml(chosen, known.plan, caller.zone), end="")
    else:
        caller.note("the job file has no jobs")


def _plain(keys: dict[str, Any]) -> dict[str, Any]:
    """The same for JSON, which has no dates."""
    return {key: [moment.isoformat() for moment in value] if key == "at" else value for key, value in keys.items()}
