"""Calendars as a statement of sh(1) that leaves the script on days on which a job is not to run."""

from __future__ import annotations

from datetime import date

from cronflow.core.jobs import Job
from cronflow.core.words import local
from cronflow.export.report import ExportRequest


def guard(job: Job, request: ExportRequest, leave: str) -> str:
    """The statement for `skip_on` and `only_on`, without past dates, or ""; on days without a run it does `leave`."""
    zone = "" if job.timezone == request.zone else f"TZ={job.timezone} "
    today = f"$({zone}date +%F)"
    found = []
    first = local(request.now, job.timezone).date().toordinal() - 1
    for names, form in ((job.skip_on, "case {} in {}) {};; esac"), (job.only_on, "case {} in {});; *) {};; esac")):
        days = sorted({one for name in names for one in request.jobs.calendars.get(name, ()) if one >= first})
        if days or (names and names is job.only_on):
            listed = "|".join(date.fromordinal(one).isoformat() for one in days) or "none"
            found.append(form.format(today, listed, leave))
    return "; ".join(found)
