"""`cronflow next`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Caller
from cronflow.cli.times import parse_time
from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow, Plan
from cronflow.core.time.triggers import Trigger, described
from cronflow.errors import CronflowError, Exit
from cronflow.facts import upcoming
from cronflow.facts.known import Known, known_jobs
from cronflow.facts.waits import Waiting, after_words, waiting_slots
from cronflow.store.edges import edges
from cronflow.store.queries import History
from cronflow.store.standing import pauses, skips


def next_slots(
    caller: Caller,
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
            hint = "leave out one of them"
            raise CronflowError("a JOB has a schedule of its own, so `--schedule` is one too many", hint, Exit.USAGE)
        flow = _flow_of(schedule, timezone or caller.zone)
        caller.zone = flow.triggers[0].schedule.zone
        known = Known({}, Plan({flow.name: flow}, {flow.name: flow.name}))
        stops = upcoming.Stops(known, {}, {}, caller.now)
    elif timezone is not None:
        raise CronflowError("`--timezone` goes with `--schedule`", "a job has its `timezone` in the job file", Exit.USAGE)
    else:
        with History.open(caller.places.database) as history:
            known = known_jobs(caller, history)
            stops = upcoming.Stops(known, pauses(history, caller.now), skips(history), caller.now)
            held = waiting_slots(edges(history, known.plan, stops.pauses), caller.now) if start is None else []
    for job in jobs or ():
        names.check_job(job, known.jobs)
    after = caller.now if start is None else parse_time(start, caller.zone, caller.now)
    slots = list(itertools.islice(upcoming.slots_after(known, after, frozenset(jobs or ())), number))
    _tell_of_silent(caller, known, jobs or [])
    held = [one for one in held if not jobs or one.flow.jobs.keys() & set(jobs)]
    others = upcoming.flows_after_others(known, frozenset(jobs or ()))
    if caller.json:
        _answer(caller, slots, jobs or [], stops, held, others)
    elif slots or held or others:
        from cronflow.cli.screens.next import next_screen
        from cronflow.cli.screens.style import style_of

        caller.out(next_screen(slots, stops, style_of(caller), held, others))


def _flow_of(expression: str, zone: str) -> Flow:
    """A flow of one job with a schedule as typed; one that is none is drawn with a caret below its fault."""
    from cronflow.core.time.schedule import Schedule, ScheduleError, ZoneError

    try:
        times = Schedule.cron(expression, zone)
        trigger = Trigger("schedule", times.key, times)
    except ZoneError as fault:
        raise CronflowError(fault.message, fault.hint, 1) from None
    except ScheduleError as fault:
        shown = "".join(character if character.isprintable() else "?" for character in expression)
        caret = " " * fault.offset + "^" * max(fault.length, 1)
        raise CronflowError(f"{fault.message}\n   |\n   | {shown}\n   | {caret}", fault.hint, 1) from None
    job = Job(expression, "", schedule=(expression,), timezone=zone)
    return Flow(expression, {expression: job}, (expression,), (trigger,), {expression: ()})


def _tell_of_silent(caller: Caller, known: Known, jobs: list[str]) -> None:
    """Say of each job named that it has no slots, and why."""
    for name in jobs:
        flow = known.plan.flows[known.plan.flow_of[name]]
        if not flow.triggers and flow.outer:
            if flow.dormant:
                caller.note(f"`{name}` starts only by hand: its flow is disabled in the job file")
        elif not flow.triggers:
            caller.note(f"`{name}` starts only by hand: `cronflow run {name}`")
        elif flow.dormant:
            caller.note(f"`{name}` has no slots: {' and '.join(f'`{root}`' for root in flow.roots)} is disabled in the job file")
        elif not known.jobs[name].enabled:
            caller.note(f"`{name}` is disabled in the job file: in these slots it is skipped")
        elif events := [trigger for trigger in flow.triggers if not trigger.timed]:
            also = " also" if len(events) < len(flow.triggers) else ""
            caller.note(f"`{name}` starts{also} {described(events)}, which no timetable tells")
    if not known.plan.flows:
        caller.note("the job file has no jobs")
    elif not jobs and not any(trigger.timed for flow in known.plan.flows.values() for trigger in flow.triggers):
        by_hand = not any(flow.triggers for flow in known.plan.flows.values())
        caller.note("no job has a trigger: all start only by hand" if by_hand else "no job has a timetable: `cronflow graph`")


def _answer(
    caller: Caller,
    slots: list[upcoming.Slot],
    jobs: list[str],
    stops: upcoming.Stops,
    held: list[Waiting],
    others: list[Flow],
) -> None:
    """Slots that wait come first, flows that no timetable tells last: what they bear no time for is null."""
    from cronflow.cli.screens.status import waiting_phrase
    from cronflow.cli.screens.style import style_of
    from cronflow.facts.json_form import JsonForm

    form = JsonForm(caller.places, caller.zone)
    found: list[dict[str, Any]] = []
    for one in held:
        note, bears = waiting_phrase(one, style_of(caller)), form.time(float(one.slot))
        found += [{"job": name, "at": None, "slot": bears, "note": note} for name in _named(one.flow, one.roots, jobs)]
    for slot in slots:
        notes = upcoming.notes_of(slot, stops)
        roots = [root for root in slot.roots if not jobs or root in jobs]
        dependents = [name for name in slot.dependents if name in jobs]
        for name in [*roots, *dependents]:
            after = [f"after {', '.join(edge.job for edge in slot.flow.jobs[name].after)}"] if name in dependents else []
            at, bears = form.time(float(slot.at)), form.time(float(slot.slot))
            found.append({"job": name, "at": at, "slot": bears, "note": "; ".join([*after, *notes]) or None})
    for other in others:
        for name in _named(other, other.roots, jobs):
            found.append({"job": name, "at": None, "slot": None, "note": f"after {after_words(other.jobs[name].after)}"})
    caller.answer({"next": found})


def _named(flow: Flow, roots: Sequence[str], jobs: list[str]) -> list[str]:
    """The roots of a flow, or those of its jobs that were asked for."""
    return [name for name in flow.jobs if name in (jobs or roots)]
