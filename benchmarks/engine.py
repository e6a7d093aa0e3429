"""The engine and the store alone, in this process: what a finished task costs while many wait, and what the history takes.

These two rows look inside: they use the `cronflow` that this Python imports, whatever `--program` says.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Goal, Options, in_turn
from benchmarks.program import house
from cronflow.core import events as happened
from cronflow.core import tables
from cronflow.core.effects import Effects, StartAttempt
from cronflow.core.engine import step
from cronflow.core.events import Event
from cronflow.core.jobs import Edge, Job, JobSet
from cronflow.core.plan.flow import plan
from cronflow.core.records import AttemptRef
from cronflow.core.state import LiveState
from cronflow.store.rows import MAPPERS
from cronflow.store.store import Store

MIDNIGHT = 1_793_059_200.0
POOL = 4
DUE = 50
"""Jobs that are due at each slot, and so runs that are written in each turn."""


class Engine:
    """An engine with a clock that we move and processes that end when we say so. `spent`: its own time, in seconds."""

    def __init__(self, jobs: Sequence[Job], pools: dict[str, int] | None = None) -> None:
        self.state: LiveState = Store.in_memory().load()
        self.now = MIDNIGHT
        self.started: list[AttemptRef] = []
        self.spent = 0.0
        found = JobSet({one.name: one for one in jobs}, pools=pools or {})
        self.do(happened.Started(found, plan(found.jobs)))

    def do(self, *events: Event) -> Effects:
        """One turn: the effects of all these events together."""
        out = Effects()
        for event in events:
            begun = time.perf_counter()
            made = step(self.state, event, self.now)
            self.spent += time.perf_counter() - begun
            out.add(made)
        self.started += [action.ref for action in out.actions if isinstance(action, StartAttempt)]
        return out

    def ends(self) -> list[Event]:
        """All that runs has begun, and has ended well."""
        events: list[Event] = []
        for ref in self.started:
            events += [happened.AttemptBegan(ref, 4711, self.now), happened.AttemptEnded(ref, self.now, exit_code=0, cpu_s=0.01)]
        self.started = []
        return events


# ---- the pool -------------------------------------------------------------------------------------------------------------


def pool(options: Options) -> list[Figure]:
    """1,000 tasks at once in a pool of 4, against the same with 100: engine time for each that finishes."""
    pairs = in_turn(options.times(7), lambda: _per_task(1000), lambda: _per_task(100))
    note = f"{min(pairs.ours) * 1e6:.0f} µs against {min(pairs.theirs) * 1e6:.0f} µs at best"
    what = f"1,000 tasks waiting in a pool of {POOL}: engine time for each"
    return [pairs.figure(what, "100 waiting", 1.5, note)]


def _per_task(count: int) -> float:
    root = Job("root", "true")
    jobs = [root, *(Job(f"task{number}", "true", after=(Edge("root"),), pool="few") for number in range(count))]
    engine = Engine(jobs, {"few": POOL})
    engine.do(happened.RunAsked(1, ("root",), "ada", "cronflow run root"))
    engine.do(*engine.ends())
    engine.spent = 0.0
    finished = 0
    while engine.started:
        ended, engine.started = engine.started, []
        for ref in ended:
            engine.do(happened.AttemptBegan(ref, 4711, engine.now))
            engine.do(happened.AttemptEnded(ref, engine.now, exit_code=0))
            finished += 1
    assert finished == count
    return engine.spent / count


# ---- the history ----------------------------------------------------------------------------------------------------------


def store(options: Options) -> list[Figure]:
    """Turns in which 50 scheduled runs end and 50 begin, saved by the store and as the same rows by plain sqlite3, by turns."""
    turns = 20 if options.quick else 100
    rates = [_rates(options, turns) for _ in range(options.times(5))]
    ours, theirs = tuple(one for one, _ in rates), tuple(other for _, other in rates)
    ratios = tuple(100 * one / other for one, other in rates)
    note = f"{max(ours):,.0f} against {max(theirs):,.0f} runs a second at best"
    what = f"history: runs a second, {DUE} in a transaction"
    return [Figure(what, "the same rows by plain sqlite3", ratios, Goal(60.0, at_least=True), "%", ours, theirs, note)]


def _rates(options: Options, turns: int) -> tuple[float, float]:
    """Runs a second: the store's, and plain sqlite3's."""
    engine = Engine([Job(f"job{number}", "true", schedule=("* * * * *",)) for number in range(DUE)])
    ours = theirs = 0.0
    with house(options) as home:
        saver, plain = Store.open(_made(home.state)), Plain(_made(home.folder / "plain"))
        for turn in range(turns + 2):
            engine.now += 60.0
            out = engine.do(*engine.ends(), happened.Woke())
            rows = plain.rows(out)
            begun = time.perf_counter()
            saver.save(out)
            between = time.perf_counter()
            plain.save(rows)
            ended = time.perf_counter()
            if turn >= 2:  # in the first two, no run ends yet
                ours, theirs = ours + between - begun, theirs + ended - between
        plain.compare(saver.connection)
        saver.close()
        plain.connection.close()
    return turns * DUE / ours, turns * DUE / theirs


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


class Plain:
    """A database with the same tables, and rows made ready beforehand: what sqlite3 in Python does at its best."""

    def __init__(self, folder: Path) -> None:
        Store.open(folder).close()
        self.connection = sqlite3.connect(folder / "cronflow.db", isolation_level=None)
        self.connection.execute("PRAGMA synchronous = FULL")
        tables = ("runs", "tasks", "attempts", "cursors", "health")
        self.columns = {table: [row[1] for row in self._query(f"PRAGMA table_info({table})")] for table in tables}

    def _query(self, sql: str) -> list[Any]:
        return self.connection.execute(sql).fetchall()

    def rows(self, out: Effects) -> list[tuple[str, list[tuple[Any, ...]]]]:
        """Statements and their values, from the effects of a turn."""
        wanted = (tables.RUNS, tables.TASKS, tables.ATTEMPTS, tables.CURSORS, tables.HEALTH)
        rows = [(MAPPERS[table].insert, [MAPPERS[table].values(one) for one in out.of(table).values()]) for table in wanted]
        definitions = [tuple(one) for one in out.of(tables.DEFINITIONS).values()]
        rows.append(("INSERT OR IGNORE INTO definitions VALUES (?, ?, ?)", definitions))
        rows.append(("INSERT INTO run_slots VALUES (?, ?, ?, ?)", [tuple(one) for one in out.of(tables.RUN_SLOTS).values()]))
        return rows

    def save(self, rows: list[tuple[str, list[tuple[Any, ...]]]]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        for sql, values in rows:
            self.connection.executemany(sql, values)
        self.connection.execute("COMMIT")

    def compare(self, other: sqlite3.Connection) -> None:
        """Both have the same history, or the comparison says nothing."""
        for table in (*self.columns, "run_slots", "definitions"):
            query = f"SELECT * FROM {table}"
            if set(self._query(query)) != set(other.execute(query).fetchall()):
                raise RuntimeError(f"the two databases differ in `{table}`")
