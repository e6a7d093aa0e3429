"""Conflicts between two places of a job file: variables of two tables, outputs of two jobs, or two kinds of copies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import combinations

from cronflow.core.jobs import Job
from cronflow.core.plan.copies import ITEM
from cronflow.core.plan.flow import downstream, reach
from cronflow.jobfile.build import ParsedJobFile
from cronflow.jobfile.locate import Path
from cronflow.jobfile.source import Source

VARIABLE_TABLES = ("env", "secrets", "params", "matrix")
"""In the order in which a command gets their variables."""
MOST_COMPARED = 20
"""Jobs whose names differ only in punctuation that are compared with each other."""


def check_conflicts(parsed: ParsedJobFile) -> None:
    """Report an error at the second of two places that contradict each other."""
    for job in parsed.jobs.values():
        for first, second, name in _set_twice(job):
            _report_variable(parsed, job.name, (first, second), name)
        if job.matrix and job.foreach is not None:
            hint = "remove one of the two: a matrix lists its copies beforehand, `foreach` asks a command"
            parsed.error(job.name, "foreach", f"job `{job.name}` has a `matrix` and a `foreach`", hint, "key")
    _check_outputs(parsed)


def _set_twice(job: Job) -> Iterator[tuple[str, str, str]]:
    """Pairs of keys of a job that set the same variable, and the variable."""
    tables = [(key, table) for key in VARIABLE_TABLES if (table := getattr(job, key))]
    for (first, one), (second, other) in combinations(tables, 2):
        yield from ((first, second, name) for name in one if name in other)
    if job.foreach is not None:
        yield from (("foreach", key, ITEM) for key, table in tables if ITEM in table)


def _report_variable(parsed: ParsedJobFile, job: str, keys: tuple[str, str], name: str) -> None:
    first, second = keys
    source, path = variable_location(parsed, job, second, name)
    if first == "foreach":
        message = f"`{name}` is set by `foreach` and in `{second}`"
        hint = f"choose another name: each copy finds its line of `foreach` in `{ITEM}`"
    else:
        other, other_path = variable_location(parsed, job, first, name)
        line = f"line {other.line_of(other_path)}" if other is source else f"{other.file}:{other.line_of(other_path)}"
        message, hint = f"`{name}` is set in `{first}` and in `{second}`", f"remove one of the two: the other one is on {line}"
    parsed.report.error(source, path, message, hint, "key")


def variable_location(parsed: ParsedJobFile, job: str, key: str, name: str) -> tuple[Source, Path]:
    """Where a variable of a job is set: in the job's own table, or in that of `[defaults]`, which is merged with it."""
    entry = parsed.entries[job]
    own = entry.own.get(key)
    if isinstance(own, dict) and name in own:
        return entry.source, ("jobs", job, key, name)
    return parsed.main, ("defaults", key, name)


def _output_name(job: str) -> str:
    """The name of a job within the variables that hold its outputs."""
    return re.sub("[^A-Z0-9]", "_", job.upper())


def _check_outputs(parsed: ParsedJobFile) -> None:
    """Report outputs of two jobs that would reach a third one, which follows both, under the same names."""
    alike: dict[str, list[str]] = {}
    for name in parsed.jobs:
        alike.setdefault(_output_name(name), []).append(name)
    if len(alike) == len(parsed.jobs):
        return
    down = downstream(parsed.jobs)
    for names in alike.values():
        for first, second in combinations(names[:MOST_COMPARED], 2):
            _report_shared_outputs(parsed, first, second, down)


def _report_shared_outputs(parsed: ParsedJobFile, first: str, second: str, down: Mapping[str, tuple[str, ...]]) -> None:
    """Report the jobs at which the paths from two such jobs first meet."""
    reached = reach(down.get(first, ()), down), reach(down.get(second, ()), down)
    both = reached[0] & reached[1]
    for name, job in parsed.jobs.items() if both else ():
        upstreams = [edge.job for edge in job.after]
        if name in both and both.isdisjoint(upstreams):
            last = [one for one in upstreams if one in (first, second) or one in reached[0] | reached[1]][-1]
            variable = f"`CRONFLOW_OUTPUT_{_output_name(first)}__…`"
            message = f"outputs of `{first}` and of `{second}` would both reach job `{name}` as {variable}"
            parsed.error(name, f"after.{last}", message, "rename one of the two: only letters and digits tell them apart")
