"""When an alert leaves: what the outbox does with a row, without a service at its other end."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronflow.alerts.compose import Composer, Output
from cronflow.alerts.outbox import FORGOTTEN, Outbox
from cronflow.core.effects import Effects
from cronflow.core.events import TroubleFound, TroubleGone
from cronflow.core.records import Alert
from cronflow.store.database import Database
from cronflow.store.store import Store

SILENT = Output(lambda _ref, _most: b"", lambda _job: [], lambda _job: [])


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    database = Database(Store.open(tmp_path), tmp_path, {})
    one = Outbox(database, database.store.load(), Composer(database, SILENT), str(tmp_path))
    yield one
    one.close()
    database.store.close()


def decided(outbox: Outbox, at: float) -> None:
    """An alert to a target that the job file does not name (any more) has been saved."""
    out = Effects.saving(Alert(at, "failure", "gone"))
    outbox.database.store.save(out)
    outbox.saved(out)


def tried(outbox: Outbox) -> list[tuple[object, ...]]:
    db = outbox.database.store.connection
    return db.execute("SELECT tries, sent_at IS NOT NULL, error FROM alerts ORDER BY id").fetchall()


def make_due(outbox: Outbox) -> None:
    outbox.database.store.connection.execute("UPDATE alerts SET next_try_at = 0 WHERE sent_at IS NULL")
    outbox.next_at = 0.0


def test_an_alert_without_a_target_waits_for_it_and_is_trouble_after_three_tries(outbox: Outbox) -> None:
    decided(outbox, time.time())
    reason = "there is no `[alerts.gone]` in the job file any more"
    assert outbox.busy(time.time())
    assert outbox.poll({}) == []
    assert tried(outbox) == [(1, 0, reason)]
    assert not outbox.busy(time.time())
    wait = (outbox.deadline() or 0.0) - time.monotonic()
    assert 20 < wait <= 30
    make_due(outbox)
    assert outbox.poll({}) == []
    make_due(outbox)
    (trouble,) = outbox.poll({})
    assert isinstance(trouble, TroubleFound)
    assert trouble.trouble.message == f"alerts to `gone` do not arrive: {reason}"
    assert trouble.not_to == "gone"


def test_an_alert_is_given_up_a_day_after_its_target_has_gone(outbox: Outbox) -> None:
    decided(outbox, time.time() - FORGOTTEN - 1)
    assert outbox.poll({}) == [TroubleGone("alerts:gone")]
    assert tried(outbox) == [(1, 1, "there is no `[alerts.gone]` in the job file any more")]
    assert outbox.deadline() is None


def test_a_try_that_cannot_be_noted_is_known_and_not_made_again(outbox: Outbox) -> None:
    decided(outbox, time.time())
    db = outbox.database.store.connection
    db.execute("PRAGMA query_only = ON")
    outbox.poll({})
    outbox.poll({})
    assert list(outbox.unsaved) == [1]
    db.execute("PRAGMA query_only = OFF")
    outbox.next_at = 0.0
    outbox.poll({})
    assert outbox.unsaved == {}
    assert tried(outbox)[0][:2] == (1, 0)


def test_a_database_that_fails_is_left_alone_for_a_while(outbox: Outbox) -> None:
    decided(outbox, time.time())
    outbox.database.store.connection.execute("ALTER TABLE alerts RENAME TO elsewhere")
    assert outbox.poll({}) == []
    assert isinstance(outbox.database.damage, sqlite3.OperationalError)
    assert (outbox.deadline() or 0.0) > time.monotonic() + 1
    assert outbox.fds() == []


def test_another_database_has_other_alerts(outbox: Outbox) -> None:
    decided(outbox, time.time())
    outbox.poll({})
    outbox.database.replace()
    decided(outbox, time.time())
    outbox.poll({})
    assert tried(outbox) == [(1, 0, "there is no `[alerts.gone]` in the job file any more")]
