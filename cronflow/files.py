"""Small files that people write and may have replaced by anything. Imports nothing but the standard library."""

from __future__ import annotations

import errno
import os
import stat


class NotRegularError(OSError):
    """There is something else than a file with a content of its own: a pipe, a socket, a device."""


def read_regular(path: str | os.PathLike[str], limit: int, flags: int = 0) -> tuple[bytes, os.stat_result]:
    """The bytes of a regular file, or one more than `limit` of a larger one, and what it is. Nothing is waited for, not even the
    writer of a pipe. `flags` are further ones of open(2).

    NotRegularError, IsADirectoryError, any other OSError of open(2) and read(2)."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY | flags)
    try:
        about = os.fstat(fd)
        if stat.S_ISDIR(about.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(about.st_mode):
            raise NotRegularError(errno.EINVAL, "not a regular file", path)
        data = b""
        while piece := os.read(fd, min(limit + 1 - len(data), max(about.st_size - len(data), 0) + 65536)):
            data = data + piece if data else piece
        return data, about
    finally:
        os.close(fd)
