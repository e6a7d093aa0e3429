"""A keeper from its first breath: the start, the two processes, and what the guard does when the holder is gone."""
from __future__ import annotations

import fcntl
import gc
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from cronflow import wire
from cronflow.linux import become_subreaper, boot_id, raise_priority

from . import protocol, spawn, tree
from .attempt import HeldAttempt, State
from .cgroup import Cgroups
from .holder import Keeper
from .journal import Journal
from .peers import BACKLOG, Peers

OOM_SCORE = b"-900"
HEIR_GRACE = 1.0
"""Seconds in which an heir with nothing to hold still answers."""
MARK_PATIENCE = 0.002
MARK_LIMIT = 5.0
"""Seconds an heir waits for a child to write its mark, which is the first thing that it does."""


class KeeperFiles:
    """What both processes have open: the journal twice, once for its lock, and the listening socket."""

    __slots__ = ("generation", "journal", "listener", "lock", "name", "sockets")

    def __init__(self, folder: str, sockets: str, generation: int) -> None:
        self.generation = generation
        path = os.path.join(folder, f"{generation}.journal")
        self.lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _lock(self.lock)
        if os.fstat(self.lock).st_size:
            raise FileExistsError(f"`{path}` belongs to a keeper that has ended")
        self.journal = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.sockets = os.open(sockets, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self.name = f"{generation}.sock"
        self.listener = wire.listen(self.sockets, self.name, BACKLOG)

    def remove_socket(self) -> None:
        """Take the name away, if that can be done; who has connected stays."""
        with suppress(OSError):
            os.unlink(self.name, dir_fd=self.sockets)


def _lock(fd: int) -> None:
    """A reader that only asks who lives holds the lock for an instant; another keeper for good."""
    for _ in range(50):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.01)
    raise FileExistsError("a keeper of this generation is alive")


def main(arguments: list[str]) -> NoReturn:
    """`folder sockets generation cgroups`: become a keeper in the background; returns to the caller once it can be reached.

    What went wrong is one line on standard error and exit status 1.
    """
    folder, sockets, generation, wanted = arguments
    umask = os.umask(0o077)
    cgroups = None
    try:
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.chdir("/")
        reset_signals()
        protected = set_oom_score()
        files = KeeperFiles(folder, sockets, int(generation))
        cgroups = Cgroups.create(files.generation) if wanted == "cgroups" else None
        journal = Journal.create(files.journal, header(files.generation, cgroups))
    except OSError as error:
        if cgroups is not None:
            cgroups.close()
        print(f"{error.strerror or error}: {error.filename}" if error.filename else str(error), file=sys.stderr)
        sys.stderr.flush()
        os._exit(1)
    if os.fork():
        os._exit(0)
    os.setsid()
    redirect(os.path.join(folder, "keeper.log"))
    guard(files, journal, spawn.Inherited(umask, protected), cgroups)


def header(generation: int, cgroups: Cgroups | None) -> dict[str, object]:
    """Page 0 of the journal: who keeps, and in which boot."""
    place = cgroups and cgroups.place
    return {"version": protocol.VERSION, "generation": generation, "boot": boot_id(), "at": time.time(), "cgroups": place}


def reset_signals() -> None:
    """Undo what the caller may have left: ignored and blocked signals. Its variables have stayed behind with it."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def set_oom_score() -> bool:
    """Ask the kernel to spare us when memory runs out; whether we now stand below 0, so that commands must be put back."""
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            try:
                file.write(OOM_SCORE)
            except OSError:
                file.seek(0)
            file.seek(0)
            return int(file.read(16)) < 0
    except (OSError, ValueError):
        return False


def redirect(log: str) -> None:
    """Nothing in, nothing out, a traceback into a small file."""
    null = os.open("/dev/null", os.O_RDWR)
    try:
        errors = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    except OSError:
        errors = null
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(errors, 2)
    os.closerange(min(null, errors), max(null, errors) + 1)


def guard(files: KeeperFiles, journal: Journal, inherited: spawn.Inherited, cgroups: Cgroups | None) -> NoReturn:
    """Start the holder and wait for it; if it does not end in peace, take its place."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _deaf)
    become_subreaper()
    raise_priority()
    gc.collect()
    gc.freeze()
    reader, writer = os.pipe2(os.O_CLOEXEC)
    holder = os.fork()
    if holder == 0:
        os.close(writer)
        _live(lambda: hold(files, Keeper("holder", files.generation, journal, inherited, cgroups), reader))
    os.close(reader)
    status = os.waitid(os.P_PID, holder, os.WEXITED)
    if status is not None and status.si_code == os.CLD_EXITED and status.si_status == 0:
        os._exit(0)
    _live(lambda: inherit(files, Keeper("guard", files.generation, Journal(files.journal), inherited, cgroups)))


def _deaf(_number: int, _frame: object) -> None:
    """The guard ends when the holder has, and for no other reason."""


def _live(life: Callable[[], None]) -> NoReturn:
    status = 1
    try:
        life()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def hold(files: KeeperFiles, keeper: Keeper, guard_end: int) -> None:
    """The life of the holder."""
    become_subreaper()
    raise_priority()
    keeper.watch_guard(guard_end)
    keeper.run(Peers(files.listener, keeper.epoll, keeper.answer))
    files.remove_socket()


def inherit(files: KeeperFiles, keeper: Keeper) -> None:
    """The life of the guard after the holder's death: what ran, has ended or was never told is held to its end."""
    journal = keeper.journal
    keeper.draining = "holder"
    keeper.wait_for_client(HEIR_GRACE)
    unknown = await_marks(journal)
    for page, record, mark in journal.take_over():
        attempt = HeldAttempt.of_record(record, page, mark)
        if attempt.pid is not None or attempt.final:
            adopt(keeper, attempt)
        elif page in unknown:
            keeper.mark_lost(attempt)
        else:
            journal.free(page)
    keeper.run(Peers(files.listener, keeper.epoll, keeper.answer))
    files.remove_socket()


def await_marks(journal: Journal) -> set[int]:
    """Wait while a child of the dead holder may still have to write its mark; the pages that stay unknown."""
    until = time.monotonic() + MARK_LIMIT
    while True:
        silent: set[int] = set()
        known: set[int] = set()
        for page, record, mark in journal.take_over():
            if mark is not None:
                known.add(mark.pid)
            elif record.get("pid") is not None:
                known.add(record["pid"])
            elif record["state"] == State.CLAIMED:
                silent.add(page)
        if not silent or not unmarked_children(known):
            return set()
        if time.monotonic() > until:
            return silent
        time.sleep(MARK_PATIENCE)


def unmarked_children(known: set[int]) -> list[int]:
    """Children that still are where the fork has put them: in the keeper's own session, with a pid in no page."""
    own, session = os.getpid(), os.getsid(0)
    return [
        process.pid for process in tree.table().values()
        if process.parent == own and process.session == session and process.state not in "ZX" and process.pid not in known
    ]


def adopt(keeper: Keeper, attempt: HeldAttempt) -> None:
    """Take an attempt as the journal shows it: a child, living or dead, that has fallen to us; or one long reaped."""
    if attempt.pid is not None and is_child(attempt.pid):
        keeper.resume(attempt)
    elif attempt.state is State.ENDING:
        keeper.resume_ending(attempt)
    elif attempt.final:
        keeper.ended[attempt.id] = attempt
    else:
        keeper.mark_lost(attempt)


def is_child(pid: int) -> bool:
    """Whether it is ours to wait for, alive or ended."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return False
    return True
