"""Starts a command without ever waiting for it.

The keeper forks and goes on at once. The child does by itself all that can block on a bad disk or network mount:
opening the log, changing the folder, exec. vfork and posix_spawn would stop the keeper, and so every job, until the
exec has happened. No pipe tells of a failure: the child writes it into its mark in the journal, where it stays known
even if the keeper dies before it could have read a pipe.
"""
from __future__ import annotations

import errno
import os
import signal
import time
from contextlib import suppress
from typing import NoReturn

from . import syscalls
from .journal import FAILURE
from .protocol import Message

HELD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that a holder has blocked and reads from a descriptor: their disposition is the default one, so that a
child only has to let them through, and none that comes before exec is lost."""
_FD_END = os.sysconf("SC_OPEN_MAX")


def signals() -> int:
    """A descriptor from which the signals of a keeper are read. Those that Python ignores get a handler: it ends at exec."""
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, _nothing)
    for number in HELD:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
    return syscalls.signal_fd(HELD)


def _nothing(_number: int, _frame: object) -> None:
    """The call that met the pipe or the limit says so by its errno."""


class Surroundings:
    """What every command gets from its keeper and not from its request."""

    __slots__ = ("protected", "umask")

    def __init__(self, umask: int, protected: bool) -> None:
        self.umask = umask
        self.protected = protected


def start(request: Message, around: Surroundings, fd: int, mark: int, cgroup: int | None = None) -> int:
    """Forks the child that becomes the command; its pid, at once. OSError: there is no child.

    `fd` is the journal, `mark` the offset where the child leaves its pid, and its reason if it fails; `cgroup` a
    descriptor of the cgroup it is to be born in.
    """
    pid = os.fork() if cgroup is None else syscalls.fork_into(cgroup)
    if pid == 0:
        _child(request, around, fd, mark)
    ticks = ticks_of(pid)
    with suppress(OSError):
        os.pwrite(fd, b"%d %d\n" % (pid, ticks), mark)
    return pid


def _child(request: Message, around: Surroundings, fd: int, mark: int) -> NoReturn:
    stage, number = "fork", 0
    try:
        os.pwrite(fd, b"%d " % os.getpid(), mark)
        os.closerange(3, fd)
        os.closerange(fd + 1, _FD_END)
        os.setsid()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        stage = "log"
        _open_log(request["log"])
        stage = "stdin"
        _open_stdin(request.get("stdin"))
        stage = "nice"
        _rank(request.get("nice"), around.protected)
        stage = "user"
        _become(request)
        stage = "cwd"
        umask = request.get("umask")
        os.umask(around.umask if umask is None else umask)
        os.chdir(request.get("cwd") or "/")
        stage = "exec"
        argv: list[str] = request["argv"]
        if "/" in argv[0]:
            os.execve(argv[0], argv, request["env"])
        os.execvpe(argv[0], argv, request["env"])
    except OSError as error:
        number = error.errno or 0
    except BaseException:
        number = errno.EINVAL
    try:
        os.pwrite(fd, b"%s %d %.3f\n" % (stage.encode(), number, time.time()), mark + FAILURE)
    finally:
        os._exit(127 if number == errno.ENOENT else 126)


def ticks_of(pid: int) -> int:
    """When a child of ours began, in ticks since boot, which with the pid names it as long as the boot lasts; or 0."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            stat = file.read(1024)
        return int(stat[stat.rindex(b")") + 2:].split(None, 20)[19])
    except (OSError, ValueError):
        return 0


def _open_log(path: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOCTTY, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    if fd > 2:
        os.close(fd)


def _open_stdin(text: str | None) -> None:
    if text is None:
        fd = os.open("/dev/null", os.O_RDONLY)
    else:
        fd = os.memfd_create("stdin")
        data = memoryview(text.encode("utf-8", "surrogateescape"))
        while data:
            data = data[os.write(fd, data):]
        os.lseek(fd, 0, os.SEEK_SET)
    os.dup2(fd, 0)
    if fd > 2:
        os.close(fd)


def _rank(nice: int | None, protected: bool) -> None:
    if protected:
        with suppress(OSError), open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(b"0")
    if nice is not None:
        os.setpriority(os.PRIO_PROCESS, 0, nice)


def _become(request: Message) -> None:
    if request.get("groups") is not None:
        os.setgroups(request["groups"])
    if request.get("gid") is not None:
        os.setgid(request["gid"])
    if request.get("uid") is not None:
        os.setuid(request["uid"])
