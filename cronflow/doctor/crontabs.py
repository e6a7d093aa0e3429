"""Checks whether cron still runs what is now a job: crontab lines with the command of a job, which then runs twice.

Crontabs are read as `cronflow import` reads them, so that imported lines are recognized.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator

from cronflow.core.jobs import Command
from cronflow.core.words import count
from cronflow.crontab import sources
from cronflow.crontab.sources import ReadingOptions, daemon_of, ignored_reason, of_file, table
from cronflow.crontab.tables import CrontabEntry, CronTable, TableKind
from cronflow.doctor.finding import Context, Finding, ask, ok, problem, warning
from cronflow.errors import CronflowError

SYSTEM = "/etc/crontab"
FOLDER = "/etc/cron.d"
ANACRON = "/etc/anacrontab"
SPOOLS = tuple(f"/{spool}" for spool in sources.SPOOLS)
CRONS = frozenset(("cron", "crond", "anacron", "fcron"))
"""Programs that run crontabs."""
GENERATED = "/run/systemd/generator"
"""Where systemd-cron keeps the units that it generates from crontabs."""
REDIRECTIONS = re.compile(r"(?:\s*[12&]?>{1,2}\s*\S+|\s*2>&1)+\s*$")
"""At the end of a command: a job has none, since its output is kept."""


def check_crontabs(context: Context) -> Iterator[Finding]:
    """The jobs that cron runs as well."""
    if context.jobs is None:
        return
    jobs = {_plain(job.command, job.stdin): job.name for job in context.jobs.jobs.values()}
    twice, others, active = 0, 0, _active()
    for one in _tables():
        for line in one.items:
            name = jobs.get(_plain(line.command, line.stdin)) if isinstance(line, CrontabEntry) else None
            if name is not None:
                twice += 1
                place, hint = f"line {line.line} of `{one.name}`", "comment that line out with `#`"
                if active:
                    yield problem("crontab", f"cron also runs the command of this job: {place}", hint, name)
                else:
                    message = f"cron, which is not running now, would also run the command of this job: {place}"
                    yield warning("crontab", message, hint, name)
            others += isinstance(line, CrontabEntry)
    if not twice:
        message = f"; {count(others, 'line')} of crontabs {'runs' if others == 1 else 'run'} other things" if others else ""
        yield ok("crontab", f"cron runs none of these jobs{message}")


def _active() -> bool:
    """Whether a program that runs crontabs is active; True if other users' processes are hidden (proc(5), hidepid)."""
    import psutil

    if not os.path.exists("/proc/1/stat") or any(name.startswith("cron-") for name in _listed(GENERATED)):
        return True
    return any(process.info["name"] in CRONS for process in psutil.process_iter(["name"]))


def _plain(command: Command, stdin: str | None) -> tuple[str, str]:
    text = command if isinstance(command, str) else shlex.join(command)
    return " ".join(REDIRECTIONS.sub("", text).split()), (stdin or "").rstrip("\n")


def _tables() -> Iterator[CronTable]:
    """All crontabs that this user may read: those of the system, and its own, or for root everybody's."""
    options = ReadingOptions(None, daemon_of("/"))
    files: list[tuple[str, TableKind]] = [(SYSTEM, "system"), (ANACRON, "anacron")]
    files += [(f"{FOLDER}/{name}", "system") for name in _names(FOLDER) if not ignored_reason(name, options.daemon)]
    if os.geteuid() == 0:
        files += [(f"{spool}/{name}", "user") for spool in SPOOLS for name in _names(spool)]
    for file, kind in files:
        try:
            yield of_file(file, options._replace(kind=kind))
        except CronflowError:
            continue  # it does not exist, or is not a crontab
    if os.geteuid() != 0 and (own := _own()) is not None:
        yield table("crontab -l", own, options._replace(kind="user"))


def _own() -> bytes | None:
    done = ask("crontab", "-l")
    return done.stdout if done is not None and done.returncode == 0 else None


def _names(folder: str) -> list[str]:
    return sorted(name for name in _listed(folder) if name[0] != "." and os.path.isfile(os.path.join(folder, name)))


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
