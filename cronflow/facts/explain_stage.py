"""Why a task is where it is between its upstreams and its end: conditions, sensors, approvals, limits, checks, hooks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cronflow.core import words
from cronflow.core.records import Attempt, Task
from cronflow.facts.evidence import Context, Evidence
from cronflow.facts.sentences import (
    HOOKS,
    ONLY_IF,
    approve_command,
    at_words,
    blocker_sentence,
    exit_words,
    hook_words,
    reason_words,
    stage_phrase,
)
from cronflow.store.queries import RunRecord

if TYPE_CHECKING:
    from cronflow.core.run.blockers import Blocker

_HOLDERS = 5
_LIMITS = ("max_running", "stopping", "pool_full")


def in_stage(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    """Where a task is whose upstreams are met and whose command has not begun."""
    if task.phase.stage in ("", "command", *HOOKS):
        return []
    found = [Evidence(task.phase.stage, stage_phrase(record, task, context.clock), task.run, task.name, approve_command(task))]
    if task.phase.stage == "sensor":
        step = record.step(task.name, "sensor")
        if step is not None and step.state == "ended":
            at = at_words(step.finished_at, context.clock)
            found.append(_step(context, record, step, f"its last poll{at}: {exit_words(step)}"))
        if task.again_at is not None:
            again = f"polled again at {context.clock.when(task.again_at, True)}{context.clock.away(task.again_at)}"
            found.append(Evidence("sensor", again, task.run, task.name))
    if task.phase.stage == "approval":
        reject = f"cronflow reject {words.pasted(f'{task.run}/{task.name}')}"
        found.append(Evidence("approval", "or to end it as failed", task.run, task.name, reject))
    return found


def in_line(context: Context, blockers: list[Blocker]) -> list[Evidence]:
    """Which limits keep a task in the queue, and who holds the slots of its pool."""
    limits = [one for one in blockers if one.code in _LIMITS]
    found = [Evidence(one.code, blocker_sentence(one), one.run, one.task) for one in limits]
    pool = next((one.pool for one in limits if one.pool is not None), None)
    return found if pool is None else [*found, *_holders(context, pool)]


def _holders(context: Context, pool: str) -> list[Evidence]:
    from cronflow.core.run.blockers import pool_holders

    holders = pool_holders(context.state, pool)
    found = []
    for task in holders[:_HOLDERS]:
        since = f" since {context.clock.when(task.started_at, True)}" if task.started_at is not None else ""
        name = f"{task.run}/{task.name}"
        message = f"{name} has slots of pool `{pool}`{since}"
        found.append(Evidence("pool_full", message, task.run, task.name, f"cronflow why {words.pasted(name)}"))
    if len(holders) > _HOLDERS:
        found.append(Evidence("pool_full", f"and {len(holders) - _HOLDERS} more"))
    return found


def decided(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    """The step that decided how a task ended, or that its last attempt failed."""
    if task.reason == "check":
        return _checked(context, record, task)
    if task.reason == "rejected":
        return [Evidence("rejected", f"rejected {words.plain(task.note or '')}".rstrip(), task.run, task.name)]
    kind = {"wait_timeout": "sensor", "foreach": "foreach"}.get(task.reason or "")
    if kind is None and not (task.reason == "condition" and task.phase.stage == "condition"):
        return []
    step = record.step(task.name, kind or "condition")
    lead = ONLY_IF if kind is None else reason_words(task.reason)
    if step is None:
        return [Evidence(task.reason or "", lead, task.run, task.name)]
    count = f" (polled {words.times(step.count)})" if kind == "sensor" else ""
    return [_step(context, record, step, f"{lead}{count}: {exit_words(step)}", task.reason)]


def _checked(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    step = record.step(task.name, "check")
    if step is None:
        return []
    checks = record.job(task).check
    which = "check"
    if task.passed < len(checks):
        number = f" {task.passed + 1} of {len(checks)}" if len(checks) > 1 else ""
        command = words.plain(checks[task.passed].strip().partition("\n")[0])
        which = f"check{number} `{words.end_cut(command, 60)}`"
    return [_step(context, record, step, f"{which}: {exit_words(step)}", "check")]


def hooks(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    """A hook that is running, or that failed."""
    hook = record.step(task.name, *HOOKS)
    if hook is None:
        return []
    if hook.state != "ended":
        return [Evidence("hook", stage_phrase(record, task, context.clock), task.run, task.name)]
    said = hook_words(hook)
    return [_step(context, record, hook, f"{said}: nothing about the task changes by that", "hook")] if said else []


def _step(context: Context, record: RunRecord, step: Attempt, message: str, code: str | None = None) -> Evidence:
    """What a step did, with the last line of its output."""
    line = context.logs.last_line(step, record.job(record.run.tasks[step.task]))
    shown = f"{message}, its last line: {line}" if line else message
    return Evidence(code or step.kind, shown, step.run, step.task, f"cronflow logs {words.pasted(str(step.ref))}")
