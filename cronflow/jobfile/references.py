"""Names that nothing declares: alert targets, pools and calendars; and jobs that need more slots than their pool has."""

from __future__ import annotations

from collections.abc import Collection

from cronflow.core.jobs import Job
from cronflow.core.words import count
from cronflow.jobfile.build import ParsedJobFile
from cronflow.jobfile.suggest import did_you_mean

CALENDAR = ("calendar", "`[calendars.{0}]`")
DECLARED = {
    "alert": ("alert target", "`[alerts.{0}]`"),
    "skip_on": CALENDAR,
    "only_on": CALENDAR,
    "pool": ("pool", "`[pools]`, and below it `{0} = 2`"),
}
"""Key → what its names stand for, and the table that declares one."""


def check_references(parsed: ParsedJobFile) -> None:
    """Report an error at each name that is not declared, and at each job that its pool has no room for."""
    for job in parsed.jobs.values():
        _check_names(parsed, job, "alert", job.alert or (), parsed.alerts)
        _check_names(parsed, job, "skip_on", job.skip_on, parsed.calendars)
        _check_names(parsed, job, "only_on", job.only_on, parsed.calendars)
        if job.pool is not None:
            _check_names(parsed, job, "pool", (job.pool,), parsed.pools)
            _check_pool_slots(parsed, job, job.pool)


def _check_names(parsed: ParsedJobFile, job: Job, key: str, names: Collection[str], declared: Collection[str]) -> None:
    noun, table = DECLARED[key]
    for name in names:
        if name not in declared:
            listed = ", ".join(f"`{known}`" for known in declared)
            otherwise = f"there are {listed}" if declared else f"write a table {table.format(name)}"
            hint = did_you_mean(name, declared) or otherwise
            parsed.error(job.name, f"{key}.{name}", f"there is no {noun} `{name}`", hint)


def _check_pool_slots(parsed: ParsedJobFile, job: Job, pool: str) -> None:
    slots = parsed.pools.get(pool)
    if slots is not None and job.pool_slots > slots:
        message = f"job `{job.name}` takes {job.pool_slots} slots of pool `{pool}`, which has {count(slots, 'slot')}"
        line = parsed.main.line_of(("pools", pool))
        hint = f"it could never start: take at most {slots}, or give the pool more (line {line})"
        parsed.error(job.name, "pool_slots", message, hint)
