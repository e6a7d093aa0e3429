"""`cronflow prune` and a daemon that says this or that."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli_app.conftest import Cli, Conversation, Peer, Talk, always, interrupt

Meet = Callable[[Talk], Peer]
NOTHING = {"event": "pruned", "over": False, "failed": None, "runs": 0, "logs": 0, "acts": 0, "alerts": 0}


def saying(*events: dict[str, Any], then: Callable[[Conversation], None] = lambda _: None) -> Talk:
    """A daemon that takes the request and tells how it goes."""

    def talk(conversation: Conversation, request: dict[str, Any]) -> None:
        assert request["op"] == "prune"
        conversation.say({"ok": True})
        for event in events:
            conversation.say(event)
        then(conversation)

    return talk


def test_the_last_word_is_the_answer(cli: Cli, peer: Meet) -> None:
    there = peer(saying(NOTHING, {**NOTHING, "runs": 7}, {**NOTHING, "over": True, "runs": 9, "logs": 1, "acts": 1, "alerts": 2}))
    answer = cli("prune")
    assert (answer.status, answer.err) == (0, "")
    assert answer.out == "removed 9 runs, the output of 1 run, 1 act of a person, 2 alerts\n"
    assert there.requests[-1]["words"] == "cronflow prune"
    assert there.requests[-1]["file"] == str(cli.file)


LEAVING = {"ok": False, "leaving": True, "error": {"message": "the daemon is stopping", "hint": None, "exit": 3}}


@pytest.mark.parametrize("talk", [saying({**NOTHING, "runs": 7}, LEAVING), saying(NOTHING, then=Conversation.hang_up)])
def test_a_daemon_that_leaves_meanwhile(cli: Cli, peer: Meet, talk: Talk) -> None:
    peer(talk)
    answer = cli("prune")
    assert (answer.status, answer.out) == (3, "")
    assert "the daemon has stopped before it was done" in answer.err


def test_a_daemon_that_cannot(cli: Cli, peer: Meet) -> None:
    peer(saying({**NOTHING, "over": True, "failed": "database or disk is full"}))
    answer = cli("prune")
    assert answer.status == 1
    assert "the daemon could not go on: database or disk is full" in answer.err


def test_a_daemon_of_an_older_version(cli: Cli, peer: Meet) -> None:
    peer(always({"ok": False, "error": {"message": "the daemon does not know `prune`", "hint": None, "exit": 2}}))
    answer = cli("prune")
    assert (answer.status, answer.out) == (2, "")
    assert "does not know `prune`" in answer.err


def test_ctrl_c_ends_the_waiting_alone(cli: Cli, peer: Meet) -> None:
    there = peer(saying(NOTHING))
    process = cli.start("prune")
    end = time.monotonic() + 60
    while not there.requests and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.2)
    answer = interrupt(process)
    assert answer.status == 130
    assert answer.err == "no longer waiting: the daemon goes on removing\n"


def test_a_dry_run_asks_nobody(cli: Cli, peer: Meet) -> None:
    there = peer(saying())
    assert cli("prune", "--dry-run").out == "there is nothing to remove\n"
    assert there.requests == []


def test_without_a_daemon_a_database_of_an_older_format_is_counted_as_it_is_and_copied_before_it_changes(cli: Cli) -> None:
    cli.state.mkdir(mode=0o700, exist_ok=True)
    with contextlib.closing(sqlite3.connect(cli.state / "cronflow.db")) as db:
        db.executescript(Path(__file__).parents[1].joinpath("store/format_1.sql").read_text())
        db.execute("PRAGMA user_version = 1")
    assert cli("prune", "--dry-run").status == 0
    assert not (cli.state / "cronflow.db.v1").exists()
    answer = cli("prune")
    assert (answer.status, answer.err) == (0, "the database has a new format; as it was it is kept in `cronflow.db.v1`\n")
    assert (cli.state / "cronflow.db.v1").exists()
    assert cli("prune").err == ""
