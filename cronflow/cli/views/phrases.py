"""The sentences that several screens share: how a task ended, what it waits for."""

from __future__ import annotations

from cronflow.cli.views.style import Style
from cronflow.core import words
from cronflow.core.model import Attempt, Run, Task

REASONS = {
    "paused": "it was paused",
    "disabled": "it is disabled in the job file",
    "overlap": "an earlier run was still going on",
    "queue_full": "too many runs were waiting already",
    "daemon_down": "the daemon was not running",
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
    "max_running": "as many commands as `max_running` allows are running",
}
"""What the stable words of the history mean, as the end of a sentence."""

def reason_words(reason: str | None) -> str:
    """A reason as a person says it; a word that is not known as it is."""
    if not reason:
        return ""
    return REASONS.get(reason, reason.replace("_", " "))


def cause_words(task: Task) -> str:
    """Why a task ended as it did, with the task that caused it: "backup failed"."""
    if task.reason == "upstream_failed" and task.caused_by:
        return f"{task.caused_by} failed"
    if task.reason == "upstream_cancelled" and task.caused_by:
        return f"{task.caused_by} was cancelled"
    return reason_words(task.reason)


def ended_how(task: Task | None, attempt: Attempt | None) -> str:
    """How the last attempt of a task ended: "exit 1", "timed out after 2 attempts", "`cwd` /x does not exist"."""
    if task is None:
        return ""
    if task.note and (attempt is None or attempt.exit_code in (None, 126, 127)):
        return words.plain(task.note)
    if attempt is None or attempt.state != "ended":
        return reason_words(task.reason)
    how = words.exit_status(attempt.exit_code, attempt.signal, attempt.result)
    return f"{how} after {task.attempts} attempts" if task.attempts > 1 else how


def task_phrase(task: Task, upstreams: list[Task], style: Style) -> str:
    """What a task that has not ended and has no process waits for."""
    if task.state == "retrying":
        coming = f", tries again {style.when(task.next_attempt_at, True)}" if task.next_attempt_at is not None else ""
        if task.next_attempt_at is not None and style.human:
            coming += f" ({words.ago(task.next_attempt_at, style.now)})"
        return f"{style.paint('retrying')} after attempt {task.attempts}{coming}"
    if task.state == "queued":
        return f"queued: {reason_words(task.reason)}" if task.reason else "queued"
    if upstreams:
        return f"waiting for {words.listing([one.name for one in upstreams], 4)}"
    return f"waiting: {reason_words(task.reason)}" if task.reason else task.state


def trigger_phrase(run: Run) -> str:
    """What opened a run: "by hand (anna)", "schedule", "retry of 1422 (anna)"."""
    if run.trigger == "manual":
        return f"by hand ({run.by})" if run.by else "by hand"
    if run.trigger == "retry":
        return f"retry of {run.retry_of}" + (f" ({run.by})" if run.by else "")
    return "at boot" if run.trigger == "reboot" else run.trigger


def row_phrase(run: Run) -> str:
    """Why slots did not run: "skipped: it was paused"."""
    return f"{run.state}: {reason_words(run.reason)}" if run.reason else run.state
