"""The one wait of the daemon: for everything that its parts listen to."""

from __future__ import annotations

import selectors
from collections.abc import Iterable

from cronflow.daemon.part import FD, Ready


class Selector:
    """What parts listen to comes and goes; what stays the same from one wait to the next is registered once."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def wait(self, fds: Iterable[FD], seconds: float) -> Ready:
        """Wait for `seconds` at most."""
        wanted = {fd: selectors.EVENT_READ | (selectors.EVENT_WRITE if getattr(fd, "wants_write", False) else 0) for fd in fds}
        known = self._selector.get_map()
        for key in list(known.values()):
            # a bare descriptor may have been closed and be another file's by now, which the kernel does not watch
            if isinstance(key.fileobj, int) or wanted.get(key.fileobj) != key.events:
                self._selector.unregister(key.fileobj)
        for fd, mask in wanted.items():
            if fd not in known:
                self._selector.register(fd, mask)
        return {key.fileobj: mask for key, mask in self._selector.select(max(seconds, 0.0))}

    def close(self) -> None:
        self._selector.close()
