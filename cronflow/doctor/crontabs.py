"""Whether cron still runs what is a job now: lines of crontabs with the command of a job, which then runs twice.

Tables are read as `cronflow import` reads them, so that what it has made of a line is found again.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator

from cronflow.core.model import Command
from cronflow.core.words import count
from cronflow.crontab.sources import Choice, daemon_of, of_file, table, unread
from cronflow.crontab.tables import Entry, Kind, Table
from cronflow.doctor.finding import Finding, Scene, ok, problem
from cronflow.errors import CronflowError

SYSTEM = "/etc/crontab"
FOLDER = "/etc/cron.d"
ANACRON = "/etc/anacrontab"
SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron", "/etc/crontabs")
SECONDS = 5.0
ELSEWHERE = re.compile(r"(?:\s*[12&]?>{1,2}\s*\S+|\s*2>&1)+\s*$")
"""Where a command sends its output, at its end: with a scheduler that keeps the output nobody writes that any more."""


def crontabs(scene: Scene) -> Iterator[Finding]:
    """Jobs that cron runs as well."""
    if scene.jobs is None:
        return
    jobs = {_plain(job.command, job.stdin): job.name for job in scene.jobs.jobs.values()}
    twice, others = 0, 0
    for one in _tables():
        for line in one.items:
            name = jobs.get(_plain(line.command, line.stdin)) if isinstance(line, Entry) else None
            if name is not None:
                twice += 1
                told = f"cron runs the command of this job as well: line {line.line} of `{one.name}`"
                yield problem("crontab", told, "put a `#` in front of that line", name)
            others += isinstance(line, Entry)
    if not twice:
        told = f"; {count(others, 'line')} of crontabs {'runs' if others == 1 else 'run'} other things" if others else ""
        yield ok("crontab", f"cron runs none of these jobs{told}")


def _plain(command: Command, stdin: str | None) -> tuple[str, str]:
    text = command if isinstance(command, str) else shlex.join(command)
    return " ".join(ELSEWHERE.sub("", text).split()), (stdin or "").rstrip("\n")


def _tables() -> Iterator[Table]:
    """All that cron runs, as far as this user may know: the tables of the system, and its own, or as root everybody's."""
    choice = Choice(None, daemon_of("/"))
    files: list[tuple[str, Kind]] = [(SYSTEM, "system"), (ANACRON, "anacron")]
    files += [(f"{FOLDER}/{name}", "system") for name in _names(FOLDER) if not unread(name, choice.daemon)]
    if os.geteuid() == 0:
        files += [(f"{spool}/{name}", "user") for spool in SPOOLS for name in _names(spool)]
    for file, kind in files:
        try:
            yield of_file(file, choice._replace(kind=kind))
        except CronflowError:
            continue  # it is not there, or is none
    if os.geteuid() != 0 and (own := _own()) is not None:
        yield table("crontab -l", own, choice._replace(kind="user"))


def _own() -> bytes | None:
    """The crontab of this user, None without one."""
    program = shutil.which("crontab")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "-l"], capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _names(folder: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name[0] != "." and os.path.isfile(os.path.join(folder, name)))
    except OSError:
        return []
