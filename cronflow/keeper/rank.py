"""Who decides and who holds goes before what is held: a command that takes every processor must not keep its end waiting."""
from __future__ import annotations

import os
from contextlib import suppress

HIGHEST = -20
"""The nice value of setpriority(2) that goes before all others but those in real time."""


def rise() -> None:
    """Ranks this process before all that it starts, if it may and nobody has ranked it yet. What it starts has the rank that
    there was, and so has a thread that it begins from now on: SCHED_RESET_ON_FORK of sched(7).

    A nice value counts only among the processes of a session where the kernel groups these (sched(7), autogroup), so that the
    session is ranked as well, by the process that leads it; what is started in this same session has that, and no more. Real time
    would do more than is wanted: it keeps systemd from dividing processors among units, cgroups(7).
    """
    with suppress(OSError):  # one call that is not permitted, or that a C library has not (musl), and nothing is ranked
        if os.getpriority(os.PRIO_PROCESS, 0) != 0 or os.sched_getscheduler(0) != os.SCHED_OTHER:
            return
        os.setpriority(os.PRIO_PROCESS, 0, HIGHEST)
        try:
            os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        except OSError:
            os.setpriority(os.PRIO_PROCESS, 0, 0)
            return
        if os.getsid(0) == os.getpid():
            with open("/proc/self/autogroup", "wb", buffering=0) as file:
                file.write(b"%d" % HIGHEST)
