"""`cronflow export crontab`: a crontab that Debian's cron and cronie read (crontab(5)), a line for each flow that is a chain.

What a crontab cannot express, shell code often can; the rest is refused or reported. A comment right above a line is the job's
description, and losses are kept apart from it, so that `cronflow import` reads back what this has written.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.export import variables
from cronflow.export.chain import Chain, chain_of
from cronflow.export.cronline import command_of, whole_minutes
from cronflow.export.crontimes import CronLine, cron_lines, shifted
from cronflow.export.losses import report_calendars, report_losses, report_variables
from cronflow.export.report import ExportReport, ExportRequest, ExportResult, UnwritableError
from cronflow.export.selection import select, write_flows
from cronflow.export.shell import guard, seconds
from cronflow.jobfile.values import format_duration

SUPPORTED = frozenset(
    (
        *("jitter", "skip_on", "only_on", "success_codes", "skip_codes", "umask", "nice", "timeout", "kill_after", "check"),
        *("on_failure", "on_success", "params", "secrets", "owner", "runbook", "tags", "alert", "after_timeout"),
    )
)
REASONS = {
    "group": "it has the groups of its user",
    "overlap": "cron starts it although the previous run is still active",
    "catchup": "slots missed while cron is not running are not caught up",
}
LONGEST = 998
"""Characters of a command beyond which Debian's cron ignores the whole crontab (MAX_COMMAND in its cron.h)."""


class FlowLines(NamedTuple):
    """A flow as lines of a crontab: its jobs, when they start, the seconds of delay, and the variables that they need."""

    chain: Chain
    times: Sequence[CronLine]
    delay: int
    variables: Mapping[str, str]


def export(request: ExportRequest) -> ExportResult:
    """Write the crontab, as one file."""
    report = ExportReport(request)
    plan = select(report, lambda job: _check(job, request))
    entries = [entry for _, entry in write_flows(plan, report, lambda flow: _entry(flow, report))]
    return ExportResult({"": _table(entries, report)}, report, [_next(request)] if entries else [])


def _next(request: ExportRequest) -> str:
    if request.system:
        return "next: copy it to /etc/cron.d, owned by root, with no dot in its name"
    return "next: `crontab FILE` replaces your whole crontab with it"


def _check(job: Job, request: ExportRequest) -> None:
    """Raise UnwritableError for a job that no line of a crontab can express."""
    if job.approve is not None:
        raise UnwritableError("it waits for an approval, which cron cannot ask for")
    if job.user is not None and not request.system and job.user != request.user:
        raise UnwritableError(
            f"it runs as `{job.user}`, and this crontab is for `{request.user}`: `--system` writes a user column"
        )
    if request.system and (job.user or request.user).split() != [job.user or request.user]:
        raise UnwritableError(f"`user = {job.user!r}` does not fit into a column")


def _entry(flow: Flow, report: ExportReport) -> FlowLines:
    root = flow.settings_root
    if flow.external_edges:
        raise UnwritableError("it comes after jobs with other schedules, which cron cannot wait for")
    if not flow.triggers:
        raise UnwritableError("it starts only by hand, and cron starts by time")
    times = cron_lines(root, report.request.zone)
    if not times:
        events = " and ".join(f"`{key}`" for key in ("at", "watch") if getattr(root, key))
        raise UnwritableError(f"it starts by {events}, and cron starts by recurring times")
    chain = chain_of(flow, report)
    for job in chain.jobs:
        report_losses(job, SUPPORTED, report, REASONS)
        report_variables(job, (), report)
    _report_times(root, report)
    delay = 0 if whole_minutes(root) else report.request.delay_of(flow)
    return FlowLines(chain, times, delay, variables.of_chain(chain, report))


def _report_times(root: Job, report: ExportReport) -> None:
    if root.timezone != report.request.zone:
        how = f'`timezone = "{root.timezone}"` is written as `CRON_TZ`, which cronie obeys; Debian\'s cron ignores it and starts'
        report.lose(root.name, "timezone", f"{how} the job by the clock of the machine ({report.request.zone} here)")
    if root.every is not None and shifted(root.every, root.timezone, report.request.now):
        how = f'`every = "{format_duration(root.every)}"` is counted from midnight in {root.timezone}'
        report.lose(root.name, "every", f"{how}, where cronflow counts from 1970-01-01 00:00 UTC")
    report_calendars(root, report)


# ---- the table ------------------------------------------------------------------------------------------------------------


def _table(entries: Sequence[FlowLines], report: ExportReport) -> str:
    """The text of the crontab. A variable that a later line must not have is set within the lines that have it."""
    lasting = variables.lasting([entry.variables for entry in entries])
    in_force = variables.initial(report.request)
    found: list[tuple[FlowLines, list[str], list[str]]] = []
    for entry in entries:
        outside = {name: value for name, value in entry.variables.items() if name in lasting}
        try:
            lines = list(_lines(entry, outside, report))
            settings = [variables.assigned(name, value) for name, value in outside.items() if in_force.get(name) != value]
        except UnwritableError as error:
            report.refuse([job.name for job in entry.chain.jobs], str(error))
            continue
        in_force.update(outside)
        found.append((entry, settings, lines))
    shared = report.shared()
    body: list[str] = []
    for entry, settings, lines in found:
        losses = [(job.name, loss) for job in entry.chain.jobs for loss in report.of(job.name) if loss not in shared]
        body += [*settings, ""] if settings else []
        body += [*_remarks(entry.chain, losses), *lines, ""]
    return "\n".join([*_head(report, shared), "", *body])


def _remarks(chain: Chain, losses: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The names of the jobs and what is lost of them, then a blank line; then their descriptions, right above the line."""
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


def _lines(entry: FlowLines, outside: Mapping[str, str], report: ExportReport) -> Iterator[str]:
    root = entry.chain.jobs[0]
    mark = "" if root.enabled else "#"
    user = f"{root.user or report.request.user} " if report.request.system else ""
    leave = guard(root, report.request, "exit 0")
    for time in entry.times:
        before = [leave] if leave else []
        before += [f"{time.test} || exit 0"] if time.test else []
        before += [f"sleep {seconds(entry.delay)}"] if entry.delay else []
        command = command_of(entry.chain, before, outside, report)
        if len(command) > LONGEST:
            length = f"its line would have {len(command):,} characters, and Debian's cron accepts {LONGEST}"
            raise UnwritableError(f"{length}: put the command into a script")
        yield f"{mark}{time.when} {user}{command}"


def _head(report: ExportReport, shared: Collection[str]) -> list[str]:
    kind = "a system crontab, with a user column" if report.request.system else f"the crontab of {report.request.user}"
    head = [
        f"# {report.request.source} as {kind}, written by `cronflow export crontab`.",
        "# Of each run only its output is kept, in the mail that cron sends to MAILTO.",
    ]
    head += ["#", "# Lost of every job:", *(f"#   {message}" for message in sorted(shared))] if shared else []
    left_out = [line for line in report.lines() if ": not written: " in line]
    return [*head, "#", *(f"# {line}" for line in left_out)] if left_out else head
