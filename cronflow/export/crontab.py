"""`cronflow export crontab`: a table that Debian's cron and cronie read (crontab(5)), a line for each flow that is a chain.

What a crontab cannot say a line of shell often can; what neither can is refused or told. A comment right above a line is the
job's description, and what is lost stands apart from it: so `cronflow import` gives back what this has written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from cronflow.core.flow import Flow
from cronflow.core.model import AlertTarget, Job
from cronflow.export.chain import Chain, chain_of
from cronflow.export.cronline import line_of, shell_of
from cronflow.export.crontimes import CronLine, cron_lines, shifted
from cronflow.export.dates import guard, today
from cronflow.export.losses import mentions, tell_lost, tell_variables
from cronflow.export.report import Report, UnwritableError, Wanted, Written
from cronflow.export.selection import select
from cronflow.jobfile.machine import default_path
from cronflow.jobfile.values import length

KEPT = frozenset(
    (
        *("jitter", "skip_on", "only_on", "success_codes", "skip_codes", "umask", "nice", "timeout", "kill_after", "check"),
        *("on_failure", "on_success", "params", "secrets", "owner", "runbook", "tags", "alert", "after_timeout"),
    )
)
TOLD = {
    "group": "it has the groups of its user",
    "overlap": "cron starts it although the run before still goes on",
    "catchup": "what is missed while cron does not run is not caught up",
}
LONGEST = 998
"""Characters of a command beyond which Debian's cron ignores the whole table (MAX_COMMAND in its cron.h)."""
UNQUOTED = re.compile(r"""[^\s'"](?:.*[^\s'"])?""")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Entry(NamedTuple):
    """A flow as lines of a table: its jobs, when they start, and the variables that they need in force."""

    flow: str
    chain: Chain
    times: Sequence[CronLine]
    variables: Mapping[str, str]


def export(wanted: Wanted) -> Written:
    """The table as one file."""
    report = Report()
    entries = []
    plan = select(wanted.jobs.jobs, report, lambda job: _judge(job, wanted))
    for flow in plan.flows.values():
        try:
            entries.append(_entry(flow, wanted, report))
        except UnwritableError as fact:
            report.refuse(flow.jobs, fact.reason)
    return Written({"": _table(entries, wanted, report)}, report, [_next(wanted)] if entries else [])


def _next(wanted: Wanted) -> str:
    if wanted.system:
        return "next: copy it to /etc/cron.d, as a file of root, with no dot in its name"
    return "next: `crontab FILE` puts it in the place of the whole table that is there"


def _judge(job: Job, wanted: Wanted) -> None:
    """Refuse what no line of a crontab can say."""
    if job.foreach is not None:
        raise UnwritableError("a `foreach` makes its tasks while it runs")
    if job.approve is not None:
        raise UnwritableError("it waits for an approval, which cron cannot ask for")
    if job.user is not None and not wanted.system and job.user != wanted.user:
        raise UnwritableError(f"it runs as `{job.user}`, and this table is for `{wanted.user}`: `--system` writes a user column")
    if job.enabled is False and job.after:
        raise UnwritableError("it is disabled, and what comes after it hangs on that")


def _entry(flow: Flow, wanted: Wanted, report: Report) -> Entry:
    root = flow.head
    if flow.outer:
        raise UnwritableError("it comes after jobs with other schedules, of which cron knows nothing")
    if not flow.triggers:
        raise UnwritableError("it starts only by hand, and cron starts by time")
    times = cron_lines(root, wanted.zone)
    if not times:
        events = " and ".join(f"`{key}`" for key in ("at", "watch") if getattr(root, key))
        raise UnwritableError(f"it starts by {events}, and cron starts by a repeated time")
    chain = chain_of(flow)
    for job in chain.jobs:
        tell_lost(job, KEPT, report, TOLD)
        tell_variables(job, (), report)
    _tell_times(root, wanted, report)
    return Entry(flow.name, chain, times, _variables(chain, wanted, report))


def _tell_times(root: Job, wanted: Wanted, report: Report) -> None:
    if root.timezone != wanted.zone:
        told = f'`timezone = "{root.timezone}"` is written as `CRON_TZ`, which cronie obeys; Debian\'s cron ignores it and starts'
        report.lose(root.name, "timezone", f"{told} the job by the clock of the machine ({wanted.zone} here)")
    if root.every is not None and shifted(root.every, root.timezone, wanted.now):
        told = f'`every = "{length(root.every)}"` is counted from midnight in {root.timezone}'
        report.lose(root.name, "every", f"{told}, where cronflow counts from 1970-01-01 00:00 UTC")
    if root.skip_on or root.only_on:
        report.lose(root.name, "skip_on", "its calendars are written out as they are today")


# ---- variables ------------------------------------------------------------------------------------------------------------


def _variables(chain: Chain, wanted: Wanted, report: Report) -> dict[str, str]:
    """The variables of the table in which a chain runs: those that all of its jobs have alike."""
    first = chain.jobs[0]
    shared = {
        name: value
        for name, value in first.env.items()
        if all(job.env.get(name) == value for job in chain.jobs) and _fits(name, value)
    }
    user = first.user or wanted.user
    shared.setdefault("PATH", default_path(0 if user in ("root", "0") else 1))
    shared["SHELL"] = shell_of(chain)
    if "USER" not in shared and any(mentions(job, "USER") for job in chain.jobs):
        shared["USER"] = user
    if any(job.timezone != wanted.zone for job in wanted.jobs.jobs.values()):
        shared["CRON_TZ"] = first.timezone
    mail = _mail(chain.jobs, wanted.jobs.alerts, report)
    return shared if mail is None else {**shared, "MAILTO": mail}


