"""What is forgotten, in which portions, and what stays."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.history import make
from cronflow.core import events as happened
from cronflow.core.jobs import Settings
from cronflow.core.records import Act, Alert
from cronflow.daemon.part import Life
from cronflow.daemon.upkeep.retention import AGAIN, DOUBT, EVERY, FOLDERS, PATIENCE, Retention, Tally, count_round, do_round
from cronflow.jobfile.read import read
from cronflow.places import Places
from cronflow.store import forgetting
from cronflow.store.database import Database
from cronflow.store.queries import History
from cronflow.store.store import Store
from tests.core.stage import MIDNIGHT, Stage, job

DAY = 86400.0


def history(days: int, keys: dict[str, object] | None = None) -> Stage:
    """A job that ran once a day."""
    stage = Stage(job("a", schedule="0 1 * * *", **(keys or {})))
    for day in range(days):
        stage.at(day * DAY + 3600)
        stage.end(f"{day + 1}/a/1")
    return stage


def places(folder: Path) -> Places:
    return Places(folder / "jobs.toml", folder, folder)


def numbers(stage: Stage) -> list[int]:
    return [row[0] for row in stage.rows()]


def prune(stage: Stage, folder: Path, settings: Settings, now: float) -> Tally:
    """A whole round; it removes what was counted before it, and a second one finds nothing."""
    db, where = stage.store.connection, places(folder)
    expected = count_round(db, where, settings, now)
    tally = Tally()
    for wait in do_round(stage.store, where, settings, now, tally):
        time.sleep(wait)
    assert tally == expected
    assert count_round(db, where, settings, now) == Tally()
    return tally


def column(stage: Stage, query: str) -> list[Any]:
    return [row[0] for row in stage.store.connection.execute(query)]


# ---- runs -----------------------------------------------------------------------------------------------------------------


def test_runs_older_than_keep_runs_go_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    stage = history(10)
    assert prune(stage, tmp_path, Settings(keep_runs=4 * DAY), stage.now + 60).runs == 6
    assert numbers(stage) == [7, 8, 9, 10]
    for table in ("tasks", "attempts", "run_slots"):
        assert set(column(stage, f"SELECT run FROM {table}")) == {7, 8, 9, 10}


def test_the_newest_run_of_a_flow_stays_however_old_it_is(tmp_path: Path) -> None:
    stage = history(3)
    prune(stage, tmp_path, Settings(keep_runs=DAY), stage.now + 365 * DAY)
    assert numbers(stage) == [3]


def test_the_newest_run_of_each_job_stays(tmp_path: Path) -> None:
    stage = Stage(job("a"), job("b", ("a",)))
    stage.run("a")
    stage.end("1/a/1")
    stage.end("1/b/1")
    for number in (2, 3):
        stage.run("a", only=True)
        stage.end(f"{number}/a/1")
    prune(stage, tmp_path, Settings(keep_runs=DAY), stage.now + 9 * DAY)
    assert numbers(stage) == [1, 3]


def test_keep_runs_as_a_count(tmp_path: Path) -> None:
    stage = history(10)
    prune(stage, tmp_path, Settings(keep_runs=None, keep_runs_count=3), stage.now)
    assert numbers(stage) == [8, 9, 10]


def test_a_count_is_one_of_runs_of_each_job_however_many_copies_it_has(tmp_path: Path) -> None:
    stage = Stage(job("a"), job("b", ("a",), matrix={"x": ("1", "2", "3")}), job("c"))
    for number in range(1, 7):
        whole = number in (1, 3)
        stage.run("a", only=not whole)
        stage.end(f"{number}/a/1")
        for copy in "123" if whole else "":
            stage.end(f"{number}/b[{copy}]/1")
    for number in (7, 8, 9):
        stage.run("c")
        stage.end(f"{number}/c/1")
    prune(stage, tmp_path, Settings(keep_runs=None, keep_runs_count=2), stage.now)
    assert numbers(stage) == [1, 3, 5, 6, 8, 9]
    assert sorted(set(column(stage, "SELECT job FROM tasks WHERE run = 3"))) == ["a", "b"]


def test_rows_of_slots_that_did_not_run_are_counted_with_the_runs_of_their_flow(tmp_path: Path) -> None:
    stage = Stage(job("a", schedule="0 * * * *"))
    for hour in range(1, 11):
        if hour % 2:
            stage.ask(happened.SkipAsked, ("a",), slots=1)
        stage.at(hour * 3600)
        if not hour % 2:
            stage.end(f"{hour}/a/1")
    assert [row[3] for row in stage.rows()] == ["skipped", "success"] * 5
    prune(stage, tmp_path, Settings(keep_runs=None, keep_runs_count=3), stage.now)
    assert [row[3] for row in stage.rows()] == ["success", "success", "skipped", "success"]


def test_a_row_that_the_next_slot_continues_stays(tmp_path: Path) -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", ("a",)))
    for hour in (1, 2, 3):
        stage.at(hour * 3600)
    prune(stage, tmp_path, Settings(keep_runs=1.0), stage.now + DAY)
    stage.at(4 * 3600)
    assert stage.rows()[-1][5] == 3


def test_the_ends_that_edges_between_flows_count_stay(tmp_path: Path) -> None:
    stage = Stage(job("a", schedule="0 1 * * *"), job("x", schedule="0 2 * * *"), job("c", ("a", "x")))
    stage.at(3600)
    stage.end("1/a/1")
    for number in (2, 3):
        stage.run("a", only=True)  # no end for others
        stage.end(f"{number}/a/1")
    prune(stage, tmp_path, Settings(keep_runs=1.0), stage.now + 3600)
    assert numbers(stage) == [1, 3]
    stage.restart()
    stage.at(7200)
    stage.end("4/x/1")
    assert stage.rows()[-1][1:3] == ("c", "after")


def test_what_an_alert_is_still_to_tell_stays(tmp_path: Path) -> None:
    stage = history(3)
    db = stage.store.connection
    for row in ((MIDNIGHT, 1, None), (MIDNIGHT, 2, stage.now)):
        db.execute("INSERT INTO alerts (at, kind, target, run, sent_at) VALUES (?, 'failure', 'ops', ?, ?)", row)
    prune(stage, tmp_path, Settings(keep_runs=1.0), stage.now + DAY)
    assert numbers(stage) == [1, 3]
    assert column(stage, "SELECT run FROM alerts") == [1]


def test_a_retry_inherits_the_files_that_caused_the_first_run(tmp_path: Path) -> None:
    stage = Stage(job("a"))
    stage.run("a")
    stage.end("1/a/1")
    stage.store.connection.execute("INSERT INTO run_paths VALUES (1, '[\"/in/a\"]')")
    stage.retry(1, "a")
    stage.end("2/a/1")
    stage.now += 3 * DAY
    stage.retry(2, "a")
    stage.end("3/a/1")
    assert stage.store.paths(3) == ("/in/a",)
    prune(stage, tmp_path, Settings(keep_runs=DAY), stage.now)
    assert numbers(stage) == [3]
    assert stage.store.paths(3) == ("/in/a",)


def test_what_goes_on_stays_with_what_it_is_a_retry_of(tmp_path: Path) -> None:
    stage = history(3)
    stage.retry(1, "a")
    prune(stage, tmp_path, Settings(keep_runs=1.0), stage.now + DAY)
    assert numbers(stage) == [1, 4]
    assert stage.restart().actions is not None
    stage.end("4/a/1")
    assert stage.rows()[-1][3] == "success"


def test_the_live_state_is_the_same_after_a_round(tmp_path: Path) -> None:
    stage = Stage(job("a", schedule="0 1 * * *"), job("b", ("a",)), job("c", ("b",), schedule="30 * * * *"))
    for hour in range(1, 60):
        stage.at(hour * 3600)
        for ref in [str(task.live.ref) for task in stage.state.live() if task.live is not None]:
            stage.end(ref, hour % 3 == 0)
    before = stage.store.load()
    assert prune(stage, tmp_path, Settings(keep_runs=3600.0), stage.now).runs
    after = stage.store.load()
    for name in ("runs", "rows", "cursors", "links", "pauses", "health", "next_run", "timers"):
        assert getattr(after, name) == getattr(before, name), name


# ---- what is of no run ----------------------------------------------------------------------------------------------------


def with_acts(stage: Stage) -> None:
    db = stage.store.connection
    acts = ((1, "a", 1), (2, "a", None), (3, None, None), (4, "a", None), (5, "b", None), (6, "a", None), (7, "a", 3))
    for at, word, run in acts:
        act = Act(MIDNIGHT + at * DAY, "anna", "pause", f"at {at}", word, run)
        db.execute("INSERT INTO acts (at, by, verb, words, job, run) VALUES (?, ?, ?, ?, ?, ?)", act)
    for at, sent in ((1, 1), (2, None), (3, 3), (6, 6)):
        alert = Alert(MIDNIGHT + at * DAY, "missed", "ops")
        db.execute("INSERT INTO alerts (at, kind, target, sent_at) VALUES (?, ?, ?, ?)", (*alert[:3], sent))


def test_acts_and_alerts_of_no_run_go_by_their_age(tmp_path: Path) -> None:
    stage = history(3)
    with_acts(stage)
    tally = prune(stage, tmp_path, Settings(keep_runs=2.5 * DAY), MIDNIGHT + 7 * DAY)
    assert (tally.acts, tally.alerts) == (3, 2)
    assert column(stage, "SELECT words FROM acts") == ["at 5", "at 6", "at 7"]
    assert column(stage, "SELECT (at - 1793059200) / 86400 FROM alerts") == [2, 6]


def test_acts_and_alerts_of_no_run_are_counted_by_job_and_target(tmp_path: Path) -> None:
    stage = history(3)
    with_acts(stage)
    prune(stage, tmp_path, Settings(keep_runs=None, keep_runs_count=2), stage.now)
    assert column(stage, "SELECT words FROM acts") == ["at 3", "at 4", "at 5", "at 6", "at 7"]
    prune(stage, tmp_path, Settings(keep_runs=None, keep_runs_count=1), stage.now)
    assert column(stage, "SELECT words FROM acts") == ["at 3", "at 5", "at 6", "at 7"]
    assert column(stage, "SELECT (at - 1793059200) / 86400 FROM alerts") == [2, 6]


def test_definitions_that_no_run_points_to_are_forgotten(tmp_path: Path) -> None:
    stage = history(2)
    stage.reload(job("a", schedule="0 1 * * *", retries=1))
    stage.at(2 * DAY + 3600)
    stage.end("3/a/1")
    stage.store.connection.execute("INSERT INTO definitions VALUES ('0', 'gone', '[]')")
    assert len(column(stage, "SELECT digest FROM definitions")) == 3
    prune(stage, tmp_path, Settings(keep_runs=1.5 * DAY), stage.now)
    assert len(column(stage, "SELECT digest FROM definitions")) == 2
    prune(stage, tmp_path, Settings(keep_runs=0.5 * DAY), stage.now)
    assert column(stage, "SELECT digest FROM definitions") == column(stage, "SELECT definition FROM runs")


# ---- portions -------------------------------------------------------------------------------------------------------------


class Watch:
    """What a connection does from one call of `portion` to the next."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self.statements: list[str] = []
        self.changes = db.total_changes
        db.set_trace_callback(self.statements.append)

    def portion(self) -> tuple[int, int, Counter[str]]:
        """Statements, rows changed, and the first words of the statements."""
        said, self.statements = self.statements, []
        self.db.set_trace_callback(self.statements.append)
        before, self.changes = self.changes, self.db.total_changes
        return len(said), self.changes - before, Counter(one.split()[0] for one in said)


