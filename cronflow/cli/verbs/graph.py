"""`cronflow graph`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Invocation
from cronflow.cli.screens import graph as views
from cronflow.store.queries import History


class Format(StrEnum):
    """How a graph is drawn."""

    text = "text"
    dot = "dot"
    mermaid = "mermaid"
    json = "json"


def graph(
    invocation: Invocation,
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="Only the flow of this job.")] = None,
    form: Annotated[Format, typer.Option("--format", help="text, dot (Graphviz), mermaid or json.")] = Format.text,
) -> None:
    """Show the flows: which jobs start together, and what comes after what."""
    with History.open(invocation.places.database) as history:
        known = invocation.known_jobs(history)
    flows = list(known.plan.flows.values())
    if job is not None:
        flows = [known.plan.flows[known.plan.flow_of[names.check_job(job, known.jobs)]]]
    if invocation.json or form is Format.json:
        invocation.print_json({"flows": [views.as_data(flow) for flow in flows]})
    elif form is Format.dot:
        invocation.out(views.as_dot(flows))
    elif form is Format.mermaid:
        invocation.out(views.as_mermaid(flows))
    elif flows:
        invocation.out(views.as_text(flows, invocation.style()))
    else:
        invocation.warn("the job file has no jobs")
