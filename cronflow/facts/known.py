"""The jobs that a command which reads can go by: those of the job file; where it is broken, those that the daemon still has in
force, or else those that the history knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from cronflow.core.jobs import NOTHING, Job
from cronflow.core.plan.flow import Plan, plan
from cronflow.core.time.triggers import Calendars
from cronflow.errors import CronflowError, JobFileError

if TYPE_CHECKING:
    from cronflow.cli.invocation import Caller
    from cronflow.store.queries import History


class Known(NamedTuple):
    """Jobs and their flows, the dates of calendars, and the host of which delays are a hash. `broken` is what is wrong with the
    job file, if they do not come from it."""

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
    which times are shown. A broken file is said on standard error; if there is no daemon, and the history has no jobs either, and
    jobs are `required`, it is the JobFileError."""
    try:
        return jobs_of_file(caller)
    except JobFileError as error:
        known, source = _in_force(caller, error), "what the daemon has in force"
        if known is None:
            stored = history.stored_jobs()
            if required and not stored:
                raise
            use_zone_of_file(caller)
            known, source = Known(stored, plan(stored), error), "what the history knows"
        place = error.problems[0].span if error.problems else None
        where = f"{place.file}:{place.line}: " if place else ""
        caller.note(f"warning: {where}{error.message}; what follows is {source}")
        caller.note("  = hint: `cronflow check` shows all that is wrong with the job file")
        return known


def _in_force(caller: Caller, broken: JobFileError) -> Known | None:
    """The jobs by which the daemon goes on; None where none answers."""
    from cronflow.cli.client import connect
    from cronflow.core.plan.effective import from_plain

    try:
        with connect(caller.places) as daemon:
            held = from_plain(daemon.ask("in_force", seconds=2.0)["in_force"])
    except CronflowError:
        return None
    caller.zone = held.timezone or caller.zone
    return Known(held.jobs, plan(held.jobs), broken, held.calendars or {}, held.host)


def jobs_of_file(caller: Caller) -> Known:
    """The same for a command that has no use for the jobs of the history: a broken job file is a JobFileError."""
    from cronflow.jobfile.cache import cached_reading

    held = cached_reading(caller.places.state, caller.places.file)
    if held is not None:
        caller.zone = held.timezone or caller.zone
        return Known(held.jobs, plan(held.jobs), None, held.calendars or NOTHING, held.host)
    from cronflow.jobfile.read import read

    jobs = read(str(caller.places.file), thorough=False, now=caller.now).jobs
    caller.zone = jobs.timezone
    return Known(jobs.jobs, plan(jobs.jobs), None, jobs.calendars, jobs.host)


def use_zone_of_file(caller: Caller) -> None:
    """Show times in the job file's zone, without reading more of it than that; a file that is broken there has no say."""
    from cronflow.jobfile.cache import cached_zone

    zone = cached_zone(caller.places.state, caller.places.file)
    if zone is not None:
        caller.zone = zone
        return
    import tomllib
    from zoneinfo import ZoneInfo

    if not caller.places.file.is_file():  # a pipe would be waited for
        return
    try:
        named = tomllib.loads(caller.places.file.read_bytes().decode()).get("timezone")
        if isinstance(named, str):
            ZoneInfo(named)
            caller.zone = named
    except (OSError, ValueError, KeyError):
        return
