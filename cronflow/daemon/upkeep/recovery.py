"""What a daemon does about a damaged database: it goes aside as a whole, and what goes on lives on in a new one."""

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
from cronflow.core.state import LiveState
from cronflow.daemon.processes.keepers import STRIDE
from cronflow.daemon.processes.logfolders import newest_logged
from cronflow.keeper import client
from cronflow.linux import boot_id
from cronflow.places import Places
from cronflow.store.sound import DamageError, check_things, is_damage
from cronflow.store.store import LockedError, Store

LOCKED_AGAIN = 0.2
"""Seconds until a database that another program has locked is asked for again."""


Facts = Callable[[Store], Mapping[str, str]]


def facts(store: Store, places: Places, since: float) -> dict[str, str]:
    """What a database is to say of a new daemon."""
    return {
        "generation": str(1 + max(int(store.meta("generation") or 0), newest_generation(places))),
        "id": store.meta("id") or uuid.uuid4().hex[:12],
        "pid": str(os.getpid()),
        "since": str(since),
        "file": str(places.file),
        "version": __version__,
        "host": socket.gethostname(),
        "boot": boot_id(),
    }


def revive(places: Places, log: Callable[[str], None], facts: Facts) -> tuple[Store, LiveState]:
    """The store of a state folder and the live state in it, once `facts` about the new daemon stand in it too. Numbers of runs go
    on above those that have left logs, whatever has become of the database: a number is never given twice."""
    store = _open(places, log)
    try:
        state = _begin(store, facts)
    except (sqlite3.DatabaseError, ValueError) as error:
        if not is_damage(error) and not isinstance(error, ValueError):
            raise
        log(f"the database is damaged: {error}")
        store = store.replaced(places.state)
        state = _begin(store, facts)
    state.next_run = max(state.next_run, 1 + newest_logged(places))
    return store, state


def _begin(store: Store, facts: Facts) -> LiveState:
    state = store.load()
    store.set_meta(**facts(store))
    return state


def _open(places: Places, log: Callable[[str], None]) -> Store:
    """The store, once nobody keeps it to himself."""
    told = False
    while True:
        try:
            return Store.open(places.state)
        except LockedError as locked:
            if not told:
                log(f"{locked.message}; nothing is started until it is not")
            told = True
            time.sleep(LOCKED_AGAIN)


def newest_generation(places: Places) -> int:
    """The highest generation of a daemon whose keepers have left journals: the next one is above it, also with a new database."""
    try:
        return max(client.generations(str(places.journals)), default=0) // STRIDE
    except OSError:
        return 0


def everything(state: LiveState) -> Effects:
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


def salvaged(store: Store, state: LiveState) -> Effects:
    """What a damaged database still tells of what the live state does not hold: the files that caused the runs that go on, and
    the alerts that were not sent. What makes no sense is left out."""
    out = Effects()
    with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
        for number in state.runs:
            if (paths := store.paths(number)) and all(isinstance(path, str) for path in paths):
                out.paths[number] = paths
    with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
        for alert in store.alerts_unsent():
            with contextlib.suppress(DamageError):
                check_things([alert])
                out.alerts.append(alert)
    return out
