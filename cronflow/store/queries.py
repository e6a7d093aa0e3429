"""What the command line asks the history: a connection that only reads, one consistent snapshot, few statements.

No question costs a statement for each job or run: names and numbers go in as one JSON array, and SQLite seeks for each of
them. Writing is `store.py`'s alone. Records are named tuples, here and in the command line: a frozen dataclass takes four
times as long to define, and these commands are to be there at once.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from cronflow.core.jobs import Edge, Job, jobs_from_definition
from cronflow.core.notify.expectations import usual
from cronflow.core.plan.copies import upstream_tasks
from cronflow.core.records import Act, Attempt, Run, Task, Upstreams
from cronflow.core.words import storable
from cronflow.errors import CronflowError, Exit
from cronflow.store.rows import ATTEMPTS, RUNS, tasks_of
from cronflow.store.schema import MIGRATIONS, newer

FILES_TOLD = 3
"""How many of the files that caused a run are named."""


class Files(NamedTuple):
    """The files that caused a run: the names of the first, and how many there are."""

    names: tuple[str, ...] = ()
    total: int = 0


class RunRecord:
    """A run as the history tells it: its tasks in the order of its flow, all their attempts, its jobs as they were when it was
    opened, the files that caused it."""

    __slots__ = ("_by_job", "attempts", "files", "jobs", "run")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.attempts: dict[str, list[Attempt]] = {}
        self.jobs: Mapping[str, Job] = {}
        self.files = Files()
        self._by_job: dict[str, list[Task]] = {}

    @property
    def by_job(self) -> Mapping[str, list[Task]]:
        """The task of each job, or all its copies."""
        if not self._by_job:
            for task in self.run.tasks.values():
                self._by_job.setdefault(task.job, []).append(task)
        return self._by_job

    def tasks_of(self, job: str) -> list[Task]:
        """The task of a job, or all its copies."""
        return self.by_job.get(job, [])

    def job(self, task: Task) -> Job:
        """The definition that a task runs under; a job without any keys where that is not known."""
        return self.jobs.get(task.job) or Job(task.job, "")

    def upstreams(self, task: Task) -> list[tuple[Edge, Sequence[Task]]]:
        """The tasks of this run that a task comes after, edge by edge."""
        return list(upstream_tasks(self.jobs, task, self.by_job)) if task.job in self.jobs else []

    def awaited(self, task: Task) -> list[Task]:
        """The tasks of this run that a task waits for."""
        if not isinstance(task.phase, Upstreams):
            return []
        return [other for _, tasks in self.upstreams(task) for other in tasks if not other.final]

    @property
    def is_row(self) -> bool:
        """Whether this is a row of slots that did not run."""
        return self.run.is_row

    def commands(self, task: str) -> list[Attempt]:
        """The attempts of a task's own command, in their order."""
        return [attempt for attempt in self.attempts.get(task, []) if attempt.kind == "command"]

    def step(self, task: str, *kinds: str) -> Attempt | None:
        """The last process of a task that is of one of these kinds."""
        return next((one for one in reversed(self.attempts.get(task, [])) if one.kind in kinds), None)


class ActRecord(NamedTuple):
    """An act of a person with its number."""

    id: int
    act: Act


