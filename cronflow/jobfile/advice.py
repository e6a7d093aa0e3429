"""Warnings: what a job file may say, but hardly means, and what this machine does not have."""

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
from cronflow.jobfile.build import Draft
from cronflow.jobfile.clashes import variable_place
from cronflow.jobfile.idle import advise_idle
from cronflow.jobfile.pace import advise_pace
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import Source
from cronflow.jobfile.values import length

PREVIEW = 400 * 86400
"""Seconds ahead in which clock changes are looked at: a year, and what comes before the next check."""
DAY = 86400
READ_FOR_PIPES = 10_000
"""Characters of a command in which a pipe is looked for."""
QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|(?:^|(?<=\s))#[^\n]*""", re.DOTALL)
CASE = re.compile(r"[^\s;()|]+(?:\s*\|\s*[^\s;()|]+)+\s*\)")
PIPE = re.compile(r"(?<![|>])\|(?!\|)")
WITH_PIPEFAIL = ("bash", "zsh", "ksh")
SHELLS = ("sh", "dash", *WITH_PIPEFAIL)
FIRST_WORD = re.compile(r"\s*(/[A-Za-z0-9._/+@-]+)(?=\s|$)")
"""The program that a command begins with, where its path is plain to see."""


def advise(draft: Draft, plan: Plan | None, now: float, report: Report) -> None:
    """All warnings about jobs and alert targets; `plan` is None where the graph has errors, `now` an instant."""
    machine.forget()
    if not draft.written:
        report.add("warning", f"`{draft.main.file}` has no jobs", 'a job is a table `[jobs.NAME]` with a `command = "…"`')
    for name, written in draft.written.items():
        _pipes(written.job, draft, report)
        _crontab_escapes(written.job, draft, report)
        _environment(written.job, draft, report)
        _past(written.job, draft, now, report)
        _files(written.job, draft, report)
        if plan is not None:
            _clock_changes(name, written.job, draft, now, report)
    advise_idle(draft, plan, report)
    if plan is not None:
        advise_pace(draft, plan, now, report)
    for source in draft.sources:
        _timeouts(source, draft, report)
    _past_calendars(draft, now, report)
    _homes(draft, report)
    _alert_files(draft, report)


