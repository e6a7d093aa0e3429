"""The daemon as `cronflow daemon` runs it, but its two words are the seconds after which an edit is read again, and after which
it is told that the file is still broken."""

from __future__ import annotations

import signal
import sys

from cronflow.daemon.daemon import Daemon
from cronflow.daemon.jobs.source import JobSource
from cronflow.daemon.lock import take_lock
from cronflow.places import find_places


def main(quiet: float, broken_for: float) -> None:
    places = find_places()
    source = JobSource.open(str(places.file), quiet, broken_for)
    lock = take_lock(places)
    assert lock is not None
    with lock:
        life = Daemon(places, source, log=lambda line: print(line, file=sys.stderr, flush=True))
        try:
            life.signals.catch(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
            life.begin()
            life.run()
        finally:
            life.close()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]))