@pytest.fixture
def year(tmp_path: Path) -> Iterator[tuple[Store, Places]]:
    """A longer history in a file."""
    where = make(tmp_path / "house", jobs=20, runs=3000)
    store = Store.open(where.state)
    yield store, where
    store.close()


@pytest.mark.parametrize("settings", [Settings(keep_runs=30 * DAY), Settings(keep_runs=None, keep_runs_count=20)])
def test_a_portion_is_small_and_one_transaction_at_most(year: tuple[Store, Places], settings: Settings) -> None:
    store, where = year
    watch, tally, portions = Watch(store.connection), Tally(), 0
    most = forgetting.RUNS * 8  # run, slot, two tasks, three attempts, an alert
    for _ in do_round(store, where, settings, time.time(), tally):
        statements, changed, words = watch.portion()
        portions += 1
        assert changed <= most
        assert words["COMMIT"] <= 1
        assert statements <= forgetting.RUNS + 80, words
    assert tally.runs > 2000
    assert portions > tally.runs / forgetting.RUNS
    with History.open(where.database) as kept:
        assert kept.scalar("SELECT count(*) FROM runs") == 3000 - tally.runs
        assert kept.scalar("SELECT count(*) FROM tasks WHERE run NOT IN (SELECT id FROM runs)") == 0
    for job_name in read(str(where.file)).jobs.jobs:
        assert store.connection.execute("SELECT count(*) FROM tasks WHERE job = ?", (job_name,)).fetchone()[0] > 0


