"""`cronflow status`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cronflow.cli import names
from cronflow.cli.client import ping
from cronflow.cli.invocation import Caller
from cronflow.facts import upcoming
from cronflow.facts.expected import expected
from cronflow.facts.known import Known, known_jobs, use_zone_of_file
from cronflow.facts.overview import UNDELIVERED_AFTER, Overview, look, next_start
from cronflow.facts.waits import waiting_of, waits_for
from cronflow.store.edges import edges
from cronflow.store.queries import History, RunRecord

if TYPE_CHECKING:
    from cronflow.facts.json_form import JsonForm


def status(
    caller: Caller,
    what: Annotated[str | None, typer.Argument(metavar="JOB|RUN", help="One job, or one run, instead of all.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again each second; q ends.")] = False,
    check: Annotated[
        bool, typer.Option("--check", help="One line for Nagios: exit 0 ok, 1 warning, 2 critical, 3 unreadable.")
    ] = False,
) -> int:
    """Show how everything stands: what fails first, then what runs, waits, is paused, and comes next.

    With --check: 2 if a job is failing or the daemon is not running; 1 if a job is late, runs far longer than usual or is
    paused for over a day, an alert is undelivered for five minutes, or the daemon has a problem.
    """
    if check:
        from cronflow.cli.nagios import judge

        return judge(caller, what)
    if watch:
        from cronflow.cli.watch import watch as keep_watching

        return keep_watching(caller, lambda now: show(caller, what, now))
    if caller.json:
        _answer(caller, what)
    else:
        caller.out(show(caller, what, caller.now))
    return 0


def show(caller: Caller, what: str | None, now: float) -> str:
    """The screen of everything, of one job or of one run, as it is at `now`."""
    from cronflow.cli.screens.style import style_of

    with History.open(caller.places.database) as history:
        if what is not None and names.is_run(what):
            from cronflow.cli.screens.run import run_screen

            use_zone_of_file(caller)
            record = history.record(names.resolve_run(history, what, ()))
            assert record is not None
            expects = {name: one for (_, name), one in expected(history, [record]).items()}
            return run_screen(record, expects, style_of(caller, now))
        known = known_jobs(caller, history)
        if what is not None:
            return _job_screen(caller, history, known, what, now)
        from cronflow.cli.screens.status import screen

        view = look(caller, history, known, ping(caller.places), now, output=True)
        return screen(view, style_of(caller, now), str(caller.places.file))


def _job_screen(caller: Caller, history: History, known: Known, name: str, now: float) -> str:
    from cronflow.cli.screens.job import JobPicture, job_screen
    from cronflow.cli.screens.style import style_of
    from cronflow.store.standing import health_of, pauses, skips

    job = known.jobs[names.check_job(name, known.jobs)]
    stops = upcoming.Stops(known, pauses(history, now), skips(history), now)
    picture = JobPicture(
        job,
        known.plan.flows[known.plan.flow_of[name]],
        history.records(history.find_runs(name, known.flow_name(name), limit=8)),
        health_of(history, name),
        stops.pauses.get(name),
        stops.skips.get(name),
        history.usual_durations([name]).get(name),
        next_start(job, stops),
        next(waiting_of(edges(history, known.plan, stops.pauses), known.plan.flows[known.plan.flow_of[name]], now), None),
    )
    return job_screen(picture, style_of(caller, now))


def _answer(caller: Caller, what: str | None) -> None:
    """The object of `--json`; with a job or a run, only what concerns it."""
    from cronflow.facts.json_form import JsonForm

    with History.open(caller.places.database) as history:
        of_run = what is not None and names.is_run(what)
        known = known_jobs(caller, history, required=not of_run)
        view = look(caller, history, known, ping(caller.places), caller.now)
        if what is not None and of_run:
            runs = history.records([names.resolve_run(history, what, known.jobs)])
            chosen = [name for name in known.jobs if _has_job(runs[0], name)]
        elif what is not None:
            chosen = [names.check_job(what, known.jobs)]
            runs = [record for record in view.live if _has_job(record, what)]
        else:
            chosen, runs = list(known.jobs), view.live
        form = JsonForm(caller.places, caller.zone)
        caller.answer(
            {
                "daemon": form.daemon(view.daemon),
                "jobs": _jobs(form, history, view, chosen, caller.now),
                "runs": [form.run(record) for record in runs],
                "problems": form.problems(view, caller.now - UNDELIVERED_AFTER),
            }
        )


def _jobs(form: JsonForm, history: History, view: Overview, chosen: list[str], now: float) -> list[dict[str, Any]]:
    known, stops = view.known, view.stops(now)
    last = history.last_runs(chosen)
    records = {record.run.id: record for record in history.records(dict.fromkeys(last.values()))}
    return [
        form.job(
            known.jobs[name],
            known.flow_name(name),
            view.last_tasks.get(name, []),
            records.get(last.get(name, 0)),
            next_start(known.jobs[name], stops),
            stops.pauses.get(name),
            stops.skips.get(name),
            waits_for(view.edges, name, now),
        )
        for name in chosen
    ]


def _has_job(record: RunRecord, name: str) -> bool:
    return any(task.job == name for task in record.run.tasks.values())
