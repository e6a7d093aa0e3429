"""What a parent of commands calls: the fork, what its child calls from there to exec (made ready before), the peek at an end.

Names of calls are those of sections 2 and 3 of the manual.
"""
from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from cronflow.linux import checked

_python = ctypes.PyDLL(None, use_errno=True)
_python.syscall.argtypes = [ctypes.c_long, ctypes.c_char_p, ctypes.c_long]
_python.syscall.restype = ctypes.c_long
_SYS_CLONE3 = 435
_CLONE_INTO_CGROUP = 0x200000000


def fork(cgroup: int | None = None) -> int:
    """A child that may make plain system calls and must then exec; born in the cgroup of this descriptor: clone3(2).

    os.fork prepares the child for a long life as an interpreter, which copies half of its memory. Only for a process with one
    thread, since the interpreter's lock is held during the call. OSError: there is no child.
    """
    flags, place = (_CLONE_INTO_CGROUP, cgroup) if cgroup is not None else (0, 0)
    arguments = struct.pack("11Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, place)
    pid = int(_python.syscall(_SYS_CLONE3, arguments, len(arguments)))
    if pid < 0 and cgroup is None:
        return os.fork()  # where there is no clone3: before Linux 5.3, in some containers
    return checked(pid)


Call = tuple[Callable[..., int], tuple[Any, ...]]
"""A call of the C library for a child to make, already bound and with converted arguments: each page of memory that the child
writes to while it looks something up is copied for it."""

_open, _pwrite, _write = _python.open, _python.pwrite64, _python.write
_pwrite.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64]
_SIG_SETMASK = 2


def call(name: str, *arguments: Any) -> Call:
    """The call of this name with these arguments."""
    return getattr(_python, name), arguments


unblock_signals = call("sigprocmask", _SIG_SETMASK, ctypes.create_string_buffer(128), None)
errno_of_last_call = ctypes.get_errno


def write_pid(fd: int, offset: int) -> Call:
    """Write the caller's pid into a file."""
    def leave() -> int:
        said = b"%d " % os.getpid()
        return int(_pwrite(fd, said, len(said), offset))
    return leave, ()


def closefrom(lowest: int, spared: int) -> Call:
    """closefrom(3), but for one descriptor: exec would close them too, but may be long in coming."""
    end = os.sysconf("SC_OPEN_MAX")

    def close() -> int:
        os.closerange(lowest, spared)
        os.closerange(spared + 1, end)
        return 0
    return close, ()


def reset_oom_score() -> Call:
    """Put the score by which the kernel chooses whom to kill when memory runs out back to 0, where that is permitted."""
    def write() -> int:
        fd = _open(b"/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        _write(fd, b"0", 1)
        return 0
    return write, ()


def raise_open_files_limit(most: int) -> Call | None:
    """Raise this process's limit of open files (RLIMIT_NOFILE) to `most`, as far as it may. The call that restores the old limit
    in a child, since programs that use select(2) count on it; None where nothing was changed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return None
    return call("setrlimit64", int(resource.RLIMIT_NOFILE), (ctypes.c_uint64 * 2)(soft, hard))


def setgroups(groups: Sequence[int]) -> Call:
    return call("setgroups", ctypes.c_size_t(len(groups)), (ctypes.c_uint32 * len(groups))(*groups))


def execve(words: Sequence[str], env: Mapping[str, str]) -> Call:
    """execve(2) of the path `words[0]`. OSError for a variable whose name is empty or has a `=`."""
    if any(not name or "=" in name for name in env):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    argv = _strings(map(os.fsencode, words), len(words))
    return call("execve", argv[0], argv, _strings((os.fsencode(f"{name}={value}") for name, value in env.items()), len(env)))


def _strings(texts: Iterable[bytes], count: int) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (count + 1))(*texts, None)


def peek() -> tuple[int, int] | None:
    """A child that has ended and its raw wait status; the child stays a zombie, to be reaped later: waitid(2), WNOWAIT."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return None
    if found is None:
        return None
    if found.si_code == os.CLD_EXITED:
        return found.si_pid, found.si_status << 8
    return found.si_pid, found.si_status | (0x80 if found.si_code == os.CLD_DUMPED else 0)
