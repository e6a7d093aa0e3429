"""A part of the daemon: something that its loop waits for, that makes events of what it hears, and acts on what was saved; and
what all parts know of the daemon."""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cronflow.core.effects import Effects
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


class Channel(Protocol):
    """Something with a descriptor. With an attribute `wants_write` that is true, it is waited for until it can be written as
    well as read."""

    def fileno(self) -> int: ...


FD = int | Channel
Ready = Mapping[object, int]
"""What can be read or written now, each as it was in `fds`, with its events (POLLIN, POLLOUT, … of poll(2))."""


class Part(Protocol):
    """The loop asks every part the same five things. A part that inherits from this says only what differs."""

    def fds(self) -> Iterable[FD]:
        """What to wait for this time."""
        return ()

    def deadline(self) -> float | None:
        """Until when to wait at most (monotonic clock)."""
        return None

    def poll(self, _ready: Ready, /) -> list[Event]:
        """What has happened since the last turn, as events; called in every turn. An sqlite3.DatabaseError is dealt with by the
        loop, and whatever would have been returned is lost."""
        return []

    def saved(self, _out: Effects, /) -> None:
        """These effects are in the database: act on them, answer for them."""
        return

    def close(self) -> None:
        """The daemon is leaving."""
        return


def wait(fds: Iterable[FD], seconds: float) -> Ready:
    """Wait until one of these can be read or written, for `seconds` at most (poll(2): they may differ each time)."""
    poll, known = select.poll(), dict[int, FD]()
    for fd in fds:
        number = fd if isinstance(fd, int) else fd.fileno()
        known[number] = fd
        poll.register(number, select.POLLIN | (select.POLLOUT if getattr(fd, "wants_write", False) else 0))
    return {known[number]: events for number, events in poll.poll(max(math.ceil(seconds * 1000), 0))}
