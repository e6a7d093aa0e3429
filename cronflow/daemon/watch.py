"""Noticing that the job file has been edited: inotify on the folders of its files, so that nothing is polled."""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterable

_libc = ctypes.CDLL(None, use_errno=True)
_EVENT = struct.Struct("iIII")
_NONBLOCK_CLOEXEC = 0o4000 | 0o2000000
# modify, attrib, close_write, moved_from, moved_to, create, delete (inotify(7))
_WANTED = 0x2 | 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200


class FolderWatch:
    """Readable when something in the watched folders changes. Where inotify is not to be had, it never is: the daemon looks
    at the files at its other wake-ups."""

    def __init__(self) -> None:
        self._fd = int(_libc.inotify_init1(_NONBLOCK_CLOEXEC))
        self._folders: dict[str, int] = {}

    def fileno(self) -> int:
        return self._fd

    @property
    def works(self) -> bool:
        return self._fd >= 0

    def follow(self, folders: Iterable[str]) -> None:
        """Watch these folders and no others."""
        wanted = set(folders)
        for folder in set(self._folders) - wanted:
            number = self._folders.pop(folder)
            if number not in self._folders.values():
                _libc.inotify_rm_watch(self._fd, number)
        for folder in wanted:  # those known too: another folder may have taken the place of one
            number = _libc.inotify_add_watch(self._fd, os.fsencode(folder), _WANTED) if self.works else -1
            before = self._folders.pop(folder, number)
            if before != number and before not in self._folders.values():
                _libc.inotify_rm_watch(self._fd, before)
            if number >= 0:
                self._folders[folder] = number

    def names(self) -> set[str]:
        """The names that changed since the last call; an empty name stands for more than could be told."""
        found: set[str] = set()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._fd, 65536):
                at = 0
                while at < len(data):
                    *_, length = _EVENT.unpack_from(data, at)
                    at += _EVENT.size
                    found.add(os.fsdecode(data[at : at + length].rstrip(b"\0")))
                    at += length
        return found

    def close(self) -> None:
        if self.works:
            os.close(self._fd)
