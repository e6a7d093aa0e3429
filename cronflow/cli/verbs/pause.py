"""`cronflow pause`."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import typer

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.core.words import conjunction, iso
from cronflow.errors import CronflowError, Exit
from cronflow.jobfile.suggest import did_you_mean

LONGEST = 100 * 365 * 86400.0


def pause(
    invocation: Invocation,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB…", help="The jobs.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All jobs.")] = False,
    duration: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="How long, as in `90m`, `2d`; without it until `resume`.")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; shown by `status` and `why`.")] = "",
) -> None:
    """Keep jobs from starting by themselves, until a time or until `cronflow resume`.

    What runs already goes on. A paused job ends `skipped` in each run that its trigger opens; by hand it runs all the same.
    It is state, not an edit of the job file, and survives restarts.
    """
    names = chosen(jobs, everything)
    until = invocation.now + _seconds(duration) if duration is not None else None
    invocation.use_zone_of_file()
    with client.connect(invocation.places, "nothing was paused") as daemon:
        reply = ask_about(invocation, daemon, "pause", jobs=names, until=until, reason=reason)
    notes = invocation.notes(reply)
    if invocation.json:
        invocation.print_json(
            {"paused": names, "until": iso(until, invocation.zone) if until else None, "reason": reason, "notes": notes}
        )
        return
    end = f"`cronflow resume {'--all' if names is None else ' '.join(names)}`"
    if until is not None:
        end = invocation.clock.when(until)
    invocation.out(f"paused {in_words(names)} until {end}")


def chosen(jobs: list[str] | None, everything: bool) -> list[str] | None:
    """The jobs named, or None for all; neither and both are errors of usage."""
    if everything and jobs:
        raise CronflowError("`--all` and the names of jobs exclude each other", "leave one of them out", Exit.USAGE)
    if not everything and not jobs:
        raise CronflowError("no job is named", "name jobs, or `--all`", Exit.USAGE)
    return None if everything else list(dict.fromkeys(jobs or ()))


def in_words(names: list[str] | None) -> str:
    """The jobs chosen, as a sentence shows them."""
    if names is None:
        return "all jobs"
    quoted = [f"`{name}`" for name in names]
    return conjunction(quoted)


def ask_about(invocation: Invocation, daemon: client.Client, op: str, **fields: Any) -> dict[str, Any]:
    """Ask the daemon for something about jobs; a job that it does not know gets the nearest one of the job file as its hint."""
    try:
        return daemon.ask(op, words=invocation.words, **fields)
    except CronflowError as refusal:
        if refusal.exit_status == Exit.NOT_FOUND and refusal.hint is None:
            with suppress(CronflowError):
                known = invocation.jobs.jobs
                unknown = next((name for name in fields.get("jobs") or () if name not in known), "")
                refusal.hint = did_you_mean(unknown, known) or "`cronflow graph` lists all jobs"
        raise


def _seconds(text: str) -> float:
    from cronflow.jobfile.values import RefusalError, duration

    try:
        seconds = duration("--for", text)
    except RefusalError as refusal:
        raise CronflowError(refusal.message.replace(" = ", " "), refusal.hint, Exit.USAGE) from None
    if seconds <= 0:
        raise CronflowError(f"`--for {text}` is no time at all", "`cronflow resume` ends a pause", Exit.USAGE)
    if seconds > LONGEST:
        hint = "without `--for` a pause lasts until `cronflow resume`"
        raise CronflowError(f"`--for {text}` is more than 100 years", hint, Exit.USAGE)
    return seconds
