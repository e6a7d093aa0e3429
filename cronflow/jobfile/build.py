"""From the tables of a job file to Jobs, AlertTargets and Settings; whatever is not as it should be goes into the report."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from cronflow.core.model import AlertTarget, Job, Settings
from cronflow.jobfile import keys
from cronflow.jobfile.jobkinds import name_fault
from cronflow.jobfile.keys import Keys
from cronflow.jobfile.kinds import what
from cronflow.jobfile.locate import Path
from cronflow.jobfile.report import Part, Report
from cronflow.jobfile.source import Source
from cronflow.jobfile.suggest import closest, did_you_mean
from cronflow.jobfile.values import RefusalError

WHEN = frozenset({"schedule", "every", "timezone", "after", "join"})
"""A job of which one of these keys was refused would be taken for another one by the checks of the graph."""
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
        top = _read_keys(_known(main.data, keys.TOP), keys.TOP, main, (), report)[0]
        self.timezone: str = top.get("timezone", machine_zone)
        self.include: tuple[str, ...] = top.get("include", ())
        self.settings = _settings(main, report)
        self._defaults: dict[str, Any] = {}
        table = _table(main, ("defaults",), report)
        _refuse_unknown(table, keys.JOB, keys.JOB_LATER, main, ("defaults",), "`[defaults]`", report)
        defaults, self._refused = _read_keys(table, keys.JOB, main, ("defaults",), report)
        _octal(table, main, ("defaults",), report)
        self._defaults = _absolute(defaults, main)
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
        _refuse_tables(source, self.main, self.report)
        for name, body in _table(source, ("alerts",), self.report).items():
            self._add_alert(name, body, source)
        for name, body in _table(source, ("jobs",), self.report).items():
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
            _refuse_unknown(body, keys.JOB, keys.JOB_LATER, source, path, f"job `{name}`", self.report)
        found, refused = _read_keys(body, keys.JOB, source, path, self.report)
        if "umask" in body:
            _octal(body, source, path, self.report)
        job = self._job(name, body, _absolute(found, source), source)
        self.written[name] = Written(job, source, body, frozenset(refused | (self._refused - body.keys())))

    def _job(self, name: str, body: Mapping[str, Any], found: dict[str, Any], source: Source) -> Job:
        merged = {**self._defaults, **found}
        if "env" in found and "env" in self._defaults:
            merged["env"] = {**self._defaults["env"], **found["env"]}
        if "command" not in body and "command" not in self.defaults:
            self.report.error(source, ("jobs", name), f"job `{name}` has no `command`", 'add `command = "…"`')
        merged.setdefault("command", "")
        merged.setdefault("timezone", self.timezone)
        if merged.get("catchup") == "all":
            merged.setdefault("catchup_window", DAY)
        if "every" in merged:
            merged["every"] = int(merged["every"])
        job = Job(name=name, **merged)
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
        _refuse_unknown(body, keys.ALERT, (), source, path, f"alert `{name}`", self.report)
        found, _ = _read_keys(body, keys.ALERT, source, path, self.report)
        if not body.keys() & {"urls", "url_file", "url_env"} or body.get("urls") == []:
            hint = 'add `urls = ["…"]`, `url_file = "…"` or `url_env = "…"`'
            self.report.error(source, path, f"alert `{name}` has no URL to send to", hint)
        self.alerts[name] = AlertTarget(name=name, **_absolute(found, source))


def _settings(source: Source, report: Report) -> Settings:
    path: Path = ("settings",)
    table = _table(source, path, report)
    _refuse_unknown(table, keys.SETTINGS, keys.SETTINGS_LATER, source, path, "`[settings]`", report)
    found, _ = _read_keys(table, keys.SETTINGS, source, path, report)
    keep = found.pop("keep_runs", None)
    settings = Settings(**found)
    if isinstance(keep, int):
        return settings._replace(keep_runs=None, keep_runs_count=keep)
    return settings if keep is None else settings._replace(keep_runs=keep)


def _table(source: Source, path: Path, report: Report) -> Mapping[str, Any]:
    """A table of the top level; an empty one where there is none."""
    name = str(path[0])
    table = source.data.get(name, {})
    if isinstance(table, dict):
        return table
    example = f"[{name}.NAME]" if name in ("jobs", "alerts") else f"[{name}]"
    report.error(source, path, f"`{name}` is {what(table)}, where a table belongs", f"write `{example}`", "key")
    return {}


def _known(table: Mapping[str, Any], known: Keys) -> dict[str, Any]:
    return {key: table[key] for key in known if key in table}


def _read_keys(
    table: Mapping[str, Any], known: Keys, source: Source, path: Path, report: Report
) -> tuple[dict[str, Any], set[str]]:
    """The values of the known keys of a table, and the keys of which something was refused."""
    found: dict[str, Any] = {}
    refused: set[str] = set()
    for key, value in table.items():
        spec = known.get(key)
        if spec is None:
            continue

        def complain(message: str, hint: str | None, *sub: str | int, part: Part = "value", key: str = key) -> None:
            refused.add(key)
            report.error(source, (*path, key, *sub), message, hint, part)

        try:
            found[key] = spec.kind.read(key, value, complain)
        except RefusalError as refusal:
            complain(refusal.message, refusal.hint)
    return found, refused


def _refuse_unknown(
    table: Mapping[str, Any], known: Keys, later: Collection[str], source: Source, path: Path, owner: str, report: Report
) -> None:
    for key, value in table.items():
        if key in known:
            continue
        if key in later:
            report.error(source, (*path, key), f"`{key}` in {owner} is not supported yet", "take it out for now", "key")
            continue
        hint = did_you_mean(key, known)
        if isinstance(value, dict) and path[:1] == ("jobs",) and value.keys() & keys.JOB.keys():
            hint = f'a name with a dot needs quotes: `[jobs."{path[1]}.{key}"]`'
        elif hint is None:
            first = ", ".join(f"`{name}`" for name in list(known)[:4])
            hint = _home(key) or f"{owner} takes {first}, … (cronflow-jobs(5) lists all)"
        report.error(source, (*path, key), f"unknown key `{key}` in {owner}", hint, "key")


def _home(key: str) -> str | None:
    """Where a key of this name belongs."""
    if key.startswith("x-"):
        return "tables of your own stand at the top level of the file"
    homes = (
        (keys.JOB, "below `[jobs.NAME]`"),
        (keys.SETTINGS, "below `[settings]`"),
        (keys.ALERT, "below `[alerts.NAME]`"),
        (keys.TOP, "at the top of the file, before the first header"),
    )
    return next((f"`{key}` belongs {where}" for table, where in homes if key in table), None)


def _refuse_tables(source: Source, main: Source, report: Report) -> None:
    """Keys and tables of the top level that are unknown, or belong elsewhere."""
    known = [*keys.TOP, *keys.TABLES]
    for name in source.data:
        path: Path = (name,)
        if name.startswith("x-") or (name in known and (source is main or name in keys.INCLUDED)):
            continue
        if name == "include":
            hint = f"name its files in the `include` of `{main.file}`"
            report.error(source, path, "an included file includes no further ones", hint, "key")
        elif name in known:
            told = f"`{name}` belongs into the main file, not into an included one"
            report.error(source, path, told, f"move it to `{main.file}`", "key")
        elif name in keys.TABLES_LATER:
            report.error(source, path, f"`{name}` is not supported yet", "take it out for now", "key")
        else:
            value = source.data[name]
            tables = isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))
            what_ = "table" if tables else "key"
            near = closest(name, known)
            hint = f"did you mean `{near}`?" if near else _home(name) or "tables of your own have names that begin with `x-`"
            report.error(source, path, f"unknown {what_} `{name}`", hint, "key")


def _octal(table: Mapping[str, Any], source: Source, path: Path, report: Report) -> None:
    """A umask written as a decimal number is not the one that was meant: 27 is 0o33."""
    mask = table.get("umask")
    if isinstance(mask, bool) or not isinstance(mask, int):
        return
    if not source.written((*path, "umask")).startswith("0o"):
        report.error(source, (*path, "umask"), f"`umask = {mask}` is a decimal number", f'write `umask = "{mask:03}"`')


def _absolute(found: dict[str, Any], source: Source) -> dict[str, Any]:
    """Paths of a file are relative to its folder. `~` is kept: it is the home of the user that the job runs as."""
    for key in ("cwd", "url_file"):
        if key in found:
            found[key] = located(source.folder, found[key])
    if "env_file" in found:
        found["env_file"] = tuple(
            "-" * path.startswith("-") + located(source.folder, path.removeprefix("-")) for path in found["env_file"]
        )
    return found


def located(folder: str, path: str) -> str:
    """An absolute path, or one that begins with `~`."""
    return path if path.startswith("~") else os.path.normpath(os.path.join(folder, path))
