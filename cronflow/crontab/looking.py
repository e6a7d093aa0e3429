"""What a table is, found by looking at it: a user's, one with a user column, an anacrontab; and whose rules it follows."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cronflow.crontab.settings import assignment
from cronflow.crontab.tables import Daemon, Kind

FIELD = re.compile(r"[0-9*,/~A-Za-z-]+")
USER = re.compile(r"[a-z_][a-z0-9_-]*\$?")
KNOWN = frozenset("root nobody daemon www-data postgres mysql mail backup git nginx apache http asterisk munin nagios".split())
PROGRAMS = frozenset(
    "test cd echo php python python2 python3 perl ruby node bash sh zsh ksh if find sleep rsync docker env source export exec run-parts "
    "sudo su nice ionice chronic cronic curl wget tar cp mv rm mkdir touch cat date git make systemctl service timeout flock "
    "nohup ssh scp logger logrotate certbot rails rake bundle npm npx yarn java go command true false set umask time ls for "
    "while case kill killall pkill mysqldump pg_dump psql reboot shutdown ntpdate apt-get apt yum dnf sqlite3 aws gsutil rclone".split()
)
"""First words of commands, which are no users."""
HEADING = re.compile(r"#.*\b(dow|weekday|day of week|wday)\b.*\buser", re.IGNORECASE)
ANACRON = re.compile(r"[ \t]*(@(?:daily|weekly|monthly|yearly|annually)|[0-9]+)[ \t]+[0-9]+[ \t]+([A-Za-z][^ \t/*]*)[ \t]+\S")
SYSTEM_PATHS = ("/etc/crontab", "/etc/cron.d/")


def kind_of(path: str, text: str) -> Kind:
    """What a table is, by its path and then by its lines."""
    if path.endswith("anacrontab"):
        return "anacron"
    if any(known in path for known in SYSTEM_PATHS) and "/etc/crontabs/" not in path:
        return "system"
    lines = [line.strip(" \t\r") for line in text.split("\n")]
    jobs = [line for line in lines if line and line[0] != "#" and assignment(line) is None]
    if jobs and all(ANACRON.match(line) for line in jobs):
        return "anacron"
    rests = [rest for line in jobs if (rest := _rest(line)) is not None]
    return "system" if rests and _users(rests, any(HEADING.match(line) for line in lines)) else "user"


def daemon_of(text: str) -> Daemon:
    """Whose rules a table follows, if a line tells: Alpine's busybox has folders in /etc/periodic."""
    return "busybox" if re.search(r"^[^#\n]*\brun-parts /etc/periodic/", text, re.MULTILINE) else "auto"


def _rest(line: str) -> list[str] | None:
    """The words behind the time fields of a line, None where these are none."""
    words = line.split(None, 8)
    count = 1 if words[0][0] == "@" else 5
    if len(words) <= count or not all(FIELD.fullmatch(word) for word in words[1:count]):
        return None
    return words[count:]


def _users(rests: Sequence[Sequence[str]], heading: bool) -> bool:
    """Whether the first of these words are users, all of them."""
    first = {words[0] for words in rests}
    if any(len(words) < 2 for words in rests) and not heading:
        return False
    if heading:
        return all(USER.fullmatch(word) or word[0] == "$" for word in first)
    if not all(USER.fullmatch(word) for word in first):
        return False
    return bool(first & KNOWN) or not first & PROGRAMS and all(_command(words) for words in rests)


def _command(words: Sequence[str]) -> bool:
    """Whether the second word looks like the beginning of a command."""
    second = words[1]
    return second[0] in "/[$*.({\"'" or second in PROGRAMS or second == words[0] or "=" in second
