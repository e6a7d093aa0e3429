"""The commands of a campaign: what they are told to do is known beforehand, and what they did is written down by themselves.

A command appends `start ID PID` to the record when it begins and `end ID CODE` when it is about to return CODE; ID is the
reference of the attempt, `run/task/n` or `run/task/kindN`. Life and exit code follow from the ID.
"""

from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Mapping
from pathlib import Path

from cronflow.cli import client
from cronflow.core.records import AttemptRef
from cronflow.errors import CronflowError
from cronflow.places import Places
from tests.daemon.live import job

WORK = r"""
id=${CRONFLOW_ID#*:}
tail=${id##*/}
n=${tail##*[!0-9]}
kind=${tail%"$n"}
x=$(((CRONFLOW_RUN_ID * 1103515245 + n * 12345 + NUMBER * 7919) & 0x7fffffff))
x=$((((x ^ (x >> 15)) * 739982445) & 0x7fffffff))
x=$((x ^ (x >> 12)))
code=$(((x >> 3) % 8))
life=$((50 + (x >> 7) % 450))
case $kind in
"") ;;
sensor) code=$((code % 2)); life=$((life / 5)) ;;
*) [ $code = 1 ] || code=0; life=$((life / 5)) ;;
esac
[ $life -ge 100 ] || life=0$life
[ ${#life} -eq 3 ] || life=0$life
echo "start $id $$" >> "$HOUSE/record"
sleep ${LIFE:-0.$life}
[ "$kind" != foreach ] || seq $((1 + x % 3))
echo "end $id $code" >> "$HOUSE/record"
exit $code
"""
CODES = 8
BY_HAND = ("hand0", "hand1", "hand2", "hand3", "flow3", "hand4")
RUNS_A_SECOND = 36
"""Starts by hand; with the slots of each second about twenty commands are going on at any time."""
STEP = '. "$HOUSE/work"'
STEPS = {"only_if": STEP, "wait_until": STEP, "wait_every": "1s", "check": [STEP, STEP], "on_failure": STEP, "on_success": STEP}
MOVING = "moving"
"""How the names of jobs begin that an edit of the job file changes."""


def exit_code(ref: AttemptRef, job_number: int) -> int:
    """What the process of this attempt returns."""
    code = (_chance(ref, job_number) >> 3) % CODES
    if ref.kind == "command":
        return code
    return code % 2 if ref.kind == "sensor" else int(code == 1)


def items(ref: AttemptRef, job_number: int) -> list[str]:
    """What the process of a `foreach` prints."""
    return [str(number) for number in range(1, 2 + _chance(ref, job_number) % 3)]


def _chance(ref: AttemptRef, job_number: int) -> int:
    x = (ref.run * 1103515245 + ref.n * 12345 + job_number * 7919) & 0x7FFFFFFF
    x = ((x ^ (x >> 15)) * 739982445) & 0x7FFFFFFF
    return x ^ (x >> 12)


class Load:
    """A job file whose commands write down what they do, and the number of each job."""

    def __init__(self, house: Path, head: str = "") -> None:
        self.house = house
        self.record = house / "record"
        self.numbers: dict[str, int] = {}
        self._parts = [head]

    def add(self, name: str, command: str = STEP, env: Mapping[str, str] = {}, **keys: object) -> None:
        """A job more."""
        number = self.numbers.setdefault(name, len(self.numbers))
        env = {"HOUSE": str(self.house), "NUMBER": str(number), **env}
        self._parts.append(job(name, command, env=env, kill_after="5s", **keys))

    @property
    def jobs(self) -> str:
        """The text of the job file."""
        return "\n".join(self._parts)

    def write(self) -> None:
        """The script of the commands, and an empty record."""
        (self.house / "work").write_text(WORK)
        self.record.touch()


