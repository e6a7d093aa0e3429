"""The seam itself, and faults for which a whole day is not needed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cronflow.keeper import client
from tests.faults import seam
from tests.faults.rows import NotTestedError
from tests.faults.seam import Seam


@pytest.fixture
def a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Seam]:
    """Makes seams for the keepers that this process starts."""

    def make(name: str) -> Seam:
        (tmp_path / name).mkdir()
        made = Seam(tmp_path / f"{name}.seam", tmp_path / name, 1 << 20)
        try:
            for variable, value in made.env.items():
                monkeypatch.setenv(variable, value)
        except NotTestedError as why:
            pytest.skip(str(why))
        return made

    return make


def run(house: Path, name: str) -> list[client.Message]:
    """What a keeper says about a command, from its start to its end."""
    connection = client.start_keeper(str(house), 1)
    connection.send({"type": "spawn", "id": name, "argv": ["/bin/true"], "env": {}, "log": "/dev/null"})
    said: list[client.Message] = []
    while not connection.closed and (not said or said[-1]["type"] in ("hello", "started")):
        said += connection.receive(20)
    connection.acknowledge(name)
    connection.close()
    return said


def test_every_call_of_a_keeper_is_counted_for_its_role(a_seam: Callable[[str], Seam]) -> None:
    shared = a_seam("house")
    assert run(shared.house, "a")[-1]["status"] == 0
    calls = [(one.role, one.call, os.path.basename(one.path)) for one in shared.effects()]
    for call in (("starter", "create", "1.journal"), ("guard", "fork", ""), ("holder", "fork", ""), ("holder", "reap", "")):
        assert calls.count(call) == 1, call
    assert [call for role, call, _ in calls if role == "child"] == ["pwrite", "exec"]
    record, reap = (calls.index(one) for one in (("holder", "pwrite", "1.journal"), ("holder", "reap", "")))
    assert record < calls.index(("holder", "fork", "")) < reap


def test_a_child_that_cannot_leave_its_mark_runs_nothing_and_that_is_told(a_seam: Callable[[str], Seam]) -> None:
    """From the fork on the disk of the journal fails: its exit status is none of the command's."""
    before = a_seam("before")
    run(before.house, "a")
    fork = next(one for one in before.effects() if (one.role, one.call) == ("holder", "fork"))
    after = a_seam("after")
    after.arm("holder", fork.count, seam.FAIL, errno.EIO)
    said = run(after.house, "a")[-1]
    assert after.hit
    assert (said["type"], said["stage"], said["errno"]) == ("failed", "fork", errno.EIO)
