"""Builds Jobs, AlertTargets and Settings from the tables of a job file; every fault goes into the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cronflow.core.jobs import AlertTarget, Job, Settings
from cronflow.jobfile import keys
from cronflow.jobfile.calendars import read_calendars, read_pools
from cronflow.jobfile.kinds import type_name
from cronflow.jobfile.locate import Path
from cronflow.jobfile.machine import home
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import Part, Source
from cronflow.jobfile.tables import check_name, read_keys, refuse_tables, table_of
from cronflow.jobfile.timekinds import instant

STARTING_KEYS = frozenset({"schedule", "every", "at", "watch", "timezone", "jitter", "skip_on", "only_on", "after", "join"})
"""Keys that decide how a job starts: where one is refused, the checks of the graph would judge a job that nobody wrote."""
MERGED = ("env", "params", "secrets")
"""Tables of a job that are merged with those of `[defaults]`."""
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class JobEntry:
    """A job and where it comes from. `own` is its own table, `refused` the keys refused in it or in `[defaults]`."""

    job: Job
    source: Source
    own: Mapping[str, Any]
    refused: frozenset[str]


class ParsedJobFile:
    """Everything that a job file and its included files say, before the checks. `main` is the file that was named."""

    def __init__(self, main: Source, report: Report, machine_zone: str) -> None:
        self.main = main
        self.report = report
        self.sources: list[Source] = []
        self.entries: dict[str, JobEntry] = {}
        self.alerts: dict[str, AlertTarget] = {}
        self.alert_sources: dict[str, Source] = {}
        top = read_keys({key: main.data[key] for key in keys.TOP if key in main.data}, keys.TOP, main, (), report)[0]
        self.timezone: str = top.get("timezone", machine_zone)
        self.include: tuple[str, ...] = top.get("include", ())
        self.settings = _settings(main, report)
        self.pools = read_pools(main, report)
        self.calendars, self.calendar_files = read_calendars(main, report)
        self.defaults = table_of(main, ("defaults",), report)
        defaults, self._refused = read_keys(self.defaults, keys.JOB, main, ("defaults",), report)
        _refuse_decimal_umask(self.defaults, main, ("defaults",), report)
        self._defaults = _with_absolute_paths(defaults, main)
        self._interned: dict[Any, Any] = {}

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs in the order of the files."""
        return {name: entry.job for name, entry in self.entries.items()}

    def error(self, job: str, key: str, message: str, hint: str | None, part: Part = "value") -> None:
        """Report an error at a key of a job."""
        self.report.error(*self.location(job, key), message, hint, part)

    def warn(self, job: str, key: str, message: str, hint: str | None, part: Part = "value") -> None:
        """Report a warning at a key of a job."""
        self.report.warning(*self.location(job, key), message, hint, part)

    def location(self, job: str, key: str) -> tuple[Source, Path]:
        """Where a job's key is set: in its own table or in `[defaults]`; else the job's header. `after.NAME` is an element."""
        entry = self.entries[job]
        key, _, element = key.partition(".")
        source, table = entry.source, entry.own
        path: Path = ("jobs", job, key)
        if key not in table:
            if key not in self.defaults:
                return source, ("jobs", job)
            source, path, table = self.main, ("defaults", key), self.defaults
        if not element:
            return source, path
        value = table[key]
        return source, (*path, value.index(element) if isinstance(value, list) else element)

    def add(self, source: Source) -> None:
        """Add the alert targets and jobs of one file."""
        self.sources.append(source)
        refuse_tables(source, self.main, self.report)
        for name, body in table_of(source, ("alerts",), self.report).items():
            self._add_alert(name, body, source)
        for name, body in table_of(source, ("jobs",), self.report).items():
            self._add_job(name, body, source)

    def _refuse_name(self, noun: str, name: str, path: Path, source: Source, first: Source | None) -> None:
        """Report a name that is not valid, or that `first` has given already."""
        check_name(noun, name, path, source, self.report)
        if first is not None:
            hint = f"the other one is at {first.file}:{first.line_of(path)}"
            self.report.error(source, path, f"{noun} `{name}` is defined twice", hint, "key")

    def _add_job(self, name: str, body: Any, source: Source) -> None:
        path: Path = ("jobs", name)
        first = self.entries[name].source if name in self.entries else None
        self._refuse_name("job", name, path, source, first)
        if first is not None:
            return
        if not isinstance(body, dict):
            hint = f'write `[jobs.{name}]`, and below it `command = "…"`'
            if name in keys.JOB:
                hint = f"a job has a name: put `{name}` below a header `[jobs.NAME]`"
            self.report.error(source, path, f"job `{name}` is {type_name(body)}, where a table belongs", hint, "key")
            self.entries[name] = JobEntry(Job(name, ""), source, {}, STARTING_KEYS)
            return
        found, refused = read_keys(body, keys.JOB, source, path, self.report)
        _refuse_decimal_umask(body, source, path, self.report)
        job = self._job(name, body, _with_absolute_paths(found, source), source)
        self.entries[name] = JobEntry(job, source, body, frozenset(refused | (self._refused - body.keys())))

    def _intern(self, value: Any) -> Any:
        """The first string, or tuple of strings, equal to this one, so that ten thousand jobs share it."""
        if type(value) is str or (type(value) is tuple and all(type(part) is str for part in value)):
            return self._interned.setdefault(value, value)
        return value

    def _job(self, name: str, body: Mapping[str, Any], found: dict[str, Any], source: Source) -> Job:
        merged = {**self._defaults, **found}
        for key in MERGED:
            if key in found and key in self._defaults:
                merged[key] = {**self._defaults[key], **found[key]}
        if "command" not in body and "command" not in self.defaults:
            self.report.error(source, ("jobs", name), f"job `{name}` has no `command`", 'add `command = "…"`')
        merged.setdefault("command", "")
        merged.setdefault("timezone", self.timezone)
        if merged.get("catchup") == "all":
            merged.setdefault("catchup_window", DAY)
        if "every" in merged:
            merged["every"] = int(merged["every"])
        if "at" in merged:
            merged["at"] = tuple(sorted({instant(local, merged["timezone"]) for local in merged["at"]}))
        job = Job(name=name, **{key: self._intern(value) for key, value in merged.items()})
        both = sorted(set(job.success_codes) & set(job.skip_codes))
        if both:
            message = f"exit code {both[0]} of job `{name}` is in `success_codes` and in `skip_codes`"
            key = "skip_codes" if "skip_codes" in body or "success_codes" not in body else "success_codes"
            path: Path = ("jobs", name, key) if key in body else ("defaults", key)
            self.report.error(source if key in body else self.main, path, message, "keep it in one of the two")
        return job

    def _add_alert(self, name: str, body: Any, source: Source) -> None:
        path: Path = ("alerts", name)
        if not isinstance(body, dict):
            hint = f"give the target a name: `[alerts.ops]`, and below it `{name} = …`" if name in keys.ALERT else None
            message = f"alert `{name}` is {type_name(body)}, where a table belongs"
            self.report.error(source, path, message, hint or f"write `[alerts.{name}]`, and below it `urls = […]`", "key")
            return
        first = self.alert_sources.get(name)
        self._refuse_name("alert", name, path, source, first)
        if first is not None:
            return
        self.alert_sources[name] = source
        found, _ = read_keys(body, keys.ALERT, source, path, self.report)
        if not body.keys() & {"urls", "url_file", "url_env"} or body.get("urls") == []:
            hint = 'add `urls = ["…"]`, `url_file = "…"` or `url_env = "…"`'
            self.report.error(source, path, f"alert `{name}` has no URL to send to", hint)
        self.alerts[name] = AlertTarget(name=name, **_with_absolute_paths(found, source))


