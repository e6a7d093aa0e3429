"""Calls of Linux that the standard library lacks, and what /proc says of a process. Imports nothing but the standard library:
the keeper runs on it too."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

_PR_SET_CHILD_SUBREAPER = 36
_PUNCH_HOLE_KEEP_SIZE = 1 | 2
SIGNALFD_SIGINFO = 128
"""Bytes of one struct signalfd_siginfo; the first four are the number of the signal."""
_INOTIFY_EVENT = struct.Struct("iIII")
IN_MODIFY = 0x2
IN_ONESHOT = 0x80000000
_PIDFD_GET_INFO = 0xC040FF0B
_PIDFD_INFO_EXIT = 1 << 3
_PIDFD_INFO_SIZE = 64
_PIDFD_INFO_EXIT_CODE = 60
HIGHEST_PRIORITY = -20
"""The nice value of setpriority(2) that goes before all others but those in real time."""
OWN_VARIABLES = ("CRONFLOW_", "WATCHDOG_", "LISTEN_", "NOTIFY_SOCKET")
"""Beginnings of variables that are meant for one process and not for those that it starts: ours, and systemd's (sd_notify(3))."""

libc = ctypes.CDLL(None, use_errno=True)
libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
libc.fallocate64.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]


def checked(result: int) -> int:
    """The result of a call by ctypes; OSError if it is below 0."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


# ---- calls ------------------------------------------------------------------------------------------------------------------


def become_subreaper() -> None:
    """From now on orphans among our descendants become our children: prctl(2), PR_SET_CHILD_SUBREAPER."""
    checked(libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))


def punch_hole(fd: int, start: int, length: int) -> None:
    """Give the blocks of a range back; its bytes read as zeros: fallocate(2). OSError where that cannot be done."""
    checked(libc.fallocate64(fd, _PUNCH_HOLE_KEEP_SIZE, start, length))


def signalfd(numbers: Iterable[int]) -> int:
    """A non-blocking descriptor from which these signals, which must be blocked, are read: signalfd(2)."""
    mask = 0
    for number in numbers:
        mask |= 1 << (number - 1)
    word = ctypes.create_string_buffer(mask.to_bytes(8, sys.byteorder), 128)
    return checked(libc.signalfd(-1, word, os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_init() -> int:
    """A non-blocking descriptor that becomes readable when something that is watched changes: inotify(7)."""
    return checked(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    """Watch a path; the number by which events name it."""
    return checked(libc.inotify_add_watch(fd, os.fsencode(path), mask))


def inotify_rm_watch(fd: int, number: int) -> None:
    """End a watch. One that ended by itself is no error."""
    libc.inotify_rm_watch(fd, number)


def inotify_read(fd: int) -> Iterator[tuple[int, str]]:
    """The number of the watch and the name in each event that one read(2) gives. BlockingIOError where there is none."""
    data, at = os.read(fd, 65536), 0
    while at < len(data):
        number, _, _, length = _INOTIFY_EVENT.unpack_from(data, at)
        at += _INOTIFY_EVENT.size
        yield number, os.fsdecode(data[at : at + length].rstrip(b"\0"))
        at += length


def raise_priority() -> None:
    """Put this process before all that it starts, if it may and nobody has set its priority yet: a command that takes every
    processor must not delay the news of its own end. What it starts has the priority there was before, and so has a thread that
    it begins from now on: SCHED_RESET_ON_FORK of sched(7).

    A nice value counts only among the processes of a session where the kernel groups these (sched(7), autogroup); so the process
    that leads the session raises that as well, for all that is started in it. Real time would do more than is wanted: it keeps
    systemd from dividing processors among units, cgroups(7).
    """
    with suppress(OSError):  # not permitted, or not in the C library (musl): nothing is raised
        if os.getpriority(os.PRIO_PROCESS, 0) != 0 or os.sched_getscheduler(0) != os.SCHED_OTHER:
            return
        os.setpriority(os.PRIO_PROCESS, 0, HIGHEST_PRIORITY)
        try:
            os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        except OSError:
            os.setpriority(os.PRIO_PROCESS, 0, 0)
            return
        if os.getsid(0) == os.getpid():
            with open("/proc/self/autogroup", "wb", buffering=0) as file:
                file.write(b"%d" % HIGHEST_PRIORITY)


# ---- processes --------------------------------------------------------------------------------------------------------------


def boot_id() -> str:
    """Which boot this is: random(4), /proc/sys/kernel/random/boot_id."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def stat_fields(pid: int) -> list[bytes]:
    """The fields of /proc/PID/stat from the state on (field 3 of proc(5) is the first here); [] without such a process."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            stat = file.read(4096)
        return stat[stat.rindex(b")") + 2 :].split()
    except (OSError, ValueError):
        return []


def start_ticks(pid: int) -> int:
    """When a process began, in clock ticks since boot; 0 without such a process. Together with the pid it names the process for
    as long as the boot lasts."""
    fields = stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 else 0


class Pidfd:
    """A process that need not be a child of ours, for a selector: readable once it has ended. ProcessLookupError if that has
    happened before.

    On Linux 6.15 and later it tells how the process ended even when somebody else has reaped it: PIDFD_GET_INFO of ioctl(2) with
    PIDFD_INFO_EXIT. Until it is reaped, /proc/PID/stat tells that too.
    """

    def __init__(self, pid: int, ticks: int) -> None:
        self.pid = pid
        self.ticks = ticks
        self._fd = os.pidfd_open(pid)
        if start_ticks(pid) != ticks:
            os.close(self._fd)
            raise ProcessLookupError(pid)

    def fileno(self) -> int:
        """The descriptor to wait for."""
        return self._fd

    def ended(self) -> bool:
        """Whether it has ended."""
        return bool(self._poll(select.POLLIN))

    def status(self) -> int | None:
        """Its raw wait status once it has ended; None if the kernel does not tell."""
        for read in (self._status_of_zombie, self._status_after_reaping) * 2:  # it may be reaped between the two
            status = read()
            if status is not None:
                return status
        return None

    def close(self) -> None:
        """Give the descriptor back."""
        os.close(self._fd)

    def _poll(self, events: int) -> int:
        poll = select.poll()
        poll.register(self._fd, events)
        found = poll.poll(0)
        return found[0][1] if found else 0

    def _status_of_zombie(self) -> int | None:
        fields = stat_fields(self.pid)
        reaped = self._poll(0) & select.POLLHUP  # then its pid may be another's
        return int(fields[49]) if fields and fields[0] in b"ZX" and not reaped else None

    def _status_after_reaping(self) -> int | None:
        request = struct.pack("Q", _PIDFD_INFO_EXIT).ljust(_PIDFD_INFO_SIZE, b"\0")
        try:
            answer = fcntl.ioctl(self._fd, _PIDFD_GET_INFO, request)
        except OSError:
            return None
        (mask,) = struct.unpack_from("Q", answer)
        (status,) = struct.unpack_from("i", answer, _PIDFD_INFO_EXIT_CODE)
        return int(status) if mask & _PIDFD_INFO_EXIT else None


# ---- processes of our own ---------------------------------------------------------------------------------------------------


def without_own_variables(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment to hand on, without what was meant for this process alone."""
    return {name: value for name, value in environ.items() if not name.startswith(OWN_VARIABLES)}


def python_words(code: str, *words: str, options: Iterable[str] = ()) -> list[str]:
    """The command line of a Python process of ours, isolated from the caller's PYTHON* variables, working folder and user site.
    `code` has in sys.argv[1] the folder of our package, which `-I` hides, and `words` behind it."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return [sys.executable, "-I", *options, "-c", code, package, *words]


def start_worker(words: list[str], stdin: IO[bytes] | int) -> subprocess.Popen[bytes]:
    """Start a process of ours in a session of its own, with a pipe from its output that never blocks the reader. OSError if none
    can be started."""
    import subprocess

    process = subprocess.Popen(
        words,
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd="/",
        env=without_own_variables(os.environ),
        start_new_session=True,
    )
    assert process.stdout is not None  # PIPE was asked for
    os.set_blocking(process.stdout.fileno(), False)
    return process
