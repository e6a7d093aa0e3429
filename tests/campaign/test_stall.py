"""A keeper that does not answer, and a start that does not come to its command: nothing else waits, nothing runs twice."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from cronflow.cli import client
from tests.campaign.household import House, keepers
from tests.daemon.live import Live, job

MANY = 40
RECORD = 'echo "$CRONFLOW_RUN_ID/$CRONFLOW_ATTEMPT" >> "$HOUSE/record"'


def written(live: Live) -> Counter[str]:
    record = live.path("record")
    return Counter(record.read_text().split()) if record.exists() else Counter()


def present(live: Live) -> House:
    return live.until(lambda: keepers(live.places.journals), "there is no keeper")[-1]


def recorder(live: Live, name: str = "a", command: str = RECORD, **keys: object) -> str:
    return job(name, command, overlap="allow", env={"HOUSE": str(live.folder)}, **keys)


@pytest.mark.parametrize("resumed", ["while the next daemon asks", "when it has stopped waiting"])
def test_forty_requests_unread_by_a_stalled_keeper_run_once(live: Live, resumed: str) -> None:
    live.start(recorder(live))
    first = live.run("a")
    live.final(first)
    holder = present(live).holder
    os.kill(holder, signal.SIGSTOP)
    try:
        runs = [live.run("a") for _ in range(MANY)]
        live.signal(signal.SIGKILL)
        live.ended()
        live.launch()
        if resumed.startswith("while"):
            live.until(lambda: len(keepers(live.places.journals)) == 2, "the next daemon has no keeper")
        else:
            live.until(lambda: client.ping(live.places), "the next daemon waits for ever")
            again = live.run("a")
            assert live.final(again) == "success", "the stalled keeper holds up what is new"
            assert all(live.one("SELECT state FROM runs WHERE id = ?", run) == "running" for run in runs)
            runs.append(again)
    finally:
        os.kill(holder, signal.SIGCONT)
    assert [live.final(run) for run in runs] == ["success"] * len(runs)
    time.sleep(0.3)
    assert written(live) == Counter(f"{run}/1" for run in (first, *runs))


def test_a_stalled_keeper_goes_on_with_what_it_has_read(live: Live) -> None:
    live.start(recorder(live, command=f"{RECORD}; sleep 0.5; exit 3"))
    runs = [live.run("a") for _ in range(8)]
    live.until(lambda: len(written(live)) == len(runs))
    house = present(live)
    os.kill(house.holder, signal.SIGSTOP)
    try:
        live.signal(signal.SIGKILL)
        live.ended()
        live.start()
        assert all(live.one("SELECT state FROM runs WHERE id = ?", run) == "running" for run in runs)
    finally:
        os.kill(house.holder, signal.SIGCONT)
    assert [live.final(run) for run in runs] == ["failed"] * len(runs)
    assert live.rows("SELECT DISTINCT exit_code, result FROM attempts") == [(3, "failed")]
    assert written(live) == Counter(f"{run}/1" for run in runs)


def test_a_cancel_that_a_keeper_never_read_reaches_its_heir(live: Live) -> None:
    live.start(recorder(live, command="sleep 60"))
    run = live.run("a")
    live.started(run, "a")
    house = present(live)
    os.kill(house.holder, signal.SIGSTOP)
    live.ask("cancel", run=run)
    os.kill(house.holder, signal.SIGKILL)
    assert live.final(run) == "cancelled"


def test_a_cancel_that_a_daemon_never_sent_is_sent_by_the_next(live: Live) -> None:
    live.start(recorder(live, command="sleep 60"))
    run = live.run("a")
    live.started(run, "a")
    house = present(live)
    os.kill(house.holder, signal.SIGSTOP)
    try:
        live.ask("cancel", run=run)
        live.signal(signal.SIGKILL)
        live.ended()
        live.start()
    finally:
        os.kill(house.holder, signal.SIGCONT)
    assert live.final(run) == "cancelled"


@contextlib.contextmanager
def hanging(live: Live) -> Iterator[tuple[int, Path]]:
    """A run whose start does not come to its command, and the file that the command writes: exec(2) of a program on which
    somebody holds a lease waits until the lease is given back, for 45 s at most (fcntl(2), F_SETLEASE)."""
    program, mark = live.path("program"), live.path("hung")
    program.write_text(f"#!/bin/sh\necho $$ >> {mark}\n")
    program.chmod(0o755)
    file = os.open(program, os.O_RDONLY)
    fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # which is ignored; SIGIO would end us
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    try:
        run = live.run("hangs")
        live.started(run, "hangs")
        yield run, mark
    finally:
        os.close(file)


def hangs(live: Live, **keys: object) -> str:
    """The job of `hanging`."""
    return job("hangs", "", env={"HOUSE": str(live.folder)}, **keys).replace('""', json.dumps([str(live.path("program"))]), 1)


def test_a_start_that_hangs_holds_up_nobody(live: Live) -> None:
    live.start(hangs(live) + recorder(live))
    with hanging(live) as (run, mark):
        others = [live.run("a") for _ in range(20)]
        assert [live.final(one) for one in others] == ["success"] * len(others)
        assert live.cli("status").status == 0
        assert live.one("SELECT state FROM runs WHERE id = ?", run) == "running"
        live.signal(signal.SIGKILL)
        live.ended()
        live.start()
        assert live.final(live.run("a")) == "success"
        assert not mark.exists()
    assert live.final(run) == "success"
    assert len(mark.read_text().split()) == 1


def test_a_start_that_hangs_can_be_cancelled(live: Live) -> None:
    live.start(hangs(live, kill_after="200ms") + recorder(live))
    with hanging(live) as (run, mark):
        pid = live.started(run, "hangs")
        live.ask("cancel", run=run)
        assert live.final(run) == "cancelled"
        assert not os.path.exists(f"/proc/{pid}")
    assert not mark.exists()


def test_a_start_that_hangs_is_found_when_both_its_parents_are_dead(live: Live) -> None:
    live.start(hangs(live) + recorder(live))
    with hanging(live) as (run, mark):
        house = present(live)
        for pid in (house.guard, house.holder):
            os.kill(pid, signal.SIGKILL)
        assert live.final(live.run("a")) == "success"
        assert live.one("SELECT state FROM runs WHERE id = ?", run) == "running"
        assert not mark.exists()
    assert live.final(run) in ("success", "failed")  # failed: lost, before Linux 6.15
    assert len(mark.read_text().split()) == 1
