"""Forgetting in small steps: runs older than `keep_runs`, logs older than `keep_logs`. A step is one short transaction, or a
hundred folders, so that no start waits for it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from dataclasses import dataclass

from cronflow.core.model import Settings
from cronflow.daemon.shelves import numbers_in
from cronflow.places import Places
from cronflow.store.store import Store

EVERY = 3600.0
"""Seconds from one round to the next."""
SOON = 1.0
RUNS_A_STEP = 200
FOLDERS_A_STEP = 100


@dataclass(slots=True)
class Retention:
    """What is left to forget, and when to go on with it (epoch seconds)."""

    store: Store
    places: Places
    next_at: float = 0.0

    def step(self, settings: Settings, now: float) -> None:
        """Do one step if it is time to."""
        if now < self.next_at:
            return
        more = False
        with contextlib.suppress(sqlite3.OperationalError):
            more = self.store.forget(_before(settings, now), settings.keep_runs_count, RUNS_A_STEP) >= RUNS_A_STEP
        more = self._forget_logs(now - settings.keep_logs) or more
        self.next_at = now + (SOON if more else EVERY)

    def _forget_logs(self, before: float) -> bool:
        """Remove the logs of runs that ended before a time, oldest first; True if some may be left."""
        newest = self.store.newest_run_ended_before(before)
        found = 0
        for folder, number in self._folders(newest):
            if self.store.is_live(number):
                continue
            shutil.rmtree(folder, ignore_errors=True)
            found += 1
            if found >= FOLDERS_A_STEP:
                return True
        return False

    def _folders(self, newest: int) -> list[tuple[str, int]]:
        root = self.places.state / "logs"
        found: list[tuple[str, int]] = []
        for thousand in sorted(numbers_in(str(root))):
            if thousand * 1000 > newest or len(found) >= 2 * FOLDERS_A_STEP:
                break
            shelf = str(root / str(thousand))
            numbers = numbers_in(shelf)
            if not numbers:
                with contextlib.suppress(OSError):
                    os.rmdir(shelf)
            found += [(os.path.join(shelf, str(number)), number) for number in sorted(numbers) if number <= newest]
        return found


def _before(settings: Settings, now: float) -> float | None:
    return None if settings.keep_runs is None else now - settings.keep_runs
