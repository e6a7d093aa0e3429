"""A sign of life: from the time of a file the next daemon knows since when none was running."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from pathlib import Path

from cronflow.core.events import Event
from cronflow.daemon.part import Part, Ready

EVERY = 30.0


@dataclass
class SignOfLife(Part):
    """Touches the file; also when the clock was set back, since its time must not be in the future."""

    path: Path
    given_at: float = 0.0

    def last(self) -> float | None:
        """When an earlier daemon gave one (epoch seconds)."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return None

    def give(self) -> None:
        self.given_at = time.time()
        with contextlib.suppress(OSError):
            self.path.touch(mode=0o600)

    def deadline(self) -> float | None:
        return time.monotonic() + self.given_at + EVERY - time.time()

    def poll(self, _ready: Ready, /) -> list[Event]:
        if not self.given_at <= time.time() < self.given_at + EVERY:
            self.give()
        return []

    def close(self) -> None:
        self.give()
