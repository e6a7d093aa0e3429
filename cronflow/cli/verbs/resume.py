"""`cronflow resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.cli.verbs.pause import ask_about, chosen, in_words


def resume(
    invocation: Invocation,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB…", help="The jobs.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All jobs that are paused.")] = False,
) -> None:
    """End the pause of jobs. Nothing starts by it: the next slot does.

    Exit status 1 if none of them is paused.
    """
    names = chosen(jobs, everything)
    with client.connect(invocation.places, "nothing was resumed") as daemon:
        reply = ask_about(invocation, daemon, "resume", jobs=names)
    notes = invocation.notes(reply)
    if invocation.json:
        invocation.print_json({"resumed": names, "notes": notes})
        return
    invocation.out(f"resumed {in_words(names)}")
