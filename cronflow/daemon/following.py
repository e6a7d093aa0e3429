"""The lines that someone who follows a run hears: a run or a task as it is now. All times are epoch seconds."""

from __future__ import annotations

from typing import Any

from cronflow.core.model import Attempt, Run, Task


def run_event(run: Run) -> dict[str, Any]:
    """A line for those who follow a run."""
    keys = ("flow", "trigger", "state", "reason", "slot", "created_at", "started_at", "finished_at")
    return {"event": "run", "run": run.id, **{key: getattr(run, key) for key in keys}}


def task_event(task: Task, attempt: Attempt | None) -> dict[str, Any]:
    """A line for those who follow a run: a task as it is now, with the attempt that goes on or has just ended."""
    keys = ("job", "state", "reason", "note", "attempts", "next_attempt_at", "started_at", "finished_at")
    attempt = task.live or attempt
    about = ("n", "pid", "result", "exit_code", "signal", "started_at", "finished_at")
    return {
        "event": "task",
        "run": task.run,
        "task": task.name,
        **{key: getattr(task, key) for key in keys},
        "attempt": {key: getattr(attempt, key) for key in about} if attempt is not None else None,
    }
