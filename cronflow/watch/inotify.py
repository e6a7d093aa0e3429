"""Changes in folders, without polling: inotify(7)."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterable, Iterator

from cronflow import linux

CHANGES = 0x4 | 0x8 | 0x40 | 0x80 | 0x100 | 0x200
"""attrib, close_write, moved_from, moved_to, create, delete"""
READS = 16
ITSELF = 0x400 | 0x800 | 0x1000000
"""delete_self, move_self; folders only"""


class Inotify:
    """Readable when something in one of its folders changes. Where inotify is not available, it never is."""

    def __init__(self) -> None:
        try:
            self._fd = linux.inotify_init()
        except OSError:
            self._fd = -1

    def fileno(self) -> int:
        return self._fd

    @property
    def works(self) -> bool:
        return self._fd >= 0

    def add(self, folder: str, mask: int) -> int:
        """The number of a folder that is watched from now on; where it cannot be, an errno(3) below 0. It may block, and any
        thread may do it."""
        try:
            return linux.inotify_add_watch(self._fd, folder, mask) if self.works else -errno.ENOSYS
        except OSError as error:
            return -(error.errno or errno.ENOSYS)

    def remove(self, number: int) -> None:
        linux.inotify_rm_watch(self._fd, number)

    def read(self) -> Iterator[tuple[int, str]]:
        """The number of the folder and the name of each change since the last call. Both are empty (-1, "") where the kernel has
        lost count; the name is empty also where the folder itself has changed. Of changes that come faster than they are read,
        some are left for the next call."""
        with contextlib.suppress(BlockingIOError):
            for _ in range(READS):
                yield from linux.inotify_read(self._fd)

    def close(self) -> None:
        if self.works:
            os.close(self._fd)


class FolderWatch(Inotify):
    """Gives the names of what changes in the folders of the job file. Without inotify the files are checked now and then."""

    def __init__(self) -> None:
        super().__init__()
        self._folders: dict[str, int] = {}

    def follow(self, folders: Iterable[str]) -> None:
        """Watch these folders and no others."""
        wanted = set(folders)
        for folder in set(self._folders) - wanted:
            number = self._folders.pop(folder)
            if number not in self._folders.values():
                self.remove(number)
        for folder in wanted:  # those known too: another folder may have taken the place of one
            number = self.add(folder, CHANGES)
            before = self._folders.pop(folder, number)
            if before != number and before not in self._folders.values():
                self.remove(before)
            if number >= 0:
                self._folders[folder] = number

    def names(self) -> set[str]:
        """The names that changed since the last call; an empty name stands for changes that were lost."""
        return {name for _, name in self.read()}
