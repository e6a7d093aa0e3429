"""`cronflow plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer

from cronflow.cli import client
from cronflow.cli.invocation import Caller
from cronflow.core.plan.changes import Changes, compare
from cronflow.core.plan.effective import InForce, from_plain, in_force
from cronflow.core.plan.flow import plan as flows_of
from cronflow.core.records import Run
from cronflow.jobfile.read import read
from cronflow.store.queries import History


class Affected(NamedTuple):
    """A run that goes on while jobs of it change: it ends under the definition with which it began."""

    run: Run
    jobs: list[str]


class Picture(NamedTuple):
    """What `plan` has found out. `since`: since when the old reading is in force; None if nobody is there whom to ask, and it is
    the jobs that the history knows. `dropped` are slots that would not be caught up any more, by their root."""

    file: str
    since: float | None
    changes: Changes
    runs: list[Affected]
    dropped: dict[str, int]
    after: InForce


def plan(
    caller: Caller,
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A job file that would take the place of the one in force.")
    ] = None,
) -> None:
    """Show what a reload would change: jobs, flows, next slots, runs that go on. Nothing is put in force.

    Without a daemon nothing is in force; the file is then compared with the jobs that the history knows. Exit status 1 if
    the file has errors.
    """
    path = Path(file).absolute() if file is not None else caller.places.file
    jobs = read(str(path), thorough=False, now=caller.now).jobs
    caller.zone = jobs.timezone
    after = in_force(jobs)
    asked = _ask(caller)
    with History.open(caller.places.database) as history:
        if asked is None:
            stored = history.stored_jobs()
            if not stored:
                raise client.NotRunningError("nothing is in force, and the history has no jobs to compare with")
            before, since = InForce(stored, calendars=jobs.calendars, host=jobs.host), None
        else:
            before, since = from_plain(asked["in_force"]), float(asked["since"])
        changes = compare(before, after, caller.now)
        runs = _affected(history, changes)
        picture = Picture(str(path), since, changes, runs, _dropped(history, before, after, caller.now), after)
    if caller.json:
        _answer(caller, picture)
        return
    from cronflow.cli.screens.plan import plan_screen
    from cronflow.cli.screens.style import style_of

    caller.out(plan_screen(picture, style_of(caller)))


def _ask(caller: Caller) -> dict[str, Any] | None:
    """What is in force, from the daemon; None where there is none."""
    try:
        with client.connect(caller.places) as daemon:
            return daemon.ask("in_force")
    except client.NotRunningError:
        return None


def _affected(history: History, changes: Changes) -> list[Affected]:
    gone = {*changes.removed, *changes.edited}
    found = []
    for record in history.records(history.live_runs()):
        jobs = list(dict.fromkeys(task.job for task in record.run.tasks.values() if task.job in gone))
        if jobs:
            found.append(Affected(record.run, jobs))
    return found


def _dropped(history: History, before: InForce, after: InForce, now: float) -> dict[str, int]:
    """Missed slots still to be caught up whose trigger would be gone."""
    old, new = flows_of(before.jobs), flows_of(after.jobs)
    kept = {(root, one.key) for flow in new.flows.values() if not flow.dormant for root in flow.roots for one in flow.triggers}
    found: dict[str, int] = {}
    for job, key, at in history.db.execute("SELECT job, trigger_key, at FROM cursors WHERE lining"):
        flow = old.flows.get(old.flow_of.get(job, ""))
        trigger = next((one for one in flow.triggers if one.key == key), None) if flow is not None else None
        if trigger is not None and (job, key) not in kept:
            found[job] = found.get(job, 0) + trigger.schedule.count(at, now)
    return found


def _answer(caller: Caller, picture: Picture) -> None:
    from cronflow.facts.json_form import JsonForm

    form, changes = JsonForm(caller.places, caller.zone), picture.changes
    slots = [
        {
            "job": one.job,
            "before": form.time(one.before),
            "after": form.time(one.after),
            "anew": one.anew,
            "dropped": picture.dropped.get(one.job, 0),
        }
        for one in changes.slots
    ]
    caller.answer(
        {
            "file": picture.file,
            "against": "history" if picture.since is None else "daemon",
            "since": form.time(picture.since),
            "added": changes.added,
            "removed": changes.removed,
            "changed": [{"job": job, "keys": [one._asdict() for one in keys]} for job, keys in changes.edited.items()],
            "flows": [one._asdict() for one in changes.flows],
            "slots": slots,
            "settings": [one._asdict() for one in changes.settings],
            "runs": [{"run": one.run.id, "flow": one.run.flow, "jobs": one.jobs} for one in picture.runs],
        }
    )
