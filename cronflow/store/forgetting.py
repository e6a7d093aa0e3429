"""Forgetting: what of the history is past its time, found and deleted in portions.

Each question and each deletion is a small one, however long the history is, so that something else can be done between two of
them. What an iterator gives is one portion, often an empty one; the caller deletes it before it asks for the next one, or only
counts it: what is found does not depend on that.

What the live state or a person still needs is in nobody's portion (`_NEEDED`).
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

from cronflow.core.jobs import Settings
from cronflow.store.store import Store

RUNS = 25
"""Runs looked at in one portion."""
ROWS = 300
"""Tasks and attempts deleted in one transaction; other rows of a run are few beside them."""
ENTRIES = 1000
"""Entries of an index passed in one portion."""
CHECKPOINT_EVERY = 4
"""Transactions. The log is taken into the database here, where nobody waits, and not in the commit of a start."""

Portions = Iterator[list[int]]

_NEEDED = """
    finished_at IS NULL
    OR NOT EXISTS (SELECT 1 FROM runs AS newer WHERE newer.flow = runs.flow AND newer.id > runs.id)
    OR EXISTS (
        SELECT 1 FROM tasks WHERE tasks.run = runs.id
        AND NOT EXISTS (SELECT 1 FROM tasks AS newer WHERE newer.job = tasks.job AND newer.run > tasks.run))
    OR EXISTS (SELECT 1 FROM alerts WHERE alerts.run = runs.id AND sent_at IS NULL)
    OR id IN (
        SELECT row FROM cursors WHERE row IS NOT NULL
        UNION SELECT run FROM links WHERE run IS NOT NULL
        UNION SELECT blocked FROM links WHERE blocked IS NOT NULL
        UNION SELECT value FROM runs AS live, json_each(live.upstreams) WHERE live.finished_at IS NULL
        UNION SELECT retry_of FROM runs AS live WHERE live.finished_at IS NULL AND retry_of IS NOT NULL)
