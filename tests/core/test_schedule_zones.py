"""That the offsets found day by day are those of the time zone database itself."""

from __future__ import annotations

import importlib.resources
import os
import struct
from itertools import pairwise
from pathlib import Path
from random import Random
from zoneinfo import TZPATH, available_timezones

import pytest

from cronflow.core.time.schedule import Schedule

SEED = os.environ.get("CRONFLOW_SEED", "1")


def zone_file(name: str) -> bytes:
    for folder in TZPATH:
        path = Path(folder, name)
        if path.is_file():
            return path.read_bytes()
    package, _, file = f"tzdata/zoneinfo/{name}".rpartition("/")
    return importlib.resources.files(package.replace("/", ".")).joinpath(file).read_bytes()


def changes(name: str) -> list[tuple[int, int, int]]:
    """(instant, offset before, offset after) of each change of offset, from the file of the zone (RFC 8536, version 2)."""
    data = zone_file(name)
    counts = struct.unpack(">6l", data[20:44])
    isutc, isstd, leap, time, types, chars = counts
    at = 44 + time * 5 + types * 6 + chars + leap * 8 + isstd + isutc
    isutc, isstd, leap, time, types, chars = struct.unpack(">6l", data[at + 20 : at + 44])
    at += 44
    instants = struct.unpack(f">{time}q", data[at : at + time * 8])
    indices = data[at + time * 8 : at + time * 9]
    at += time * 9
    offsets = [struct.unpack(">l", data[at + 6 * kind : at + 6 * kind + 4])[0] for kind in range(types)]
    found, offset = [], offsets[0]
    for instant, index in zip(instants, indices, strict=True):
        if offsets[index] != offset:
            found.append((instant, offset, offsets[index]))
            offset = offsets[index]
    return found


def test_no_zone_shifts_twice_within_two_days() -> None:
    """Offsets are looked up day by day: two changes between two looks could hide each other."""
    for name in sorted(available_timezones()):
        instants = [instant for instant, _, _ in changes(name)]
        near = [(name, one) for one, other in pairwise(instants) if other - one <= 2 * 86400]
        assert not near


ODD = ["Europe/Amsterdam", "Africa/Casablanca", "Asia/Gaza", "America/Juneau", "Asia/Manila", "Antarctica/Troll", "Europe/Dublin"]


@pytest.mark.parametrize("name", ODD + Random(SEED).sample(sorted(available_timezones()), 25))
def test_each_change_since_1840_is_seen_to_the_second(name: str) -> None:
    schedule = Schedule.cron("* * * * * *", name)  # each second once: slots follow elapsed time
    listed = changes(name)  # later ones follow from a rule
    start, until = -4_100_000_000, listed[-1][0] + 86400 if listed else 2**31
    assert schedule.count(start, until) == until - start
    fixed = Schedule.cron("0-59 0-59 0-23 * * *", name)  # each second of the clock once: a fold's are left out
    known = [change for change in listed if start < change[0]]
    forward = sum(after - before for _, before, after in known if after > before)
    back = sum(before - after for _, before, after in known if after < before)
    assert fixed.count(start, until) == until - start - back
    for instant, before, after in known:
        if after < before:
            assert fixed.last_until(instant + before - after - 1, start) == instant - 1
            assert fixed.next_after(instant - 1) == instant + before - after
    times = fixed.oddities(start, until)
    assert sum(odd.number for odd in times if odd.kind == "gap") == forward
    assert sum(odd.number for odd in times if odd.kind == "fold") == back
    assert len(times) == len(known)