def _settings(source: Source, report: Report) -> Settings:
    path: Path = ("settings",)
    found, _ = read_keys(table_of(source, path, report), keys.SETTINGS, source, path, report)
    if isinstance(keep := found.get("keep_runs"), int):
        found |= {"keep_runs": None, "keep_runs_count": keep}
    return Settings(**found)


def _refuse_decimal_umask(table: Mapping[str, Any], source: Source, path: Path, report: Report) -> None:
    """A umask written as a decimal number is not the one that was meant: 27 is 0o33."""
    mask = table.get("umask")
    if isinstance(mask, bool) or not isinstance(mask, int):
        return
    if not source.raw_text((*path, "umask")).startswith("0o"):
        report.error(source, (*path, "umask"), f"`umask = {mask}` is a decimal number", f'write `umask = "{mask:03}"`')


def _with_absolute_paths(found: dict[str, Any], source: Source) -> dict[str, Any]:
    """Make paths absolute: those of a file are relative to its folder. `~` stays where it is the home of the job's user; in paths
    that the daemon itself reads it is the home of the daemon's user."""
    folder = source.folder
    for key in ("cwd", "url_file"):
        if key in found:
            found[key] = _absolute(folder, found[key])
    if "env_file" in found:
        found["env_file"] = tuple(
            "-" * path.startswith("-") + _absolute(folder, path.removeprefix("-")) for path in found["env_file"]
        )
    if "secrets" in found:
        found["secrets"] = {
            name: f"file:{_absolute(folder, text.removeprefix('file:'))}" if text.startswith("file:") else text
            for name, text in found["secrets"].items()
        }
    if "watch" in found:
        found["watch"] = tuple(_absolute_pattern(folder, path) for path in found["watch"])
    return found


def _absolute_pattern(folder: str, path: str) -> str:
    """An absolute pattern of files (glob(7)), in which the folder of the job file is taken literally."""
    import glob

    if path.startswith("~"):
        return os.path.normpath(glob.escape(home(None) or "/") + path[1:])
    return os.path.normpath(os.path.join(glob.escape(folder), path))


def _absolute(folder: str, path: str) -> str:
    """An absolute path, or one that begins with `~`."""
    return path if path.startswith("~") else os.path.normpath(os.path.join(folder, path))
