"""`cronflow export dagu`: a YAML file for each flow, for Dagu 2 or later (`run:`, snake_case)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import datetime
from math import ceil
from typing import Any, NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.core.time.cronfields import DAY, WEEKDAY, parse, spell
from cronflow.core.time.cronhints import NICKNAMES
from cronflow.core.time.triggers import REBOOT
from cronflow.core.words import untaken
from cronflow.export.crontimes import cron_lines, every_lines
from cronflow.export.losses import report_calendars, report_losses, report_variables, written
from cronflow.export.pythontext import ids
from cronflow.export.report import ExportReport, ExportRequest, ExportResult, UnwritableError
from cronflow.export.script import script
from cronflow.export.selection import select, write_flows
from cronflow.export.shell import POSIX_SHELLS, folder_of, guard, polling_loop, text_of
from cronflow.export.yamltext import document

SUPPORTED = frozenset(
    (
        *("tags", "at", "jitter", "skip_on", "only_on", "catchup", "catchup_window", "params", "secrets", "umask", "nice"),
        *("timeout", "retries", "retry_delay", "retry_backoff", "retry_max_delay", "success_codes", "check", "after_timeout"),
    )
)
REASONS = {
    "overlap": "a run waits in the queue of the DAG while another one is active",
    "kill_after": "Dagu has its own time between TERM and KILL",
    "skip_codes": "they are failures",
}
A_MONTH = 30 * 86_400.0
REFERENCE = re.compile(r"[$`]")
"""What Dagu would substitute in a value of `env`."""


def export(request: ExportRequest) -> ExportResult:
    """Write the DAGs, as one file each."""
    report = ExportReport(request)
    plan = select(report, lambda job: _check(job, request))
    names = ids(plan.flows)
    dags = write_flows(plan, report, lambda flow: document(_dag(flow, names[flow.name], report)))
    files = {f"{names[flow.name]}.yaml": _remarks(flow, report) + text for flow, text in dags}
    return ExportResult(files, report, ["next: put them into your DAGs folder (~/.config/dagu/dags)"] if files else [])


def _remarks(flow: Flow, report: ExportReport) -> str:
    losses = [f"# lost: {job}: {loss}\n" for job in flow.jobs for loss in report.of(job)]
    left_out = [f"# not written: {job}: {report.refused[job]}\n" for job in flow.jobs if job in report.refused]
    return "".join([f"# {report.request.source}: the flow of `{flow.name}`, by `cronflow export dagu`.\n", *losses, *left_out])


def _check(job: Job, request: ExportRequest) -> None:
    """Raise UnwritableError for a job that no step can express."""
    if job.user is not None and job.user != request.user:
        raise UnwritableError(f"it runs as `{job.user}`, and Dagu runs everything as its own user")


# ---- a DAG ----------------------------------------------------------------------------------------------------------------


def _dag(flow: Flow, name: str, report: ExportReport) -> dict[str, Any]:
    if flow.external_edges:
        raise UnwritableError("it comes after jobs with other schedules, which a DAG cannot wait for")
    root = flow.settings_root
    roles = _roles(flow, report)
    tags = list(dict.fromkeys(tag for job in flow.jobs.values() for tag in job.tags))
    when = _when(flow, report)
    for job in flow.jobs.values():
        if job.name not in report.refused:
            _report_job(job, flow, report)
    params = {key: value for job in flow.jobs.values() for key, value in job.params.items()}
    handlers = {role: _step(job, roles, report, handler=True) for job, role in roles.handlers(flow)}
    if len(flow.jobs) == 1:
        for key, event in (("on_failure", "failure"), ("on_success", "success")):
            if getattr(root, key) is not None:
                handlers[event] = {"run": text_of(getattr(root, key))}
    return {
        **_filled({"name": name, "description": root.description, "labels": tags}),
        "type": "graph",
        "shell": "/bin/sh",
        "dotenv": [],
        **when,
        **_filled({"params": [{key: value} for key, value in params.items()]}),
        **_filled({"secrets": [one for job in flow.jobs.values() for one in _secrets(job)], "handler_on": handlers}),
        "steps": [step for job in flow.jobs.values() if roles.of.get(job.name) == "step" for step in _steps(job, roles, report)],
    }


def _filled(keys: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in keys.items() if value}


class Roles(NamedTuple):
    """What each job becomes: `step`, or the handler `exit` or `failure`; and the steps after whose failure the run continues."""

    of: dict[str, str]
    continued: set[str]

    def handlers(self, flow: Flow) -> Iterator[tuple[Job, str]]:
        """The jobs that are handlers, each with its event."""
        for name, role in self.of.items():
            if role != "step":
                yield flow.jobs[name], role


def _roles(flow: Flow, report: ExportReport) -> Roles:
    """The role of each job. A step waits for the success of others; a job that waits for anything else has to be a handler, or
    its upstream one after whose failure the run continues."""
    roles = Roles({}, set())
    for name, job in flow.jobs.items():
        gone = [edge.job for edge in job.after if edge.job in report.refused]
        others = [edge for edge in job.after if edge.condition != "success"]
        role: str | None = "step"
        if gone:
            report.refuse([name], f"it comes after `{gone[0]}`, which is not written")
            continue
        if len(job.after) > 1 and job.join == "any":
            role = None
        elif others:
            role = _handler(flow, job, roles)
        if role is None:
            conditions = " and ".join(dict.fromkeys(f"`{edge.condition}`" for edge in others)) or '`join = "any"`'
            report.refuse([name], f"a step of Dagu waits for successes: it cannot express {conditions} here")
            continue
        roles.of[name] = role
        if role != "step" and flow.jobs.keys() - flow.before([name]):
            report.lose(name, "after", f"it is run at the end of the whole run, not right after `{job.after[0].job}`")
    return roles


def _handler(flow: Flow, job: Job, roles: Roles) -> str | None:
    """The role of a job with an edge other than `success`; None if there is none."""
    edge = job.after[0]
    down = [flow.jobs[name].after for name in flow.down.get(edge.job, ())]
    root_before = not flow.jobs[edge.job].after
    if all(one.condition == "done" for edges in down for one in edges if one.job == edge.job) and root_before:
        roles.continued.add(edge.job)
        return "step"
    if len(job.after) > 1 or flow.down.get(job.name, ()):
        return None
    if edge.condition == "done" and "exit" not in roles.of.values():
        return "exit"
    others = flow.jobs.keys() - flow.before([edge.job]) - roles.of.keys() - {job.name}
    if edge.condition == "failure" and not others and "failure" not in roles.of.values():
        return "failure"
    return None


def _when(flow: Flow, report: ExportReport) -> dict[str, Any]:
    root = flow.settings_root
    schedule: list[Any] = []
    tests: list[str] = []
    for line in cron_lines(root._replace(every=None), report.request.zone):
        if line.when == REBOOT:
            report.lose(root.name, "schedule", "`@reboot`: Dagu does not start DAGs at boot")
            continue
        schedule.append(_zoned(_robfig(line.when), root.timezone))
        tests += [line.test] if line.test else []
    if tests and len(schedule) > 1:
        raise UnwritableError("its schedule has `L` or `#` in a list, which Dagu cannot express")
    if root.every is not None:
        schedule += [_zoned(line.when, "UTC") for line in every_lines(root.every)]
    to_come = [moment for moment in root.at if moment > report.request.now]
    schedule += [{"at": datetime.fromtimestamp(one).astimezone().isoformat()} for one in to_come]
    if root.watch:
        report.lose(root.name, "watch", f"`{written('watch', root.watch)}`: no files are watched")
    days = guard(root, report.request, "exit 1")
    if days:
        report_calendars(root, report)
    conditions = [*tests, *([days] if days else [])]
    delay = report.request.delay_of(flow)
    catchup: dict[str, Any] = {}
    if not root.enabled and schedule:
        report.lose(root.name, "enabled", "`enabled = false`: it is written without a schedule")
        schedule = []
    elif schedule and root.catchup != "none":
        catchup["catchup_window"] = f"{int((root.catchup_window or A_MONTH) // 3600) or 1}h"
        catchup["overlap_policy"] = "all" if root.catchup == "all" else "latest"
    preconditions = [{"condition": one} for one in conditions]
    return _filled({"schedule": schedule, **catchup, "delay_sec": delay, "preconditions": preconditions})


def _zoned(when: str, zone: str) -> str:
    return f"CRON_TZ={zone} {when}"


def _robfig(when: str) -> str:
    """Five fields as Dagu's parser reads them: weekdays from 0 to 6, and a day matches either of the two day fields."""
    fields = parse(when)
    if fields.both and not (fields.every_day or fields.every_weekday):
        raise UnwritableError(f'`schedule = "{when}"` has days that match both day fields; Dagu takes those that match one')
    words = NICKNAMES.get(when.lower(), when).split()
    words[2] = "*" if fields.every_day else words[2] if words[2] != "*" else spell(DAY, fields.days)
    words[4] = "*" if fields.every_weekday else spell(WEEKDAY, fields.plain_weekdays) if "7" in words[4] else words[4]
    return " ".join(words)