class Workload(Load):
    """A job file of some thirty jobs with every `overlap` and `catchup`, retries, flows, steps, copies, a pool, edges between
    flows, and some that an edit changes."""

    def __init__(self, house: Path) -> None:
        super().__init__(house, "[settings]\nmax_running = 40\n[pools]\nfew = 3\n")
        overlaps, catchups = ("skip", "queue", "replace", "allow"), ("last", "all", "none")
        for number in range(8):
            keys = {"overlap": overlaps[number % 4], "catchup": catchups[number % 3]}
            self.add(f"cron{number}", schedule="* * * * * *", **keys, **_retry(number))
        for number in range(4):
            keys = {"overlap": overlaps[(number + 2) % 4], "catchup": catchups[(number + 1) % 3]}
            self.add(f"every{number}", every="1s", **keys, **_retry(number + 1))
        for number in range(3):
            self.add(f"flow{number}", every="2s" if number else "1s", overlap="allow", **_retry(number))
            self.add(f"flow{number}-then", after={f"flow{number}": "done"}, **_retry(number + 1))
            self.add(f"flow{number}-good", after={f"flow{number}": "success", f"flow{number}-then": "done"})
        for name in BY_HAND[:-1]:
            self.add(name, overlap="allow", **_retry(len(self.numbers)))
        self.add("flow3-then", after={"flow3": "failure"}, retries=1, retry_delay="5ms")
        self._add_stages()

    def _add_stages(self) -> None:
        self.add("hand4", overlap="allow", **STEPS, **_retry(2))
        self.add("steps", schedule="* * * * * *", overlap="allow", **STEPS, **_retry(1))
        self.add("lines", schedule="*/2 * * * * *", overlap="skip", pool="few", foreach=STEP, check=STEP, **_retry(1))
        self.add("lines-then", after={"lines": "done"}, matrix={"A": ["x", "y"]}, pool="few", pool_slots=2)
        self.add("lines-each", after=["lines-then"], matrix={"A": ["x", "y"]}, matrix_join="each", on_failure=STEP)
        self.add("joined", after={"flow0-good": "done"}, overlap="allow")
        self.add("joined-two", after={"flow1": "done", "lines": "success_or_skipped"}, overlap="queue", check=STEP)
        self.add("joined-own", schedule="*/3 * * * * *", after={"cron1": "success"}, overlap="allow", **_retry(1))
        self._fixed = len(self._parts)
        self.edit(random.Random(0))

    def edit(self, dice: random.Random) -> str:
        """The text of the job file after another edit: some jobs are gone, or have become something else."""
        del self._parts[self._fixed :]
        forms = ({}, STEPS, {"foreach": STEP}, {"matrix": {"A": ["x", "y", "z"]}}, {"matrix": {"A": ["y"]}, "check": STEP})
        for number in range(3):
            name = f"{MOVING}{number}"
            if dice.random() < 0.8:
                keys = dice.choice(({"schedule": "* * * * * *"}, {"every": "2s"}, {"after": {"flow2": "done"}}))
                self.add(name, **keys, overlap=dice.choice(("allow", "queue")), **dice.choice(forms), **_retry(number))
                if dice.random() < 0.5:
                    self.add(f"{name}-then", after={name: "done"}, **dice.choice(forms))
        return self.jobs

    @property
    def by_hand(self) -> str:
        """The jobs without a trigger alone, for callers who are nobody's daemon for long."""
        return "\n".join(part for part in self._parts if _of_hand(part))


def _of_hand(part: str) -> bool:
    return any(f"[jobs.{name}" in part for name in BY_HAND)


def _retry(number: int) -> dict[str, object]:
    return {"retries": number % 4, "retry_delay": ("1ms", "10ms", "100ms")[number % 3], "retry_backoff": 1.5}


class Hand:
    """Someone who starts jobs by hand all the time, whoever is the daemon. `promised` are the runs that were confirmed."""

    def __init__(self, places: Places, seed: int) -> None:
        self.places = places
        self.promised: set[int] = set()
        self._dice = random.Random(seed)
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._enough.set()
        self._thread.join()

    def _go_on(self) -> None:
        while not self._enough.wait(1 / RUNS_A_SECOND):
            try:
                with client.connect(self.places) as daemon:
                    while not self._enough.wait(self._dice.uniform(0, 2 / RUNS_A_SECOND)):
                        jobs = self._dice.sample(BY_HAND, self._dice.choice((1, 1, 1, 2)))
                        self.promised.update(daemon.ask("run", jobs=jobs, seconds=20)["runs"])
            except CronflowError:
                continue  # the daemon has just been killed


def kill(pid: int) -> None:
    """End a process that is ours as nobody can refuse; one that has just ended is dead enough."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
