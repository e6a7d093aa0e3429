"""The lock of a state folder: one holder, given back by the kernel, and never a file that only says so."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cronflow.daemon.lock import take_lock
from cronflow.doctor.machine import daemon_pid
from cronflow.places import Places

HOLD = """
import sys, time
from pathlib import Path
from cronflow.daemon.lock import take_lock
from cronflow.places import Places
folder = Path(sys.argv[1])
lock = take_lock(Places(folder / "jobs.toml", folder, folder), float(sys.argv[2]))
print("none" if lock is None else "held", flush=True)
time.sleep(float(sys.argv[3]))
"""
NO_FLOCK = """
#include <errno.h>
int flock(int fd, int operation) { (void)fd; (void)operation; errno = ENOSYS; return -1; }
"""


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "jobs.toml", tmp_path, tmp_path)


@contextmanager
def other(places: Places, wait: float = 0.0, hold: float = 60.0, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that asks for the lock, and what it was given."""
    words = [sys.executable, "-c", HOLD, str(places.state), str(wait), str(hold)]
    process = subprocess.Popen(words, env={**os.environ, **environ}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_one_has_it_and_the_other_does_not(places: Places) -> None:
    lock = take_lock(places)
    assert lock is not None
    with lock:
        assert daemon_pid(places) == os.getpid()
        assert places.lock.stat().st_mode & 0o777 == 0o600
        with other(places) as (_, told):
            assert told == "none"
    with other(places) as (process, told):
        assert told == "held"
        assert daemon_pid(places) == process.pid
        assert take_lock(places) is None


def test_it_is_given_back_by_a_process_that_is_killed(places: Places) -> None:
    with other(places) as (process, told):
        assert told == "held"
        process.send_signal(signal.SIGKILL)
        process.wait()
        lock = take_lock(places)
        assert lock is not None
        lock.release()


def test_it_holds_without_its_file(places: Places) -> None:
    with other(places) as (process, _):
        places.lock.unlink()
        assert take_lock(places) is None
        assert take_lock(places, 0.05) is None
        assert daemon_pid(places) == process.pid


def test_one_waits_for_a_holder_that_ends(places: Places) -> None:
    with other(places, hold=0.5) as (process, told):
        assert told == "held"
        began = time.monotonic()
        lock = take_lock(places, 60.0)
        assert lock is not None
        lock.release()
        assert process.wait() == 0
        assert time.monotonic() - began < 30


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler, for a file system without flock(2)")
def test_on_a_file_system_without_flock_nobody_has_it(places: Places, tmp_path_factory: pytest.TempPathFactory) -> None:
    library = tmp_path_factory.mktemp("library") / "noflock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], input=NO_FLOCK, text=True, check=True)
    with other(places, LD_PRELOAD=str(library)) as (process, told):
        assert told == ""
        _, said = process.communicate(timeout=60)
    assert f"the file system of `{places.state}` has no locks (flock(2))" in said
    lock = take_lock(places)
    assert lock is not None, "and nothing is left that looks like a holder"
    lock.release()
