"""`cronflow run` without a daemon is the daemon for as long as its own run lasts: killed, interrupted, relieved by another."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator

import pytest

from cronflow.cli import client
from cronflow.keeper import tree
from tests.campaign.test_stall import RECORD, recorder, written
from tests.daemon.live import PATIENCE, Live, job

WAITS = f'{RECORD}; while [ ! -e "$HOUSE/go-$CRONFLOW_JOB" ]; do sleep 0.05; done; exit '


class Runs:
    """`cronflow run` in the background, several at once."""

    def __init__(self, live: Live) -> None:
        self.live = live
        self.all: list[subprocess.Popen[bytes]] = []

    def run(self, *words: str) -> subprocess.Popen[bytes]:
        with open(self.live.path(f"run-{len(self.all)}"), "wb") as file:
            process = subprocess.Popen(
                self.live.command("run", *words),
                env=self.live.env,
                cwd=self.live.folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )
        self.all.append(process)
        return process

    def said(self, process: subprocess.Popen[bytes]) -> str:
        return self.live.path(f"run-{self.all.index(process)}").read_text()

    def ended(self, process: subprocess.Popen[bytes]) -> int:
        try:
            return process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it does not end: {self.said(process)}")


@pytest.fixture
def runs(live: Live) -> Iterator[Runs]:
    made = Runs(live)
    live.write(recorder(live, "a", f"{WAITS}7") + recorder(live, "b", f"{WAITS}0") + recorder(live, "quick", "exit 0"))
    yield made
    for process in made.all:
        if process.poll() is None:
            process.kill()
            process.wait()


def deaf(live: Live, kill_after: str) -> str:
    return recorder(live, "deaf", "trap '' TERM; echo up; while :; do sleep 60; done", kill_after=kill_after)


def go(live: Live, name: str) -> None:
    live.path(f"go-{name}").touch()


def began(live: Live, run: int, task: str) -> None:
    """Wait until somebody is the daemon and has started this command."""
    live.until(lambda: client.ping(live.places), "nobody answers")
    live.started(run, task)


def holder_of(live: Live) -> int:
    """The pid of who is the daemon."""
    return int((live.until(lambda: client.ping(live.places), "nobody answers") or {})["pid"])


def takes_over(live: Live, pids: set[int]) -> None:
    live.until(lambda: (client.ping(live.places) or {}).get("pid") in pids, "nobody takes over")


def attempts(live: Live) -> list[tuple[object, ...]]:
    return live.rows("SELECT run, task, n, result, exit_code FROM attempts ORDER BY run, task, n")


# ---- killed ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("next_one", ["run", "daemon"])
@pytest.mark.parametrize("ends", ["before", "after"])
def test_a_killed_run_is_brought_in_by_the_next(live: Live, runs: Runs, next_one: str, ends: str) -> None:
    first = runs.run("a")
    began(live, 1, "a")
    first.kill()
    first.wait()
    if ends == "before":
        go(live, "a")
        live.until(lambda: not _holds(live, 1), "the command did not end")
    if next_one == "daemon":
        live.start()
    else:
        second = runs.run("b" if ends == "after" else "quick")
    if ends == "after":
        live.until(lambda: client.ping(live.places))
        go(live, "a")
    assert live.final(1) == "failed"
    assert attempts(live)[0] == (1, "a", 1, "failed", 7)
    assert written(live)["1/1"] == 1
    if next_one == "run":
        go(live, "b")
        assert runs.ended(second) == 0


def _holds(live: Live, run: int) -> bool:
    """Whether the command of a run is still there."""
    return bool(tree.survivors(f"{live.one('SELECT value FROM meta WHERE key = ?', 'id')}:{run}/a/1"))


# ---- relieved -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "status"), [("a", 1), ("b", 0)])
def test_a_daemon_takes_over_and_the_run_follows_to_its_end(live: Live, runs: Runs, name: str, status: int) -> None:
    first = runs.run(name)
    began(live, 1, name)
    assert holder_of(live) == first.pid
    takes_over(live, {live.launch().pid})
    time.sleep(0.3)
    assert first.poll() is None, runs.said(first)
    go(live, name)
    assert runs.ended(first) == status
    assert live.alive()
    assert written(live) == {"1/1": 1}


def test_a_daemon_takes_over_from_a_run_whose_clients_would_too(live: Live, runs: Runs) -> None:
    all_of_them = [runs.run("b")]
    began(live, 1, "b")
    all_of_them += [runs.run("b") for _ in range(5)]
    for run in range(2, 7):
        began(live, run, "b")
    takes_over(live, {live.launch().pid})
    go(live, "b")
    assert [runs.ended(process) for process in all_of_them] == [0] * 6, [runs.said(process) for process in all_of_them]
    assert live.alive()
    assert written(live) == {f"{run}/1": 1 for run in range(1, 7)}


def test_a_daemon_starts_while_runs_come_and_go(live: Live, runs: Runs) -> None:
    live.write(recorder(live, "quick"))
    some = [runs.run("quick") for _ in range(6)]
    daemon = live.launch()
    some += [runs.run("quick") for _ in range(2)]
    takes_over(live, {daemon.pid})
    assert [runs.ended(process) for process in some] == [0] * 8, [runs.said(process) for process in some]
    assert sorted(written(live).values()) == [1] * 8


def test_after_a_handover_an_interrupt_only_ends_the_following(live: Live, runs: Runs) -> None:
    first = runs.run("b")
    began(live, 1, "b")
    takes_over(live, {live.launch().pid})
    time.sleep(0.5)  # it looks for the daemon every 20 ms
    first.send_signal(signal.SIGINT)
    assert runs.ended(first) == 130
    assert "goes on" in runs.said(first)
    go(live, "b")
    assert live.final(1) == "success"


def test_a_second_run_is_a_client_and_takes_over_when_the_first_has_ended(live: Live, runs: Runs) -> None:
    first = runs.run("a")
    began(live, 1, "a")
    second = runs.run("b")
    began(live, 2, "b")
    assert holder_of(live) == first.pid
    go(live, "a")
    assert runs.ended(first) == 1
    takes_over(live, {second.pid})
    go(live, "b")
    assert runs.ended(second) == 0
    assert written(live) == {"1/1": 1, "2/1": 1}


def test_the_clients_of_a_killed_run_take_over(live: Live, runs: Runs) -> None:
    first = runs.run("a")
    began(live, 1, "a")
    others = [runs.run("b"), runs.run("b"), runs.run("b")]
    for run in (2, 3, 4):
        began(live, run, "b")
    first.kill()
    first.wait()
    takes_over(live, {process.pid for process in others})
    go(live, "a")
    assert live.final(1) == "failed"
    go(live, "b")
    assert [runs.ended(process) for process in others] == [0, 0, 0], [runs.said(process) for process in others]
    assert written(live) == {"1/1": 1, "2/1": 1, "3/1": 1, "4/1": 1}


# ---- interrupted ----------------------------------------------------------------------------------------------------------


def test_an_interrupt_cancels_the_run(live: Live, runs: Runs) -> None:
    first = runs.run("a")
    began(live, 1, "a")
    first.send_signal(signal.SIGINT)
    assert runs.ended(first) == 130
    assert live.final(1) == "cancelled"


def test_a_second_interrupt_kills(live: Live, runs: Runs) -> None:
    live.write(deaf(live, "10m"))
    first = runs.run("deaf")
    began(live, 1, "deaf")
    live.until(lambda: _is_up(live, 1))
    first.send_signal(signal.SIGINT)
    live.until(lambda: live.one("SELECT stop FROM attempts") is not None)
    time.sleep(0.5)
    assert first.poll() is None
    first.send_signal(signal.SIGINT)
    assert runs.ended(first) == 130
    assert live.final(1) == "cancelled"


def test_the_interrupt_of_a_client_cancels_its_own_run_only(live: Live, runs: Runs) -> None:
    first = runs.run("a")
    began(live, 1, "a")
    second = runs.run("b")
    began(live, 2, "b")
    time.sleep(0.3)
    second.send_signal(signal.SIGINT)
    assert runs.ended(second) == 130
    assert live.final(2) == "cancelled"
    assert live.one("SELECT state FROM runs WHERE id = 1") == "running"
    go(live, "a")
    assert runs.ended(first) == 1


def test_the_interrupt_of_the_first_leaves_the_run_of_its_client(live: Live, runs: Runs) -> None:
    first = runs.run("a")
    began(live, 1, "a")
    second = runs.run("b")
    began(live, 2, "b")
    first.send_signal(signal.SIGINT)
    assert runs.ended(first) == 130
    assert live.final(1) == "cancelled"
    takes_over(live, {second.pid})
    go(live, "b")
    assert runs.ended(second) == 0
    assert written(live)["2/1"] == 1


def _is_up(live: Live, run: int) -> bool:
    return live.places.log(run, "deaf", 1).exists() and live.output(run, "deaf") == "up\n"


# ---- stopped --------------------------------------------------------------------------------------------------------------


def test_commands_go_on_when_the_daemon_is_stopped(live: Live) -> None:
    live.start(recorder(live, "a", f"{WAITS}7"))
    run = live.run("a")
    began(live, run, "a")
    answer = live.cli("stop")
    assert (answer.status, live.ended()) == (0, 0)
    go(live, "a")
    live.until(lambda: not _holds(live, run))
    assert live.one("SELECT state FROM runs WHERE id = ?", run) == "running"
    live.start()
    assert live.final(run) == "failed"
    assert attempts(live) == [(run, "a", 1, "failed", 7)]


def test_a_stop_that_drains_waits_and_starts_nothing_more(live: Live) -> None:
    live.start(recorder(live, "a", f"{WAITS}0") + job("each", "true", schedule="* * * * * *", overlap="allow"))
    run = live.run("a")
    began(live, run, "a")
    stop = subprocess.Popen(live.command("stop", "--drain"), env=live.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    live.until(lambda: (client.ping(live.places) or {}).get("draining"), "it does not drain")
    time.sleep(0.2)
    before = live.one("SELECT count(*) FROM attempts WHERE task = 'each'")
    time.sleep(2.2)
    assert stop.poll() is None
    assert live.alive()
    assert live.one("SELECT count(*) FROM attempts WHERE task = 'each'") == before
    go(live, "a")
    assert stop.wait(PATIENCE) == 0
    assert live.ended() == 0
    assert live.one("SELECT state FROM runs WHERE id = ?", run) == "success"


def test_a_stop_that_kills_ends_what_runs(live: Live) -> None:
    live.start(deaf(live, "300ms"))
    run = live.run("deaf")
    began(live, run, "deaf")
    live.until(lambda: _is_up(live, run))
    answer = live.cli("stop", "--kill")
    assert (answer.status, live.ended()) == (0, 0)
    assert live.one("SELECT state FROM runs WHERE id = ?", run) == "cancelled"
    assert live.rows("SELECT result, signal FROM attempts") == [("cancelled", signal.SIGKILL)]
