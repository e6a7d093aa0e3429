"""Asking a command for a value: what a secret's own command prints, for whoever has to mask it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

VALUE_LIMIT = 65536
"""Bytes of the value of a secret, wherever it comes from."""
COMMAND_SECONDS = 10.0
"""Seconds that the command of a secret has where its value is only to be masked."""
LOOK_EVERY = 0.01


def ask_command(order: Mapping[str, Any]) -> str | None:
    """The value that the command of a secret prints, or None. It goes through memory: a child that keeps a pipe open would be
    waited for."""
    import subprocess

    if not order["argv"]:
        return None
    with open(os.memfd_create("secret", os.MFD_CLOEXEC), "w+b", buffering=0) as file:
        try:
            process = subprocess.Popen(
                order["argv"],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.DEVNULL,
                env=order["env"],
                cwd=order["cwd"],
                start_new_session=True,
                **order["rights"],
            )
        except (OSError, ValueError):
            return None
        end = time.monotonic() + COMMAND_SECONDS
        while process.poll() is None:
            time.sleep(LOOK_EVERY)
            if time.monotonic() > end or os.fstat(file.fileno()).st_size > VALUE_LIMIT:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return None
        file.seek(0)
        value = file.read(VALUE_LIMIT + 1)
    return value.decode(errors="replace").rstrip("\n") if process.returncode == 0 and len(value) <= VALUE_LIMIT else None
