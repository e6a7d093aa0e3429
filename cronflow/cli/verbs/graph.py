"""`cronflow graph`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Caller
from cronflow.cli.screens import graph as views
from cronflow.store.queries import History


class Format(StrEnum):
    """How a graph is drawn."""

    text = "text"
    dot = "dot"
    mermaid = "mermaid"
    json = "json"


def graph(
    caller: Caller,
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="Only the flow of this job.")] = None,
    form: Annotated[Format, typer.Option("--format", help="text, dot (Graphviz), mermaid or json.")] = Format.text,
) -> None:
    """Show the flows: which jobs start together, and what comes after what."""
    with History.open(caller.places.database) as history:
        known = caller.known_jobs(history)
    flows = list(known.plan.flows.values())
    if job is not None:
        flows = [known.plan.flows[known.plan.flow_of[names.check_job(job, known.jobs)]]]
    if caller.json or form is Format.json:
        caller.answer({"flows": [views.as_data(flow) for flow in flows]})
    elif form is Format.dot:
        caller.out(views.as_dot(flows))
    elif form is Format.mermaid:
        caller.out(views.as_mermaid(flows))
    elif flows:
        from cronflow.cli.screens.style import style_of

        caller.out(views.as_text(flows, style_of(caller)))
    else:
        caller.note("the job file has no jobs")
