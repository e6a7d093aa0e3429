"""Recognizes lines of other programs, which cron refuses or misreads, and says what to write instead."""

from __future__ import annotations

import re

QUARTZ = (
    "`?` is a field of Quartz, whose lines begin with seconds; cron would run a command `?`",
    "in a job file use `schedule`, with five fields, or six with the seconds first, and `*` for `?`",
)
_EVERY = 'in a job file use `every = "5m"`'
_WHOLE = (
    (
        r"!|[%&][a-z0-9,()]*\b",
        "this is a line of fcron",
        "fcron's own syntax has no equivalent in a crontab: write the job by hand",
    ),
    (r"@every[ \t]+\S*[0-9]", "`@every` is a word of Go's cron libraries (supercronic, ofelia)", _EVERY),
    (r"@every_second\b|@[0-9]", "this is an interval of FreeBSD's cron or of fcron", _EVERY),
    (r"@noauto\b", "`@noauto` is a word of dcron: other jobs start such a job", "a job without a schedule is started by hand"),
    (r"(cron|rate)\(", "this is an expression of AWS", "in a job file use `schedule` or `every`"),
    (r"[*0-9/,.-]+-[*0-9/,.-]+-[*0-9/,.-]+[ \tT]+[*0-9/,.]+:", "this is an `OnCalendar=` of systemd", "write it as five fields"),
)
_ITEMS = (
    (r"\?", "`?` is a field of Quartz; write `*`"),
    (r"H([/(].*)?", "`H` is Jenkins' word for a hashed value; write a number"),
    (r"(\d+)?L[WM]?(-\d+)?|\d+L|L[0-7]", "`L` is a word of Quartz; `schedule` of a job file takes it"),
    (r"(\d+|L)W", "`W` is a word of Quartz: the nearest working day, which cannot be expressed here"),
    (r".*#\d", "`#` is a word of Quartz; `schedule` of a job file takes it"),
)


def zoned(rest: str) -> bool:
    """Whether there is a time zone in front of a job, as in Go's libraries; cron takes the whole line for the zone."""
    return re.match(r"(CRON_)?TZ=\S+[ \t]+[*0-9@]", rest) is not None


def whole_line(text: str, first: str) -> tuple[str, str] | None:
    """Rule and hint for a line that is not a crontab line, by its first word; None for any other."""
    rest = text.lstrip(" \t")
    for pattern, rule, hint in _WHOLE:
        if re.match(pattern, rest):
            return rule, hint
    if re.match(r"//|/\*+$", first) or rest.rstrip() in ("*", "*/"):
        return "this is a comment of another language", "comments in a crontab begin with `#`"
    return None


def instead(word: str) -> str | None:
    """A hint for a field that has a meaning elsewhere; None for any other."""
    for item in word.split(","):
        for pattern, hint in _ITEMS:
            if re.fullmatch(pattern, item, re.IGNORECASE):
                return hint
    return None
