"""Several `cronflow run` at once on one state, without a daemon or with one that comes and goes; whoever serves is killed again
and again. No command is lost or runs twice, and who followed a run to its end tells how it ended."""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

from cronflow.cli import client
from tests.campaign.ledger import Account, settle
from tests.campaign.workload import BY_HAND, Workload
from tests.daemon.live import PATIENCE, Live

CALLERS = 3
KILLS = int(os.environ.get("CRONFLOW_TRIALS", "30"))


class Crowd:
    """Callers who start runs one after the other, each in a thread. `answers` are exit status and words of those who ended."""

    def __init__(self, live: Live, seed: int) -> None:
        self.live = live
        self.answers: list[tuple[int, str, bool]] = []
        self._now: dict[int, subprocess.Popen[bytes]] = {}
        self._struck: set[int] = set()
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._call, args=(random.Random(seed + one),)) for one in range(CALLERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join()

    def _call(self, dice: random.Random) -> None:
        while not self._enough.is_set():
            process = subprocess.Popen(
                self.live.command("run", dice.choice(BY_HAND)),
                env=self.live.env,
                cwd=self.live.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            self._now[process.pid] = process
            try:
                words = process.communicate(timeout=2 * PATIENCE)[0].decode()
            except subprocess.TimeoutExpired:
                process.kill()
                words = "it never ended\n" + process.communicate()[0].decode()
            del self._now[process.pid]
            self.answers.append((process.returncode, words, process.pid in self._struck))

    def strike(self, dice: random.Random) -> bool:
        """Kill or interrupt one of them, mostly the one that serves. False if there was none."""
        served = client.ping(self.live.places, 0.5)
        pids = list(self._now)
        pid = served["pid"] if served and served["pid"] in pids and dice.random() < 0.7 else dice.choice(pids or [0])
        process = self._now.get(pid)
        if process is None or process.poll() is not None:
            return False
        self._struck.add(pid)
        process.send_signal(dice.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGINT)))
        return True


@pytest.mark.timeout(600)
@pytest.mark.parametrize("daemons", [False, True], ids=["nobody else", "a daemon now and then"])
def test_whoever_serves_may_be_killed(live: Live, daemons: bool) -> None:
    seed = int(time.time())
    print(f"seed {seed}")
    dice = random.Random(seed)
    load = Workload(live.folder)
    load.write()
    live.write(load.by_hand)
    crowd = Crowd(live, seed)
    crowd.start()
    kills = 0
    try:
        while kills < KILLS:
            time.sleep(dice.uniform(0, 0.8))
            kills += crowd.strike(dice)
            if daemons and dice.random() < 0.15:
                live.launch()
                time.sleep(dice.uniform(0, 2.0))
                live.signal(signal.SIGKILL)
                live.ended()
    finally:
        crowd.stop()
    live.start()
    live.until(lambda: live.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0, "something never ends", 90)
    assert live.terminate() == 0
    account = Account()
    settle(account, live, load, set())
    assert account.commands > kills / 4
    assert not account.faults, account.text()
    states: dict[int, str] = dict(live.rows("SELECT id, state FROM runs"))
    for status, words, struck in crowd.answers:
        _check_answer(states, status, words, struck)


def _check_answer(states: dict[int, str], status: int, words: str, struck: bool) -> None:
    run = re.search(r"run (\d+) of", words)
    if struck:
        assert status in (0, 1, 130, -signal.SIGKILL, -signal.SIGINT), words
    elif status == 3:
        assert "went away before it answered" in words or "goes on when it is started again" in words, words
    else:
        assert run is not None, f"{status} {words}"
        state = states[int(run[1])]
        assert status == (0 if state in ("success", "skipped") else 1), f"run {run[1]} is {state}, the answer {status}: {words}"
