"""The tables of the history and the live state, as far as the engine has to know them: which rows there are, and by what each is
known. `core` says which rows have changed; `store` knows how they are written. A new table is one line here, and its migration.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from cronflow.core.records import (
    Act,
    Alert,
    Attempt,
    Cursor,
    Definition,
    Health,
    Link,
    Pause,
    Run,
    RunPaths,
    RunSlot,
    Skip,
    Task,
    Trouble,
    WatchedFile,
)


@dataclass(eq=False, match_args=False)
class Table:
    """One kind of row: its name, its class, and the fields that make its key; without a key rows are only appended.

    `columns` are those of the database, where they are not the fields; `left_out` are fields that are kept elsewhere, `beside`
    columns that are properties of the row. `json` are lists or tables, `flags` true or false, `paths` names of files, which need
    not be UTF-8. `existing` says what a row does whose key is there already: it takes its place, is ignored, or is an error."""

    name: str
    kind: type
    key: tuple[str, ...] = ()
    json: tuple[str, ...] = ()
    flags: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    existing: Literal["replace", "ignore", "error"] = "replace"
    get: Callable[[Any], tuple[Any, ...]] = field(init=False)
    key_of: Callable[[Any], Any] | None = field(init=False)

    def __post_init__(self) -> None:
        fields = self.columns or getattr(self.kind, "_fields", None) or [spec.name for spec in dataclasses.fields(self.kind)]
        self.columns = (*(name for name in fields if name not in self.left_out), *self.beside)
        self.get = operator.attrgetter(*self.columns)
        self.key_of = operator.attrgetter(*self.key) if self.key else None

    def __repr__(self) -> str:
        return f"<table {self.name}>"


class Patch(NamedTuple):
    """New values for the rows in which `where` holds: what becomes known of a run or an attempt that is no longer live."""

    table: Table
    where: Mapping[str, Any]
    values: Mapping[str, Any]


DEFINITIONS = Table("definitions", Definition, ("digest",), existing="ignore")
RUNS = Table(
    "runs",
    Run,
    ("id",),
    json=("roots", "named", "params", "upstreams"),
    flags=("is_row", "aside", "only"),
    left_out=("tasks",),
)
RUN_SLOTS = Table("run_slots", RunSlot, ("root", "trigger_key", "slot"), existing="error")
RUN_PATHS = Table("run_paths", RunPaths, ("run",), json=("paths",))
TASKS = Table(
    "tasks",
    Task,
    ("run", "name"),
    json=("verdict", "told", "matrix", "outputs"),
    columns=(
        *("run", "name", "job", "state", "stage", "stage_at", "steps", "check", "verdict", "told", "reason", "note", "caused_by"),
        *("attempts", "next_attempt_at", "queued_at", "started_at", "finished_at", "matrix", "outputs"),
    ),
)
"""A phase has seven columns (`store.phases`)."""

ATTEMPTS = Table("attempts", Attempt, ("run", "task", "n", "kind"), json=("left_behind",))
CURSORS = Table("cursors", Cursor, ("job", "trigger_key"), flags=("catching_up",))
LINKS = Table("links", Link, ("job", "upstream"), flags=("new", "look", "failed"))
WATCHED = Table("watched", WatchedFile, ("trigger_key", "path"), paths=("path",))
PAUSES = Table("pauses", Pause, ("job",))
SKIPS = Table("skips", Skip, ("job",))
HEALTH = Table("health", Health, ("job",), json=("durations",))
TROUBLES = Table("troubles", Trouble, ("key",), flags=("told",))
ACTS = Table("acts", Act)
ALERTS = Table("alerts", Alert, json=("facts",), beside=("next_try_at",))

TABLES = (
    *(DEFINITIONS, RUNS, RUN_SLOTS, RUN_PATHS, TASKS, ATTEMPTS, CURSORS, LINKS, WATCHED),
    *(PAUSES, SKIPS, HEALTH, TROUBLES, ACTS, ALERTS),
)
TABLE_OF = {table.kind: table for table in TABLES}
