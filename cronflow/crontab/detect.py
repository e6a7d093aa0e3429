"""Detects the kind of a crontab (a user's, one with a user column, an anacrontab) and the daemon whose rules it follows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cronflow.crontab.commandwords import PROGRAMS
from cronflow.crontab.settings import assignment
from cronflow.crontab.tables import Daemon, TableKind

FIELD = re.compile(r"(?:[0-9*,/~-]|(?<![A-Za-z])[A-Za-z]{3}(?![A-Za-z]))+")
USER = re.compile(r"[a-z_][a-z0-9_-]*\$?")
KNOWN = frozenset(("root", "nobody", "daemon", "www-data", "postgres", "mysql", "mail", "backup", "nginx", "apache", "munin"))
"""Users of many systems."""
HEADING = re.compile(r"#.*\b(dow|weekday|day of week|wday)\b.*\buser", re.IGNORECASE)
ANACRON = re.compile(r"[ \t]*(@(?:daily|weekly|monthly|yearly|annually)|[0-9]+)[ \t]+[0-9]+[ \t]+([A-Za-z][^ \t/*]*)[ \t]+\S")
USER_PATHS = ("/etc/crontabs/", "/var/spool/cron/")
SYSTEM_PATHS = ("/etc/crontab", "/etc/cron.d/")


def kind_of(path: str, text: str) -> TableKind:
    """The kind of a crontab, by its path or else by its lines."""
    if path.endswith("anacrontab"):
        return "anacron"
    if any(known in path for known in USER_PATHS):
        return "user"
    if any(known in path for known in SYSTEM_PATHS):
        return "system"
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    jobs = _jobs(lines) or _jobs([line.lstrip("# \t") for line in lines if line.startswith("#")])
    if jobs and all(ANACRON.match(line) for line in jobs):
        return "anacron"
    rests = [rest for line in jobs if (rest := _rest(line)) is not None]
    return "system" if rests and _users(rests, any(HEADING.match(line) for line in lines)) else "user"


def _jobs(lines: Sequence[str]) -> list[str]:
    """The lines that are not empty, comments or settings."""
    return [line for line in lines if line and line[0] != "#" and assignment(line) is None]


def daemon_of(text: str) -> Daemon:
    """The daemon whose rules a crontab follows, if a line reveals it: Alpine's busybox has /etc/periodic, and needs no `\\%`."""
    alpine = re.search(r"^[^#\n]*\brun-parts /etc/periodic/", text, re.MULTILINE)
    return "busybox" if alpine and not re.search(r"^[^#\n]*\\%", text, re.MULTILINE) else "auto"


def _rest(line: str) -> list[str] | None:
    """The words after the time fields of a line; None if it has no time fields."""
    words = re.split(r"[ \t]+", line.strip(" \t"), maxsplit=8)
    count = 1 if words[0][0] == "@" else 5
    if len(words) <= count or not all(FIELD.fullmatch(word) for word in words[1:count]):
        return None
    return words[count:]


def _users(rests: Sequence[Sequence[str]], heading: bool) -> bool:
    """Whether all of these lines begin with a user."""
    first = {words[0] for words in rests}
    if any(len(words) < 2 for words in rests) and not heading:
        return False
    if heading:
        return all(USER.fullmatch(word) or word[0] == "$" for word in first)
    if not all(USER.fullmatch(word) for word in first):
        return False
    return bool(first & KNOWN) or (not first & PROGRAMS and all(map(_command, rests)))


def _command(words: Sequence[str]) -> bool:
    """Whether the second word looks like the beginning of a command."""
    second = words[1]
    return second[0] in "/[$*.({\"'" or second in PROGRAMS or second == words[0] or "=" in second
