"""`cronflow retry`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli.invocation import Invocation
from cronflow.cli.names import check_task, parse_run_ref, resolve_run
from cronflow.cli.verbs.cancel import job_names
from cronflow.core.words import pasted
from cronflow.errors import CronflowError, Exit
from cronflow.store.queries import History


def retry(
    invocation: Invocation,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its number, `@last`, or a job's name for its last run.")],
    from_task: Annotated[
        str | None, typer.Option("--from", metavar="TASK", help="Run this task again and all after it, whatever their state.")
    ] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Print the number of the new run and do not follow it.")] = False,
) -> int:
    """Run again what failed, was blocked or cancelled in a run, and all that comes after it.

    It becomes a new run with the same slot time, under the job file now in force; what succeeded is taken over. It is
    followed to its end, by the daemon or, without one, here. The exit status is 0 only if it succeeded; 1 also if there is
    nothing to run again.
    """
    head, task, attempt = parse_run_ref(run)
    if attempt is not None or task is not None:
        hint = f"`cronflow retry {head} --from {pasted(task or '')}` runs that task and all after it"
        raise CronflowError(f"`{run}` is not a run", hint, Exit.USAGE)
    with History.open(invocation.places.database) as history:
        number = resolve_run(history, head, job_names(invocation, history))
        if from_task is not None:
            check_task(history, number, from_task)
    from cronflow.cli.verbs.run import start

    return start(invocation, "retry", {"run": number, "from": from_task}, detach)
