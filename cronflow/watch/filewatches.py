"""The watches in force: of each it is known which files were there, and reported when others have come and are quiet.

Scans run in threads, since a file system that does not answer must hold up nothing but its own watch; a thread lives for one
scan, and its result wakes the loop. inotify only says that it is time for a scan: what it does not see (a file system of another
machine, more folders than it may watch, a file that is written to and never closed) is found by a scan every 30 seconds. Scans
rest for ten times as long as they take, so that many files that move cost a tenth of a processor at most.

A watch reports its files with an event. What is saved with that event is known from then on; what is not (another run is in the
way, the daemon is leaving) is reported again later, by this daemon or the next one. Times are of the monotonic clock.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from cronflow.core.effects import Effects
from cronflow.core.events import Event, Triggered, TroubleFound, TroubleGone
from cronflow.core.plan.flow import Plan
from cronflow.core.records import Trouble, WatchedFile
from cronflow.core.slots.event_slots import must_wait
from cronflow.core.state import LiveState
from cronflow.core.tables import WATCHED
from cronflow.watch.debounce import BASELINE, Arrived, Debounce
from cronflow.watch.folders import ScanResult, scan
from cronflow.watch.inotify import CHANGES, ITSELF, Inotify

SOON = 0.1
"""Seconds for which changes are gathered before a scan."""
SCAN_EVERY = 30.0
SHARE, LONGEST_REST = 10.0, 60.0
SCAN_SHARE, LONGEST_SCAN_EVERY = 100.0, 3600.0
HUNG = 60.0
"""Seconds after which a scan that has not come back is reported."""
AGAIN = 5.0
"""Seconds after which something that did not succeed is tried again."""
TROUBLE = "watch "


@dataclass(slots=True)
class Watch:
    """One watch in force. `scan_at` and `rest_until` are about its next scan, `scanning_since` about the current one. `reported`
    means that an event has not been saved yet, `report_at` is from when on there may be another."""

    key: str
    patterns: tuple[str, ...]
    files: Debounce
    scan_at: float = 0.0
    rest_until: float = 0.0
    scanning_since: float | None = None
    numbers: set[int] = field(default_factory=set)
    arrived: Arrived = field(default_factory=Arrived)
    reported: bool = False
    report_at: float = 0.0
    hung: bool = False

    def next_scan_at(self) -> float:
        """When the next scan is to begin, if none is running."""
        again = self.files.scan_again_at()
        return max(self.scan_at if again is None else min(self.scan_at, again), self.rest_until)

    def is_hung_at(self) -> float | None:
        """When the running scan takes too long; None where there is none, or where that has been reported."""
        return None if self.scanning_since is None or self.hung else self.scanning_since + HUNG


class Memory(Protocol):
    """What is remembered of watches: stamps by path. Raises sqlite3.Error where it cannot be read now."""

    def watched(self, key: str) -> dict[str, str]: ...

    def forget_watched(self, but: Collection[str]) -> None: ...


class FileWatches:
    """All watches in force, a part of the daemon's loop."""

    def __init__(self, state: LiveState, memory: Callable[[], Memory], log: Callable[[str], None]) -> None:
        self._state = state
        self._memory = memory
        self._log = log
        self._watches: dict[str, Watch] = {}
        self._plan: Plan | None = None
        self._follow_at = 0.0
        self._inotify: Inotify | None = None
        self._unused: set[int] = set()
        self._blind = False
        self._listen_at = 0.0
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._done: deque[tuple[Watch, float, ScanResult | Exception]] = deque()

    # ---- for the loop ----------------------------------------------------------------------------------------------------

    def fds(self) -> list[int]:
        """What wakes the loop: results of scans, and changes, unless some are just being gathered."""
        if not self._watches:
            return []
        listens = self._inotify is not None and self._inotify.works and time.monotonic() >= self._listen_at
        return [self._bell, *([self._inotify.fileno()] if self._inotify is not None and listens else [])]

    def deadline(self) -> float | None:
        if not self._works():
            return None
        if self._state.plan is not self._plan:
            return self._follow_at
        times = [self._listen_at] if self._watches and self._listen_at > time.monotonic() else []
        for watch in self._watches.values():
            if (at := watch.next_scan_at() if watch.scanning_since is None else watch.is_hung_at()) is not None:
                times.append(at)
            if self._may_report(watch):
                times.append(watch.report_at)
        return min(times, default=None)

    def poll(self, _ready: Mapping[object, int], /) -> list[Event]:
        """Scan where it is time to, and report what has come. Raises sqlite3.Error where the watches of a plan that is new cannot
        be read; then they are read the next time."""
        if not self._works():
            return []
        now = time.monotonic()
        events: list[Event] = []
        if self._state.plan is not self._plan and now >= self._follow_at:
            self._follow_at = now + AGAIN
            events += self._follow()
            self._follow_at = 0.0
        if self._watches:
            self._hear_changes(now)
            events += self._take_results()
            for watch in self._watches.values():
                events += self._tend(watch, now)
        return events

    def _works(self) -> bool:
        return self._state.slots and not self._state.draining

    def saved(self, out: Effects, /) -> None:
        """What was reported with these effects is known."""
        for watch in [one for one in self._watches.values() if one.reported]:
            seen = {path: file and file.stamp for (key, path), file in out.of(WATCHED).items() if key == watch.key}
            watch.reported = False
            watch.report_at = 0.0 if seen else time.monotonic() + AGAIN
            watch.files.remember(seen)
            watch.arrived = watch.files.arrived()

    def known(self) -> Iterator[WatchedFile]:
        """All that has been saved of the watches, for a database that is to take the place of a damaged one."""
        for key, watch in self._watches.items():
            yield from (WatchedFile(key, path, stamp) for path, stamp in watch.files.known.items())

    def close(self) -> None:
        """A running scan may still use the descriptors; then they are closed with the process."""
        if all(watch.scanning_since is None for watch in self._watches.values()):
            os.close(self._bell)
            if self._inotify is not None:
                self._inotify.close()

    # ---- watches ---------------------------------------------------------------------------------------------------------

    def _follow(self) -> list[Event]:
        """Take over the watches of another plan. What is known of those that are gone is forgotten: should they come back, it is
        as if for the first time."""
        flows = (flow for flow in self._state.plan.flows.values() if not flow.disabled)
        wanted = {one.key: one for flow in flows for one in flow.triggers if one.kind == "watch"}
        memory = self._memory()
        memory.forget_watched(wanted)
        known = {key: memory.watched(key) for key in wanted if key not in self._watches}
        if wanted and self._inotify is None:
            self._inotify = Inotify()
        for key in [key for key in self._watches if key not in wanted]:
            self._unused |= self._watches.pop(key).numbers
        for key, files in known.items():
            trigger = wanted[key]
            self._watches[key] = Watch(key, trigger.watch, Debounce(trigger.settle, files if BASELINE[0] in files else {}))
        self._plan = self._state.plan
        troubles = [key for key in self._state.troubles if key.startswith(TROUBLE)]
        return [TroubleGone(key) for key in troubles if key.removeprefix(TROUBLE) not in wanted]

    def _hear_changes(self, now: float) -> None:
        """What inotify says is a reason for a scan. A number that is not known may belong to a running scan."""
        if self._inotify is None or not self._inotify.works or now < self._listen_at:
            return
        changed = {number for number, _ in self._inotify.read()}
        if changed:
            self._listen_at = now + SOON
            for watch in self._watches.values():
                if watch.scanning_since is not None or -1 in changed or not changed.isdisjoint(watch.numbers):
                    watch.scan_at = min(watch.scan_at, now + SOON)

    def _tend(self, watch: Watch, now: float) -> list[Event]:
        """Begin a scan if it is time to; report what there is to report."""
        hung_at = watch.is_hung_at()
        if watch.scanning_since is None and watch.next_scan_at() <= now:
            self._begin(watch, now)
        elif hung_at is not None and hung_at <= now:
            watch.hung = True
            return [self._trouble(watch, f"has been looking at them for over {HUNG:.0f} s: their file system does not answer")]
        if not self._may_report(watch) or now < watch.report_at:
            return []
        watch.reported = True
        return [Triggered(watch.key, watch.arrived.paths, watch.arrived.seen)]

    def _may_report(self, watch: Watch) -> bool:
        if watch.reported or not watch.arrived.seen:
            return False
        return not watch.arrived.paths or not must_wait(self._state, watch.key)

    def _trouble(self, watch: Watch, what: str) -> Event:
        message = f"the files {' '.join(watch.patterns)} are not watched: {what}"
        self._log(message)
        return TroubleFound(Trouble(f"{TROUBLE}{watch.key}", "system", message, time.time()))

    # ---- scans -----------------------------------------------------------------------------------------------------------

    def _begin(self, watch: Watch, now: float) -> None:
        watch.scanning_since, watch.scan_at = now, now + LONGEST_SCAN_EVERY
        thread = threading.Thread(target=self._scan, args=(watch, now), name="scan", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # as many threads as there may be
            watch.scanning_since, watch.rest_until = None, now + SCAN_EVERY

    def _scan(self, watch: Watch, at: float) -> None:
        """In a thread of its own: reads what does not change, and hands over what it finds."""
        assert self._inotify is not None
        inotify = self._inotify
        found: ScanResult | Exception
        try:
            found = scan(watch.patterns, lambda folder: inotify.add(folder, CHANGES | ITSELF))
        except Exception as error:  # it is said by the loop
            found = error
        self._done.append((watch, at, found))
        with contextlib.suppress(OSError):
            os.eventfd_write(self._bell, 1)

    def _take_results(self) -> list[Event]:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        events: list[Event] = []
        while self._done:
            watch, at, found = self._done.popleft()
            now = time.monotonic()
            watch.scanning_since = None
            if self._watches.get(watch.key) is not watch:
                self._drop([] if isinstance(found, Exception) else found.numbers)
                continue
            if isinstance(found, Exception):
                watch.scan_at = watch.rest_until = now + SCAN_EVERY
                self._log(f"the files {' '.join(watch.patterns)} cannot be looked at: {found}")
                continue
            events += self._take(watch, at, found, now)
        return events

    def _take(self, watch: Watch, at: float, found: ScanResult, now: float) -> list[Event]:
        """Take in what a scan has found."""
        before, watch.numbers = watch.numbers, found.numbers
        self._drop(before)
        watch.rest_until = now + min(SHARE * found.seconds, LONGEST_REST)
        watch.scan_at = min(watch.scan_at, now + max(SCAN_EVERY, min(SCAN_SHARE * found.seconds, LONGEST_SCAN_EVERY)))
        watch.files.update(found, at)
        if not watch.reported:
            watch.arrived = watch.files.arrived()
        if found.blind and not self._blind and self._inotify is not None:
            self._log("inotify cannot watch all folders (fs.inotify.max_user_watches?): some are looked at every 30 s only")
        self._blind = self._blind or found.blind
        watch.hung = False
        return [TroubleGone(f"{TROUBLE}{watch.key}")] if f"{TROUBLE}{watch.key}" in self._state.troubles else []

    def _drop(self, numbers: Iterable[int]) -> None:
        """Stop watching folders that no watch needs; not during a scan, which may just have been given such a number."""
        self._unused.update(numbers)
        if any(watch.scanning_since is not None for watch in self._watches.values()) or self._inotify is None:
            return
        for number in self._unused.difference(*(watch.numbers for watch in self._watches.values())):
            self._inotify.remove(number)
        self._unused.clear()