def _fits(name: str, value: str) -> bool:
    """Whether a line of a table can set a variable (load_env() in env.c of cron)."""
    quotes = "'" in value and '"' in value and not UNQUOTED.fullmatch(value)
    return name not in ("LOGNAME", "USER", "CRON_TZ", "MAILTO") and not quotes and "\n" not in value and len(value) < 900


def _mail(jobs: Sequence[Job], alerts: Mapping[str, AlertTarget], report: Report) -> str | None:
    """MAILTO for what some jobs print: the addresses of their alerts; "" for none; None where nothing is said of mail."""
    if not alerts:
        return None
    found: list[str] = []
    for job in jobs:
        for name in alerts if job.alert is None else job.alert:
            address = address_of(alerts[name])
            if address is None:
                report.lose(job.name, "alert", f"`alert`: `{name}` is no mail, and cron sends nothing but mail")
            elif address not in found:
                found.append(address)
    if found:
        report.lose(jobs[0].name, "alert", f"`alert`: cron mails what it prints to {', '.join(found)}, whether it fails or not")
    return ",".join(found)


def address_of(target: AlertTarget) -> str | None:
    """The address of an alert target that is one mailto URL with a `to`."""
    if len(target.urls) != 1 or not target.urls[0].startswith(("mailto://", "mailtos://")):
        return None
    parts = urlsplit(target.urls[0])
    return ",".join(parse_qs(parts.query).get("to", [])) or None


def _assigned(name: str, value: str) -> str:
    if UNQUOTED.fullmatch(value):
        return f"{name}={value}"
    return f'{name}="{value}"' if '"' not in value else f"{name}='{value}'"


# ---- the table ------------------------------------------------------------------------------------------------------------


def _table(entries: Sequence[Entry], wanted: Wanted, report: Report) -> str:
    """The text. A variable that a later line must not have is set in the lines that have it."""
    lasting = _lasting(entries)
    in_force: dict[str, str] = {"SHELL": "/bin/sh"}
    body: list[str] = []
    for entry in entries:
        outside = {name: value for name, value in entry.variables.items() if name in lasting}
        try:
            lines = list(_lines(entry, outside, wanted, report))
        except UnwritableError as fact:
            report.refuse([job.name for job in entry.chain.jobs], fact.reason)
            continue
        settings = [_assigned(name, value) for name, value in outside.items() if in_force.get(name) != value]
        in_force.update(outside)
        body += [*settings, ""] if settings else []
        body += [*_remarks(entry.chain, report), *lines, ""]
    return "\n".join([*_head(wanted, report), "", *body])


def _lasting(entries: Sequence[Entry]) -> set[str]:
    """The variables that every line has from the first one on that has them."""
    lasting: set[str] = set()
    gone: set[str] = set()
    for entry in entries:
        gone |= lasting - entry.variables.keys()
        lasting |= entry.variables.keys()
    return lasting - gone


def _remarks(chain: Chain, report: Report) -> Iterator[str]:
    """The names of the jobs and what is lost of them, apart from the line; then their descriptions, right above it."""
    losses = [(job.name, message) for job in chain.jobs for message in report.of(job.name)]
    if losses or len(chain.jobs) > 1:
        yield f"# {' -> '.join(job.name for job in chain.jobs)}"
        for name, message in losses:
            yield f"#   lost: {f'{name}: ' if len(chain.jobs) > 1 else ''}{message}"
        yield ""
    for job in chain.jobs:
        name = f"{job.name}: " if len(chain.jobs) > 1 else ""
        for number, line in enumerate(job.description.splitlines()):
            yield f"# {name if number == 0 else ''}{line}".rstrip()
        for key in ("owner", "runbook"):
            if getattr(job, key):
                yield f"# {name}{key}: {getattr(job, key)}"
        if job.tags:
            yield f"# {name}tags: {', '.join(job.tags)}"


def _lines(entry: Entry, outside: Mapping[str, str], wanted: Wanted, report: Report) -> Iterator[str]:
    root = entry.chain.jobs[0]
    mark = "" if root.enabled else "#"
    user = f"{root.user or wanted.user} " if wanted.system else ""
    for time in entry.times:
        days = guard(root, wanted, today(root, wanted), "exit 0")
        command = line_of(entry.chain, time, outside, days, entry.flow, wanted, report)
        if len(command) > LONGEST:
            told = f"its line would have {len(command):,} characters, and Debian's cron takes {LONGEST}"
            raise UnwritableError(f"{told}: put the command into a script")
        yield f"{mark}{time.when} {user}{command}"


def _head(wanted: Wanted, report: Report) -> list[str]:
    kind = "a table of the system, with a user column" if wanted.system else f"the table of {wanted.user}"
    head = [
        f"# {wanted.source} as {kind}, written by `cronflow export crontab`.",
        "# Nothing is kept of runs but what they print, which cron mails to MAILTO.",
    ]
    shared = report.shared()
    head += ["#", "# Lost of every job:", *(f"#   {message}" for message in shared)] if shared else []
    left_out = [line for line in report.lines() if ": not written: " in line]
    return [*head, "#", *(f"# {line}" for line in left_out)] if left_out else head
