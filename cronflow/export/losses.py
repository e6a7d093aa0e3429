"""What a job loses with each key that a target does not support."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from cronflow.core.jobs import Command, Job
from cronflow.export.report import ExportReport
from cronflow.jobfile import writing

CONSEQUENCES: Mapping[str, str] = {
    "owner": "it has no owner",
    "runbook": "it is not mentioned",
    "tags": "it has no tags",
    "at": "it does not start then",
    "watch": "no files are watched",
    "jitter": "it starts at its slot",
    "skip_on": "it runs on these days too",
    "only_on": "it runs on all days",
    "catchup": "slots missed while the machine is off are not caught up",
    "catchup_window": "missed slots are not limited by age",
    "after_timeout": "nothing limits how long it waits",
    "params": "a run cannot override them",
    "secrets": "they are not masked in the output",
    "umask": "it inherits one",
    "nice": "it inherits its priority",
    "group": "it has the group of its user",
    "timeout": "nothing ends it",
    "kill_after": "the time between TERM and KILL is different",
    "retries": "a failed attempt is not retried",
    "retry_delay": "the delay is different",
    "retry_backoff": "the delay stays the same",
    "retry_max_delay": "the delay has no such limit",
    "retry_on": "every failure is retried",
    "success_codes": "only 0 is a success",
    "skip_codes": "they are failures",
    "overlap": "a run may start while another one is still active",
    "pool": "nothing limits how many run at once",
    "pool_slots": "nothing limits how many run at once",
    "priority": "the order is different",
    "deadline": "nobody is alerted when it is late",
    "slow": "nobody is alerted when it is slow",
    "check": "the exit status alone decides",
    "on_failure": "it is not run",
    "on_success": "it is not run",
    "alert": "nobody is alerted when it fails",
    "max_output": "the output has no such limit",
}
"""Key → what happens where a target does not support it. The targets themselves report `after`, `join` and lost triggers."""

NEUTRAL: Mapping[str, Any] = {"overlap": "allow", "catchup": "none", "retry_backoff": 1.0}
"""Values that mean what a plain scheduler does; for all other keys it is the default."""
WITH_RETRIES = frozenset({"retry_delay", "retry_backoff", "retry_max_delay", "retry_on"})
_SET_BY_US = re.compile(r"\bCRONFLOW_[A-Z0-9_]+")


def report_losses(job: Job, supported: Collection[str], report: ExportReport, reasons: Mapping[str, str]) -> None:
    """Record each key with an effect that a target does not support; `reasons` are the target's own consequences."""
    for key, message in {**CONSEQUENCES, **reasons}.items():
        value = getattr(job, key)
        neutral = NEUTRAL.get(key, Job._field_defaults[key])
        if key in supported or value == neutral or (key in WITH_RETRIES and (not job.retries or "retries" not in supported)):
            continue
        if key == "retry_backoff" and job.retries < 2:
            continue
        if key == "kill_after" and job.timeout is None:
            continue
        if key in ("catchup", "catchup_window") and not (job.schedule or job.every or job.at):
            continue
        if key == "overlap" and not (job.schedule or job.every or job.at or job.watch):
            continue
        report.lose(job.name, key, f"`{written(key, value)}`: {message}")


def written(key: str, value: Any) -> str:
    """A key as the job file has it, shortened if it is long."""
    text = f"{key} = {_toml(key, value)}"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _toml(key: str, value: Any) -> str:
    if key == "at":
        return "…"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = …" for name in value) + " }"
    if key == "slow" and value[0] == "factor":
        return f"{value[1]:g}"
    plain = writing.written(key, value, "UTC") if key in ("deadline", "slow") or not isinstance(value, tuple) else value
    return json.dumps(plain, ensure_ascii=False)


def texts(job: Job) -> list[str]:
    """All commands of a job, and its standard input."""
    commands: list[Command | None] = [job.command, job.only_if, job.wait_until, job.on_failure, job.on_success, *job.check]
    found = [one if isinstance(one, str) else " ".join(one) for one in commands if one is not None]
    return [*found, job.stdin or ""]


def mentions(job: Job, variable: str) -> bool:
    """Whether a command of the job names a variable."""
    return any(re.search(rf"(?<!\w){variable}(?!\w)", text) for text in texts(job))


def report_variables(job: Job, given: Collection[str], report: ExportReport) -> None:
    """Record the variables of cronflow that a job's commands use and that the target does not set."""
    named = dict.fromkeys(name for text in texts(job) for name in _SET_BY_US.findall(text))
    used = [name for name in named if name not in given]
    if used:
        instead = "; `$(date +%F)` is the date on which it starts" if "CRONFLOW_DATE" in used else ""
        report.lose(job.name, "command", f"only cronflow sets {', '.join(f'`{name}`' for name in used)}{instead}")


def report_calendars(job: Job, report: ExportReport) -> None:
    """Record that the calendars of a job are copied, and do not follow later changes."""
    if job.skip_on or job.only_on:
        report.lose(job.name, "skip_on", "its calendars are copied as they are today")
