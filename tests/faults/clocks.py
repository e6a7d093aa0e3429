"""The clock steps by +1 h, -1 h, +3 days (in the simulated world also back by them), or the machine is suspended: there, and
under a real daemon whose time comes from a file (libfaketime). No slot runs twice, and none is dropped without a row.
"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from tests.daemon.live import Live, job, living
from tests.faults.rows import NotTestedError, Outcome, Row
from tests.world.world import JUMPS, SET_BACK, World

NOTICED_WITHIN = 30.0
MARGIN = 3
"""A bound of time is told from a hang; the figure is in the notes."""
HOUR = 3600
LIBRARIES = ("/usr/lib/*/faketime/libfaketime.so.1", "/usr/lib*/faketime/libfaketime.so.1", "/usr/local/lib/faketime/*.so.1")
STEPS = 5
HOURS = 8.0
JUMPING = 0.02


def simulated(trials: int, seed: int) -> Outcome:
    """Worlds of some hours, in which the clock jumps now and then; their laws are checked after every step."""
    wrong: list[str] = []
    jumps: Counter[str] = Counter()
    made, worlds = 0, itertools.count(seed * 10_000)
    while made < trials:
        number = next(worlds)
        world = World(number, jumps=JUMPING, far=True)
        try:
            world.run(hours=HOURS)
        except Exception as error:
            wrong.append(f"world {number}: {type(error).__name__}: {error}")
        here = [word for word in JUMPS | SET_BACK for line in world.log if line.endswith(f"the clock jumps: {word}")]
        jumps.update(here)
        made += bool(here or wrong)  # one in which the clock stays right is no trial
    told = ", ".join(f"{jumps[word]} times {word}" for word in sorted(JUMPS | SET_BACK))
    return Outcome(trials, 0, 0, tuple(wrong), (f"in {trials} worlds: {told}",))


# ---- a real daemon --------------------------------------------------------------------------------------------------------


class Seen(NamedTuple):
    """One daemon: how long each step took to be noticed, slots that ran twice, those that are in no row or in two."""

    noticed_s: list[float]
    twice: int
    lost: int
    wrong: list[str]


def library() -> str:
    """Where libfaketime is."""
    for pattern in LIBRARIES:
        for path in Path("/").glob(pattern[1:]):
            return str(path)
    raise NotTestedError("there is no libfaketime (Debian: `apt install libfaketime`)")


def trial(live: Live, seed: str, preload: str, patient: bool) -> Seen:
    """A daemon with a slot an hour, half an hour away from now, and some steps of its clock. `patient`: nobody wakes it, and so
    the file of its time lies in no folder that it watches."""
    dice = random.Random(seed)
    stamp = live.path("time/clock")
    stamp.parent.mkdir()
    stamp.write_text("+0")
    minute = (datetime.now(UTC).minute + 30) % 60
    record = {"HOUSE": str(live.folder)}
    keys = {"schedule": f"{minute} * * * *", "env": record, "timezone": "UTC"}
    jobs = job("all", 'echo "$CRONFLOW_SCHEDULED_AT" >> "$HOUSE/all"', catchup="all", catchup_window="400d", **keys)
    jobs += job("last", 'echo "$CRONFLOW_SCHEDULED_AT" >> "$HOUSE/last"', jitter="1s", **keys)
    live.start(
        jobs, LD_PRELOAD=preload, FAKETIME_TIMESTAMP_FILE=str(stamp), FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1"
    )
    began = time.time()
    slots = [int(began // HOUR) * HOUR + minute * 60 + HOUR * number for number in range(-1, 24 * 3 * STEPS + 48)]
    offset, furthest, noticed, said = 0.0, began, list[float](), list[str]()
    for _ in range(STEPS):
        word = dice.choice(sorted(JUMPS))
        said.append(word)
        if word == "a suspend":
            live.signal(signal.SIGSTOP)
        offset += JUMPS[word]
        fresh = stamp.with_name("new")
        fresh.write_text(f"{offset:+.0f}")
        before = sign_of_life(live)
        fresh.rename(stamp)
        if word == "a suspend":
            live.signal(signal.SIGCONT)
        changed = time.monotonic()
        if not patient:
            live.ask("ping")
        furthest = max(furthest, time.time() + offset)
        expected = sum(began < slot <= furthest for slot in slots)
        seconds = MARGIN * NOTICED_WITHIN
        live.until(lambda sign=before: sign_of_life(live) != sign, f"{word} is not noticed", seconds)  # type: ignore[misc]
        live.until(lambda count=expected: covered(live, "all") >= count, f"{word} is not dealt with", seconds)  # type: ignore[misc]
        noticed.append(time.monotonic() - changed)
        if JUMPS[word] < 0:
            time.sleep(1.0)  # what it would do again, it would do now
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0, "what is caught up does not end")
    due = [slot for slot in slots if began < slot <= furthest]
    found = [told(live, name, due) for name in ("all", "last")]
    wrong = [line for _, _, lines in found for line in lines]
    wrong += [f"the daemon says `{one}`: {live.log[-1500:]}" for one in ("Traceback", "defect") if one in live.log]
    lost = len(due) - len(set(ran(live, "all")))
    wrong += [f"{lost} slots of `all` did not run"] if lost else []
    return Seen(noticed, sum(twice for twice, _, _ in found), sum(gone for _, gone, _ in found), [f"{said}: {x}" for x in wrong])


def sign_of_life(live: Live) -> int:
    """When the daemon last left one, by the kernel's clock: it does so when it sees that its own has made a step."""
    return live.places.alive.stat().st_ctime_ns


