"""Opening the database at a start, and what is done about a damaged one: what is in progress continues in a new one."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping

from cronflow import __version__
from cronflow.core.effects import Effects
from cronflow.core.jobs import definition
from cronflow.core.records import Definition, RunPaths, RunSlot
from cronflow.core.state import LiveState
from cronflow.daemon.processes.keepers import STRIDE
from cronflow.keeper import client
from cronflow.linux import boot_id
from cronflow.places import Places, newest_logged
from cronflow.store import outbox
from cronflow.store.database import Database
from cronflow.store.sound import DamageError, check_things, is_damage
from cronflow.store.store import LockedError, Store

LOCKED_AGAIN = 0.2
"""Seconds until a database that another program has locked is asked for again."""


def revive(places: Places, since: float, log: Callable[[str], None]) -> tuple[Database, LiveState, str | None]:
    """The database of a state folder and the live state in it, once it names the new daemon too, and the boot in which the last
    one began. Numbers of runs continue above
    those that have left logs, whatever has become of the database: a number is never given twice."""
    store = _open(places, log)
    try:
        state, boot, facts = _begin(store, places, since)
    except (sqlite3.DatabaseError, ValueError) as error:
        if not is_damage(error) and not isinstance(error, ValueError):
            raise
        log(f"the database is damaged: {error}")
        store = store.replaced(places.state)
        state, boot, facts = _begin(store, places, since)
    state.next_run = max(state.next_run, 1 + newest_logged(places))
    return Database(store, places.state, facts), state, boot


def _begin(store: Store, places: Places, since: float) -> tuple[LiveState, str | None, Mapping[str, str]]:
    state, boot = store.load(), store.meta("boot")
    facts = {
        "generation": str(1 + max(int(store.meta("generation") or 0), newest_generation(places))),
        "id": store.meta("id") or uuid.uuid4().hex[:12],
        "pid": str(os.getpid()),
        "since": str(since),
        "file": str(places.file),
        "version": __version__,
        "host": socket.gethostname(),
        "boot": boot_id(),
    }
    store.set_meta(**facts)
    return state, boot, facts


def _open(places: Places, log: Callable[[str], None]) -> Store:
    """The store, as soon as no other program has locked it."""
    logged = False
    while True:
        try:
            return Store.open(places.state)
        except LockedError as locked:
            if not logged:
                log(f"{locked.message}; nothing is started until it is not")
            logged = True
            time.sleep(LOCKED_AGAIN)


def newest_generation(places: Places) -> int:
    """The highest generation of a daemon whose keepers have left journals: the next one is above it, also with a new database."""
    try:
        return max(client.generations(str(places.journals)), default=0) // STRIDE
    except OSError:
        return 0


def everything(state: LiveState) -> Effects:
    """The rows from which a new database rebuilds the live state: of the history, what is in progress."""
    out = Effects()
    for run in (*state.rows.values(), *state.runs.values()):
        out.save(run)
        for task in run.tasks.values():
            out.save(task)
            if task.live is not None:
                out.save(task.live)
        if run.definition in state.definitions:
            out.save(Definition(run.definition, run.flow, definition(state.definitions[run.definition])[1]))
        if run.trigger_key is not None and run.slot is not None and run.tasks:
            for root in run.roots:
                out.save(RunSlot(root, run.trigger_key, run.slot, run.id))
    for rows in (state.cursors, state.links, state.pauses, state.skips, state.health, state.troubles):
        for row in rows.values():
            out.save(row)
    return out


def salvaged(store: Store, state: LiveState) -> Effects:
    """What can still be read from a damaged database and is not in the live state: the files that caused the current runs, and
    the alerts that were not sent. Rows that make no sense are left out."""
    out = Effects()
    with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
        for number in state.runs:
            if (paths := store.paths(number)) and all(isinstance(path, str) for path in paths):
                out.save(RunPaths(number, paths))
    with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
        for alert in outbox.unsent(store.connection):
            with contextlib.suppress(DamageError):
                check_things([alert])
                out.save(alert)
    return out
