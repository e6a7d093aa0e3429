"""The one connection that writes. `save` puts everything a turn of the daemon decided into one transaction; `load` gives back
the live state exactly as it was after the last one.

`synchronous=FULL`: what has been saved survives a power cut. WAL: readers (`cronflow status`) never wait for the writer. No
second connection may write: the SQLite of Debian 12 can corrupt a database of which two connections write and checkpoint.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path

from cronflow.core.effects import Effects
from cronflow.core.records import Attempt, Run
from cronflow.core.state import LiveState
from cronflow.core.words import storable
from cronflow.errors import CronflowError
from cronflow.store.file import LOCKED_FOR, OpenFile, keep_copy, move_aside, was_emptied
from cronflow.store.loading import definition_text, fill, load_state
from cronflow.store.reserve import drop_ballast
from cronflow.store.rows import ATTEMPTS, MAPPERS, RUNS, patch
from cronflow.store.schema import MIGRATIONS, newer
from cronflow.store.sound import DamageError, check_tables, check_things, is_damage, is_newer

FILE = "cronflow.db"


class LockedError(CronflowError):
    """Another program keeps the database to itself for now."""


class Store:
    """The database of one state folder, opened for writing. `accident` tells, in a sentence, what has become of the one before,
    and `moved_aside` is its new name where there was something to keep. `stands_in` says why there is no file: nothing can be
    saved, until `replaced` finds room for one. `in_the_way`: the file of the damaged one has not been moved aside yet."""

    def __init__(self, connection: sqlite3.Connection, path: Path | None = None) -> None:
        self.connection = connection
        self.moved_aside: str | None = None
        self.accident: str | None = None
        self._file = OpenFile(path) if path is not None else None
        self.copied: str | None = None
        self.stands_in: str | None = None
        self.in_the_way = True

    @classmethod
    def open(cls, folder: Path) -> Store:
        """Open or create the database of a folder. One that is damaged is moved aside as a whole, and `moved_aside` names
        it; of one in an older format a copy is kept, and `copied` names that. One of a newer program, or a folder that cannot be
        written, is a CronflowError (exit 1), and a LockedError one that another program has locked."""
        path = folder / FILE
        try:
            if was_emptied(path):
                return cls._anew(path)
            return cls._make_room(path)
        except (sqlite3.DatabaseError, UnicodeDecodeError, OSError) as error:
            if is_damage(error):
                return cls._anew(path)
            if _is_lock(error):
                raise LockedError(f"the database `{path}` is locked by another program", "which one? `fuser -v` says") from None
            reason = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
            hint = "check who owns the folder and whether the disk is full"
            raise CronflowError(f"cannot open the database `{path}`: {reason}", hint) from None

    @classmethod
    def _anew(cls, path: Path) -> Store:
        """A new database in the place of a damaged one, which is moved aside, or of one that is not there any more."""
        aside = move_aside(path)
        store = cls._make_room(path)
        store.moved_aside, store.accident = aside, _accident(aside)
        return store

    def replaced(self, folder: Path, **facts: str) -> Store:
        """The store that takes the place of this one, whose database has turned out to be damaged, with these facts in it; where
        no file can be made now, one that stands in for it."""
        with contextlib.suppress(sqlite3.Error):
            self.connection.close()
        path = folder / FILE
        store = None
        try:
            if self.in_the_way:
                self.moved_aside, self.in_the_way = move_aside(path), False
            store = self._make_room(path)
            store.set_meta(**facts)
        except (sqlite3.OperationalError, OSError, CronflowError) as error:
            if store is not None:
                store.close()
            if is_damage(error):
                raise
            store = self.in_memory()
            store.stands_in, store.in_the_way = f"no new one can be made: {error}", self.in_the_way
        store.moved_aside, store.accident = self.moved_aside, _accident(self.moved_aside)
        return store

    @classmethod
    def _make_room(cls, path: Path) -> Store:
        """Open or create a database; where there is no room for it, at the cost of the ballast."""
        try:
            return cls._open(path)
        except (sqlite3.OperationalError, OSError) as error:
            if is_damage(error) or _is_lock(error) or not drop_ballast(path.parent):
                raise
            return cls._open(path)

    @classmethod
    def _open(cls, path: Path) -> Store:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))  # the log gets the mode of the database
        os.chmod(path, 0o600)
        connection = sqlite3.connect(path, LOCKED_FOR, isolation_level=None, cached_statements=256)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 1000")
            copied = _migrate(connection, path)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
            store = cls(connection, path)
        except BaseException:
            connection.close()
            raise
        store.copied = copied
        return store

    @classmethod
    def in_memory(cls) -> Store:
        """A store that lasts as long as the object."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        _migrate(connection, Path(":memory:"))
        return cls(connection)

    def close(self) -> None:
        self.connection.close()

    def shrink(self) -> None:
        """Let SQLite drop what it has in memory only to be faster."""
        self.connection.execute("PRAGMA shrink_memory")

    # ---- writing ---------------------------------------------------------------------------------------------------------

    def check_place(self) -> None:
        """Notice a file that was deleted or replaced under us, or cut: what is written to it then is lost. A DamageError."""
        if self._file is not None:
            self._file.check()

    def save(self, out: Effects) -> None:
        """Save all rows of some effects in one transaction. An sqlite3.Error leaves the database as it was."""
        if self.stands_in is not None:
            raise sqlite3.OperationalError(self.stands_in)
        with self._transaction():
            for table, rows in out.rows.items():
                mapper = MAPPERS[table]
                self.connection.executemany(mapper.insert, [mapper.values(row) for row in rows.values() if row is not None])
                if gone := [mapper.key_values(key) for key, row in rows.items() if row is None]:
                    self.connection.executemany(mapper.delete, gone)
            for one in out.patches:
                self.connection.execute(*patch(one))

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        self.check_place()
        db = self.connection
        db.execute("BEGIN IMMEDIATE")
        try:
            yield
            db.execute("COMMIT")
        except BaseException:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def unhurried(self) -> Iterator[None]:
        """A transaction that a power cut may undo, as a whole, and that waits for no disk (`synchronous`,
        https://sqlite.org/pragma.html): for what will be done again then."""
        self.connection.execute("PRAGMA synchronous = NORMAL")
        try:
            with self._transaction():
                yield
        finally:
            self.connection.execute("PRAGMA synchronous = FULL")

    # ---- the live state --------------------------------------------------------------------------------------------------

    def load(self) -> LiveState:
        """The live state: runs that are not final, cursors, pauses, health, troubles. Job file and plan are not in it."""
        return load_state(self.connection)

    def definition(self, digest: str) -> str:
        """The stored text of a definition."""
        return definition_text(self.connection, digest)

    def run(self, number: int) -> Run | None:
        """One run of the history with its tasks, or None."""
        row = self.connection.execute(f"{RUNS.select} WHERE id = ?", (number,)).fetchone()
        if row is None:
            return None
        try:
            run: Run = RUNS.object(row)
            fill(self.connection, [run])
        except (ValueError, TypeError, LookupError) as error:
            raise DamageError(f"run {number} makes no sense: {error!r}") from error
        check_things((run, *run.tasks.values()))
        return run

    def last_processes(self, number: int) -> dict[str, list[Attempt]]:
        """Of each task of a run the last attempt of its command, and its last step, in order of time."""
        query = f"{ATTEMPTS.select} WHERE run = ? ORDER BY created_at, n"
        found: dict[str, dict[bool, Attempt]] = {}
        for attempt in map(ATTEMPTS.object, self.connection.execute(query, (number,))):
            last = found.setdefault(attempt.task, {})
            last.pop(attempt.kind == "command", None)
            last[attempt.kind == "command"] = attempt
        return {task: list(last.values()) for task, last in found.items()}

    def last_exit_code(self, run: int, task: str) -> int | None:
        """The exit code of the last attempt of a task's command, if it has one."""
        query = "SELECT exit_code FROM attempts WHERE run = ? AND task = ? AND kind = 'command' ORDER BY n DESC LIMIT 1"
        row = self.connection.execute(query, (run, task)).fetchone()
        return None if row is None else row[0]

    def slots_after(self, at: float) -> tuple[tuple[tuple[str, str, int], ...], tuple[Run, ...]]:
        """Of the slots later than a time: those that have had a run, by root and trigger, and the rows of the others."""
        opened = self.connection.execute("SELECT root, trigger_key, slot FROM run_slots WHERE slot > ?", (at,)).fetchall()
        rows = self.connection.execute(f"{RUNS.select} WHERE slot_last > ? AND is_row", (at,))
        return tuple(opened), tuple(map(RUNS.object, rows))

    # ---- files -----------------------------------------------------------------------------------------------------------

    def watched(self, key: str) -> dict[str, str]:
        """What a watch has seen: stamps by path."""
        rows = self.connection.execute("SELECT path, stamp FROM watched WHERE trigger_key = ?", (key,))
        return {os.fsdecode(path): stamp for path, stamp in rows}

    def forget_watched(self, but: Collection[str]) -> None:
        """Forget what watches have seen that are none of these."""
        keys = [row[0] for row in self.connection.execute("SELECT DISTINCT trigger_key FROM watched") if row[0] not in but]
        self.connection.executemany("DELETE FROM watched WHERE trigger_key = ?", [(key,) for key in keys])

    def paths(self, number: int) -> tuple[str, ...]:
        """The files that caused a run, or the first of those that it is a retry of."""
        query = (
            "WITH RECURSIVE before (run) AS (VALUES (?) UNION"
            " SELECT runs.retry_of FROM runs JOIN before ON runs.id = before.run WHERE runs.retry_of IS NOT NULL)"
            " SELECT paths FROM run_paths WHERE run IN before"
        )
        row = self.connection.execute(query, (number,)).fetchone()
        return () if row is None else tuple(json.loads(row[0]))

    # ---- meta ------------------------------------------------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else None

    def set_meta(self, **values: str) -> None:
        """Save facts about the daemon (its generation, pid, file), in one transaction. A CronflowError where that fails."""
        rows = [(key, storable(value)) for key, value in values.items()]
        try:
            with self._transaction():
                self.connection.executemany("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", rows)
        except sqlite3.OperationalError as error:
            if is_damage(error):
                raise
            raise CronflowError(f"the database cannot be written: {error}", "is the disk full? `df -h`") from None


def _accident(aside: str | None) -> str:
    """What has become of a database, of which that is the new name."""
    what = "was deleted" if aside is None else f"was damaged; it was moved to `{aside}`"
    return f"the database {what}, and a new one takes its place"


def _migrate(connection: sqlite3.Connection, path: Path) -> str | None:
    """Bring a database into today's format; the name of the copy that is kept of an older one."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS) and is_newer(connection, MIGRATIONS):
        raise CronflowError(newer(path, version), "install that version again, or name another folder with `--state`")
    if not 0 <= version <= len(MIGRATIONS):
        raise DamageError(f"there is no format {version}")
    check_tables(connection, MIGRATIONS[:version])
    copied = keep_copy(connection, path, version) if 0 < version < len(MIGRATIONS) else None
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        noted = f"INSERT OR REPLACE INTO meta (key, value) VALUES ('format', '{number}')"
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\n{noted};\nPRAGMA user_version = {number};\nCOMMIT;")
        except (sqlite3.OperationalError, sqlite3.IntegrityError) as error:
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT):
                raise
            hint = f"install the version before again; the database as it was is in `{copied}`" if copied else None
            raise CronflowError(f"the database `{path}` cannot be brought to format {number}: {error}", hint) from None
    return copied


def _is_lock(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
