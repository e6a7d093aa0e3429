"""What to do about an event: rows to save, then actions. All rows go into one transaction, and only after it come the actions.

Rows are the live objects themselves, each once, however often it changed: who saves them does so before the next step, or
merges the effects of several steps and saves the last values once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from cronflow.core.records import AttemptRef
from cronflow.core.tables import TABLE_OF, Patch, Table
from cronflow.errors import Exit

_NO_ROWS: Mapping[Any, Any] = MappingProxyType({})


class StartAttempt(NamedTuple):
    """Have the keeper start this attempt. Saying it twice is harmless: a keeper starts an attempt once."""

    ref: AttemptRef


class StopAttempt(NamedTuple):
    """Have the keeper end everything of this attempt; `now` without the time that `kill_after` gives."""

    ref: AttemptRef
    now: bool = False


Action = StartAttempt | StopAttempt


class Move(NamedTuple):
    """One move of a task or a run from a state to another, for the trace."""

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


@dataclass(slots=True)
class Effects:
    """Rows and actions of one step, or of several that are saved together. In `rows` each table has its rows by key, None for a
    row to delete. `moves` are for the trace alone."""

    rows: dict[Table, dict[Any, Any]] = field(default_factory=dict)
    patches: list[Patch] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    replies: dict[int, Reply] = field(default_factory=dict)
    moves: list[Move] = field(default_factory=list)

    @classmethod
    def saving(cls, *rows: Any) -> Effects:
        """Effects that save these rows and do nothing else."""
        out = cls()
        out.save(*rows)
        return out

    @property
    def unsaved(self) -> bool:
        """Whether there is anything to save."""
        return bool(self.rows or self.patches)

    def __bool__(self) -> bool:
        return bool(self.rows or self.patches or self.actions or self.replies)

    def save(self, *rows: Any) -> None:
        """Have rows saved, each in the table of its kind."""
        for row in rows:
            table = TABLE_OF[type(row)]
            there = self.rows.get(table)
            if there is None:
                there = self.rows[table] = {}
            there[table.key_of(row) if table.key_of is not None else len(there)] = row

    def delete(self, table: Table, key: Any) -> None:
        """Have the row with this key deleted."""
        self.rows.setdefault(table, {})[key] = None

    def of(self, table: Table) -> Mapping[Any, Any]:
        """The rows of one table by key; None is a row to delete."""
        return self.rows.get(table, _NO_ROWS)

    def add(self, later: Effects) -> None:
        """Take over the effects of a later step, so that both are saved in one transaction."""
        for table, rows in later.rows.items():
            mine = self.rows.setdefault(table, {})
            if table.key:
                mine.update(rows)
            else:
                mine.update(enumerate(rows.values(), len(mine)))
        self.patches.extend(later.patches)
        self.actions.extend(later.actions)
        self.replies.update(later.replies)
        self.moves.extend(later.moves)
