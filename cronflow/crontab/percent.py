"""The effect of percent signs in a command (crontab(5); child_process() in do_command.c of cron)."""

from __future__ import annotations

import re

_SIGN = re.compile(r"\\(.)|%", re.DOTALL)
_INPUT = re.compile(r"\\%|%")


def split(text: str, halve: bool) -> tuple[str, str | None]:
    """Split a command from its standard input, which follows the first `%` without a backslash; each further `%` is a newline.

    `halve`: the shell gets one of two backslashes, as under Debian's cron; cronie leaves both."""
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
    """The standard input, to which cron adds a final newline; None if there is none."""
    if not text:
        return None
    read = _INPUT.sub(lambda sign: "%" if len(sign[0]) == 2 else "\n", text)
    return read if read.endswith("\n") else read + "\n"
