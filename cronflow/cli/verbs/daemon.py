"""`cronflow daemon`."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.core.words import count, duration
from cronflow.errors import CronflowError, Exit

if TYPE_CHECKING:
    from cronflow.daemon.lock import Held

LOCK_WITHIN = 10.0
"""Seconds that a run in the foreground has to hand over."""


def daemon(invocation: Invocation) -> int:
    """Run the daemon, in the foreground: the form that systemd and containers want.

    It starts jobs when they are due, and takes over from a `cronflow run` that is going on. SIGTERM stops it, running
    commands go on and the next daemon knows how they ended; SIGHUP reads the job file again.
    """
    from cronflow.daemon.daemon import Daemon
    from cronflow.daemon.jobs.source import JobSource
    from cronflow.daemon.unit import warning

    source = JobSource.open(str(invocation.places.file))
    with _lock(invocation):
        log = _logger()
        killer = warning(user=os.geteuid() != 0)
        if killer is not None:
            log(f"warning: {killer}")
        life = Daemon(invocation.places, source, log=log)
        try:
            life.signals.catch(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
            life.begin()
            jobs = source.reading.jobs.jobs
            known = f"{count(len(jobs), 'job')} in {count(len(source.plan.flows), 'flow')}"
            log(f"cronflow is up: {known} from {invocation.places.file}")
            life.run()
            log(f"cronflow is {life.life.leaving}; {_going_on(life.state.running)}")
        finally:
            life.close()
    return 0


def _going_on(running: int) -> str:
    return f"{count(running, 'command')} {'goes' if running == 1 else 'go'} on" if running else "no command is running"


def _lock(invocation: Invocation) -> Held:
    """The lock of the state folder. A `run` in the foreground that holds it is asked to hand over, and so is the next one that
    is quicker than we are."""
    from cronflow.daemon.lock import take_lock

    deadline = time.monotonic() + LOCK_WITHIN
    while True:
        lock = take_lock(invocation.places)
        if lock is not None:
            return lock
        other = client.ping(invocation.places, 5.0)
        if other is not None and not other.get("foreground"):
            break
        if other is not None:
            _ask_to_hand_over(invocation)
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    about = f" (pid {other['pid']}, up {duration(invocation.now - other['since'])})" if other else ""
    raise CronflowError(
        f"another daemon{about} already owns `{invocation.places.state}`", "`cronflow reload` makes it read the job file again"
    )


def _ask_to_hand_over(invocation: Invocation) -> None:
    try:
        with client.connect(invocation.places) as holder:
            holder.ask("handover", file=str(invocation.places.file))
    except CronflowError as error:
        if error.exit_status != Exit.NOT_RUNNING:  # it may have ended just now
            raise


def _logger() -> Callable[[str], None]:
    """Writes lines to standard error; with the time, unless a journal adds it."""
    timed = "JOURNAL_STREAM" not in os.environ

    def log(line: str) -> None:
        stamp = datetime.now().isoformat(" ", "milliseconds") + " " if timed else ""
        with contextlib.suppress(OSError):  # nobody may listen any more, or its disk is full: that is no reason to end
            os.write(sys.stderr.fileno(), f"{stamp}{line}\n".encode(errors="backslashreplace"))  # leaves nothing in a buffer

    return log
