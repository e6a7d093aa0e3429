"""The keeper's side of the socket: who is connected, what they ask, and the fence between daemon generations."""
from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable

from cronflow.wire import LineSocket, ProtocolError, peer_uid

from . import protocol
from .protocol import Message

CONNECTIONS = 16
BACKLOG = 128
UNREAD = 16 << 20
"""Bytes kept for a client that does not read; beyond them it is dropped, and is told everything at its next hello."""
_PIECE = 65536


class Peer(LineSocket):
    """One connection. Its generation is None until it has said hello."""

    __slots__ = ("blocked", "generation", "pending")

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock, protocol.MAX_LINE)
        self.generation: int | None = None
        self.pending: list[bytes] = []
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

    def happened(self, fd: int, events: int) -> None:
        """Deal with what epoll says of a descriptor of ours."""
        if fd == self.listener.fileno():
            self._accept()
        elif (peer := self._peers.get(fd)) is not None:
            if events & select.EPOLLOUT:
                self._flush(peer)
            if events & ~select.EPOLLOUT and fd in self._peers:
                self._read(peer)

    def tell(self, message: Message) -> None:
        """Say something to the client, if there is one; sent by the next `flush`."""
        if self.client is not None:
            self.client.outgoing += protocol.encode(message)

    def flush(self) -> None:
        """Send what was told since the last turn of the loop."""
        if self.client is not None and self.client.outgoing:
            self._flush(self.client)

    def serve(self, most: int) -> None:
        """Answer up to `most` requests that are read and not yet answered."""
        self.waiting = False
        for peer in list(self._peers.values()):
            while peer.pending and most > 0 and self._peers.get(peer.fileno()) is peer:
                most -= 1
                self._request(peer, peer.pending.pop(0))
            if peer.pending and peer.fileno() in self._peers:
                self.waiting = True

    def drop_all(self) -> None:
        """End every connection, and take no new ones."""
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
            if len(self._peers) >= CONNECTIONS or peer_uid(sock) not in (0, os.geteuid()):  # whatever the folder's mode may be
                sock.close()
                continue
            self._peers[sock.fileno()] = Peer(sock)
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _read(self, peer: Peer) -> None:
        if peer.pending:
            return
        try:
            peer.pending = peer.read(_PIECE)
        except BlockingIOError:
            return
        except ProtocolError:
            self._drop(peer)
            return
        if peer.ended:
            self._drop(peer)
        elif peer.pending:
            self.waiting = True

    def _request(self, peer: Peer, line: bytes) -> None:
        try:
            message = protocol.decode(line)
            if message["type"] == "hello":
                self._fence_off(peer, message)
            if peer is not self.client:
                raise ProtocolError("no hello")
            for answer in self._answer(message):
                self.tell(answer)
        except ProtocolError:
            self._drop(peer)

    def _fence_off(self, peer: Peer, message: Message) -> None:
        """Make who says hello the client, in the place of all who have said it; ProtocolError for an older daemon."""
        protocol.check(message)
        generation: int = message["generation"]
        if generation < self.fence:
            peer.outgoing += protocol.encode({"type": "refused", "id": None, "why": "fenced"})
            self._flush(peer)
            raise ProtocolError("fenced")
        self.fence = generation
        for other in list(self._peers.values()):
            if other is not peer and other.generation is not None:
                self._drop(other)
        peer.generation = generation
        self.client = peer

    def _flush(self, peer: Peer) -> None:
        if not peer.flush() or len(peer.outgoing) > UNREAD:
            self._drop(peer)
            return
        if bool(peer.outgoing) != peer.blocked:
            peer.blocked = not peer.blocked
            self._epoll.modify(peer.fileno(), select.EPOLLIN | (select.EPOLLOUT if peer.blocked else 0))

    def _drop(self, peer: Peer) -> None:
        fd = peer.fileno()
        if self._peers.pop(fd, None) is not None:
            self._epoll.unregister(fd)
        peer.close()
        peer.pending.clear()
        if self.client is peer:
            self.client = None
