"""The variables of a crontab: they hold for all lines below them, and some say what a job file says by keys.

SHELL is `shell`, HOME a `cwd` that is the home too, MAILTO and MAILFROM the alerts that are mails, CRON_TZ `timezone` and
RANDOM_DELAY `jitter` (these two and MAILFROM are cronie's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from cronflow.core.jobs import AlertTarget, Job
from cronflow.export.chain import Chain
from cronflow.export.cronline import shell_of, whole_minutes
from cronflow.export.losses import mentions, written
from cronflow.export.report import Report, UnwritableError, Wanted
from cronflow.jobfile.machine import default_path

UNQUOTED = re.compile(r"""[^\s'"](?:.*[^\s'"])?""")
OF_CRON = ("LOGNAME", "CRON_TZ", "MAILTO", "MAILFROM", "RANDOM_DELAY", "SHELL")
"""Names that a job's `env` cannot set by a line of the table."""
LONGEST = 900
"""Characters of a value; Debian's cron takes lines of 1,000 (MAX_ENVSTR in its cron.h)."""
SENDER = "root@localhost"
"""From whom mails are where MAILFROM does not say it."""


def at_the_top(wanted: Wanted) -> dict[str, str]:
    """What is in force before the first line (crontab(5))."""
    cronies = {"CRON_TZ": wanted.zone, "RANDOM_DELAY": "0", "MAILFROM": ""}
    return {"SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", "MAILTO": wanted.user, **cronies}


def of_chain(chain: Chain, wanted: Wanted, report: Report) -> dict[str, str]:
    """The variables in which the line of a chain runs: those of `env` that all of its jobs have alike, and cron's own."""
    first = chain.jobs[0]
    user = first.user or wanted.user
    shared = {
        name: value
        for name, value in first.env.items()
        if all(job.env.get(name) == value for job in chain.jobs) and _fits(name, value)
    }
    shared.setdefault("PATH", default_path(0 if user in ("root", "0") else 1))
    if "USER" not in shared and any(mentions(job, "USER") for job in chain.jobs):
        shared["USER"] = user
    if "HOME" in shared and any(job.cwd != shared["HOME"] for job in chain.jobs):
        del shared["HOME"]  # cron would start there, too
    delay = whole_minutes(first)
    if delay:
        told = "is written as `RANDOM_DELAY`, which cronie obeys and Debian's cron does not"
        report.lose(first.name, "jitter", f"`{written('jitter', first.jitter)}` {told}")
    shared |= {"SHELL": shell_of(chain), "CRON_TZ": first.timezone, "RANDOM_DELAY": str(delay)}
    return {**shared, **_mail(chain.jobs, wanted, report)}


def _fits(name: str, value: str) -> bool:
    """Whether a line of a table can set a variable (load_env() in env.c of cron)."""
    quotes = "'" in value and '"' in value and not UNQUOTED.fullmatch(value)
    return name not in OF_CRON and not quotes and "\n" not in value and len(value) < LONGEST


def assigned(name: str, value: str) -> str:
    """The line that sets a variable."""
    if "\n" in value:
        raise UnwritableError(f"`{name}` would have a line break in it")
    if UNQUOTED.fullmatch(value):
        return f"{name}={value}"
    return f'{name}="{value}"' if '"' not in value else f"{name}='{value}'"


def lasting(entries: Sequence[Mapping[str, str]]) -> set[str]:
    """The variables that every line has from the first one on that has them: no line can unset one."""
    seen: set[str] = set()
    gone: set[str] = set()
    for variables in entries:
        gone |= seen - variables.keys()
        seen |= variables.keys()
    return seen - gone


# ---- mail -----------------------------------------------------------------------------------------------------------------


def _mail(jobs: Sequence[Job], wanted: Wanted, report: Report) -> dict[str, str]:
    """MAILTO and MAILFROM for what some jobs print: the addresses of their alerts, "" for none; without alerts cron mails to the
    owner of the table."""
    alerts = wanted.jobs.alerts
    if not alerts:
        return {"MAILTO": "" if jobs[0].alert == () else wanted.user, "MAILFROM": ""}
    found: list[str] = []
    senders: list[str] = []
    for job in jobs:
        for name in alerts if job.alert is None else job.alert:
            receivers, sender = mail_of(alerts[name])
            if not receivers:
                report.lose(job.name, "alert", f"`alert`: `{name}` is no mail, and cron sends nothing but mail")
            found += [one for one in receivers if one not in found]
            senders += [sender] if receivers else []
    if found:
        report.lose(jobs[0].name, "alert", f"`alert`: cron mails what it prints to {', '.join(found)}, whether it fails or not")
    return {"MAILTO": ",".join(found), "MAILFROM": senders[0] if senders and senders[0] != SENDER else ""}


def mail_of(target: AlertTarget) -> tuple[list[str], str]:
    """The receivers and the sender of an alert target that is one mailto URL with a `to`; no receivers for any other one."""
    if len(target.urls) != 1 or not target.urls[0].startswith(("mailto://", "mailtos://")):
        return [], ""
    query = parse_qs(urlsplit(target.urls[0]).query)
    receivers = [one for text in query.get("to", []) for one in text.split(",") if one]
    return receivers, (query.get("from") or [SENDER])[0]
