"""What each key means to a job, told by what follows where a target has no such thing."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from cronflow.core.jobs import Command, Job
from cronflow.export.report import Report
from cronflow.jobfile.values import format_duration

WITHOUT: Mapping[str, str] = {
    "owner": "nobody is named",
    "runbook": "it is named nowhere",
    "tags": "there are none",
    "at": "it does not start then",
    "watch": "no files are watched",
    "jitter": "it starts at its slot",
    "skip_on": "it runs on these days too",
    "only_on": "it runs on all days",
    "catchup": "what is missed while the machine is off is not caught up",
    "catchup_window": "what is missed is not judged by its age",
    "after_timeout": "nothing limits the waiting",
    "params": "no run can be given other values",
    "secrets": "they are not masked in the output",
    "umask": "it has that of its caller",
    "nice": "it has the priority of its caller",
    "group": "it has the group of its user",
    "timeout": "nothing ends it",
    "kill_after": "the time between TERM and KILL is another one",
    "retries": "an attempt that fails is not tried again",
    "retry_delay": "the delay is another one",
    "retry_backoff": "the delay stays the same",
    "retry_max_delay": "the delay has no such limit",
    "retry_on": "every failure is tried again",
    "success_codes": "only 0 is a success",
    "skip_codes": "they are failures",
    "overlap": "a run may start beside one that still goes on",
    "pool": "nothing limits how many run at once",
    "pool_slots": "nothing limits how many run at once",
    "priority": "the order is another one",
    "deadline": "nobody is told that it is late",
    "slow": "nobody is told that it is slow",
    "check": "the exit status alone decides",
    "on_failure": "it is not run",
    "on_success": "it is not run",
    "alert": "nobody is told of a failure",
    "max_output": "the output has no such limit",
}
"""Key → what happens where a target does not have it. `after`, `join` and what opens a run are told by the targets themselves."""

NEUTRAL: Mapping[str, Any] = {"overlap": "allow", "catchup": "none", "retry_backoff": 1.0}
"""Values that mean what a plain scheduler does; of all other keys it is the default."""
WITH_RETRIES = frozenset({"retry_delay", "retry_backoff", "retry_max_delay", "retry_on"})
_SET_BY_US = re.compile(r"\bCRONFLOW_[A-Z0-9_]+")


def tell_lost(job: Job, kept: Collection[str], report: Report, told: Mapping[str, str] | None = None) -> None:
    """Note each key of a job that has a meaning and is not among those that a target keeps; `told` are other words for some."""
    words = {**WITHOUT, **(told or {})}
    for key, message in words.items():
        value = getattr(job, key)
        neutral = NEUTRAL.get(key, Job._field_defaults[key])
        if key in kept or value == neutral or (key in WITH_RETRIES and (not job.retries or "retries" not in kept)):
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
    """A key as the job file has it, cut where it is long."""
    text = f"{key} = {_toml(key, value)}"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _toml(key: str, value: Any) -> str:
    if key in ("jitter", "timeout", "kill_after", "retry_delay", "retry_max_delay", "after_timeout", "catchup_window", "every"):
        return f'"{format_duration(value)}"'
    if key == "umask":
        return f'"{value:03o}"'
    if key == "deadline":
        kind, seconds = value
        hour, minute = divmod(int(seconds) // 60, 60)
        return f'"{format_duration(seconds)}"' if kind == "duration" else f'"{hour:02}:{minute:02}"'
    if key == "slow":
        return f'"{format_duration(value[1])}"' if value[0] == "duration" else f"{value[1]:g}"
    if key == "at":
        return "…"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{name} = …" for name in value) + " }"
    if isinstance(value, tuple):
        return "[" + ", ".join(json.dumps(one, ensure_ascii=False) for one in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def texts(job: Job) -> list[str]:
    """All that a job has a shell or a program read: its command and those beside it."""
    commands: list[Command | None] = [job.command, job.only_if, job.wait_until, job.on_failure, job.on_success, *job.check]
    found = [one if isinstance(one, str) else " ".join(one) for one in commands if one is not None]
    return [*found, job.stdin or ""]


def mentions(job: Job, variable: str) -> bool:
    """Whether a command of the job names a variable."""
    return any(re.search(rf"(?<!\w){variable}(?!\w)", text) for text in texts(job))


def tell_variables(job: Job, given: Collection[str], report: Report) -> None:
    """Note the variables of cronflow that a job's commands name, and that a target does not give them."""
    used = [
        name for name in dict.fromkeys(found for text in texts(job) for found in _SET_BY_US.findall(text)) if name not in given
    ]
    if used:
        instead = "; `$(date +%F)` is the day on which it starts" if "CRONFLOW_DATE" in used else ""
        report.lose(job.name, "command", f"only cronflow sets {', '.join(f'`{name}`' for name in used)}{instead}")
