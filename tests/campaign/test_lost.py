"""What nobody can know any more is said to be lost, once, and goes on from there: it is not waited for, and not started again."""

from __future__ import annotations

import hashlib
import os
import sqlite3

import pytest

from tests.campaign.household import keepers
from tests.campaign.test_stall import RECORD, present, recorder, written
from tests.campaign.workload import kill
from tests.daemon.live import Live

SLEEPS = f"{RECORD}; sleep 600"


def orphaned(live: Live, retries: int = 0) -> tuple[int, int]:
    """A run whose daemon and keeper are all dead; its number, and the pid of its command."""
    live.start(recorder(live, command=f'[ "$CRONFLOW_ATTEMPT" = 1 ] || exit 0; {SLEEPS}', retries=retries, retry_delay="1ms"))
    run = live.run("a")
    pid = live.started(run, "a")
    live.until(lambda: written(live))
    house = present(live)
    live.signal(9)
    live.ended()
    live.process = None
    kill(house.guard)
    kill(house.holder)
    live.until(lambda: not keepers(live.places.journals))
    return run, pid


def journals(live: Live) -> list[str]:
    return [name for name in os.listdir(live.places.journals) if name.endswith(".journal")]


def attempts(live: Live, run: int) -> list[tuple[object, ...]]:
    return live.rows("SELECT n, result FROM attempts WHERE run = ? ORDER BY n", run)


@pytest.mark.parametrize("retries", [0, 1])
def test_without_a_journal_what_had_begun_is_lost(live: Live, retries: int) -> None:
    run, pid = orphaned(live, retries)
    os.killpg(pid, 9)
    for name in journals(live):
        (live.places.journals / name).unlink()
    live.until(lambda: not os.path.exists(f"/proc/{pid}"))
    live.start()
    assert live.final(run) == ("success" if retries else "failed")
    assert attempts(live, run) == [(1, "lost"), (2, "success")][: 1 + retries]
    assert written(live) == {f"{run}/1": 1}


def test_what_is_lost_and_still_lives_is_not_tried_again(live: Live) -> None:
    run, pid = orphaned(live, 3)
    for name in journals(live):
        (live.places.journals / name).unlink()
    live.start()
    assert live.final(run) == "failed"
    assert attempts(live, run) == [(1, "lost")]
    os.killpg(pid, 9)


def test_while_a_journal_cannot_be_read_nothing_is_concluded(live: Live) -> None:
    run, pid = orphaned(live, 1)
    name = journals(live)[0]
    journal, aside = live.places.journals / name, live.path("aside")
    journal.rename(aside)
    journal.mkdir()
    live.start()
    live.stays(lambda: live.one("SELECT state FROM runs WHERE id = ?", run) == "running", 1.5)
    assert "cannot be read" in live.log
    journal.rmdir()
    aside.rename(journal)
    live.until(lambda: "its process" in live.log, "the command is not found again")
    os.killpg(pid, 9)
    assert live.final(run) in ("failed", "success")
    assert written(live) == {f"{run}/1": 1}


def test_after_a_reboot_what_had_been_asked_for_is_not_started_again(live: Live) -> None:
    """The journal of a keeper is not synced, so that after a power cut it may lack what ran; the history is."""
    run, pid = orphaned(live)
    os.killpg(pid, 9)
    for name in journals(live):
        (live.places.journals / name).unlink()
    with sqlite3.connect(live.places.database) as db:
        db.execute("UPDATE attempts SET state = 'starting', pid = NULL, started_at = NULL")
        db.execute("UPDATE meta SET value = 'another boot' WHERE key = 'boot'")
    db.close()
    live.start()
    assert live.final(run) == "failed"
    assert attempts(live, run) == [(1, "lost")]
    assert written(live) == {f"{run}/1": 1}


def test_without_a_reboot_what_no_journal_names_is_started(live: Live) -> None:
    run, pid = orphaned(live)
    os.killpg(pid, 9)
    for name in journals(live):
        (live.places.journals / name).unlink()
    live.path("record").write_text("")
    live.write(recorder(live, command="exit 0"))
    with sqlite3.connect(live.places.database) as db:
        db.execute("UPDATE attempts SET state = 'starting', pid = NULL, started_at = NULL")
        body = db.execute("SELECT body FROM definitions").fetchone()[0].replace("sleep 600", "exit 0")
        digest = hashlib.sha256(body.encode()).hexdigest()[:16]
        db.execute("UPDATE definitions SET digest = ?, body = ?", (digest, body))
        db.execute("UPDATE runs SET definition = ?", (digest,))
    db.close()
    live.start()
    assert live.final(run) == "success"
    assert written(live) == {f"{run}/1": 1}
