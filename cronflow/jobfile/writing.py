"""A job as a job file would write it: the inverse of reading, with the defaults filled in."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Plan
from cronflow.jobfile.jobkinds import AFTER, APPROVE
from cronflow.jobfile.keys import JOB
from cronflow.jobfile.timekinds import DEADLINE, SLOW
from cronflow.jobfile.unused import NEEDED, TRIGGERS
from cronflow.jobfile.values import format_duration, whole_size

NEEDS = {**NEEDED, **dict.fromkeys(("retry_delay", "retry_backoff", "retry_max_delay"), "retries"), "join": "after"}
"""Keys that say more about another one, and are left out without it."""


def toml(jobs: Iterable[Job], plan: Plan, zone: str) -> str:
    """A job file with these jobs alone; `zone` is that of the file. What they name beside themselves (pools, calendars, alert
    targets, other jobs) is not in it."""
    import tomli_w

    tables = {job.name: table(job, plan, zone) for job in jobs}
    # of a text with "\r\n" in it, a multi-line string would keep only "\n"
    return tomli_w.dumps({"timezone": zone, "jobs": tables}, multiline_strings=not _has_returns(tables))


def table(job: Job, plan: Plan, zone: str) -> dict[str, Any]:
    """The keys of a job that say something, in the order of the man page, with their values as the job file writes them."""
    root = job.name in plan.flows[plan.flow_of[job.name]].roots
    return {key: written(key, getattr(job, key), job.timezone) for key in JOB if _says_something(job, key, root, zone)}


def _says_something(job: Job, key: str, root: bool, zone: str) -> bool:
    """Whether a key is to be written: not an empty default, and not a default that has no effect in this job."""
    value = getattr(job, key)
    if key == "timezone":
        return bool(value != zone)
    if value != Job._field_defaults.get(key):
        return True
    if value is None or (isinstance(value, Collection) and not value):
        return False
    if JOB[key].by_roots and not (root and (key not in TRIGGERS or TRIGGERS[key][0](job))):
        return False
    return bool(getattr(job, NEEDS.get(key, "name")))


def written(key: str, value: Any, zone: str) -> Any:
    """A value of a job as the job file has it; moments are in a zone."""
    if key == "at":
        return [datetime.fromtimestamp(moment, ZoneInfo(zone)) for moment in value]
    writer = WRITERS.get(key) or WRITERS.get(JOB[key].kind.name)
    return _plain(value) if writer is None or value is None else writer(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _span(value: float) -> str:
    exact = round(value * 1000) == round(value * 1e6) / 1000
    return format_duration(value) if exact else f"{value:.6f}".rstrip("0") + "s"


def _deadline(value: tuple[str, float]) -> str:
    kind, seconds = value
    return _span(seconds) if kind == "duration" else f"{int(seconds) // 3600:02}:{int(seconds) % 3600 // 60:02}"


def _after(edges: Collection[Any]) -> list[str] | dict[str, str]:
    if all(edge.condition == "success" for edge in edges):
        return [edge.job for edge in edges]
    return {edge.job: edge.condition for edge in edges}


WRITERS: Mapping[str, Callable[[Any], Any]] = {
    "duration": _span,
    "size": whole_size,
    "string or list of strings": lambda values: values[0] if len(values) == 1 else list(values),
    DEADLINE.name: _deadline,
    SLOW.name: lambda value: _span(value[1]) if value[0] == "duration" else value[1],
    AFTER.name: _after,
    APPROVE.name: lambda message: message or True,
    "umask": lambda mask: f"{mask:03o}",
}
"""Kind of value, or key → how it is written, where that is not how the program holds it."""


def _has_returns(value: Any) -> bool:
    if isinstance(value, str):
        return "\r" in value
    if isinstance(value, dict):
        return any(_has_returns(one) for one in value.values())
    return isinstance(value, list) and any(map(_has_returns, value))
