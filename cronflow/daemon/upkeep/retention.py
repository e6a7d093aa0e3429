"""Retention: once an hour a round through what is past `keep_runs` and `keep_logs`, a portion at a time.

A portion is one question and one short transaction, or one process that removes folders; the daemon does it when nothing is due
and rests four times as long, so that no start waits for more than the one portion that it happens to meet. A round that is cut
short is begun anew by the next one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from cronflow.core.engine import next_wakeup
from cronflow.core.events import Event
from cronflow.core.jobs import Settings
from cronflow.core.state import LiveState
from cronflow.daemon.part import Life, Part, Ready
from cronflow.places import Places, numbers_in
from cronflow.store import forgetting
from cronflow.store.database import Database
from cronflow.store.store import Store

FIRST = 60.0
"""Seconds after the start of a daemon: what it missed comes first."""
EVERY = 3600.0
AGAIN = 60.0
"""Seconds after a round that failed."""
DOUBT = 86400.0
"""Seconds for which nothing is removed after the clock has gone ahead by more than anything is kept: it may be wrong."""
REST = 4.0
"""Times as long as a portion took."""
QUIET = 0.25
"""Seconds: what is due so soon comes first."""
UNSAVED = 5.0
"""Seconds for which a round waits where the database has something more important to do, or is damaged."""
PATIENCE = 0.1
"""Seconds for which a portion waits for a quiet moment at most."""
FOLDERS = 100
"""Folders of runs that one process removes."""
LOOK = 0.05
"""Seconds from one look at that process to the next."""
REPORT_EVERY = 0.5
"""Seconds from one report of the progress of a round to the next."""


@dataclass(slots=True)
class Tally:
    """How much a round has removed: runs and rows of slots that did not run, the output of how many runs, acts of people and
    alerts that belong to no run."""

    runs: int = 0
    logs: int = 0
    acts: int = 0
    alerts: int = 0

    def as_plain(self) -> dict[str, int]:
        return asdict(self)


# ---- a round --------------------------------------------------------------------------------------------------------------


def do_round(store: Store, places: Places, settings: Settings, now: float, tally: Tally) -> Iterator[float]:
    """Forget all that is past its time at `now`; gives after each portion how long to wait at least, in seconds."""
    db, keep = store.connection, forgetting.keep_of(settings, now)
    portions = 0
    for folders in old_logs(db, places, now - settings.keep_logs, tidy=True):  # first: it makes room also on a full disk
        yield 0.0
        yield from _remove(folders, tally)
    for runs in forgetting.old_runs(db, keep):
        if not runs:
            yield 0.0
            continue
        for _ in forgetting.erase(store, runs):
            portions += 1
            yield 0.0
            if portions % forgetting.CHECKPOINT_EVERY == 0:
                forgetting.take_in_log(store)
                yield 0.0
        tally.runs += len(runs)
        yield from _remove([folder for run in runs if os.path.isdir(folder := str(places.of_run(run)))], tally)
    for table in forgetting.OF_NO_RUN:
        for rows in forgetting.old_rows(db, table, keep):
            forgetting.drop(store, table, "id", rows)
            setattr(tally, table, getattr(tally, table) + len(rows))
            yield 0.0
    for digests in forgetting.unused_definitions(db):
        forgetting.drop(store, "definitions", "digest", digests)
        yield 0.0
    forgetting.take_in_log(store)


def count_round(db: sqlite3.Connection, places: Places, settings: Settings, now: float) -> Tally:
    """What a round would remove; nothing is changed."""
    keep = forgetting.keep_of(settings, now)
    runs = {run for portion in forgetting.old_runs(db, keep) for run in portion}
    logs = {folder for folders in old_logs(db, places, now - settings.keep_logs) for folder in folders}
    logs.update(folder for run in runs if os.path.isdir(folder := str(places.of_run(run))))
    return Tally(len(runs), len(logs), *(sum(map(len, forgetting.old_rows(db, table, keep))) for table in forgetting.OF_NO_RUN))


# ---- output ---------------------------------------------------------------------------------------------------------------


def old_logs(db: sqlite3.Connection, places: Places, before: float, tidy: bool = False) -> Iterator[list[str]]:
    """The folders of runs that ended before a time, oldest first; those of runs that the history no longer knows go by their own
    age. `tidy` removes empty folders above them."""
    root = str(places.state / "logs")
    shelves = sorted(numbers_in(root))
    for number in shelves:
        shelf = os.path.join(root, str(number))
        runs = sorted(numbers_in(shelf))
        if tidy and not runs and number != shelves[-1]:
            with contextlib.suppress(OSError):
                os.rmdir(shelf)
            yield []
        for place in range(0, len(runs), FOLDERS):
            some = runs[place : place + FOLDERS]
            times = forgetting.times_of(db, some)
            yield [folder for run in some if _is_old(folder := os.path.join(shelf, str(run)), times.get(run), before)]
            if any(created >= before for created, _ in times.values()):
                return  # the numbers are in the order in which runs were opened


def _is_old(folder: str, times: tuple[float, float | None] | None, before: float) -> bool:
    if times is not None:
        return times[1] is not None and times[1] < before
    try:
        return os.stat(folder).st_mtime < before
    except OSError:
        return False


def _remove(folders: list[str], tally: Tally) -> Iterator[float]:
    """Have rm(1) remove the folders of runs: what jobs leave there may be large, and deeper than a recursion goes."""
    if not folders:
        return
    nowhere = subprocess.DEVNULL
    try:
        words = ["rm", "-rf", "--", *folders]
        remover = subprocess.Popen(words, stdin=nowhere, stdout=nowhere, stderr=nowhere, cwd="/", start_new_session=True)
    except OSError:
        return
    while remover.poll() is None:
        yield LOOK
    tally.logs += sum(not os.path.lexists(folder) for folder in folders)


# ---- in the daemon --------------------------------------------------------------------------------------------------------


class Retention(Part):
    """The rounds of a daemon. `next_at`, by the monotonic clock, is when the next portion is due; `alive` is the time of the last
    sign of life of an earlier daemon (epoch seconds)."""

    def __init__(self, life: Life, database: Database, state: LiveState, alive: float | None = None) -> None:
        self.next_at = time.monotonic() + FIRST
        self._life = life
        self._database = database
        self._state = state
        self._tally = Tally()
        self._seen = None if alive is None else (alive, time.monotonic())
        """What the clock showed at the last look or sign of life, and the monotonic clock at that time."""
        self._round: Iterator[float] | None = None
        self._replaced = database.replaced
        self._put_off_to = 0.0
        self._reported_at = 0.0
        self._askers: list[Callable[[Mapping[str, Any]], None]] = []

    def deadline(self) -> float:
        return max(self.next_at, self._put_off_to)

    def poll(self, ready: Ready, /) -> list[Event]:
        """Do a portion, once it is due and nothing else is to be done."""
        if time.monotonic() < self.deadline():
            return []
        if self._database.unsaved or self._database.damage is not None:
            self.put_off(UNSAVED)
            return []
        now, wakeup = time.time(), next_wakeup(self._state)
        quiet = not ready and not self._life.inbox and (wakeup is None or wakeup > now + QUIET)
        self.step(self._state.jobs.settings, now, quiet)
        return []

    def demand(self, report: Callable[[Mapping[str, Any]], None]) -> None:
        """Begin a round now, and report its progress."""
        if not self._askers:
            self._tally = Tally()
        self._askers.append(report)
        self._round, self.next_at, self._put_off_to = None, time.monotonic(), 0.0

    def put_off(self, seconds: float) -> None:
        """Do nothing for so long."""
        self._put_off_to = time.monotonic() + seconds

    def step(self, settings: Settings, now: float, quiet: bool) -> None:
        """Do the portion that is due; `now` is epoch seconds. Where it is not `quiet` it waits a little."""
        begun = time.monotonic()
        if begun < self.deadline():
            return
        if not quiet and begun < self.next_at + PATIENCE:
            self.put_off(PATIENCE / 2)
            return
        try:
            wait = self._portion(settings, now)
        except Exception as error:
            self._round, self.next_at = None, begun + AGAIN
            self._report(over=True, failed=str(error))
            raise
        ended = time.monotonic()
        self.next_at = ended + max(wait, REST * (ended - begun))
        if self._askers and (self._round is None or ended >= self._reported_at + REPORT_EVERY):
            self._reported_at = ended
            self._report(over=self._round is None)

    def _portion(self, settings: Settings, now: float) -> float:
        if self._round is None and self._has_leapt(settings, now) and not self._askers:
            return DOUBT
        if self._round is None or self._replaced != self._database.replaced:
            self._tally = self._tally if self._askers else Tally()
            self._replaced = self._database.replaced
            self._round = do_round(self._database.store, self._life.places, settings, now, self._tally)
        wait = next(self._round, None)
        if wait is None:
            self._round = None
        return EVERY if wait is None else wait

    def _has_leapt(self, settings: Settings, now: float) -> bool:
        """Whether the clock shows that by now all that there was at the last look would be past its time."""
        before, self._seen = self._seen, (now, time.monotonic())
        kept = min(settings.keep_logs, settings.keep_runs or settings.keep_logs)
        return before is not None and (self._seen[0] - before[0]) - (self._seen[1] - before[1]) > kept

    def _report(self, over: bool, failed: str | None = None) -> None:
        for report in self._askers:
            report({"event": "pruned", "over": over, "failed": failed, **self._tally.as_plain()})
        if over:
            self._askers.clear()
