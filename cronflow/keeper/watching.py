"""Watch the logs of running attempts, so that none outgrows its `max_output` by more than a moment's writing.

A log that grows is looked at ten times a second. One that does not is left to inotify, which wakes the keeper at the
next write and then no more: a silent command costs nothing.
"""
from __future__ import annotations

from contextlib import suppress

from cronflow import linux

from . import output
from .attempt import NEVER, HeldAttempt

LOOK_EVERY = 0.1
"""Seconds between two looks at a log that grows."""


class Watcher:
    """Hold the logs of this keeper's attempts to their size."""

    def __init__(self) -> None:
        self._watched: dict[int, HeldAttempt] = {}
        try:
            self.fd = linux.inotify_init()
        except OSError:
            self.fd = -1

    def begin(self, attempt: HeldAttempt, now: float) -> None:
        """First look soon; most commands have ended before."""
        if attempt.max_output is not None:
            attempt.look_at = now + LOOK_EVERY

    def look(self, attempt: HeldAttempt, now: float) -> None:
        """Trim the log if it must be, and say when the next look is due."""
        assert attempt.max_output is not None
        size = output.size_of(attempt.log)
        if size == attempt.seen_bytes and self._wait_for_write(attempt):
            attempt.look_at = NEVER
            size = output.size_of(attempt.log)
            if size == attempt.seen_bytes:
                return
        attempt.look_at = now + LOOK_EVERY
        if size > attempt.max_output + output.SLACK:
            output.trim(attempt.log, attempt.max_output)
            size = output.size_of(attempt.log)
        attempt.seen_bytes = size

    def written(self, now: float) -> None:
        with suppress(OSError):
            for number, _ in linux.inotify_read(self.fd):
                attempt = self._watched.pop(number, None)
                if attempt is not None:
                    attempt.watch = None
                    if not attempt.final:
                        attempt.look_at = now

    def end(self, attempt: HeldAttempt) -> None:
        """Trim for the last time and count what was written."""
        attempt.look_at = NEVER
        if attempt.watch is not None:
            self._watched.pop(attempt.watch, None)
            linux.inotify_rm_watch(self.fd, attempt.watch)
            attempt.watch = None
        if attempt.max_output is not None and output.size_of(attempt.log) > attempt.max_output:
            output.trim(attempt.log, attempt.max_output)
        attempt.output_bytes = output.written(attempt.log, attempt.max_output)

    def _wait_for_write(self, attempt: HeldAttempt) -> bool:
        if attempt.watch is not None:
            return True
        try:
            attempt.watch = linux.inotify_add_watch(self.fd, attempt.log, linux.IN_MODIFY | linux.IN_ONESHOT)
        except OSError:
            return False
        self._watched[attempt.watch] = attempt
        return True
