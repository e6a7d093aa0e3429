"""The wait of the loop, and what clients may ask, as a table."""

from __future__ import annotations

import select
import socket
import time

import pytest

from cronflow.daemon.clients import requests
from cronflow.daemon.clients.sessions import ENGINE, OPERATIONS
from cronflow.daemon.part import wait
from cronflow.errors import CronflowError
from cronflow.store.store import Store


class Talk:
    """A connection that may have something left to send."""

    def __init__(self, sock: socket.socket, wants_write: bool) -> None:
        self.sock = sock
        self.wants_write = wants_write

    def fileno(self) -> int:
        return self.sock.fileno()


def test_what_can_be_read_or_written_is_told_as_it_was_given() -> None:
    near, far = socket.socketpair()
    with near, far:
        quiet, full, bare = Talk(near, False), Talk(near, True), far.fileno()
        assert wait([quiet, bare], 0.0) == {}
        assert wait([full, bare], 30.0) == {full: select.POLLOUT}
        far.send(b"x")
        assert wait([quiet, bare], 30.0) == {quiet: select.POLLIN}
        near.send(b"x")
        assert set(wait([quiet, bare], 30.0)) == {quiet, bare}
        assert wait([full], 30.0) == {full: select.POLLIN | select.POLLOUT}


def test_a_descriptor_may_be_another_file_the_next_time() -> None:
    near, far = socket.socketpair()
    far.send(b"x")
    assert wait([near.fileno()], 30.0)
    number = near.fileno()
    near.close()
    again, other = socket.socketpair()
    with far, again, other:
        assert again.fileno() == number
        assert wait([number], 0.0) == {}


def test_the_wait_ends_at_its_time_and_not_before() -> None:
    begun = time.monotonic()
    assert wait([], 0.0101) == {}
    assert time.monotonic() - begun >= 0.0101
    assert wait([], -5.0) == {}


@pytest.mark.parametrize("op", sorted(op for op, operation in OPERATIONS.items() if operation is ENGINE))
def test_the_engine_knows_what_the_table_leaves_to_it(op: str) -> None:
    store = Store.in_memory()
    said = ""
    try:
        requests.to_event({"op": op}, 1, "anna", store.load(), store)
    except CronflowError as error:
        said = error.message
    assert "does not know" not in said
    store.close()


def test_what_changes_something_is_asked_of_the_daemon_of_the_same_job_file() -> None:
    assert {op for op, operation in OPERATIONS.items() if operation.same_file} == {
        *("run", "retry", "cancel", "approve", "reject", "pause", "resume", "skip", "prune", "handover"),
    }
