"""Has the whole database checked, some time after each start and then once a day: a large one takes seconds, and no job waits for
that."""

from __future__ import annotations

import contextlib
import math
import os
import subprocess
import time
from pathlib import Path

from cronflow.core.events import Event
from cronflow.daemon.part import Part, Ready
from cronflow.linux import start_worker
from cronflow.store.sound import damage_of, quick_check

FIRST_AFTER = 60.0
EVERY = 86400.0


class IntegrityCheck(Part):
    """The checks of one database by one daemon; none where it is only a run in the foreground."""

    def __init__(self, database: Path, slots: bool, first_after: float = FIRST_AFTER) -> None:
        self._database = database
        self._next_at = time.monotonic() + first_after if slots else math.inf
        self._process: subprocess.Popen[bytes] | None = None
        self._looked_at: int | None = None

    def fds(self) -> list[int]:
        return [] if self._process is None or self._process.stdout is None else [self._process.stdout.fileno()]

    def deadline(self) -> float | None:
        return self._next_at

    def poll(self, _ready: Ready, /) -> list[Event]:
        """Begin a check if it is time to; raises what the last one has found as a DamageError, once."""
        if self._process is not None:
            self._end(self._process)
        elif time.monotonic() >= self._next_at:
            self._next_at = time.monotonic() + EVERY
            self._begin()
        return []

    def _begin(self) -> None:
        with contextlib.suppress(OSError):
            self._looked_at = self._inode()
            self._process = start_worker(quick_check(self._database), subprocess.DEVNULL)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None  # PIPE was asked for
        answer = process.stdout.read(4096)
        if answer is None:
            return
        self.close()
        if (damage := damage_of(answer)) is not None and self._inode() == self._looked_at:
            raise damage

    def _inode(self) -> int | None:
        """Which file the database is: a damaged one may be replaced while it is being looked at."""
        with contextlib.suppress(OSError):
            return os.stat(self._database).st_ino
        return None

    def close(self) -> None:
        if self._process is not None and self._process.stdout is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
        self._process = None
