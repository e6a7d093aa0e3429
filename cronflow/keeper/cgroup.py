"""A cgroup for each attempt, where we may: then no process of it can hide, whatever it does to its session or environment.

Only cgroup v2, only below the cgroup that the keeper was started in, and under systemd only if that was delegated to us
(`Delegate=yes`): cgroups(7), systemd's CGROUP_DELEGATION. No controller is touched. The child is born in its cgroup
(clone3(2) with CLONE_INTO_CGROUP); to move it there later would stop every fork of the machine for some milliseconds.
"""
from __future__ import annotations

import os
from contextlib import suppress
from typing import NamedTuple

PREFIX = "cronflow-"
SPARE = 64
"""Empty cgroups that are kept: to make and remove one costs a tenth of a short command."""


def own_place() -> str | None:
    """The folder of our own cgroup, if it is ours to divide."""
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            path = next(line[3:].rstrip("\n") for line in file if line.startswith("0::"))
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounts = [line.split() for line in file if " - cgroup2 " in line]
        place = next(fields[4] + "/" + path.removeprefix(fields[3]).lstrip("/") for fields in mounts)
    except (OSError, StopIteration):
        return None
    place = place.rstrip("/")
    if os.path.exists("/run/systemd/system") and not _delegated(place):
        return None
    return place


def _delegated(place: str) -> bool:
    for name in ("trusted.delegate", "user.delegate"):
        with suppress(OSError):
            if os.getxattr(place, name) == b"1":
                return True
    return False


class Cgroup(NamedTuple):
    """A cgroup of ours: its name, a descriptor for a child to be born into, and one of its `cgroup.events`."""

    name: str
    fd: int
    events: int

    def populated(self) -> bool:
        """Whether a process lives in it, at whatever depth."""
        try:
            return b"populated 0" not in os.pread(self.events, 256, 0)
        except OSError:
            return True

    def close(self) -> None:
        os.close(self.fd)
        os.close(self.events)


class Cgroups:
    """The cgroups of one keeper, below one folder."""

    def __init__(self, place: str) -> None:
        self.place = place
        self._count = 0
        self._free: list[Cgroup] = []
        self._full: list[Cgroup] = []
        self._killed: set[str] = set()

    @classmethod
    def create(cls, generation: int) -> Cgroups | None:
        """A place for the attempts of this keeper, or None where we may not."""
        own = own_place()
        if own is None:
            return None
        made = cls(f"{own}/{PREFIX}{generation}-{os.getpid()}")
        with suppress(OSError):
            os.mkdir(made.place)
            if os.path.exists(f"{made.place}/cgroup.kill"):
                return made
            os.rmdir(made.place)
        return None

    def take(self) -> Cgroup | None:
        """A cgroup without processes, an old one if there is one."""
        if self._free:
            return self._free.pop()
        self._count += 1
        path = f"{self.place}/{self._count}"
        try:
            os.mkdir(path)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return Cgroup(str(self._count), fd, os.open("cgroup.events", os.O_RDONLY | os.O_CLOEXEC, dir_fd=fd))
            except OSError:
                os.close(fd)
                raise
        except OSError:
            return None

    def name_of(self, pid: int) -> str | None:
        """The name of the cgroup of ours that this process is in, at whatever depth."""
        try:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="replace") as file:
                path = next(line for line in file if line.startswith("0::"))
        except (OSError, StopIteration):
            return None
        _, _, rest = path.rstrip("\n").partition("/" + os.path.basename(self.place) + "/")
        return rest.partition("/")[0] or None

    def kill(self, name: str) -> None:
        """End every process in it, and those that are being born. It cannot be used again: newer kernels kill whatever is born
        from elsewhere into a cgroup that was killed before (seen on Linux 6.18)."""
        self._killed.add(name)
        kill(f"{self.place}/{name}")

    def give_back(self, place: Cgroup) -> None:
        """Use it for another attempt, now or, if something was left behind in it, once it is empty."""
        self._full.append(place)
        empty = [one for one in self._full if not one.populated()]
        self._full = [one for one in self._full if one not in empty]
        self._free += [one for one in empty if one.name not in self._killed]
        spare, self._free = self._free[:-SPARE], self._free[-SPARE:]
        for one in [*(one for one in empty if one.name in self._killed), *spare]:
            one.close()
            _remove(f"{self.place}/{one.name}")
            self._killed.discard(one.name)

    def close(self) -> None:
        """Remove what is empty; what still has processes is left to a later sweep."""
        sweep(self.place)


def kill(path: str) -> None:
    """End every process in a cgroup, also in one that a dead keeper has left."""
    with suppress(OSError), open(f"{path}/cgroup.kill", "wb", buffering=0) as file:
        file.write(b"1")


def sweep(place: str) -> None:
    """Remove the empty cgroups of a keeper that has ended."""
    try:
        names = os.listdir(place)
    except OSError:
        return
    for name in names:
        if name.isdigit():
            _remove(f"{place}/{name}")
    _remove(place)


def _remove(path: str) -> None:
    with suppress(OSError):
        os.rmdir(path)
