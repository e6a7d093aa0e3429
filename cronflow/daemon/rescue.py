"""What a daemon does about a damaged database: it goes aside as a whole, and what goes on lives on in a new one."""

from __future__ import annotations

import sqlite3

from cronflow.core.effects import Effects
from cronflow.core.model import definition
from cronflow.core.state import State
from cronflow.daemon.keepers import STRIDE
from cronflow.daemon.shelves import newest_logged
from cronflow.keeper import client
from cronflow.places import Places
from cronflow.store.store import Store

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error says that the file is no longer a database (https://sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def revive(places: Places) -> tuple[Store, State]:
    """The store of a state folder and the live state in it. Numbers of runs go on above those that have left logs, whatever
    has become of the database: a number is never given twice."""
    store = Store.open(places.state)
    try:
        state = store.load()
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        store = store.replaced(places.state)
        state = store.load()
    state.next_run = max(state.next_run, 1 + newest_logged(places))
    return store, state


def newest_generation(places: Places) -> int:
    """The highest generation of a daemon whose keepers have left journals: the next one is above it, also with a new database."""
    try:
        return max(client.generations(str(places.journals)), default=0) // STRIDE
    except OSError:
        return 0


def everything(state: State) -> Effects:
    """The rows from which a new database rebuilds the live state: of the history, what goes on."""
    out = Effects()
    for run in (*state.rows.values(), *state.runs.values()):
        out.runs[run.id] = run
        out.tasks.update({(run.id, task.name): task for task in run.tasks.values()})
        if run.definition in state.definitions:
            out.definitions[run.definition] = (run.flow, definition(state.definitions[run.definition])[1])
        if run.trigger_key is not None and run.slot is not None and run.tasks:
            out.slots.extend((root, run.trigger_key, run.slot, run.id) for root in run.roots)
    for task in state.live():
        if task.live is not None:
            out.attempts[task.live.ref] = task.live
    out.cursors.update(state.cursors)
    out.links.update(state.links)
    out.pauses.update(state.pauses)
    out.skips.update(state.skips)
    out.health.update(state.health)
    out.troubles.update(state.troubles)
    return out
