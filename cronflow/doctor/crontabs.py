"""Whether cron still runs what is a job now: lines of crontabs with the command of a job, which then runs twice."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

from cronflow.core.words import count
from cronflow.doctor.finding import Finding, Scene, ok, problem

SYSTEM = "/etc/crontab"
FOLDER = "/etc/cron.d"
SPOOLS = ("/var/spool/cron/crontabs", "/var/spool/cron")
SECONDS = 5.0
LINE = re.compile(r"\s*(?:@\w+|(?:[^\s#=]+\s+){4}[^\s=]+)\s+(\S.*)")
"""A line of crontab(5) that starts something: `@daily`, or five fields, and the rest."""
ELSEWHERE = re.compile(r"(?:\s*[12&]?>{1,2}\s*\S+|\s*2>&1)+\s*$")
"""Where a command sends its output, at its end: with a scheduler that keeps the output nobody writes that any more."""


class Line(NamedTuple):
    """A command that cron runs, and where that is written."""

    file: str
    number: int
    command: str


def crontabs(scene: Scene) -> Iterator[Finding]:
    """Jobs that cron runs as well."""
    if scene.jobs is None:
        return
    lines = list(_lines())
    jobs: dict[str, str] = {}
    for job in scene.jobs.jobs.values():
        jobs[_plain(job.command if isinstance(job.command, str) else shlex.join(job.command))] = job.name
    twice = 0
    for line in lines:
        name = jobs.get(_plain(line.command))
        if name is not None:
            twice += 1
            told = f"cron runs the command of this job as well: line {line.number} of `{line.file}`"
            yield problem("crontab", told, "put a `#` in front of that line", name)
    if not twice:
        others = f"; {count(len(lines), 'line')} of crontabs run other things" if lines else ""
        yield ok("crontab", f"cron runs none of these jobs{others}")


def _plain(command: str) -> str:
    return " ".join(ELSEWHERE.sub("", command.replace("\\%", "%")).split())


def _lines() -> Iterator[Line]:
    """All that cron runs, as far as this user may know: the crontabs of the system, and its own, or as root everybody's."""
    files = [SYSTEM, *(f"{FOLDER}/{name}" for name in sorted(_names(FOLDER)) if re.fullmatch(r"[A-Za-z0-9_-]+", name))]
    for file in files:
        yield from _read(file, _text(file), system=True)
    if os.geteuid() == 0:
        for spool in SPOOLS:
            for name in sorted(_names(spool)):
                yield from _read(f"{spool}/{name}", _text(f"{spool}/{name}"), system=False)
    elif (program := shutil.which("crontab")) is not None:
        try:
            done = subprocess.run([program, "-l"], capture_output=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL)
        except (OSError, subprocess.TimeoutExpired):
            return
        yield from _read("crontab -l", done.stdout.decode(errors="replace") if done.returncode == 0 else "", system=False)


def _names(folder: str) -> list[str]:
    try:
        return [name for name in os.listdir(folder) if os.path.isfile(os.path.join(folder, name))]
    except OSError:
        return []


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 20)
    except OSError:
        return ""


def _read(file: str, text: str, system: bool) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), 1):
        match = None if line.lstrip().startswith("#") else LINE.fullmatch(line)
        if match is not None:
            rest = match[1].split(None, 1)
            if not system or len(rest) == 2:  # those of the system name a user in front
                yield Line(file, number, rest[1] if system else match[1])
