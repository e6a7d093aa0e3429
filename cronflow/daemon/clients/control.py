"""The control socket: JSON lines from the commands of the same user or of root. Who may connect is decided by the kernel's word
(SO_PEERCRED, unix(7)), not by the mode of a file alone.

A client that sends no JSON, too long a line, or never reads its answers is cut off; the daemon never waits for one.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import pwd
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cronflow import wire
from cronflow.errors import Exit
from cronflow.wire import LineSocket, ProtocolError, peer_uid

MAX_LINE = 1 << 20
MAX_UNREAD = 64 << 20
MAX_CLIENTS = 500

Message = Mapping[str, Any]

_STOPPING = {"message": "the daemon is stopping", "hint": None, "exit": Exit.NOT_RUNNING}
LEAVING: Message = {"ok": False, "leaving": True, "error": _STOPPING}
"""The last word to those who follow nothing. What they have asked since their last answer was not heard."""


class Client(LineSocket):
    """One connection. `follows` are the runs of which it wants to hear."""

    __slots__ = ("by", "follows")

    def __init__(self, sock: socket.socket, by: str) -> None:
        super().__init__(sock, MAX_LINE)
        self.by = by
        self.follows: set[int] = set()

    def say(self, message: Message) -> None:
        """Queue a line and send what goes at once."""
        if not self.closed:
            self.outgoing += json.dumps(message, separators=(",", ":")).encode() + b"\n"
            self.send()

    def refuse(self, message: str, hint: str | None = None, exit_status: int = 1) -> None:
        self.say({"ok": False, "error": {"message": message, "hint": hint, "exit": exit_status}})

    def send(self) -> None:
        """Send what goes at once; whoever takes nothing any more, or reads nothing, is cut off."""
        if not self.flush() or len(self.outgoing) > MAX_UNREAD:
            self.close()

    def requests(self) -> list[Message]:
        """The requests that have come. A line that is not a JSON object ends the conversation."""
        messages: list[Message] = []
        try:
            lines = self.read(1 << 18)
        except BlockingIOError:
            return messages
        except ProtocolError:
            self.refuse(f"a request longer than {MAX_LINE} bytes", None, Exit.USAGE)
            self.close()
            return messages
        if self.ended:
            self.close()
        for line in lines:
            try:
                message = json.loads(line)
            except (ValueError, RecursionError):
                message = None
            if not isinstance(message, dict) or not isinstance(message.get("op"), str):
                self.refuse("a request is one JSON object with an `op`, a line each", None, Exit.USAGE)
                self.close()
                break
            messages.append(message)
        return messages


class Control:
    """The listening socket of a daemon and its clients."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clients: set[Client] = set()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._spare = os.open("/", os.O_PATH | os.O_CLOEXEC)
        before = os.umask(0o177)
        try:  # who finds the queue full is told EAGAIN, and does not wait
            self.listener = wire.listen(self._folder, path.name, socket.SOMAXCONN)
        finally:
            os.umask(before)

    def accept(self) -> list[Client]:
        """Take in those who have called; strangers are told so and cut off."""
        taken: list[Client] = []
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE) and self._turn_away():
                    continue
                return taken
            uid = peer_uid(sock)
            client = Client(sock, name_of(uid))
            if uid not in (0, os.geteuid()):
                client.refuse(f"the daemon belongs to `{name_of(os.geteuid())}`", "call it as that user", Exit.NOT_PERMITTED)
                client.close()
            elif len(self.clients) >= MAX_CLIENTS:
                client.refuse(f"{MAX_CLIENTS} commands are talking to the daemon already", "try again", 1)
                client.close()
            else:
                self.clients.add(client)
                taken.append(client)

    def _turn_away(self) -> bool:
        """Without a descriptor left, hang up on one caller by means of the spare one: a call that is left waiting would wake the
        loop for ever."""
        os.close(self._spare)
        try:
            self.listener.accept()[0].close()
        except OSError:
            return False
        finally:
            self._spare = os.open("/", os.O_PATH | os.O_CLOEXEC)
        return True

    def drop_closed(self) -> None:
        """Forget those who have gone, also while they were being answered: their descriptor may be another one's by now."""
        self.clients = {client for client in self.clients if not client.closed}

    def close(self) -> None:
        """Take the socket away and say goodbye to all: whoever has asked and has no answer knows that nothing was done."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path.name, dir_fd=self._folder)
        self.accept()
        for client in self.clients:
            if not client.follows:
                client.say(LEAVING)
            client.send()
            client.close()
        self.clients.clear()
        self.listener.close()
        os.close(self._folder)
        os.close(self._spare)


def name_of(uid: int) -> str:
    """The name of a user for the history; its number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
