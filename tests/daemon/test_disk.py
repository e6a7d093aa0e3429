"""A disk that fills up, and a database that is damaged or of another time: nothing is lost that could be kept."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.live import ROOT, Live, job

# ---- full -----------------------------------------------------------------------------------------------------------------


def in_seclusion(case: str) -> dict[str, Any]:
    """Run a case of secluded.py where it may mount."""
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        pytest.skip("only root may mount")
    if subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    words = [unshare, "-m", "--propagation", "private", sys.executable, "-m", "tests.daemon.secluded", case]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert isinstance(result, dict)
    assert result["gaps"] == []
    assert result["integrity"] == [["ok"]]
    assert result["left"] == []
    assert not result["defect"]
    return result


def test_on_a_full_disk_the_schedule_goes_on_and_statuses_are_kept() -> None:
    seen = in_seclusion("full")
    assert seen["states"] == ["failed", "failed", "failed"]
    assert seen["codes"] == [["a", 3], ["flood", 7], ["tick", 0], ["wait", 5]]
    assert len(seen["problems"]) == 1
    assert re.search(r"is nearly full: 0\.\d MB left", seen["problems"][0])


def test_a_daemon_starts_on_a_full_disk() -> None:
    seen = in_seclusion("restart")
    assert seen["states"] == ["failed", "failed"]
    assert seen["codes"] == [["a", 3], ["flood", 7], ["tick", 0], ["wait", 5]]


def test_without_room_for_rows_nothing_is_started_and_nothing_is_forgotten() -> None:
    seen = in_seclusion("no_reserve")
    assert seen["alive"]
    assert sorted(one.split(" of ")[0] for one in seen["problems"]) == [
        "the database could not be written: database or disk is full", "the disk"
    ]
    assert len(seen["alerts"]) == 1
    assert "is nearly full" in seen["alerts"][0][0]
    assert seen["states"] == ["running", "failed"]
    assert seen["codes"] == [["tick", 0], ["wait", 5]]


def test_without_room_for_a_new_database_the_daemon_goes_on_until_there_is() -> None:
    seen = in_seclusion("no_database")
    assert seen["alive"]
    assert seen["states"] == ["failed"]
    assert seen["codes"] == [["tick", 0], ["wait", 5]]
    assert seen["log"].count("the database is damaged") == 1
    assert "Traceback" not in seen["said"] + seen["log"]


def test_where_no_file_can_be_made_commands_run_without_a_log() -> None:
    seen = in_seclusion("inodes")
    assert seen["states"] == ["failed", "failed", "failed"]
    assert seen["codes"] == [["a", 3], ["flood", 7], ["tick", 0], ["wait", 5]]
    assert seen["logs"] in (0, 1)
    assert "Traceback" not in seen["said"]
    assert "defect" not in seen["said"]


# ---- damaged --------------------------------------------------------------------------------------------------------------

PAGE = 4096


def header(path: Path) -> None:
    with open(path, "r+b") as file:
        file.write(b"this is no database any more")


def middle(path: Path) -> None:
    size = path.stat().st_size
    with open(path, "r+b") as file:
        file.seek(PAGE)
        file.write(b"\xa5" * (size - PAGE))


def halved(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2 // PAGE * PAGE)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def other_text(path: Path) -> None:
    path.write_text("cronflow\n" * 1000)


def tasks(path: Path) -> None:
    """Only what is read for the live state, not what is read first."""
    (page,) = pages_of(path, "tasks")
    with open(path, "r+b") as file:
        file.seek((page - 1) * PAGE)
        file.write(b"\xff" * PAGE)


@pytest.mark.parametrize("harm", [header, middle, emptied, other_text, tasks], ids=lambda harm: harm.__name__)
def test_a_damaged_database_goes_aside_and_the_schedule_goes_on(live: Live, harm: Callable[[Path], None]) -> None:
    jobs = job("a", "echo out of $CRONFLOW_RUN_ID") + job("long", "sleep 30") + job("tick", "true", schedule="* * * * * *")
    live.start(jobs + '[alerts.ops]\nurls = ["json://127.0.0.1:9"]\n')
    last = 0
    for _ in range(3):
        last = live.run("a")
        live.final(last)
    going_on = live.run("long")
    live.started(going_on, "long")
    live.terminate()
    harm(live.places.database)
    damaged = live.places.database.read_bytes()

    live.start()
    (aside,) = live.state.glob("cronflow.db.damaged-*")
    assert aside.read_bytes() == damaged
    message = f"the database was damaged; it was moved to `{aside.name}`, and a new one takes its place"
    assert message in live.log
    assert [one["message"] for one in live.cli("status", "--json").json["problems"]] == [message]
    assert live.rows("SELECT kind, target FROM alerts WHERE kind = 'system'") == [("system", "ops")]
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE flow = 'tick' AND state = 'success'"))
    run = live.run("a")
    assert run > last
    assert live.final(run) == "success"
    assert live.output(run, "a") == f"out of {run}\n"
    live.terminate()
    live.start()
    assert live.cli("status", "--json").json["problems"] == []


def moved(live: Live) -> bool:
    return bool(list(live.state.glob("cronflow.db.damaged-*")))


def pages_of(path: Path, table: str) -> list[int]:
    """The root page of a table."""
    db = sqlite3.connect(path)
    try:
        return [int(row[0]) for row in db.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))]
    finally:
        db.close()


def test_pages_that_only_writing_meets(live: Live) -> None:
    """The acts are read by no daemon: their damage is met by the first act. What goes on must live on in the new database."""
    waiting = f"while [ ! -e {live.path('go')} ]; do sleep 0.05; done; exit 4"
    live.start(job("a", "true", every="1d") + job("long", waiting) + job("b", "true", after={"long": "failure"}))
    live.ask("pause", jobs=["a"], reason="quiet")
    run = live.run("long")
    live.started(run, "long")
    live.terminate()
    with open(live.places.database, "r+b") as file:
        for page in pages_of(live.places.database, "acts"):
            file.seek((page - 1) * PAGE)
            file.write(b"\xff" * PAGE)
    live.start()
    assert not moved(live)
    second = live.run("a")
    assert second == run + 1
    assert live.final(second) == "success"
    assert moved(live)
    live.path("go").touch()
    assert live.final(run) == "failed"
    assert live.rows("SELECT name, state FROM tasks WHERE run = ? ORDER BY name", run) == [("b", "success"), ("long", "failed")]
    assert live.rows("SELECT job, reason FROM pauses") == [("a", "quiet")]
    assert live.rows("SELECT verb FROM acts") == [("run",)]
    live.signal(signal.SIGKILL)
    live.ended()
    live.process = None
    live.start()
    assert live.run("a") == second + 1


# ---- of another time ------------------------------------------------------------------------------------------------------


def test_a_newer_database_is_refused_and_not_touched(live: Live) -> None:
    live.start(job("a", "true"))
    live.terminate()
    db = sqlite3.connect(live.places.database)
    db.executescript("PRAGMA user_version = 99; UPDATE meta SET value = '99' WHERE key = 'format'")
    db.close()
    before = live.places.database.read_bytes()
    for words in (("daemon",), ("run", "a"), ("status",), ("runs",)):
        refused = live.cli(*words)
        assert refused.status == 1, words
        assert f"the database `{live.places.database}` was written by a newer cronflow (format 99, this one knows " in refused.err
        assert "hint: " in refused.err
    assert live.places.database.read_bytes() == before
    assert not moved(live)
