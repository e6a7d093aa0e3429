"""The few calls of Linux that the standard library does not offer."""
from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

PR_SET_CHILD_SUBREAPER = 36
FALLOC_FL_KEEP_SIZE = 1
FALLOC_FL_PUNCH_HOLE = 2
SFD_NONBLOCK = os.O_NONBLOCK
SFD_CLOEXEC = os.O_CLOEXEC
SIGINFO = 128
"""Bytes of one struct signalfd_siginfo; the first four are the number of the signal."""
IN_MODIFY = 0x2
IN_ONESHOT = 0x80000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
_libc.fallocate64.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
_libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]

_python = ctypes.PyDLL(None, use_errno=True)
_python.syscall.argtypes = [ctypes.c_long, ctypes.c_char_p, ctypes.c_long]
_python.syscall.restype = ctypes.c_long
_SYS_CLONE3 = 435
_CLONE_INTO_CGROUP = 0x200000000


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def become_subreaper() -> None:
    """From now on orphans among our descendants become our children: prctl(2), PR_SET_CHILD_SUBREAPER."""
    _checked(_libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def fork(cgroup: int | None = None) -> int:
    """A child that is only to exec, and may make plain system calls before; born in the cgroup of this descriptor: clone3(2).

    os.fork makes the child ready for a long life as an interpreter, and in doing so copies half of its memory. For a process
    with one thread only, whose lock of the interpreter is kept over the call. OSError: there is no child.
    """
    flags, place = (_CLONE_INTO_CGROUP, cgroup) if cgroup is not None else (0, 0)
    arguments = struct.pack("11Q", flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, place)
    pid = int(_python.syscall(_SYS_CLONE3, arguments, len(arguments)))
    if pid < 0 and cgroup is None:
        return os.fork()  # where clone3 is not to be had: before Linux 5.3, in some containers
    return _checked(pid)


Call = tuple[Callable[..., int], tuple[Any, ...]]
"""A call of the C library that a child is to make, bound and with its arguments: what the child has to look up or to convert for
itself is in pages of memory that are copied for it."""

_chdir, _dup2, _execve, _open, _pwrite, _setgid, _setgroups = (
    getattr(_python, name) for name in ("chdir", "dup2", "execve", "open", "pwrite64", "setgid", "setgroups")
)
_setpriority, _setrlimit, _setsid, _setuid, _sigprocmask, _umask, _write = (
    getattr(_python, name) for name in ("setpriority", "setrlimit64", "setsid", "setuid", "sigprocmask", "umask", "write")
)
_NO_SIGNALS = ctypes.create_string_buffer(128)
_SIG_SETMASK = 2
_pwrite.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int64]

own_session: Call = (_setsid, ())
let_signals_through: Call = (_sigprocmask, (_SIG_SETMASK, _NO_SIGNALS, None))


def leave_pid(fd: int, offset: int) -> Call:
    """Writes the pid of whoever makes the call into a file."""
    def leave() -> int:
        said = b"%d " % os.getpid()
        return int(_pwrite(fd, said, len(said), offset))
    return leave, ()


def stand_for(fd: int, number: int) -> Call:
    """dup2(2)."""
    return _dup2, (fd, number)


def close_all_but(fd: int) -> Call:
    """Closes what is open beside 0, 1, 2 and this descriptor: exec would do so too, but may be long in coming."""
    end = os.sysconf("SC_OPEN_MAX")

    def close() -> int:
        os.closerange(3, fd)
        os.closerange(fd + 1, end)
        return 0
    return close, ()


def protect_no_more() -> Call:
    """Back to 0 with what makes the kernel choose whom to kill when memory runs out; whether that can be done or not."""
    def write() -> int:
        fd = _open(b"/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        _write(fd, b"0", 1)
        return 0
    return write, ()


def open_more(most: int) -> Call | None:
    """Lets this process have up to so many open files, as far as it may; what gives a child the limit back that there was, which
    programs count on that use select(2). None where nothing was changed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):
        return None
    return _setrlimit, (int(resource.RLIMIT_NOFILE), (ctypes.c_uint64 * 2)(soft, hard))


def rank(nice: int) -> Call:
    """setpriority(2) of the process itself."""
    return _setpriority, (os.PRIO_PROCESS, 0, nice)


def join_groups(groups: Sequence[int]) -> Call:
    """setgroups(2)."""
    return _setgroups, (ctypes.c_size_t(len(groups)), (ctypes.c_uint32 * len(groups))(*groups))


def become_group(gid: int) -> Call:
    """setgid(2)."""
    return _setgid, (ctypes.c_uint32(gid),)


def become_user(uid: int) -> Call:
    """setuid(2)."""
    return _setuid, (ctypes.c_uint32(uid),)


def mask(umask: int) -> Call:
    """umask(2)."""
    return _umask, (umask,)


def go_to(folder: str) -> Call:
    """chdir(2)."""
    return _chdir, (os.fsencode(folder),)


def execute(words: Sequence[str], env: Mapping[str, str]) -> Call:
    """execve(2) of the path `words[0]`. OSError for a name of a variable that cannot be told from its value."""
    if any(not name or "=" in name for name in env):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    argv = _strings(map(os.fsencode, words), len(words))
    return _execve, (argv[0], argv, _strings((os.fsencode(f"{name}={value}") for name, value in env.items()), len(env)))


def last_error() -> int:
    """The errno of the call that has just failed."""
    return ctypes.get_errno()


def _strings(texts: Iterable[bytes], count: int) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (count + 1))(*texts, None)


def punch_hole(fd: int, start: int, length: int) -> None:
    """Gives the blocks of this range back; its bytes read as zeros: fallocate(2). OSError where it cannot be done."""
    _checked(_libc.fallocate64(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, start, length))


def signal_fd(numbers: Iterable[int]) -> int:
    """A descriptor, not blocking, from which these signals are read, which must be blocked: signalfd(2)."""
    mask = 0
    for number in numbers:
        mask |= 1 << (number - 1)
    word = ctypes.create_string_buffer(mask.to_bytes(8, sys.byteorder), 128)
    return _checked(_libc.signalfd(-1, word, SFD_NONBLOCK | SFD_CLOEXEC))


def inotify_open() -> int:
    """A file descriptor, not blocking, that becomes readable when a watched file changes: inotify(7)."""
    return _checked(_libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_once(fd: int, path: str) -> int:
    """Tells of the next write to `path`, and then no more; the number by which the event names it."""
    return _checked(_libc.inotify_add_watch(fd, os.fsencode(path), IN_MODIFY | IN_ONESHOT))


def inotify_stop(fd: int, number: int) -> None:
    """Ends a watch that has not told anything; one that has, has ended by itself."""
    _libc.inotify_rm_watch(fd, number)


def peek() -> tuple[int, int] | None:
    """A child that has ended, and its status as wait(2) would give it; the child stays to be reaped."""
    try:
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT | os.WNOHANG)
    except ChildProcessError:
        return None
    if found is None:
        return None
    if found.si_code == os.CLD_EXITED:
        return found.si_pid, found.si_status << 8
    return found.si_pid, found.si_status | (0x80 if found.si_code == os.CLD_DUMPED else 0)
