"""What systemd would do to running jobs when it stops the daemon: asked at start, so that it can be said in time."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress


def own_unit() -> str | None:
    """The service that this process is the main process of, from its control group (cgroups(7)); None outside of systemd."""
    if "INVOCATION_ID" not in os.environ and "NOTIFY_SOCKET" not in os.environ:
        return None
    with suppress(OSError), open("/proc/self/cgroup", encoding="utf-8") as file:
        names = [line.rpartition("/")[2] for line in file.read().splitlines()]
        return next((name for name in names if name.endswith(".service")), None)
    return None


def warning(user: bool) -> str | None:
    """A sentence about the unit if stopping it would kill the jobs that are running, otherwise None."""
    unit, systemctl = own_unit(), shutil.which("systemctl")
    if unit is None or systemctl is None:
        return None
    words = [systemctl, *(["--user"] if user else []), "show", "--property=KillMode", "--value", unit]
    try:
        mode = subprocess.run(words, capture_output=True, text=True, timeout=5, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return None
    if mode in ("", "process", "none"):
        return None
    return (
        f"the unit `{unit}` has `KillMode={mode}`: a restart or stop of it will kill every job that is running; "
        "write `KillMode=process`, or `cronflow service install --force`"
    )
