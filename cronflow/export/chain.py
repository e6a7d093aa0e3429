"""A flow as a chain: one job after the other, and how the conditions between them are said in a shell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.core.words import conjunction
from cronflow.export.report import Report, UnwritableError

OPERATORS = {"success": "&&", "success_or_skipped": "&&", "failure": "||", "done": ";"}


class Chain(NamedTuple):
    """Jobs in their order. `operators` stand between them: the shell's `&&`, `||` and `;`."""

    jobs: Sequence[Job]
    operators: Sequence[str]


def chain_of(flow: Flow, report: Report) -> Chain:
    """A flow with one root in which each job is followed by one at most; those that come after others however these have ended
    (`done`), and are followed by nothing, are put at the end. UnwritableError for any other."""
    if len(flow.roots) > 1:
        raise UnwritableError(f"its flow has several roots, {_names(flow.roots)}, which start together: no chain `a && b`")
    order, tails = [flow.roots[0]], list[str]()
    while after := [name for name in flow.down.get(order[-1], ()) if name not in tails]:
        last = [name for name in after if len(after) > 1 and _closes(flow, name)]
        others = [name for name in after if name not in last] or [last.pop(0)]
        if len(others) > 1:
            raise UnwritableError(f"its flow is no chain `a && b`: `{order[-1]}` is followed by {_names(others)}")
        order.append(others[0])
        tails += last
    for name in tails:
        before = flow.jobs[name].after[0].job
        report.lose(name, "after", f"it is run at the end of the line, not right after `{before}`")
    jobs = [flow.jobs[name] for name in (*order, *tails)]
    if any(job.user != jobs[0].user or job.group != jobs[0].group for job in jobs):
        raise UnwritableError("its flow has several users, and a line of cron has one")
    conditions = [*(job.after[0].condition for job in jobs[1 : len(order)]), *("done" for _ in tails)]
    _refuse_skips(jobs, conditions)
    return Chain(jobs, [OPERATORS[condition] for condition in conditions])


def _closes(flow: Flow, name: str) -> bool:
    """Whether a job can stand at the end of a line, behind all others."""
    return not flow.down.get(name, ()) and all(edge.condition == "done" for edge in flow.jobs[name].after)


def _names(names: Sequence[str]) -> str:
    return conjunction([f"`{name}`" for name in names])


def _refuse_skips(jobs: Sequence[Job], conditions: Sequence[str]) -> None:
    """A shell has no status for `skipped`: refuse a chain in which it would take another way because of that.

    One that its own condition skips looks failed to a shell, one that is skipped because nothing failed before it looks well."""
    unwell = well = ""
    for job, condition in zip(jobs, [*conditions, "done"], strict=True):
        if job.only_if is not None or job.skip_codes:
            unwell = job.name
        if unwell and condition in ("failure", "success_or_skipped"):
            raise UnwritableError(f"`{unwell}` may be skipped, and a chain would take that for a failure")
        if well and condition == "success_or_skipped":
            raise UnwritableError(f"what comes after `{well}` may be skipped, and a chain has no sign for that")
        if condition == "failure":
            well = job.name
        elif condition == "done":
            unwell = well = ""


def joined(chain: Chain, written: Callable[[Job], str]) -> str:
    """The chain as one list of commands. In `a || b && c` a shell would run c after a success of a, where b is skipped and c with
    it: there c is put into the braces of b."""
    parts = [written(job) for job in chain.jobs]
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
