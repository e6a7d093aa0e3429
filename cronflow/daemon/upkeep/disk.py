"""Room on the disk of the state folder: what is kept in reserve, and a warning before there is none left."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from cronflow.core.events import Event, TroubleFound, TroubleGone
from cronflow.core.records import Trouble
from cronflow.core.state import LiveState
from cronflow.daemon.part import Life, Part, Ready
from cronflow.store.database import Database
from cronflow.store.reserve import BALLAST, SIZE, drop_ballast, keep_ballast, reserve

EVERY = 30.0
"""Seconds from one look at the reserve to the next."""
LOW = 16 << 20
"""Bytes. On a small disk, a twentieth of it."""


@dataclass
class Disk(Part):
    """The disk that one daemon works on. A run in the foreground keeps no reserve."""

    life: Life
    database: Database
    state: LiveState
    reserved_at: float = -EVERY

    def deadline(self) -> float | None:
        return self.reserved_at + EVERY

    def poll(self, _ready: Ready, /) -> list[Event]:
        if time.monotonic() >= self.reserved_at + EVERY:
            self.reserve()
        return self.changes()

    def changes(self) -> list[Event]:
        """The event of a shortage that has begun, or of one that is over."""
        known = "disk" in self.state.troubles
        message = shortage(self.life.places.state, known)
        if message is None:
            return [TroubleGone("disk")] if known else []
        return [] if known else [TroubleFound(Trouble("disk", "system", message, time.time()))]

    def unsavable(self, error: Exception) -> list[Event]:
        """The events of a database that cannot be written. Where the disk is full there is one alert about it, not two."""
        events = self.changes()
        full = any(isinstance(one, TroubleFound) for one in events) or ("disk" in self.state.troubles and not events)
        trouble = Trouble("unsaved", "system", f"the database could not be written: {error}", time.time())
        return [*events, TroubleFound(trouble, quiet=full)]

    def reserve(self, anew: bool = False) -> None:
        """Have free room in the database and beside it, and notice a database that is not in its place any more."""
        self.reserved_at = time.monotonic()
        if self.life.slots:
            self.database.store.check_place()
            reserve(self.database.store.connection, anew)
            keep_ballast(self.life.places.state)


def make_room(folder: Path) -> None:
    """Before a start: where the disk is nearly full, give back what was kept in reserve for this moment."""
    if shortage(folder, known=False) is not None:
        drop_ballast(folder)


def shortage(folder: Path, known: bool) -> str | None:
    """A sentence about a disk that is full or nearly so, otherwise None. `known`: it was so before, and is not over because we
    have given back what was our own (statvfs(3))."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return None
    left, low = disk.f_bavail * disk.f_frsize, min(LOW, disk.f_blocks * disk.f_frsize // 20)
    if left < (low + BALLAST + SIZE if known else low):
        return f"the disk of `{folder}` is nearly full: {left / 1e6:.1f} MB left; jobs go on, their logs may be cut"
    if disk.f_files and not disk.f_favail:
        return f"the disk of `{folder}` takes no more files: no inode left; jobs go on, without logs"
    return None
