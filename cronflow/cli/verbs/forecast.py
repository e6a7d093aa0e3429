"""`cronflow forecast`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cronflow.cli.client import ping
from cronflow.cli.invocation import Invocation
from cronflow.store.queries import History

if TYPE_CHECKING:
    from cronflow.core.forecast import Course, Crowd, Forecast
    from cronflow.facts.json_form import JsonForm

HOUR = 3600.0


def forecast(
    invocation: Invocation,
    hours: Annotated[int, typer.Option("--hours", metavar="N", help="How far to look ahead.", min=1, max=8784)] = 24,
) -> None:
    """Show what the next hours would bring, if every job takes as long as it usually does and succeeds.

    The scheduler itself is run over a simulated clock, from how things stand now: limits, overlaps, pauses and skips count
    as they will. It tells when each run starts and ends, what waits, where it is crowded, and which deadlines would be missed.
    """
    from cronflow.core.events import Started
    from cronflow.core.forecast import crowds, simulate
    from cronflow.store.loading import load_state

    with History.open(invocation.places.database) as history:
        known = invocation.jobs_of_file()
        usual = history.usual_durations(known.jobs)
        end = invocation.now + hours * HOUR
        found = simulate(load_state(history.db), Started(invocation.jobs, known.plan, invocation.now), usual, end)
    crowded = crowds(found)
    if invocation.json:
        _print_json(invocation, found, crowded)
        return
    from cronflow.cli.screens.forecast import forecast_screen

    if ping(invocation.places) is None:
        invocation.warn("the daemon is not running: this is what would happen if it were started now")
    invocation.out(forecast_screen(found, crowded, known.plan, invocation.style()))


def _print_json(invocation: Invocation, found: Forecast, crowded: list[Crowd]) -> None:
    form = invocation.json_form()
    late = [(found.courses[one.run].run.flow, one) for one in found.late]
    invocation.print_json(
        {
            "from": form.time(found.start),
            "to": form.time(found.end),
            "cut_at": form.time(found.cut),
            "runs": [_run(form, course, found.until) for course in found.courses.values()],
            "not_run": [form.of(row, "flow slot slot_last slots state reason") for row in found.rows.values()],
            "crowded": [
                {**form.of(one, "at starts waiting"), "longest_wait_s": round(one.longest, 3), "waits_for": one.limits}
                for one in crowded
            ],
            "late": [{"job": one.job, "flow": flow, **form.of(one, "due ends")} for flow, one in late],
            "unknown": list(found.unknown),
        }
    )


def _run(form: JsonForm, course: Course, until: float) -> dict[str, Any]:
    tasks = [
        {
            "job": bar.job,
            "task": bar.name,
            **form.of(bar, "started_at finished_at"),
            "waited_s": round(bar.waited(until), 3),
            "waits_for": bar.waits_for,
        }
        for bar in course.bars.values()
    ]
    about = form.of(course.run, "flow trigger slot created_at started_at finished_at")
    return {"id": course.run.id if course.going else None, **about, "tasks": tasks}
