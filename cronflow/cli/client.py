"""The client of the control socket: one line of JSON for a request, one line for its reply, then lines for a stream.

The socket is bound and connected relative to an open folder, because the path of a unix(7) socket ends at 107 bytes.
"""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

from cronflow.errors import CronflowError
from cronflow.places import Places

NOT_RUNNING = 3
NOT_PERMITTED = 5
_ANSWER_SECONDS = 30.0
"""A daemon that is alive answers within one turn of its loop; this is what tells a hung one."""
_PIECE = 65536


class NotRunningError(CronflowError):
    """No daemon listens at the control socket. Exit status 3."""

    def __init__(self, undone: str) -> None:
        message = f"the daemon is not running, so {undone}" if undone else "the daemon is not running"
        super().__init__(message, "`systemctl start cronflow`, or `cronflow daemon`", NOT_RUNNING)


class Client:
    """A connection to the daemon. Every error is a CronflowError: 3 it is not there, 5 it is not ours, 1 it refused."""

    def __init__(self, connection: socket.socket, undone: str = "") -> None:
        self._socket = connection
        self._undone = undone
        self._buffer = bytearray()
        self.ended = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        self._socket.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self, op: str, more: Mapping[str, Any] | None = None, seconds: float = _ANSWER_SECONDS, **fields: Any
    ) -> dict[str, Any]:
        """The reply to a request; `more` are fields whose names are keywords of Python. A refusal is a CronflowError with the
        daemon's words and exit status; a daemon that is just leaving has done nothing (NotRunningError)."""
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(json.dumps({"op": op, **fields, **(more or {})}).encode() + b"\n")
        except TimeoutError:
            raise self._silent(seconds) from None
        except OSError:
            pass  # it has closed the connection, maybe with a word why
        reply = self.receive(seconds)
        if reply is None:
            raise self._gone() if self.ended else self._silent(seconds)
        if reply.get("leaving"):
            raise NotRunningError(self._undone)
        if not reply.get("ok"):
            error = reply.get("error") or {}
            message = str(error.get("message") or f"the daemon refused `{op}` without a reason")
            raise CronflowError(message, error.get("hint"), int(error.get("exit") or 1))
        return reply

    def receive(self, seconds: float | None) -> dict[str, Any] | None:
        """The next line of the daemon; None if none came within the time (None: no limit) or, with `ended` set, none ever
        will."""
        end = None if seconds is None else time.monotonic() + seconds
        while (line := self._line()) is None:
            left = None if end is None else max(0.0, end - time.monotonic())
            if self.ended or not self._readable(left):
                return None
            try:
                piece = self._socket.recv(_PIECE)
            except OSError:
                piece = b""
            self._buffer += piece
            self.ended = not piece
        try:
            value = json.loads(line)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise CronflowError("what answers at the control socket is not a cronflow daemon", "look at it with `ss -xlp`")
        return value

    def _readable(self, seconds: float | None) -> bool:
        """Whether something came within the time: poll(2), which takes descriptors beyond 1,023 too."""
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

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

    def _line(self) -> bytes | None:
        place = self._buffer.find(b"\n")
        if place < 0:
            return None
        line = bytes(self._buffer[:place])
        del self._buffer[: place + 1]
        return line

    def _gone(self) -> CronflowError:
        return CronflowError(
            "the daemon went away before it answered", "`cronflow status` tells what became of the request", NOT_RUNNING
        )

    def _silent(self, seconds: float) -> CronflowError:
        return CronflowError(
            f"the daemon has not answered for {seconds:.0f} s", "`journalctl -u cronflow` tells what it is doing", NOT_RUNNING
        )


def connect(places: Places, undone: str = "") -> Client:
    """A connection to the daemon of these places. `undone` completes the error without one: "nothing was paused".
    NotRunningError (exit 3) without a daemon, a CronflowError (exit 5) if the socket belongs to another user."""
    try:
        return Client(_connected(places), undone)
    except PermissionError:
        message = f"the daemon at `{places.control}` belongs to another user" + (f", so {undone}" if undone else "")
        raise CronflowError(message, "call it as that user, or with `sudo`", NOT_PERMITTED) from None
    except OSError:
        raise NotRunningError(undone) from None


def ping(places: Places, seconds: float = 1.0) -> dict[str, Any] | None:
    """What the daemon says about itself: `pid`, `version`, `file`, `since`, `foreground`, `draining`, `problems`; None if none
    answers."""
    try:
        with connect(places) as client:
            return client.ask("ping", seconds=seconds)
    except CronflowError:
        return None


def _connected(places: Places) -> socket.socket:
    folder = os.open(places.control.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(f"/proc/self/fd/{folder}/{places.control.name}")
    except BaseException:
        connection.close()
        raise
    finally:
        os.close(folder)
    return connection
