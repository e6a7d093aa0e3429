"""`cronflow export systemd`: a service for each job, and for what starts by itself a timer, or a path unit, beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import NamedTuple

from cronflow.core.jobs import Command, Job
from cronflow.core.plan.flow import Flow
from cronflow.export.dates import guard, today
from cronflow.export.losses import tell_lost, tell_variables
from cronflow.export.report import Report, UnwritableError, Wanted, Written
from cronflow.export.selection import select
from cronflow.export.shell import bounded_loop, in_shell, quoted, seconds, text_of
from cronflow.export.timers import starter_units, tell_changes_of_clock
from cronflow.export.units import Lines, command_line, input_lines, plain_line, span, unit_names, unit_text, word
from cronflow.export.wiring import Wiring, wire

KEPT = frozenset(
    (
        *("at", "watch", "jitter", "skip_on", "only_on", "catchup", "params", "umask", "nice", "group", "timeout", "kill_after"),
        *("retries", "retry_delay", "success_codes", "check", "on_failure", "on_success", "secrets", "runbook"),
        *("overlap", "after_timeout"),
    )
)
TOLD = {
    "max_output": "the journal keeps what it prints, within the journal's own limits",
    "skip_codes": "they count as success",
}
SH = "/bin/sh"
URL = re.compile(r"(https?|file|info|man):\S+")


class Place(NamedTuple):
    """What all units of one export share: names, and what is told."""

    wanted: Wanted
    names: Mapping[str, str]
    report: Report


def export(wanted: Wanted) -> Written:
    """The units, by file name."""
    report = Report()
    plan = select(wanted.jobs.jobs, report, lambda job: _judge(job, wanted))
    beside = [f"{name} {unit}" for name in report.names for unit in ("on_success", "on_failure", "all")]
    place = Place(wanted, unit_names([*report.names, *beside]), report)
    files: dict[str, str] = {}
    for flow in plan.flows.values():
        try:
            files.update(_flow(flow, place))
        except UnwritableError as fact:
            report.refuse(flow.jobs, fact.reason)
    return Written(files, report, _next(files, wanted))


def _next(files: Mapping[str, str], wanted: Wanted) -> list[str]:
    """What is left to do by hand."""
    control, folder = ("systemctl", "/etc/systemd/system") if wanted.system else ("systemctl --user", "~/.config/systemd/user")
    starters = [name for name, text in files.items() if "\n[Install]\n" in text]
    steps = [f"next: copy them to {folder}, then: {control} daemon-reload"]
    return [*steps, f"      {control} enable --now {' '.join(starters)}"] if starters else steps if files else []


def _judge(job: Job, wanted: Wanted) -> None:
    """Refuse what no unit can say."""
    if job.approve is not None:
        raise UnwritableError("it waits for an approval, which systemd cannot ask for")
    if job.user is not None and not wanted.system and job.user != wanted.user:
        raise UnwritableError(f"it runs as `{job.user}`, and the units of `--user` run as `{wanted.user}`")


def _flow(flow: Flow, place: Place) -> dict[str, str]:
    if flow.outer:
        raise UnwritableError("it comes after jobs with other schedules, which units cannot wait for together")
    wiring = wire(flow, place.report)
    gap = _gap(flow, place.wanted) if any(job.retries for job in flow.jobs.values()) else None
    days = guard(flow.head, place.wanted, today(flow.head, place.wanted), "exit 1")
    services = {job.name: _sections(job, wiring, gap, days, place) for job in flow.jobs.values()}
    starters = starter_units(flow, wiring.starts, services, place.names, place.wanted, place.report)
    for job in flow.jobs.values():
        _tell(job, flow, place)
    tell_changes_of_clock(flow, place.wanted, place.report)
    files = {}
    for name, sections in services.items():
        job = flow.jobs[name]
        remarks = [f"{place.wanted.source}: job `{name}`", *(f"lost: {loss}" for loss in place.report.of(name))]
        files[f"{place.names[name]}.service"] = unit_text(remarks, sections)
        files.update(_hooks(job, place))
    return {**files, **starters}


def _tell(job: Job, flow: Flow, place: Place) -> None:
    report = place.report
    kept = KEPT - {"overlap"} if job.overlap in ("queue", "replace", "allow") else KEPT
    kept = kept if place.wanted.system else kept - {"group"}
    told = {**TOLD, "overlap": "a unit that still goes on is not started a second time"}
    tell_lost(job, kept, report, told)
    if job.catchup == "all" and job.name in flow.roots:
        report.lose(job.name, "catchup", '`catchup = "all"`: of what is missed only the last is caught up')
    if job.overlap == "skip" and len(flow.jobs) > 1 and job.name in flow.roots and flow.triggers:
        report.lose(job.name, "overlap", '`overlap = "skip"`: looks at each unit alone, not at the flow as a whole')
    if job.success_codes != (0,) and 0 not in job.success_codes:
        report.lose(job.name, "success_codes", "`success_codes`: 0 is a success too")
    if (job.skip_on or job.only_on) and job.name in flow.roots:
        report.lose(job.name, "skip_on", "its calendars are written out as they are today")
    after = flow.down.get(job.name, ())
    if after and (job.only_if is not None or job.skip_codes):
        report.lose(job.name, "only_if", f"`{after[0]}` starts although it is skipped")
    tell_variables(job, (), report)


def _gap(flow: Flow, wanted: Wanted) -> float | None:
    """The shortest time between two of the next slots of a flow, in seconds; None without a timetable."""
    slots: list[int] = []
    for trigger in flow.triggers:
        at: float = wanted.now
        for _ in range(50):
            found = trigger.schedule.next_after(at)
            if found is None:
                break
            slots.append(found)
            at = found
    gaps = [after - before for before, after in pairwise(sorted(set(slots)))]
    return float(min(gaps)) if gaps else None


# ---- services -------------------------------------------------------------------------------------------------------------


def _sections(job: Job, wiring: Wiring, gap: float | None, days: str, place: Place) -> dict[str, Lines]:
    """The sections of a job's service."""
    unit: Lines = [("Description", f"{job.name}: {plain_line(job.description)}" if job.description else job.name)]
    if URL.fullmatch(job.runbook):
        unit.append(("Documentation", job.runbook.replace("%", "%%")))
    for setting, other in wiring.pulls.get(job.name, ()):
        unit += [(setting, f"{place.names[other]}.service"), ("After", f"{place.names[other]}.service")]
    for setting, other in dict.fromkeys(wiring.pushes.get(job.name, ())):
        unit.append((setting, f"{place.names[other]}.service"))
    for key, setting in (("on_success", "OnSuccess"), ("on_failure", "OnFailure")):
        if getattr(job, key) is not None:
            unit.append((setting, f"{place.names[f'{job.name} {key}']}.service"))
    restart, limit = _restart(job, gap)
    setup = _setup(job, place)
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


