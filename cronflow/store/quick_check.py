"""A check of the whole database, by a process of its own that only reads: it also finds damage in rows that no query asks for."""

from __future__ import annotations

from pathlib import Path

from cronflow.linux import python_words
from cronflow.store.sound import DamageError

ANSWER = 4096
"""Bytes that an answer has at most."""
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


def command(database: Path) -> list[str]:
    """The command line of that process; its answer is a line on stdout. It runs at the lowest priority."""
    return python_words(_PROGRAM, f"{database.absolute().as_uri()}?mode=ro", options=("-S",))


def damage(answer: bytes) -> DamageError | None:
    """What an answer means. A process that was ended has none."""
    return None if answer.strip() in (b"ok", b"") else DamageError(answer.decode(errors="replace").strip())