def test_every_question_goes_by_an_index(year: tuple[Store, Places]) -> None:
    """Tables that grow with the history are never read from end to end."""
    store, where = year
    asked: list[str] = []
    store.connection.set_trace_callback(asked.append)
    for settings in (Settings(keep_runs=300 * DAY), Settings(keep_runs=None, keep_runs_count=100)):
        for _ in do_round(store, where, settings, time.time(), Tally()):
            pass
    store.connection.set_trace_callback(None)
    asked = [one for one in asked if one.split()[0] in ("SELECT", "WITH", "DELETE", "INSERT")]
    kinds = {one.split("(SELECT value")[0][:200]: one for one in asked}
    assert len(kinds) > 10
    for one in kinds.values():
        plan = [row[3] for row in store.connection.execute(f"EXPLAIN QUERY PLAN {one}")]
        large = ("runs", "tasks", "attempts", "run_slots", "acts", "alerts", "definitions")
        assert not [step for step in plan if step.startswith("SCAN") and step.split()[1] in large], (one, plan)
        assert not [step for step in plan if step == "SCAN live"], (one, plan)


def test_a_run_with_many_tasks_goes_in_several_transactions(tmp_path: Path) -> None:
    copies = tuple(str(number) for number in range(2 * forgetting.ROWS))
    stage = Stage(job("a", matrix={"x": copies}), max_running=len(copies))
    for number in (1, 2):
        stage.run("a")
        for copy in copies:
            stage.end(f"{number}/a[{copy}]/1")
    watch, tally = Watch(stage.store.connection), Tally()
    for _ in do_round(stage.store, places(tmp_path), Settings(keep_runs=1.0), stage.now + DAY, tally):
        assert watch.portion()[1] <= forgetting.ROWS + 10
    assert (tally.runs, numbers(stage)) == (1, [2])
    assert set(column(stage, "SELECT run FROM tasks UNION SELECT run FROM attempts")) == {2}


