"""`python -m benchmarks.history FOLDER [--jobs 100] [--runs 1000000] [--days 365] [--logs 0]`: the history of a year of work.

Makes `FOLDER/jobs.toml` and `FOLDER/state` with a database as a daemon would have left it, in about half a minute for a million
runs. Every second run is of `job0`; the others take turns, but for the last job, which ran once, long ago. One job in ten
comes after the one before it, in the same flow. One run in 17 fails, after a retry and with an alert; one slot in 50 did
not run. Nothing is due: a daemon that is started on it finds no slot that it missed. The same numbers give the same history but
for its times, which end now.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cronflow.core.plan.flow import Flow, plan
from cronflow.jobfile.read import read
from cronflow.places import Places
from cronflow.store.store import Store

JOBS = 100
RUNS = 1_000_000
DAYS = 365.0
FAILS_EVERY = 17
SKIPPED_EVERY = 50
TOOK = 20.0
"""Seconds of each run."""
HEAD = """\
[settings]
keep_runs = "{keep:g}d"
keep_logs = "{keep:g}d"

[alerts.ops]
urls = ["json://127.0.0.1:9/"]
"""


@dataclass(frozen=True)
class History:
    """Runs 1…`runs` of some flows, evenly over the time from `begin` to `end`."""

    flows: tuple[Flow, ...]
    runs: int
    begin: float
    end: float

    def flow(self, run: int) -> Flow:
        if run == 1:
            return self.flows[-1]
        return self.flows[0] if run % 2 else self.flows[1 + run // 2 % max(len(self.flows) - 2, 1)]

    def at(self, run: int) -> float:
        return self.begin + (self.end - self.begin) * (run - 1) / self.runs

    def state(self, run: int) -> str:
        return "skipped" if run % SKIPPED_EVERY == 7 else "failed" if run % FAILS_EVERY == 3 else "success"

    def ran(self) -> Iterator[tuple[int, str, str]]:
        """Run, job and state of each task: where the first job of a flow failed, what comes after it is blocked."""
        for run in range(1, self.runs + 1):
            state = self.state(run)
            if state != "skipped":
                for place, job in enumerate(self.flow(run).jobs):
                    yield run, job, "blocked" if place and state == "failed" else state

    # ---- rows ------------------------------------------------------------------------------------------------------------

    def run_rows(self) -> Iterator[tuple[Any, ...]]:
        for run in range(1, self.runs + 1):
            flow, at, state = self.flow(run), self.at(run), self.state(run)
            reason = {"skipped": "overlap", "failed": "exit_code"}.get(state)
            began = None if state == "skipped" else at
            roots, key, slot, digest = json.dumps(flow.roots), flow.triggers[0].key, int(at), flow.definition.digest
            yield run, flow.name, "schedule", key, roots, digest, slot, slot, 1, state, reason, at, began, at + TOOK

    def slot_rows(self) -> Iterator[tuple[Any, ...]]:
        for run in range(1, self.runs + 1):
            if self.state(run) != "skipped":
                flow = self.flow(run)
                for root in flow.roots:
                    yield root, flow.triggers[0].key, int(self.at(run)), run

    def task_rows(self) -> Iterator[tuple[Any, ...]]:
        for run, job, state in self.ran():
            at, ended = self.at(run), self.at(run) + TOOK
            if state == "blocked":
                yield run, job, job, state, "upstream_failed", self.flow(run).roots[0], 0, None, ended
            else:
                yield run, job, job, state, "exit_code" if state == "failed" else None, None, 1 + (state == "failed"), at, ended

    def attempt_rows(self) -> Iterator[tuple[Any, ...]]:
        for run, job, state in self.ran():
            at = self.at(run)
            for n in () if state == "blocked" else (1, 2) if state == "failed" else (1,):
                yield run, job, n, state, 1 if state == "failed" else 0, at + n - 1, at + n - 1, at + TOOK + n - 2, 4711

    def alert_rows(self) -> Iterator[tuple[Any, ...]]:
        for run, job, state in self.ran():
            if state == "failed":
                yield self.at(run) + TOOK, "failure", "ops", job, run, job, 1, self.at(run) + TOOK + 1

    def act_rows(self) -> Iterator[tuple[Any, ...]]:
        for run in range(1000, self.runs + 1, 1000):
            job = self.flow(run).roots[0]
            yield self.at(run), "ada", "pause", f"cronflow pause {job}", job


def make(folder: Path, jobs: int = JOBS, runs: int = RUNS, days: float = DAYS, logs: int = 0, now: float | None = None) -> Places:
    """The job file and the state in a folder that has neither. Of the newest `logs` runs there is output too."""
    places = Places(folder / "jobs.toml", folder / "state", folder / "state")
    places.state.mkdir(parents=True, mode=0o700)
    places.file.write_text(HEAD.format(keep=days + 30) + "".join(map(_job, range(jobs))))
    places.file.chmod(0o644)
    fill(places, runs, days, now)
    if logs:
        _write_logs(places, logs)
    return places


def _job(number: int) -> str:
    when = f'after = ["job{number - 1}"]' if number % 10 == 9 else f'schedule = "{number % 60} 0 1 1 *"'
    return f'\n[jobs.job{number}]\ncommand = "true"\nretries = 1\n{when}\n'


def fill(places: Places, runs: int = RUNS, days: float = DAYS, now: float | None = None) -> None:
    """Write the history of the flows of a job file, each with a trigger of its own, into a state folder without a database."""
    flows = tuple(plan(read(str(places.file), thorough=False).jobs.jobs).flows.values())
    end = time.time() if now is None else now
    history = History(flows, runs, end - days * 86400.0, end)
    store = Store.open(places.state)
    db = store.connection
    try:
        db.execute("PRAGMA journal_mode = MEMORY")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        _insert(db, "definitions", "digest, flow, body", (flow.definition for flow in flows))
        columns = "id, flow, trigger, trigger_key, roots, definition, slot, slot_last, slots, state, reason,"
        _insert(db, "runs", f"{columns} created_at, started_at, finished_at", history.run_rows())
        _insert(db, "run_slots", "root, trigger_key, slot, run", sorted(history.slot_rows()))
        _insert(db, "tasks", "run, name, job, state, reason, caused_by, attempts, started_at, finished_at", history.task_rows())
        columns = "run, task, kind, n, state, result, exit_code, created_at, started_at, finished_at, pid"
        rows = ((run, job, "command", n, "ended", *rest) for run, job, n, *rest in history.attempt_rows())
        _insert(db, "attempts", columns, rows)
        _insert(db, "alerts", "at, kind, target, job, run, task, tries, sent_at", history.alert_rows())
        _insert(db, "acts", "at, by, verb, words, job", history.act_rows())
        cursors = ((root, flow.triggers[0].key, end) for flow in flows for root in flow.roots)
        _insert(db, "cursors", "job, trigger_key, at", cursors)
        took = json.dumps([TOOK] * 10)
        _insert(db, "health", "job, last_success_at, durations", ((job, end, took) for flow in flows for job in flow.jobs))
        db.execute("COMMIT")
        db.execute("PRAGMA journal_mode = WAL")
    finally:
        store.close()


def _insert(db: Any, table: str, columns: str, rows: Any) -> None:
    marks = ", ".join("?" * (columns.count(",") + 1))
    db.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)


def _write_logs(places: Places, logs: int) -> None:
    store = Store.open(places.state)
    try:
        newest = store.connection.execute("SELECT max(id) FROM runs").fetchone()[0]
        query = "SELECT run, task, n FROM attempts WHERE run > ?"
        for run, task, n in store.connection.execute(query, (newest - logs,)):
            log = places.log(run, task, n)
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text(f"output of {run}/{task}/{n}\n")
    finally:
        store.close()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--days", type=float, default=DAYS)
    parser.add_argument("--logs", type=int, default=0, help="how many of the newest runs have output")
    options = parser.parse_args(arguments)
    begun = time.perf_counter()
    places = make(options.folder, options.jobs, options.runs, options.days, options.logs)
    size = places.database.stat().st_size / 1e6
    print(f"{places.database}: {options.runs} runs of {options.jobs} jobs, {size:.0f} MB, {time.perf_counter() - begun:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