def _timeouts(source: Source, draft: Draft, report: Report) -> None:
    """One warning for all jobs of a file."""
    own = {name: one for name, one in draft.written.items() if one.source is source}
    names = [name for name, one in own.items() if one.job.timeout is None and "timeout" not in one.refused]
    if not names:
        return
    first = ", ".join(f"`{name}`" for name in names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    subject = f"job {first} has" if len(names) == 1 else f"{len(names)} jobs have"
    listed = "" if len(names) == 1 else f": {first}{more}"
    told = f"{subject} no `timeout`, so a command that hangs blocks what comes after it{listed}"
    report.warning(source, ("jobs", names[0]), told, '`timeout = "1h"` in `[defaults]` sets one for all jobs')


def _pipes(job: Job, draft: Draft, report: Report) -> None:
    """A pipe ends with the status of its last command: the failure of the others is lost (sh(1))."""
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
        hint = '`set -o pipefail` tells it, and needs `shell = "/bin/bash"`'
    told = f"job `{job.name}` has a pipe, of which only the last command's failure is seen"
    source, path = draft.place(job.name, "command")
    report.warning(source, path, told, hint, "key")


def _crontab_escapes(job: Job, draft: Draft, report: Report) -> None:
    """In a crontab a `%` needs a backslash; here the shell gets it too, and keeps it inside of quotes (crontab(5))."""
    if isinstance(job.command, str) and "\\%" in job.command:
        source, path = draft.place(job.name, "command")
        told = f"the command of job `{job.name}` has `\\%` in it, as a crontab wants it"
        report.warning(source, path, told, "write `%` alone: here it means nothing, and the `\\` would reach the shell", "key")


def _clock_changes(name: str, job: Job, draft: Draft, now: float, report: Report) -> None:
    expressions = cron_expressions(job.schedule)
    if expressions:
        schedule = Schedule.cron(expressions, job.timezone)
        for oddity in schedule.oddities(now, now + PREVIEW):
            source, path = draft.place(name, "schedule")
            report.warning(source, path, _preview(name, schedule, oddity), _instead(oddity))
    if job.every and job.every % DAY == 0:
        _days(name, job, draft, now, report)


def _preview(name: str, schedule: Schedule, oddity: Oddity) -> str:
    first, last = oddity.first, oddity.last
    times = f"{first:%H:%M}" if oddity.count == 1 else f"{first:%H:%M} to {last:%H:%M} ({oddity.count} times)"
    when = f"`{name}` {times} {schedule.zone}"
    one = oddity.count == 1
    if oddity.kind == "gap":
        absent = f"{'does' if one else 'do'} not exist on {first:%Y-%m-%d}"
        if not oddity.runs:
            return f"{when} {absent}: it will not run for {'it' if one else 'them'}"
        return f"{when} {absent}: it will run{'' if one else ' once,'} at {schedule.local(oddity.at):%H:%M}"
    twice = f"{'comes' if one else 'come'} twice on {first:%Y-%m-%d}"
    how = "both times" if oddity.runs == 2 else "the first time"
    return f"{when} {twice}: it will run {how}"


def _instead(oddity: Oddity) -> str:
    if oddity.kind == "gap":
        return "the clock goes forward then; a time of the day that always exists needs no such rule"
    return "the clock goes back then; a time of the day that comes once needs no such rule"


def _days(name: str, job: Job, draft: Draft, now: float, report: Report) -> None:
    """An interval of days starts at midnight UTC, which is some other time here, and not the same one all year."""
    schedule = Schedule.every(job.every or DAY, job.timezone)
    first = int(now // DAY) * DAY
    local = dict.fromkeys(f"{schedule.local(first + day * DAY):%H:%M}" for day in range(0, 400, 5))
    times = " or ".join(local)
    source, path = draft.place(name, "every")
    hour, minute = next(iter(local)).split(":")
    every = f'`every = "{length(job.every or DAY)}"` of job `{name}`'
    told = f"{every} starts at {times} {job.timezone}: it counts from the Unix epoch, in UTC"
    hint = f'`schedule = "{int(minute)} {int(hour)} * * *"` is each day at {hour}:{minute} local time'
    report.warning(source, path, told, hint)


def _past(job: Job, draft: Draft, now: float, report: Report) -> None:
    if job.at and job.at[-1] <= now:
        source, path = draft.place(job.name, "at")
        last = f"{local(job.at[-1], job.timezone):%Y-%m-%d %H:%M} {job.timezone}"
        told = f"`at` of job `{job.name}` is past: {'' if len(job.at) == 1 else 'it ended at '}{last}"
        hint = "what is past when it is first loaded never runs: take it out, or write a time to come"
        report.warning(source, path, told, hint)


def _past_calendars(draft: Draft, now: float, report: Report) -> None:
    """Calendars that have come to their end while jobs still go by them."""
    used = {name for job in draft.jobs.values() for name in (*job.skip_on, *job.only_on)}
    today = date.fromtimestamp(now).toordinal()
    for name, days in draft.calendars.items():
        if name in used and days and max(days) < today - 1:
            told = f"calendar `{name}` ends on {date.fromordinal(max(days))}"
            report.warning(draft.main, ("calendars", name), told, "add the dates to come, or take the calendar out")


def _environment(job: Job, draft: Draft, report: Report) -> None:
    """Users, groups, folders and programs that are not here. They may come later, or the file is for another machine."""
    lacks: list[tuple[str, str, str]] = []
    later = "attempts fail with `no_{}` until there is one"
    if job.user is not None and not machine.has_user(job.user):
        lacks.append(("user", f"there is no user `{job.user}` on this machine", later.format("user")))
    if job.group is not None and not machine.has_group(job.group):
        lacks.append(("group", f"there is no group `{job.group}` on this machine", later.format("group")))
    if job.cwd is not None and not job.cwd.startswith("~") and not machine.has_folder(job.cwd):
        lacks.append(("cwd", f"there is no folder `{job.cwd}` on this machine", later.format("cwd")))
    if isinstance(job.command, str):
        if not machine.has_program(job.shell, ""):
            lacks.append(("shell", *_no_program("shell", job.shell, "")))
        found = FIRST_WORD.match(job.command) if os.path.basename(job.shell) in SHELLS else None
        if found and not machine.has_program(found[1], ""):
            lacks.append(("command", *_no_program("program", found[1], "")))
    elif job.command and not _relative(job.command[0]):
        path = job.env.get("PATH") or machine.default_path(os.geteuid() if job.user in (None, "root") else 1)
        if not machine.has_program(job.command[0], path):
            lacks.append(("command", *_no_program("program", job.command[0], path)))
    for key, told, hint in lacks:
        source, place = draft.place(job.name, key)
        report.warning(source, place, told, hint)


def _no_program(noun: str, name: str, path: str) -> tuple[str, str]:
    """What is said of a program that is not there, or that is there and cannot be executed (exit codes of sh(1))."""
    if "/" in name and os.path.exists(name):
        return f"`{name}` cannot be executed", f"attempts fail with exit code 126; `ls -l {name}` shows its mode"
    searched = f"; PATH is {path}" if "/" not in name else ""
    return f"there is no {noun} `{name}` on this machine", f"attempts fail with exit code 127{searched}"


def _files(job: Job, draft: Draft, report: Report) -> None:
    """Folders where files are watched, and files of secrets that are not here."""
    for pattern in job.watch:
        if machine.has_folder(pattern):
            source, path = draft.place(job.name, "watch")
            told = f"`{pattern}` is a folder, and job `{job.name}` watches files"
            report.warning(source, path, told, f"`{pattern}/*` are the files in it")
    for name, reference in job.secrets.items():
        form, _, file = reference.partition(":")
        if form == "file" and not file.startswith("~") and not machine.has_file(file):
            source, path = variable_place(job.name, "secrets", name, draft)
            told = f"there is no file `{file}` on this machine, from which secret `{name}` is read"
            report.warning(source, path, told, f"attempts of job `{job.name}` fail with `no_secret` until there is one", "key")


def _homes(draft: Draft, report: Report) -> None:
    """One warning for all jobs that would start in the same home, which is not there: many users of services have none."""
    told: set[str | None] = set()
    for name, written in draft.written.items():
        user = written.job.user
        if written.job.cwd is not None or "cwd" in written.refused or user in told:
            continue
        home = machine.home(user)
        if home is not None and not machine.has_folder(home):
            told.add(user)
            message = f"there is no folder `{home}`, the home in which job `{name}` would start"
            report.warning(written.source, ("jobs", name), message, "attempts fail with `no_cwd`: set `cwd`")


def _relative(program: str) -> bool:
    """Programs named by a path relative to `cwd` are looked for when they are run."""
    return "/" in program and not program.startswith("/")


def _alert_files(draft: Draft, report: Report) -> None:
    for name, target in draft.alerts.items():
        if target.url_file is None or target.url_file.startswith("~"):
            continue
        source = draft.alert_sources[name]
        try:
            mode = os.stat(target.url_file).st_mode
        except OSError:
            told = f"there is no file `{target.url_file}`, so alert `{name}` reaches nobody"
            report.warning(source, ("alerts", name, "url_file"), told, "put the URLs into it, one on a line")
            continue
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            told = f"others can read `{target.url_file}`, which holds the URLs of alert `{name}`"
            report.warning(source, ("alerts", name, "url_file"), told, f"`chmod 600 {target.url_file}`")
