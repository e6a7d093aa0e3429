"""A database that SQLite reads without a word, and that is not what was written: noticed when it is opened or loaded."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from cronflow.core import tables
from cronflow.core.effects import Effects
from cronflow.core.jobs import definition
from cronflow.core.records import Alert, Attempt, Cursor, Definition, Live, Pause, Run, RunPaths, Task
from cronflow.daemon.upkeep.recovery import salvaged
from cronflow.errors import CronflowError
from cronflow.store.sound import DamageError, is_damage
from cronflow.store.store import FILE, LockedError, Store
from tests.core.stage import job

HEADER = 100
TELLING = (18, 19, 47, 59, 63)
BITS = sorted({8 * byte + byte % 8 for byte in range(HEADER)} | {8 * byte + bit for byte in TELLING for bit in range(8)})
"""One of each byte of the head, and all of those that say what kind of file it is (https://sqlite.org/fileformat2.html, 1.3)."""


def going_on() -> Effects:
    """A run with a task in an attempt, a cursor, a pause, an alert that is not sent, and the files that caused the run."""
    digest, body = definition({"a": job("a")})
    run = Run(7, "a", "watch", 4000.0, digest, "key", ("a",), state="running", started_at=4000.5)
    attempt = Attempt(7, "a", 1, state="running", pid=99, created_at=4000.5, started_at=4000.6)
    task = Task(7, "a", "a", Live(attempt, 4000.5), attempts=1, started_at=4000.5)
    run.tasks = {"a": task}
    return Effects.saving(
        Definition(digest, "a", body),
        *(run, task, attempt),
        Cursor("a", "key", 4000.0),
        Pause("a", 10.0, "anna", 99.5, "quiet"),
        RunPaths(7, ("/in/x",)),
        *(Alert(7.0, "failure", "ops", "a", 7, "a", {"failures": 2}), Alert(8.0, "late", "ops", "a", 7)),
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    store = Store.open(tmp_path)
    store.save(going_on())
    store.close()
    return tmp_path


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE runs SET state = 'rufning'",
        "UPDATE runs SET roots = '[\"a\"'",
        "UPDATE runs SET created_at = 'x'",
        "UPDATE runs SET definition = 'another'",
        "UPDATE runs SET upstreams = '[]'",
        "UPDATE tasks SET job = 'b'",
        "UPDATE tasks SET run = 8",
        "UPDATE tasks SET state = 'redrying'",
        "UPDATE tasks SET attempts = 1.5",
        "UPDATE tasks SET finished_at = 5.0",
        "DELETE FROM tasks",
        "UPDATE attempts SET task = 'b'",
        "UPDATE attempts SET state = 'ended'",
        "UPDATE attempts SET state = x'72'",
        "UPDATE cursors SET at = 9e300",
        "UPDATE cursors SET at = 'never'",
        "UPDATE pauses SET until = x'ff'",
        "UPDATE definitions SET body = replace(body, 'true', 'tsue')",
        "UPDATE definitions SET body = CAST(x'ff' AS TEXT)",
        "DELETE FROM definitions",
    ],
)
def test_a_state_that_cannot_have_been_saved_is_damage(folder: Path, harm: str) -> None:
    store = Store.open(folder)
    store.load()
    store.connection.execute(harm)
    with pytest.raises(sqlite3.DatabaseError) as noticed:
        store.load()
    assert is_damage(noticed.value)
    store.close()


