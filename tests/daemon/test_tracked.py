"""What is concluded about an attempt, by how far it is known to have come."""

from __future__ import annotations

import os

import pytest

from cronflow.core.events import AttemptBegan, AttemptEnded, AttemptUnclaimed
from cronflow.core.records import AttemptRef
from cronflow.daemon.processes.tracked import Attempts, Stage, Tracked
from cronflow.keeper.protocol import Message

KEEPER = 7000


@pytest.fixture
def attempts() -> Attempts:
    return Attempts("ours")


def asked(attempts: Attempts, number: int) -> Tracked:
    one = attempts.track(AttemptRef(number, "a", 1))
    one.stage, one.keeper = Stage.ASKED, KEEPER
    return one


def started(attempts: Attempts, one: Tracked) -> Message:
    return {"type": "started", "id": attempts.name(one.ref), "pid": os.getpid(), "at": 1.0}


def test_a_name_is_read_back_and_that_of_another_state_folder_is_not(attempts: Attempts) -> None:
    ref = AttemptRef(3, "load[eu]", 2, "check")
    assert attempts.ref(attempts.name(ref)) == ref
    assert attempts.ref(Attempts("theirs").name(ref)) is None
    assert attempts.ref("ours:nonsense") is None
    assert attempts.ref(None) is None


def test_what_a_keeper_was_asked_for_and_does_not_know_was_never_started(attempts: Attempts) -> None:
    known, unknown, elsewhere = (asked(attempts, number) for number in (1, 2, 3))
    elsewhere.keeper = KEEPER + 1
    assert attempts.forgotten(KEEPER, [{"id": attempts.name(known.ref)}]) == [AttemptUnclaimed(unknown.ref)]
    assert set(attempts.tracked) == {known.ref, elsewhere.ref}
    assert attempts.forgotten(KEEPER, [{"id": attempts.name(known.ref)}]) == []


def test_one_whose_process_was_told_of_and_that_is_nowhere_is_lost(attempts: Attempts) -> None:
    one = asked(attempts, 1)
    assert [type(event) for event in attempts.told(one, KEEPER, "started", started(attempts, one))] == [AttemptBegan]
    (event,) = attempts.forgotten(KEEPER, [])
    assert isinstance(event, AttemptEnded)
    assert event.exit_code is None
    assert event.signal is None
    assert attempts.tracked == {}
    assert attempts.ends == []


def test_a_claim_without_a_process_is_no_beginning(attempts: Attempts) -> None:
    one = asked(attempts, 1)
    assert attempts.told(one, KEEPER, "started", {**started(attempts, one), "pid": None}) == []
    assert attempts.forgotten(KEEPER, []) == [AttemptUnclaimed(one.ref)]


@pytest.mark.parametrize(("may_have_run", "kind"), [(False, AttemptUnclaimed), (True, AttemptEnded)])
def test_one_that_no_keeper_has_told_of(attempts: Attempts, may_have_run: bool, kind: type) -> None:
    attempts.track(AttemptRef(1, "a", 1)).may_have_run = may_have_run
    held = asked(attempts, 2)
    assert [type(event) for event in attempts.unknown()] == [kind]
    assert list(attempts.tracked) == [held.ref]


def test_an_end_is_acknowledged_once_however_often_it_is_told(attempts: Attempts) -> None:
    one = asked(attempts, 1)
    end = {"type": "ended", "id": attempts.name(one.ref), "status": 0, "at": 1.0}
    assert len(attempts.told(one, KEEPER + 1, "ended", end)) == len(attempts.told(one, KEEPER + 1, "ended", end)) == 1
    assert attempts.ends == [one]
    assert one.keeper == KEEPER + 1
    assert attempts.forgotten(KEEPER + 1, []) == []


def test_one_that_never_ran_is_told_by_what_its_order_named(attempts: Attempts) -> None:
    one = asked(attempts, 1)
    one.named = {"program": "no-such", "key": "command"}
    (event,) = attempts.told(one, KEEPER, "failed", {"stage": "exec", "errno": 2, "at": 1.0})
    assert isinstance(event, AttemptEnded)
    assert event.message == "command not found: `no-such`; check `command` and PATH"
    assert attempts.ends == [one]


def test_those_that_wait_are_offered_once_and_then_forgotten(attempts: Attempts) -> None:
    one = asked(attempts, 1)
    one.stage = Stage.WAITING
    assert attempts.offer() == [AttemptUnclaimed(one.ref)]
    assert attempts.track(one.ref) is one
    assert attempts.offer() == []
    assert attempts.track(one.ref) is not one


def test_what_a_keeper_says_of_no_attempt_is_no_event(attempts: Attempts) -> None:
    assert attempts.told(asked(attempts, 1), KEEPER, "unheard-of", {}) == []
