"""Reads a job file and the files that it includes into a JobSet, or raises every problem of all of them at once."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from operator import itemgetter

from cronflow.core.jobs import JobSet
from cronflow.core.plan.flow import plan
from cronflow.errors import JobFileError, Problem
from cronflow.jobfile import checks
from cronflow.jobfile.build import ParsedJobFile
from cronflow.jobfile.load import load
from cronflow.jobfile.locate import Path
from cronflow.jobfile.machine import machine_zone
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import Source


@dataclass(frozen=True, slots=True)
class Reading:
    """A job file without errors. `problems` are its warnings; `sources` are (absolute path, SHA-256) of each file read: the job
    file, its included files and its date files; `include` are its absolute patterns, `calendars` the paths of its date files."""

    jobs: JobSet
    problems: list[Problem]
    sources: list[tuple[str, bytes]]
    include: tuple[str, ...] = ()
    calendars: tuple[str, ...] = ()


def read(path: str, *, thorough: bool = True, now: float | None = None) -> Reading:
    """Read the job file at a path. Raises JobFileError with every problem of all files, warnings too, in the order of places.

    `thorough=False` leaves out what costs time and never refuses a job file at run time: the warnings, and Apprise's opinion of
    the URLs of alert targets. `now` is the epoch second from which clock changes are previewed."""
    report = Report()
    reading = _read(path, report, thorough, time.time() if now is None else now)
    problems = report.problems
    if reading is None or report.failed:
        raise JobFileError(problems)
    return replace(reading, problems=problems)


def _read(path: str, report: Report, thorough: bool, now: float) -> Reading | None:
    main = load(path, report)
    if main is None:
        return None
    parsed = ParsedJobFile(main, report, machine_zone())
    parsed.add(main)
    for source in _included(parsed):
        parsed.add(source)
    checks.check(parsed)
    if thorough:
        from cronflow.jobfile.warnings import warn

        checks.check_urls(parsed)
        warn(parsed, None if report.failed else plan(parsed.jobs), now)
    jobs = JobSet(
        jobs=parsed.jobs,
        alerts=parsed.alerts,
        settings=parsed.settings,
        timezone=parsed.timezone,
        files=tuple(source.path for source in parsed.sources),
        pools=parsed.pools,
        calendars=parsed.calendars,
        host=os.uname().nodename,
    )
    sources = [*((source.path, source.digest) for source in parsed.sources), *parsed.calendar_files.items()]
    patterns = tuple(_absolute(parsed, pattern) for pattern in parsed.include or ())
    return Reading(jobs, [], sources, patterns, tuple(parsed.calendar_files))


def _included(parsed: ParsedJobFile) -> list[Source]:
    """The included files in the order of their paths, each once."""
    if not parsed.include:
        return []
    import glob

    main = parsed.main
    found: dict[str, Path] = {}
    for index, pattern in enumerate(parsed.include):
        path: Path = ("include", index) if isinstance(main.data["include"], list) else ("include",)
        matches = glob.glob(_absolute(parsed, pattern), recursive=True)
        if not matches:
            hint = "paths are relative to this file; a file that is added later is read at the next reload"
            parsed.report.warning(main, path, f"`include` of `{pattern}` matches no file", hint)
        for match in matches:
            found.setdefault(os.path.normpath(match), path)
    seen = {os.path.realpath(main.path)}
    sources = []
    for file, path in sorted(found.items(), key=itemgetter(0)):
        if os.path.realpath(file) not in seen:
            seen.add(os.path.realpath(file))
            source = load(file, parsed.report, (main, path))
            if source is not None:
                sources.append(source)
    return sources


def _absolute(parsed: ParsedJobFile, pattern: str) -> str:
    import glob

    return os.path.join(glob.escape(os.path.dirname(parsed.main.file)), pattern)
