"""Warnings: what a job file says but hardly means, and what this machine does not have."""

from __future__ import annotations

import os
import re
import stat
from datetime import date

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Plan
from cronflow.core.time.schedule import Oddity, Schedule
from cronflow.core.time.triggers import cron_expressions
from cronflow.core.words import local
from cronflow.jobfile import machine
from cronflow.jobfile.build import ParsedJobFile
from cronflow.jobfile.conflicts import variable_location
from cronflow.jobfile.frequency import warn_of_frequency
from cronflow.jobfile.source import Source
from cronflow.jobfile.unused import warn_of_unused
from cronflow.jobfile.values import format_duration

PREVIEW = 400 * 86400
"""Seconds ahead in which clock changes are previewed: a year, and the time until the next check."""
DAY = 86400
READ_FOR_PIPES = 10_000
"""Characters of a command that are searched for a pipe."""
QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|(?:^|(?<=\s))#[^\n]*""", re.DOTALL)
CASE = re.compile(r"[^\s;()|]+(?:\s*\|\s*[^\s;()|]+)+\s*\)")
PIPE = re.compile(r"(?<![|>])\|(?!\|)")
WITH_PIPEFAIL = ("bash", "zsh", "ksh")
SHELLS = ("sh", "dash", *WITH_PIPEFAIL)
NEEDED_HERE = (("user", "user", machine.has_user), ("group", "group", machine.has_group), ("cwd", "folder", machine.has_folder))
FIRST_WORD = re.compile(r"\s*(/[A-Za-z0-9._/+@-]+)(?=\s|$)")
"""The program that a command begins with, where its path is plain to see."""


def warn(parsed: ParsedJobFile, plan: Plan | None, now: float) -> None:
    """Report all warnings. `plan` is None if the graph has errors; `now` is an epoch second."""
    machine.clear_cache()
    if not parsed.entries:
        hint = 'a job is a table `[jobs.NAME]` with a `command = "…"`'
        parsed.report.add("warning", f"`{parsed.main.file}` has no jobs", hint)
    for job in parsed.jobs.values():
        _pipes(parsed, job)
        _crontab_escapes(parsed, job)
        _environment(parsed, job)
        _past(parsed, job, now)
        _files(parsed, job)
        if plan is not None:
            _clock_changes(parsed, job, now)
            if job.every and job.every % DAY == 0:
                _every_days(parsed, job, job.every, now)
    warn_of_unused(parsed, plan)
    if plan is not None:
        warn_of_frequency(parsed, plan, now)
    for source in parsed.sources:
        _timeouts(parsed, source)
    _past_calendars(parsed, now)
    _homes(parsed)
    _alert_files(parsed)


