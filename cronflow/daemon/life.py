"""What is true of one life of the daemon, for all of its parts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cronflow.core.events import Event
from cronflow.places import Places


@dataclass(slots=True)
class Life:
    """Where the daemon works, since when (epoch seconds), and why it is leaving once it has been told to. Without `slots` it is a
    run in the foreground, which starts nothing by itself. `inbox` takes events for the next turn."""

    places: Places
    slots: bool
    log: Callable[[str], None]
    since: float = field(default_factory=time.time)
    leaving: str | None = None
    inbox: list[Event] = field(default_factory=list)