def _report_job(job: Job, flow: Flow, report: ExportReport) -> None:
    kept = {
        *SUPPORTED,
        *(("on_failure", "on_success") if len(flow.jobs) == 1 else ()),
        *(() if job.name in flow.roots else ("overlap",)),
    }
    if not any(isinstance(one, str) for one in job.retry_on or ()):
        kept.add("retry_on")
    report_losses(job, kept, report, REASONS)
    if job.overlap == "allow" and job.name in flow.roots and flow.triggers:
        report.lose(job.name, "overlap", f'`overlap = "allow"`: {REASONS["overlap"]}')
    report_variables(job, (), report)


def _secrets(job: Job) -> Iterator[dict[str, Any]]:
    """The secrets that Dagu itself fetches and masks."""
    for name, reference in job.secrets.items():
        form, _, key = reference.partition(":")
        if form in ("file", "env"):
            yield {"name": name, "provider": form, "key": key}


# ---- steps ----------------------------------------------------------------------------------------------------------------


def _steps(job: Job, roles: Roles, report: ExportReport) -> Iterator[dict[str, Any]]:
    before = [edge.job for edge in job.after]
    taken = {*roles.of, *(re.sub(r"\W", "_", name, flags=re.ASCII) for name in roles.of)}
    if job.wait_until is not None:
        loop = polling_loop(text_of(job.wait_until), job.wait_every)
        called = untaken(f"{job.name}-wait", taken)
        folder = folder_of(job, report.request.user)
        yield _ordered(called, before, {"run": loop, "timeout_sec": ceil(job.wait_timeout), "working_dir": folder})
        before = [called]
    if job.approve is not None:
        called = untaken(re.sub(r"\W", "_", f"{job.name}_approve", flags=re.ASCII), taken, "_")
        prompt = {"prompt": job.approve or f"May {job.name} run?"}
        yield {**_filled({"id": called, "depends": before}), "action": "human.task", "with": prompt}
        before = [called]
    yield _ordered(job.name, before, _step(job, roles, report))


