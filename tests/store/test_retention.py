"""What is forgotten, in which steps, and what stays."""

from __future__ import annotations

import os
from pathlib import Path

from cronflow.core.model import Settings
from cronflow.daemon.retention import RUNS_A_STEP, SOON, Retention
from cronflow.places import Places
from tests.core.stage import MIDNIGHT, Stage, job

DAY = 86400.0


def history(days: int, keys: dict[str, object] | None = None) -> Stage:
    """A job that ran once a day."""
    stage = Stage(job("a", schedule="0 1 * * *", **(keys or {})))
    for day in range(days):
        stage.at(day * DAY + 3600)
        stage.end(f"{day + 1}/a/1")
    return stage


def numbers(stage: Stage) -> list[int]:
    return [row[0] for row in stage.rows()]


def places(folder: Path) -> Places:
    return Places(folder / "jobs.toml", folder, folder)


def test_runs_older_than_keep_runs_go_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    stage = history(10)
    Retention(stage.store, places(tmp_path)).step(Settings(keep_runs=4 * DAY), stage.now + 60)
    assert numbers(stage) == [7, 8, 9, 10]
    for table in ("tasks", "attempts", "run_slots"):
        assert {row[0] for row in stage.store.connection.execute(f"SELECT run FROM {table}")} == {7, 8, 9, 10}


def test_the_newest_run_of_a_flow_stays_however_old_it_is(tmp_path: Path) -> None:
    stage = history(3)
    Retention(stage.store, places(tmp_path)).step(Settings(keep_runs=DAY), stage.now + 365 * DAY)
    assert numbers(stage) == [3]


def test_keep_runs_as_a_count(tmp_path: Path) -> None:
    stage = history(10)
    Retention(stage.store, places(tmp_path)).step(Settings(keep_runs=None, keep_runs_count=3), stage.now)
    assert numbers(stage) == [8, 9, 10]


def test_a_row_that_the_next_slot_continues_stays(tmp_path: Path) -> None:
    stage = Stage(job("a", schedule="0 * * * *"), job("b", ("a",)))
    for hour in (1, 2, 3):
        stage.at(hour * 3600)
    Retention(stage.store, places(tmp_path)).step(Settings(keep_runs=1.0), stage.now + DAY)
    stage.at(4 * 3600)
    assert stage.rows()[-1][5] == 3


def test_a_large_history_is_forgotten_in_steps(tmp_path: Path) -> None:
    stage = history(RUNS_A_STEP + 50)
    retention = Retention(stage.store, places(tmp_path))
    retention.step(Settings(keep_runs=DAY), stage.now + 2 * DAY)
    assert len(numbers(stage)) == 50
    assert retention.next_at == stage.now + 2 * DAY + SOON
    retention.step(Settings(keep_runs=DAY), stage.now + 2 * DAY + SOON)
    assert len(numbers(stage)) == 1


def test_logs_go_earlier_than_runs_and_those_of_a_run_that_goes_on_stay(tmp_path: Path) -> None:
    stage = history(4)
    stage.at(4 * DAY + 3600)
    where = places(tmp_path)
    for number in range(1, 6):
        log = where.log(number, "a", 1)
        log.parent.mkdir(parents=True)
        log.write_text("output")
    Retention(stage.store, where).step(Settings(keep_logs=2 * DAY), MIDNIGHT + 4 * DAY + 3500)
    assert [where.log(number, "a", 1).exists() for number in range(1, 6)] == [False, False, True, True, True]
    assert len(numbers(stage)) == 5


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
    retention = Retention(stage.store, where)
    now = stage.now + 60
    for _ in range(1000):
        retention.step(Settings(keep_logs=DAY), now)
        if retention.remover is None:
            break
        retention.remover.wait(30)
        now = retention.next_at
    assert not where.of_run(1).exists()
    assert not where.of_run(2).exists()
    assert where.of_run(3).exists()
