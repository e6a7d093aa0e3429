"""The keepers of a state folder as the process table shows them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cronflow.keeper import tree


@dataclass(frozen=True)
class House:
    """The two processes of one keeper; a generation of the daemon has the numbers from `generation × 1000`."""

    number: int
    guard: int
    holder: int


def keepers(journals: Path) -> list[House]:
    """Every keeper of this folder of which both processes are alive, in order of their numbers.

    All that is of a keeper has its command line: the guard, which leads the session; the holder, its child; for a moment
    after a fork the children of the holder too, and at the very first the process that begets the guard.
    """
    houses = []
    for number, processes in sorted(_bodies(journals).items()):
        pids = {one.pid for one in processes}
        guard = next((one.pid for one in processes if one.session == one.pid and one.parent not in pids), None)
        holders = [one for one in processes if one.parent == guard and one.session == guard]
        if guard is not None and holders:
            houses.append(House(number, guard, min(holders, key=lambda one: (one.ticks, one.pid)).pid))
    return houses


def newborn(journals: Path, after: int) -> list[int]:
    """The processes of keepers with a higher number, without the children of a holder that are on their way to a command."""
    found = []
    for number, processes in _bodies(journals).items():
        by_pid = {one.pid: one for one in processes}
        for one in processes if number > after else ():
            parent = by_pid.get(one.parent)
            grandparent = by_pid.get(parent.parent) if parent is not None else None
            if grandparent is None or grandparent.session != grandparent.pid:
                found.append(one.pid)
    return found


def _bodies(journals: Path) -> dict[int, list[tree.Process]]:
    """All living processes with the command line of a keeper of this folder, by its number."""
    found: dict[int, list[tree.Process]] = {}
    for pid in remains(journals):
        number, process = _number(str(pid), os.fsencode(str(journals))), tree.look(pid)
        if process is not None and number is not None and process.state not in "ZX":
            found.setdefault(number, []).append(process)
    return found


def remains(journals: Path) -> list[int]:
    """The pids of all that has the command line of a keeper of this folder."""
    mark = os.fsencode(str(journals))
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _number(name, mark) is not None]


def _number(pid: str, journals: bytes) -> int | None:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return None
    if len(words) < 12 or b"cronflow.keeper" not in words[6] or words[8] != journals:
        return None
    return int(words[10])


def carrying(setting: str) -> list[int]:
    """The living processes that have this `NAME=value` in the environment that they were started with."""
    found = []
    for process in tree.table().values():
        if process.state not in "ZX":
            try:
                with open(f"/proc/{process.pid}/environ", "rb") as file:
                    found += [process.pid] if setting.encode() in file.read().split(b"\0") else []
            except OSError:
                continue
    return found
