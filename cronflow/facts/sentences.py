"""How tasks and runs are described, once for every screen and answer: how a task ended, and what it waits for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cronflow.core import words
from cronflow.core.records import TELLING, Attempt, Run, Task
from cronflow.facts.copies import named
from cronflow.store.queries import FILES_TOLD, Files

if TYPE_CHECKING:
    from cronflow.core.run.blockers import Blocker
    from cronflow.store.queries import RunRecord

REASONS = {
    "paused": "it was paused",
    "skip": "it was to be skipped",
    "disabled": "it is disabled in the job file",
    "overlap": "an earlier run was still going on",
    "queue_full": "too many runs were waiting already",
    "daemon_down": "the daemon was not running",
    "edited": "the job file no longer has what it waited for",
    "calendar": "its calendars leave that day out",
    "upstream_failed": "something before it failed",
    "upstream_cancelled": "something before it was cancelled",
    "upstream_not_new": "no job of another flow that it comes after had ended anew",
    "after_timeout": "a job of another flow did not end within `after_timeout`",
    "condition": "its condition on what comes before was not met",
    "taken_over": "taken over from the run before",
    "skip_code": "it exited with one of its `skip_codes`",
    "cancelled": "",  # says no more than the state
    "replaced": "a newer run replaced it",
    "stopped": "the daemon was stopped",
    "no_user": "its `user` does not exist here",
    "no_group": "its `group` does not exist here",
    "no_cwd": "its `cwd` does not exist here",
    "no_env_file": "its `env_file` cannot be read",
    "not_permitted": "the daemon may not do that",
    "no_secret": "one of its `secrets` cannot be obtained",
    "foreach": "its `foreach` gave no list of items",
    "max_running": "as many commands as `max_running` allows are running",
    "pool_full": "the slots of its pool are taken",
    "sensor": "its `wait_until` has not come true yet",
    "approval": "it has to be approved",
    "rejected": "it was rejected",
    "wait_timeout": "its `wait_until` has not come true within `wait_timeout`",
    "check": "a `check` found fault with it",
    "no_items": "its `foreach` had no lines",
    "hook": "its hook is running",
}
"""What the stable words of the history mean, as the end of a sentence."""

HOOKS = ("on_failure", "on_success")
STAGES = {
    "condition": "asks its condition (`only_if`)",
    "foreach": "lists its copies (`foreach`)",
    "check": "its `check` looks at it",
    "on_failure": "its `on_failure` hook is running",
    "on_success": "its `on_success` hook is running",
}


def reason_words(reason: str | None) -> str:
    """A reason in words; an unknown one as it is."""
    if not reason:
        return ""
    return REASONS.get(reason, reason.replace("_", " "))


def cause_words(task: Task) -> str:
    """Why a task ended as it did, with the task that caused it: "backup failed"."""
    if task.reason == "upstream_failed" and task.caused_by:
        return f"{task.caused_by} failed"
    if task.reason == "upstream_cancelled" and task.caused_by:
        return f"{task.caused_by} was cancelled"
    if task.reason == "condition" and task.phase.stage == "condition":
        return ONLY_IF
    return reason_words(task.reason)


ONLY_IF = "its `only_if` said no"


def telling_attempt(record: RunRecord, task: Task) -> Attempt | None:
    """The process that shows how a task is: that of the step which decided it, else the last one of its command."""
    if task.reason == "rejected":
        return None
    step = TELLING.get(task.reason or "")
    if step is not None and (task.final or task.state == "retrying"):
        return record.step(task.name, step)
    if task.reason == "condition" and task.phase.stage == "condition":
        return record.step(task.name, "condition")
    return record.step(task.name, "command")


def ended_how(task: Task | None, attempt: Attempt | None) -> str:
    """How a task ended, judged by that process: "exit 1", "timed out after 2 attempts", "check: exit 1"."""
    if task is None:
        return ""
    if task.reason == "rejected":
        return f"rejected {words.plain(task.note or '')}".rstrip()
    if task.reason == "wait_timeout":
        return reason_words(task.reason)
    if task.note and (attempt is None or attempt.exit_code in (None, 126, 127) or task.reason == "foreach"):
        return words.plain(task.note)
    if attempt is None or attempt.state != "ended":
        return reason_words(task.reason)
    how = exit_words(attempt)
    if attempt.kind != "command":
        how = f"{attempt.kind}: {how}"
    return f"{how} after {task.attempts} attempts" if task.attempts > 1 else how


def exit_words(attempt: Attempt) -> str:
    """How a process ended: "exit 1", "timed out"."""
    return words.exit_status(attempt.exit_code, attempt.signal, attempt.result)


def at_words(t: float | None, clock: words.Clock) -> str:
    """When it ended, behind how: " at 02:05:00"; empty if that is not known."""
    return "" if t is None else f" at {clock.when(t, True)}"


def hook_words(hook: Attempt | None) -> str:
    """A hook that failed, which does not change the end of its task: "its on_failure hook failed (exit 2)"."""
    if hook is None or hook.state != "ended" or hook.result == "success":
        return ""
    return f"its `{hook.kind}` hook failed ({exit_words(hook)})"


def blocker_sentence(one: Blocker) -> str:
    """A limit that keeps a task from starting."""
    match one.code:
        case "max_running":
            return f"{one.used} of at most {one.size} processes are running (`max_running`)"
        case "stopping":
            return "the daemon is about to stop and starts nothing more"
        case "pool_full" if one.task is not None:
            return f"{one.run}/{one.task} is before it in the line for pool `{one.pool}`"
        case "pool_full":
            return f"{one.used} of {one.size} slots of pool `{one.pool}` are taken, and it needs {one.needs}"
    return reason_words(one.code)


def task_phrase(record: RunRecord, task: Task, clock: words.Clock) -> str:
    """What a task waits for that has not ended and has no command running."""
    if task.state == "retrying":
        again = task.again_at
        coming = f", tries again {clock.when(again, True)}{clock.away(again)}" if again is not None else ""
        return f"retrying after attempt {task.attempts}{coming}"
    if task.state == "queued":
        pool = record.job(task).pool
        if task.reason == "pool_full" and pool:
            return f"queued: the slots of pool `{pool}` are taken"
        return f"queued: {reason_words(task.reason)}" if task.reason else "queued"
    if task.phase.stage:
        return stage_phrase(record, task, clock)
    awaited = record.awaited(task)
    if awaited:
        return f"waiting for {named(awaited)}"
    return f"waiting: {reason_words(task.reason)}" if task.reason else task.state


def stage_phrase(record: RunRecord, task: Task, clock: words.Clock) -> str:
    """Where a task is whose upstreams are met."""
    since = f" since {clock.when(task.entered)}" if task.entered is not None else ""
    if task.phase.stage == "approval":
        message = words.plain(record.job(task).approve or "")
        return f"waits for approval{since}" + (f': "{message}"' if message else "")
    if task.phase.stage == "sensor":
        until = ""
        if task.entered is not None:
            until = f", until {clock.when(task.entered + record.job(task).wait_timeout)} at the latest"
        polled = f", polled {words.times(task.polls)}" if task.polls else ""
        return f"waits for its `wait_until`{since}{until}{polled}"
    return STAGES.get(task.phase.stage, task.state)


def approve_command(task: Task) -> str:
    """The command that approves a task which waits for it; "" for any other."""
    if task.final or task.phase.stage != "approval":
        return ""
    return f"cronflow approve {words.pasted(f'{task.run}/{task.name}')}"


def trigger_phrase(run: Run) -> str:
    """What opened a run: "by hand (anna)", "schedule", "retry of 1422 (anna)"."""
    if run.trigger == "manual":
        return f"by hand ({run.by})" if run.by else "by hand"
    if run.trigger == "retry":
        return f"retry of {run.retry_of}" + (f" ({run.by})" if run.by else "")
    return "at boot" if run.trigger == "reboot" else run.trigger


def files_phrase(files: Files, most: int = FILES_TOLD) -> str:
    """The files that caused a run, the first `most` by name: "3 files: /in/a, /in/b, /in/c"; empty where none did."""
    if not files.total:
        return ""
    names = ", ".join(words.plain(name) for name in files.names[:most])
    more = f" and {files.total - most} more" if files.total > most else ""
    return f"{words.count(files.total, 'file')}: {names}{more}"


def row_phrase(run: Run) -> str:
    """Why slots did not run: "skipped: it was paused"."""
    return f"{run.state}: {reason_words(run.reason)}" if run.reason else run.state
