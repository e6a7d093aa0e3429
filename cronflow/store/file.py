"""The file of the database: whether it is still the one that was opened, and how one that is of no use goes out of the way."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from cronflow.store.sound import DamageError, is_damage

LOCKED_FOR = 0.05
"""Seconds that a statement waits for another connection. A longer lock is not waited for: it is tried again."""


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
