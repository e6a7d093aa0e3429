"""Stopping, timeouts, and what is left when a main process ends."""
from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from cronflow.keeper import cgroup, tree

from .conftest import House, eventually, exited, is_alive

DEAF = "trap '' TERM INT HUP; "
DAEMON = "import os,time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); time.sleep(600)"
DAEMONISES = f"{sys.executable} -I -S -c '{DAEMON}'"


@pytest.fixture(params=["cgroups", "sessions"])
def cgroups(request: pytest.FixtureRequest) -> bool:
    return str(request.param) == "cgroups"


def test_a_timeout_asks_first(house: House) -> None:
    keeper = house.start()
    end = house.run(keeper, "a", "trap 'echo bye; exit 7' TERM; while :; do sleep 0.05; done", timeout=0.3, kill_after=10)
    assert exited(end["status"]) == 7
    assert end["stopped"] == "timeout"
    assert house.log("a").read_text().endswith("bye\n")
    assert end["at"] - end["started_at"] < 5


@pytest.mark.parametrize("how", ["timeout", "stop"])
def test_nothing_survives_a_stop(house: House, how: str) -> None:
    keeper = house.start()
    command = f"{DEAF} setsid sh -c \"{DEAF} sleep 601; sleep 602\" & {DAEMONISES}; (sleep 603 &); sleep 604; sleep 605"
    house.spawn(keeper, "a", command, timeout=1.0 if how == "timeout" else None, kill_after=0.5)
    eventually(lambda: len(house.bearers("a")) >= 5)
    if how == "stop":
        house.stop(keeper, "a", why="replaced")
    end = house.final(keeper, "a")
    assert end["status"] == signal.SIGKILL
    assert end["stopped"] == ("timeout" if how == "timeout" else "replaced")
    assert house.bearers("a") == []
    assert end["left_behind"] == []


