"""A flow as a chain: one job after the other, with the shell's operators for the conditions between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.core.words import conjunction
from cronflow.export.report import ExportReport, UnwritableError

OPERATORS = {"success": "&&", "success_or_skipped": "&&", "failure": "||", "done": ";"}


class Chain(NamedTuple):
    """Jobs in their order, with the shell's operators between them: `&&`, `||` and `;`."""

    jobs: Sequence[Job]
    operators: Sequence[str]


def chain_of(flow: Flow, report: ExportReport) -> Chain:
    """The chain of a flow with one root in which at most one job follows each; jobs that come after others by `done`, and that
    nothing follows, are put at the end. Raises UnwritableError for any other flow."""
    if len(flow.roots) > 1:
        raise UnwritableError(f"its flow has several roots, {_names(flow.roots)}, which start together, not in a chain `a && b`")
    done = {name for name, job in flow.jobs.items() if {edge.condition for edge in job.after} == {"done"}}
    ends = done - {name for name in done if flow.down.get(name)}
    order, tails = [flow.roots[0]], list[str]()
    while after := [name for name in flow.down.get(order[-1], ()) if name not in tails]:
        last = [name for name in after if len(after) > 1 and name in ends]
        others = [name for name in after if name not in last] or [last.pop(0)]
        if len(others) > 1:
            raise UnwritableError(f"its flow is not a chain `a && b`: `{order[-1]}` is followed by {_names(others)}")
        order.append(others[0])
        tails += last
    for name in tails:
        before = flow.jobs[name].after[0].job
        report.lose(name, "after", f"it is run at the end of the line, not right after `{before}`")
    jobs = [flow.jobs[name] for name in (*order, *tails)]
    if any(job.user != jobs[0].user or job.group != jobs[0].group for job in jobs):
        raise UnwritableError("its flow has several users, and a line of a crontab has one")
    conditions = [*(job.after[0].condition for job in jobs[1 : len(order)]), *("done" for _ in tails)]
    _refuse_skips(jobs, conditions)
    return Chain(jobs, [OPERATORS[condition] for condition in conditions])


def _names(names: Sequence[str]) -> str:
    return conjunction([f"`{name}`" for name in names])


def _refuse_skips(jobs: Sequence[Job], conditions: Sequence[str]) -> None:
    """Raise UnwritableError for a chain in which a shell, which has no status for `skipped`, would run other jobs than cronflow.

    To a shell, a job that its own condition skips has failed; one that is skipped because nothing failed before it succeeded."""
    skippable = after_failure = ""
    for job, condition in zip(jobs, [*conditions, "done"], strict=True):
        if job.only_if is not None or job.skip_codes:
            skippable = job.name
        if skippable and condition in ("failure", "success_or_skipped"):
            raise UnwritableError(f"`{skippable}` may be skipped, and a chain would take that for a failure")
        if after_failure and condition == "success_or_skipped":
            raise UnwritableError(f"what comes after `{after_failure}` may be skipped, and a chain has no operator for that")
        if condition == "failure":
            after_failure = job.name
        elif condition == "done":
            skippable = after_failure = ""


def joined(chain: Chain, write: Callable[[Job], str]) -> str:
    """The chain as one list of commands. In `a || b && c` a shell would run c after a success of a, although that skips b and
    with it c: there c is put into the braces of b."""
    parts = [write(job) for job in chain.jobs]
    segments: list[str] = []
    start = 0
    for end in range(len(parts)):
        if end == len(parts) - 1 or chain.operators[end] == ";":
            segments.append(_segment(parts[start : end + 1], chain.operators[start:end]))
            start = end + 1
    return "; ".join(segments)


def _segment(parts: Sequence[str], operators: Sequence[str]) -> str:
    if not operators:
        return parts[0]
    rest = _segment(parts[1:], operators[1:])
    if operators[0] == "||" and "&&" in operators[1:2]:
        rest = f"{{ {rest}; }}"
    return f"{parts[0]} {operators[0]} {rest}"
