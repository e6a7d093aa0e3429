"""What two places of a job file say in two ways: variables of two tables, outputs of two jobs under one name, sorts of copies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

from cronflow.core.jobs import Job
from cronflow.core.plan.copies import ITEM
from cronflow.jobfile.build import Draft
from cronflow.jobfile.locate import Path
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import Source

TABLES = ("env", "secrets", "params", "matrix")
"""In the order in which a command gets their variables."""
ALIKE = 20
"""Jobs of names that differ in signs only, which are held against each other."""


def check_clashes(draft: Draft, report: Report) -> None:
    """An error at the second of two places that cannot both be meant."""
    for job in draft.jobs.values():
        for first, second, name in _twice(job):
            _tell_variable(job.name, first, second, name, draft, report)
        if job.matrix and job.foreach is not None:
            source, path = draft.place(job.name, "foreach")
            hint = "take one of the two out: a matrix says beforehand which copies there are, `foreach` asks a command"
            report.error(source, path, f"job `{job.name}` has a `matrix` and a `foreach`", hint, "key")
    _outputs(draft, report)


def _twice(job: Job) -> Iterator[tuple[str, str, str]]:
    """Two tables of a job and a variable that both set."""
    tables = [(key, table) for key in TABLES if (table := getattr(job, key))]
    for (first, one), (second, other) in combinations(tables, 2):
        for name in one:
            if name in other:
                yield first, second, name
    if job.foreach is not None:
        for key, table in tables:
            if ITEM in table:
                yield "foreach", key, ITEM


def _tell_variable(job: str, first: str, second: str, name: str, draft: Draft, report: Report) -> None:
    source, path = variable_place(job, second, name, draft)
    if first == "foreach":
        hint = f"choose another name: each copy finds its line of `foreach` in `{ITEM}`"
        report.error(source, path, f"`{name}` is set by `foreach` and in `{second}`", hint, "key")
        return
    other, way = variable_place(job, first, name, draft)
    line = f"line {other.line_of(way)}" if other is source else f"{other.file}:{other.line_of(way)}"
    told = f"`{name}` stands in `{first}` and in `{second}`"
    report.error(source, path, told, f"take one of the two out: the other one is on {line}", "key")


def variable_place(job: str, key: str, name: str, draft: Draft) -> tuple[Source, Path]:
    """Where a variable of a job is set; tables of `[defaults]` are merged with its own."""
    written = draft.written[job]
    own = written.own.get(key)
    if isinstance(own, dict) and name in own:
        return written.source, ("jobs", job, key, name)
    return draft.main, ("defaults", key, name)


def output_name(job: str) -> str:
    """What stands for a job in the variables that tell its outputs."""
    return re.sub("[^A-Z0-9]", "_", job.upper())


def _outputs(draft: Draft, report: Report) -> None:
    """Outputs of two jobs that would reach a third one, which comes after both, directly or not, under the same names."""
    alike: dict[str, list[str]] = {}
    for name in draft.jobs:
        alike.setdefault(output_name(name), []).append(name)
    if len(alike) == len(draft.jobs):
        return
    down: dict[str, list[str]] = {}
    for job in draft.jobs.values():
        for edge in job.after:
            down.setdefault(edge.job, []).append(job.name)
    for names in alike.values():
        for first, second in combinations(names[:ALIKE], 2):
            _meeting(first, second, down, draft, report)


def _meeting(first: str, second: str, down: Mapping[str, list[str]], draft: Draft, report: Report) -> None:
    """It is told where the ways from two such jobs first meet."""
    ways = _reach(first, down), _reach(second, down)
    both = ways[0] & ways[1]
    for name, job in draft.jobs.items() if both else ():
        upstreams = [edge.job for edge in job.after]
        if name in both and both.isdisjoint(upstreams):
            last = [one for one in upstreams if one in (first, second) or one in ways[0] | ways[1]][-1]
            source, path = draft.place(name, f"after.{last}")
            variable = f"`CRONFLOW_OUTPUT_{output_name(first)}__…`"
            told = f"outputs of `{first}` and of `{second}` would both reach job `{name}` as {variable}"
            report.error(source, path, told, "rename one of the two: only letters and digits tell them apart")


def _reach(start: str, down: Mapping[str, list[str]]) -> set[str]:
    """The jobs that come after one, directly or not."""
    seen: set[str] = set()
    todo = [start]
    while todo:
        for name in down.get(todo.pop(), ()):
            if name not in seen:
                seen.add(name)
                todo.append(name)
    return seen
