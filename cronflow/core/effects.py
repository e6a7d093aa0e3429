"""What to do about an event: rows to save, then deeds. All rows go into one transaction, and only after it come the deeds.

Rows are the live objects themselves, each once, however often it changed: who saves them does so before the next step, or
merges the effects of several steps and saves the last values once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from cronflow.core.records import Act, Alert, Attempt, AttemptRef, Cursor, Health, Link, Pause, Run, Skip, Task, Trouble
from cronflow.errors import Exit


class StartAttempt(NamedTuple):
    """Have the keeper start this attempt. Saying it twice is harmless: a keeper starts an attempt once."""

    ref: AttemptRef


class StopAttempt(NamedTuple):
    """Have the keeper end everything of this attempt; `now` without the time that `kill_after` gives."""

    ref: AttemptRef
    now: bool = False


Deed = StartAttempt | StopAttempt


class Change(NamedTuple):
    """One move of a task or a run, for the trace."""

    run: int
    task: str | None
    before: str
    after: str
    reason: str | None


class Reply(NamedTuple):
    """The answer to a request: the runs that it concerns, or why it was refused, and the exit status of that."""

    runs: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str | None = None
    hint: str | None = None
    exit_status: int = Exit.FAILED


class Amendment(NamedTuple):
    """What is known better of a run that may have ended: the reason of some of its jobs, and the runs whose ends counted."""

    jobs: tuple[str, ...]
    reason: str
    caused_by: str | None
    upstreams: dict[str, int]


@dataclass(slots=True)
class Effects:
    """Rows and deeds of one step, or of several that are saved together.

    `gone` are the tasks, `gone_attempts` the attempts, and `gone_runs` the rows of slots, that are no more; `overruled` are
    attempts that a check made failures; `watched` are files as a watch has seen them (None: gone), by its key and their path;
    `paths` the files that caused a run."""

    definitions: dict[str, tuple[str, str]] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    slots: list[tuple[str, str, int, int]] = field(default_factory=list)
    tasks: dict[tuple[int, str], Task] = field(default_factory=dict)
    attempts: dict[AttemptRef, Attempt] = field(default_factory=dict)
    cursors: dict[tuple[str, str], Cursor | None] = field(default_factory=dict)
    links: dict[tuple[str, str], Link | None] = field(default_factory=dict)
    gone: dict[tuple[int, str], None] = field(default_factory=dict)
    gone_runs: dict[int, None] = field(default_factory=dict)
    gone_attempts: dict[AttemptRef, None] = field(default_factory=dict)
    overruled: dict[AttemptRef, None] = field(default_factory=dict)
    amended: dict[int, Amendment] = field(default_factory=dict)
    watched: dict[tuple[str, str], str | None] = field(default_factory=dict)
    paths: dict[int, tuple[str, ...]] = field(default_factory=dict)
    pauses: dict[str, Pause | None] = field(default_factory=dict)
    skips: dict[str, Skip | None] = field(default_factory=dict)
    health: dict[str, Health] = field(default_factory=dict)
    troubles: dict[str, Trouble | None] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    replies: dict[int, Reply] = field(default_factory=dict)
    changes: list[Change] = field(default_factory=list)

    @property
    def rows(self) -> bool:
        """Whether there is anything to save."""
        return any(
            (
                self.runs,
                self.tasks,
                self.attempts,
                self.cursors,
                self.links,
                self.amended,
                self.watched,
                self.pauses,
                self.skips,
                self.health,
                self.troubles,
                self.acts,
                self.alerts,
            )
        )

    def __bool__(self) -> bool:
        return self.rows or bool(self.deeds) or bool(self.replies)

    def add(self, later: Effects) -> None:
        """Take over the effects of a later step, so that both are saved in one transaction."""
        self.definitions.update(later.definitions)
        self.runs.update(later.runs)
        self.slots.extend(later.slots)
        self.tasks.update(later.tasks)
        self.attempts.update(later.attempts)
        self.cursors.update(later.cursors)
        self.links.update(later.links)
        self.gone.update(later.gone)
        self.gone_runs.update(later.gone_runs)
        self.gone_attempts.update(later.gone_attempts)
        self.overruled.update(later.overruled)
        self.amended.update(later.amended)
        self.watched.update(later.watched)
        self.paths.update(later.paths)
        self.pauses.update(later.pauses)
        self.skips.update(later.skips)
        self.health.update(later.health)
        self.troubles.update(later.troubles)
        self.acts.extend(later.acts)
        self.alerts.extend(later.alerts)
        self.deeds.extend(later.deeds)
        self.replies.update(later.replies)
        self.changes.extend(later.changes)
        for number in self.gone_runs:
            self.runs.pop(number, None)
        for place in self.gone:
            self.tasks.pop(place, None)
        for ref in self.gone_attempts:
            self.attempts.pop(ref, None)
