"""What the daemon does where no keeper can be had."""

from __future__ import annotations

import time
from pathlib import Path

from cronflow.core.events import AttemptBegan, AttemptEnded, AttemptUnclaimed, Event
from cronflow.core.records import AttemptRef
from cronflow.daemon.processes.keepers import Keepers
from cronflow.daemon.processes.reports import Order

REF = AttemptRef(1, "a", 1)


def keepers(folder: Path, patience: float = 60.0) -> Keepers:
    one = Keepers(str(folder / "journals"), str(folder / "sockets"), 1, "test", lambda _line: None, patience=patience)
    (folder / "sockets").mkdir()
    (folder / "journals").write_text("a file where a folder belongs")
    return one


def order(folder: Path, *argv: str, ref: AttemptRef = REF) -> Order:
    return Order(ref, argv or ("/bin/true",), {}, "/", str(folder / "log"), 1.0, {})


def heard_until(one: Keepers, kind: type[Event], seconds: float = 60.0) -> list[Event]:
    """All that the keepers say up to an event of a kind."""
    deadline = time.monotonic() + seconds
    heard: list[Event] = []
    while time.monotonic() < deadline:
        for connection in one.connections():
            heard += one._read(connection, 0.1)
        if any(isinstance(event, kind) for event in heard):
            return heard
    raise AssertionError(f"no {kind.__name__}, but {heard}")


def test_a_start_waits_for_a_keeper_and_is_made_by_the_first_one_to_be_had(tmp_path: Path) -> None:
    one = keepers(tmp_path)
    assert one.start(order(tmp_path)) is None
    assert one.overdue() == []
    (tmp_path / "journals").unlink()
    (tmp_path / "journals").mkdir()
    one.again_at = 0.0
    assert one.overdue() == [AttemptUnclaimed(REF)]
    assert one.start(order(tmp_path)) is None
    heard = heard_until(one, AttemptEnded)
    assert [type(event) for event in heard] == [AttemptBegan, AttemptEnded]
    assert isinstance(heard[-1], AttemptEnded)
    assert heard[-1].exit_code == 0
    one.acknowledge()
    one.close()


def test_many_starts_try_for_a_keeper_once(tmp_path: Path) -> None:
    one = keepers(tmp_path)
    for number in range(50):
        assert one.start(order(tmp_path, ref=AttemptRef(number, "a", 1))) is None
    assert one.born <= 2


def test_a_start_for_which_no_keeper_can_be_had_is_told_to_have_failed(tmp_path: Path) -> None:
    one = keepers(tmp_path, patience=0.0)
    ended = one.start(order(tmp_path))
    assert isinstance(ended, AttemptEnded)
    assert ended.reason == "no_keeper"


def test_one_that_was_cancelled_meanwhile_is_not_asked_for_again(tmp_path: Path) -> None:
    one = keepers(tmp_path)
    one.start(order(tmp_path))
    one.again_at = 0.0
    assert one.overdue() == [AttemptUnclaimed(REF)]
    assert one.overdue() == []


def test_one_that_was_told_to_end_before_it_was_started_ends(tmp_path: Path) -> None:
    one = keepers(tmp_path)
    (tmp_path / "journals").unlink()
    (tmp_path / "journals").mkdir()
    one.stop(REF, "cancel")
    assert one.start(order(tmp_path, "/bin/sleep", "1000")) is None
    heard = heard_until(one, AttemptEnded)
    assert isinstance(heard[-1], AttemptEnded)
    assert heard[-1].stopped == "cancel"
    one.acknowledge()
    one.close()
