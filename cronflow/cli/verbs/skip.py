"""`cronflow skip`."""

from __future__ import annotations

import itertools
from contextlib import suppress
from typing import Annotated

import typer

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.cli.verbs.pause import ask_about, in_words
from cronflow.errors import CronflowError
from cronflow.facts import upcoming
from cronflow.store.queries import History

SHOWN = 3


def skip(
    invocation: Invocation,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB…", help="The jobs.")],
    number: Annotated[
        int, typer.Option("-n", "--number", metavar="N", help="How many slots; 0 takes a skip back.", min=0, max=1000)
    ] = 1,
) -> None:
    """Leave out the next slots of jobs, one if not said otherwise; `-n 0` takes that back.

    In each run that a trigger opens the job ends `skipped`, and one slot is used up; what comes after it is judged as usual.
    Runs by hand, retries and backfills neither obey a skip nor use one up. It is state, not an edit of the job file, and
    survives restarts. A later `skip` of the same job takes the place of the one before.
    """
    names = list(dict.fromkeys(jobs))
    with client.connect(invocation.places, "nothing is skipped") as daemon:
        ask_about(invocation, daemon, "skip", jobs=names, slots=number)
    slots = _slots(invocation, names) if number else {}
    if invocation.json:
        form = invocation.json_form()
        at = {name: [form.time(slot) for slot in slots.get(name, [])] for name in names}
        invocation.print_json({"skipped": names, "slots": number, "at": at})
    elif number == 0:
        invocation.out(f"nothing is skipped any more of {in_words(names)}")
    else:
        for name in names:
            invocation.out(_told(invocation, name, number, slots.get(name, [])))


def _slots(invocation: Invocation, names: list[str]) -> dict[str, list[int]]:
    """The slots that are skipped, the first ones of each job, as far as the job file and the database can be read."""
    found: dict[str, list[int]] = {}
    with suppress(CronflowError), History.open(invocation.places.database) as history:
        known = invocation.known_jobs(history)
        suspensions = upcoming.suspensions_of(history, known, invocation.now)
        for name in names:
            flow = known.plan.flows.get(known.flow_name(name))
            pause = suspensions.pauses.get(name)
            if flow is None or (pause is not None and pause.until is None):
                continue
            after = invocation.now if pause is None or pause.until is None else pause.until - 1
            slots = itertools.islice(upcoming.slots_after(known, after, frozenset([name])), SHOWN + 1)
            found[name] = [slot.at for slot in slots if upcoming.skipped_at(slot, name, suspensions)]
    return found


def _told(invocation: Invocation, name: str, number: int, slots: list[int]) -> str:
    style = invocation.style()
    which = "the next slot" if number == 1 else f"the next {number} slots"
    shown = [style.clock.day_when(slot) for slot in slots[:SHOWN]]
    if not shown:
        return f"skipping {which} of `{name}`"
    more = ", …" if number > len(shown) else ""
    return f"skipping {which} of `{name}`: {', '.join(shown)}{more}"
