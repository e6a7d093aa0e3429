"""What a keeper knows, on disk: a page an attempt, written in place.

A file of pages of 4,096 bytes, allocated ahead of need. Page 0 is about the keeper itself. Every other page is free or
belongs to one attempt from its claim until its acknowledgement, and always holds the whole record of it:

    <crc32, 8 hex digits> <record as JSON>\\n ... | mark of the child (the last 96 bytes)

An attempt is refused unless its page is allocated; from then on every record about it is an overwrite of blocks that
are there, which works on a full disk too. A write stays within a page, and the kernel does not stop in the middle of
one, so a killed keeper leaves whole records. A power cut may leave a torn one: its checksum tells, and its process is
gone as well. Nothing is synced: a killed process loses no page cache.

The mark is written by the child itself, as its first act: its pid, to which the parent adds when it began; and should
it never come to the command, `stage errno at`. So whoever reads the journal after the last keeper has gone knows every
process that was started.
"""
from __future__ import annotations

import fcntl
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from . import protocol

PAGE = 4096
MARK = 96
FAILURE = 48
"""Offset within the mark of the reason why the child failed."""
ROOM = PAGE - MARK
LATER = 1024
"""Bytes of a page that a claim must leave for what will be known of its end."""
GROWTH = 64
AHEAD = 16
LIMIT = 65536

Record = dict[str, Any]


class JournalFullError(Exception):
    """No page is left, and the disk gives no more."""


class RecordTooLongError(Exception):
    """A record does not fit into its page."""


class Mark(NamedTuple):
    """What the child of an attempt has said of itself."""

    pid: int
    ticks: int
    """When it began, in ticks since boot; 0 if its parent has not come to write that."""
    failure: tuple[str, int, float] | None


class Journal:
    """The journal of a living keeper, through one of its two processes."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.pages = os.fstat(fd).st_size // PAGE
        self._free: list[int] = []

    @classmethod
    def create(cls, fd: int, header: Record) -> Journal:
        """Allocates the first pages and writes page 0. OSError if the disk has no room even for these."""
        os.posix_fallocate(fd, 0, GROWTH * PAGE)
        journal = cls(fd)
        journal._free = list(range(GROWTH - 1, 0, -1))
        journal.write(0, header)
        return journal

    def take_over(self) -> Iterator[tuple[int, Record, Mark | None]]:
        """Every page in use, for the heir of the process that wrote them; all others are free from now on."""
        self._free.clear()
        for page in range(self.pages - 1, 0, -1):
            record = read_page(self.fd, page)
            if record is None:
                self._free.append(page)
            else:
                yield page, record, read_mark(self.fd, page)

    def claim(self, record: Record) -> int:
        """Writes the first record of an attempt; its page. JournalFullError, RecordTooLongError: nothing was written."""
        line = _line(record)
        if len(line) > ROOM - LATER:
            raise RecordTooLongError
        if len(self._free) < AHEAD:
            self._grow()
        if not self._free:
            raise JournalFullError
        page = self._free.pop()
        try:
            os.pwrite(self.fd, line.ljust(PAGE, b"\0"), page * PAGE)
        except OSError as error:
            self._free.append(page)
            raise JournalFullError from error
        return page

    def write(self, page: int, record: Record) -> None:
        """Replace the record of a page; the mark stays. If the disk fails, what is known in memory still counts."""
        line = _line(record)
        with suppress(OSError):
            os.pwrite(self.fd, line, page * PAGE)

    def free(self, page: int) -> None:
        """Forgets the attempt of a page."""
        with suppress(OSError):
            os.pwrite(self.fd, b"\n", page * PAGE)
        self._free.append(page)

    def mark_at(self, page: int) -> int:
        """The offset where the child of this page leaves its mark."""
        return page * PAGE + ROOM

    def _grow(self) -> None:
        if self.pages >= LIMIT:
            return
        try:
            os.posix_fallocate(self.fd, self.pages * PAGE, GROWTH * PAGE)
        except OSError:
            return
        self._free[:0] = range(self.pages + GROWTH - 1, self.pages - 1, -1)
        self.pages += GROWTH


def _line(record: Record) -> bytes:
    text = protocol.encode(record)
    if len(text) + 9 > ROOM:
        raise RecordTooLongError
    return b"%08x %s" % (zlib.crc32(text), text)


def read_page(fd: int, page: int) -> Record | None:
    """The record of a page, or None if it is free or torn."""
    line, _, _ = os.pread(fd, ROOM, page * PAGE).partition(b"\n")
    crc, _, text = line.partition(b" ")
    try:
        if int(crc, 16) != zlib.crc32(text + b"\n"):
            return None
        record = json.loads(text)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_mark(fd: int, page: int) -> Mark | None:
    """The mark of a page, or None if its child has not written one."""
    raw = os.pread(fd, MARK, page * PAGE + ROOM)
    try:
        pid, *ticks = raw[:FAILURE].split(b"\n", 1)[0].strip(b"\0").split()
        failure = raw[FAILURE:].split(b"\n", 1)[0].split()
        cause = (failure[0].decode(), int(failure[1]), float(failure[2])) if len(failure) == 3 else None
        return Mark(int(pid), int(ticks[0]) if ticks else 0, cause)
    except ValueError:
        return None


def locked(fd: int) -> bool:
    """Whether a keeper lives on this journal: its two processes share one lock, which ends with the last of them."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(fd, fcntl.LOCK_UN)
    return False
