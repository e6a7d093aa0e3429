"""The file of the database: whether it is still the one that was opened, how one that is of no use goes out of the way, and the
copy of it as it was that is kept before a migration: the way back to the program that wrote it.

The copy is made by SQLite's backup interface while others read (https://sqlite.org/backup.html), is on the disk before the first
change, and bears the old format in its name: `cronflow.db.v1`. There is one for each format.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from cronflow.errors import CronflowError
from cronflow.store.sound import DamageError, is_damage

LOCKED_FOR = 0.05
"""Seconds that a statement waits for another connection. A longer lock is not waited for: it is tried again."""
SPARE = 16 << 20
"""Bytes that are to be free when the copy is there: for the migration, and for the daemon's own start."""


class OpenFile:
    """A database that we have open, as it looked when we last did. It must not be opened besides: to close any descriptor of it
    would give back the locks of all (https://sqlite.org/howtocorrupt.html, 2.2)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = os.stat(path)

    def check(self) -> None:
        """A DamageError where it was deleted, replaced, or cut."""
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            raise DamageError("it was deleted") from None
        except OSError:
            return
        before, self._seen = self._seen, found
        if (found.st_dev, found.st_ino) != (before.st_dev, before.st_ino):
            raise DamageError("another file is in its place")
        if found.st_size < before.st_size and not (found.st_size and _is_whole(self._path)):
            raise DamageError(f"it was {before.st_size} bytes long, and is {found.st_size}")


def _is_whole(path: Path) -> bool:
    """Whether nothing is amiss in a database that has become smaller, as others see it: somebody may have called for VACUUM."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", LOCKED_FOR, uri=True)) as db:
            return bool(db.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error as error:
        return not is_damage(error)


def was_emptied(path: Path) -> bool:
    """Whether nothing is left of a database that a daemon has worked with: a new one is written before the first sign of life."""
    try:
        return path.with_name("alive").exists() and not (path.exists() and path.stat().st_size)
    except OSError:
        return False


def move_aside(path: Path) -> str | None:
    """Move a damaged database away with everything that belongs to it; returns its new name, None where it is gone."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    if any(path.parent.glob(f"{path.name}.damaged-{stamp}*")):
        stamp += f"-{time.time_ns() % 1_000_000_000}"
    was_there = path.exists()
    for suffix in ("", "-wal", "-shm"):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.rename(path.with_name(f"{path.name}.damaged-{stamp}{suffix}"))
    return f"{path.name}.damaged-{stamp}" if was_there else None


def keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> str:
    """Copy a database of a format beside itself; the name of the copy. Without room for it a CronflowError, and nothing is
    changed: a migration never goes without."""
    copy = path.with_name(f"{path.name}.v{version}")
    part = path.with_name(f"{copy.name}.part")
    needed, left = room_for_copy(connection, path)
    if left < needed:
        told = f"it and the change need {needed / 1e6:.0f} MB, {left / 1e6:.0f} MB are left"
        raise _refusal(path, version, told, f"make room in `{path.parent}`; the version before can still use it as it is")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _copy(connection, part)
        part.rename(copy)
        _sync(path.parent)
    except (OSError, sqlite3.Error) as error:
        with contextlib.suppress(OSError):
            part.unlink()
        reason = (error.strerror or "").lower() if isinstance(error, OSError) else str(error)
        raise _refusal(path, version, f"that failed: {reason}", "is the disk full? `df -h`") from None
    return copy.name


def room_for_copy(connection: sqlite3.Connection, path: Path) -> tuple[int, int]:
    """How many bytes a copy and the change need, and how many are left."""
    pages, size = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
    disk = os.statvfs(path.parent)
    return pages * size + SPARE, disk.f_bavail * disk.f_frsize


def _refusal(path: Path, version: int, told: str, hint: str) -> CronflowError:
    return CronflowError(f"the database `{path}` has format {version}, and before it is changed a copy is kept: {told}", hint)


def _copy(connection: sqlite3.Connection, part: Path) -> None:
    with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as target:
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        connection.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, which can be read wherever it lies
    _sync(part)


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
