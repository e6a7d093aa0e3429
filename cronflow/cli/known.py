"""The jobs that a command which reads can go by: those of the job file, or, where it is broken, what the history knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from cronflow.core.flow import Plan, plan
from cronflow.core.model import NOTHING, Job
from cronflow.core.triggers import Calendars
from cronflow.errors import JobFileError

if TYPE_CHECKING:
    from cronflow.cli.caller import Caller
    from cronflow.store.queries import History


class Known(NamedTuple):
    """Jobs and their flows, the dates of calendars, and the host of which delays are a hash. `broken` is what is wrong with the
    job file, if they come from the history instead."""

    jobs: Mapping[str, Job]
    plan: Plan
    broken: JobFileError | None = None
    calendars: Calendars = NOTHING
    host: str = ""

    def flow_name(self, job: str) -> str:
        """The flow of a job; a job that is gone from the file had at least its own name."""
        return self.plan.flow_of.get(job, job)


def known_jobs(caller: Caller, history: History, required: bool = True) -> Known:
    """Read the job file, without the checks that only `check` and a reload need. The zone of the file is then the zone in
    which times are shown. A broken file is said on standard error; if the history has no jobs either, and jobs are `required`,
    it is the JobFileError."""
    from cronflow.jobfile.read import read

    try:
        jobs = read(str(caller.places.file), thorough=False, now=caller.now).jobs
    except JobFileError as error:
        stored = history.stored_jobs()
        if required and not stored:
            raise
        use_zone_of_file(caller)
        place = error.problems[0].span if error.problems else None
        where = f"{place.file}:{place.line}: " if place else ""
        caller.note(f"warning: {where}{error.message}; what follows is what the history knows")
        caller.note("  = hint: `cronflow check` shows all that is wrong with the job file")
        return Known(stored, plan(stored), error)
    caller.zone = jobs.timezone
    return Known(jobs.jobs, plan(jobs.jobs), None, jobs.calendars, jobs.host)


def use_zone_of_file(caller: Caller) -> None:
    """Show times in the job file's zone, without reading more of it than that; a file that is broken there has no say."""
    import tomllib
    from zoneinfo import ZoneInfo

    try:
        named = tomllib.loads(caller.places.file.read_bytes().decode()).get("timezone")
        if isinstance(named, str):
            ZoneInfo(named)
            caller.zone = named
    except (OSError, ValueError, KeyError):
        return
