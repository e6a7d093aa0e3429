"""Room for rows on a full disk: free pages inside of the database, and a write-ahead log that has its size already. SQLite writes
into both in place, so that nobody else can take this room (https://sqlite.org/fileformat2.html, sections 1.5 and 4).

The log goes when the last connection is closed. For a start on a full disk, and for the time when the reserve is used up, there
is a ballast: a file that is removed then.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

SIZE = 4 << 20
"""Bytes: the rows of some thousand runs."""
BALLAST = SIZE + (2 << 20)
"""Bytes: the log, and what else a daemon makes when it starts."""


def reserve(db: sqlite3.Connection, anew: bool = False) -> None:
    """Have free pages again if half of them are used up; `anew` in any case, which also gives the write-ahead log its size.
    Without room for it nothing changes."""
    page = db.execute("PRAGMA page_size").fetchone()[0]
    free = db.execute("PRAGMA freelist_count").fetchone()[0] * page
    if free >= SIZE // 2 and not anew:
        return
    try:
        db.execute("CREATE TABLE IF NOT EXISTS reserve (bytes BLOB)")
        db.execute("INSERT INTO reserve VALUES (zeroblob(?))", (SIZE,))
        db.execute("DROP TABLE reserve")
    except sqlite3.OperationalError:
        if db.in_transaction:
            db.execute("ROLLBACK")


def keep_ballast(folder: Path) -> None:
    """Have the ballast in a state folder, if there is room for it."""
    path = folder / "ballast"
    try:
        if not path.exists() or path.stat().st_size != BALLAST:
            with open(path, "wb", opener=lambda name, flags: os.open(name, flags | os.O_CLOEXEC, 0o600)) as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST)
    except OSError:
        drop_ballast(folder)


def drop_ballast(folder: Path) -> bool:
    """Give its room to others; False where there is none."""
    try:
        (folder / "ballast").unlink()
    except OSError:
        return False
    return True