class History:
    """One database, open for reading; what it tells does not change until it is closed."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._definitions: dict[str, dict[str, Job]] = {}

    @classmethod
    def open(cls, path: Path) -> History:
        """Open a database. One that does not exist yet is an empty history; one that cannot be read is a CronflowError
        (exit status 5 where permission is missing, else 1)."""
        db = _connect(path) if _is_there(path) else None
        try:
            version = db.execute("PRAGMA user_version").fetchone()[0] if db else 0
        except sqlite3.DatabaseError as error:
            raise _damaged(path, error) from None
        if version > len(MIGRATIONS):
            raise CronflowError(newer(path, version), "use that version to read it")
        if db is None or version == 0:
            db = sqlite3.connect(":memory:", isolation_level=None)
            for script in MIGRATIONS:
                db.executescript(script)
        db.execute("BEGIN")
        return cls(db)

    def close(self) -> None:
        self.db.close()

    def __enter__(self) -> History:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # ---- runs ------------------------------------------------------------------------------------------------------------

    def has_run(self, number: int) -> bool:
        return self.scalar("SELECT 1 FROM runs WHERE id = ?", number) is not None

    def newest_run(self) -> int | None:
        """The number of the newest run that has tasks."""
        return self.number("SELECT max(run) FROM tasks")

    def records(self, numbers: Iterable[int]) -> list[RunRecord]:
        """These runs in this order, complete, with five statements. Numbers without a run are left out."""
        wanted = list(numbers)
        array = json.dumps(wanted)
        found = {
            row[0]: RunRecord(RUNS.object(row))
            for row in self.db.execute(f"{RUNS.select} WHERE id IN (SELECT value FROM json_each(?))", (array,))
        }
        tasks: dict[int, list[Task]] = {}
        for task in tasks_of(self.db, "run IN (SELECT value FROM json_each(?))", (array,)):
            tasks.setdefault(task.run, []).append(task)
        query = f"{ATTEMPTS.select} WHERE run IN (SELECT value FROM json_each(?)) ORDER BY created_at, n"
        for row in self.db.execute(query, (array,)):
            attempt: Attempt = ATTEMPTS.object(row)
            found[attempt.run].attempts.setdefault(attempt.task, []).append(attempt)
        first = ", ".join(f"'$[{place}]'" for place in range(FILES_TOLD))
        query = f"SELECT run, json_array_length(paths), json_extract(paths, {first}) FROM run_paths"
        for number, total, names in self.db.execute(f"{query} WHERE run IN (SELECT value FROM json_each(?))", (array,)):
            found[number].files = Files(tuple(storable(name) for name in json.loads(names)[:total]), total)
        self._learn({record.run.definition for record in found.values()})
        for number, record in found.items():
            record.jobs = self.definition(record.run.definition)
            record.run.tasks = {task.name: task for task in _in_order(tasks.get(number, []), list(record.jobs))}
        return [found[number] for number in wanted if number in found]

    def record(self, number: int | None) -> RunRecord | None:
        """One run, or None if there is none with that number."""
        records = [] if number is None else self.records([number])
        return records[0] if records else None

    def waiting_for_approval(self) -> list[tuple[int, str, str]]:
        """Run, task and job of all that wait for a person, oldest first."""
        query = (
            "SELECT run, name, job FROM tasks WHERE stage = 'approval' AND finished_at IS NULL"
            " AND run IN (SELECT id FROM runs WHERE finished_at IS NULL) ORDER BY run, stage_at, name"
        )
        return list(self.db.execute(query))

    def definition(self, digest: str) -> dict[str, Job]:
        """The jobs of a definition as they were; {} if it is not known."""
        self._learn({digest})
        return self._definitions.get(digest, {})

    def _learn(self, digests: set[str]) -> None:
        """Read definitions that are not known yet."""
        missing = sorted(digests - self._definitions.keys())
        if missing:
            query = "SELECT digest, body FROM definitions WHERE digest IN (SELECT value FROM json_each(?))"
            for digest, body in self.db.execute(query, (json.dumps(missing),)):
                self._definitions[digest] = jobs_from_definition(body)

    def stored_jobs(self) -> dict[str, Job]:
        """The jobs of the newest run of each flow: what there is to know where the job file cannot be read."""
        query = (
            "SELECT body FROM definitions WHERE digest IN"
            " (SELECT definition FROM runs WHERE id IN (SELECT max(id) FROM runs GROUP BY flow))"
        )
        jobs: dict[str, Job] = {}
        for (body,) in self.db.execute(query):
            jobs.update(jobs_from_definition(body))
        return jobs

    def live_runs(self) -> list[int]:
        """The numbers of the runs that have not ended, oldest first."""
        return [row[0] for row in self.db.execute("SELECT id FROM runs WHERE finished_at IS NULL ORDER BY id")]

    def find_runs(
        self,
        job: str | None = None,
        flow: str | None = None,
        states: Sequence[str] = (),
        since: float | None = None,
        until: float | None = None,
        limit: int = 20,
    ) -> list[int]:
        """The numbers of runs and of rows of slots that did not run, newest first.

        With `job`: runs in which it has a task, and rows of its flow. A run lies in [since, until] if it was opened then; a
        row, if one of its slots was due then, or if it was recorded then."""
        where: list[str] = ["1"]
        values: list[Any] = []
        if states:
            where.append(f"runs.state IN ({', '.join('?' * len(states))})")
            values.extend(states)
        if since is not None:
            where.append("max(runs.created_at, CASE WHEN slots > 0 THEN coalesce(slot_last, 0) ELSE 0 END) >= ?")
            values.append(since)
        if until is not None:
            where.append("CASE WHEN slots > 1 THEN min(created_at, slot) ELSE created_at END <= ?")
            values.append(until)
        condition = " AND ".join(where)
        if job is None:
            query = f"SELECT id FROM runs WHERE {condition} ORDER BY id DESC LIMIT ?"
            return [row[0] for row in self.db.execute(query, (*values, limit))]
        job, flow = storable(job), storable(flow or job)
        ran = (
            "SELECT DISTINCT runs.id FROM tasks JOIN runs ON runs.id = tasks.run"
            f" WHERE tasks.job = ? AND {condition} ORDER BY tasks.run DESC LIMIT ?"
        )
        numbers = {row[0] for row in self.db.execute(ran, (job, *values, limit))}
        rows = f"SELECT id FROM runs WHERE flow = ? AND id > ? AND is_row AND {condition} ORDER BY id DESC LIMIT ?"
        oldest = min(numbers) if len(numbers) == limit else 0
        numbers.update(row[0] for row in self.db.execute(rows, (flow, oldest, *values, limit)))
        return sorted(numbers, reverse=True)[:limit]

    def acts(
        self,
        since: float | None = None,
        until: float | None = None,
        job: str | None = None,
        runs: Iterable[int] = (),
        limit: int = 100,
    ) -> list[ActRecord]:
        """What people did in [since, until], newest first; with `job`, to it or to one of `runs`."""
        query = (
            "SELECT id, at, by, verb, words, job, run FROM acts WHERE at >= ? AND at <= ?"
            " AND (? IS NULL OR job = ? OR run IN (SELECT value FROM json_each(?))) ORDER BY id DESC LIMIT ?"
        )
        values = (since or 0.0, 1e12 if until is None else until, job, job, json.dumps(list(runs)), limit)
        return [ActRecord(row[0], Act(*row[1:])) for row in self.db.execute(query, values)]

    # ---- jobs ------------------------------------------------------------------------------------------------------------

    def last_runs(self, jobs: Iterable[str]) -> dict[str, int]:
        """The newest run in which each job has a task; jobs that never ran are left out."""
        query = "SELECT value, (SELECT max(run) FROM tasks WHERE job = value) FROM json_each(?)"
        return {job: run for job, run in self.db.execute(query, (_array(jobs),)) if run is not None}

    def last_tasks(self, jobs: Iterable[str]) -> dict[str, list[Task]]:
        """The tasks of each job in its newest run; several where the job has copies."""
        where = "(job, run) IN (SELECT value, (SELECT max(run) FROM tasks WHERE job = value) FROM json_each(?))"
        found: dict[str, list[Task]] = {}
        for task in tasks_of(self.db, where, (_array(jobs),)):
            found.setdefault(task.job, []).append(task)
        return found

    def last_in_state(self, jobs: Iterable[str], state: str) -> dict[str, int]:
        """The newest run in which each job's task ended in a state."""
        query = (
            "SELECT value, (SELECT run FROM tasks WHERE job = value AND state = ? ORDER BY run DESC LIMIT 1) FROM json_each(?)"
        )
        return {job: run for job, run in self.db.execute(query, (state, _array(jobs))) if run is not None}

    def durations(self, jobs: Iterable[str]) -> dict[str, tuple[float, ...]]:
        """How long the commands of each job's last successes ran, in seconds, newest last; jobs without one are left out."""
        query = "SELECT job, durations FROM health WHERE durations != '[]' AND job IN (SELECT value FROM json_each(?))"
        return {job: tuple(json.loads(text)) for job, text in self.db.execute(query, (_array(jobs),))}

    def usual_durations(self, jobs: Iterable[str]) -> dict[str, float]:
        """The median of these, in seconds."""
        return {job: median for job, times in self.durations(jobs).items() if (median := usual(times)) is not None}

    def run_of_slot(self, root: str, slot: int) -> int | None:
        """The run that a slot of a root opened."""
        return self.number("SELECT run FROM run_slots WHERE root = ? AND slot = ? ORDER BY run DESC", root, slot)

    def number(self, query: str, *values: Any) -> int | None:
        """The whole number in the first column of the first row, or None."""
        found: int | None = self.scalar(query, *values)
        return found

    def scalar(self, query: str, *values: Any) -> Any:
        """The first column of the first row, or None."""
        row = self.db.execute(query, values).fetchone()
        return None if row is None else row[0]


