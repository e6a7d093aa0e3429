"""`cronflow export systemd`: a service for each job, and a timer or a path unit for each flow that starts by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice, pairwise
from shlex import quote

from cronflow.core.jobs import Command, Job
from cronflow.core.plan.flow import Flow
from cronflow.export.losses import report_calendars, report_losses, report_variables
from cronflow.export.report import ExportReport, ExportRequest, ExportResult, UnwritableError
from cronflow.export.selection import select, write_flows
from cronflow.export.shell import guard, in_shell, polling_loop, seconds, text_of
from cronflow.export.timers import report_clock_changes, starter_units
from cronflow.export.units import Settings, UnitContext, command_line, input_lines, plain_line, span, unit_names, unit_text, word
from cronflow.export.wiring import Wiring, wire

SUPPORTED = frozenset(
    (
        *("at", "watch", "jitter", "skip_on", "only_on", "catchup", "params", "umask", "nice", "group", "timeout", "kill_after"),
        *("retries", "retry_delay", "success_codes", "check", "on_failure", "on_success", "secrets", "runbook"),
        *("overlap", "after_timeout"),
    )
)
REASONS = {
    "max_output": "the journal keeps what it prints, within the journal's own limits",
    "skip_codes": "they count as success",
    "overlap": "a unit that is still active is not started a second time",
}
SH = "/bin/sh"
URL = re.compile(r"(https?|file|info|man):\S+")


def export(request: ExportRequest) -> ExportResult:
    """Write the units, as one file each."""
    report = ExportReport(request)
    plan = select(report, lambda job: _check(job, request))
    beside = [f"{name} {unit}" for name in report.names for unit in ("on_success", "on_failure", "all")]
    context = UnitContext(unit_names([*report.names, *beside]), report)
    files: dict[str, str] = {}
    for _, units in write_flows(plan, report, lambda flow: _flow(flow, context)):
        files.update(units)
    return ExportResult(files, report, _next(files, request))


def _next(files: Mapping[str, str], request: ExportRequest) -> list[str]:
    control, folder = ("systemctl", "/etc/systemd/system") if request.system else ("systemctl --user", "~/.config/systemd/user")
    starters = [name for name, text in files.items() if "\n[Install]\n" in text]
    steps = [f"next: copy them to {folder}, then: {control} daemon-reload"]
    return [*steps, f"      {control} enable --now {' '.join(starters)}"] if starters else steps if files else []


def _check(job: Job, request: ExportRequest) -> None:
    """Raise UnwritableError for a job that no unit can express."""
    if job.approve is not None:
        raise UnwritableError("it waits for an approval, which systemd cannot ask for")
    if job.user is not None and not request.system and job.user != request.user:
        raise UnwritableError(f"it runs as `{job.user}`, and units of `--user` run as `{request.user}`")


def _flow(flow: Flow, context: UnitContext) -> dict[str, str]:
    if flow.external_edges:
        raise UnwritableError("it comes after jobs with other schedules, which units cannot wait for together")
    wiring = wire(flow, context.report)
    gap = _gap(flow, context.request) if any(job.retries for job in flow.jobs.values()) else None
    days = guard(flow.settings_root, context.request, "exit 1")
    services = {job.name: _sections(job, wiring, gap, days, context) for job in flow.jobs.values()}
    starters = starter_units(flow, wiring.starts, services, context)
    for job in flow.jobs.values():
        _report_job(job, flow, context)
    report_clock_changes(flow, context.report)
    files = {}
    for name, sections in services.items():
        job = flow.jobs[name]
        remarks = [f"{context.request.source}: job `{name}`", *(f"lost: {loss}" for loss in context.report.of(name))]
        files[f"{context.names[name]}.service"] = unit_text(remarks, sections)
        files.update(_hooks(job, context))
    return {**files, **starters}


def _report_job(job: Job, flow: Flow, context: UnitContext) -> None:
    report = context.report
    kept = SUPPORTED - {"overlap"} if job.overlap in ("queue", "replace", "allow") else SUPPORTED
    kept = kept if context.request.system else kept - {"group"}
    report_losses(job, kept, report, REASONS)
    if job.catchup == "all" and job.name in flow.roots:
        report.lose(job.name, "catchup", '`catchup = "all"`: only the last missed slot is caught up')
    if job.overlap == "skip" and len(flow.jobs) > 1 and job.name in flow.roots and flow.triggers:
        report.lose(job.name, "overlap", '`overlap = "skip"`: it holds for each unit, not for the flow as a whole')
    if job.success_codes != (0,) and 0 not in job.success_codes:
        report.lose(job.name, "success_codes", "`success_codes`: 0 is a success too")
    if job.name in flow.roots:
        report_calendars(job, report)
    after = flow.down.get(job.name, ())
    if after and (job.only_if is not None or job.skip_codes):
        report.lose(job.name, "only_if", f"`{after[0]}` starts even if it is skipped")
    report_variables(job, (), report)


def _gap(flow: Flow, request: ExportRequest) -> float | None:
    """The shortest time between two of the next slots of a flow, in seconds; None if it has no timetable."""
    slots = {slot for trigger in flow.triggers for slot in islice(trigger.schedule.slots_after(request.now), 50)}
    gaps = [after - before for before, after in pairwise(sorted(slots))]
    return float(min(gaps)) if gaps else None


# ---- services -------------------------------------------------------------------------------------------------------------


def _sections(job: Job, wiring: Wiring, gap: float | None, days: str, context: UnitContext) -> dict[str, Settings]:
    unit: Settings = [("Description", f"{job.name}: {plain_line(job.description)}" if job.description else job.name)]
    if URL.fullmatch(job.runbook):
        unit.append(("Documentation", job.runbook.replace("%", "%%")))
    for setting, other in wiring.pulls.get(job.name, ()):
        unit += [(setting, f"{context.names[other]}.service"), ("After", f"{context.names[other]}.service")]
    for setting, other in dict.fromkeys(wiring.pushes.get(job.name, ())):
        unit.append((setting, f"{context.names[other]}.service"))
    for key, setting in (("on_success", "OnSuccess"), ("on_failure", "OnFailure")):
        if getattr(job, key) is not None:
            unit.append((setting, f"{context.names[f'{job.name} {key}']}.service"))
    restart, limit = _restart(job, gap)
    setup = _setup(job, context)
    service = [
        ("Type", "oneshot"),
        *setup,
        *(input_lines(job.stdin) if job.stdin else []),
        *_timeouts(job),
        *_conditions(job, days),
        *(("ExecStart", command_line(_words(job, one))) for one in (job.command, *job.check)),
        *_exit_codes(job),
        *restart,
    ]
    return {"Unit": [*unit, *limit], "Service": service, "Install": []}


def _setup(job: Job, context: UnitContext) -> Settings:
    request = context.request
    lines: Settings = []
    if request.system:
        lines.append(("User", job.user or request.user))
        lines += [("Group", job.group)] if job.group else []
    folder = _folder(job, request)
    lines.append(("WorkingDirectory", folder))
    lines += [("EnvironmentFile", path.replace("%", "%%")) for path in job.env_file]
    if not job.env_file:
        lines += [("Environment", word(f"{name}={value}")) for name, value in job.env.items()]
    lines += _credentials(job, context.report)
    lines += [("UMask", f"{job.umask:04o}")] if job.umask != 0o022 else []
    return lines + ([("Nice", str(job.nice))] if job.nice is not None else [])


def _folder(job: Job, request: ExportRequest) -> str:
    if job.cwd is None or job.cwd == "~":
        return "~"
    if not job.cwd.startswith("~/"):
        return job.cwd.replace("%", "%%")
    from cronflow.jobfile.machine import home

    found = home(job.user or request.user)
    if found is None:
        raise UnwritableError(f"its `cwd` is in the home of `{job.user or request.user}`, which this machine does not know")
    return os.path.join(found, job.cwd[2:]).replace("%", "%%")


def _credentials(job: Job, report: ExportReport) -> Settings:
    """The secrets that systemd itself can pass on."""
    lines: Settings = []
    for name, reference in job.secrets.items():
        form, _, rest = reference.partition(":")
        if form == "file" and rest.startswith("/"):
            lines.append(("LoadCredential", f"{name}:{rest.replace('%', '%%')}"))
        elif form == "credential":
            lines.append(("LoadCredential", rest))
        elif form == "env" and rest == name:
            lines.append(("PassEnvironment", name))
        elif form != "command":
            report.lose(job.name, "secrets", f"`{name}` is not set: only cronflow's daemon reads `{form}:`")
    return lines


def _words(job: Job, command: Command) -> list[str]:
    """The words of `ExecStart=`, `ExecCondition=` or `ExecStartPre=` for a command of the job."""
    if isinstance(command, str):
        words = [job.shell, "-c", command.strip("\n")]
    else:
        words = list(command)
        program = words[0]
        if not program.startswith("/") and ("/" in program or "PATH" in job.env):
            words.insert(0, "/usr/bin/env")
    if job.env_file and job.env:
        words = ["/usr/bin/env", *(f"{name}={value}" for name, value in job.env.items()), *words]
    fetched = list(_fetched(job))
    return [SH, "-c", "; ".join([*fetched, 'exec "$@"']), "sh", *words] if fetched else words


def _fetched(job: Job) -> Iterator[str]:
    for name, reference in job.secrets.items():
        form, _, rest = reference.partition(":")
        if form == "command":
            yield f'export {name}="$({rest})"'
        elif form == "credential" or (form == "file" and rest.startswith("/")):
            yield f'export {name}="$(cat "$CREDENTIALS_DIRECTORY"/{quote(rest if form == "credential" else name)})"'


def _timeouts(job: Job) -> Settings:
    if job.timeout is None:
        return []
    waits = job.wait_timeout if job.wait_until is not None else 0.0
    return [("TimeoutStartSec", span(job.timeout + waits)), ("TimeoutStopSec", span(job.kill_after))]


def _conditions(job: Job, days: str) -> Settings:
    """The settings for what is checked before the command: the calendars of the flow, `only_if`, the sensor."""
    lines: Settings = []
    if days:
        lines.append(("ExecCondition", command_line([SH, "-c", days])))
    if job.only_if is not None:
        lines.append(("ExecCondition", command_line(_words(job, job.only_if))))
    if job.wait_until is not None:
        loop = polling_loop(text_of(job.wait_until), job.wait_every)
        bounded = f"exec timeout {seconds(job.wait_timeout)} {in_shell(loop, SH)}"
        lines.append(("ExecStartPre", command_line(_words(job._replace(shell=SH), bounded))))
    return lines


def _exit_codes(job: Job) -> Settings:
    codes = [code for code in (*job.success_codes, *job.skip_codes) if code]
    return [("SuccessExitStatus", " ".join(map(str, codes)))] if codes else []


def _restart(job: Job, gap: float | None) -> tuple[Settings, Settings]:
    """How a failed attempt is retried, and how often: settings of the service, and of the unit."""
    if not job.retries:
        return [], []
    how: Settings = [("Restart", "on-failure"), ("RestartSec", span(job.retry_delay))]
    needed = (job.retries + 1) * ((job.timeout or 86_400.0) + job.retry_delay + job.kill_after)
    window = needed if gap is None else max(1.0, min(needed, gap - 1))
    return how, [("StartLimitIntervalSec", span(int(window) or 1)), ("StartLimitBurst", str(job.retries + 1))]


def _hooks(job: Job, context: UnitContext) -> dict[str, str]:
    found = {}
    for key in ("on_success", "on_failure"):
        hook = getattr(job, key)
        if hook is None:
            continue
        unit = [("Description", f"{job.name}: {key}")]
        service = [("Type", "oneshot"), *_setup(job, context), ("ExecStart", command_line(_words(job, hook)))]
        name = f"{context.names[f'{job.name} {key}']}.service"
        found[name] = unit_text([f"{context.request.source}: `{key}` of job `{job.name}`"], {"Unit": unit, "Service": service})
    return found
