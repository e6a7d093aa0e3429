"""`cronflow approve` and `cronflow reject`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.cli.names import WAITING, check_job, check_task, is_run, parse_run_ref, resolve_run
from cronflow.cli.verbs.cancel import job_names
from cronflow.core import words
from cronflow.errors import CronflowError, Exit
from cronflow.store.lookups import end_of_run
from cronflow.store.queries import History


def approve(
    invocation: Invocation,
    what: Annotated[
        str | None, typer.Argument(metavar=WAITING, help="A task, a run with one that waits, or a job; without it: a list.")
    ] = None,
) -> None:
    """Let a task go on that waits for an approval; without arguments, list the tasks that do.

    RUN/TASK names it; a job's name with RUN/ all its copies. RUN alone will do where one task of it waits, JOB where the
    newest run in which it waits is meant.
    """
    if what is None:
        _list(invocation)
    else:
        _decide(invocation, what, "approve", "approved", "")


def reject(
    invocation: Invocation,
    what: Annotated[str, typer.Argument(metavar=WAITING, help="A task, a run with one that waits, or a job.")],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown by `status` and `why`.")] = "",
) -> None:
    """End a task that waits for an approval as failed, without retries.

    RUN/TASK names it; a job's name with RUN/ all its copies. RUN alone will do where one task of it waits, JOB where the
    newest run in which it waits is meant.
    """
    _decide(invocation, what, "reject", "rejected", reason)


def _decide(invocation: Invocation, what: str, verb: str, done: str, reason: str) -> None:
    with client.connect(invocation.places, f"nothing was {done}") as daemon:
        with History.open(invocation.places.database) as history:
            run, task = _meant(invocation, history, what, verb)
        daemon.ask(verb, run=run, task=task, reason=reason, words=invocation.words)
    if invocation.json:
        invocation.print_json({done: [{"run": run, "task": task}], "reason": reason})
    else:
        invocation.out(f"{done} {run}/{task}")


def _meant(invocation: Invocation, history: History, what: str, verb: str) -> tuple[int, str]:
    """The run and the task (or the job, for all its copies). A task that does not wait for an approval is left to the daemon
    to refuse; for a run alone, or a job, one that does must be found."""
    head, task, attempt = parse_run_ref(what)
    if attempt is not None:
        hint = f"`cronflow {verb} {words.pasted(f'{head}/{task}')}` is for its task"
        raise CronflowError(f"`{what}` is an attempt", hint, Exit.USAGE)
    if task is not None:
        number = resolve_run(history, head, job_names(invocation, history))
        return number, check_task(history, number, task)
    if is_run(head):
        return _only_one(history, resolve_run(history, head, ()), verb)
    newest = max((number for number, _, job in history.waiting_for_approval() if job == head), default=None)
    if newest is None:
        check_job(head, job_names(invocation, history))
        raise CronflowError(f"`{head}` does not wait for an approval", f"`cronflow why {head}`")
    return newest, head


def _only_one(history: History, number: int, verb: str) -> tuple[int, str]:
    waiting = [name for run, name, _ in history.waiting_for_approval() if run == number]
    if len(waiting) == 1:
        return number, waiting[0]
    if waiting:
        message = f"{len(waiting)} tasks of run {number} wait for an approval: {words.listing(waiting, 5)}"
        raise CronflowError(message, f"`cronflow {verb} {words.pasted(f'{number}/{waiting[0]}')}` names one of them")
    ended = end_of_run(history, number)
    if ended is not None:
        raise CronflowError(f"run {number} has ended already: {ended}", f"`cronflow retry {number}` runs it again")
    raise CronflowError(f"nothing in run {number} waits for an approval", f"`cronflow why {number}`")


def _list(invocation: Invocation) -> None:
    """List what waits for an approval, oldest first: what to type, since when, and the message."""
    from cronflow.cli.screens.style import GAP

    invocation.use_zone_of_file()
    with History.open(invocation.places.database) as history:
        found = history.waiting_for_approval()
        records = {record.run.id: record for record in history.records({run for run, _, _ in found})}
    waiting = [(records[run], records[run].run.tasks[name]) for run, name, _ in found]
    if invocation.json:
        form = invocation.json_form()
        told = [
            {"run": task.run, "task": task.name, "since": form.time(task.entered), "message": record.job(task).approve or None}
            for record, task in waiting
        ]
        invocation.print_json({"waiting": told})
        return
    style = invocation.style()
    if not waiting:
        invocation.warn("nothing waits for an approval")
    for record, task in waiting:
        since = f"since {style.clock.when(task.entered)}" if task.entered is not None else ""
        message = words.plain(record.job(task).approve or "")
        name = f"{task.run}/{task.name}"
        invocation.out(style.cut(GAP.join(filter(None, (words.pasted(name) if invocation.tty else name, since, message)))))
