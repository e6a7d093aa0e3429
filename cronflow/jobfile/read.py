"""A job file and what it includes, as a JobSet; or every problem of all its files at once."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from operator import itemgetter

from cronflow.core.jobs import JobSet
from cronflow.core.plan.flow import plan
from cronflow.errors import JobFileError, Problem
from cronflow.jobfile import checks
from cronflow.jobfile.build import Draft
from cronflow.jobfile.locate import Path
from cronflow.jobfile.machine import machine_zone
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import Source, load


@dataclass(frozen=True, slots=True)
class Reading:
    """A job file that can be put in force. `problems` are warnings; `sources` are (absolute path, SHA-256) of each file read: the
    job file, those that it includes, and those of its calendars; `include` are its patterns, absolute; `calendars` the files."""

    jobs: JobSet
    problems: list[Problem]
    sources: list[tuple[str, bytes]]
    include: tuple[str, ...] = ()
    calendars: tuple[str, ...] = ()


def read(path: str, *, thorough: bool = True, now: float | None = None) -> Reading:
    """The job file at a path. Raises JobFileError with every problem of all files, warnings too, in the order of places.

    `thorough=False` leaves out what costs time and keeps no job file from being put in force: the warnings, and Apprise's opinion
    of the URLs of alert targets. `now` is the instant from which clock changes are previewed."""
    report = Report()
    reading = _read(path, report, thorough, time.time() if now is None else now)
    problems = report.problems
    if reading is None or report.failed:
        raise JobFileError(problems)
    return replace(reading, problems=problems)


def check(path: str, *, now: float | None = None) -> list[Problem]:
    """Every problem of the job file at a path; none for a good one. Never raises."""
    try:
        return read(path, now=now).problems
    except JobFileError as error:
        return error.problems


def _read(path: str, report: Report, thorough: bool, now: float) -> Reading | None:
    main = load(path, report)
    if main is None:
        return None
    draft = Draft(main, report, machine_zone())
    draft.add(main)
    for source in _included(draft, report):
        draft.add(source)
    checks.check(draft, report)
    if thorough:
        from cronflow.jobfile.advice import advise

        checks.check_urls(draft, report)
        advise(draft, None if report.failed else plan(draft.jobs), now, report)
    jobs = JobSet(
        jobs=draft.jobs,
        alerts=draft.alerts,
        settings=draft.settings,
        timezone=draft.timezone,
        files=tuple(source.path for source in draft.sources),
        pools=draft.pools,
        calendars=draft.calendars,
        host=os.uname().nodename,
    )
    sources = [*((source.path, source.digest) for source in draft.sources), *draft.calendar_files.items()]
    patterns = tuple(_absolute(draft, pattern) for pattern in draft.include or ())
    return Reading(jobs, [], sources, patterns, tuple(draft.calendar_files))


def _included(draft: Draft, report: Report) -> list[Source]:
    """The included files in order of their paths, each once."""
    if not draft.include:
        return []
    import glob

    main = draft.main
    found: dict[str, Path] = {}
    for index, pattern in enumerate(draft.include):
        path: Path = ("include", index) if isinstance(main.data["include"], list) else ("include",)
        matches = glob.glob(_absolute(draft, pattern), recursive=True)
        if not matches:
            told = f"`include` of `{pattern}` matches no file"
            hint = "paths are relative to this file; a file that comes later is read at the next reload"
            report.warning(main, path, told, hint)
        for match in matches:
            found.setdefault(os.path.normpath(match), path)
    seen = {os.path.realpath(main.path)}
    sources = []
    for file, path in sorted(found.items(), key=itemgetter(0)):
        if os.path.realpath(file) not in seen:
            seen.add(os.path.realpath(file))
            source = load(file, report, (main, path))
            if source is not None:
                sources.append(source)
    return sources


def _absolute(draft: Draft, pattern: str) -> str:
    """A pattern of `include`, which is relative to the job file."""
    import glob

    return os.path.join(glob.escape(os.path.dirname(draft.main.file)), pattern)