def test_no_bit_of_the_head_keeps_a_daemon_from_starting(folder: Path) -> None:
    sound, noticed = folder.parent / "sound", 0
    shutil.copy(folder / FILE, sound)
    for bit in BITS:
        raw = bytearray(sound.read_bytes())
        raw[bit // 8] ^= 1 << bit % 8
        (folder / FILE).write_bytes(raw)
        store = Store.open(folder)
        noticed += store.moved_aside is not None
        store.close()
        for path in folder.glob(f"{FILE}*"):
            path.unlink()
    assert noticed > len(BITS) / 5


@pytest.mark.parametrize("version", [0, 1, 77])
def test_a_database_of_another_program_is_not_written_to(tmp_path: Path, version: int) -> None:
    path = tmp_path / FILE
    db = sqlite3.connect(path)
    db.executescript(f"CREATE TABLE places (url TEXT); PRAGMA user_version = {version};")
    db.close()
    before = path.read_bytes()
    store = Store.open(tmp_path)
    assert store.moved_aside is not None
    assert store.accident == f"the database was damaged; it was moved to `{store.moved_aside}`, and a new one takes its place"
    assert (tmp_path / store.moved_aside).read_bytes()[HEADER:] == before[HEADER:]
    store.save(going_on())
    store.close()


def test_a_database_that_was_deleted_is_told_where_a_daemon_has_lived(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    (tmp_path / "alive").touch()
    (tmp_path / FILE).unlink()
    store = Store.open(tmp_path)
    assert (store.moved_aside, store.accident) == (None, "the database was deleted, and a new one takes its place")
    store.close()


@pytest.mark.parametrize("how", ["deleted", "replaced", "cut"])
def test_what_happens_to_the_file_while_it_is_open_is_noticed_at_the_next_commit(folder: Path, how: str) -> None:
    store = Store.open(folder)
    store.save(Effects())
    store.check_place()
    if how == "deleted":
        (folder / FILE).unlink()
    elif how == "replaced":
        shutil.copy(folder / FILE, folder / "copy")
        (folder / "copy").rename(folder / FILE)
    else:
        with open(folder / FILE, "r+b") as file:
            file.truncate(0)
    with pytest.raises(DamageError):
        store.save(going_on())
    anew = store.replaced(folder)
    anew.save(going_on())
    anew.close()


def test_a_file_that_somebody_has_made_smaller_with_vacuum_is_sound(folder: Path) -> None:
    store = Store.open(folder)
    room = "CREATE TABLE reserve (x); INSERT INTO reserve VALUES (zeroblob(1000000)); DROP TABLE reserve;"
    store.connection.executescript(room)
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.check_place()
    before = (folder / FILE).stat().st_size
    other = sqlite3.connect(folder / FILE)
    other.execute("VACUUM")
    other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    other.close()
    assert (folder / FILE).stat().st_size < before
    store.save(Effects())
    assert store.load().runs.keys() == {7}
    store.close()


def test_a_locked_database_is_neither_damaged_nor_a_full_disk(folder: Path) -> None:
    other = sqlite3.connect(folder / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LockedError, match="is locked by another program"):
        Store.open(folder)
    other.execute("ROLLBACK")
    other.close()
    Store.open(folder).close()
    assert issubclass(LockedError, CronflowError)


def test_alerts_and_files_are_salvaged_as_far_as_they_make_sense(folder: Path) -> None:
    store = Store.open(folder)
    state = store.load()
    found = salvaged(store, state)
    alerts = list(going_on().of(tables.ALERTS).values())
    assert found.of(tables.RUN_PATHS) == {7: RunPaths(7, ("/in/x",))}
    assert list(found.of(tables.ALERTS).values()) == alerts
    store.connection.execute("UPDATE alerts SET at = 'then', facts = '{' WHERE kind = 'late'")
    store.connection.execute("UPDATE run_paths SET paths = '[1]'")
    found = salvaged(store, state)
    assert found.of(tables.RUN_PATHS) == {}
    assert list(found.of(tables.ALERTS).values()) == alerts[:1]
    store.connection.execute("DROP TABLE alerts")
    assert not salvaged(store, state)
    store.close()


def test_a_new_database_that_cannot_be_written_is_stood_in_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise its tables would be found sound and empty at the next start, and nobody would know of what was going on."""
    store = Store.open(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "set_meta", _no_room)
        stands_in = store.replaced(tmp_path, generation="2")
    assert "disk is full" in (stands_in.stands_in or "")
    assert stands_in.moved_aside is not None
    anew = stands_in.replaced(tmp_path, generation="2")
    assert (anew.stands_in, anew.meta("generation"), anew.moved_aside) == (None, "2", stands_in.moved_aside)
    anew.close()


def _no_room(_store: Store, **_facts: str) -> None:
    raise CronflowError("the database cannot be written: database or disk is full")
