"""Start a command without ever waiting for it.

The keeper forks and goes on at once. The child does by itself all that can block on a bad disk or network mount:
changing the folder, exec. vfork and posix_spawn would stop the keeper, and so every job, until the exec has happened.
No pipe tells of a failure: the child writes it into its mark in the journal, where it stays known even if the keeper
dies before it could have read a pipe.

A fork of an interpreter costs what is written to afterwards, page by page, on both sides. So the child is only a list
of system calls, put together before the fork.
"""
from __future__ import annotations

import ctypes
import errno
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

from cronflow.linux import signalfd, start_ticks

from . import syscalls
from .journal import FAILURE
from .protocol import Message
from .syscalls import call

HELD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that a holder has blocked and reads from a descriptor: their disposition is the default one, so that a
child only has to let them through, and none that comes before exec is lost."""
FILES = 65536
"""Open files that a keeper may have: its cgroup costs two for each command that runs."""


def signals() -> int:
    """A descriptor from which the signals of a keeper are read. Those that Python ignores get a handler: it ends at exec."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, _nothing)
    for number in HELD:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    return signalfd(HELD)


def _nothing(_number: int, _frame: object) -> None:
    """The call that met the pipe or the limit says so by its errno."""


class Inherited:
    """What every command inherits from its keeper, whatever its request says."""

    __slots__ = ("files", "null", "protected", "umask")

    def __init__(self, umask: int, protected: bool) -> None:
        self.umask = umask
        self.protected = protected
        self.null = os.open("/dev/null", os.O_RDONLY)
        self.files = syscalls.raise_open_files_limit(FILES)


class StartError(OSError):
    """There is no child; `stage` says how far it came."""

    def __init__(self, stage: str, number: int) -> None:
        super().__init__(number, os.strerror(number))
        self.stage = stage


class PreparedChild:
    """A start made ready: what has been opened and put together for it. Several are forked right after each other, so that the
    memory of the keeper is copied once for all of them.

    `fd` is the journal, `mark` the offset where the child leaves its pid, and its reason if it fails; `cgroup` a
    descriptor of the cgroup it is to be born in. Nothing but 0, 1 and 2 of what a keeper has open stays open in it.
    StartError: it cannot be made ready.
    """

    __slots__ = ("_calls", "_failure", "_opened", "cgroup")

    def __init__(self, request: Message, inherited: Inherited, fd: int, mark: int, cgroup: int | None) -> None:
        self.cgroup = cgroup
        self._failure = fd, mark + FAILURE
        self._opened: list[int] = []
        stage = "log"
        try:
            self._opened.append(_open_log(request["log"]))
            stage = "stdin"
            if request.get("stdin") is not None:
                self._opened.append(_open_text(request["stdin"]))
            stage = "exec"
            stdin = self._opened[1] if len(self._opened) > 1 else inherited.null
            first = [("fork", syscalls.write_pid(fd, mark)), *_streams(self._opened[0], stdin, fd)]
            self._calls = [*first, *_calls(request, inherited)]
        except OSError as error:
            self.close()
            raise StartError(stage, error.errno or errno.EINVAL) from error

    def fork(self) -> int | OSError:
        """Fork the child that becomes the command; its pid, at once, or why there is none."""
        try:
            pid = syscalls.fork(self.cgroup)
        except OSError as error:
            return error
        if pid == 0:
            _child(self._calls, *self._failure)
        return pid

    def close(self) -> None:
        """What was opened for the child is closed here."""
        for one in self._opened:
            os.close(one)
        self._opened.clear()


def _streams(log: int, stdin: int, journal: int) -> list[tuple[str, syscalls.Call]]:
    """0, 1 and 2, and then nothing else but the journal: above all not its lock, which says that a child has yet to leave its
    name. What comes after these may hang."""
    return [
        ("log", call("dup2", log, 1)),
        ("log", call("dup2", log, 2)),
        ("stdin", call("dup2", stdin, 0)),
        ("fork", syscalls.closefrom(3, journal)),
    ]


_OPTIONAL: tuple[tuple[str, str, Callable[[Any], syscalls.Call]], ...] = (
    ("nice", "nice", lambda nice: call("setpriority", os.PRIO_PROCESS, 0, nice)),
    ("groups", "user", syscalls.setgroups),
    ("gid", "user", lambda gid: call("setgid", ctypes.c_uint32(gid))),
    ("uid", "user", lambda uid: call("setuid", ctypes.c_uint32(uid))),
)
"""Keys of a request that may be missing, the stage and the call of each, in the order in which they are permitted."""


def _calls(request: Message, inherited: Inherited) -> list[tuple[str, syscalls.Call]]:
    """What the child has to do besides, in order, each with the stage that a failure of it is called by."""
    calls = [("fork", call("setsid")), ("fork", syscalls.unblock_signals)]
    if inherited.files is not None:
        calls.append(("fork", inherited.files))
    if inherited.protected:
        calls.append(("nice", syscalls.reset_oom_score()))
    for key, stage, make in _OPTIONAL:
        if request.get(key) is not None:
            calls.append((stage, make(request[key])))
    umask = request.get("umask")
    calls.append(("cwd", call("umask", inherited.umask if umask is None else umask)))
    calls.append(("cwd", call("chdir", os.fsencode(request.get("cwd") or "/"))))
    argv, env = request["argv"], request["env"]
    calls.append(("exec", syscalls.execve(argv, env) if "/" in argv[0] else (os.execvpe, (argv[0], argv, env))))
    return calls


def _child(calls: list[tuple[str, syscalls.Call]], fd: int, failure: int) -> NoReturn:
    stage, number = "fork", errno.EINVAL
    try:
        for stage, (function, arguments) in calls:  # noqa: B007 (named when it has failed)
            if function(*arguments) < 0:
                number = syscalls.errno_of_last_call()
                break
    except OSError as error:
        number = error.errno or errno.EINVAL
    except BaseException:
        number = errno.EINVAL
    try:
        os.pwrite(fd, b"%s %d %.3f\n" % (stage.encode(), number, time.time()), failure)
    finally:
        os._exit(127 if number == errno.ENOENT else 126)


def write_ticks(pid: int, fd: int, mark: int) -> None:
    """Write into the mark of a child when it began: together with the pid, that names it for as long as the boot lasts."""
    with suppress(OSError):
        os.pwrite(fd, b"%d %d\n" % (pid, start_ticks(pid)), mark)


def _open_log(path: str) -> int:
    """Open a log for appending. Nothing is waited for, not even if somebody has put a pipe in its place."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY | os.O_NONBLOCK, 0o600)
    os.set_blocking(fd, True)
    return fd


def _open_text(text: str) -> int:
    """A file in memory, at its beginning."""
    fd = os.memfd_create("stdin")
    data = memoryview(text.encode("utf-8", "surrogateescape"))
    while data:
        data = data[os.write(fd, data):]
    os.lseek(fd, 0, os.SEEK_SET)
    return fd
