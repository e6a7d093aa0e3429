"""Calendars as a statement of sh(1): on days on which a job is not to run, it ends what comes after it."""

from __future__ import annotations

from datetime import date

from cronflow.core.jobs import Job
from cronflow.core.words import local
from cronflow.export.report import Wanted


def today(job: Job, wanted: Wanted) -> str:
    """The word of a shell that is the date in the zone of a job."""
    zone = "" if job.timezone == wanted.zone else f"TZ={job.timezone} "
    return f"$({zone}date +%F)"


def guard(job: Job, wanted: Wanted, day: str, leave: str) -> str:
    """The statement for `skip_on` and `only_on`, "" without them. `day` is the word that is the date, `leave` what ends it all;
    dates that are past are left out."""
    found = []
    first = local(wanted.now, job.timezone).date().toordinal() - 1
    for names, form in ((job.skip_on, "case {} in {}) {};; esac"), (job.only_on, "case {} in {});; *) {};; esac")):
        days = sorted({one for name in names for one in wanted.jobs.calendars.get(name, ()) if one >= first})
        if days or (names and names is job.only_on):
            listed = "|".join(date.fromordinal(one).isoformat() for one in days) or "none"
            found.append(form.format(day, listed, leave))
    return "; ".join(found)
