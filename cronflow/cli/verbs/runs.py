"""`cronflow runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Invocation
from cronflow.cli.times import parse_time
from cronflow.core.records import FINAL, GOING_ON
from cronflow.errors import CronflowError, Exit
from cronflow.store.queries import History

_STATES = (*GOING_ON, *sorted(FINAL))


def runs(
    invocation: Invocation,
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="Only runs with a task of this job.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", help="How many runs.", min=1, max=1_000_000)] = 20,
    state: Annotated[
        list[str] | None, typer.Option("--state", metavar="STATE", help="Only runs in this state; may be repeated.")
    ] = None,
    since: Annotated[str | None, typer.Option("-S", "--since", metavar="TIME", help="Only what began at TIME or later.")] = None,
    until: Annotated[str | None, typer.Option("-U", "--until", metavar="TIME", help="Only what began at TIME or before.")] = None,
) -> None:
    """Show the history, newest first: runs, slots that did not run, and what people did.

    TIME is ISO 8601, 14:30, yesterday, or a duration ago (2h). -n counts runs.
    """
    states = _states(state or [])
    with History.open(invocation.places.database) as history:
        known = invocation.known_jobs(history, required=False)
        start = None if since is None else parse_time(since, invocation.zone, invocation.now)
        end = None if until is None else parse_time(until, invocation.zone, invocation.now)
        flow = known.flow_name(job) if job is not None else None
        numbers = history.find_runs(job, flow, states, start, end, number)
        if job is not None and not numbers and not history.last_runs([job]):
            names.check_job(job, known.jobs)
        records = history.records(numbers)
        full = len(records) == number
        earliest = min((record.run.created_at for record in records), default=None) if full else start
        acts = [] if states else history.acts(earliest, end, job, numbers, max(number, 100))
        if invocation.json:
            form = invocation.json_form()
            invocation.print_json({"runs": [form.run(record) for record in records], "acts": [form.act(act) for act in acts]})
            return
    if not records and not acts:
        invocation.warn("no runs" if any((job, states, since, until)) else "nothing has run yet")
        return
    from cronflow.cli.screens.history import history_screen

    invocation.out(history_screen(records, acts, invocation.style(), job))


def _states(given: list[str]) -> list[str]:
    """States as typed, several also with commas between."""
    states = [word for text in given for word in text.split(",") if word]
    for word in states:
        if word not in _STATES:
            from cronflow.jobfile.suggest import closest

            near = closest(word, _STATES)
            hint = f"did you mean `{near}`?" if near else f"states are {', '.join(_STATES)}"
            raise CronflowError(f"`{word}` is not a state of a run", hint, Exit.USAGE)
    return states
