"""A screen that is redrawn every second on the terminal's alternate screen, until `q` or Ctrl-C."""

from __future__ import annotations

import os
import select
import shutil
import sys
import termios
import time
import tty
from collections.abc import Callable

from cronflow.cli.invocation import Invocation
from cronflow.cli.screens.style import visible
from cronflow.errors import CronflowError, Exit

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"
_PERIOD = 1.0


def watch(invocation: Invocation, draw: Callable[[float], str]) -> int:
    """Draw `draw(now)` each second. Exit status 0 however it ends; in no terminal a CronflowError with exit status 2."""
    if not (invocation.tty and sys.stdin.isatty()):
        raise CronflowError(
            "`--watch` draws on a terminal, and this is not one", "`watch cronflow status`, or leave out `--watch`", Exit.USAGE
        )
    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    invocation.out(_ENTER, end="")
    try:
        tty.setcbreak(fd)
        while True:
            _show(invocation, draw(time.time()))
            if _asked_to_end(fd):
                return 0
    except KeyboardInterrupt:
        return 0
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
        invocation.out(_LEAVE, end="")
        sys.stdout.flush()


def _show(invocation: Invocation, text: str) -> None:
    columns, rows = shutil.get_terminal_size()
    invocation.width = columns
    lines = text.splitlines()
    if len(lines) > rows - 1:
        lines = [*lines[: rows - 2], f"… {len(lines) - rows + 2} more lines"]
    drawn = "".join(f"{line if len(visible(line)) <= columns else visible(line)[:columns]}{_CLEAR_LINE}\n" for line in lines)
    invocation.out(f"{_HOME}{drawn}{_CLEAR_BELOW}", end="")
    sys.stdout.flush()


def _asked_to_end(fd: int) -> bool:
    """Wait a period for a key; True for `q`, Escape, or the end of input."""
    end = time.monotonic() + _PERIOD
    while (left := end - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            key = os.read(fd, 64)
            if key in (b"", b"q", b"Q", b"\x1b", b"\x04"):
                return True
    return False
