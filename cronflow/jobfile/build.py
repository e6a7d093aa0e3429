"""From the tables of a job file to Jobs, AlertTargets and Settings; whatever is not as it should be goes into the report."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cronflow.core.jobs import AlertTarget, Job, Settings
from cronflow.jobfile import keys
from cronflow.jobfile.calendars import read_calendars, read_pools
from cronflow.jobfile.jobkinds import name_fault
from cronflow.jobfile.kinds import what
from cronflow.jobfile.locate import Path
from cronflow.jobfile.machine import home
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import Source
from cronflow.jobfile.tables import known_keys, read_keys, refuse_tables, refuse_unknown, table_of
from cronflow.jobfile.timekinds import instant

WHEN = frozenset({"schedule", "every", "at", "watch", "timezone", "jitter", "skip_on", "only_on", "after", "join"})
"""A job of which one of these keys was refused would be taken for another one by the checks of the graph."""
MERGED = ("env", "params", "secrets")
"""Tables of a job that are merged with those of `[defaults]`."""
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Written:
    """A job, and what is known about the text that it comes from. `own` is its own table, `refused` are the keys
    of which something was refused, here or in `[defaults]`."""

    job: Job
    source: Source
    own: Mapping[str, Any]
    refused: frozenset[str]


class Draft:
    """What all files of a job file say together. `main` is the one that was named; the others are included by it."""

    def __init__(self, main: Source, report: Report, machine_zone: str) -> None:
        self.main = main
        self.report = report
        self.sources: list[Source] = []
        self.written: dict[str, Written] = {}
        self.alerts: dict[str, AlertTarget] = {}
        self.alert_sources: dict[str, Source] = {}
        top = read_keys(known_keys(main.data, keys.TOP), keys.TOP, main, (), report)[0]
        self.timezone: str = top.get("timezone", machine_zone)
        self.include: tuple[str, ...] = top.get("include", ())
        self.settings = _settings(main, report)
        self.pools = read_pools(main, report)
        self.calendars, self.calendar_files = read_calendars(main, report)
        table = table_of(main, ("defaults",), report)
        refuse_unknown(table, keys.JOB, keys.JOB_LATER, main, ("defaults",), "`[defaults]`", report)
        defaults, self._refused = read_keys(table, keys.JOB, main, ("defaults",), report)
        _octal(table, main, ("defaults",), report)
        self._defaults = _absolute(defaults, main)
        self._texts: dict[Any, Any] = {}
        self.defaults: Mapping[str, Any] = table

    @property
    def jobs(self) -> dict[str, Job]:
        """The jobs in the order of the files."""
        return {name: written.job for name, written in self.written.items()}

    def written_value(self, job: str, key: str) -> Any:
        """What the file says for a job's key, in its own table or in `[defaults]`; None where neither does."""
        return self.written[job].own.get(key, self.defaults.get(key))

    def place(self, job: str, key: str) -> tuple[Source, Path]:
        """Where a job's key is set: in its own table or in `[defaults]`; else the job's header. `after.NAME` is an element."""
        written = self.written[job]
        key, _, element = key.partition(".")
        source, table = written.source, written.own
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
        """The alert targets and jobs of one file."""
        self.sources.append(source)
        refuse_tables(source, self.main, self.report)
        for name, body in table_of(source, ("alerts",), self.report).items():
            self._add_alert(name, body, source)
        for name, body in table_of(source, ("jobs",), self.report).items():
            self._add_job(name, body, source)

    def _refuse_name(self, what_: str, name: str, path: Path, source: Source, known: Mapping[str, Source]) -> bool:
        hint = name_fault(name)
        if hint:
            self.report.error(source, path, f"`{name}` is no name of {what_}", hint, "key")
        if name in known:
            first = known[name]
            place = f"{first.file}:{first.line_of(path)}"
            noun = what_.split(" ", 1)[1]
            self.report.error(source, path, f"{noun} `{name}` is named twice", f"the other one is at {place}", "key")
        return name in known

    def _add_job(self, name: str, body: Any, source: Source) -> None:
        path: Path = ("jobs", name)
        if name in self.written or name_fault(name):
            known = {name: self.written[name].source} if name in self.written else {}
            if self._refuse_name("a job", name, path, source, known):
                return
        if not isinstance(body, dict):
            hint = f'write `[jobs.{name}]`, and below it `command = "…"`'
            if name in keys.JOB:
                hint = f"a job has a name: put `{name}` below a header `[jobs.NAME]`"
            self.report.error(source, path, f"job `{name}` is {what(body)}, where a table belongs", hint, "key")
            self.written[name] = Written(Job(name, ""), source, {}, WHEN)
            return
        if not body.keys() <= keys.JOB.keys():
            refuse_unknown(body, keys.JOB, keys.JOB_LATER, source, path, f"job `{name}`", self.report)
        found, refused = read_keys(body, keys.JOB, source, path, self.report)
        if "umask" in body:
            _octal(body, source, path, self.report)
        job = self._job(name, body, _absolute(found, source), source)
        self.written[name] = Written(job, source, body, frozenset(refused | (self._refused - body.keys())))

    def _one(self, value: Any) -> Any:
        """The first text, or tuple of texts, that is equal to this one: ten thousand jobs need not keep each its own."""
        if type(value) is str or (type(value) is tuple and all(type(part) is str for part in value)):
            return self._texts.setdefault(value, value)
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
        job = Job(name=name, **{key: self._one(value) for key, value in merged.items()})
        both = sorted(set(job.success_codes) & set(job.skip_codes))
        if both:
            message = f"exit code {both[0]} of job `{name}` is in `success_codes` and in `skip_codes`"
            key = "skip_codes" if "skip_codes" in body or "success_codes" not in body else "success_codes"
            where: Path = ("jobs", name, key) if key in body else ("defaults", key)
            self.report.error(source if key in body else self.main, where, message, "leave it in one of the two")
        return job

    def _add_alert(self, name: str, body: Any, source: Source) -> None:
        path: Path = ("alerts", name)
        if not isinstance(body, dict):
            hint = f"give the target a name: `[alerts.ops]`, and below it `{name} = …`" if name in keys.ALERT else None
            told = f"alert `{name}` is {what(body)}, where a table belongs"
            self.report.error(source, path, told, hint or f"write `[alerts.{name}]`, and below it `urls = […]`", "key")
            return
        if self._refuse_name("an alert", name, path, source, self.alert_sources):
            return
        self.alert_sources[name] = source
        refuse_unknown(body, keys.ALERT, (), source, path, f"alert `{name}`", self.report)
        found, _ = read_keys(body, keys.ALERT, source, path, self.report)
        if not body.keys() & {"urls", "url_file", "url_env"} or body.get("urls") == []:
            hint = 'add `urls = ["…"]`, `url_file = "…"` or `url_env = "…"`'
            self.report.error(source, path, f"alert `{name}` has no URL to send to", hint)
        self.alerts[name] = AlertTarget(name=name, **_absolute(found, source))


