"""Holds the output of an attempt to `max_output`: head and tail stay, the middle goes.

The command writes to its log by itself. When the log has grown beyond the limit, the keeper punches a hole into its
middle: the blocks go back to the disk, the size stays, nothing is copied and the writer notices nothing. Where the file
system cannot punch holes, the tail is copied behind the head, with a line between that tells what is missing; what
is written in the moment of the copy may be lost with the middle.
"""
from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from cronflow.linux import punch_hole

SLACK = 65536
"""Bytes beyond the limit before anything is done, so that a slow writer does not cost a call for each line."""
_CHUNK = 1 << 20
_LINE = 64
"""Bytes at most of the line that stands for what is missing: less than that is not worth it."""
_GAP = re.compile(rb"\n\xe2\x80\xa6 (\d+) bytes dropped \xe2\x80\xa6\n")
_UNABLE = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV, errno.ESPIPE)


def size_of(path: str) -> int:
    """The bytes written to a log so far, or 0."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def written(path: str, limit: int | None) -> int:
    """The bytes that the command has written to its log, those included that were dropped since; 0 without a log."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return 0
    try:
        size = os.fstat(fd).st_size
        gap = None if limit is None or size <= limit // 2 else _GAP.match(os.pread(fd, _LINE, limit // 2))
        return size + int(gap.group(1)) - len(gap.group()) if gap else size
    except OSError:
        return 0
    finally:
        os.close(fd)


def trim(path: str, limit: int) -> None:
    """Take the middle out of a log of more than `limit` bytes; nothing where that fails."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return
    head = limit // 2
    try:
        stat = os.fstat(fd)
        block = max(stat.st_blksize, 4096)
        start = -(-head // block) * block
        end = (stat.st_size - (limit - head)) // block * block
        if end > start:
            punch_hole(fd, start, end - start)
    except OSError as error:
        if error.errno in _UNABLE:
            with suppress(OSError):
                collapse(fd, head, limit - head)
    finally:
        os.close(fd)


def collapse(fd: int, head: int, tail: int) -> None:
    """Copy the tail behind the head, with a line between them that counts what is missing.

    In place, and the file cut last: who writes to it all the time would else come in between head and tail.
    """
    earlier = _GAP.match(os.pread(fd, _LINE, head))
    skip = head + (len(earlier.group()) if earlier else 0)
    lost = int(earlier.group(1)) if earlier else 0
    end = start = max(os.fstat(fd).st_size - tail, skip)
    if start - skip <= _LINE:
        return
    lost += start - skip
    place = head + os.pwrite(fd, _gap(lost), head)
    while place < head + tail + _CHUNK and (data := os.pread(fd, _CHUNK, end)):
        place += os.pwrite(fd, data, place)
        end += len(data)
    late = os.fstat(fd).st_size - end
    os.ftruncate(fd, place)
    if late > 0 and len(_gap(lost + late)) == len(_gap(lost)):
        os.pwrite(fd, _gap(lost + late), head)


def _gap(lost: int) -> bytes:
    return f"\n… {lost} bytes dropped …\n".encode()


def pieces(fd: int) -> Iterator[tuple[int, int]]:
    """The parts of a log that are still there, as (start, end), in order."""
    size = os.fstat(fd).st_size
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            start = position
        try:
            end = os.lseek(fd, start, os.SEEK_HOLE)
        except OSError:
            end = size
        yield start, end
        position = end


def marker(count: int) -> bytes:
    """The line that stands for `count` bytes that were dropped."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    shown = f"{amount:.0f}" if amount >= 10 or unit == "bytes" else f"{amount:.1f}"
    return f"… {shown} {unit} dropped …\n".encode()


def read_log(path: str, head: int | None = None, tail: int | None = None) -> Iterator[bytes]:
    """The text of a log in pieces of up to 1 MiB, one marker line where the middle was dropped.

    `head` and `tail` bound what is read, in bytes from either end; with both, a marker stands for what lies between.
    Sparse parts that the command wrote itself cannot be told from dropped ones. OSError if there is no such log.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(fd).st_size
        wanted = _wanted(list(pieces(fd)), size, head, tail)
        position = 0 if head is not None or tail is None else (wanted[0][0] if wanted else size)
        ended = True
        for start, end in wanted:
            if start > position:
                yield (b"" if ended else b"\n") + marker(start - position)
            while start < end:
                data = os.pread(fd, min(_CHUNK, end - start), start)
                if not data:
                    return
                yield data
                ended = data.endswith(b"\n")
                start += len(data)
            position = start
        if position < size and (head is None or tail is not None):
            yield (b"" if ended else b"\n") + marker(size - position)
    finally:
        os.close(fd)


def _wanted(parts: list[tuple[int, int]], size: int, head: int | None, tail: int | None) -> list[tuple[int, int]]:
    if head is None and tail is None:
        return parts
    first = head or 0
    last = size - (tail or 0)
    if first >= last:
        return parts
    cut = [(start, min(end, first)) for start, end in parts if start < first]
    cut += [(max(start, last), end) for start, end in parts if end > last]
    return cut
