"""Before a database gets a new format it is copied, and the copy is the database as it was."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronflow.errors import CronflowError
from cronflow.store import store as stores
from cronflow.store.queries import History
from cronflow.store.schema import MIGRATIONS
from cronflow.store.store import FILE, Store

OLD = Path(__file__).with_name("format_1.sql")
COPY = f"{FILE}.v1"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A folder with a database of format 1, part of it still in its write-ahead log."""
    with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.executescript(OLD.read_text())
        db.execute("PRAGMA user_version = 1")
    return tmp_path


def told(path: Path) -> list[str]:
    """All that a database says but for its indexes, and for the number of its format."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        lines = (line for line in db.iterdump() if not line.startswith("CREATE INDEX"))
        return [line for line in lines if """INTO "meta" VALUES('format',""" not in line]


def kept(path: Path) -> dict[str, list[object]]:
    """What every format says: the rows of the tables, in the columns that all of them have."""
    with contextlib.closing(sqlite3.connect(path)) as db:
        columns = {
            "runs": "id, flow, trigger, trigger_key, roots, by, params, definition, slot, slot_last, slots, state, finished_at",
            "cursors": "job, trigger_key, at, row, mark",
            **dict.fromkeys(("definitions", "run_slots", "tasks", "attempts", "links", "watched", "run_paths", "skips"), "*"),
            **dict.fromkeys(("pauses", "health", "troubles", "acts", "alerts"), "*"),
        }
        return {table: db.execute(f"SELECT {names} FROM {table}").fetchall() for table, names in columns.items()}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_database_of_an_older_format_is_kept_beside_the_new_one(old: Path) -> None:
    before = told(old / FILE)
    store = Store.open(old)
    store.close()
    assert store.copied == COPY
    assert store.moved_aside is None
    assert told(old / COPY) == before
    assert kept(old / FILE) == kept(old / COPY)
    assert names(old) == {FILE, COPY}
    assert stat.S_IMODE((old / COPY).stat().st_mode) == 0o600
    for name, version in ((FILE, len(MIGRATIONS)), (COPY, 1)):
        with contextlib.closing(sqlite3.connect(old / name)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (version,)
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_what_is_only_in_the_log_is_in_the_copy(old: Path) -> None:
    writer = sqlite3.connect(old / FILE, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("UPDATE runs SET note = 'in the log' WHERE id = 1")
    reader = sqlite3.connect(old / FILE)  # keeps the log from being taken in
    reader.execute("BEGIN").connection.execute("SELECT count(*) FROM runs").fetchone()
    writer.close()
    Store.open(old).close()
    reader.close()
    with contextlib.closing(sqlite3.connect(old / COPY)) as db:
        assert db.execute("SELECT note FROM runs WHERE id = 1").fetchone() == ("in the log",)


def test_the_history_and_the_live_state_of_an_older_format_are_read(old: Path) -> None:
    store = Store.open(old)
    state = store.load()
    store.close()
    assert state.next_run == 4
    assert set(state.health) == {"load", "report", "side"}
    assert (state.pauses["side"].reason, state.skips["mail"].left) == ("repairs", 1)
    with History.open(old / FILE) as history:
        records = history.records([1, 2, 3])
    assert [record.run.state for record in records] == ["failed", "success", "failed"]
    assert [len(record.commands("report")) for record in records] == [2, 0, 2]


def test_there_is_one_copy_for_each_format(old: Path) -> None:
    (old / COPY).write_text("of an earlier attempt")
    (old / f"{COPY}.part").write_text("of one that was cut short")
    before = told(old / FILE)
    Store.open(old).close()
    assert told(old / COPY) == before
    assert names(old) == {FILE, COPY}


def test_a_database_of_today_and_a_new_one_are_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        store = Store.open(tmp_path)
        store.close()
        assert store.copied is None
    assert names(tmp_path) == {FILE}


def test_without_room_for_the_copy_nothing_is_changed(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (old / FILE).read_bytes()
    full = os.statvfs_result((4096, 4096, 1000, 3000, 3000, 9, 9, 9, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    with pytest.raises(CronflowError) as refusal:
        Store.open(old)
    assert "before it is changed a copy is kept: it and the change need 17 MB, 12 MB are left" in str(refusal.value)
    assert refusal.value.hint is not None
    assert "make room" in refusal.value.hint
    assert refusal.value.exit_status == 1
    assert (old / FILE).read_bytes()[100:] == before[100:]  # its header now says that it has a log
    assert told(old / FILE)
    assert COPY not in names(old)


@contextlib.contextmanager
def no_file_above(size: int) -> Iterator[None]:
    """Writes beyond a size fail, as on a disk that is full (SIGXFSZ is ignored by Python)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_copy_that_fails_leaves_nothing_behind(old: Path) -> None:
    before = told(old / FILE)
    with no_file_above(40_960), pytest.raises(CronflowError, match="a copy is kept: that failed"):
        Store.open(old)
    assert told(old / FILE) == before
    assert not any(name.startswith(COPY) for name in names(old))
    with contextlib.closing(sqlite3.connect(old / FILE)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


def test_a_history_on_a_full_disk_is_read(old: Path) -> None:
    Store.open(old).close()
    for _ in range(2):  # the first time SQLite leaves an empty log beside it
        with no_file_above(0), History.open(old / FILE) as history:
            assert history.has_run(3)
    assert (old / f"{FILE}-wal").stat().st_size == 0


@pytest.mark.parametrize("script", ["CREATE TABLE runs (x);", "CREATE UNIQUE INDEX one ON runs (roots);"])
def test_a_change_that_fails_half_way_is_undone(old: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Also where it is the data that do not fit: nothing is damaged then, and nothing is moved aside."""
    with contextlib.closing(sqlite3.connect(old / FILE)) as db:
        db.execute("UPDATE runs SET roots = '[]'").connection.commit()
    before = told(old / FILE)
    monkeypatch.setattr(stores, "MIGRATIONS", (MIGRATIONS[0], f"CREATE INDEX half ON runs (definition); {script}"))
    for _ in range(2):
        with pytest.raises(CronflowError, match="cannot be brought to format 2") as refusal:
            Store.open(old)
        assert refusal.value.hint == f"install the version before again; the database as it was is in `{COPY}`"
        assert told(old / FILE) == told(old / COPY) == before
        assert not [name for name in names(old) if "damaged" in name]
        with contextlib.closing(sqlite3.connect(old / FILE)) as db:
            assert db.execute("SELECT count(*) FROM sqlite_master WHERE name = 'half'").fetchone() == (0,)
    monkeypatch.undo()
    Store.open(old).close()
    assert kept(old / FILE) == kept(old / COPY)
