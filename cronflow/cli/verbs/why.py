"""`cronflow why`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli import names
from cronflow.cli.client import ping
from cronflow.cli.invocation import Caller
from cronflow.cli.screens.style import style_of
from cronflow.cli.screens.why import why_screen
from cronflow.cli.times import parse_time
from cronflow.errors import CronflowError
from cronflow.facts.evidence import Answer, Context
from cronflow.facts.explain import why_job, why_run
from cronflow.facts.output import Logs
from cronflow.store.queries import History


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
        raise CronflowError("a run has its own time, so `--at` is one too many", "name a job with `--at`", 2)
    with History.open(caller.places.database) as history:
        known = caller.known_jobs(history, required=not of_run)
        moment = None if at is None else parse_time(at, caller.zone, caller.now)
        daemon = ping(caller.places, 2.0)
        draining = bool(daemon and daemon.get("draining"))
        logs = Logs(caller.places, caller.masks)
        context = Context(history, known, style_of(caller).clock, logs, daemon is not None, draining)
        if of_run:
            record = history.record(names.resolve_run(history, run_text, known.jobs))
            assert record is not None
            if task is not None and not record.is_row:
                names.check_task(history, record.run.id, task)
            answer = why_run(context, record, task)
        else:
            if not history.last_runs([what]):
                names.check_job(what, known.jobs)
            answer = why_job(context, what, moment)
    if caller.json:
        _answer(caller, answer)
    else:
        caller.out(why_screen(answer, style_of(caller)))


def _answer(caller: Caller, answer: Answer) -> None:
    from cronflow.facts.json_form import JsonForm

    form = JsonForm(caller.places, caller.zone)
    because = [{"code": one.code, "message": one.message, "run": one.run, "task": one.task} for one in answer.because]
    caller.answer(
        {"job": answer.job, "run": answer.run, "at": form.time(answer.at), "verdict": answer.verdict, "because": because}
    )
