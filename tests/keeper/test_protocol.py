from __future__ import annotations

import pytest

from cronflow.keeper import protocol
from cronflow.wire import ProtocolError


def test_a_name_that_is_no_utf8_arrives_as_it_was() -> None:
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    line = protocol.encode({"type": "spawn", "cwd": name})
    assert protocol.decode(line.rstrip())["cwd"].encode("utf-8", "surrogateescape") == b"caf\xe9"


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"{}", b'{"type": 3}', b"\xff"])
def test_what_is_no_message_is_said_to_be_none(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        protocol.decode(line)