def _ordered(name: str, before: list[str], step: dict[str, Any]) -> dict[str, Any]:
    return {**_filled({"name": name, "depends": before}), **step}


def _step(job: Job, roles: Roles, report: ExportReport, handler: bool = False) -> dict[str, Any]:
    """The settings of a step or a handler, except for its name."""
    inside = {name: value for name, value in job.env.items() if REFERENCE.search(value) and name not in job.params}
    plain = {name: value for name, value in job.env.items() if name not in inside and name not in job.params}
    fetched = {name: ref for name, ref in job.secrets.items() if ref.partition(":")[0] not in ("file", "env")}
    shell = job.shell if os.path.basename(job.shell) in POSIX_SHELLS else "/bin/sh"
    asked = job._replace(env=inside, secrets=fetched, only_if=None, shell="/bin/sh" if shell == job.shell else job.shell)
    text = script(asked, report, env=True)
    return _filled(
        {
            "description": "" if handler else job.description,
            "with": {"shell": shell} if shell != "/bin/sh" else {},
            "env": [{name: value} for name, value in plain.items()],
            "working_dir": folder_of(job, report.request.user),
            "preconditions": [{"condition": text_of(job.only_if)}] if job.only_if is not None else [],
            "timeout_sec": ceil(job.timeout) if job.timeout is not None else None,
            "retry_policy": _retries(job) if job.retries and not handler else {},
            "continue_on": {"failure": True, "skipped": True} if job.name in roles.continued else {},
            "run": text,
        }
    )


def _retries(job: Job) -> dict[str, Any]:
    policy: dict[str, Any] = {"limit": job.retries, "interval_sec": ceil(job.retry_delay)}
    if job.retries > 1 and job.retry_backoff != 1.0:
        policy |= {"backoff": job.retry_backoff, "max_interval_sec": ceil(job.retry_max_delay)}
    codes = [one for one in job.retry_on or () if isinstance(one, int)]
    return policy | ({"exit_code": codes} if codes and len(codes) == len(job.retry_on or ()) else {})
