"""Damage in what no query asks for is found by the look through the whole database."""

from __future__ import annotations

import select
import time
from pathlib import Path

from cronflow.daemon.upkeep.integrity import IntegrityCheck
from cronflow.store.sound import DamageError
from cronflow.store.store import FILE, Store


def look(path: Path) -> str | None:
    """What a look finds."""
    check = IntegrityCheck(path, slots=True, first_after=0.0)
    check.poll({})
    (fd,) = check.fds()
    assert select.select([fd], [], [], 30)[0]
    damage = None
    try:
        check.poll({fd: select.POLLIN})
    except DamageError as error:
        damage = str(error)
    assert check.fds() == []
    deadline = check.deadline()
    assert deadline is not None
    assert deadline > time.monotonic() + 3600
    return damage


def test_a_sound_database_is_no_news_while_somebody_writes(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    store.set_meta(a="b")
    store.connection.execute("BEGIN IMMEDIATE")
    assert look(tmp_path / FILE) is None
    store.connection.execute("ROLLBACK")
    store.close()


def test_a_page_that_nobody_asks_for_is_news(tmp_path: Path) -> None:
    store = Store.open(tmp_path)
    (page,) = store.connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'acts'").fetchone()
    store.close()
    with open(tmp_path / FILE, "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    assert f"Page {page}" in (look(tmp_path / FILE) or "")


def test_damage_of_a_file_that_has_been_replaced_meanwhile_says_nothing_of_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(b"this is no database" * 1000)
    check = IntegrityCheck(path, slots=True, first_after=0.0)
    check.poll({})
    (fd,) = check.fds()
    assert select.select([fd], [], [], 30)[0]
    path.rename(tmp_path / "damaged")
    Store.open(tmp_path).close()
    check.poll({fd: select.POLLIN})
    assert check.fds() == []


def test_a_file_that_is_gone_is_for_others_to_notice(tmp_path: Path) -> None:
    assert look(tmp_path / FILE) is None
