"""Signals, as something that the loop hears in its turn."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable

from cronflow.core.events import Event
from cronflow.daemon.part import Part, Ready


class Signals(Part):
    """The signals that were caught. `handle` makes events of each; without it they wait for `take`."""

    def __init__(self, handle: Callable[[int], list[Event]] | None) -> None:
        self._handle = handle
        self._caught: list[int] = []
        self._woken, self._wakeup = socket.socketpair()
        self._woken.setblocking(False)
        self._wakeup.setblocking(False)

    def catch(self, *numbers: int) -> None:
        """Have these signals heard by the loop, in the main thread."""
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda caught, _frame: self._caught.append(caught))

    def take(self) -> list[int]:
        """The signals that have come since the last time."""
        caught, self._caught = self._caught, []
        return caught

    def fds(self) -> list[socket.socket]:
        return [self._woken]

    def poll(self, ready: Ready, /) -> list[Event]:
        if self._woken in ready:
            with contextlib.suppress(BlockingIOError):
                self._woken.recv(4096)
        if self._handle is None:
            return []
        return [event for number in self.take() for event in self._handle(number)]

    def close(self) -> None:
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(-1)
        self._woken.close()
        self._wakeup.close()
