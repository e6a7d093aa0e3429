"""The one connection that writes: what is saved comes back, all of it or nothing, and old, newer and damaged files."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronflow.core import tables
from cronflow.core.effects import Effects
from cronflow.core.jobs import Edge, Job, definition
from cronflow.core.records import Act, Alert, Attempt, Cursor, Definition, Health, Live, Pause, Run, RunSlot, Task, Trouble
from cronflow.core.state import LiveState
from cronflow.core.words import storable
from cronflow.daemon.upkeep.recovery import everything, revive
from cronflow.errors import CronflowError
from cronflow.places import Places, newest_logged
from cronflow.store import outbox, reserve
from cronflow.store.file import move_aside
from cronflow.store.queries import History
from cronflow.store.schema import MIGRATIONS
from cronflow.store.store import FILE, Store

JOBS = {"a": Job("a", "true", schedule=("0 4 * * *",), env={"K": "v"}), "b": Job("b", ("x", "y"), after=(Edge("a", "done"),))}
DIGEST, BODY = definition(JOBS)


def going_on(number: int = 1, slot: int = 4000) -> Effects:
    """A run with a task that runs and one that waits."""
    run = Run(number, "a", "schedule", 4000.5, DIGEST, "key", ("a",), slot=slot, slot_last=slot, slots=1, state="running")
    run.started_at, run.by, run.params = 4000.75, "anna", {"p": "1"}
    live = Attempt(number, "a", 2, state="running", pid=77, created_at=4001.0, started_at=4001.25, stop="cancelled")
    first = Task(number, "a", "a", Live(live, 4000.6), attempts=2, started_at=4000.75)
    second = Task(number, "b", "b", matrix={"region": "eu"}, outputs={"rows": "12"}, caused_by="a")
    run.tasks = {"a": first, "b": second}
    ended = Attempt(number, "a", 1, state="ended", result="failed", reason="exit_code", exit_code=3, created_at=4000.6)
    ended.left_behind, ended.cpu_s, ended.max_rss_kb, ended.output_bytes = ("88 sleep 9",), 0.25, 1024, 9
    return Effects.saving(
        Definition(DIGEST, "a", BODY), run, RunSlot("a", "key", slot, number), first, second, ended, live
    )


def of_every_noun() -> Effects:
    out = going_on()
    out.add(
        Effects.saving(
            Cursor("a", "key", 4000.0, catching_up=True, row=None),
            Pause("b", 10.0, "anna", 99.5, "vendor migration"),
            Health("a", 3000.0, 2, 100.0, 3001.0),
            Trouble("config", "config", "jobs.toml:3: no", 5.0, told=True),
            Act(6.0, "anna", "pause", "cronflow pause b", "b", None),
            Alert(7.0, "failure", "ops", "a", 1, "a", {"failures": 2, "blocks": ["b"]}),
        )
    )
    return out


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store.open(tmp_path)
    yield one
    one.close()


def dump(folder: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(f"file:{folder / FILE}?mode=ro", uri=True)) as db:
        return list(db.iterdump())


def rows(store: Store, query: str) -> list[tuple[Any, ...]]:
    return store.connection.execute(query).fetchall()


# ---- saving and loading ---------------------------------------------------------------------------------------------------


def test_every_noun_comes_back(store: Store, tmp_path: Path) -> None:
    saved = of_every_noun()
    store.save(saved)
    store.close()
    again = Store.open(tmp_path)
    state = again.load()
    assert state.runs == saved.of(tables.RUNS)
    assert list(state.runs[1].tasks) == ["a", "b"]
    assert state.runs[1].tasks["a"].live == saved.of(tables.TASKS)[1, "a"].live
    assert state.cursors == saved.of(tables.CURSORS)
    assert state.pauses == saved.of(tables.PAUSES)
    assert state.health == saved.of(tables.HEALTH)
    assert state.troubles == saved.of(tables.TROUBLES)
    assert state.definition_of(state.runs[1]) == JOBS
    assert state.next_run == 2
    assert [History.open(tmp_path / FILE).acts()[0].act] == list(saved.of(tables.ACTS).values())
    (alert,) = outbox.due(again.connection, 7.0)
    assert alert.facts == {"failures": 2, "blocks": ["b"]}
    assert (alert.at, alert.kind, alert.target, alert.job, alert.run, alert.task) == (7.0, "failure", "ops", "a", 1, "a")
    ended = again.run(1)
    assert ended is not None
    again.close()


def test_what_has_ended_is_history_and_no_live_state(store: Store) -> None:
    out = going_on()
    store.save(out)
    run = out.of(tables.RUNS)[1]
    run.state, run.finished_at = "success", 4100.0
    store.save(Effects.saving(run))
    state = store.load()
    assert state.runs == {}
    assert state.next_run == 2
    assert store.run(1) is not None
    assert store.run(2) is None


def test_numbers_are_never_given_twice(store: Store) -> None:
    store.save(going_on(41))
    store.connection.execute("DELETE FROM runs")
    assert store.load().next_run == 42


def test_what_is_gone_is_deleted(store: Store) -> None:
    store.save(of_every_noun())
    gone = Effects()
    gone.delete(tables.CURSORS, ("a", "key"))
    gone.delete(tables.PAUSES, "b")
    gone.delete(tables.TROUBLES, "config")
    store.save(gone)
    state = store.load()
    assert (state.cursors, state.pauses, state.troubles) == ({}, {}, {})


def test_saving_twice_is_saving_once(store: Store, tmp_path: Path) -> None:
    out = of_every_noun()
    store.save(out)
    before = dump(tmp_path)
    for once in (tables.RUN_SLOTS, tables.ACTS, tables.ALERTS):
        del out.rows[once]
    store.save(out)
    assert dump(tmp_path) == before


def test_the_row_that_a_cursor_continues_is_loaded(store: Store) -> None:
    row = Run(5, "a", "schedule", 1.0, DIGEST, "key", ("a",), slot=10, slot_last=30, slots=3, state="missed", finished_at=2.0)
    cursor = Cursor("a", "key", 30.0, row=5)
    store.save(Effects.saving(Definition(DIGEST, "a", BODY), row, cursor))
    state = store.load()
    assert state.rows == {5: row}
    assert state.runs == {}


TEXT = st.text(st.characters(codec="utf-8"), max_size=20)


@settings(deadline=None)
@given(TEXT, TEXT, st.floats(0, 4e9), st.none() | st.integers(0, 4_000_000_000))
def test_any_text_and_any_time_comes_back(reason: str, name: str, at: float, slot: int | None) -> None:
    store = Store.in_memory()
    out = going_on()
    run, pause = out.of(tables.RUNS)[1], Pause("a", at, name, None, reason)
    run.note, run.created_at, run.params, run.slot = reason, at, {name: reason}, slot
    run.tasks["b"].outputs = {name: reason}
    out.save(pause)
    store.save(out)
    state = store.load()
    assert state.runs == {1: run}
    assert state.pauses == {"a": pause}
    store.close()


def test_bytes_that_are_no_text_are_written_as_escapes(store: Store) -> None:
    odd = os.fsdecode(b"caf\xe9 \xff")
    assert storable(odd) == "caf\\udce9 \\udcff"
    assert storable("naïve ✓") == "naïve ✓"
    store.save(Effects.saving(Act(1.0, "anna", "run", odd)))
    store.set_meta(file=odd)
    assert rows(store, "SELECT words FROM acts") == [("caf\\udce9 \\udcff",)]
    assert store.meta("file") == "caf\\udce9 \\udcff"
    assert store.meta("nothing") is None


# ---- all of it or nothing -------------------------------------------------------------------------------------------------


def test_a_slot_opens_one_run(store: Store, tmp_path: Path) -> None:
    store.save(going_on(1))
    before = dump(tmp_path)
    with pytest.raises(sqlite3.IntegrityError):
        store.save(going_on(2))
    assert dump(tmp_path) == before
    assert not store.connection.in_transaction
    store.save(going_on(2, slot=8000))


NAMES = ("runs", "run_slots", "tasks", "attempts", "cursors", "pauses", "health", "troubles", "acts", "alerts")


@pytest.mark.parametrize("table", NAMES)
def test_a_save_that_fails_leaves_the_database_as_it_was(store: Store, tmp_path: Path, table: str) -> None:
    store.save(going_on(1))
    store.connection.execute(f"CREATE TRIGGER no BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END")
    before = dump(tmp_path)
    out = of_every_noun()
    out.rows[tables.RUN_SLOTS] = {}
    out.save(RunSlot("a", "key", 8000, 1))
    with pytest.raises(sqlite3.IntegrityError, match="no"):
        store.save(out)
    assert dump(tmp_path) == before
    store.connection.execute("DROP TRIGGER no")
    store.save(out)
    assert store.load().pauses == out.of(tables.PAUSES)


def test_a_full_database_is_an_operational_error_and_can_be_saved_later(store: Store, tmp_path: Path) -> None:
    store.save(going_on(1))
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    before = dump(tmp_path)
    out = Effects.saving(Pause("a", 1.0, "anna", None, "x" * 100_000))
    for _ in range(3):
        with pytest.raises(sqlite3.OperationalError, match="full"):
            store.save(out)
        assert not store.connection.in_transaction
    assert dump(tmp_path) == before
    store.connection.execute("PRAGMA max_page_count = 1000000")
    store.save(out)
    assert store.load().pauses == out.of(tables.PAUSES)


def test_a_fact_that_cannot_be_saved_is_said(store: Store) -> None:
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    store.connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(CronflowError, match="the database cannot be written: database or disk is full"):
        store.set_meta(file="x" * 100_000)
    assert not store.connection.in_transaction


def test_the_reserve_makes_room_for_rows(store: Store, tmp_path: Path) -> None:
    reserve.reserve(store.connection, anew=True)
    page, free, count = (rows(store, f"PRAGMA {what}")[0][0] for what in ("page_size", "freelist_count", "page_count"))
    assert free * page >= reserve.SIZE
    assert (tmp_path / f"{FILE}-wal").stat().st_size > reserve.SIZE
    store.connection.execute(f"PRAGMA max_page_count = {count}")
    for number in range(1, 501):
        store.save(going_on(number, slot=number))
    assert rows(store, "PRAGMA page_count") == [(count,)]
    assert "reserve" not in {name for (name,) in rows(store, "SELECT name FROM sqlite_master")}
    size = (tmp_path / FILE).stat().st_size
    reserve.reserve(store.connection)
    assert rows(store, "PRAGMA page_count") == [(count,)], "there is enough, so nothing is added"
    store.save(Effects.saving(Pause("a", 1.0, "anna", None, "x" * (free * page // 2))))
    store.connection.execute(f"PRAGMA max_page_count = {count}")
    reserve.reserve(store.connection)  # there is no room for it: nothing changes
    assert rows(store, "PRAGMA integrity_check") == [("ok",)]
    store.connection.execute("PRAGMA max_page_count = 1000000")
    reserve.reserve(store.connection)
    assert rows(store, "PRAGMA freelist_count")[0][0] * page >= reserve.SIZE
    assert (tmp_path / FILE).stat().st_size >= size


# ---- others read ----------------------------------------------------------------------------------------------------------


def test_readers_see_whole_transactions_and_wait_for_nobody(store: Store, tmp_path: Path) -> None:
    store.save(going_on(1))
    over, seen, wrong = threading.Event(), [0], []

    def read() -> None:
        with contextlib.closing(sqlite3.connect(f"file:{tmp_path / FILE}?mode=ro", uri=True, timeout=0)) as db:
            while not over.is_set():
                try:
                    runs, tasks = db.execute("SELECT (SELECT count(*) FROM runs), (SELECT count(*) FROM tasks)").fetchone()
                except sqlite3.Error as error:
                    wrong.append(str(error))
                    return
                if tasks != 2 * runs:
                    wrong.append(f"{tasks} tasks of {runs} runs")
                seen[0] += 1

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(2, 300):
        store.save(going_on(number, slot=number))
    over.set()
    for thread in threads:
        thread.join(30)
    assert wrong == []
    assert seen[0] > 0


def test_a_reader_cannot_write(store: Store, tmp_path: Path) -> None:
    store.save(going_on())
    with History.open(tmp_path / FILE) as history, pytest.raises(sqlite3.OperationalError, match="readonly"):
        history.db.execute("DELETE FROM runs")


def test_the_files_are_for_their_owner_alone(store: Store, tmp_path: Path) -> None:
    store.save(going_on())
    for name in (FILE, f"{FILE}-wal", f"{FILE}-shm"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600, name


# ---- other files ----------------------------------------------------------------------------------------------------------


def test_an_empty_folder_gets_a_database_of_this_version(store: Store) -> None:
    assert rows(store, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert rows(store, "PRAGMA journal_mode") == [("wal",)]
    assert rows(store, "PRAGMA synchronous") == [(2,)]
    assert store.moved_aside is None
    assert store.load().next_run == 1


def test_an_older_database_is_migrated_from_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(tmp_path).close()
    later = (*MIGRATIONS, "ALTER TABLE runs ADD COLUMN colour TEXT;", "CREATE TABLE later (x);")
    monkeypatch.setattr("cronflow.store.store.MIGRATIONS", later)
    store = Store.open(tmp_path)
    assert rows(store, "PRAGMA user_version") == [(len(later),)]
    assert rows(store, "SELECT colour FROM runs") == []
    assert rows(store, "SELECT x FROM later") == []
    store.close()


def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Store.open(tmp_path).close()
    before = dump(tmp_path)
    monkeypatch.setattr("cronflow.store.store.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE one (x); CREATE TABLE one (x);"))
    with pytest.raises(CronflowError, match="table one already exists"):
        Store.open(tmp_path)
    assert dump(tmp_path) == before


def test_a_newer_database_is_refused_and_not_touched(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    store.set_meta(format=str(len(MIGRATIONS) + 1))
    store.close()
    before = (tmp_path / FILE).read_bytes()
    with pytest.raises(CronflowError, match=f"written by a newer cronflow .format {len(MIGRATIONS) + 1}") as refusal:
        Store.open(tmp_path)
    assert refusal.value.exit_status == 1
    assert refusal.value.hint
    assert (tmp_path / FILE).read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]


def test_a_damaged_database_is_moved_aside_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"garbage" * 1000)
    store = Store.open(tmp_path)
    assert store.moved_aside is not None
    assert (tmp_path / store.moved_aside).read_bytes() == b"garbage" * 1000
    store.save(of_every_noun())
    store.close()


def test_the_log_of_a_damaged_database_goes_with_it(tmp_path: Path) -> None:
    """Left behind, it would be taken for the log of the new one."""
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"{FILE}{suffix}").write_text(f"old{suffix}")
    aside = move_aside(tmp_path / FILE)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        f"{aside}{suffix}": f"old{suffix}" for suffix in ("", "-wal", "-shm")
    }


def test_two_that_are_damaged_in_one_second_are_both_kept(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / FILE).write_bytes(f"garbage {number}".encode() * 1000)
        Store.open(tmp_path).close()
        (tmp_path / FILE).unlink()
    kept = {path.read_bytes()[:9] for path in tmp_path.glob(f"{FILE}.damaged-*")}
    assert kept == {b"garbage 0", b"garbage 1"}


def test_an_empty_file_is_damage_only_where_a_daemon_has_lived(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    store = Store.open(tmp_path)
    assert store.moved_aside is None
    store.close()
    (tmp_path / "alive").touch()
    os.truncate(tmp_path / FILE, 0)
    store = Store.open(tmp_path)
    assert store.moved_aside is not None
    store.close()


def test_what_cannot_be_opened_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(CronflowError, match=f"cannot open the database `{tmp_path / FILE}`") as refusal:
        Store.open(tmp_path)
    assert refusal.value.exit_status == 1


# ---- rescue ---------------------------------------------------------------------------------------------------------------


def test_everything_that_goes_on_can_be_saved_anew() -> None:
    old, new = Store.in_memory(), Store.in_memory()
    saved = of_every_noun()
    row = Run(2, "a", "schedule", 1.0, DIGEST, "key", ("a",), slot=10, slot_last=30, slots=3, state="missed", finished_at=2.0)
    saved.add(Effects.saving(row, Cursor("a", "key", 30.0, row=2)))
    old.save(saved)
    state = old.load()
    new.save(everything(state))
    again = new.load()
    for what in LiveState.__dataclass_fields__:
        if what not in ("timers", "due"):
            assert getattr(again, what) == getattr(state, what), what
    assert rows(new, "SELECT * FROM run_slots") == rows(old, "SELECT * FROM run_slots")


def test_numbers_go_on_above_those_that_have_logs(tmp_path: Path) -> None:
    places = Places(tmp_path / "jobs.toml", tmp_path, tmp_path)
    assert newest_logged(places) == 0
    for name in ("0/7", "1/1423", "1/1009", "1/lost+found", "README"):
        (tmp_path / "logs" / name).mkdir(parents=True)
    assert newest_logged(places) == 1423
    database, state, _ = revive(places, 0.0, print)
    assert state.next_run == 1424
    database.store.close()


def test_another_form_of_definitions_is_another_format() -> None:
    """A run that goes on is read with its definition: an older program must refuse a key that it does not know, and a newer one
    be able to read what there was. So once there has been a release, a change of these names needs a new entry in MIGRATIONS,
    which may be empty, and its digest here."""
    names = " ".join((*Job._fields, "|", *Edge._fields))
    digest = hashlib.sha256(names.encode()).hexdigest()[:12]
    assert (len(MIGRATIONS), digest) == (3, "9709c059e191")
