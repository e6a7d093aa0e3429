"""Who has to be told that a task is late or slow: once a run and task, at the moment when it is certain.

A task is late when its deadline comes before its success. One that fails, or that a failure blocks, cannot succeed in its run
any more: whoever hears of that failure has been told; all other targets that want to know are told `late` at once. What
is skipped or cancelled is not late: nobody waits for it.
"""

from __future__ import annotations

import heapq

from cronflow.core.notify import health
from cronflow.core.notify.expectations import REMEMBERED, Timer, deadline_of, slow_after, timers, usual
from cronflow.core.records import Attempt, Done, Health, Run, Task
from cronflow.core.state import LiveState
from cronflow.core.turn import Turn


def expect(turn: Turn, task: Task) -> None:
    """A run has been given a task: set the timer of its deadline. One that has passed already (catch-up) is told at once."""
    state = turn.state
    for timer in timers(turn.run(task), task, turn.job(task), _durations(state, task.job)):
        if timer[1] == "late" and timer[0] <= turn.now:
            _tell_late(turn, task, timer[0])
        elif timer[1] == "late":
            heapq.heappush(state.timers, timer)


def watch(state: LiveState, task: Task) -> None:
    """A command runs: set the timer of its slowness; it rings in this step if that time has come already."""
    run = state.runs[task.run]
    for timer in timers(run, task, state.job(run, task), _durations(state, task.job)):
        if timer[1] == "slow":
            heapq.heappush(state.timers, timer)


def ring(turn: Turn, run: Run, task: Task, timer: Timer) -> None:
    """A timer has come: tell it, unless it stands for nothing any more."""
    state = turn.state
    if timer not in timers(run, task, state.job(run, task), _durations(state, task.job)):
        return
    at, kind, *_ = timer
    match kind:
        case "late":
            _tell_late(turn, task, at)
        case "slow":
            _tell_slow(turn, task)
        case _:
            raise ValueError(kind)


def ran(turn: Turn, task: Task, attempt: Attempt) -> None:
    """A command succeeded, whatever its checks will say: remember how long it ran. Others of the job that are running may be
    slow at another time now."""
    state = turn.state
    if attempt.kind != "command" or attempt.started_at is None or attempt.finished_at is None:
        return
    one = turn.health(task.job)
    one.durations = (*one.durations, max(attempt.finished_at - attempt.started_at, 0.0))[-REMEMBERED:]
    for number in state.active.get(task.job, ()):
        for other in state.by_job[number].get(task.job, ()):
            if other is not task:
                watch(state, other)


def ended(turn: Turn, run: Run, task: Task) -> None:
    """A task with a deadline is final: was it in time, and if it never will be, does everybody know?"""
    at = deadline_of(turn.job(task), run)
    if at is None or "late" in task.told:
        return
    if task.state == "success" and isinstance(task.phase, Done) and task.phase.at is not None and task.phase.at > at:
        _tell_late(turn, task, at)
    elif task.state in ("failed", "blocked"):
        cause = run.tasks.get(task.caused_by or task.name)
        job = cause.job if cause is not None else (task.caused_by or task.job).partition("[")[0]
        known = frozenset(target.name for target in health.targets_of(turn.state, job, "failure"))
        _tell_late(turn, task, at, known)


def _durations(state: LiveState, job: str) -> tuple[float, ...]:
    one: Health | None = state.health.get(job)
    return one.durations if one is not None else ()


def _tell_late(turn: Turn, task: Task, at: float, known: frozenset[str] = frozenset()) -> None:
    """`known`: the targets that have heard of the failure behind it."""
    state, run = turn.state, turn.run(task)
    one = state.health.get(task.job)
    up = [edge.job for edge in turn.job(task).after]
    facts = {
        "deadline": at,
        "state": task.state,
        "reason": task.reason,
        "cause": task.caused_by,
        "running_since": task.live.started_at if task.live is not None else None,
        "ended_at": task.finished_at,
        "waits_for": [other.name for other in run.tasks.values() if other.job in up and not other.final],
        "last_success_at": one.last_success_at if one is not None else None,
        "blocks": health.blocks(state, run, task) if task.state != "success" else [],
    }
    targets = [target for target in health.targets_of(state, task.job, "late") if target.name not in known]
    health.tell_once(turn, "late", targets, facts, task)


def _tell_slow(turn: Turn, task: Task) -> None:
    state, run = turn.state, turn.run(task)
    assert task.live is not None
    job, durations = turn.job(task), _durations(state, task.job)
    facts = {
        "running_since": task.live.started_at,
        "slow_after_s": slow_after(job, durations),
        "usual_s": usual(durations),
        "known": len(durations),
        "slow": list(job.slow) if job.slow is not None else None,
        "attempt": task.live.n,
        "timeout_s": job.timeout,
        "waiting": health.blocks(state, run, task),
    }
    health.tell_once(turn, "slow", health.targets_of(state, task.job, "slow"), facts, task)
