"""The variables of a crontab: each holds for all lines below it, and some stand for keys of a job.

SHELL is `shell`, HOME a `cwd` that is the home too, MAILTO and MAILFROM are alerts by mail, CRON_TZ is `timezone` and
RANDOM_DELAY `jitter` (the last two and MAILFROM are cronie's).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qs, urlsplit

from cronflow.core.jobs import AlertTarget, Job
from cronflow.export.chain import Chain
from cronflow.export.cronline import shell_of, whole_minutes
from cronflow.export.losses import mentions, written
from cronflow.export.report import ExportReport, ExportRequest, UnwritableError
from cronflow.jobfile.machine import default_path

UNQUOTED = re.compile(r"""[^\s'"](?:.*[^\s'"])?""")
OF_CRON = ("LOGNAME", "CRON_TZ", "MAILTO", "MAILFROM", "RANDOM_DELAY", "SHELL")
"""Names that a job's `env` cannot set by a line of the table."""
LONGEST = 900
"""Characters of a value; Debian's cron takes lines of 1,000 (MAX_ENVSTR in its cron.h)."""
SENDER = "root@localhost"
"""The sender of mails without MAILFROM."""


def initial(request: ExportRequest) -> dict[str, str]:
    """The variables before the first line of a crontab (crontab(5))."""
    cronies = {"CRON_TZ": request.zone, "RANDOM_DELAY": "0", "MAILFROM": ""}
    return {"SHELL": "/bin/sh", "PATH": "/usr/bin:/bin", "MAILTO": request.user, **cronies}


def of_chain(chain: Chain, report: ExportReport) -> dict[str, str]:
    """The variables for the line of a chain: those of `env` with the same value in all of its jobs, and cron's own."""
    first = chain.jobs[0]
    user = first.user or report.request.user
    shared = {
        name: value
        for name, value in first.env.items()
        if all(job.env.get(name) == value for job in chain.jobs) and _fits(name, value)
    }
    shared.setdefault("PATH", default_path(0 if user in ("root", "0") else 1))
    if "USER" not in shared and any(mentions(job, "USER") for job in chain.jobs):
        shared["USER"] = user
    if "HOME" in shared and any(job.cwd != shared["HOME"] for job in chain.jobs):
        del shared["HOME"]  # cron would also start there
    delay = whole_minutes(first)
    if delay:
        how = "is written as `RANDOM_DELAY`, which cronie obeys and Debian's cron does not"
        report.lose(first.name, "jitter", f"`{written('jitter', first.jitter)}` {how}")
    shared |= {"SHELL": shell_of(chain), "CRON_TZ": first.timezone, "RANDOM_DELAY": str(delay)}
    return {**shared, **_mail(chain.jobs, report)}


def _fits(name: str, value: str) -> bool:
    """Whether a line of a crontab can set a variable (load_env() in env.c of cron)."""
    quotes = "'" in value and '"' in value and not UNQUOTED.fullmatch(value)
    return name not in OF_CRON and not quotes and "\n" not in value and len(value) < LONGEST


def assigned(name: str, value: str) -> str:
    """The line that sets a variable. Raises UnwritableError for a value with line breaks."""
    if "\n" in value:
        raise UnwritableError(f"`{name}` would have a line break in it")
    if UNQUOTED.fullmatch(value):
        return f"{name}={value}"
    return f'{name}="{value}"' if '"' not in value else f"{name}='{value}'"


def lasting(entries: Sequence[Mapping[str, str]]) -> set[str]:
    """The variables that each line has once an earlier one has them: no line can unset a variable."""
    seen: set[str] = set()
    gone: set[str] = set()
    for variables in entries:
        gone |= seen - variables.keys()
        seen |= variables.keys()
    return seen - gone


# ---- mail -----------------------------------------------------------------------------------------------------------------


def _mail(jobs: Sequence[Job], report: ExportReport) -> dict[str, str]:
    """MAILTO and MAILFROM: the addresses of the jobs' alerts, "" for none; the crontab's owner if there are no alert targets."""
    alerts = report.request.jobs.alerts
    if not alerts:
        return {"MAILTO": "" if jobs[0].alert == () else report.request.user, "MAILFROM": ""}
    found: list[str] = []
    senders: list[str] = []
    for job in jobs:
        for name in alerts if job.alert is None else job.alert:
            receivers, sender = mail_of(alerts[name])
            if not receivers:
                report.lose(job.name, "alert", f"`alert`: `{name}` is not mail, and cron sends only mail")
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
