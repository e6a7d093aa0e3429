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

from cronflow.core.jobs import Command
from cronflow.core.words import count
from cronflow.crontab.sources import Choice, daemon_of, of_file, table, unread
from cronflow.crontab.tables import Entry, Kind, Table
from cronflow.doctor.finding import Finding, Scene, ok, problem, warning
from cronflow.errors import CronflowError

SYSTEM = "/etc/crontab"
FOLDER = "/etc/cron.d"
ANACRON = "/etc/anacrontab"
SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron", "/etc/crontabs")
SECONDS = 5.0
CRONS = frozenset(("cron", "crond", "anacron", "fcron"))
"""Names of programs that start what crontabs say."""
GENERATED = "/run/systemd/generator"
"""Where systemd-cron keeps the units that it makes of crontabs."""
ELSEWHERE = re.compile(r"(?:\s*[12&]?>{1,2}\s*\S+|\s*2>&1)+\s*$")
"""Where a command sends its output, at its end: with a scheduler that keeps the output nobody writes that any more."""


def crontabs(scene: Scene) -> Iterator[Finding]:
    """Jobs that cron runs as well."""
    if scene.jobs is None:
        return
    jobs = {_plain(job.command, job.stdin): job.name for job in scene.jobs.jobs.values()}
    twice, others, active = 0, 0, _active()
    for one in _tables():
        for line in one.items:
            name = jobs.get(_plain(line.command, line.stdin)) if isinstance(line, Entry) else None
            if name is not None:
                twice += 1
                place, hint = f"line {line.line} of `{one.name}`", "put a `#` in front of that line"
                if active:
                    yield problem("crontab", f"cron runs the command of this job as well: {place}", hint, name)
                else:
                    told = f"cron, which does not run now, would run the command of this job as well: {place}"
                    yield warning("crontab", told, hint, name)
            others += isinstance(line, Entry)
    if not twice:
        told = f"; {count(others, 'line')} of crontabs {'runs' if others == 1 else 'run'} other things" if others else ""
        yield ok("crontab", f"cron runs none of these jobs{told}")


def _active() -> bool:
    """Whether a program runs that reads crontabs; True where the processes of others cannot be seen (proc(5), hidepid)."""
    import psutil

    if not os.path.exists("/proc/1/stat") or any(name.startswith("cron-") for name in _listed(GENERATED)):
        return True
    return any(process.info["name"] in CRONS for process in psutil.process_iter(["name"]))


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
    return sorted(name for name in _listed(folder) if name[0] != "." and os.path.isfile(os.path.join(folder, name)))


def _listed(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
