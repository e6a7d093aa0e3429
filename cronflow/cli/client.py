"""The client of the control socket: one line of JSON for a request, one line for its reply, then lines for a stream."""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from cronflow import wire
from cronflow.errors import CronflowError, Exit
from cronflow.places import Places
from cronflow.wire import LineSocket

_ANSWER_SECONDS = 30.0
"""A daemon that is alive answers within one turn of its loop; this is what tells a hung one."""
_LONGEST_ANSWER = 1 << 30


class NotRunningError(CronflowError):
    """No daemon listens at the control socket. Exit status 3."""

    def __init__(self, undone: str) -> None:
        message = f"the daemon is not running, so {undone}" if undone else "the daemon is not running"
        super().__init__(message, "`systemctl start cronflow`, or `cronflow daemon`", Exit.NOT_RUNNING)


class Client(LineSocket):
    """A connection to the daemon. Every error is a CronflowError: 3 it is not there, 5 it is not ours, 1 it refused."""

    def __init__(self, connection: socket.socket, undone: str = "") -> None:
        super().__init__(connection, _LONGEST_ANSWER)
        self._undone = undone
        self._unread: deque[bytes] = deque()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self, op: str, more: Mapping[str, Any] | None = None, seconds: float = _ANSWER_SECONDS, **fields: Any
    ) -> dict[str, Any]:
        """The reply to a request; `more` are fields whose names are words of Python. A refusal is a CronflowError with the
        daemon's words and exit status; one that is just leaving has done nothing (NotRunningError)."""
        self.outgoing += json.dumps({"op": op, **fields, **(more or {})}).encode() + b"\n"
        self.flush()  # a daemon that has closed the connection may have said why
        reply = self.receive(seconds)
        if reply is None:
            message = "went away before it answered" if self.ended else f"has not answered for {seconds:.0f} s"
            hint = "`cronflow status` tells what became of the request"
            if not self.ended:
                hint = "`journalctl -u cronflow` tells what it is doing"
            raise CronflowError(f"the daemon {message}", hint, Exit.NOT_RUNNING)
        if reply.get("leaving"):
            raise NotRunningError(self._undone)
        if not reply.get("ok"):
            error = reply.get("error") or {}
            message = str(error.get("message") or f"the daemon refused `{op}` without a reason")
            raise CronflowError(message, error.get("hint"), int(error.get("exit") or 1))
        return reply

    def receive(self, seconds: float | None) -> dict[str, Any] | None:
        """The next line of the daemon; None when none came within the time (None: for ever) or, with `ended` set, never will."""
        if not self._unread:
            self._unread += self.wait_for_lines(seconds)
        if not self._unread:
            return None
        line = self._unread.popleft()
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise CronflowError("what answers at the control socket is not a cronflow daemon", "look at it with `ss -xlp`")
        return value

    def events(self, seconds: float) -> Iterator[dict[str, Any] | None]:
        """The lines of a stream until the daemon ends it; None whenever nothing came for `seconds`."""
        while True:
            event = self.receive(seconds)
            if event is None and self.ended:
                return
            yield event

    def wait_until_gone(self) -> None:
        """Return when the daemon has closed the connection, which it does when it ends."""
        while not self.ended:
            self.receive(None)


def connect(places: Places, undone: str = "") -> Client:
    """A connection to the daemon of these places. `undone` ends the message if there is none: "nothing was paused".

    NotRunningError (exit 3) without a daemon, a CronflowError (exit 5) where the socket is another user's.
    """
    try:
        return Client(wire.connect(places.control.parent, places.control.name), undone)
    except PermissionError:
        message = f"the daemon at `{places.control}` belongs to another user" + (f", so {undone}" if undone else "")
        raise CronflowError(message, "call it as that user, or with `sudo`", Exit.NOT_PERMITTED) from None
    except OSError:
        raise NotRunningError(undone) from None


def ping(places: Places, seconds: float = 1.0) -> dict[str, Any] | None:
    """What the daemon says of itself: `pid`, `version`, `file`, `since`, `foreground`, `draining`, `problems`; None where none
    answers."""
    try:
        with connect(places) as client:
            return client.ask("ping", seconds=seconds)
    except CronflowError:
        return None
