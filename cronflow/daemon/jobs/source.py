"""The job file on disk: read, watched, and read again two seconds after the last edit."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import PurePath

from cronflow.core.jobs import Job, JobSet
from cronflow.core.plan.flow import Plan, plan
from cronflow.daemon.upkeep.memory import compact
from cronflow.errors import JobFileError
from cronflow.jobfile.calendars import files_named
from cronflow.jobfile.read import Reading, read
from cronflow.jobfile.source import whole
from cronflow.watch.inotify import FolderWatch

QUIET = 2.0
"""Seconds for which the files must have been unchanged before they are read again automatically."""
BROKEN_FOR = 60.0
"""Seconds after which there is an alert about a file that is still broken."""
MOST_PATHS = 100
"""Links and folders that are followed for one path at most: there may be circles."""
ESCAPED = re.compile(r"\[([*?[])\]")
"""A character that glob.escape has escaped."""


@dataclass(slots=True)
class JobSource:
    """What is in force, and when to look at the files again (`check_at`) or to send an alert about broken ones (`notify_at`)."""

    path: str
    reading: Reading
    plan: Plan
    watch: FolderWatch = field(default_factory=FolderWatch)
    quiet: float = QUIET
    broken_for: float = BROKEN_FOR
    include: tuple[str, ...] = ()
    calendars: tuple[str, ...] = ()
    named_in: bytes = b""
    """The SHA-256 of the job file that names these."""
    names: frozenset[str] = frozenset()
    check_at: float | None = None
    stamp: tuple[object, ...] = ()
    broken: bool = False
    notify_at: float | None = None
    in_force_since: float = field(default_factory=time.time)

    @classmethod
    def open(cls, path: str, quiet: float = QUIET, broken_for: float = BROKEN_FOR) -> JobSource:
        """Read the job file for the first time. Raises JobFileError. `quiet`: seconds after an edit until it is read again;
        `broken_for`: after it is found broken until there is an alert."""
        reading = compact(lambda: read(path, thorough=False))
        source = cls(path, reading, plan(reading.jobs.jobs), quiet=quiet, broken_for=broken_for)
        source.include, source.calendars, source.named_in = reading.include, reading.calendars, reading.sources[0][1]
        source._follow()
        source.stamp = source._stamp()
        if source._is_automatic() and any(_digest(path) != digest for path, digest in reading.sources):
            source.stamp, source.check_at = (), time.monotonic() + quiet  # edited before anybody watched
        return source

    def deadline(self) -> float | None:
        """When `edited` may be true, or `notify_at` has come (monotonic clock)."""
        times = [at for at in (self.check_at, self.notify_at) if at is not None]
        return min(times, default=None)

    def hear_changes(self) -> None:
        """Something changed in a folder: check once it is quiet, if it may be one of our files."""
        ours = any(fnmatchcase(name, pattern) for name in self.watch.names() for pattern in self.names)
        if ours and self._is_automatic():
            self.check_at = time.monotonic() + self.quiet

    def check(self) -> None:
        """Check whether the files have changed, for file systems that inotify does not see."""
        if self._is_automatic() and self.check_at is None and self._stamp() != self.stamp:
            self.check_at = time.monotonic() + self.quiet

    def edited(self) -> bool:
        """Whether the files have changed and have been quiet since; then they are to be read."""
        if self.check_at is None or time.monotonic() < self.check_at:
            return False
        self.check_at = None
        self._follow()
        stamp = self._stamp()
        changed, self.stamp = stamp != self.stamp, stamp
        return changed

    def read_again(self) -> tuple[JobSet, Plan] | None:
        """What a reload puts in force, or None where the files say what they said before. Raises JobFileError; then the old
        reading stays."""
        self._follow()
        self.stamp = self._stamp()
        try:
            reading = compact(lambda: read(self.path, thorough=False))
        except JobFileError:
            if not self.broken:
                self.broken, self.notify_at = True, time.monotonic() + self.broken_for
            raise
        self.broken, self.notify_at = False, None
        same = reading.sources == self.reading.sources and reading.jobs == self.reading.jobs
        self.reading = reading
        self._follow()
        if same:
            return None
        self.plan, self.in_force_since = plan(reading.jobs.jobs), time.time()
        return reading.jobs, self.plan

    def _follow(self) -> None:
        """Watch the folders of what the job file names now, even if it is broken: the repair may come there."""
        self._named()
        folders: set[str] = set()
        names = {""}  # what inotify says when it has lost count
        for pattern in self.include:
            head, tail = os.path.split(pattern)
            folders.update(glob.glob(head, recursive=True))
            names.add(tail)
        for path in (*self._files(), *(ESCAPED.sub(r"\1", os.path.dirname(pattern)) for pattern in self.include)):
            for way in _paths_behind(path):
                folders.add(os.path.dirname(way))
                names.add(glob.escape(os.path.basename(way)))
        self.names = frozenset(names)
        self.watch.follow(folders if self._is_automatic() else ())

    def _named(self) -> None:
        """Take the patterns of `include` and the files of calendars from a job file that may be broken; those from before stay
        where it is not valid TOML."""
        try:
            raw = whole(self.path)
            named_in = hashlib.sha256(raw).digest()
            if named_in == self.named_in:
                return
            document = tomllib.loads(raw.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return
        here = os.path.dirname(self.path)
        named = document.get("include", [])
        patterns = named if isinstance(named, list) else [named]
        fit = (pattern for pattern in patterns if isinstance(pattern, str) and "\0" not in pattern)
        self.include = tuple(os.path.join(glob.escape(here), pattern) for pattern in fit)
        self.calendars = tuple(files_named(document, os.path.abspath(here)))
        self.named_in = named_in

    def _is_automatic(self) -> bool:
        return self.reading.jobs.settings.reload == "auto"

    def _files(self) -> list[str]:
        """The job file, all that it includes now, and the files of its calendars."""
        included = (file for pattern in self.include for file in glob.glob(pattern, recursive=True))
        return sorted({self.path, *self.calendars, *included})

    def _stamp(self) -> tuple[object, ...]:
        found: list[object] = []
        for path in self._files():
            with contextlib.suppress(OSError):
                seen = os.stat(path)
                found.append((path, seen.st_mtime_ns, seen.st_size, seen.st_ino))
        return tuple(found)


def _digest(path: str) -> bytes | None:
    """The SHA-256 of a file as it is now, or None where it cannot be read."""
    try:
        return hashlib.sha256(whole(path)).digest()
    except (OSError, ValueError):
        return None


def _paths_behind(path: str) -> Iterator[str]:
    """A path and all that it depends on: the links in it, and where they lead; of folders that are missing, all up to the first
    that exists."""
    todo = [path]
    seen: set[str] = set()
    while todo:
        path = todo.pop()
        if path in seen or len(seen) >= MOST_PATHS:
            continue
        seen.add(path)
        yield path
        above = os.path.dirname(path)
        if os.path.islink(path):
            with contextlib.suppress(OSError):
                todo.append(os.path.normpath(os.path.join(above, os.readlink(path))))
        if not os.path.isdir(above):
            todo.append(above)
        todo.extend(str(folder) for folder in PurePath(path).parents if os.path.islink(folder))


def changes(before: Mapping[str, Job], after: Mapping[str, Job]) -> dict[str, list[str]]:
    """What a reload changed: names of jobs added, removed and edited."""
    return {
        "added": [name for name in after if name not in before],
        "removed": [name for name in before if name not in after],
        "edited": [name for name in after if name in before and after[name] != before[name]],
    }
