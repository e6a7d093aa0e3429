"""`cronflow resume`."""

from __future__ import annotations

from typing import Annotated

import typer

from cronflow.cli import client
from cronflow.cli.invocation import Caller
from cronflow.cli.verbs.pause import ask_about, chosen, in_words


def resume(
    caller: Caller,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB…", help="The jobs.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All jobs that are paused.")] = False,
) -> None:
    """End the pause of jobs. Nothing starts by it: the next slot does.

    Exit status 1 if none of them is paused.
    """
    names = chosen(jobs, everything)
    with client.connect(caller.places, "nothing was resumed") as daemon:
        reply = ask_about(caller, daemon, "resume", jobs=names)
    notes = list(reply.get("notes", ()))
    if caller.json:
        caller.answer({"resumed": names, "notes": notes})
        return
    for note in notes:
        caller.note(note)
    caller.out(f"resumed {in_words(names)}")
