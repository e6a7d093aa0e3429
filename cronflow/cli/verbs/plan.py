"""`cronflow plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.core.plan.effective import EffectiveConfig, effective_config, from_plain
from cronflow.facts.reload_changes import ReloadChanges, reload_changes
from cronflow.jobfile.read import read
from cronflow.store.queries import History


def plan(
    invocation: Invocation,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A job file that would take the place of the one in force.")
    ] = None,
) -> None:
    """Show what a reload would change: jobs, flows, next slots, runs that go on. Nothing is put in force.

    Without a daemon nothing is in force; the file is then compared with the jobs that the history knows. Exit status 1 if
    the file has errors.
    """
    path = Path(file).absolute() if file is not None else invocation.places.file
    jobs = read(str(path), thorough=False, now=invocation.now).jobs
    invocation.zone = jobs.timezone
    after = effective_config(jobs)
    asked = _ask(invocation)
    with History.open(invocation.places.database) as history:
        if asked is None:
            stored = history.stored_jobs()
            if not stored:
                raise client.NotRunningError("nothing is in force, and the history has no jobs to compare with")
            before, since = EffectiveConfig(stored, calendars=jobs.calendars, host=jobs.host), None
        else:
            before, since = from_plain(asked["in_force"]), float(asked["since"])
        found = reload_changes(history, before, after, invocation.now)
    if invocation.json:
        _print_json(invocation, found, str(path), since)
        return
    from cronflow.cli.screens.plan import plan_screen

    invocation.out(plan_screen(found, str(path), since, invocation.style()))


def _ask(invocation: Invocation) -> dict[str, Any] | None:
    """What is in force, from the daemon; None where there is none."""
    try:
        with client.connect(invocation.places) as daemon:
            return daemon.ask("in_force")
    except client.NotRunningError:
        return None


def _print_json(invocation: Invocation, found: ReloadChanges, file: str, since: float | None) -> None:
    form, changes = invocation.json_form(), found.changes
    slots = [
        {
            "job": one.job,
            "before": form.time(one.before),
            "after": form.time(one.after),
            "anew": one.anew,
            "dropped": found.dropped.get(one.job, 0),
        }
        for one in changes.slots
    ]
    invocation.print_json(
        {
            "file": file,
            "against": "history" if since is None else "daemon",
            "since": form.time(since),
            "added": changes.added,
            "removed": changes.removed,
            "changed": [{"job": job, "keys": [one._asdict() for one in keys]} for job, keys in changes.edited.items()],
            "flows": [one._asdict() for one in changes.flows],
            "slots": slots,
            "settings": [one._asdict() for one in changes.settings],
            "runs": [{"run": one.run.id, "flow": one.run.flow, "jobs": one.jobs} for one in found.runs],
        }
    )
