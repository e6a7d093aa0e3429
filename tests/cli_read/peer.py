"""Something that answers at the control socket as a daemon would: one reply for each kind of request."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any


class Peer:
    """A daemon as far as the commands that read can see. `replies` by `op`; an op without one is refused."""

    def __init__(self, path: Path, **replies: dict[str, Any]) -> None:
        self.replies = {
            "ping": {"pid": os.getpid(), "since": 0.0, "version": "1", "file": "x", "foreground": False, "draining": False}
        }
        self.replies.update(replies)
        self.path = path
        self.asked: list[dict[str, Any]] = []
        folder = os.open(path.parent, os.O_PATH)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(f"/proc/self/fd/{folder}/{path.name}")
        os.close(folder)
        self.socket.listen(8)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        with connection.makefile("rwb") as stream:
            for line in stream:
                request = json.loads(line)
                self.asked.append(request)
                reply = self.replies.get(request["op"])
                refused = {"ok": False, "error": {"message": "no", "hint": None, "exit": 1}}
                stream.write(json.dumps({"ok": True, **reply} if reply is not None else refused).encode() + b"\n")
                stream.flush()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join(5)
        self.path.unlink()