def _setup(job: Job, place: Place) -> Lines:
    """Whose process it is, where it starts, and with which environment."""
    wanted = place.wanted
    lines: Lines = []
    if wanted.system:
        lines.append(("User", job.user or wanted.user))
        lines += [("Group", job.group)] if job.group else []
    folder = _folder(job, wanted)
    lines.append(("WorkingDirectory", folder))
    lines += [("EnvironmentFile", path.replace("%", "%%")) for path in job.env_file]
    if not job.env_file:
        lines += [("Environment", word(f"{name}={value}")) for name, value in job.env.items()]
    lines += _credentials(job, place.report)
    lines += [("UMask", f"{job.umask:04o}")] if job.umask != 0o022 else []
    return lines + ([("Nice", str(job.nice))] if job.nice is not None else [])


def _folder(job: Job, wanted: Wanted) -> str:
    if job.cwd is None or job.cwd == "~":
        return "~"
    if not job.cwd.startswith("~/"):
        return job.cwd.replace("%", "%%")
    from cronflow.jobfile.machine import home

    found = home(job.user or wanted.user)
    if found is None:
        raise UnwritableError(f"its `cwd` is in the home of `{job.user or wanted.user}`, whom this machine does not know")
    return os.path.join(found, job.cwd[2:]).replace("%", "%%")


