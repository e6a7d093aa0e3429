"""Forgetting in small steps: runs older than `keep_runs`, logs older than `keep_logs`. A step is one short transaction, or a
hundred folders, so that no start waits for it."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
from dataclasses import dataclass, field

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
    """What is left to forget, and when to go on with it (epoch seconds). `stuck` are folders that a process was to remove, which
    is asked once."""

    store: Store
    places: Places
    next_at: float = 0.0
    remover: subprocess.Popen[bytes] | None = None
    stuck: set[str] = field(default_factory=set)

    def step(self, settings: Settings, now: float) -> None:
        """Do one step if it is time to."""
        if now < self.next_at:
            return
        if self.remover is not None and self.remover.poll() is None:
            self.next_at = now + SOON
            return
        self.remover = None
        more = False
        with contextlib.suppress(sqlite3.OperationalError):
            more = self.store.forget(_before(settings, now), settings.keep_runs_count, RUNS_A_STEP) >= RUNS_A_STEP
        more = self._forget_logs(now - settings.keep_logs) or more
        self.next_at = now + (SOON if more else EVERY)

    def _forget_logs(self, before: float) -> bool:
        """Remove the logs of runs that ended before a time, oldest first; True if some may be left."""
        newest = self.store.newest_run_ended_before(before)
        found, left = 0, list[str]()
        for folder, number in self._folders(newest):
            if folder in self.stuck or self.store.is_live(number):
                continue
            left += [] if _removed(folder) else [folder]
            found += 1
            if found >= FOLDERS_A_STEP:
                break
        if left:
            self._remove_trees(left)
        return found >= FOLDERS_A_STEP or bool(left)

    def _remove_trees(self, folders: list[str]) -> None:
        """Have rm(1) remove what jobs have built in their state folders: it may be large, and deeper than we can go."""
        self.stuck.update(folders)
        nowhere = subprocess.DEVNULL
        with contextlib.suppress(OSError):
            self.remover = subprocess.Popen(["rm", "-rf", "--", *folders], stdin=nowhere, stdout=nowhere, stderr=nowhere, cwd="/")

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


def _removed(folder: str) -> bool:
    """Remove the folder of a run with its files and with state folders that are empty; False if there is more in it."""
    whole = True
    try:
        with os.scandir(folder) as entries:
            for entry in list(entries):
                try:
                    (os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink)(entry.path)
                except OSError:
                    whole = False
        if whole:
            os.rmdir(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return whole


def _before(settings: Settings, now: float) -> float | None:
    return None if settings.keep_runs is None else now - settings.keep_runs
