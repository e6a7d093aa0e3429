"""Compares what the commands wrote down with what the history says. Every difference is a line of text."""

from __future__ import annotations

import json
import signal
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from cronflow.core.jobs import jobs_from_definition
from cronflow.core.records import AttemptRef, parse_ref
from tests.campaign.workload import MOVING, Load, exit_code, items
from tests.daemon.live import Live
from tests.processes import PROCESSES, by_task, contradictions

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
    """What the commands wrote: how often each began, the codes with which each ended, and the lines of either, which are in order
    of time."""

    starts: Counter[str] = field(default_factory=Counter)
    ends: dict[str, list[int]] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def read(cls, record: Path) -> Written:
        written = cls()
        for place, line in enumerate(record.read_text().splitlines()):
            kind, name, number = line.split()
            written.lines.setdefault(name, []).append(place)
            if kind == "start":
                written.starts[name] += 1
            else:
                written.ends.setdefault(name, []).append(int(number))
        return written


def settle(account: Account, live: Live, load: Load, promised: set[int]) -> None:
    """Make up the account of a state folder in which everything has ended."""
    written = Written.read(load.record)
    account.commands = sum(written.starts.values())
    _attempts(live, load, written, account)
    _runs(live, promised, account)
    _tasks(live, load, account)
    in_order(live, written, account)
    _ends(live, account)
    _slots(live, account)


def _attempts(live: Live, load: Load, written: Written, account: Account) -> None:
    for name, times in written.starts.items():
        if times != 1:
            account.add("twice", f"{name} began {times} times")
    query = "SELECT run, task, n, kind, count, state, result, reason, exit_code, signal, pid FROM attempts"
    known: set[str] = set()
    for run, task, n, kind, count, state, result, reason, code, number, pid in live.rows(query):
        ref = AttemptRef(run, task, n, kind)
        name = str(ref)
        known.update(str(ref._replace(n=earlier)) for earlier in range(n - count + 1, n + 1))
        said = f"{name} is {state} {result} ({reason}), exit {code}, signal {number}, pid {pid}"
        ends = written.ends.get(name, [])
        if state != "ended":
            account.add("stuck", said)
        elif name not in written.starts:
            if not (result in ("cancelled", "timeout") and (number is not None or pid is None)):
                account.add("missing", f"{said}; it never began")
        elif result == "lost":
            account.lost += 1
            account.add("lost", f"{said}; it wrote {ends}")
        elif _cut_short(result, code, number, ends):
            account.told += 1
        elif ends != [code] or code != exit_code(ref, load.numbers[task.partition("[")[0]]):
            account.add("wrong", f"{said}; it wrote {ends}")
        else:
            account.told += 1
    for name in written.starts.keys() - known:
        account.add("missing", f"{name} ran and is not in the history")


def _cut_short(result: str, code: int | None, number: int | None, ends: list[int]) -> bool:
    """Whether an attempt was ended from outside, as is told of it."""
    if result == "timeout":
        return number in ENDED_FROM_OUTSIDE and not ends
    return result == "cancelled" and number in (None, *ENDED_FROM_OUTSIDE) and code is None


def _runs(live: Live, promised: set[int], account: Account) -> None:
    for run, flow, state in live.rows("SELECT id, flow, state FROM runs WHERE finished_at IS NULL"):
        account.add("stuck", f"run {run} of {flow} is {state}")
    known = {row[0] for row in live.rows("SELECT id FROM runs")}
    for run in sorted(promised - known):
        account.add("missing", f"run {run} was confirmed and is not in the history")


