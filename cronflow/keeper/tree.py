"""Find and signal every process of an attempt.

A process belongs to an attempt if it is in the session of its main process, if it carries the attempt's id in its
environment (`CRONFLOW_ID`), or if its parent belongs. A keeper is a subreaper, so that an orphan does not leave its
family: a living keeper looks only below itself, and cannot hit a stranger that has inherited a number. Whoever comes
after a dead keeper has to look at all of /proc. What has left the session, changed its environment and lost its
parent cannot be found without a cgroup.
"""
from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NamedTuple

from cronflow.linux import stat_fields

VARIABLE = "CRONFLOW_ID"
LISTINGS = 20
"""How often /proc is listed at the most, on a machine on which processes are born all the time."""


class Process(NamedTuple):
    """A line of the process table; pid and start ticks together name it for as long as the boot lasts."""

    pid: int
    parent: int
    session: int
    ticks: int
    state: str


Table = dict[int, Process]


def look(pid: int) -> Process | None:
    """The process of this pid now, from /proc/PID/stat, or None."""
    fields = stat_fields(pid)
    if len(fields) < 20:
        return None
    state = fields[0].decode()
    if state == "Z" and int(fields[17]) > 1:
        state = "S"  # only its first thread has ended
    return Process(pid, int(fields[1]), int(fields[3]), int(fields[19]), state)


def table() -> Table:
    """Every process of the machine that we may see; those that have ended and are not yet reaped too.

    /proc is listed until it shows no pid that is new: one that forks and exits after a listing, and before it is looked at,
    would hide its child."""
    processes: Table = {}
    listed: set[int] = set()
    for _ in range(LISTINGS):
        fresh = {int(name) for name in os.listdir("/proc") if name.isdigit()} - listed
        if not fresh:
            break
        listed |= fresh
        for pid in sorted(fresh):
            process = look(pid)
            if process is not None:
                processes[pid] = process
    return processes


def descendants(processes: Table, roots: Iterable[int]) -> set[int]:
    """The pids below these, the roots themselves left out unless one is below another."""
    children: dict[int, list[int]] = {}
    for process in processes.values():
        children.setdefault(process.parent, []).append(process.pid)
    found: set[int] = set()
    pending = list(roots)
    while pending:
        for pid in children.get(pending.pop(), ()):
            if pid not in found:
                found.add(pid)
                pending.append(pid)
    return found


def attempt_of(pid: int) -> str | None:
    """The attempt's id in the environment that this process was started with, if it has one and we may read it."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            environment = b"\0" + file.read()
    except OSError:
        return None
    _, found, rest = environment.partition(b"\0" + VARIABLE.encode() + b"=")
    return rest.partition(b"\0")[0].decode("utf-8", "surrogateescape") if found else None


def command_of(pid: int) -> str:
    """The command line of a process for a person to read, at most 120 characters."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            text = file.read(1024).replace(b"\0", b" ").decode("utf-8", "replace").strip()
        if not text:
            with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file2:
                text = file2.read().strip()
    except OSError:
        return "?"
    return text[:120]


def survivors(attempt_id: str, sid: int | None = None, ticks: int | None = None) -> list[Process]:
    """What is left alive of an attempt whose keeper is dead: its session, the bearers of its id, and all below them.

    `sid` is the pid of its main process, `ticks` when that began. If another process has that pid now, or if its
    session began before, the session is none of ours.
    """
    processes = table()
    own = os.getpid()
    seeds = {pid for pid in processes if pid != own and attempt_of(pid) == attempt_id}
    if sid is not None:
        leader = processes.get(sid)
        if leader is None or ticks is None or leader.ticks == ticks:
            seeds.update(
                process.pid for process in processes.values()
                if process.session == sid and (ticks is None or process.ticks >= ticks)
            )
    return _living(processes, seeds - {own})


def _living(processes: Table, seeds: set[int]) -> list[Process]:
    found = seeds | descendants(processes, seeds)
    return [processes[pid] for pid in sorted(found) if processes[pid].state not in "ZX"]


def members(
    processes: Table, keeper: int, main: int | None, sid: int | None, belongs: Callable[[int], bool]
) -> list[Process]:
    """The living processes of an attempt below a living keeper.

    `belongs` decides for a child of the keeper itself that is not in the session: an orphan of this attempt or not.
    """
    below = descendants(processes, (keeper,))
    seeds = set() if main is None or main not in below else {main}
    for pid in below:
        process = processes[pid]
        if process.session == sid or (process.parent == keeper and pid != main and belongs(pid)):
            seeds.add(pid)
    return _living(processes, seeds)


def send_signal(process: Process, number: int) -> bool:
    """Signal this very process and no later bearer of its pid; False if it is gone or not ours to signal.

    Through a pidfd; where a container forbids these, by its number as soon as it has been looked at.
    """
    try:
        fd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError:
        fd = -1
    try:
        now = look(process.pid)
        if now is None or now.ticks != process.ticks:
            return False
        if fd < 0:
            os.kill(process.pid, number)
        else:
            signal.pidfd_send_signal(fd, number)
    except OSError:
        return False
    finally:
        if fd >= 0:
            os.close(fd)
    return True


def terminate(processes: Iterable[Process]) -> None:
    """Ask them to end; those that are stopped are woken, or they would never hear it."""
    for process in processes:
        if send_signal(process, signal.SIGTERM):
            send_signal(process, signal.SIGCONT)


def kill(processes: Iterable[Process]) -> None:
    """End them."""
    for process in processes:
        send_signal(process, signal.SIGKILL)


def kill_group(leader: int) -> None:
    """End a process group whose leader is a child of ours that we have not reaped: nobody else has its number. All of it at
    once, also what is being forked at the moment: kill(2), of a negative pid."""
    with suppress(OSError):
        os.killpg(leader, signal.SIGKILL)


def children() -> list[int] | None:
    """The pids of our own children, zombies included; None where /proc does not tell."""
    try:
        with open("/proc/thread-self/children", "rb", buffering=0) as file:
            return [int(pid) for pid in file.readall().split()]
    except OSError:
        return None
