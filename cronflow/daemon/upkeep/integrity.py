"""Looks through the whole database, once a while after each start and once a day: damage in what nobody asks for is noticed too.

A process of its own does it, which only reads, at the lowest priority: a large database takes seconds, and no job waits for that.
"""

from __future__ import annotations

import contextlib
import math
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from cronflow.linux import python_words, start_worker
from cronflow.store.sound import DamageError

FIRST_AFTER = 60.0
EVERY = 86400.0
_READ = 4096
_LOOK = """
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


@dataclass(slots=True)
class Checkup:
    """The looks of one daemon at one database. Times are seconds of the monotonic clock."""

    path: Path
    next_at: float
    process: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, path: Path, ever: bool) -> Checkup:
        """For a daemon; one that lives as long as a run in the foreground has no time for it."""
        return cls(path, time.monotonic() + FIRST_AFTER if ever else math.inf)

    def deadline(self) -> float:
        """When there is something to do at the latest."""
        return self.next_at

    def fds(self) -> list[int]:
        """Readable when a look has ended."""
        return [] if self.process is None or self.process.stdout is None else [self.process.stdout.fileno()]

    def news(self, now: float) -> DamageError | None:
        """Begin a look if it is time to, and tell what the last one has found, once."""
        if self.process is not None:
            return self._end(self.process)
        if now >= self.next_at:
            self.next_at = now + EVERY
            self._begin()
        return None

    def _begin(self) -> None:
        words = python_words(_LOOK, f"{self.path.absolute().as_uri()}?mode=ro", options=("-S",))
        with contextlib.suppress(OSError):
            self.process = start_worker(words, subprocess.DEVNULL)

    def _end(self, process: subprocess.Popen[bytes]) -> DamageError | None:
        assert process.stdout is not None  # PIPE was asked for
        said = process.stdout.read(_READ)
        if said is None:
            return None
        self.close()
        return None if said.strip() in (b"ok", b"") else DamageError(said.decode(errors="replace").strip())

    def close(self) -> None:
        """Have no look going on any more."""
        if self.process is not None and self.process.stdout is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()
        self.process = None