def _credentials(job: Job, report: Report) -> Lines:
    """Secrets whose value systemd itself can hand over."""
    lines: Lines = []
    for name, reference in job.secrets.items():
        form, _, rest = reference.partition(":")
        if form == "file" and rest.startswith("/"):
            lines.append(("LoadCredential", f"{name}:{rest.replace('%', '%%')}"))
        elif form == "credential":
            lines.append(("LoadCredential", rest))
        elif form == "env" and rest == name:
            lines.append(("PassEnvironment", name))
        elif form != "command":
            report.lose(job.name, "secrets", f"`{name}` is not set: `{form}:` is a word of cronflow's daemon")
    return lines


def _words(job: Job, command: Command) -> list[str]:
    """The words of `ExecStart=` and its kin for a command of the job."""
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
    """Statements that put secrets into variables."""
    for name, reference in job.secrets.items():
        form, _, rest = reference.partition(":")
        if form == "command":
            yield f'export {name}="$({rest})"'
        elif form == "credential" or (form == "file" and rest.startswith("/")):
            yield f'export {name}="$(cat "$CREDENTIALS_DIRECTORY"/{quoted(rest if form == "credential" else name)})"'


def _timeouts(job: Job) -> Lines:
    lines: Lines = []
    if job.timeout is not None:
        waits = job.wait_timeout if job.wait_until is not None else 0.0
        lines.append(("TimeoutStartSec", span(job.timeout + waits)))
        lines.append(("TimeoutStopSec", span(job.kill_after)))
    return lines


def _conditions(job: Job, days: str) -> Lines:
    """What is looked at before the command: the calendars of the flow, `only_if`, the sensor."""
    lines: Lines = []
    if days:
        lines.append(("ExecCondition", command_line([SH, "-c", days])))
    if job.only_if is not None:
        lines.append(("ExecCondition", command_line(_words(job, job.only_if))))
    if job.wait_until is not None:
        loop = bounded_loop(text_of(job.wait_until), job.wait_every)
        bounded = f"exec timeout {seconds(job.wait_timeout)} {in_shell(loop, SH)}"
        lines.append(("ExecStartPre", command_line(_words(job._replace(shell=SH), bounded))))
    return lines


def _exit_codes(job: Job) -> Lines:
    codes = [code for code in (*job.success_codes, *job.skip_codes) if code]
    return [("SuccessExitStatus", " ".join(map(str, codes)))] if codes else []


def _restart(job: Job, gap: float | None) -> tuple[Lines, Lines]:
    """How a failed attempt is tried again, and how often: settings of the service, and of the unit."""
    if not job.retries:
        return [], []
    how: Lines = [("Restart", "on-failure"), ("RestartSec", span(job.retry_delay))]
    needed = (job.retries + 1) * ((job.timeout or 86_400.0) + job.retry_delay + job.kill_after)
    window = needed if gap is None else max(1.0, min(needed, gap - 1))
    return how, [("StartLimitIntervalSec", span(int(window) or 1)), ("StartLimitBurst", str(job.retries + 1))]


def _hooks(job: Job, place: Place) -> dict[str, str]:
    """Services for `on_failure` and `on_success`, with the surroundings of the job."""
    found = {}
    for key in ("on_success", "on_failure"):
        hook = getattr(job, key)
        if hook is None:
            continue
        unit = [("Description", f"{job.name}: {key}")]
        service = [("Type", "oneshot"), *_setup(job, place), ("ExecStart", command_line(_words(job, hook)))]
        name = f"{place.names[f'{job.name} {key}']}.service"
        found[name] = unit_text([f"{place.wanted.source}: `{key}` of job `{job.name}`"], {"Unit": unit, "Service": service})
    return found
