"""Names that lead nowhere: alert targets, pools, calendars that no table declares; and what asks more of a pool than it has."""

from __future__ import annotations

from collections.abc import Collection

from cronflow.core.jobs import Job
from cronflow.core.words import count
from cronflow.jobfile.build import Draft
from cronflow.jobfile.report import Report
from cronflow.jobfile.suggest import did_you_mean


def check_references(draft: Draft, report: Report) -> None:
    """An error at each name that is not declared."""
    for job in draft.jobs.values():
        for alert in job.alert or ():
            _look_up("alert target", "alert", alert, f"[alerts.{alert}]", draft.alerts, job, draft, report)
        for key, calendars in (("skip_on", job.skip_on), ("only_on", job.only_on)):
            for calendar in calendars:
                table = f"[calendars.{calendar}]"
                _look_up("calendar", key, calendar, table, draft.calendars, job, draft, report)
        if job.pool is not None:
            _look_up("pool", "pool", job.pool, "[pools]", draft.pools, job, draft, report)
            _pool_slots(job, job.pool, draft, report)


def _look_up(noun: str, key: str, name: str, table: str, known: Collection[str], job: Job, draft: Draft, report: Report) -> None:
    if name in known:
        return
    source, path = draft.place(job.name, f"{key}.{name}")
    listed = ", ".join(f"`{one}`" for one in known)
    line = f", and below it `{name} = 2`" if noun == "pool" else ""
    otherwise = f"there are {listed}" if known else f"write a table `{table}`{line}"
    report.error(source, path, f"there is no {noun} `{name}`", did_you_mean(name, known) or otherwise)


def _pool_slots(job: Job, pool: str, draft: Draft, report: Report) -> None:
    """A job that needs more than its pool has could never start."""
    slots = draft.pools.get(pool)
    if slots is None or job.pool_slots <= slots:
        return
    source, path = draft.place(job.name, "pool_slots")
    told = f"job `{job.name}` takes {job.pool_slots} slots of pool `{pool}`, which has {count(slots, 'slot')}"
    where = draft.main.line_of(("pools", pool))
    report.error(source, path, told, f"it could never start: take {slots} at most, or give the pool more (line {where})")
