"""The lines that are sent to those who follow a run: a run or a task as it is now. All times are epoch seconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cronflow.core.records import Attempt, Run, Task


def run_event(run: Run) -> dict[str, Any]:
    """A line for those who follow a run."""
    keys = ("flow", "trigger", "state", "reason", "slot", "created_at", "started_at", "finished_at")
    return {"event": "run", "run": run.id, **{key: getattr(run, key) for key in keys}}


def task_event(task: Task, attempts: Iterable[Attempt] = ()) -> dict[str, Any]:
    """A line for those who follow a run: a task as it is now, with the last of these attempts of its command (`attempt`) and of
    the steps beside it (`step`)."""
    keys = ("job", "state", "reason", "note", "attempts", "started_at", "finished_at")
    place = {"stage": task.phase.stage, "stage_at": task.entered, "next_attempt_at": task.again_at}
    about = ("kind", "n", "count", "pid", "result", "exit_code", "signal", "started_at", "finished_at")
    last: dict[str, Any] = {"attempt": None, "step": None}
    for attempt in (*attempts, *([task.live] if task.live is not None else [])):
        last["attempt" if attempt.kind == "command" else "step"] = {key: getattr(attempt, key) for key in about}
    return {"event": "task", "run": task.run, "task": task.name, **{key: getattr(task, key) for key in keys}, **place, **last}
