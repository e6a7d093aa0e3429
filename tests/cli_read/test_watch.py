"""`cronflow status --watch` on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable

import pytest

from tests.cli_read.tale import Tale, environ


class Watching:
    """The command on a pseudo-terminal of 20 lines and 60 columns."""

    def __init__(self, tale: Tale, *arguments: str) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, 60, 0, 0))
        self.before = termios.tcgetattr(theirs)
        self.theirs = theirs
        command = [sys.executable, "-m", "cronflow.cli.main", "status", "--watch", *arguments]
        env = environ(tale, TERM="xterm")
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True, preexec_fn=_take_terminal
        )
        self.seen = b""

    def until(self, wanted: bytes | Callable[[bytes], bool], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not (wanted in self.seen if isinstance(wanted, bytes) else wanted(self.seen)):
            assert time.monotonic() < end, self.seen
            if select.select([self.ours], [], [], 0.2)[0]:
                self.seen += os.read(self.ours, 65536)

    def end(self) -> int:
        self.until(b"\x1b[?1049l")
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
        os.close(self.theirs)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.parametrize("key", [b"q", b"\x03"])
def test_it_draws_until_it_is_ended(shop: Tale, key: bytes) -> None:
    watching = Watching(shop)
    try:
        watching.until(b"FAILING")
        watching.until(lambda seen: seen.count(b"\x1b[H") >= 2)
        os.write(watching.ours, key)
        assert watching.end() == 0
        assert watching.seen.startswith(b"\x1b[?1049h"), "the alternate screen"
        assert termios.tcgetattr(watching.theirs) == watching.before, "the terminal is as it was"
        assert b"Traceback" not in watching.seen
    finally:
        watching.close()


def test_one_job_and_a_signal(shop: Tale) -> None:
    watching = Watching(shop, "backup-db")
    try:
        watching.until(b"LAST RUNS")
        watching.process.send_signal(signal.SIGINT)
        assert watching.end() == 0
    finally:
        watching.close()
