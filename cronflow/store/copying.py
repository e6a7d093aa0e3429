"""A copy of the database as it was, kept before a migration changes it: the way back to the program that wrote it.

The copy is made by SQLite's backup interface while others read (https://sqlite.org/backup.html), is on the disk before the first
change, and bears the old format in its name: `cronflow.db.v1`. There is one for each format.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from cronflow.errors import CronflowError

SPARE = 16 << 20
"""Bytes that are to be free when the copy is there: for the migration, and for the daemon's own start."""


def keep_copy(connection: sqlite3.Connection, path: Path, version: int) -> str:
    """Copy a database of a format beside itself; the name of the copy. Without room for it a CronflowError, and nothing is
    changed: a migration never goes without."""
    copy = path.with_name(f"{path.name}.v{version}")
    part = path.with_name(f"{copy.name}.part")
    _check_room(connection, path, version)
    try:
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
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


def _check_room(connection: sqlite3.Connection, path: Path, version: int) -> None:
    needed, left = room_for_copy(connection, path)
    if left < needed:
        told = f"it and the change need {needed / 1e6:.0f} MB, {left / 1e6:.0f} MB are left"
        raise _refusal(path, version, told, f"make room in `{path.parent}`; the version before can still use it as it is")


def _refusal(path: Path, version: int, told: str, hint: str) -> CronflowError:
    return CronflowError(f"the database `{path}` has format {version}, and before it is changed a copy is kept: {told}", hint)


def _copy(connection: sqlite3.Connection, part: Path) -> None:
    target = sqlite3.connect(part, isolation_level=None)
    try:
        target.execute("PRAGMA journal_mode = OFF")
        target.execute("PRAGMA synchronous = OFF")
        connection.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")  # one file, which can be read wherever it lies
    finally:
        target.close()
    _sync(part)


def _sync(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
