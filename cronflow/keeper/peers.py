"""The keeper's side of the socket: who is connected, what they ask, and the fence between daemon generations."""
from __future__ import annotations

import os
import select
import socket
import struct
from collections.abc import Callable

from . import protocol
from .protocol import Message, ProtocolError

CONNECTIONS = 16
BACKLOG = 128
UNREAD = 16 << 20
"""Bytes that wait for a client that does not read; beyond them it is dropped, and learns all by its next hello."""
_PIECE = 65536


class Peer:
    """One connection. Its generation is None until it has said hello."""

    __slots__ = ("blocked", "generation", "lines", "pending", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.generation: int | None = None
        self.lines = protocol.Lines()
        self.pending: list[bytes] = []
        self.unsent = bytearray()
        self.blocked = False


class Peers:
    """All connections. At most one of them has said hello and not been fenced: the client."""

    def __init__(self, listener: socket.socket, epoll: select.epoll, answer: Callable[[Message], list[Message]]) -> None:
        self.listener = listener
        self.fence = -1
        self.client: Peer | None = None
        self.waiting = False
        self._epoll = epoll
        self._answer = answer
        self._peers: dict[int, Peer] = {}
        epoll.register(listener.fileno(), select.EPOLLIN)

    def __len__(self) -> int:
        return len(self._peers)

    def happened(self, fd: int, events: int) -> bool:
        """Deals with an event of the selector; False if the descriptor is none of ours."""
        if fd == self.listener.fileno():
            self._accept()
            return True
        peer = self._peers.get(fd)
        if peer is None:
            return False
        if events & select.EPOLLOUT:
            self._flush(peer)
        if events & ~select.EPOLLOUT and fd in self._peers:
            self._read(peer)
        return True

    def tell(self, message: Message) -> None:
        """Says something to the client, if there is one; sent by the next `flush`."""
        if self.client is not None:
            self.client.unsent += protocol.encode(message)

    def flush(self) -> None:
        """Sends what was told since the last turn of the loop."""
        if self.client is not None and self.client.unsent:
            self._flush(self.client)

    def serve(self, most: int) -> None:
        """Answers up to `most` requests that are read and not yet answered."""
        self.waiting = False
        for peer in list(self._peers.values()):
            while peer.pending and most > 0 and self._peers.get(peer.sock.fileno()) is peer:
                most -= 1
                self._request(peer, peer.pending.pop(0))
            if peer.pending and peer.sock.fileno() in self._peers:
                self.waiting = True

    def drop_all(self) -> None:
        """Ends every connection, and takes no new ones."""
        for peer in list(self._peers.values()):
            self._drop(peer)
        self._epoll.unregister(self.listener.fileno())
        self.listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            if len(self._peers) >= CONNECTIONS or not _permitted(sock):
                sock.close()
                continue
            sock.setblocking(False)
            self._peers[sock.fileno()] = Peer(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, peer: Peer) -> None:
        if peer.pending:
            return
        try:
            data = peer.sock.recv(_PIECE)
            peer.pending = peer.lines.feed(data)
        except BlockingIOError:
            return
        except (OSError, ProtocolError):
            self._drop(peer)
            return
        if not data:
            self._drop(peer)
        elif peer.pending:
            self.waiting = True

    def _request(self, peer: Peer, line: bytes) -> None:
        try:
            message = protocol.decode(line)
            if message["type"] == "hello":
                self._hello(peer, message)
                return
            if peer is not self.client:
                raise ProtocolError("no hello")
            answers = self._answer(message)
        except ProtocolError:
            self._drop(peer)
            return
        for answer in answers:
            self.tell(answer)

    def _hello(self, peer: Peer, message: Message) -> None:
        generation = message.get("generation")
        if not isinstance(generation, int):
            raise ProtocolError("a hello without generation")
        if generation < self.fence:
            peer.unsent += protocol.encode({"type": "refused", "id": None, "why": "fenced"})
            self._flush(peer)
            self._drop(peer)
            return
        self.fence = generation
        for other in list(self._peers.values()):
            if other is not peer and other.generation is not None:
                self._drop(other)
        peer.generation = generation
        self.client = peer
        for answer in self._answer(message):
            self.tell(answer)

    def _flush(self, peer: Peer) -> None:
        try:
            while peer.unsent:
                del peer.unsent[: send(peer.sock, peer.unsent)]
        except BlockingIOError:
            pass
        except OSError:
            self._drop(peer)
            return
        if len(peer.unsent) > UNREAD:
            self._drop(peer)
            return
        if bool(peer.unsent) != peer.blocked:
            peer.blocked = not peer.blocked
            self._epoll.modify(peer.sock.fileno(), select.EPOLLIN | (select.EPOLLOUT if peer.blocked else 0))

    def _drop(self, peer: Peer) -> None:
        fd = peer.sock.fileno()
        if self._peers.pop(fd, None) is not None:
            self._epoll.unregister(fd)
        peer.sock.close()
        peer.pending.clear()
        if self.client is peer:
            self.client = None


def send(sock: socket.socket, data: bytearray) -> int:
    """The one place where the keeper speaks; as send(2), never with SIGPIPE."""
    return sock.send(memoryview(data)[:_PIECE], socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)


def _permitted(sock: socket.socket) -> bool:
    """Only our own user and root, whatever the mode of the folder may be."""
    _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return uid in (0, os.geteuid())
