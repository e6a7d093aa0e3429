"""Compares what the commands wrote down with what the history says. Every difference is a line of text."""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.campaign.workload import Workload, exit_code
from tests.daemon.live import Live

ENDED_FROM_OUTSIDE = (signal.SIGTERM, signal.SIGKILL)


@dataclass
class Account:
    """How many commands ran, and what is wrong about them, by kind."""

    commands: int = 0
    told: int = 0
    lost: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, text: str) -> None:
        self.faults.setdefault(kind, []).append(text)

    def count(self, kind: str) -> int:
        return len(self.faults.get(kind, ()))

    def text(self, most: int = 12) -> str:
        """The first faults of each kind."""
        lines = []
        for kind, faults in self.faults.items():
            lines.append(f"{kind}: {len(faults)}")
            lines += [f"  {fault}" for fault in faults[:most]]
        return "\n".join(lines)


@dataclass
class Written:
    """What the commands wrote: how often each began, and the codes with which each ended."""

    starts: Counter[str] = field(default_factory=Counter)
    ends: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def read(cls, record: Path) -> Written:
        written = cls()
        for line in record.read_text().splitlines():
            kind, name, number = line.split()
            if kind == "start":
                written.starts[name] += 1
            else:
                written.ends.setdefault(name, []).append(int(number))
        return written


def settle(account: Account, live: Live, load: Workload, promised: set[int]) -> None:
    """Make up the account of a state folder in which everything has ended."""
    written = Written.read(load.record)
    account.commands = sum(written.starts.values())
    _attempts(live, load, written, account)
    _runs(live, promised, account)
    _slots(live, account)


def _attempts(live: Live, load: Workload, written: Written, account: Account) -> None:
    for name, times in written.starts.items():
        if times != 1:
            account.add("twice", f"{name} began {times} times")
    query = "SELECT run, task, n, state, result, reason, exit_code, signal, pid FROM attempts WHERE kind = 'command'"
    rows = live.rows(query)
    known = {f"{row[0]}/{row[1]}/{row[2]}" for row in rows}
    for name in written.starts.keys() - known:
        account.add("missing", f"{name} ran and is not in the history")
    for run, task, n, state, result, reason, code, number, pid in rows:
        name = f"{run}/{task}/{n}"
        said = f"{name} is {state} {result} ({reason}), exit {code}, signal {number}, pid {pid}"
        ends = written.ends.get(name, [])
        if state != "ended":
            account.add("stuck", said)
        elif name not in written.starts:
            if not (result == "cancelled" and (number is not None or pid is None)):
                account.add("missing", f"{said}; it never began")
        elif result == "lost":
            account.lost += 1
            account.add("lost", f"{said}; it wrote {ends}")
        elif result == "cancelled" and number in ENDED_FROM_OUTSIDE:
            account.told += 1
        elif ends != [code] or code != exit_code(run, load.numbers[task], n):
            account.add("wrong", f"{said}; it wrote {ends}")
        else:
            account.told += 1


def _runs(live: Live, promised: set[int], account: Account) -> None:
    for run, flow, state in live.rows("SELECT id, flow, state FROM runs WHERE finished_at IS NULL"):
        account.add("stuck", f"run {run} of {flow} is {state}")
    known = {row[0] for row in live.rows("SELECT id FROM runs")}
    for run in sorted(promised - known):
        account.add("missing", f"run {run} was confirmed and is not in the history")
    plans = {}
    for digest, body in live.rows("SELECT digest, body FROM definitions"):
        plans[digest] = {plain["name"]: plain.get("retries", 0) for plain in json.loads(body)}
    query = (
        "SELECT tasks.run, name, tasks.state, attempts, definition, stop, result FROM tasks JOIN runs ON runs.id = tasks.run"
        " LEFT JOIN attempts ON attempts.run = tasks.run AND task = name AND n = tasks.attempts AND kind = 'command'"
    )
    for run, task, state, attempts, digest, stop, result in live.rows(query):
        allowed = plans[digest][task] + 1
        if state == "failed" and attempts != allowed and stop is None and result != "lost":
            account.add("untried", f"{run}/{task} has failed after {attempts} attempts of {allowed}")
        if attempts > allowed:
            account.add("twice", f"{run}/{task} has had {attempts} attempts of {allowed}")


def _slots(live: Live, account: Account) -> None:
    """Every slot between the first one and the cursor is in exactly one row. All schedules here are of whole seconds."""
    at = {(job, key): int(cursor) for job, key, cursor in live.rows("SELECT job, trigger_key, at FROM cursors")}
    rows: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    query = "SELECT id, roots, trigger_key, slot, slot_last, slots FROM runs WHERE trigger_key IS NOT NULL AND slots > 0"
    for run, roots, key, first, last, count in live.rows(query):
        step = _step(key)
        if (last - first) // step + 1 != count:
            account.add("slots", f"row {run} says {count} slots from {first} to {last}")
        for root in json.loads(roots):
            rows.setdefault((root, key), []).append((first, last, run))
    for place, spans in rows.items():
        step, spans = _step(place[1]), sorted(spans)
        for (_, last, run), (first, _, heir) in pairwise(spans):
            if first != last + step:
                account.add("slots", f"{place[0]}: run {run} ends at {last}, run {heir} begins at {first}")
        if place in at and spans[-1][1] != at[place] - at[place] % step:
            account.add("slots", f"{place[0]}: run {spans[-1][2]} ends at {spans[-1][1]}, the cursor is at {at[place]}")


def _step(key: str) -> int:
    """Seconds from one slot to the next: `every 2 ZONE`, and the cron expressions here are of each second."""
    kind, period, *_ = key.split()
    return int(period) if kind == "every" else 1
