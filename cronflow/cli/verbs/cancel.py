"""`cronflow cancel`."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.cli.names import check_job, check_task, is_run, parse_run_ref, resolve_run
from cronflow.core.records import FINAL
from cronflow.core.words import pasted
from cronflow.errors import CronflowError, Exit, JobFileError
from cronflow.store.lookups import definition_of_run, task_names, unfinished_tasks
from cronflow.store.queries import History

MOMENT = 2.0
"""Seconds to wait for the end of what was cancelled."""

Target = tuple[int, str | None]


def cancel(
    invocation: Invocation,
    what: Annotated[
        str, typer.Argument(metavar="RUN|RUN/TASK|JOB", help="A run, one task of it, or a job: wherever it is going on.")
    ],
) -> None:
    """End a run, one task of a run, or what a job has going on.

    Of the first job of a flow its whole runs are ended, of another job its tasks. Everything of an attempt gets TERM and,
    after `kill_after`, KILL. What comes after a cancelled task is cancelled too, unless it is to run in any case.
    """
    with client.connect(invocation.places, "nothing was cancelled") as daemon:
        with History.open(invocation.places.database) as history:
            targets = _targets(invocation, history, what)
        notes = [note for target in targets for note in _ask(invocation, daemon, target, len(targets) == 1)]
        going_on = _still_ending(daemon, targets)
    if invocation.json:
        told = [{"run": run, "task": task, "ended": (run, task) not in going_on} for run, task in targets]
        invocation.print_json({"cancelled": told, "notes": notes})
        return
    for note in notes:
        invocation.warn(note)
    for run, task in targets:
        name = f"{run}/{task}" if task else f"run {run}"
        invocation.out(
            f"{name} is being ended: KILL follows after `kill_after`" if (run, task) in going_on else f"cancelled {name}"
        )


def _ask(invocation: Invocation, daemon: client.Client, target: Target, alone: bool) -> list[str]:
    """Ask for one target; the notes of the daemon. Among several, one that has just ended by itself is not a failure."""
    run, task = target
    try:
        return list(daemon.ask("cancel", run=run, task=task, words=invocation.words).get("notes", ()))
    except CronflowError as refusal:
        if alone or refusal.exit_status != 1:
            raise
        return [refusal.message]


def _still_ending(daemon: client.Client, targets: list[Target]) -> set[Target]:
    """The targets that have not ended within a moment: a process that ignores TERM has time until `kill_after`."""
    left = set(targets)
    daemon.ask("follow", runs=sorted({run for run, _ in targets}))
    end = time.monotonic() + MOMENT
    while left and (seconds := end - time.monotonic()) > 0:
        event = daemon.receive(seconds)
        if event is None and daemon.ended:
            break
        if event is not None and event.get("state") in FINAL:
            left.discard((event["run"], event.get("task")))
    return left


def _targets(invocation: Invocation, history: History, what: str) -> list[Target]:
    """The runs and tasks that are meant, oldest first."""
    head, task, attempt = parse_run_ref(what)
    if attempt is not None:
        raise CronflowError(f"`{what}` is an attempt", f"`cronflow cancel {pasted(f'{head}/{task}')}` ends its task", Exit.USAGE)
    if task is not None or is_run(head):
        number = resolve_run(history, head, job_names(invocation, history))
        return [(number, name) for name in _copies(history, number, task)] if task is not None else [(number, None)]
    going_on = [found for number in history.live_runs() if (found := _in_run(history, number, head))]
    if not going_on:
        check_job(head, job_names(invocation, history))
        raise CronflowError(f"nothing of `{head}` is going on, so nothing was cancelled", f"`cronflow status {head}`")
    return [target for targets in going_on for target in targets]


def _copies(history: History, number: int, task: str) -> list[str]:
    """The task itself, or the copies that are going on if it is a job with copies."""
    check_task(history, number, task)
    if any(task == name for name, _ in task_names(history, number)):
        return [task]
    return unfinished_tasks(history, number, task) or [task]


def job_names(invocation: Invocation, history: History) -> list[str]:
    """The names of jobs that may be meant; none if the job file is broken and the history is empty, since what is going on can
    be ended all the same."""
    try:
        return list(invocation.known_jobs(history).jobs)
    except JobFileError:
        return []


def _in_run(history: History, number: int, job: str) -> list[Target]:
    """What a job has going on in one run: the run itself if the job is a root of its flow, else its tasks."""
    jobs = {plain["name"]: plain for plain in definition_of_run(history, number)}
    if job in jobs and _is_root(jobs[job]) and any(job == one for _, one in task_names(history, number)):
        return [(number, None)]
    return [(number, name) for name in unfinished_tasks(history, number, job)]


def _is_root(plain: dict[str, object]) -> bool:
    return not plain.get("after") or bool(plain.get("schedule")) or plain.get("every") is not None
