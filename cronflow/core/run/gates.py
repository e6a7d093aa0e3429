"""Gates: what holds back a whole run, be it a run of the same jobs (`overlap`) or jobs of other flows that have not ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from cronflow.core.edges.ends import GO, WAIT, Answer
from cronflow.core.jobs import Job
from cronflow.core.records import QUEUE_LIMIT, Held, Run, Upstreams
from cronflow.core.run import tasks
from cronflow.core.slots.due_slots import end_row
from cronflow.core.state import LiveState
from cronflow.core.turn import Turn


class Refused(NamedTuple):
    """A run that is not to be, and the reason of the row that tells it."""

    reason: str


Admission = Answer | Refused


def admit(turn: Turn, head: Job, jobs: Mapping[str, object], number: int) -> Admission:
    """What `overlap` says to one more run of these jobs, which is to have this number: it goes, is held back, or is refused."""
    state = turn.state
    others = state.in_the_way(jobs)
    if not others or head.overlap == "allow":
        return GO
    if head.overlap == "skip":
        return Refused("overlap")
    if head.overlap == "replace":
        for other in others:
            tasks.cancel_run(turn, other, "replaced", f"replaced by run {number}")
        return WAIT if state.in_the_way(jobs) else GO
    return Refused("queue_full") if held_among(others) >= QUEUE_LIMIT else WAIT


def held_among(runs: list[Run]) -> int:
    """How many of these runs `overlap` holds back."""
    return sum(run.gate == "overlap" for run in runs)


def hold(turn: Turn, run: Run) -> None:
    """Hold a run back until the runs of the same jobs that are before it have ended."""
    run.gate, run.gate_until, run.reason = "overlap", None, "overlap"
    run.gate_after = max(turn.state.next_run, run.id + 1) - 1
    if run.id in turn.state.runs:
        turn.state.held[run.id] = None
        tasks.hold(turn, run)
        turn.save(run)


def lift(turn: Turn, run: Run) -> None:
    """Nothing holds the run back any more. Slots of its trigger that lined up behind it are due now."""
    turn.state.leave_gate(run, turn.now)
    if run.gate == "edges":
        end_row(turn, run)
    run.gate = run.gate_after = run.gate_until = run.reason = None
    turn.save(run)


def release_held(turn: Turn) -> bool:
    """Let go the held runs in whose way nothing is any more, in their order. True if there was one."""
    state = turn.state
    released = False
    for run in sorted(map(state.runs.__getitem__, state.held), key=_order):
        if run.id not in state.held or state.before(run):
            continue
        lift(turn, run)
        released = True
        for task in run.tasks.values():
            if isinstance(task.phase, Held):
                turn.enter(task, Upstreams())
        tasks.begin(turn, run)
    return released


def _order(run: Run) -> tuple[int, int]:
    return run.gate_after or 0, run.id


def waiting_for_edges(state: LiveState) -> list[Run]:
    """The runs that wait for jobs of other flows, oldest first."""
    return [state.runs[number] for number in sorted(set(state.gated.values()))]