def _tasks(live: Live, load: Load, account: Account) -> None:
    """What became of each task follows from what its processes returned."""
    processes = by_task(live.rows(PROCESSES))
    plans = {digest: jobs_from_definition(body) for digest, body in live.rows("SELECT digest, body FROM definitions")}
    query = "SELECT tasks.run, name, job, tasks.state, tasks.reason, attempts, definition FROM tasks JOIN runs ON id = run"
    copies: dict[tuple[int, str], set[str]] = {}
    paused: dict[int, set[str]] = {}
    for run, name, job_name, state, reason, attempts, digest in live.rows(query):
        copies.setdefault((run, job_name), set()).add(name)
        if reason == "paused":
            paused.setdefault(run, set()).add(name)
        mine, job = processes.get((run, name), []), plans[digest][job_name]
        said = f"{run}/{name} is {state} ({reason}) after {attempts} attempts: {[str(one) for one in mine]}"
        if attempts > job.retries + 1 or attempts != sum(one.kind == "command" for one in mine):
            account.add("twice", said)
        cut = any(one.stop is not None or one.result == "lost" for one in mine)
        if state == "failed" and attempts not in (0, job.retries + 1) and not cut:
            account.add("untried", said)
        for fault in contradictions(job, name, state, reason, mine):
            account.add("wrong", f"{said}; {fault}")
    for (run, name), mine in processes.items():
        lister = next((one for one in reversed(mine) if (one.kind, one.result) == ("foreach", "success")), None)
        if lister is not None:
            lines = items(AttemptRef(run, name, lister.n, "foreach"), load.numbers[name])
            if name not in paused.get(run, ()) and copies.get((run, name)) != {f"{name}[{line}]" for line in lines}:
                account.add("wrong", f"{run}/{name} listed {lines}, its tasks are {copies.get((run, name))}")


def in_order(live: Live, written: Written, account: Account) -> None:
    """Nothing of a task begins before the last attempt of what it comes after in its run has ended."""
    when: dict[tuple[int, str], list[int]] = {}
    upto: dict[tuple[int, str], int] = {}
    for name, lines in written.lines.items():
        ref = parse_ref(name)
        place = ref.run, ref.task.partition("[")[0]
        when.setdefault(place, []).append(lines[0])
        if ref.kind in ("command", "check"):
            upto[place] = max(upto.get(place, 0), lines[-1])
    plans = {digest: jobs_from_definition(body) for digest, body in live.rows("SELECT digest, body FROM definitions")}
    for run, digest in live.rows("SELECT id, definition FROM runs WHERE finished_at IS NOT NULL"):
        for name, job in plans[digest].items() if digest in plans else ():
            for edge in job.after if job.matrix_join == "all" and job.join == "all" else ():
                if min(when.get((run, name), [len(written.lines) * 2])) < upto.get((run, edge.job), -1):
                    account.add("order", f"run {run}: {name} began before {edge.job} had ended")


def _ends(live: Live, account: Account) -> None:
    """An end of a job of another flow is used once, and the last one has been used where nothing forbids it."""
    used: set[tuple[str, str, int]] = set()
    query = "SELECT id, flow, upstreams, aside FROM runs WHERE upstreams != '{}' ORDER BY id"
    for number, flow, upstreams, aside in live.rows(query):
        for upstream, run in json.loads(upstreams).items() if not aside else ():
            if (flow, upstream, run) in used:
                account.add("twice", f"run {number}: the end of {upstream} in run {run} counts again for {flow}")
            used.add((flow, upstream, run))
    for root, upstream, run in live.rows("SELECT job, upstream, run FROM links WHERE new AND job = 'joined'"):
        account.add("missing", f"the end of {upstream} in run {run} has started no {root}")


def _slots(live: Live, account: Account) -> None:
    """Every slot between the first one and the cursor is in exactly one row, if no edit has changed its job. All schedules here
    are of whole seconds."""
    at = {(job, key): int(cursor) for job, key, cursor in live.rows("SELECT job, trigger_key, at FROM cursors")}
    rows: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    query = "SELECT id, roots, trigger_key, slot, slot_last, slots FROM runs WHERE trigger_key IS NOT NULL AND slots > 0"
    for run, roots, key, first, last, count in live.rows(query):
        step = _step(key)
        if (last - first) // step + 1 != count:
            account.add("slots", f"row {run} says {count} slots from {first} to {last}")
        for root in [root for root in json.loads(roots) if not root.startswith(MOVING)]:
            rows.setdefault((root, key), []).append((first, last, run))
    for place, spans in rows.items():
        step, spans = _step(place[1]), sorted(spans)
        for (_, last, run), (first, _, heir) in pairwise(spans):
            if first != last + step:
                account.add("slots", f"{place[0]}: run {run} ends at {last}, run {heir} begins at {first}")
        if place in at and spans[-1][1] != at[place] - at[place] % step:
            account.add("slots", f"{place[0]}: run {spans[-1][2]} ends at {spans[-1][1]}, the cursor is at {at[place]}")


def _step(key: str) -> int:
    """Seconds from one slot to the next: `every 2 ZONE`, and the cron expressions here are of each n-th second."""
    kind, period, *_ = key.split()
    if kind == "every":
        return int(period)
    return {"0,2": 2, "0,3": 3}.get(period[:3], 1)
