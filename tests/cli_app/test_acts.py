"""The verbs that act, against a real daemon, and what they say where there is none."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.cli_app.conftest import Answer, Cli, Conversation, Daemon, Peer, Talk, always, interrupt

Start = Callable[[str], Daemon]
Meet = Callable[[Talk], Peer]

FLOW = """\
timezone = "Europe/Berlin"
[defaults]
timeout = "1h"
[jobs.extract]
schedule = "0 4 1 1 *"
command = "true"
[jobs.load]
after = ["extract"]
command = "test -e flag"
cwd = "."
[jobs.long]
command = "sleep 600"
[jobs.long-side]
command = "sleep 600"
after = { long = "done" }
[jobs.both]
command = "sleep 600"
"""


@pytest.mark.parametrize(
    ("words", "undone"),
    [
        (["pause", "extract"], "so nothing was paused"),
        (["pause", "--all"], "so nothing was paused"),
        (["resume", "extract"], "so nothing was resumed"),
        (["cancel", "extract"], "so nothing was cancelled"),
        (["cancel", "1"], "so nothing was cancelled"),
        (["reload"], "so nothing was reloaded"),
        (["stop"], "so nothing was stopped"),
        (["stop", "--drain"], "so nothing was stopped"),
    ],
)
def test_without_a_daemon_it_says_so_with_status_3(cli: Cli, words: list[str], undone: str) -> None:
    answer = cli(*words)
    assert (answer.status, answer.out) == (3, "")
    hint = "`systemctl start cronflow`, or `cronflow daemon`"
    assert answer.err == f"error: the daemon is not running, {undone}\n  = hint: {hint}\n"
    assert cli(*words, "--json").json["error"]["exit"] == 3


def test_pause_and_resume(cli: Cli, daemon: Start) -> None:
    daemon(FLOW)
    assert cli("pause", "extract", "load").out == "paused `extract` and `load` until `cronflow resume extract load`\n"
    told = cli("pause", "extract", "--for", "2d", "--reason", "moving house", "--json").json
    assert told["paused"] == ["extract"]
    assert told["reason"] == "moving house"
    assert told["until"][-6:] in ("+01:00", "+02:00")
    with closing(sqlite3.connect(f"file:{cli.state}/cronflow.db?mode=ro", uri=True)) as db:
        (reason,) = db.execute("SELECT reason FROM pauses WHERE job = 'extract'").fetchone()
        (words,) = db.execute("SELECT words FROM acts WHERE verb = 'pause' ORDER BY id DESC").fetchone()
    assert reason == "moving house"
    assert words == "cronflow pause extract --for 2d --reason 'moving house' --json"
    until = cli("pause", "extract", "--for", "1h", TZ="UTC").out.removeprefix("paused `extract` until ").strip()
    end = datetime.fromisoformat(until)
    assert end.utcoffset() == end.astimezone(ZoneInfo("Europe/Berlin")).utcoffset(), "in a pipe: ISO 8601, in the file's zone"
    assert cli("resume", "load").out == "resumed `load`\n"
    cli("pause", "load", "extract")
    assert cli("resume", "--all").out == "resumed all jobs\n"
    assert cli("runs").out.count("cronflow resume --all") == 1, "one command, although it has a row for each job"
    again = cli("resume", "--all")
    assert (again.status, again.out) == (1, "")
    assert cli("resume", "extract").err.startswith("error: `extract` is not paused\n")


def test_an_unknown_job_is_suggested(cli: Cli, daemon: Start) -> None:
    daemon(FLOW)
    for verb in ("pause", "resume"):
        answer = cli(verb, "exrtact")
        assert answer.status == 4
        assert answer.err == "error: no job `exrtact`\n  = hint: did you mean `extract`?\n"
    answer = cli("cancel", "exrtact")
    assert answer.status == 4
    assert "did you mean `extract`?" in answer.err


def said(answer: Answer) -> str:
    """The result of a command that had no complaint."""
    assert (answer.status, answer.err) == (0, "")
    return answer.out


def test_cancel_a_run_a_task_a_root_and_a_member(cli: Cli, daemon: Start) -> None:
    here = daemon(FLOW)
    first = cli("run", "long", "--detach").out.strip()
    here.wait(lambda: here.task_state(int(first), "long") == "running")
    assert said(cli("cancel", f"{first}/long")) == f"cancelled {first}/long\n"
    here.wait(lambda: here.task_state(int(first), "long-side") == "running")
    assert said(cli("cancel", "long-side")) == f"cancelled {first}/long-side\n"
    second = cli("run", "long", "--detach").out.strip()
    assert said(cli("cancel", "long")) == f"cancelled run {second}\n"
    here.wait(lambda: here.task_state(int(second), "long-side") == "cancelled")
    third = cli("run", "both", "--detach").out.strip()
    assert cli("cancel", f"{third}/nobody").status == 4
    assert cli("cancel", third, "--json").json["cancelled"] == [{"run": int(third), "task": None, "ended": True}]
    nothing = cli("cancel", "both")
    assert (nothing.status, nothing.out) == (1, "")
    assert nothing.err.startswith("error: nothing of `both` is going on, so nothing was cancelled\n")
    assert cli("cancel", "77").status == 4
    assert cli("cancel", third).status == 1
    assert cli("cancel", f"{third}/both/1").status == 2


def test_who_ignores_term_is_said_to_be_still_ending(cli: Cli, daemon: Start) -> None:
    deaf = "trap '' TERM; echo set; while :; do sleep 1; done"
    here = daemon(f'[jobs.deaf]\ntimeout = "1h"\nkill_after = "6s"\ncommand = "{deaf}"\n')
    run = int(cli("run", "deaf", "--detach").out)
    log = cli.state / "logs" / "0" / str(run) / "deaf.1.log"
    here.wait(lambda: log.exists() and log.read_text() == "set\n")
    assert said(cli("cancel", "deaf")) == f"run {run} is being ended: KILL follows after `kill_after`\n"
    here.wait(lambda: here.task_state(run, "deaf") == "cancelled")


def test_retry_runs_again_what_failed(cli: Cli, daemon: Start) -> None:
    daemon(FLOW)
    assert cli("run", "extract").status == 1
    again = cli("retry", "1")
    assert again.status == 1
    assert "run 2 failed" in again.out
    (cli.folder / "flag").touch()
    done = cli("retry", "@last", "--json")
    assert done.status == 0
    assert [run["retry_of"] for run in done.json["runs"]] == [2]
    refused = cli("retry", "extract")
    assert (refused.status, refused.out) == (1, "")
    assert "nothing in run 3" in refused.err
    assert cli("retry", "3", "--from", "load", "--detach").out == "4\n"
    assert cli("retry", "9").status == 4
    assert cli("retry", "3", "--from", "nobody").status == 4
    assert "did you mean" in cli("retry", "exrtact").err


def test_retry_without_a_daemon_is_carried_out_here(cli: Cli) -> None:
    cli.file.write_text(FLOW)
    assert cli("run", "extract").status == 1
    (cli.folder / "flag").touch()
    again = cli("retry", "1")
    assert (again.status, "run 2 succeeded" in again.out) == (0, True)
    detached = cli("retry", "1", "--from", "load", "--detach")
    assert detached.status == 3
    assert detached.err.startswith("error: the daemon is not running, so nothing was started")


def test_reload_tells_what_has_changed(cli: Cli, daemon: Start) -> None:
    daemon(FLOW.replace("[defaults]", '[settings]\nreload = "manual"\n[defaults]'))
    assert cli("reload").out == "reloaded: the jobs are what they were\n"
    text = cli.file.read_text().replace("sleep 600", "sleep 601", 1)
    cli.file.write_text(text.replace("jobs.both", "jobs.other"))
    assert cli("reload", "--json").json == {
        "schema": 1,
        "changed": {"added": ["other"], "removed": ["both"], "edited": ["long"]},
    }
    cli.file.write_text(text)
    assert cli("reload").out == "reloaded: added both; removed other\n"
    cli.file.write_text(text + "timout = 1\n")
    broken = cli("reload")
    assert (broken.status, broken.out) == (1, "")
    assert broken.err.startswith("the job file in force stays the one before\nerror: unknown key `timout`")
    assert "jobs.toml:" in broken.err
    assert cli("reload", "--json").json["error"]["exit"] == 1


def test_stop_leaves_jobs_running(cli: Cli, daemon: Start) -> None:
    here = daemon(FLOW)
    run = int(cli("run", "both", "--detach").out)
    here.wait(lambda: here.task_state(run, "both") == "running")
    answer = cli("stop")
    assert (answer.status, answer.out) == (0, "the daemon has stopped; 1 job goes on\n")
    assert here.process.wait(30) == 0
    assert here.task_state(run, "both") == "running"
    daemon(FLOW)
    assert cli("stop", "--kill").out == "the daemon has stopped\n"
    assert here.task_state(run, "both") == "cancelled"


def test_stop_drain_waits_and_ctrl_c_ends_the_waiting_only(cli: Cli, daemon: Start) -> None:
    here = daemon('[jobs.gate]\ntimeout = "1h"\ncwd = "."\ncommand = "until test -e flag; do sleep 0.1; done"\n')
    run = int(cli("run", "gate", "--detach").out)
    here.wait(lambda: here.task_state(run, "gate") == "running")
    waiting = cli.start("stop", "--drain")
    assert waiting.stderr is not None
    assert waiting.stderr.readline().decode() == "waiting for 1 job …\n"
    answer = interrupt(waiting)
    assert (answer.status, answer.out) == (130, "")
    assert answer.err == "no longer waiting; the daemon goes on stopping\n"
    assert here.process.poll() is None
    (cli.folder / "flag").touch()
    assert here.process.wait(60) == 0
    assert here.task_state(run, "gate") == "success"


def test_stop_json(cli: Cli, peer: Meet) -> None:
    def talk(conversation: Conversation, _request: object) -> None:
        conversation.say({"ok": True, "running": 2})
        conversation.hang_up()

    there = peer(talk)
    assert cli("stop", "--json").json == {"schema": 1, "stopped": True, "mode": "now", "running": 2}
    assert there.requests == [{"op": "stop", "mode": "now", "words": "cronflow stop --json"}]


def test_notes_of_the_daemon_are_messages(cli: Cli, peer: Meet) -> None:
    peer(always({"ok": True, "notes": ["`load` is running, and goes on"]}))
    answer = cli("pause", "load")
    assert answer.out == "paused `load` until `cronflow resume load`\n"
    assert answer.err == "`load` is running, and goes on\n"
    assert json.loads(cli("pause", "load", "--json").out)["notes"] == ["`load` is running, and goes on"]


def test_ctrl_c_is_130_without_a_word(cli: Cli, peer: Meet) -> None:
    asked: list[bool] = []
    peer(lambda _conversation, _request: asked.append(True))
    waiting = cli.start("pause", "load")
    end = Daemon(cli, waiting)
    end.wait(lambda: bool(asked))
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=60)
    assert (waiting.returncode, out, err) == (130, b"", b"")
