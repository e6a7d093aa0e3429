"""Lines over Unix sockets, by pairs of real ones."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronflow import wire
from cronflow.wire import LineSocket, ProtocolError

Pair = tuple[socket.socket, LineSocket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, LineSocket(theirs, 10)


@given(st.lists(st.binary(max_size=9).filter(lambda line: b"\n" not in line), max_size=5), st.integers(1, 9))
def test_lines_survive_any_cut_of_the_stream(lines: list[bytes], step: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        reader = LineSocket(theirs, 10)
        ours.sendall(b"".join(line + b"\n" for line in lines))
        ours.close()
        found: list[bytes] = []
        while not reader.ended:
            found += reader.read(step)
        assert found == lines


def test_nothing_to_read_is_told_apart_from_a_line_that_is_not_complete(pair: Pair) -> None:
    ours, reader = pair
    with pytest.raises(BlockingIOError):
        reader.read(100)
    ours.sendall(b"half")
    assert reader.read(100) == []
    ours.sendall(b"\nmore")
    assert reader.read(100) == [b"half"]


@pytest.mark.parametrize("sent", [b"12345678901", b"12345678901\n", b"1\n12345678901\n2\n"])
def test_a_line_that_is_too_long_is_refused_whether_it_ends_or_not(pair: Pair, sent: bytes) -> None:
    ours, reader = pair
    ours.sendall(sent)
    with pytest.raises(ProtocolError):
        reader.read(100)


def test_the_end_is_told_once_all_lines_have_been_read(pair: Pair) -> None:
    ours, reader = pair
    ours.sendall(b"last\nrest")
    ours.close()
    assert reader.wait_for_lines(5) == [b"last"]
    assert reader.ended
    assert not reader.closed
    reader.close()
    assert reader.closed
    assert reader.wait_for_lines(None) == []


def test_what_does_not_fit_is_sent_while_an_answer_is_awaited(pair: Pair) -> None:
    ours, writer = pair
    writer.outgoing += b"x" * (4 << 20) + b"\n"
    writer.flush()
    assert writer.wants_write

    def answer() -> None:
        left = (4 << 20) + 1
        while left:
            left -= len(ours.recv(1 << 20))
        ours.sendall(b"got it\n")

    other = threading.Thread(target=answer)
    other.start()
    assert writer.wait_for_lines(30) == [b"got it"]
    assert not writer.wants_write
    other.join()


def test_waiting_ends_when_nothing_comes(pair: Pair) -> None:
    begun = time.monotonic()
    assert pair[1].wait_for_lines(0.1) == []
    assert time.monotonic() - begun >= 0.1
    assert pair[1].wait_for_lines(0) == []


def test_nothing_is_left_to_send_to_one_that_has_gone(pair: Pair) -> None:
    ours, writer = pair
    ours.close()
    writer.outgoing += b"x\n"
    assert not writer.flush()
    assert not writer.wants_write


def test_a_folder_with_a_long_path_and_the_uid_of_who_connects(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    place = os.open(folder, os.O_PATH)
    for _ in range(2):  # the second takes the place of the first
        with wire.listen(place, "name.sock", 5) as listener, wire.connect(folder, "name.sock") as caller:
            taken, _ = listener.accept()
            with taken:
                assert wire.peer_uid(taken) == os.geteuid()
                assert not taken.get_inheritable()
                assert not caller.get_inheritable()
    os.close(place)
    with pytest.raises(ConnectionRefusedError):
        wire.connect(folder, "name.sock")
    with pytest.raises(FileNotFoundError):
        wire.connect(folder, "another.sock")
