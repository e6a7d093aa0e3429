"""The jobs that a reader can rely on: those of the job file; if that is broken, those the daemon has in force, or else those
in the history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from cronflow.core.jobs import NOTHING, Job, Settings
from cronflow.core.plan.flow import Plan, plan
from cronflow.core.time.triggers import Calendars
from cronflow.errors import JobFileError

if TYPE_CHECKING:
    from cronflow.core.plan.effective import EffectiveConfig
    from cronflow.places import Places
    from cronflow.store.queries import History


class KnownJobs(NamedTuple):
    """Jobs and their flows, the dates of calendars, the host that delays are a hash of, and the limits: the slots of each
    pool, and `max_running`. `zone` is that of the file, None if it is not known. `broken` says what is wrong with the job
    file, if the jobs do not come from it."""

    jobs: Mapping[str, Job]
    plan: Plan
    broken: JobFileError | None = None
    calendars: Calendars = NOTHING
    host: str = ""
    zone: str | None = None
    pools: Mapping[str, int] = NOTHING
    max_running: int = Settings().max_running

    def flow_name(self, job: str) -> str:
        """The flow of a job; for a job that is no longer in the file, its own name."""
        return self.plan.flow_of.get(job, job)


def jobs_of_file(places: Places, now: float) -> KnownJobs:
    """The jobs of the job file, without the checks that only `check` and a reload need. A JobFileError if it is broken."""
    from cronflow.jobfile.cache import cached_reading

    held = cached_reading(places.state, places.file)
    if held is None:
        from cronflow.core.plan.effective import effective_config
        from cronflow.jobfile.read import read

        held = effective_config(read(str(places.file), thorough=False, now=now).jobs)
    return jobs_in_force(held)


def jobs_in_force(held: EffectiveConfig, broken: JobFileError | None = None) -> KnownJobs:
    """The jobs of a cached reading, or of the one that a daemon has in force."""
    calendars, pools = held.calendars or NOTHING, held.pools or NOTHING
    most = (held.settings or Settings()._asdict())["max_running"]
    return KnownJobs(held.jobs, plan(held.jobs), broken, calendars, held.host, held.timezone, pools, most)


def jobs_of_history(history: History, broken: JobFileError) -> KnownJobs:
    """The jobs of the newest run of each flow, if nothing else can be read."""
    stored = history.stored_jobs()
    return KnownJobs(stored, plan(stored), broken)


def zone_of_file(places: Places) -> str | None:
    """The zone of the job file, without reading the rest of it; None if that fails, or it names none."""
    from cronflow.jobfile.cache import cached_zone

    zone = cached_zone(places.state, places.file)
    if zone is not None or not places.file.is_file():  # a pipe would be waited for
        return zone
    import tomllib
    from zoneinfo import ZoneInfo

    try:
        named = tomllib.loads(places.file.read_bytes().decode()).get("timezone")
        if isinstance(named, str):
            ZoneInfo(named)
            return named
    except (OSError, ValueError, KeyError):
        pass
    return None
