"""A task's phase as columns of `tasks`, and back. The columns are the older form, and good to look at: `stage` and `stage_at`,
`check` (polls of a sensor, else checks passed), `verdict` (the end that a hook does not change), `queued_at`, `next_attempt_at`.
"""

from __future__ import annotations

from typing import NamedTuple

from cronflow.core.records import FINAL, Approval, Attempt, Done, End, Held, Hook, Live, Pausing, Phase, Queued, Task, Upstreams

HOOKS = ("on_failure", "on_success")


class PhaseColumns(NamedTuple):
    """What of a row of `tasks` tells the phase."""

    state: str = "waiting"
    stage: str = ""
    stage_at: float | None = None
    check: int = 0
    verdict: tuple[str, ...] = ()
    queued_at: float | None = None
    next_attempt_at: float | None = None


def columns_of(task: Task) -> PhaseColumns:
    """The columns of a task's phase."""
    phase = task.phase
    plain = PhaseColumns(phase.state, phase.stage)
    match phase:
        case Queued():
            return plain._replace(stage_at=phase.entered, check=phase.polls, queued_at=phase.since)
        case Live():
            return plain._replace(stage_at=phase.entered, check=phase.polls or phase.passed)
        case Pausing():
            return plain._replace(stage_at=phase.entered, check=phase.polls or phase.passed, next_attempt_at=phase.again_at)
        case Approval():
            return plain._replace(stage_at=phase.since)
        case Hook():
            queued_at = phase.since if phase.attempt is None else None
            end = (phase.end.state, phase.end.reason or "", phase.end.note or "")
            return plain._replace(stage_at=phase.since, check=phase.passed, verdict=end, queued_at=queued_at)
        case Done():
            hooked = phase.at != task.finished_at
            verdict = (phase.state, task.reason or "", task.note or "") if hooked else ()
            return plain._replace(stage_at=phase.at, check=phase.passed, verdict=verdict)
    return plain


def phase_of(columns: PhaseColumns, finished_at: float | None, live: Attempt | None) -> Phase:
    """The phase of a row, whose task has this process that has not ended. Columns that no phase has are a ValueError."""
    phase = _phase_of(columns, finished_at, live)
    if phase.state != columns.state or (columns.state in FINAL) != (finished_at is not None):
        raise ValueError(f"a task that is {columns.state} is {phase}, ended at {finished_at}")
    return phase


def _phase_of(columns: PhaseColumns, finished_at: float | None, live: Attempt | None) -> Phase:
    state, stage, stage_at, check, verdict, queued_at, next_attempt_at = columns
    since = stage_at if stage_at is not None else queued_at if queued_at is not None else 0.0
    if state in FINAL:
        at = stage_at if verdict else finished_at
        return Done(state, at, stage, check)  # type: ignore[arg-type]  # a word of FINAL
    if stage in HOOKS and verdict:
        end, reason, note = verdict
        return Hook(End(end, reason or None, note or None), since, live, check)  # type: ignore[arg-type]  # a word of FINAL
    polls = check if stage == "sensor" else 0
    if live is not None:
        return Live(live, since, check - polls if stage == "check" else 0, polls)
    if queued_at is not None:
        return Queued(stage, queued_at, since, polls)
    if next_attempt_at is not None:
        return Pausing(stage, next_attempt_at, since, check - polls, polls)
    if stage == "approval":
        return Approval(since)
    if state == "queued":
        return Held()
    if state == "waiting" and not stage:
        return Upstreams()
    raise ValueError(f"a task that is {state}, at stage `{stage}`, has no process")