# ---- in the daemon --------------------------------------------------------------------------------------------------------


def rounds(stage: Stage, folder: Path, next_at: float, alive: float | None = None) -> Retention:
    """The rounds of a daemon of which the next portion is due at a time of the monotonic clock."""
    life = Life(places(folder), slots=True, log=print)
    retention = Retention(life, Database(stage.store, folder, {}), stage.state, alive)
    retention.next_at = next_at
    return retention


def test_portions_wait_for_a_quiet_moment_but_not_for_ever(tmp_path: Path) -> None:
    stage = history(200)
    retention = rounds(stage, tmp_path, time.monotonic())
    due, settings = retention.next_at, Settings(keep_runs=DAY)
    retention.step(settings, stage.now, quiet=False)
    assert len(numbers(stage)) == 200
    assert retention.deadline() > due
    assert retention.next_at == due
    time.sleep(PATIENCE + 0.05)
    retention.step(settings, stage.now, quiet=False)
    assert len(numbers(stage)) == 200 - forgetting.RUNS
    assert retention.next_at > due
    retention.next_at += 1000  # it rests before the next one
    retention.step(settings, stage.now, quiet=True)
    assert len(numbers(stage)) == 200 - forgetting.RUNS


def test_a_round_that_somebody_asks_for_begins_at_once_and_tells_how_it_goes(tmp_path: Path) -> None:
    stage = history(60)
    retention = rounds(stage, tmp_path, time.monotonic() + EVERY)
    said: list[dict[str, Any]] = []
    retention.demand(lambda event: said.append(dict(event)))
    while not (said and said[-1]["over"]):
        retention.step(Settings(keep_runs=DAY), stage.now, quiet=True)
        time.sleep(max(retention.deadline() - time.monotonic(), 0) if not said or not said[-1]["over"] else 0)
    assert said[-1] == {"event": "pruned", "over": True, "failed": None, "runs": 58, "logs": 0, "acts": 0, "alerts": 0}
    assert retention.next_at > time.monotonic() + EVERY - 60
    assert numbers(stage) == [59, 60]


