"""`cronflow runs`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Caller
from cronflow.cli.times import parse_time
from cronflow.core.records import FINAL, TASK_MOVES
from cronflow.errors import CronflowError, Exit
from cronflow.facts.known import known_jobs
from cronflow.store.queries import History

_STATES = (*TASK_MOVES, *sorted(FINAL))


def runs(
    caller: Caller,
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
    with History.open(caller.places.database) as history:
        known = known_jobs(caller, history, required=False)
        start = None if since is None else parse_time(since, caller.zone, caller.now)
        end = None if until is None else parse_time(until, caller.zone, caller.now)
        flow = known.flow_name(job) if job is not None else None
        numbers = history.find_runs(job, flow, states, start, end, number)
        if job is not None and not numbers and not history.last_runs([job]):
            names.check_job(job, known.jobs)
        records = history.records(numbers)
        full = len(records) == number
        earliest = min((record.run.created_at for record in records), default=None) if full else start
        acts = [] if states else history.acts(earliest, end, job, numbers, max(number, 100))
        if caller.json:
            from cronflow.facts.json_form import JsonForm

            form = JsonForm(caller.places, caller.zone)
            caller.answer({"runs": [form.run(record) for record in records], "acts": [form.act(act) for act in acts]})
            return
    if not records and not acts:
        caller.note("no runs" if any((job, states, since, until)) else "nothing has run yet")
        return
    from cronflow.cli.screens.history import history_screen
    from cronflow.cli.screens.style import style_of

    caller.out(history_screen(records, acts, style_of(caller), job))


def _states(given: list[str]) -> list[str]:
    """States as typed, several also with commas between."""
    states = [word for text in given for word in text.split(",") if word]
    for word in states:
        if word not in _STATES:
            from cronflow.jobfile.suggest import closest

            near = closest(word, _STATES)
            hint = f"did you mean `{near}`?" if near else f"states are {', '.join(_STATES)}"
            raise CronflowError(f"`{word}` is no state of a run", hint, Exit.USAGE)
    return states
