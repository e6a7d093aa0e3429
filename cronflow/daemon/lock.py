"""The one lock of cronflow: who holds that of a state folder may be its daemon, and write its database.

It is taken by `daemon`, by `run`, `retry` and `backfill` where they stand in for a daemon, and by `prune`. Two daemons on one
database would start everything twice, so the lock keeps three promises:

- The kernel gives it back when its holder dies, however it dies: it is a flock(2), and never a file whose being there means
  locked. (filelock would use such a file where a file system has no flock(2), unless it is told not to: there nobody is given
  the lock.)
- It holds although somebody removes the lock file, which is easily found in the way: what is locked is the file, which others
  can look at, and the state folder itself. Some file systems of the network lock no folders; there the file has to do.
- It names its holder without being taken: /proc/locks has the pid, which `cronflow doctor` reads there.

filelock does what is easily forgotten around the flock(2) of a file that others may remove at any time: it looks whether the
file that it has locked is still the one with that name, follows no symbolic link, and waits for a holder that is just ending.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from contextlib import ExitStack

from cronflow.errors import CronflowError
from cronflow.places import Places

LOOK_EVERY = 0.01
"""Seconds between two tries for a lock that another process holds."""
WITHOUT_LOCKS = (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)
"""What flock(2) says on a file system that has none."""


def prepare(places: Places) -> None:
    """Make the state folder and the runtime folder. One that cannot be made or written is a CronflowError (exit 5 where only
    another user may, else 1)."""
    for folder in (places.state, places.runtime):
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            hint = "name another one with `--state`"
            status = 5 if error.errno == errno.EACCES else 1
            raise CronflowError(f"cannot make the folder `{folder}`: {(error.strerror or '').lower()}", hint, status) from None
        if not os.access(folder, os.W_OK | os.X_OK):
            status = 1 if os.statvfs(folder).f_flag & os.ST_RDONLY else 5
            hint = "whose is it? name another one with `--state`" if status == 5 else "its disk is mounted read-only"
            raise CronflowError(f"cannot write into the folder `{folder}`", hint, status)


class Held(ExitStack):
    """The lock of a state folder, ours until `close` or the end of a `with`."""


def take_lock(places: Places, seconds: float = 0.0) -> Held | None:
    """The lock of the state folder, or None where another process holds it for all of `seconds`. A file that cannot be written,
    or not be locked, is a CronflowError."""
    from filelock import FileLock, Timeout

    prepare(places)
    lock = FileLock(str(places.lock), mode=0o600, poll_interval=LOOK_EVERY, fallback_to_soft=False)
    deadline = time.monotonic() + seconds
    while True:
        try:
            lock.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except Timeout:
            return None
        except OSError as error:
            told = f"cannot write `{places.lock}`: {(error.strerror or '').lower()}"
            if error.errno in WITHOUT_LOCKS:
                told = f"the file system of `{places.state}` has no locks (flock(2))"
            raise CronflowError(told, "name another folder with `--state`") from None
        folder = _locked_folder(places)
        if folder is not None:
            held = Held()
            held.callback(lock.release)
            held.callback(os.close, folder)
            return held
        lock.release()
        if time.monotonic() >= deadline:
            return None
        time.sleep(LOOK_EVERY)


def _locked_folder(places: Places) -> int | None:
    """A descriptor that holds the lock of the folder (flock(2)); None where another process does. Some file systems of the
    network lock no folders: there the file has to do."""
    folder = os.open(places.state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(folder)
        return None
    except OSError:
        pass
    return folder
