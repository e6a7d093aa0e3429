"""What a daemon has used for a moment only, while it read its job file and its database, is given back to the machine."""

from __future__ import annotations

import ctypes
import sqlite3

_libc = ctypes.CDLL(None)


def give_back(database: sqlite3.Connection) -> None:
    """Let SQLite drop what it has at hand, and the C library what is free: malloc_trim(3), where there is one. The allocator of
    Python gives back by itself what it can."""
    database.execute("PRAGMA shrink_memory")
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
