"""`cronflow show`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Invocation
from cronflow.store.queries import History


def show(
    invocation: Invocation,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB…", help="The jobs; all of them if none is named.")] = None,
) -> None:
    """Show jobs as a job file would have them, with all defaults filled in.

    It is TOML, which `cronflow check` accepts beside the pools, calendars, alert targets and other jobs that it names. Keys
    that have no effect in a job are left out. Secrets are references, and paths are absolute.
    """
    from cronflow.jobfile.writing import table, toml

    with History.open(invocation.places.database) as history:
        known = invocation.known_jobs(history)
    chosen = [known.jobs[names.check_job(name, known.jobs)] for name in dict.fromkeys(jobs or known.jobs)]
    if invocation.json:
        tables = {job.name: table(job, known.plan, "") for job in chosen}
        shown = [{"name": name, "flow": known.flow_name(name), "keys": _plain(keys)} for name, keys in tables.items()]
        invocation.print_json({"timezone": invocation.zone, "jobs": shown})
    elif chosen:
        invocation.out(toml(chosen, known.plan, invocation.zone), end="")
    else:
        invocation.warn("the job file has no jobs")


def _plain(keys: dict[str, Any]) -> dict[str, Any]:
    """The same for JSON, which has no dates."""
    return {key: [moment.isoformat() for moment in value] if key == "at" else value for key, value in keys.items()}