def covered(live: Live, flow: str) -> int:
    return int(live.one("SELECT coalesce(sum(slots), 0) FROM runs WHERE flow = ? AND finished_at IS NOT NULL", flow) or 0)


def ran(live: Live, name: str) -> list[str]:
    record = live.path(name)
    return record.read_text().split() if record.exists() else []


def told(live: Live, name: str, due: list[int]) -> tuple[int, int, list[str]]:
    """Of one job: slots that ran twice, slots in no row or in two, and both in words."""
    twice = [slot for slot, count in Counter(ran(live, name)).items() if count > 1]
    rows: Counter[int] = Counter()
    for first, last in live.rows("SELECT slot, coalesce(slot_last, slot) FROM runs WHERE flow = ? AND slot IS NOT NULL", name):
        rows.update(slot for slot in range(first, last + 1, HOUR))
    gone = [slot for slot in due if rows[slot] != 1]
    wrong = [f"`{name}`: slot {slot} ran twice" for slot in twice]
    return len(twice), len(gone), wrong + [f"`{name}`: slot {slot} is in {rows[slot]} rows" for slot in gone]


def real(trials: int, seed: int) -> Outcome:
    """All daemons at once; they sleep. At the counts of a test run each is woken after a step, instead of within 30 s."""
    preload, patient = library(), trials > 2

    def one(number: int) -> Seen:
        with living() as live:
            try:
                return trial(live, f"{seed} {number}", preload, patient)
            except AssertionError as fault:
                return Seen([], 0, 0, [f"trial {number}: {fault}"[:1500]])

    with ThreadPoolExecutor(trials) as pool:
        found = list(pool.map(one, range(trials)))
    slowest = max((took for seen in found for took in seen.noticed_s), default=0.0)
    note = f"{STEPS * trials} steps under {trials} daemons, each noticed and dealt with after {slowest:.1f} s at most"
    lost, twice = sum(seen.lost for seen in found), sum(seen.twice for seen in found)
    return Outcome(trials, lost, twice, tuple(line for seen in found for line in seen.wrong), (note,) if patient else ())


ROWS = (
    Row("clock-world", "the clock steps by +1 h, -1 h, +3 days, -3 days, suspend: simulated", 1000, 12, simulated, batch=250),
    Row("clock-real", "the clock steps by +1 h, -1 h, +3 days, suspend: a real daemon, by libfaketime", 10, 1, real),
)
