"""`cronflow next`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Invocation
from cronflow.cli.screens.next import Coming, next_screen
from cronflow.cli.times import parse_time
from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow, Plan
from cronflow.core.time.triggers import Trigger, described
from cronflow.errors import CronflowError, Exit
from cronflow.facts import upcoming
from cronflow.facts.known import KnownJobs
from cronflow.facts.live import edges_state
from cronflow.facts.waits import Waiting, after_words, waiting_slots
from cronflow.store.queries import History


def next_slots(
    invocation: Invocation,
    jobs: Annotated[list[str] | None, typer.Argument(metavar="JOB…", help="Only slots in which one of these jobs runs.")] = None,
    number: Annotated[int, typer.Option("-n", "--number", metavar="N", help="How many slots.", min=1, max=100_000)] = 10,
    start: Annotated[str | None, typer.Option("--from", metavar="TIME", help="Slots after TIME instead of now.")] = None,
    schedule: Annotated[
        str | None, typer.Option("--schedule", metavar="EXPR", help="A cron expression that is in no file.")
    ] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", metavar="ZONE", help="The zone for --schedule.")] = None,
) -> None:
    """Show the next slots in order of time, and which jobs come after them."""
    held: list[Waiting] = []
    if schedule is not None:
        if jobs:
            message = "a JOB has a schedule of its own, so `--schedule` is one too many"
            raise CronflowError(message, "leave out one of them", Exit.USAGE)
        flow = _flow_of(schedule, timezone or invocation.zone)
        invocation.zone = flow.triggers[0].schedule.zone
        known = KnownJobs({}, Plan({flow.name: flow}, {flow.name: flow.name}))
        suspensions = upcoming.Suspensions(known, {}, {}, invocation.now)
    elif timezone is not None:
        raise CronflowError("`--timezone` goes with `--schedule`", "a job has its `timezone` in the job file", Exit.USAGE)
    else:
        with History.open(invocation.places.database) as history:
            known = invocation.known_jobs(history)
            suspensions = upcoming.suspensions_of(history, known, invocation.now)
            held = waiting_slots(edges_state(history, known, invocation.now), invocation.now) if start is None else []
    for job in jobs or ():
        names.check_job(job, known.jobs)
    after = invocation.now if start is None else parse_time(start, invocation.zone, invocation.now)
    slots = list(itertools.islice(upcoming.slots_after(known, after, frozenset(jobs or ())), number))
    _tell_of_silent(invocation, known, jobs or [])
    held = [one for one in held if not jobs or one.flow.jobs.keys() & set(jobs)]
    others = upcoming.flows_after_others(known, frozenset(jobs or ()))
    coming = Coming(slots, suspensions, held, others)
    if invocation.json:
        _print_json(invocation, coming, jobs or [])
    elif slots or held or others:
        invocation.out(next_screen(coming, invocation.style()))


def _flow_of(expression: str, zone: str) -> Flow:
    """A flow of one job with a schedule as typed; one that is not valid is drawn with a caret below its fault."""
    from cronflow.core.time.schedule import Schedule, ScheduleError, ZoneError

    try:
        times = Schedule.cron(expression, zone)
        trigger = Trigger("schedule", times.key, times)
    except ZoneError as fault:
        raise CronflowError(fault.message, fault.hint) from None
    except ScheduleError as fault:
        shown = "".join(character if character.isprintable() else "?" for character in expression)
        caret = " " * fault.offset + "^" * max(fault.length, 1)
        raise CronflowError(f"{fault.message}\n   |\n   | {shown}\n   | {caret}", fault.hint) from None
    job = Job(expression, "", schedule=(expression,), timezone=zone)
    return Flow(expression, {expression: job}, (expression,), (trigger,), {expression: ()})


def _tell_of_silent(invocation: Invocation, known: KnownJobs, jobs: list[str]) -> None:
    """Say which of the named jobs have no slots, and why."""
    for name in jobs:
        flow = known.plan.flows[known.plan.flow_of[name]]
        if not flow.triggers and flow.external_edges:
            if flow.disabled:
                invocation.warn(f"`{name}` starts only by hand: its flow is disabled in the job file")
        elif not flow.triggers:
            invocation.warn(f"`{name}` starts only by hand: `cronflow run {name}`")
        elif flow.disabled:
            invocation.warn(
                f"`{name}` has no slots: {' and '.join(f'`{root}`' for root in flow.roots)} is disabled in the job file"
            )
        elif not known.jobs[name].enabled:
            invocation.warn(f"`{name}` is disabled in the job file: in these slots it is skipped")
        elif events := [trigger for trigger in flow.triggers if not trigger.timed]:
            also = " also" if len(events) < len(flow.triggers) else ""
            invocation.warn(f"`{name}` starts{also} {described(events)}, which no timetable tells")
    if not known.plan.flows:
        invocation.warn("the job file has no jobs")
    elif not jobs and not any(trigger.timed for flow in known.plan.flows.values() for trigger in flow.triggers):
        by_hand = not any(flow.triggers for flow in known.plan.flows.values())
        invocation.warn("no job has a trigger: all start only by hand" if by_hand else "no job has a timetable: `cronflow graph`")


def _print_json(invocation: Invocation, coming: Coming, jobs: list[str]) -> None:
    """Slots that wait come first, flows without a timetable last; times they do not have are null."""
    from cronflow.cli.screens.status import waiting_phrase

    form = invocation.json_form()
    found: list[dict[str, Any]] = []
    for one in coming.held:
        note, bears = waiting_phrase(one, invocation.style()), form.time(float(one.slot))
        found += [{"job": name, "at": None, "slot": bears, "note": note} for name in _named(one.flow, one.roots, jobs)]
    for slot in coming.slots:
        notes = upcoming.notes_of(slot, coming.suspensions)
        roots = [root for root in slot.roots if not jobs or root in jobs]
        dependents = [name for name in slot.dependents if name in jobs]
        for name in [*roots, *dependents]:
            after = [f"after {', '.join(edge.job for edge in slot.flow.jobs[name].after)}"] if name in dependents else []
            at, bears = form.time(float(slot.at)), form.time(float(slot.slot))
            found.append({"job": name, "at": at, "slot": bears, "note": "; ".join([*after, *notes]) or None})
    for other in coming.others:
        for name in _named(other, other.roots, jobs):
            found.append({"job": name, "at": None, "slot": None, "note": f"after {after_words(other.jobs[name].after)}"})
    invocation.print_json({"next": found})


def _named(flow: Flow, roots: Sequence[str], jobs: list[str]) -> list[str]:
    """The roots of a flow, or those of its jobs that were asked for."""
    return [name for name in flow.jobs if name in (jobs or roots)]