def _timeouts(parsed: ParsedJobFile, source: Source) -> None:
    """One warning for all jobs of a file."""
    own = {name: entry for name, entry in parsed.entries.items() if entry.source is source}
    names = [name for name, entry in own.items() if entry.job.timeout is None and "timeout" not in entry.refused]
    if not names:
        return
    first = ", ".join(f"`{name}`" for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    subject = f"job {first} has" if len(names) == 1 else f"{len(names)} jobs have"
    listed = "" if len(names) == 1 else f": {first}{more}"
    message = f"{subject} no `timeout`, so a command that hangs blocks what comes after it{listed}"
    parsed.report.warning(source, ("jobs", names[0]), message, '`timeout = "1h"` in `[defaults]` sets one for all jobs')


def _pipes(parsed: ParsedJobFile, job: Job) -> None:
    """The exit status of a pipeline is that of its last command: a failure of the others is lost (sh(1))."""
    if not isinstance(job.command, str) or "|" not in job.command or "pipefail" in job.command:
        return
    bare = QUOTED.sub("q", job.command[:READ_FOR_PIPES])
    if "esac" in bare:
        bare = CASE.sub("q)", bare)
    shell = os.path.basename(job.shell)
    if not PIPE.search(bare) or shell not in SHELLS:
        return
    hint = "begin the command with `set -o pipefail`"
    if shell not in WITH_PIPEFAIL:
        hint = '`set -o pipefail` shows the others, and needs `shell = "/bin/bash"`'
    message = f"job `{job.name}` has a pipe, in which only a failure of the last command is seen"
    parsed.warn(job.name, "command", message, hint, "key")


def _crontab_escapes(parsed: ParsedJobFile, job: Job) -> None:
    """In a crontab a `%` needs a backslash; here the shell gets the backslash too, and keeps it within quotes (crontab(5))."""
    if isinstance(job.command, str) and "\\%" in job.command:
        message = f"the command of job `{job.name}` has `\\%` in it, as a crontab wants it"
        hint = "write `%` alone: it means nothing here, and the `\\` would reach the shell"
        parsed.warn(job.name, "command", message, hint, "key")


def _clock_changes(parsed: ParsedJobFile, job: Job, now: float) -> None:
    expressions = cron_expressions(job.schedule)
    if expressions:
        schedule = Schedule.cron(expressions, job.timezone)
        for oddity in schedule.oddities(now, now + PREVIEW):
            way, rule = ("forward", "always exists") if oddity.kind == "gap" else ("back", "comes once")
            hint = f"the clock goes {way} then; a time of day that {rule} needs no such rule"
            parsed.warn(job.name, "schedule", _preview(job.name, schedule, oddity), hint)


def _preview(name: str, schedule: Schedule, oddity: Oddity) -> str:
    first, last = oddity.first, oddity.last
    times = f"{first:%H:%M}" if oddity.number == 1 else f"{first:%H:%M} to {last:%H:%M} ({oddity.number} times)"
    when = f"`{name}` {times} {schedule.zone}"
    one = oddity.number == 1
    if oddity.kind == "gap":
        absent = f"{'does' if one else 'do'} not exist on {first:%Y-%m-%d}"
        if not oddity.runs:
            return f"{when} {absent}: it will not run for {'it' if one else 'them'}"
        return f"{when} {absent}: it will run{'' if one else ' once,'} at {schedule.local(oddity.at):%H:%M}"
    twice = f"{'comes' if one else 'come'} twice on {first:%Y-%m-%d}"
    how = "both times" if oddity.runs == 2 else "the first time"
    return f"{when} {twice}: it will run {how}"


def _every_days(parsed: ParsedJobFile, job: Job, every: int, now: float) -> None:
    """An interval of days starts at midnight UTC, which is another time of day here, and not the same one all year."""
    schedule = Schedule.every(every, job.timezone)
    first = int(now // DAY) * DAY
    times = list(dict.fromkeys(f"{schedule.local(first + day * DAY):%H:%M}" for day in range(0, 400, 5)))
    hour, minute = times[0].split(":")
    starts = f'`every = "{format_duration(every)}"` of job `{job.name}` starts at {" or ".join(times)} {job.timezone}'
    hint = f'`schedule = "{int(minute)} {int(hour)} * * *"` is every day at {hour}:{minute} local time'
    parsed.warn(job.name, "every", f"{starts}: it counts from the Unix epoch, in UTC", hint)


def _past(parsed: ParsedJobFile, job: Job, now: float) -> None:
    if job.at and job.at[-1] <= now:
        last = f"{local(job.at[-1], job.timezone):%Y-%m-%d %H:%M} {job.timezone}"
        message = f"`at` of job `{job.name}` is past: {'' if len(job.at) == 1 else 'it ended at '}{last}"
        hint = "a time that is past when it is first loaded never runs: remove it, or write a future one"
        parsed.warn(job.name, "at", message, hint)


def _past_calendars(parsed: ParsedJobFile, now: float) -> None:
    used = {name for job in parsed.jobs.values() for name in (*job.skip_on, *job.only_on)}
    today = date.fromtimestamp(now).toordinal()
    for name, days in parsed.calendars.items():
        if name in used and days and max(days) < today - 1:
            message = f"calendar `{name}` ends on {date.fromordinal(max(days))}"
            parsed.report.warning(parsed.main, ("calendars", name), message, "add future dates, or remove the calendar")


def _environment(parsed: ParsedJobFile, job: Job) -> None:
    """Users, groups, folders and programs that are not here. They may come later, or the file is for another machine."""
    for key, noun, exists in NEEDED_HERE:
        name = getattr(job, key)
        if name is not None and not (key == "cwd" and name.startswith("~")) and not exists(name):
            hint = f"attempts fail with `no_{key}` until there is one"
            parsed.warn(job.name, key, f"there is no {noun} `{name}` on this machine", hint)
    if isinstance(job.command, str):
        if not machine.has_program(job.shell, ""):
            parsed.warn(job.name, "shell", *_no_program("shell", job.shell, ""))
        first = FIRST_WORD.match(job.command) if os.path.basename(job.shell) in SHELLS else None
        if first and not machine.has_program(first[1], ""):
            parsed.warn(job.name, "command", *_no_program("program", first[1], ""))
    elif job.command and (job.command[0].startswith("/") or "/" not in job.command[0]):  # a relative path counts from `cwd`
        path = job.env.get("PATH") or machine.default_path(os.geteuid() if job.user in (None, "root") else 1)
        if not machine.has_program(job.command[0], path):
            parsed.warn(job.name, "command", *_no_program("program", job.command[0], path))


def _no_program(noun: str, name: str, path: str) -> tuple[str, str]:
    """Message and hint for a program that is not there, or cannot be executed (exit codes of sh(1))."""
    if "/" in name and os.path.exists(name):
        return f"`{name}` cannot be executed", f"attempts fail with exit code 126; `ls -l {name}` shows its mode"
    searched = f"; PATH is {path}" if "/" not in name else ""
    return f"there is no {noun} `{name}` on this machine", f"attempts fail with exit code 127{searched}"


def _files(parsed: ParsedJobFile, job: Job) -> None:
    for pattern in job.watch:
        if machine.has_folder(pattern):
            message = f"`{pattern}` is a folder, and job `{job.name}` watches files"
            parsed.warn(job.name, "watch", message, f"`{pattern}/*` matches the files in it")
    for name, reference in job.secrets.items():
        form, _, file = reference.partition(":")
        if form == "file" and not file.startswith("~") and not machine.has_file(file):
            source, path = variable_location(parsed, job.name, "secrets", name)
            message = f"there is no file `{file}` on this machine, from which secret `{name}` is read"
            hint = f"attempts of job `{job.name}` fail with `no_secret` until there is one"
            parsed.report.warning(source, path, message, hint, "key")


def _homes(parsed: ParsedJobFile) -> None:
    """One warning for all jobs that would start in the same missing home: many service users have none."""
    warned: set[str | None] = set()
    for name, entry in parsed.entries.items():
        user = entry.job.user
        if entry.job.cwd is not None or "cwd" in entry.refused or user in warned:
            continue
        home = machine.home(user)
        if home is not None and not machine.has_folder(home):
            warned.add(user)
            message = f"there is no folder `{home}`, the home in which job `{name}` would start"
            parsed.report.warning(entry.source, ("jobs", name), message, "attempts fail with `no_cwd`: set `cwd`")


def _alert_files(parsed: ParsedJobFile) -> None:
    for name, target in parsed.alerts.items():
        if target.url_file is None or target.url_file.startswith("~"):
            continue
        try:
            mode = os.stat(target.url_file).st_mode
        except OSError:
            message = f"there is no file `{target.url_file}`, so alert `{name}` reaches nobody"
            hint = "put the URLs into it, one on each line"
        else:
            if not mode & (stat.S_IROTH | stat.S_IWOTH):
                continue
            message = f"others can read `{target.url_file}`, which holds the URLs of alert `{name}`"
            hint = f"`chmod 600 {target.url_file}`"
        parsed.report.warning(parsed.alert_sources[name], ("alerts", name, "url_file"), message, hint)