def test_a_stop_ends_all_within_kill_after_and_a_second(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", f"{DEAF} while :; do sleep 0.1; done", kill_after=0.5)
    eventually(lambda: house.log("a").exists())
    time.sleep(0.2)
    asked = time.time()
    house.stop(keeper, "a")
    end = house.final(keeper, "a")
    assert end["status"] == signal.SIGKILL
    assert 0.4 < end["at"] - asked < 5


def test_what_hides_from_session_and_environment_is_found_by_its_cgroup(house: House, cgroups: bool) -> None:
    if not cgroups or not may_divide():
        pytest.skip("without cgroups it cannot be found")
    keeper = house.start()
    hidden = DAEMON.replace("time.sleep(600)", "os.execve('/bin/sleep', ['sleep', '611.5'], {})")
    house.spawn(keeper, "a", f'{sys.executable} -I -S -c "{hidden}"; sleep 600', kill_after=0.2)
    eventually(lambda: sleepers("sleep 611.5"))
    house.stop(keeper, "a")
    house.final(keeper, "a")
    assert sleepers("sleep 611.5") == []


def may_divide() -> bool:
    place = cgroup.own_place()
    return place is not None and os.access(place, os.W_OK)


def sleepers(command: str) -> list[int]:
    return [process.pid for process in tree.table().values() if tree.command_of(process.pid) == command]


def test_a_second_stop_kills_at_once(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", f"{DEAF} echo up; while :; do sleep 0.1; done", kill_after=600)
    eventually(lambda: house.log("a").exists() and house.log("a").read_text() == "up\n")
    house.stop(keeper, "a")
    with pytest.raises(AssertionError):
        house.wait(keeper, lambda m: m["type"] == "ended", seconds=0.5)
    house.stop(keeper, "a", now=True)
    end = house.final(keeper, "a")
    assert end["status"] == signal.SIGKILL
    assert end["stopped"] == "cancel"


def test_a_stop_right_behind_the_start_is_not_lost(house: House) -> None:
    keeper = house.start()
    for number in range(20):
        name = f"a{number}"
        house.spawn(keeper, name, "sleep 600", kill_after=600)
        house.stop(keeper, name)
    for number in range(20):
        assert house.final(keeper, f"a{number}")["status"] == signal.SIGTERM


def test_a_tree_is_ended_after_its_main_process_has_gone_by_itself(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", f"setsid sh -c \"{DEAF} echo up; sleep 601; sleep 602\" & sleep 600", kill_after=0.5)
    eventually(lambda: house.log("a").exists() and house.log("a").read_text() == "up\n")
    house.stop(keeper, "a")
    end = house.final(keeper, "a")
    assert end["status"] == signal.SIGTERM
    assert house.bearers("a") == []


def test_a_stop_outlives_an_endless_breeder(house: House, tmp_path: Path) -> None:
    keeper = house.start()
    script = tmp_path / "breed"
    script.write_text(f"#!/bin/sh\n{DEAF}\nsleep 0.02\nsetsid {tmp_path}/breed &\nexec sleep 0.5\n")
    script.chmod(0o755)
    house.spawn(keeper, "a", f"{DEAF} {script}; while :; do sleep 0.1; done", kill_after=0.3)
    time.sleep(0.3)
    house.stop(keeper, "a")
    house.final(keeper, "a")
    assert house.bearers("a") == []
    time.sleep(0.2)
    assert house.bearers("a") == []


def test_what_is_never_the_same_process_twice_dies_with_its_group(house: House) -> None:
    """It forks, and its parent ends, again and again: who looks at one process after the other always comes too late."""
    keeper = house.start()
    program = "import os, time\nend = time.time() + 30\nwhile time.time() < end:\n  if os.fork(): os._exit(0)"
    hopper = f"{sys.executable} -I -S -c '{program}'"
    house.spawn(keeper, "a", f"{DEAF} for i in 1 2 3 4 5 6 7 8; do {hopper} & done; echo up; while :; do sleep 0.1; done")
    eventually(lambda: house.log("a").exists() and "up" in house.log("a").read_text())
    time.sleep(0.3)
    house.stop(keeper, "a")
    house.stop(keeper, "a")
    end = house.final(keeper, "a")
    assert end["left_behind"] == []
    assert house.bearers("a") == []


def test_a_stopped_process_hears_term(house: House) -> None:
    keeper = house.start()
    house.spawn(keeper, "a", "kill -STOP $$; sleep 600", kill_after=600)
    pid = house.started(keeper, "a")["pid"]
    eventually(lambda: (process := tree.look(pid)) is not None and process.state == "T")
    house.stop(keeper, "a")
    assert house.final(keeper, "a")["status"] == signal.SIGTERM


def test_what_a_job_leaves_behind_goes_on_and_is_listed(house: House) -> None:
    keeper = house.start()
    end = house.run(keeper, "a", f"sleep 31.5 & {DAEMONISES}; setsid sleep 32.5 & sleep 0.3")
    assert exited(end["status"]) == 0
    commands = sorted(entry["command"] for entry in end["left_behind"])
    assert len(commands) == 3
    assert commands[-2:] == ["sleep 31.5", "sleep 32.5"]
    assert all(is_alive(entry["pid"]) for entry in end["left_behind"])
    other = house.run(keeper, "b", "true")
    assert other["left_behind"] == []


def test_an_orphan_of_another_attempt_is_left_alone(house: House) -> None:
    keeper = house.start()
    left = house.run(keeper, "a", f"{DAEMONISES}; sleep 600 & sleep 0.2")["left_behind"]
    house.spawn(keeper, "b", f"{DAEMONISES}; sleep 600", kill_after=0.2)
    eventually(lambda: len(house.bearers("b")) >= 2)
    house.stop(keeper, "b")
    house.final(keeper, "b")
    assert house.bearers("b") == []
    assert len(left) == 2
    assert all(is_alive(entry["pid"]) for entry in left)


def test_a_stop_of_what_is_over_or_unknown_changes_nothing(house: House) -> None:
    keeper = house.start()
    house.run(keeper, "a", "exit 4")
    house.stop(keeper, "a")
    again = house.wait(keeper, lambda m: m["type"] == "ended")
    assert exited(again["status"]) == 4
    assert again["stopped"] is None
    house.stop(keeper, "never")
    assert house.wait(keeper, lambda m: m["type"] == "refused")["why"] == "unknown"


def test_death_by_a_signal_is_told_as_such(house: House) -> None:
    keeper = house.start()
    assert house.run(keeper, "a", "kill -9 $$")["status"] == signal.SIGKILL
    core = house.run(keeper, "b", "ulimit -c 0; kill -SEGV $$")["status"]
    assert os.WTERMSIG(core) == signal.SIGSEGV


def test_a_pid_that_was_given_anew_is_not_signalled() -> None:
    process = tree.look(os.getpid())
    assert process is not None
    stale = process._replace(ticks=process.ticks - 1)
    assert not tree.send_signal(stale, signal.SIGKILL)
    assert tree.send_signal(process, 0)


def test_what_follows_one_that_was_killed_is_left_alone(house: House) -> None:
    keeper = house.start()
    for number in range(3):
        end = house.run(keeper, f"stubborn{number}", "trap '' TERM; while :; do sleep 0.05; done", timeout=0.2, kill_after=0.1)
        assert (end["stopped"], end["status"]) == ("timeout", signal.SIGKILL)
        assert exited(house.run(keeper, f"next{number}", "sleep 0.05")["status"]) == 0
