"""`cronflow export crontab`: a table that Debian's cron and cronie read (crontab(5)), a line for each flow that is a chain.

What a crontab cannot say a line of shell often can; what neither can is refused or told. A comment right above a line is the
job's description, and what is lost stands apart from it: so `cronflow import` gives back what this has written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.export import variables
from cronflow.export.chain import Chain, chain_of
from cronflow.export.cronline import line_of
from cronflow.export.crontimes import CronLine, cron_lines, shifted
from cronflow.export.dates import guard, today
from cronflow.export.losses import tell_lost, tell_variables
from cronflow.export.report import Report, UnwritableError, Wanted, Written
from cronflow.export.selection import select
from cronflow.jobfile.values import format_duration

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
    if job.approve is not None:
        raise UnwritableError("it waits for an approval, which cron cannot ask for")
    if job.user is not None and not wanted.system and job.user != wanted.user:
        raise UnwritableError(f"it runs as `{job.user}`, and this table is for `{wanted.user}`: `--system` writes a user column")
    if wanted.system and (job.user or wanted.user).split() != [job.user or wanted.user]:
        raise UnwritableError(f"`user = {job.user!r}` is no word for a column")


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
    chain = chain_of(flow, report)
    for job in chain.jobs:
        tell_lost(job, KEPT, report, TOLD)
        tell_variables(job, (), report)
    _tell_times(root, wanted, report)
    return Entry(flow.name, chain, times, variables.of_chain(chain, wanted, report))


def _tell_times(root: Job, wanted: Wanted, report: Report) -> None:
    if root.timezone != wanted.zone:
        told = f'`timezone = "{root.timezone}"` is written as `CRON_TZ`, which cronie obeys; Debian\'s cron ignores it and starts'
        report.lose(root.name, "timezone", f"{told} the job by the clock of the machine ({wanted.zone} here)")
    if root.every is not None and shifted(root.every, root.timezone, wanted.now):
        told = f'`every = "{format_duration(root.every)}"` is counted from midnight in {root.timezone}'
        report.lose(root.name, "every", f"{told}, where cronflow counts from 1970-01-01 00:00 UTC")
    if root.skip_on or root.only_on:
        report.lose(root.name, "skip_on", "its calendars are written out as they are today")


# ---- the table ------------------------------------------------------------------------------------------------------------


def _table(entries: Sequence[Entry], wanted: Wanted, report: Report) -> str:
    """The text. A variable that a later line must not have is set in the lines that have it."""
    lasting = variables.lasting([entry.variables for entry in entries])
    in_force = variables.at_the_top(wanted)
    found: list[tuple[Entry, list[str], list[str]]] = []
    for entry in entries:
        outside = {name: value for name, value in entry.variables.items() if name in lasting}
        try:
            lines = list(_lines(entry, outside, wanted, report))
            settings = [variables.assigned(name, value) for name, value in outside.items() if in_force.get(name) != value]
        except UnwritableError as fact:
            report.refuse([job.name for job in entry.chain.jobs], fact.reason)
            continue
        in_force.update(outside)
        found.append((entry, settings, lines))
    shared = report.shared()
    body: list[str] = []
    for entry, settings, lines in found:
        losses = [(job.name, told) for job in entry.chain.jobs for told in report.of(job.name) if told not in shared]
        body += [*settings, ""] if settings else []
        body += [*_remarks(entry.chain, losses), *lines, ""]
    return "\n".join([*_head(wanted, report, shared), "", *body])


def _remarks(chain: Chain, losses: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The names of the jobs and what is lost of them, apart from the line; then their descriptions, right above it."""
    if losses or len(chain.jobs) > 1 or not chain.jobs[0].description:
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
                yield f"# {name}{key}: {' '.join(getattr(job, key).split())}"
        if job.tags:
            yield f"# {name}tags: {' '.join(', '.join(job.tags).split())}"


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


def _head(wanted: Wanted, report: Report, shared: Collection[str]) -> list[str]:
    kind = "a table of the system, with a user column" if wanted.system else f"the table of {wanted.user}"
    head = [
        f"# {wanted.source} as {kind}, written by `cronflow export crontab`.",
        "# Nothing is kept of runs but what they print, which cron mails to MAILTO.",
    ]
    head += ["#", "# Lost of every job:", *(f"#   {message}" for message in sorted(shared))] if shared else []
    left_out = [line for line in report.lines() if ": not written: " in line]
    return [*head, "#", *(f"# {line}" for line in left_out)] if left_out else head
