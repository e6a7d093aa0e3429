"""The few calls of Linux that the standard library does not offer."""
from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
from collections.abc import Iterable

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


def fork_into(cgroup: int) -> int:
    """os.fork, but the child is born in the cgroup of this descriptor: clone3(2). For a process with one thread only.

    The lock of the interpreter is kept over the call, and both sides do what os.fork does. OSError: there is no child.
    """
    arguments = struct.pack("11Q", _CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, cgroup)
    _python.PyOS_BeforeFork()
    pid = int(_python.syscall(_SYS_CLONE3, arguments, len(arguments)))
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0
    _python.PyOS_AfterFork_Parent()
    return _checked(pid)


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