def test_a_clock_that_leaps_beyond_all_that_is_kept_removes_nothing_for_a_day_unless_somebody_asks(tmp_path: Path) -> None:
    stage, settings = history(60), Settings(keep_runs=DAY, keep_logs=DAY)
    begun = time.monotonic()
    retention = rounds(stage, tmp_path, begun, alive=stage.now)
    retention.step(settings, stage.now + 3000 * DAY, quiet=True)
    assert len(numbers(stage)) == 60
    assert begun + DOUBT <= retention.next_at <= begun + DOUBT + 60
    said: list[dict[str, Any]] = []
    retention.demand(lambda event: said.append(dict(event)))
    retention.step(settings, stage.now + 3000 * DAY, quiet=True)
    assert len(numbers(stage)) < 60

    stage = history(60)
    retention = rounds(stage, tmp_path, begun, alive=stage.now - DAY / 2)
    retention.step(settings, stage.now, quiet=True)
    assert len(numbers(stage)) < 60


def test_a_round_that_fails_is_begun_anew_and_its_asker_hears_of_it(tmp_path: Path) -> None:
    stage = history(60)
    retention = rounds(stage, tmp_path, time.monotonic())
    said: list[dict[str, Any]] = []
    retention.demand(lambda event: said.append(dict(event)))
    stage.store.connection.execute("PRAGMA query_only = ON")
    with pytest.raises(sqlite3.OperationalError):
        retention.step(Settings(keep_runs=DAY), stage.now, quiet=True)
    assert "readonly" in said[-1]["failed"]
    assert time.monotonic() + AGAIN - 30 < retention.next_at <= time.monotonic() + AGAIN
    assert stage.store.connection.execute("PRAGMA synchronous").fetchone() == (2,)
    stage.store.connection.execute("PRAGMA query_only = OFF")
    assert prune(stage, tmp_path, Settings(keep_runs=DAY), stage.now).runs == 58


# ---- output ---------------------------------------------------------------------------------------------------------------


def write_logs(where: Places, *runs: int) -> None:
    for number in runs:
        log = where.log(number, "a", 1)
        log.parent.mkdir(parents=True)
        log.write_text("output")


def left(where: Places, *runs: int) -> list[int]:
    return [number for number in runs if where.of_run(number).exists()]


