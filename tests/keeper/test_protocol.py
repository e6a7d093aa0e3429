from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronflow.keeper import protocol


@given(st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none()), max_size=5), st.integers(1, 9))
def test_messages_survive_any_cut_of_the_stream(bodies: list[dict[str, object]], step: int) -> None:
    messages = [{**body, "type": "x"} for body in bodies]
    stream = b"".join(protocol.encode(message) for message in messages)
    lines = protocol.Lines()
    found = [line for start in range(0, len(stream), step) for line in lines.feed(stream[start:start + step])]
    assert [protocol.decode(line) for line in found] == messages


def test_a_name_that_is_no_utf8_arrives_as_it_was() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    line = protocol.encode({"type": "spawn", "cwd": name})
    assert protocol.decode(line.rstrip())["cwd"].encode("utf-8", "surrogateescape") == b"caf\xe9"


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    lines = protocol.Lines(limit=10)
    lines.feed(b"12345678\n")
    with pytest.raises(protocol.ProtocolError):
        lines.feed(b"12345678901")


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"type": 3}', b"\xff"])
def test_what_is_no_message_is_said_to_be_none(line: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.decode(line)