def _settings(source: Source, report: Report) -> Settings:
    path: Path = ("settings",)
    table = table_of(source, path, report)
    refuse_unknown(table, keys.SETTINGS, keys.SETTINGS_LATER, source, path, "`[settings]`", report)
    found, _ = read_keys(table, keys.SETTINGS, source, path, report)
    keep = found.pop("keep_runs", None)
    settings = Settings(**found)
    if isinstance(keep, int):
        return settings._replace(keep_runs=None, keep_runs_count=keep)
    return settings if keep is None else settings._replace(keep_runs=keep)


def _octal(table: Mapping[str, Any], source: Source, path: Path, report: Report) -> None:
    """A umask written as a decimal number is not the one that was meant: 27 is 0o33."""
    mask = table.get("umask")
    if isinstance(mask, bool) or not isinstance(mask, int):
        return
    if not source.written((*path, "umask")).startswith("0o"):
        report.error(source, (*path, "umask"), f"`umask = {mask}` is a decimal number", f'write `umask = "{mask:03}"`')


def _absolute(found: dict[str, Any], source: Source) -> dict[str, Any]:
    """Paths of a file are relative to its folder. `~` is kept where it is the home of the user that the job runs as; in what the
    daemon itself looks at it is the home of the daemon's user."""
    folder = source.folder
    for key in ("cwd", "url_file"):
        if key in found:
            found[key] = located(folder, found[key])
    if "env_file" in found:
        found["env_file"] = tuple(
            "-" * path.startswith("-") + located(folder, path.removeprefix("-")) for path in found["env_file"]
        )
    if "secrets" in found:
        found["secrets"] = {
            name: f"file:{located(folder, text.removeprefix('file:'))}" if text.startswith("file:") else text
            for name, text in found["secrets"].items()
        }
    if "watch" in found:
        found["watch"] = tuple(_pattern(folder, path) for path in found["watch"])
    return found


def _pattern(folder: str, path: str) -> str:
    """An absolute pattern of files (glob(7)), of which the folder of the file is taken to the letter."""
    import glob

    if path.startswith("~"):
        return os.path.normpath(glob.escape(home(None) or "/") + path[1:])
    return os.path.normpath(os.path.join(glob.escape(folder), path))


def located(folder: str, path: str) -> str:
    """An absolute path, or one that begins with `~`."""
    return path if path.startswith("~") else os.path.normpath(os.path.join(folder, path))
