"""A terminal of a hundred columns: runs a command line in it, and tells what a person sees there when it has ended."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Mapping
from fcntl import ioctl
from pathlib import Path

COLUMNS, ROWS = 100, 50
_CONTROL = re.compile(r"\x1b\[(\?[0-9]+|[0-9;]*)([A-Za-z])|\r\n|\r|\n|[^\x1b\r\n]+")


def seen(command: str, folder: Path, env: Mapping[str, str], seconds: float = 60.0) -> str:
    """The screen after a command line of sh: lines without blanks at their ends. TimeoutError if it does not end in time."""
    pid, fd = pty.fork()
    if pid == 0:
        try:
            os.chdir(folder)
            os.execve("/bin/sh", ["sh", "-c", command], dict(env))
        finally:
            os._exit(127)
    ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    try:
        data = _read(fd, time.monotonic() + seconds)
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise
    finally:
        os.close(fd)
        os.waitpid(pid, 0)
    return screen(data.decode())


def _read(fd: int, deadline: float) -> bytes:
    data = b""
    while True:
        if not select.select([fd], [], [], max(deadline - time.monotonic(), 0.0))[0]:
            raise TimeoutError(f"still running: {data.decode(errors='replace')}")
        try:
            piece = os.read(fd, 65536)
        except OSError:  # EIO: the last process that had the terminal open is gone (pty(7))
            return data
        if not piece:
            return data
        data += piece


def screen(text: str) -> str:
    """What is left of a text with the control sequences that progress is drawn with: up, erase, and no others."""
    rows, row, column = [""], 0, 0
    for match in _CONTROL.finditer(text):
        piece = match[0]
        if piece == "\r":
            column = 0
        elif piece in ("\n", "\r\n"):
            row, column = row + 1, 0
            rows += [""] * (row + 1 - len(rows))
        elif match[2] is None:
            rows[row] = rows[row][:column].ljust(column) + piece + rows[row][column + len(piece) :]
            column += len(piece)
        elif match[2] == "F":
            row, column = max(row - int(match[1] or 1), 0), 0
        elif match[2] == "K":
            rows[row] = rows[row][:column]
        elif match[2] == "J":
            rows[row] = rows[row][:column]
            del rows[row + 1 :]
        elif match[2] not in "mhl":
            raise ValueError(f"a control sequence that this terminal does not know: {piece!r}")
    return "\n".join(line.rstrip() for line in rows).strip("\n")
