"""`cronflow why`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli import names
from cronflow.cli.client import ping
from cronflow.cli.invocation import Invocation
from cronflow.cli.screens.why import why_screen
from cronflow.cli.times import parse_time
from cronflow.errors import CronflowError, Exit
from cronflow.facts.evidence import Answer, Context
from cronflow.facts.explain import why_job, why_run
from cronflow.facts.output import Logs
from cronflow.store.queries import History


def why(
    invocation: Invocation,
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
    with History.open(invocation.places.database) as history:
        known = invocation.known_jobs(history, required=not of_run)
        moment = None if at is None else parse_time(at, invocation.zone, invocation.now)
        daemon = ping(invocation.places, 2.0)
        draining = bool(daemon and daemon.get("draining"))
        logs = Logs(invocation.places, invocation.masks)
        context = Context(history, known, invocation.style().clock, logs, daemon is not None, draining)
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
    if invocation.json:
        _print_json(invocation, answer)
    else:
        invocation.out(why_screen(answer, invocation.style()))


def _print_json(invocation: Invocation, answer: Answer) -> None:
    form = invocation.json_form()
    because = [form.of(one, "code message run task") for one in answer.because]
    invocation.print_json({**form.of(answer, "job run at verdict"), "because": because})
