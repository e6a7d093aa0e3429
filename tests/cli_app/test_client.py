"""The client of the control socket against peers that are slow, silent, talkative, wrong or gone."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cronflow.cli import client
from cronflow.errors import CronflowError
from cronflow.places import Places
from tests.cli_app.conftest import Cli, Conversation, Peer, Talk, always
from tests.nobody import exit_status_of

Start = Callable[[Talk], Peer]


def places(cli: Cli) -> Places:
    return Places(cli.file, cli.state, cli.state)


def failure(cli: Cli, undone: str = "", seconds: float = 30.0) -> CronflowError:
    with pytest.raises(CronflowError) as caught, client.connect(places(cli), undone) as daemon:
        daemon.ask("ping", seconds=seconds)
    return caught.value


def test_the_reply_is_what_the_daemon_said(cli: Cli, peer: Start) -> None:
    there = peer(always({"ok": True, "pid": 7}))
    with client.connect(places(cli)) as daemon:
        assert daemon.ask("ping", {"from": "x"}, run=3)["pid"] == 7
    assert there.requests == [{"op": "ping", "run": 3, "from": "x"}]


def test_a_refusal_has_the_words_and_the_status_of_the_daemon(cli: Cli, peer: Start) -> None:
    peer(always({"ok": False, "error": {"message": "no job `x`", "hint": "`y`", "exit": 4}}))
    error = failure(cli)
    assert (error.message, error.hint, error.exit_status) == ("no job `x`", "`y`", 4)


def test_without_a_socket_the_daemon_is_not_running(cli: Cli) -> None:
    error = failure(cli, "nothing was paused")
    assert error.message == "the daemon is not running, so nothing was paused"
    assert error.hint == "`systemctl start cronflow`, or `cronflow daemon`"
    assert error.exit_status == 3


def test_a_socket_that_nobody_serves_any_more_is_no_daemon(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cli.state)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind("control.sock")
    assert failure(cli).exit_status == 3
    assert client.ping(places(cli)) is None


def test_a_state_folder_that_is_a_file_is_no_daemon(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(CronflowError) as caught:
        client.connect(Places(tmp_path / "jobs.toml", tmp_path / "state", tmp_path / "state"))
    assert caught.value.exit_status == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_a_socket_of_another_user_is_not_permitted(cli: Cli, peer: Start) -> None:
    peer(always({"ok": True}))
    (cli.state / "control.sock").chmod(0o600)
    there = Places(Path("/x"), Path("/proc/self/cwd/state"), Path("/proc/self/cwd/state"))
    assert exit_status_of(lambda: client.connect(there)) in (3, 5)


def test_a_path_longer_than_a_socket_name_does(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    deep.mkdir(parents=True)
    there = Peer(deep, always({"ok": True, "pid": 1}))
    try:
        assert client.ping(Places(tmp_path / "jobs.toml", deep, deep)) == {"ok": True, "pid": 1}
    finally:
        there.close()


def test_a_silent_daemon_is_told_from_a_slow_one(cli: Cli, peer: Start) -> None:
    peer(lambda _conversation, _request: None)
    begun = time.monotonic()
    error = failure(cli, seconds=0.3)
    assert 0.2 < time.monotonic() - begun < 20
    assert error.exit_status == 3
    assert "not answered" in error.message


def test_a_reply_in_pieces_is_put_together(cli: Cli, peer: Start) -> None:
    def drip(conversation: Conversation, _request: object) -> None:
        for piece in (b'{"ok"', b": tr", b'ue, "name": "\xc3', b'\xbc"}', b'\n{"ok": true, "n": 2}\n'):
            conversation.raw(piece)
            time.sleep(0.05)

    peer(drip)
    with client.connect(places(cli)) as daemon:
        assert daemon.ask("x")["name"] == "ü"
        assert daemon.receive(5) == {"ok": True, "n": 2}


@pytest.mark.parametrize("garbage", [b"HTTP/1.1 400\r\n", b"[1]\n", b"\xff\xfe\n", b"\n"])
def test_what_is_no_daemon_is_said_to_be_none(cli: Cli, peer: Start, garbage: bytes) -> None:
    peer(lambda conversation, _request: conversation.raw(garbage))
    assert failure(cli).message == "what answers at the control socket is not a cronflow daemon"


def test_a_daemon_that_goes_away_before_its_answer(cli: Cli, peer: Start) -> None:
    peer(lambda conversation, _request: conversation.hang_up())
    error = failure(cli)
    assert (error.message, error.exit_status) == ("the daemon went away before it answered", 3)


def test_events_come_with_pauses_and_end_with_the_connection(cli: Cli, peer: Start) -> None:
    def follow(conversation: Conversation, _request: object) -> None:
        conversation.say({"ok": True})
        for number in range(3):
            conversation.say({"event": "run", "run": number})
        time.sleep(0.3)
        conversation.hang_up()

    peer(follow)
    with client.connect(places(cli)) as daemon:
        daemon.ask("follow", runs=[0])
        events = list(daemon.events(0.05))
    assert [event["run"] for event in events if event is not None] == [0, 1, 2]
    assert None in events
    assert daemon.ended
