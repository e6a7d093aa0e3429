"""The live state as the database has it: for the daemon that goes on with it, and for a look at what would come of it."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable

from cronflow.core.records import Run
from cronflow.core.state import LiveState
from cronflow.store.rows import CURSORS, HEALTH, LINKS, PAUSES, RUNS, SKIPS, TROUBLES, tasks_of
from cronflow.store.sound import DamageError, check_state

AHEAD = (
    "SELECT root, run_slots.trigger_key, slot FROM cursors"
    " JOIN run_slots ON root = job AND run_slots.trigger_key = cursors.trigger_key AND slot > at"
)
"""Slots that ran although their trigger has not come to them: the clock was ahead."""

_NONSENSE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


def load_state(db: sqlite3.Connection) -> LiveState:
    """Runs that are not final, cursors, links, pauses, skips, health, troubles. Job file and plan are not in it. A DamageError
    where that is nothing that can have been saved."""
    try:
        return _load(db)
    except _NONSENSE as error:
        raise DamageError(f"what it says makes no sense: {error!r}") from error


def load_waits(db: sqlite3.Connection, edges: bool) -> LiveState:
    """As much of the live state as tells what waits for what: the runs that are not final, and where there are `edges` between
    flows the cursors and links. A reader need not pay for the rest. A DamageError as from `load_state`."""
    try:
        state = LiveState()
        _load_runs(db, state)
        if edges:
            _load_edges(db, state)
        state.index()
        return state
    except _NONSENSE as error:
        raise DamageError(f"what it says makes no sense: {error!r}") from error


def _load_runs(db: sqlite3.Connection, state: LiveState) -> dict[str, str]:
    """Fill in the runs that are not final, and their definitions, whose texts are returned."""
    for row in db.execute(f"{RUNS.select} WHERE finished_at IS NULL ORDER BY id"):
        run = RUNS.object(row)
        state.runs[run.id] = run
    fill(db, state.runs.values())
    bodies = {run.definition: definition_text(db, run.definition) for run in state.runs.values()}
    for digest, body in bodies.items():
        state.know(digest, body)
    return bodies


def _load_edges(db: sqlite3.Connection, state: LiveState) -> None:
    """Fill in the cursors and the links."""
    for row in db.execute(CURSORS.select):
        cursor = CURSORS.object(row)
        cursor.trigger_key = sys.intern(cursor.trigger_key)  # many jobs have the same
        state.cursors[cursor.job, cursor.trigger_key] = cursor
    for row in db.execute(LINKS.select):
        link = LINKS.object(row)
        state.links[link.job, link.upstream] = link


def _load(db: sqlite3.Connection) -> LiveState:
    state = LiveState()
    bodies = _load_runs(db, state)
    _load_edges(db, state)
    numbers = sorted({cursor.row for cursor in state.cursors.values() if cursor.row is not None})
    for number in numbers:
        found = db.execute(f"{RUNS.select} WHERE id = ?", (number,)).fetchone()
        if found is not None:
            state.rows[number] = RUNS.object(found)
    for root, key, slot in db.execute(AHEAD):
        state.already_run.setdefault((root, key), set()).add(slot)
    state.pauses = {row[0]: PAUSES.object(row) for row in db.execute(PAUSES.select)}
    state.skips = {row[0]: SKIPS.object(row) for row in db.execute(SKIPS.select)}
    state.health = {row[0]: HEALTH.object(row) for row in db.execute(HEALTH.select)}
    state.troubles = {row[0]: TROUBLES.object(row) for row in db.execute(TROUBLES.select)}
    check_state(state, bodies)
    state.next_run = 1 + (db.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'runs'").fetchone()[0] or 0)
    state.index()
    return state


def fill(db: sqlite3.Connection, runs: Iterable[Run]) -> None:
    """Give runs their tasks, in the order of their definition."""
    for run in runs:
        tasks = {task.name: task for task in tasks_of(db, "run = ?", (run.id,))}
        order = {plain["name"]: place for place, plain in enumerate(json.loads(definition_text(db, run.definition)))}
        run.tasks = dict(sorted(tasks.items(), key=lambda pair: order.get(pair[1].job, 0)))


def definition_text(db: sqlite3.Connection, digest: str) -> str:
    """The stored text of a definition."""
    row = db.execute("SELECT body FROM definitions WHERE digest = ?", (digest,)).fetchone()
    return str(row[0]) if row else "[]"
