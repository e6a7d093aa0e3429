"""`cronflow status --check`: the line and the exit status that monitoring acts upon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli_read.conftest import cronflow
from tests.cli_read.peer import Peer
from tests.cli_read.tale import Tale, endings

JOBS = 'timezone = "UTC"\n[jobs.a]\nschedule = "0 2 * * *"\ncommand = "a"\n[jobs.b]\ncommand = "b"\n'


def tell(tmp_path: Path, code: int = 0) -> Tale:
    return Tale(tmp_path / "t", JOBS, {"a": endings(code)}).start("Mon 00:00").until("Mon 12:00")


def check(tale: Tale, daemon: bool = True, *arguments: str, foreground: bool = False) -> tuple[int, str]:
    if not daemon:
        result = cronflow(tale, "status", "--check", *arguments)
        return result.status, result.out
    ping = {"pid": 1, "since": 0.0, "version": "1", "file": "x", "foreground": foreground, "draining": False}
    with Peer(tale.places.control, ping=ping):
        result = cronflow(tale, "status", "--check", *arguments)
    assert result.out.count("\n") == 1
    assert re.fullmatch(r"CRONFLOW [A-Z]+: [^|]+ \| ([a-z]+=\d+;\d*;\d*;\d+(;\d+)? ?)+\n", result.out)
    return result.status, result.out


def test_all_is_well(tmp_path: Path) -> None:
    status, line = check(tell(tmp_path).close())
    assert (status, line.split(":")[0]) == (0, "CRONFLOW OK")
    assert "failing=0;;0;0" in line


def test_a_failing_job_is_critical(tmp_path: Path) -> None:
    status, line = check(tell(tmp_path, 3).close())
    assert status == 2
    assert line.startswith("CRONFLOW CRITICAL: 1 failing: a (exit 3) | failing=1;;0;0")


def test_no_daemon_is_critical(tmp_path: Path) -> None:
    tale = tell(tmp_path).close()
    assert check(tale, daemon=False)[0] == 2
    assert check(tale, foreground=True)[0] == 2, "a run in the foreground starts no slots"


def test_warnings(tmp_path: Path) -> None:
    tale = tell(tmp_path)
    tale.act("Pause", jobs=("b",))
    status, line = check(tale)
    assert (status, "b is paused for" in line) == (1, True)
    assert check(tale, True, "a")[0] == 0, "of another job it is no matter"


def test_an_alert_that_nobody_got_is_a_warning(tmp_path: Path) -> None:
    status, line = check(tell(tmp_path).alert("Mon 03:00", "HTTP 503").close())
    assert (status, "1 alert to ops undelivered" in line) == (1, True)


def test_trouble_is_a_warning(tmp_path: Path) -> None:
    status, line = check(tell(tmp_path).trouble("disk", "system", "the disk is full").close())
    assert (status, "the disk is full" in line) == (1, True)


def test_what_cannot_be_read_is_unknown(tmp_path: Path) -> None:
    tale = tell(tmp_path).close()
    for file in tale.places.state.glob("cronflow.db*"):
        file.unlink()
    tale.places.database.write_bytes(b"garbage " * 1000)
    result = cronflow(tale, "status", "--check")
    assert (result.status, result.err) == (3, "")
    assert result.out.startswith("CRONFLOW UNKNOWN: cannot read the database")


@pytest.mark.parametrize("job", ["nope"])
def test_a_job_that_is_not_there_is_unknown(tmp_path: Path, job: str) -> None:
    result = cronflow(tell(tmp_path).close(), "status", "--check", job)
    assert (result.status, result.out) == (3, "CRONFLOW UNKNOWN: no job `nope`\n")
