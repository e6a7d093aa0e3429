"""A turn of the engine: what every decision is made with, and the few ways in which it may have an effect."""

from __future__ import annotations

from typing import Any, NamedTuple

from cronflow.core.effects import Action, Effects, Move
from cronflow.core.jobs import Job
from cronflow.core.records import PHASE_MOVES, Health, Phase, Run, Task
from cronflow.core.state import LiveState
from cronflow.core.tables import Patch, Table


class Turn(NamedTuple):
    """The live state, which changes in place; the effects, which are gathered; the time (epoch seconds), which stands still."""

    state: LiveState
    out: Effects
    now: float

    def save(self, *rows: Any) -> None:
        """Have rows saved, as they are at the end of the turn."""
        self.out.save(*rows)

    def delete(self, table: Table, key: Any) -> None:
        """Have a row deleted."""
        self.out.delete(table, key)

    def patch(self, table: Table, where: dict[str, Any], **values: Any) -> None:
        """Have rows changed that are no longer live."""
        self.out.patches.append(Patch(table, where, values))

    def act(self, *actions: Action) -> None:
        """Have something done once the rows are saved."""
        self.out.actions.extend(actions)

    def health(self, job: str) -> Health:
        """What alerts have to know of a job, to be changed: it is saved."""
        one = self.state.health.get(job)
        if one is None:
            one = self.state.health[job] = Health(job)
        self.out.save(one)
        return one

    def run(self, task: Task) -> Run:
        """The run of a task."""
        return self.state.runs[task.run]

    def job(self, task: Task) -> Job:
        """The definition under which a task runs."""
        state = self.state
        return state.definitions[state.runs[task.run].definition][task.job]

    def enter(self, task: Task, phase: Phase, reason: str | None = None, note: str | None = None) -> None:
        """Have a task enter a phase, along the table of moves, and say why it is there."""
        assert type(phase) in PHASE_MOVES[type(task.phase)], f"{task.run}/{task.name}: {task.phase} -> {phase}"
        before, after = task.phase.state, phase.state
        task.phase, task.reason, task.note = phase, reason, note
        if after != before:
            self.out.moves.append(Move(task.run, task.name, before, after, reason))
        self.out.save(task)

    def moved(self, run: Run, before: str, reason: str | None = None) -> None:
        """A run is in another state than before; "": it has been opened."""
        self.out.moves.append(Move(run.id, None, before, run.state, reason))
        self.out.save(run)
