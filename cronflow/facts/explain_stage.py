"""Why a task is where it is between its upstreams and its end: conditions, sensors, approvals, lines, checks, hooks."""

from __future__ import annotations

from cronflow.core import words
from cronflow.core.records import Attempt, Task
from cronflow.facts.evidence import Evidence, Scene
from cronflow.facts.output import last_line
from cronflow.facts.phrases import HOOKS, ONLY_IF, approve_command, hook_words, reason_words, stage_phrase
from cronflow.store.queries import RunRecord

_HOLDERS = 5
_ELSEWHERE = ("upstream", "retry_delay", "overlap", "sensor", "approval")
"""Blockers that the history tells better."""
_LIMITS = ("max_running", "stopping", "daemon_down")


def in_stage(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    """Where a task is that has passed its upstreams and whose command has not begun."""
    if task.phase.stage in ("", "command", *HOOKS):
        return []
    found = [Evidence(task.phase.stage, stage_phrase(record, task, scene.style), task.run, task.name, approve_command(task))]
    if task.phase.stage == "sensor":
        step = record.step(task.name, "sensor")
        if step is not None and step.state == "ended":
            at = f" at {scene.style.when(step.finished_at, True)}" if step.finished_at is not None else ""
            found.append(_step(scene, record, step, f"its last poll{at}: {_how(step)}"))
        if task.again_at is not None:
            again = f"polled again at {scene.style.when(task.again_at, True)}{scene.left(task.again_at)}"
            found.append(Evidence("sensor", again, task.run, task.name))
    if task.phase.stage == "approval":
        reject = f"cronflow reject {words.pasted(f'{task.run}/{task.name}')}"
        found.append(Evidence("approval", "or to end it as failed", task.run, task.name, reject))
    return found


def in_line(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    """What the daemon says of its limits, and who holds the slots of the pool."""
    found: dict[str, Evidence] = {}
    for one in scene.blockers:
        mine = (one.get("run"), one.get("task")) == (task.run, task.name)
        if one.get("code") not in _ELSEWHERE and (mine or one.get("code") in _LIMITS):
            message = str(one.get("message"))
            found[message] = Evidence(str(one.get("code")), message, one.get("cause_run"), one.get("cause_task"))
    pool = record.shape(task).pool
    return [*found.values(), *_holders(scene, pool)] if task.reason == "pool_full" and pool else list(found.values())


def _holders(scene: Scene, pool: str) -> list[Evidence]:
    """The tasks that hold slots of a pool, whatever their run."""
    holders = [
        task
        for other in scene.history.records(scene.history.live_runs())
        for task in other.run.tasks.values()
        if other.shape(task).pool == pool and task.attempts > 0 and task.state == "running"
    ]
    found = []
    for task in holders[:_HOLDERS]:
        since = f" since {scene.style.when(task.started_at, True)}" if task.started_at is not None else ""
        name = f"{task.run}/{task.name}"
        message = f"{name} has slots of pool `{pool}`{since}"
        found.append(Evidence("pool_full", message, task.run, task.name, f"cronflow why {words.pasted(name)}"))
    if len(holders) > _HOLDERS:
        found.append(Evidence("pool_full", f"and {len(holders) - _HOLDERS} more"))
    return found


def decided(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    """The step that decided how a task ended, or that its last attempt has failed."""
    if task.reason == "check":
        return _checked(scene, record, task)
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
    return [_step(scene, record, step, f"{lead}{count}: {_how(step)}", task.reason)]


def _checked(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    step = record.step(task.name, "check")
    if step is None:
        return []
    checks = record.shape(task).check
    which = "check"
    if task.passed < len(checks):
        number = f" {task.passed + 1} of {len(checks)}" if len(checks) > 1 else ""
        command = words.plain(checks[task.passed].strip().partition("\n")[0])
        which = f"check{number} `{words.end_cut(command, 60)}`"
    return [_step(scene, record, step, f"{which}: {_how(step)}", "check")]


def hooks(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    """A hook that goes on, or that failed."""
    hook = record.step(task.name, *HOOKS)
    if hook is None:
        return []
    if hook.state != "ended":
        return [Evidence("hook", stage_phrase(record, task, scene.style), task.run, task.name)]
    said = hook_words(hook)
    return [_step(scene, record, hook, f"{said}: nothing about the task changes by that", "hook")] if said else []


def _how(step: Attempt) -> str:
    return words.exit_status(step.exit_code, step.signal, step.result)


def _step(scene: Scene, record: RunRecord, step: Attempt, message: str, code: str | None = None) -> Evidence:
    """What a step did, with the last line of its output."""
    job = scene.job(record, record.run.tasks[step.task])
    line = last_line(scene.places.log(step.run, step.task, step.n, step.kind), scene.masks(job))
    shown = f"{message}, its last line: {line}" if line else message
    return Evidence(code or step.kind, shown, step.run, step.task, f"cronflow logs {words.pasted(str(step.ref))}")
