"""Lines over Unix sockets: what the control socket and the sockets of keepers have in common on both their sides.

A socket is bound and connected relative to an open folder, since the path of a unix(7) socket ends at 107 bytes. Nothing here
blocks but `LineSocket.wait_for_lines`. Imports nothing but the standard library: the keeper runs on it too.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from contextlib import suppress

_SENT_AT_ONCE = 65536


class ProtocolError(Exception):
    """The other side does not speak the language of this socket; the connection is of no more use."""


class LineSocket:
    """A connection that carries lines, each at most `limit` bytes long. `ended` is true once the other side has hung up."""

    __slots__ = ("_incoming", "_limit", "ended", "outgoing", "sock")

    def __init__(self, sock: socket.socket, limit: int) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.ended = False
        self.outgoing = bytearray()
        self._incoming = bytearray()
        self._limit = limit

    def fileno(self) -> int:
        """The descriptor to wait for; -1 when closed."""
        return self.sock.fileno()

    @property
    def closed(self) -> bool:
        """Whether this side has hung up."""
        return self.sock.fileno() < 0

    @property
    def wants_write(self) -> bool:
        """Whether something could not be sent yet: call `flush` when the descriptor is writable."""
        return bool(self.outgoing) and not self.closed

    def flush(self) -> bool:
        """Send what can be sent now of `outgoing`. False if the other side takes nothing any more."""
        try:
            while self.outgoing:
                sent = self.sock.send(memoryview(self.outgoing)[:_SENT_AT_ONCE], socket.MSG_NOSIGNAL)
                del self.outgoing[:sent]
        except BlockingIOError:
            return True
        except OSError:
            self.outgoing.clear()
            return False
        return True

    def read(self, most: int) -> list[bytes]:
        """The lines that the next up to `most` bytes complete, without their line ends. BlockingIOError if nothing has come,
        ProtocolError for a line that is too long."""
        try:
            data = self.sock.recv(most)
        except BlockingIOError:
            raise
        except OSError:
            data = b""
        self.ended = not data
        self._incoming += data
        lines: list[bytes] = []
        if b"\n" in data:
            *lines, rest = bytes(self._incoming).split(b"\n")
            self._incoming = bytearray(rest)
        if len(self._incoming) > self._limit or any(len(line) > self._limit for line in lines):
            raise ProtocolError(f"a line longer than {self._limit} bytes")
        return lines

    def wait_for_lines(self, seconds: float | None) -> list[bytes]:
        """All lines that have come; waits up to `seconds` (None: for ever) for the first one, and sends meanwhile what has not
        been sent yet. ProtocolError for a line that is too long."""
        until = None if seconds is None else time.monotonic() + seconds
        lines: list[bytes] = []
        while not self.ended and not self.closed:
            try:
                lines += self.read(1 << 18)
            except BlockingIOError:
                if lines or not self._wait(None if until is None else until - time.monotonic()):
                    break
        return lines

    def _wait(self, seconds: float | None) -> bool:
        """Whether something can be read, or has been sent, within this time: poll(2) takes descriptors beyond 1,023 too."""
        if seconds is not None and seconds <= 0:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN | (select.POLLOUT if self.outgoing else 0))
        ready = poll.poll(None if seconds is None else seconds * 1000)
        self.flush()
        return bool(ready)

    def close(self) -> None:
        """Hang up."""
        self.sock.close()


def connect(folder: str | os.PathLike[str], name: str) -> socket.socket:
    """A non-blocking connection to a socket in a folder. OSError if nobody listens or its queue is full."""
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.connect(f"/proc/self/fd/{place}/{name}")
    except BaseException:
        sock.close()
        raise
    finally:
        os.close(place)
    return sock


def listen(folder: int, name: str, backlog: int) -> socket.socket:
    """A non-blocking listening socket in an open folder, in the place of an earlier one of that name."""
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.bind(f"/proc/self/fd/{folder}/{name}")
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def peer_uid(sock: socket.socket) -> int:
    """The user of the process that connected, by the kernel's word: SO_PEERCRED of unix(7)."""
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return int(uid)
