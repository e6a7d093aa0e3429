"""A table of cron as cron reads it (crontab(5), do_command.c of cronie): written for these tests, and run by a real shell."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple


class Line(NamedTuple):
    """A job: when, the command and its standard input as cron hands them over, and the variables that hold for it."""

    when: str
    user: str
    command: str
    stdin: str
    variables: dict[str, str]


def lines(text: str, system: bool = False) -> list[Line]:
    """The jobs of a table."""
    found = []
    held: dict[str, str] = {}
    for row in text.splitlines():
        if not row.strip() or row.lstrip().startswith("#"):
            continue
        setting = re.fullmatch(r"([A-Za-z_]\w*)=(.*)", row)
        if setting:
            value = setting[2].strip()
            held[setting[1]] = value[1:-1] if value[:1] in "'\"" and value[-1:] == value[:1] else value
            continue
        count = (1 if row[0] == "@" else 5) + system
        *words, rest = row.split(None, count)
        user = words.pop() if system else ""
        command, _, stdin = re.sub(r"\\%", "\0", rest).partition("%")
        read = stdin.replace("%", "\n").replace("\0", "%")
        ended = read if not read or read.endswith("\n") else read + "\n"
        found.append(Line(" ".join(words), user, command.replace("\0", "%"), ended, dict(held)))
    return found


def run(line: Line, folder: Path, **more: str) -> str:
    """What a line prints: the shell of the table, with the environment that cron makes."""
    env = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LOGNAME": "anna", **line.variables, **more}
    shell = line.variables.get("SHELL", "/bin/sh")
    words = [shell, "-c", line.command]
    done = subprocess.run(
        words, input=line.stdin, env=env, cwd=env["HOME"], capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr
