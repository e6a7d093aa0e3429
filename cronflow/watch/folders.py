"""Scanning for the files of some patterns: which there are, and what stat(2) says of them.

A pattern is an absolute path in which `*`, `?` and `[…]` stand for parts of a name and `**` for any number of folders, none too.
A name that begins with a dot is meant only by a part that does so too; `**` enters neither such folders nor links to folders.
Regular files count, and links to them. A name with a line break in it would break a list of lines, and is left out.

A scan may block for as long as a file system does not answer: it runs in a thread of its own.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import translate

_MAGIC = re.compile(r"[*?[]")


@dataclass(slots=True)
class ScanResult:
    """What one scan has found. `files` are stamps by path; a stamp ends with the number of the base folder, the one in front of
    the first sign of a pattern. `bases` are the numbers (inodes) of those that are there. Of what lies at or below `unread`
    nothing is known. `numbers` are the folders as inotify knows them, `blind` says that it could not watch all of them."""

    files: dict[str, str] = field(default_factory=dict)
    bases: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    numbers: set[int] = field(default_factory=set)
    blind: bool = False
    seconds: float = 0.0


def base_of(stamp: str) -> str:
    """The number of the base folder through which a file was seen."""
    return stamp.rpartition(" ")[2]


def scan(patterns: Iterable[str], watch: Callable[[str], int]) -> ScanResult:
    """Find the files of patterns. `watch` has a folder watched before it is read, so that no change is missed; it returns
    the folder's number, or an errno(3) below 0."""
    begun = time.monotonic()
    walk = _Walk(watch)
    for pattern in sorted(set(patterns)):
        walk.pattern(pattern)
    walk.found.seconds = time.monotonic() - begun
    return walk.found


class _Walk:
    """One scan, folder by folder."""

    def __init__(self, watch: Callable[[str], int]) -> None:
        self.found = ScanResult()
        self._watch = watch
        self._watched: set[str] = set()
        self._lists: dict[str, list[os.DirEntry[str]]] = {}
        self._base = ""

    def pattern(self, pattern: str) -> None:
        """Take in the files of one pattern."""
        parts = [part for part in pattern.split("/") if part not in ("", ".")]
        if parts[-1:] == ["**"]:
            parts.append("*")
        first = next((place for place, part in enumerate(parts) if _MAGIC.search(part)), len(parts))
        first = min(first, len(parts) - 1)
        base = "/" + "/".join(parts[:first])
        number = self._reach(base)
        if number is None:
            return
        self._base = self.found.bases[base] = number
        done: set[tuple[str, int]] = set()
        todo = [(base, first)]
        while todo:
            folder, place = todo.pop()
            if (folder, place) not in done:
                done.add((folder, place))
                todo += self._step(folder, parts[place], place, last=place == len(parts) - 1)

    def _reach(self, base: str) -> str | None:
        """The number of a base folder; where it is missing, the nearest one above it is watched, until there is another."""
        nearest = None
        while (now := _nearest(base)) != nearest:
            nearest = now
            self._follow(nearest)
        try:
            return str(os.stat(base).st_ino) if nearest == base else None
        except OSError:
            return None

    def _step(self, folder: str, part: str, place: int, last: bool) -> list[tuple[str, int]]:
        """Apply one part of a pattern to a folder: the folders to go on with, and the part to go on with there."""
        if part == "**":
            below = [one.path for one in self._list(folder) if one.name[0] != "." and _is_folder(one, follow=False)]
            return [(folder, place + 1), *((path, place) for path in below)]
        if not _MAGIC.search(part):
            self._follow(folder)
            path = os.path.join(folder, part)
            if last:
                self._take(path, lambda: os.stat(path))
            return [] if last or not os.path.isdir(path) else [(path, place + 1)]
        matches = re.compile(translate(part)).match
        hidden = part[0] == "."
        entries = [one for one in self._list(folder) if (hidden or one.name[0] != ".") and matches(one.name)]
        if not last:
            return [(one.path, place + 1) for one in entries if _is_folder(one, follow=True)]
        for one in entries:
            self._take(one.path, one.stat)
        return []

    def _take(self, path: str, seen: Callable[[], os.stat_result]) -> None:
        try:
            file = seen()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError:
            self.found.unread.append(path)
            return
        if stat.S_ISREG(file.st_mode) and "\n" not in path:
            self.found.files.setdefault(path, f"{file.st_mtime_ns} {file.st_size} {file.st_ino} {self._base}")

    def _list(self, folder: str) -> list[os.DirEntry[str]]:
        """The entries of a folder, which is watched from then on."""
        if folder not in self._lists:
            self._follow(folder)
            entries: list[os.DirEntry[str]] = []
            try:
                with os.scandir(folder) as found:
                    entries.extend(found)
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError:
                self.found.unread.append(folder)
            self._lists[folder] = entries
        return self._lists[folder]

    def _follow(self, folder: str) -> None:
        if folder not in self._watched:
            self._watched.add(folder)
            number = self._watch(folder)
            if number >= 0:
                self.found.numbers.add(number)
            elif -number in (errno.ENOSPC, errno.ENOSYS):
                self.found.blind = True


def _nearest(folder: str) -> str:
    """A folder, or the nearest one above it that is there."""
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    return folder


def _is_folder(entry: os.DirEntry[str], follow: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:
        return False