def test_logs_go_earlier_than_runs_and_those_of_a_run_that_goes_on_stay(tmp_path: Path) -> None:
    stage = history(4)
    stage.at(4 * DAY + 3600)
    where = places(tmp_path)
    write_logs(where, 1, 2, 3, 4, 5)
    tally = prune(stage, tmp_path, Settings(keep_logs=2 * DAY), MIDNIGHT + 4 * DAY + 3500)
    assert left(where, 1, 2, 3, 4, 5) == [3, 4, 5]
    assert (tally.runs, tally.logs) == (0, 2)
    assert len(numbers(stage)) == 5


def test_the_age_of_output_is_that_of_the_end_of_its_run(tmp_path: Path) -> None:
    stage = Stage(job("a"), job("b"))
    stage.run("a")
    stage.run("b")
    stage.end("2/b/1")
    stage.now += 5 * DAY
    stage.end("1/a/1")
    where = places(tmp_path)
    write_logs(where, 1, 2)
    prune(stage, tmp_path, Settings(keep_logs=2 * DAY), stage.now)
    assert left(where, 1, 2) == [1]


def test_the_output_of_a_run_goes_with_it(tmp_path: Path) -> None:
    stage = history(6)
    where = places(tmp_path)
    write_logs(where, *range(1, 7))
    tally = prune(stage, tmp_path, Settings(keep_runs=None, keep_runs_count=2, keep_logs=99 * DAY), stage.now)
    assert left(where, *range(1, 7)) == [5, 6]
    assert (tally.runs, tally.logs) == (4, 4)


def test_output_of_runs_that_nobody_knows_goes_by_its_own_age(tmp_path: Path) -> None:
    """A new database in the place of a damaged one knows none of the old runs."""
    stage = history(1)
    where = places(tmp_path)
    write_logs(where, 41, 42, 1999)
    os.utime(where.of_run(41), (MIDNIGHT - 9 * DAY,) * 2)
    os.utime(where.of_run(42), (MIDNIGHT - 1 * DAY,) * 2)
    os.utime(where.of_run(1999), (MIDNIGHT - 9 * DAY,) * 2)
    prune(stage, tmp_path, Settings(keep_logs=3 * DAY), MIDNIGHT + 3600)
    assert left(where, 41, 42, 1999) == [42]


def test_empty_shelves_are_taken_away_but_for_the_last(tmp_path: Path) -> None:
    stage = history(1)
    for shelf in (0, 1, 2):
        (tmp_path / "logs" / str(shelf)).mkdir(parents=True)
    prune(stage, tmp_path, Settings(), stage.now)
    assert sorted(os.listdir(tmp_path / "logs")) == ["2"]


def test_many_folders_are_removed_by_several_processes(tmp_path: Path) -> None:
    stage = history(2 * FOLDERS + 20)
    where = places(tmp_path)
    write_logs(where, *range(1, 2 * FOLDERS + 21))
    tally = prune(stage, tmp_path, Settings(keep_runs=None, keep_runs_count=9999, keep_logs=10 * DAY), stage.now)
    assert tally.logs == 2 * FOLDERS + 9
    assert left(where, *range(1, 2 * FOLDERS + 21)) == list(range(2 * FOLDERS + 10, 2 * FOLDERS + 21))


def test_what_jobs_left_in_their_state_folders_goes_with_the_logs(tmp_path: Path) -> None:
    stage = history(3)
    where = places(tmp_path)
    for run in (1, 2, 3):
        deep = where.task_state(run, "a")
        where.of_run(run).mkdir(parents=True)
        deep.mkdir()
        where.log(run, "a", 1).write_text("x")
    folder = os.open(where.task_state(1, "a"), os.O_RDONLY)
    for _ in range(1500):  # deeper than a recursion goes
        os.mkdir("d", dir_fd=folder)
        inner = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    (where.task_state(2, "a") / "link").symlink_to("/")
    assert prune(stage, tmp_path, Settings(keep_logs=DAY), stage.now + 60).logs == 2
    assert left(where, 1, 2, 3) == [3]
