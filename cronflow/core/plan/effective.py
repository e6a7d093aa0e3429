"""A reading of the job file as plain values, in which it reaches another process: one that compares, or one that only shows.

Of alert targets there is only a digest, because their URLs may hold secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cronflow.core.jobs import Job, JobSet, job_from_dict


class EffectiveConfig(NamedTuple):
    """A reading as far as it can be compared: a digest for each alert target; None where something is not known."""

    jobs: Mapping[str, Job]
    settings: Mapping[str, Any] | None = None
    pools: Mapping[str, int] | None = None
    calendars: Mapping[str, frozenset[int]] | None = None
    alerts: Mapping[str, str] | None = None
    timezone: str | None = None
    host: str = ""


def effective_config(jobs: JobSet) -> EffectiveConfig:
    """A reading as it is compared."""
    import hashlib

    return EffectiveConfig(
        jobs.jobs,
        jobs.settings._asdict(),
        dict(jobs.pools),
        dict(jobs.calendars),
        {name: hashlib.sha256(repr(target).encode()).hexdigest()[:16] for name, target in jobs.alerts.items()},
        jobs.timezone,
        jobs.host,
    )


def as_plain(jobs: JobSet) -> dict[str, Any]:
    """A reading as values that JSON knows; `from_plain` is the inverse."""
    return {**frame_as_plain(jobs), "jobs": [job.as_dict() for job in jobs.jobs.values()]}


def frame_as_plain(jobs: JobSet) -> dict[str, Any]:
    """The same without the jobs, of which there may be many."""
    calendars = {name: sorted(days) for name, days in jobs.calendars.items()}
    return {**effective_config(jobs)._asdict(), "jobs": [], "calendars": calendars}


def from_plain(plain: Mapping[str, Any]) -> EffectiveConfig:
    """A reading from the values of `as_plain`, as they come back from JSON."""
    jobs = {one["name"]: job_from_dict(one) for one in plain["jobs"]}
    calendars = {name: frozenset(days) for name, days in plain["calendars"].items()}
    return EffectiveConfig(**{**plain, "jobs": jobs, "calendars": calendars})