"""
"""The runs that stay however old they are: those that go on, with the runs that opened them; the newest of each flow and of each
job; the row that the next slot continues; the ends that edges between flows count; what an alert is still to tell."""


class Keep(NamedTuple):
    """What stays: what is not older than `before` (epoch seconds), or the `newest` so many runs of each job."""

    before: float | None
    newest: int | None


def keep_of(settings: Settings, now: float) -> Keep:
    """What `keep_runs` says at a time."""
    return Keep(None if settings.keep_runs is None else now - settings.keep_runs, settings.keep_runs_count)


# ---- runs -----------------------------------------------------------------------------------------------------------------


def old_runs(db: sqlite3.Connection, keep: Keep) -> Portions:
    """The numbers of the runs, and rows of slots that did not run, that may go; each once."""
    if keep.before is not None:
        yield from _ended_before(db, keep.before)
    if keep.newest is not None:
        yield from _beyond(db, keep.newest)


def _ended_before(db: sqlite3.Connection, before: float) -> Portions:
    query = (
        "SELECT finished_at, id FROM runs WHERE finished_at < ? AND finished_at >= ? AND (finished_at, id) > (?, ?)"
        " ORDER BY finished_at, id LIMIT ?"
    )
    at, last = -1e300, 0
    while found := db.execute(query, (before, at, at, last, RUNS)).fetchall():
        found = found[: _few(db, [number for _, number in found])]
        at, last = found[-1]
        yield _unneeded(db, [number for _, number in found])


def _beyond(db: sqlite3.Connection, count: int) -> Portions:
    """A run may go when each of its jobs has `count` newer ones; a row of slots that did not run, when its flow has."""
    oldest: dict[str, int] = {}
    for job in _names(db, "tasks", "job"):
        oldest[job] = yield from _nth(db, _Named("tasks", "job", "run", job), count)
    for job in oldest:
        last = 0
        while found := _step(db, _Named("tasks", "job", "run", job), last, RUNS, oldest[job]):
            found = found[: _few(db, found)]
            last = found[-1]
            yield _unneeded(db, _of_job(db, found, job, oldest))
    for flow in _names(db, "runs", "flow"):
        named = _Named("runs", "flow", "id", flow)
        first = yield from _nth(db, named, count)
        last = 0
        while found := _step(db, named, last, ENTRIES, first):
            last = found[-1]
            query = "SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE run = value)"
            rows = [row[0] for row in db.execute(query, (json.dumps(found),))]
            yield []
            for place in range(0, len(rows), RUNS):
                yield _unneeded(db, rows[place : place + RUNS])


class _Named(NamedTuple):
    """The runs of one name: where these have it, and their number."""

    table: str
    column: str
    number: str
    name: str


def _names(db: sqlite3.Connection, table: str, column: str) -> Iterator[str]:
    """The values of a column with an index, without passing all of its entries."""
    name = ""
    while (found := db.execute(f"SELECT min({column}) FROM {table} WHERE {column} > ?", (name,)).fetchone()[0]) is not None:
        name = found
        yield name


def _nth(db: sqlite3.Connection, named: _Named, count: int) -> Generator[list[int], None, int]:
    """The run that has `count` - 1 newer ones of the same name; 0 where there is none."""
    last, left = 1 << 62, count
    while left:
        found = _step(db, named, last, min(left, ENTRIES))
        if len(found) < min(left, ENTRIES):
            return 0
        last, left = found[-1], left - len(found)
        yield []
    return last


def _step(db: sqlite3.Connection, named: _Named, last: int, most: int, end: int | None = None) -> list[int]:
    """The next runs of a name, each once whatever it has of copies: newest first, or oldest first up to before `end`."""
    table, column, number, name = named
    seek = f"max({number})" if end is None else f"min({number})"
    bounds = f"{number} < found.run AND ?4 IS NULL" if end is None else f"{number} > found.run AND {number} < ?4"
    query = (
        "WITH RECURSIVE found (run) AS (VALUES (?2) UNION ALL"
        f" SELECT (SELECT {seek} FROM {table} WHERE {column} = ?1 AND {bounds}) FROM found WHERE found.run IS NOT NULL LIMIT ?3)"
        " SELECT run FROM found WHERE run IS NOT NULL LIMIT -1 OFFSET 1"
    )
    return [row[0] for row in db.execute(query, (name, last, most + 1, end))]


def _few(db: sqlite3.Connection, runs: Sequence[int]) -> int:
    """How many of these runs make a portion: all, or as many as have no more than ROWS rows together, at least one."""
    rows = 0
    for place, run in enumerate(runs):
        rows += _weight(db, run)
        if rows > ROWS and place:
            return place
    return len(runs)


def _weight(db: sqlite3.Connection, run: int) -> int:
    query = "SELECT (SELECT count(*) FROM tasks WHERE run = ?1) + (SELECT count(*) FROM attempts WHERE run = ?1)"
    return int(db.execute(query, (run,)).fetchone()[0])


def _of_job(db: sqlite3.Connection, runs: list[int], job: str, oldest: dict[str, int]) -> list[int]:
    """Those of some runs of which this job is the first by name, and each job has newer ones enough."""
    jobs: dict[int, list[str]] = {}
    query = "SELECT DISTINCT run, job FROM tasks WHERE run IN (SELECT value FROM json_each(?))"
    for run, name in db.execute(query, (json.dumps(runs),)):
        jobs.setdefault(run, []).append(name)
    return [run for run in runs if min(jobs[run]) == job and all(run < oldest.get(name, 0) for name in jobs[run])]


def _unneeded(db: sqlite3.Connection, runs: list[int]) -> list[int]:
    query = f"SELECT id FROM runs WHERE id IN (SELECT value FROM json_each(?)) AND NOT ({_NEEDED})"
    return [row[0] for row in db.execute(query, (json.dumps(runs),))]


def erase(store: Store, runs: Sequence[int]) -> Iterator[None]:
    """Delete a portion of runs with all that belongs to them, in one transaction, or in several where one run is very large."""
    db = store.connection
    while len(runs) == 1 and _weight(db, runs[0]) > ROWS:
        with store.unhurried():
            _thin(db, runs[0])
        yield
    with store.unhurried():
        _delete(db, json.dumps(list(runs)))
    yield


def _thin(db: sqlite3.Connection, run: int) -> None:
    """Delete as many attempts, or then tasks, as one transaction may."""
    for table, key in (("attempts", "task, kind, n"), ("tasks", "name")):
        some = f"SELECT {key} FROM {table} WHERE run = ?1 LIMIT ?2"
        if db.execute(f"DELETE FROM {table} WHERE run = ?1 AND ({key}) IN ({some})", (run, ROWS)).rowcount:
            return


def _delete(db: sqlite3.Connection, runs: str) -> None:
    """Delete runs, given as a JSON array. The files that caused one are handed on to its retries."""
    chosen = "IN (SELECT value FROM json_each(?))"
    db.execute(
        f"WITH RECURSIVE heirs (run, paths) AS (SELECT run, paths FROM run_paths WHERE run {chosen}"
        " UNION SELECT runs.id, heirs.paths FROM heirs JOIN runs ON runs.retry_of = heirs.run)"
        " INSERT OR IGNORE INTO run_paths (run, paths) SELECT run, paths FROM heirs",
        (runs,),
    )
    for table in ("attempts", "tasks", "run_slots", "run_paths", "alerts", "acts"):
        db.execute(f"DELETE FROM {table} WHERE run {chosen}", (runs,))
    db.execute(f"DELETE FROM runs WHERE id {chosen}", (runs,))


# ---- what is of no run ----------------------------------------------------------------------------------------------------


OF_NO_RUN = {"acts": ("job", "true"), "alerts": ("target", "sent_at IS NOT NULL")}
"""Tables with rows that belong to no run: acts of people that began none, and alerts once they have been sent. What a count is
counted for, and what must be true of a row that may go."""


def old_rows(db: sqlite3.Connection, table: str, keep: Keep) -> Portions:
    """The rows of no run that may go: with a time, from the oldest row up to it, else from the newest on."""
    group, done = OF_NO_RUN[table]
    select = f"SELECT id, at, {group}, {done} FROM {table} WHERE run IS NULL"
    if keep.before is not None:
        last = 0
        while found := db.execute(f"{select} AND id > ? ORDER BY id LIMIT ?", (last, ROWS)).fetchall():
            last = found[-1][0]
            yield [number for number, at, _, over in found if over and at < keep.before]
            if found[-1][1] >= keep.before:
                return
    if keep.newest is not None:
        last, seen = 1 << 62, Counter[str | None]()
        while found := db.execute(f"{select} AND id < ? ORDER BY id DESC LIMIT ?", (last, ROWS)).fetchall():
            last, old = found[-1][0], []
            for number, _, name, over in found:
                seen[name] += 1
                if over and seen[name] > keep.newest:
                    old.append(number)
            yield old


def unused_definitions(db: sqlite3.Connection) -> Iterator[list[str]]:
    """The digests of definitions that no run points to."""
    unused = "NOT EXISTS (SELECT 1 FROM runs WHERE definition = digest)"
    query = f"SELECT digest, {unused} FROM definitions WHERE digest > ? ORDER BY digest LIMIT ?"
    last = ""
    while found := db.execute(query, (last, RUNS)).fetchall():
        last = found[-1][0]
        yield [digest for digest, goes in found if goes]


def drop(store: Store, table: str, key: str, values: Sequence[int] | Sequence[str]) -> None:
    """Delete a portion of rows by their key."""
    if not values:
        return
    chosen = json.dumps(values)
    with store.unhurried():
        store.connection.execute(f"DELETE FROM {table} WHERE {key} IN (SELECT value FROM json_each(?))", (chosen,))


def take_in_log(store: Store) -> None:
    """Have the write-ahead log taken into the database as far as no reader is in the way."""
    store.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()


# ---- logs -----------------------------------------------------------------------------------------------------------------


def times_of(db: sqlite3.Connection, runs: list[int]) -> dict[int, tuple[float, float | None]]:
    """When these runs were opened and when they ended (None: they go on), of those that the history knows."""
    query = "SELECT id, created_at, finished_at FROM runs WHERE id IN (SELECT value FROM json_each(?))"
    return {number: (created, finished) for number, created, finished in db.execute(query, (json.dumps(runs),))}
