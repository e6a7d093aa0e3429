"""`cronflow backfill`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Invocation
from cronflow.cli.screens.backfill import slot_time
from cronflow.cli.times import parse_end, parse_time
from cronflow.core import words
from cronflow.errors import CronflowError, Exit
from cronflow.store.queries import History

if TYPE_CHECKING:
    from cronflow.facts.backfill_slots import PastSlot, Range

ASKED_ABOVE = 20
"""Runs that are started without a question."""


class Flags(NamedTuple):
    """Which slots of the range `cronflow backfill` runs, and how."""

    only: Annotated[
        str | None, typer.Option("--only", metavar="KINDS", help="Only slots that were `missed`, `failed`, or `missed,failed`.")
    ] = None
    again: Annotated[bool, typer.Option("--again", help="Slots that ran well, too.")] = False
    parallel: Annotated[int, typer.Option("--parallel", metavar="N", help="Runs at once.", min=1, max=16)] = 1
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the slots, and start nothing.")] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before more than 20 runs.")] = False


def backfill(
    invocation: Invocation,
    job: Annotated[str, typer.Argument(metavar="JOB", help="The job; it runs with all that comes after it in its flow.")],
    start: Annotated[str, typer.Option("--from", metavar="TIME", help="The first slot, or a time before it.")],
    end: Annotated[str, typer.Option("--to", metavar="TIME", help="The last slot, or a time after it; a day to its end.")],
    flags: Flags,
) -> int:
    """Run a job for slots of the past, oldest first: those of a range that no run has done well yet.

    Each run carries the time of its slot (CRONFLOW_SCHEDULED_AT). Ctrl-C stops the asking for more; the same command again goes
    on where it stopped. The exit status is 0 only if every run succeeded.
    """
    from cronflow.facts.backfill_slots import kinds_of, slots_of_range

    kinds = kinds_of(flags.only)
    if flags.again and kinds:
        raise CronflowError("`--again` and `--only` exclude each other", "leave one of them out", Exit.USAGE)
    with History.open(invocation.places.database) as history:
        known = invocation.jobs_of_file()
        names.check_job(job, known.jobs)
        found = slots_of_range(history, known, job, *_range(invocation, start, end), invocation.now)
    slots = found.chosen(kinds, flags.again)
    if not slots:
        raise _nothing(invocation, found, kinds)
    if flags.dry_run:
        return _show(invocation, found, slots)
    _ask(invocation, job, slots, flags.yes)
    from cronflow.cli.verbs.backfill_runs import Backfill, work

    return work(invocation, Backfill(invocation, job, slots, flags.parallel))


def _range(invocation: Invocation, start: str, end: str) -> tuple[float, float]:
    """The range in epoch seconds. One that is reversed, or reaches into the future, is an error of usage."""
    first, last = parse_time(start, invocation.zone, invocation.now), parse_end(end, invocation.zone, invocation.now)
    if last > invocation.now or first > invocation.now:
        which = f"--from {start}" if first > invocation.now else f"--to {end}"
        hint = "`--to now` is as far as it goes"
        raise CronflowError(f"`{which}` is in the future: slots to come run by themselves", hint, Exit.USAGE)
    if first > last:
        raise CronflowError(f"`--from {start}` is after `--to {end}`", "write the earlier time first", Exit.USAGE)
    return first, last


def _nothing(invocation: Invocation, found: Range, kinds: frozenset[str]) -> CronflowError:
    """Why there is nothing to run."""
    style = invocation.style()
    where = f"from {slot_time(found.start, style)} to {slot_time(found.end, style)}"
    number = words.count(len(found.slots), "slot")
    if not found.slots:
        return CronflowError(f"`{found.job}` has no slots {where}", f"`cronflow next {found.job} --from TIME` shows them")
    if all(slot.covered for slot in found.slots):
        said = f"`{found.job}` already ran well in {'its' if len(found.slots) == 1 else 'all'} {number} {where}"
        return CronflowError(said, "`--again` runs them all the same")
    kind = " or ".join(f"`{kind}`" for kind in sorted(kinds))
    return CronflowError(f"none of the {number} of `{found.job}` {where} is {kind}", "`--dry-run` without `--only` lists them")


def _ask(invocation: Invocation, job: str, slots: list[PastSlot], yes: bool) -> None:
    """Ask before many runs: on a terminal the person, elsewhere for `--yes`."""
    if len(slots) <= ASKED_ABOVE or yes:
        return
    days = [words.local(slot.at, invocation.zone).date().isoformat() for slot in (slots[0], slots[-1])]
    said = f"cronflow would start {len(slots)} runs of `{job}`, {' to '.join(dict.fromkeys(days))}"
    if invocation.json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise CronflowError(f"{said}, and nobody is there to be asked", "`--yes` starts them, `--dry-run` lists them", Exit.USAGE)
    invocation.warn(f"{said}: go on? [y/N] ", end="")
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CronflowError("nothing was started", None)


def _show(invocation: Invocation, found: Range, slots: list[PastSlot]) -> int:
    """What would be run, and what the history has of these slots."""
    if invocation.json:
        form = invocation.json_form()
        told: list[dict[str, object]] = []
        for slot in slots:
            run = slot.last.run if slot.last is not None else None
            told.append({"slot": form.time(slot.at), "run": run, "state": None if slot.word == "no_run" else slot.word})
        invocation.print_json({"job": found.job, "from": form.time(found.start), "to": form.time(found.end), "slots": told})
        return 0
    invocation.out(f"{words.count(len(slots), 'run')} of `{found.job}` would start, one for each slot:")
    for slot in slots:
        number = f" in run {slot.last.run}" if slot.last is not None else ""
        invocation.out(f"  {slot_time(slot.at, invocation.style())}   {slot.word.replace('_', ' ')}{number}")
    return 0
