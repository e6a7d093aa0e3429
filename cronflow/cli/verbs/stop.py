"""`cronflow stop`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.core.words import count
from cronflow.errors import CronflowError, Exit


def stop(
    invocation: Invocation,
    drain: Annotated[bool, typer.Option("--drain", help="Start nothing more, and stop when what runs has ended.")] = False,
    kill: Annotated[bool, typer.Option("--kill", help="End what runs, then stop.")] = False,
) -> None:
    """Stop the daemon, and wait until it is gone. Jobs that are running go on.

    The next daemon knows how they ended. Ctrl-C ends the waiting, not the stopping.
    """
    if drain and kill:
        hint = "`--drain` waits for what runs, `--kill` ends it"
        raise CronflowError("`--drain` and `--kill` exclude each other", hint, Exit.USAGE)
    mode = "drain" if drain else "kill" if kill else "now"
    with client.connect(invocation.places, "nothing was stopped") as daemon:
        running = int(daemon.ask("stop", mode=mode, words=invocation.words)["running"])
        try:
            if running and mode != "now":
                invocation.warn(f"{'waiting for' if drain else 'ending'} {count(running, 'job')} …")
            daemon.wait_until_gone()
        except KeyboardInterrupt:
            invocation.warn("no longer waiting; the daemon goes on stopping")
            raise
    if invocation.json:
        invocation.print_json({"stopped": True, "mode": mode, "running": running})
    elif running and mode == "now":
        invocation.out(f"the daemon has stopped; {count(running, 'job goes', 'jobs go')} on")
    else:
        invocation.out("the daemon has stopped")
