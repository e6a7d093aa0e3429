"""Slots that a person wants a job to leave out: asked for, used up one by one, taken back.

A skip is used up where it is what keeps the job from running: in the row of a slot for which no run opens, or as the end of the
job's task in a run that a trigger or catch-up opened after the skip was asked for.
"""

from __future__ import annotations

from cronflow.core.effects import Reply
from cronflow.core.events import SkipAsked
from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Run, Skip
from cronflow.core.state import LiveState
from cronflow.core.tables import SKIPS
from cronflow.core.turn import Turn
from cronflow.errors import Exit


def ask_skip(turn: Turn, event: SkipAsked) -> Reply:
    """Have the next slots of jobs left out instead of those asked for before; none takes that back."""
    state = turn.state
    unknown = [name for name in event.jobs if name not in state.jobs.jobs and name not in state.skips]
    if unknown:
        return Reply(refused=f"no job `{unknown[0]}`", exit_status=Exit.NOT_FOUND)
    if event.slots == 0:
        return _take_back(turn, event)
    for name in event.jobs:
        flow = state.plan.flows.get(state.plan.flow_of.get(name, ""))
        if flow is not None and not flow.triggers and not flow.external_edges:
            hint = f"it runs when somebody says `cronflow run {name}`"
            return Reply(refused=f"`{name}` starts only by hand, so it has no slots to skip", hint=hint)
    for name in event.jobs:
        state.skips[name] = Skip(name, event.slots, turn.now, event.by)
        turn.save(state.skips[name])
    return Reply()


def _take_back(turn: Turn, event: SkipAsked) -> Reply:
    found = [name for name in event.jobs if name in turn.state.skips]
    if not found:
        message = f"no slot of `{event.jobs[0]}` is to be skipped" if len(event.jobs) == 1 else "none of these has slots to skip"
        return Reply(refused=message)
    for name in found:
        del turn.state.skips[name]
        turn.delete(SKIPS, name)
    return Reply()


def all_excluded(state: LiveState, flow: Flow) -> tuple[str, list[str]] | None:
    """Why no root of a flow would run, and the roots that are to be skipped; None if one would."""
    words = {root: _why_not(state, flow, root) for root in flow.roots}
    if None in words.values():
        return None
    reason = next(word for word in ("skip", "paused", "disabled") if word in words.values())
    return reason, [root for root, word in words.items() if word == "skip"]


def _why_not(state: LiveState, flow: Flow, root: str) -> str | None:
    if not flow.jobs[root].enabled:
        return "disabled"
    return "paused" if root in state.pauses else "skip" if root in state.skips else None


def consume_skip(turn: Turn, run: Run, job: Job) -> bool:
    """Whether a task of a job that would start now is to be skipped; if so that is used up, once for all copies of the job in the
    run."""
    if any(copy.reason == "skip" for copy in turn.state.by_job[run.id][job.name]):
        return True
    skip = turn.state.skips.get(job.name)
    if skip is None or run.kind.by_person or run.created_at < skip.since:
        return False
    use_up(turn, job.name, 1)
    return True


def use_up(turn: Turn, job: str, slots: int) -> None:
    """Slots of a job have been skipped: so many less are to be."""
    state = turn.state
    skip = state.skips[job]
    assert 0 <= slots <= skip.left
    if slots == 0:
        return
    if slots == skip.left:
        del state.skips[job]
        turn.delete(SKIPS, job)
    else:
        state.skips[job] = skip._replace(left=skip.left - slots)
        turn.save(state.skips[job])
