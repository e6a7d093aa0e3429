"""Whether a database is still what this program has written.

SQLite has no checksums: of a damaged file much can be read, and what is read is believed. So an error is damage unless it comes
from elsewhere (a disk, a lock, the memory), the tables must be those that the migrations make, and what is loaded must be
something that the engine can have saved. What passes all of this is another word or number that nobody can notice.
"""

from __future__ import annotations

import hashlib
import math
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from cronflow.core.state import LiveState

LATEST = 253370764800
"""The year 9999, in epoch seconds: no instant, and no other number of the live state, is beyond."""

_ELSEWHERE = frozenset(
    {
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
        *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOLFS),
        *(sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_ABORT),
    }
)
_SHORT = (sqlite3.SQLITE_IOERR_SHORT_READ, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_READONLY_DBMOVED)
"""A file that is shorter than it says, one that calls itself read-only (we may write it), one that was moved away."""

_hints: Callable[[type], dict[str, Any]] = cache(get_type_hints)
Schema = frozenset[tuple[str, str, str]]


class DamageError(sqlite3.DatabaseError):
    """The database can be read, but is not what was written."""


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the file is no longer the database that we wrote (https://sqlite.org/rescode.html): our
    statements are the same every day, so that one which is suddenly wrong says so too."""
    if isinstance(error, DamageError | UnicodeDecodeError):
        return True
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError | sqlite3.NotSupportedError):
        return False
    code = getattr(error, "sqlite_errorcode", None)  # None: a text that is no UTF-8
    return code is None or code in _SHORT or code & 0xFF not in _ELSEWHERE


# ---- the tables -----------------------------------------------------------------------------------------------------------


def check_tables(connection: sqlite3.Connection, scripts: tuple[str, ...]) -> None:
    """All tables and indexes that these migrations make are there, to the letter; where there are none, nothing is there."""
    found = _schema(connection)
    if not _made_by(scripts) <= found or (found and not scripts):
        raise DamageError("its tables are not ours")


def is_newer(connection: sqlite3.Connection, scripts: tuple[str, ...]) -> bool:
    """Whether a database that calls itself newer than these migrations is so. `format` of the table `meta` says it too: the head
    of a file alone may lie."""
    found = _schema(connection)
    if not {"meta", "runs", "run_slots"} <= {name for _, name, _ in found}:
        return False
    row = connection.execute("SELECT value FROM meta WHERE key = 'format'").fetchone()
    return row is None or row[0] != str(len(scripts)) or not _made_by(scripts) <= found


def _schema(connection: sqlite3.Connection) -> Schema:
    return frozenset(connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


@cache
def _made_by(scripts: tuple[str, ...]) -> Schema:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(";".join(scripts))
        return _schema(connection)


# ---- the live state -------------------------------------------------------------------------------------------------------


def check_state(state: LiveState, bodies: Mapping[str, str]) -> None:
    """What was loaded is a state that the engine can have saved: every value of the kind that its field has, every word one of
    ours, every task of a job of its run. `bodies` are the texts of the definitions by their digests. Else a DamageError."""
    for digest, body in bodies.items():
        if hashlib.sha256(body.encode()).hexdigest()[:16] != digest:
            raise DamageError(f"the definition {digest} is another one")
    check_things(_things(state))
    for run in state.runs.values():
        if run.final or not run.tasks:
            raise DamageError(f"run {run.id} is {run.state}, with {len(run.tasks)} tasks, and has not ended")
        for task in run.tasks.values():
            if task.job not in state.definitions[run.definition]:
                raise DamageError(f"task {run.id}/{task.name} is of `{task.job}`, which its run does not have")


def check_things(things: Iterable[Any]) -> None:
    """Every value of these objects is of the kind that its field has. Else a DamageError."""
    for thing in things:
        for name, hint in _hints(type(thing)).items():
            if not _fits(getattr(thing, name), hint):
                raise DamageError(f"{type(thing).__name__.lower()}: `{name}` is {getattr(thing, name)!r}")


def _things(state: LiveState) -> Iterator[Any]:
    for run in (*state.runs.values(), *state.rows.values()):
        yield run
        yield from run.tasks.values()
    yield from (task.live for task in state.live())
    for table in (state.cursors, state.links, state.pauses, state.skips, state.health, state.troubles):
        yield from table.values()


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a kind; numbers are finite, and no instant lies beyond the year 9999."""
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is None:
        if hint is float or hint is int:
            right = isinstance(value, int | float if hint is float else int) and not isinstance(value, bool)
            return right and math.isfinite(value) and abs(value) < LATEST
        fields = getattr(hint, "_fields", ())
        return isinstance(value, hint if hint is not None else type(None)) and all(
            _fits(getattr(value, name), _hints(hint)[name]) for name in fields
        )
    if origin in (tuple, list):
        return isinstance(value, origin) and all(_fits(one, get_args(hint)[0]) for one in value)
    if origin is dict:
        of_key, of_value = get_args(hint)
        return isinstance(value, dict) and all(_fits(key, of_key) and _fits(one, of_value) for key, one in value.items())
    if origin is Mapping:
        return isinstance(value, Mapping)
    return any(_fits(value, one) for one in get_args(hint))


# ---- the whole file -------------------------------------------------------------------------------------------------------


_PROGRAM = """
import os, sqlite3, sys
os.nice(19)
try:
    db = sqlite3.connect(sys.argv[2], 10, uri=True)
    said = db.execute("PRAGMA quick_check(1)").fetchone()[0]
except sqlite3.DatabaseError as error:
    harm = getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    said = str(error) if harm else "ok"
print(said)
"""


def quick_check(database: Path) -> list[str]:
    """The command line of a process at the lowest priority that only reads, and checks the whole database: it also finds damage
    in rows that no query asks for. Its answer is a line on stdout."""
    from cronflow.linux import python_words

    return python_words(_PROGRAM, f"{database.absolute().as_uri()}?mode=ro", options=("-S",))


def damage_of(answer: bytes) -> DamageError | None:
    """What an answer means. A process that was ended has none."""
    return None if answer.strip() in (b"ok", b"") else DamageError(answer.decode(errors="replace").strip())