def _array(jobs: Iterable[str]) -> str:
    """Names of jobs for json_each(). A name that is not UTF-8 is written in a form that no job has."""
    return json.dumps([storable(name) for name in jobs])


def _in_order(tasks: list[Task], jobs: list[str]) -> list[Task]:
    """Tasks in the order of the jobs; copies by their names, in which `x9` is before `x10`."""
    places = {job: place for place, job in enumerate(jobs)}

    def place(task: Task) -> tuple[int, list[tuple[int, str]]]:
        parts = re.split(r"(\d{1,18})", task.name) if task.matrix else []
        return places.get(task.job, len(places)), [(int(part) if part.isdigit() else -1, part) for part in parts]

    return sorted(tasks, key=place)


def _is_there(path: Path) -> bool:
    """Whether there is a file. In a folder that may not be entered nobody knows: CronflowError (exit status 5)."""
    try:
        os.stat(path)
    except PermissionError:
        raise _not_ours(path) from None
    except OSError:
        return False
    return True


def _not_ours(path: Path) -> CronflowError:
    return CronflowError(f"the database `{path}` may not be read by this user", "try again with `sudo`", Exit.NOT_PERMITTED)


def _damaged(path: Path, error: sqlite3.DatabaseError) -> CronflowError:
    return CronflowError(f"cannot read the database `{path}`: {error}", "`cronflow daemon` moves a damaged one aside")


def _connect(path: Path) -> sqlite3.Connection:
    """A read-only connection. In a folder where SQLite cannot create its own files next to the database (it may not, or the disk
    is full), the database is read as it is, if no writer has left anything beside it."""
    if not os.access(path, os.R_OK):
        raise _not_ours(path)
    name = os.path.abspath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    for mode in ("mode=ro", "mode=ro&immutable=1"):
        if "immutable" in mode and _size(f"{path}-wal"):  # SQLite leaves an empty one where its next file has no room
            break
        db = sqlite3.connect(f"file:{name}?{mode}", uri=True, isolation_level=None, timeout=10.0)
        try:
            db.execute("SELECT 1 FROM sqlite_master").fetchone()
            return db
        except sqlite3.OperationalError:
            db.close()
        except sqlite3.DatabaseError as error:
            db.close()
            raise _damaged(path, error) from None
    if not os.statvfs(path.parent).f_bavail:
        raise CronflowError(f"cannot read the database `{path}`: its disk is full", f"make room in `{path.parent}`")
    raise CronflowError(f"cannot read the database `{path}`", "check who owns it, and its folder", Exit.NOT_PERMITTED)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
