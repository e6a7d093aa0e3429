"""What a percent sign does to a command (crontab(5); child_process() in do_command.c of cron)."""

from __future__ import annotations

import re

_SIGN = re.compile(r"\\(.)|%", re.DOTALL)
_INPUT = re.compile(r"\\%|%")


def split(text: str, halve: bool) -> tuple[str, str | None]:
    """The command, and what it reads on its standard input: what stands behind the first `%` without a backslash.

    There each further `%` is the end of a line. `halve`: of two backslashes the shell gets one, as under Debian's cron; cronie
    leaves them alone."""
    command: list[str] = []
    place = 0
    for sign in _SIGN.finditer(text):
        command.append(text[place : sign.start()])
        place = sign.end()
        if sign[0] == "%":
            return "".join(command), _read(text[place:])
        kept = sign[1] if sign[1] == "%" or (halve and sign[1] == "\\") else sign[0]
        command.append(kept)
    return "".join(command) + text[place:], None


def _read(text: str) -> str | None:
    """Standard input: cron puts a newline at its end. Nothing at all is none."""
    if not text:
        return None
    read = _INPUT.sub(lambda sign: "%" if len(sign[0]) == 2 else "\n", text)
    return read if read.endswith("\n") else read + "\n"
