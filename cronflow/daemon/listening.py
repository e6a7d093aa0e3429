"""Listening: one wait for a time, for signals and for everyone who may have something to say."""

from __future__ import annotations

import contextlib
import selectors
import signal
import socket
from collections.abc import Iterable
from typing import Any, Protocol

from cronflow.daemon.clock import WallTimer


class Conversation(Protocol):
    """A connection that is read, and written where something is left to be sent."""

    @property
    def wants_write(self) -> bool: ...

    def fileno(self) -> int: ...


class Listening:
    """What the loop of a daemon waits with. The signals that came lie in `caught`."""

    def __init__(self) -> None:
        self.caught: list[int] = []
        self._timer = WallTimer()
        self._selector = selectors.DefaultSelector()
        self._signals, self._sink = socket.socketpair()
        self._signals.setblocking(False)
        self._sink.setblocking(False)
        self.add(self._timer)
        self.add(self._signals)

    def add(self, thing: Any) -> None:
        """Listen to something for as long as the daemon lives."""
        self._selector.register(thing, selectors.EVENT_READ)

    def catch_signals(self, numbers: tuple[int, ...]) -> None:
        """Have these signals noticed by the loop, in the main thread."""
        signal.set_wakeup_fd(self._sink.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda caught, _frame: self.caught.append(caught))

    def take_interrupts(self) -> list[int]:
        """The signals that have come, for a run in the foreground, which minds them itself."""
        caught, self.caught = self.caught, []
        return caught

    def wait(self, until: float, timeout: float, talks: Iterable[Conversation], fds: Iterable[int]) -> list[tuple[Any, int]]:
        """Wait until a time (epoch seconds), for `timeout` seconds at most; who has something to say, and whether they can be
        read or written. Conversations and descriptors come and go; they are registered anew when they differ."""
        self._timer.set(until)
        wanted: dict[Any, int] = {}
        for talk in talks:
            wanted[talk] = selectors.EVENT_READ | (selectors.EVENT_WRITE if talk.wants_write else 0)
        for fd in fds:
            wanted[fd] = selectors.EVENT_READ
        for key in list(self._selector.get_map().values()):
            # a bare descriptor may have been closed and be another file's by now, which the kernel does not watch
            if key.data is True and (isinstance(key.fileobj, int) or wanted.get(key.fileobj) != key.events):
                self._selector.unregister(key.fileobj)
        known = self._selector.get_map()
        for fileobj, mask in wanted.items():
            if fileobj not in known:
                self._selector.register(fileobj, mask, True)
        ready = self._selector.select(timeout)
        return [(key.fileobj, mask) for key, mask in ready if not self._takes_in(key.fileobj)]

    def _takes_in(self, thing: object) -> bool:
        """What is nothing but a reason to wake up."""
        if thing is self._timer:
            self._timer.clear()
        elif thing is self._signals:
            with contextlib.suppress(BlockingIOError):
                self._signals.recv(4096)
        else:
            return False
        return True

    def close(self) -> None:
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)
        self._selector.close()
        self._timer.close()
        self._signals.close()
        self._sink.close()
