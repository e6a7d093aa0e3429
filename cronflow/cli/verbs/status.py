"""`cronflow status`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli import names
from cronflow.cli.client import ping
from cronflow.cli.invocation import Invocation
from cronflow.facts import upcoming
from cronflow.facts.known import KnownJobs
from cronflow.facts.live import edges_state
from cronflow.facts.overview import gather, jobs_now, next_start, tasks_now
from cronflow.facts.waits import waiting_of
from cronflow.store.queries import History, RunRecord


def status(
    invocation: Invocation,
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

        return judge(invocation, what)
    if watch:
        from cronflow.cli.watch import watch as keep_watching

        return keep_watching(invocation, lambda now: show(invocation, what, now))
    if invocation.json:
        _print_json(invocation, what)
    else:
        invocation.out(show(invocation, what, invocation.now))
    return 0


def show(invocation: Invocation, what: str | None, now: float) -> str:
    """The screen of everything, of one job or of one run, as of `now`."""
    with History.open(invocation.places.database) as history:
        if what is not None and names.is_run(what):
            from cronflow.cli.screens.run import run_screen

            invocation.use_zone_of_file()
            record = history.record(names.resolve_run(history, what, ()))
            assert record is not None
            return run_screen(record, tasks_now(history, [record]), invocation.style(now))
        known = invocation.known_jobs(history)
        if what is not None:
            return _job_screen(invocation, history, known, what, now)
        from cronflow.cli.screens.status import screen
        from cronflow.facts.output import Logs

        view = gather(history, known, ping(invocation.places), now, Logs(invocation.places, invocation.masks))
        return screen(view, invocation.style(now), str(invocation.places.file))


def _job_screen(invocation: Invocation, history: History, known: KnownJobs, name: str, now: float) -> str:
    from cronflow.cli.screens.job import JobPicture, job_screen
    from cronflow.store.standing import health_of

    job = known.jobs[names.check_job(name, known.jobs)]
    suspensions = upcoming.suspensions_of(history, known, now)
    flow = known.plan.flows[known.plan.flow_of[name]]
    picture = JobPicture(
        job,
        flow,
        history.records(history.find_runs(name, known.flow_name(name), limit=8)),
        health_of(history, name),
        suspensions.pauses.get(name),
        suspensions.skips.get(name),
        history.usual_durations([name]).get(name),
        next_start(job, suspensions),
        next(waiting_of(edges_state(history, known, now), flow, now), None),
    )
    return job_screen(picture, invocation.style(now))


def _print_json(invocation: Invocation, what: str | None) -> None:
    """The object of `--json`; with a job or a run, only what concerns it."""
    with History.open(invocation.places.database) as history:
        of_run = what is not None and names.is_run(what)
        known = invocation.known_jobs(history, required=not of_run)
        view = gather(history, known, ping(invocation.places), invocation.now)
        if what is not None and of_run:
            runs = history.records([names.resolve_run(history, what, known.jobs)])
            chosen = [name for name in known.jobs if _has_job(runs[0], name)]
        elif what is not None:
            chosen = [names.check_job(what, known.jobs)]
            runs = [record for record in view.live if _has_job(record, what)]
        else:
            chosen, runs = list(known.jobs), view.live
        jobs = jobs_now(history, view, chosen)
        form = invocation.json_form()
        invocation.print_json(
            {
                "daemon": form.daemon(view.daemon),
                "jobs": [form.job(one) for one in jobs],
                "runs": [form.run(record) for record in runs],
                "problems": form.problems(view),
            }
        )


def _has_job(record: RunRecord, name: str) -> bool:
    return any(task.job == name for task in record.run.tasks.values())
