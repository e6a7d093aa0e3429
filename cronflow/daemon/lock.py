"""Who may be the daemon of a state folder: who holds its lock. The kernel gives it back when a process dies, however it dies.

The lock is on a file, which others can look at, and on the folder itself: a file is easily removed by who finds it in the way,
and two daemons on one database run everything twice.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from typing import TYPE_CHECKING

from cronflow.errors import CronflowError
from cronflow.places import Places

if TYPE_CHECKING:
    from filelock import FileLock


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


class Held:
    """The lock of a state folder, ours until `release` or the end of a `with`. (A FileLock counts: `with` on one that has been
    taken would only give back the second hold.)"""

    def __init__(self, lock: FileLock, folder: int) -> None:
        self._lock = lock
        self._folder = folder

    def release(self) -> None:
        os.close(self._folder)
        self._lock.release()

    def __enter__(self) -> Held:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def take_lock(places: Places, seconds: float = 0.0) -> Held | None:
    """The lock of the state folder, or None where another process holds it for all of `seconds`."""
    from filelock import FileLock, Timeout

    prepare(places)
    lock = FileLock(str(places.lock), timeout=0, mode=0o600, is_singleton=False)
    deadline = time.monotonic() + seconds
    while True:
        try:
            lock.acquire(timeout=0)
            folder = _locked_folder(places)
            if folder is not None:
                return Held(lock, folder)
            lock.release()
        except Timeout:
            pass
        except OSError as error:
            message = f"cannot write `{places.lock}`: {(error.strerror or '').lower()}"
            raise CronflowError(message, "name another folder with `--state`") from None
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.01)


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
