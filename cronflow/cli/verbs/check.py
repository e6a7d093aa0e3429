"""`cronflow check`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cronflow.cli.invocation import Invocation
from cronflow.core.words import count, listing
from cronflow.errors import JobFileError, Problem

if TYPE_CHECKING:
    from cronflow.core.jobs import JobSet
    from cronflow.core.plan.flow import Flow


def check(
    invocation: Invocation,
    files: Annotated[list[str] | None, typer.Argument(metavar="FILE…", help="Other job files than the one in use.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    prove: Annotated[bool, typer.Option("--prove", help="Compare the schedules with croniter's reading of them.")] = False,
) -> int:
    """Show everything that is wrong with the job file, with its place and what to write instead.

    Warnings are what may be meant as it is: a time that the change of clocks leaves out, a job without a timeout, a program
    that this machine does not have. Exit status 1 if there are errors. With --prove notes tell where croniter, with which
    other programs read schedules, would start a job at other times, and why; they change no exit status.
    """
    from cronflow.jobfile.cache import save_reading
    from cronflow.jobfile.read import read

    failed = False
    told: list[dict[str, Any]] = []
    proved: list[dict[str, Any]] = []
    for path in files or [str(invocation.places.file)]:
        jobs = None
        try:
            reading = read(path, now=invocation.now)
            jobs, problems = reading.jobs, reading.problems
        except JobFileError as broken:
            problems = broken.problems
        failed |= jobs is None or (strict and bool(problems))
        if invocation.json:
            told.extend(map(_plain, problems))
        else:
            _show(invocation, problems)
        if prove and jobs is not None:
            proved += _prove(invocation, path, jobs)
        if not invocation.json:
            invocation.out(_summary(invocation, path, jobs, problems))
        if jobs is not None and os.path.abspath(path) == str(invocation.places.file):
            with suppress(OSError):  # a convenience, and the folder may be another user's
                save_reading(invocation.places.state, reading)
    if invocation.json:
        invocation.print_json({"ok": not failed, "problems": told, "croniter": proved if prove else None})
    return 1 if failed else 0


def _show(invocation: Invocation, problems: list[Problem]) -> None:
    if problems:
        from cronflow.jobfile.render import render

        invocation.out("\n".join(render(problem, invocation.color) + "\n" for problem in problems))


def _prove(invocation: Invocation, path: str, jobs: JobSet) -> list[dict[str, Any]]:
    """Show where croniter reads the schedules in another way; the same for `--json`."""
    from cronflow.cli.screens import secondopinion
    from cronflow.core.time.secondopinion import opinions

    found = list(opinions(jobs.jobs.values(), invocation.now))
    if not invocation.json:
        invocation.out("\n".join(secondopinion.notes(found)))
    return [{"file": path, **one} for one in secondopinion.answer(found)]


def _plain(problem: Problem) -> dict[str, Any]:
    place = {key: getattr(problem.span, key, None) for key in ("file", "line", "column")}
    return {"severity": problem.severity, **place, "message": problem.message, "hint": problem.hint}


def _summary(invocation: Invocation, path: str, jobs: Any, problems: list[Problem]) -> str:
    """The last line: how much is wrong, or what the file holds and what starts next."""
    name = os.path.basename(path)
    if jobs is None:
        errors = sum(problem.severity == "error" for problem in problems)
        warnings = f", {count(len(problems) - errors, 'warning')}" if len(problems) > errors else ""
        return f"{name}: {count(errors, 'error')}{warnings}"
    from cronflow.core.plan.flow import plan

    flows = plan(jobs.jobs).flows
    held = f"{count(len(jobs.jobs), 'job')} in {count(len(flows), 'flow')}"
    warnings = f"; {count(len(problems), 'warning')}" if problems else ""
    invocation.zone = jobs.timezone
    return f"{name}: {held}; {_next_start(invocation, jobs, flows)}{warnings}"


def _next_start(invocation: Invocation, jobs: JobSet, flows: Mapping[str, Flow]) -> str:
    from cronflow.core.time.triggers import next_start

    starts = [
        (start[0], name)
        for name, flow in flows.items()
        if not flow.disabled
        for trigger in flow.triggers
        if (start := next_start(trigger, name, jobs.calendars, jobs.host, invocation.now)) is not None
    ]
    if not starts:
        events = any(flow.triggers and not flow.disabled for flow in flows.values())
        return "no timetable starts anything" if events else "nothing starts by itself"
    at, name = min(starts)
    others = [f"`{edge.job}`" for edge in flows[name].external_edges]
    after = f", after {listing(others)}" if others else ""
    return f"the next to start is `{name}` at {invocation.clock.when_ago(at)}{after}"
