"""Why a task does not start: the one truth for the engine, which starts a task exactly when the list is empty, and for
`cronflow why`, which prints it."""

from __future__ import annotations

from dataclasses import dataclass

from cronflow.core.model import Run, Task
from cronflow.core.state import State


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason: a stable word, a sentence, and the run and task that it points to."""

    code: str
    message: str
    run: int | None = None
    task: str | None = None
    until: float | None = None


def blockers(state: State, run: Run, task: Task) -> list[Blocker]:
    """What a task that has not ended waits for; [] exactly when it starts (or has a process)."""
    if task.final or task.live is not None:
        return []
    if run.held:
        return [
            Blocker("overlap", f"run {other.id} of the same jobs is still {other.state}", other.id)
            for other in state.before(run)
        ]
    if task.state == "waiting":
        return _upstream(state, run, task)
    if task.state == "retrying":
        message = f"attempt {task.attempts} failed; attempt {task.attempts + 1} is to come"
        return [Blocker("retry_delay", message, run.id, task.name, task.next_attempt_at)]
    return limits(state)


def limits(state: State) -> list[Blocker]:
    """What keeps every queued task from starting."""
    if state.up_since is None:
        return [Blocker("daemon_down", "the daemon is not up yet")]
    if state.draining:
        return [Blocker("stopping", "the daemon is about to stop and starts nothing more")]
    most = state.jobs.settings.max_running
    if state.running >= most:
        return [Blocker("max_running", f"{state.running} of at most {most} commands are running (`max_running`)")]
    return []


def _upstream(state: State, run: Run, task: Task) -> list[Blocker]:
    found = []
    for edge in state.job(run, task).after:
        for other in run.tasks.values():
            if other.job == edge.job and not other.final:
                found.append(Blocker("upstream", f"after {other.name}: it is {other.state}", run.id, other.name))
    return found
