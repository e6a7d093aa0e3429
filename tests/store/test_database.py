"""A damaged store is replaced under those who hold the database."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cronflow.store.database import Database
from cronflow.store.sound import DamageError
from cronflow.store.store import FILE, Store


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(Store.open(tmp_path), tmp_path, {"id": "x"})


def test_damage_is_noted_and_a_disk_that_is_full_is_waited_for(database: Database) -> None:
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    database.on_error(full)
    assert database.damage is None
    database.on_error(DamageError("a page is torn"))
    assert str(database.damage) == "a page is torn"
    database.store.close()


def test_a_mistake_of_ours_is_not_taken_for_a_disk_that_fails(database: Database) -> None:
    with pytest.raises(sqlite3.ProgrammingError):
        database.on_error(sqlite3.ProgrammingError("a statement with too few values"))
    database.store.close()


def test_a_new_store_takes_the_place_and_is_spared_for_a_while(database: Database, tmp_path: Path) -> None:
    before = database.store
    database.on_error(DamageError("a page is torn"))
    database.replace()
    assert database.store is not before
    assert (database.damage, database.replaced) == (None, 1)
    assert database.store.meta("id") == "x"
    assert (tmp_path / FILE).exists()
    assert (tmp_path / str(database.store.moved_aside)).exists()
    database.on_error(DamageError("again"))
    assert database.damage is None, "what is wrong now may be us"
    database.store.close()
