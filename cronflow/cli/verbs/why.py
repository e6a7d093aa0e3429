"""`cronflow why`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from cronflow.cli import names
from cronflow.cli.client import connect
from cronflow.cli.invocation import Caller
from cronflow.cli.screens.style import style_of
from cronflow.cli.screens.why import why_screen
from cronflow.cli.times import parse_time
from cronflow.errors import CronflowError, Exit
from cronflow.facts.evidence import Answer, Scene
from cronflow.facts.explain import why_job, why_run
from cronflow.facts.known import known_jobs
from cronflow.store.edges import edges
from cronflow.store.queries import History
from cronflow.store.standing import pauses, skips


def why(
    caller: Caller,
    what: Annotated[str, typer.Argument(metavar="JOB|RUN", help="A job, a run, or a task as RUN/TASK.")],
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="Why (not) at TIME, instead of the last time.")] = None,
) -> None:
    """Tell why a job ran, did not run, or is waiting, with the evidence.

    TIME is ISO 8601, 14:30, yesterday 02:30, or a duration ago (2h).
    """
    run_text, task, _ = names.parse_run_ref(what)
    of_run = names.is_run(run_text) or task is not None
    if of_run and at is not None:
        raise CronflowError("a run has its own time, so `--at` is one too many", "name a job with `--at`", Exit.USAGE)
    with History.open(caller.places.database) as history:
        known = known_jobs(caller, history, required=not of_run)
        moment = None if at is None else parse_time(at, caller.zone, caller.now)
        live = _live(caller, run_text, of_run)
        paused = pauses(history, caller.now)
        waits = edges(history, known.plan, paused)
        scene = Scene(history, known, style_of(caller), caller.places, paused, skips(history), *live, caller.masks, waits)
        if of_run:
            answer = why_run(scene, names.resolve_run(history, run_text, known.jobs), task)
        else:
            if not history.last_runs([what]):
                names.check_job(what, known.jobs)
            answer = why_job(scene, what, moment)
    if caller.json:
        _answer(caller, answer)
    else:
        caller.out(why_screen(answer, style_of(caller)))


def _live(caller: Caller, what: str, of_run: bool) -> tuple[list[dict[str, Any]], bool]:
    """What the daemon says holds up tasks now, and whether there is a daemon."""
    try:
        with connect(caller.places) as client:
            reply = client.ask("why", {"run": names.number_of(what), "job": None if of_run else what}, 2.0)
            return list(reply.get("blockers") or ()), True
    except CronflowError as error:
        return [], error.exit_status == 1


def _answer(caller: Caller, answer: Answer) -> None:
    from cronflow.facts.json_form import JsonForm

    form = JsonForm(caller.places, caller.zone)
    because = [{"code": one.code, "message": one.message, "run": one.run, "task": one.task} for one in answer.because]
    caller.answer(
        {"job": answer.job, "run": answer.run, "at": form.time(answer.at), "verdict": answer.verdict, "because": because}
    )
