"""A disk that is really full: a small file system in a mount namespace of its own, filled and emptied again while a day goes by.

`python -m tests.faults.fulldisk SEED` is one trial, which is run in such a namespace; it prints its account as JSON.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time

from cronflow.daemon.upkeep.disk import shortage
from tests.alerts.conftest import WebService
from tests.campaign.ledger import Account
from tests.daemon.live import ROOT
from tests.daemon.secluded import mount, unmount
from tests.faults.day import Installation, installation, kill_daemon
from tests.faults.rows import NotTestedError, Outcome, Row

SIZES = (24, 32, 48)
"""Megabytes of the disk."""
LEFT = (0, 0, 4096, 20_000, 100_000, 1_000_000)
"""Bytes that are left on it."""
FULL_FOR = (0.5, 2.0)


def run(trials: int, seed: int) -> Outcome:
    """So many trials, each in a namespace of its own."""
    unshare = _unshare()
    out = Outcome(0)
    for number in range(seed * 1000, seed * 1000 + trials):
        words = [unshare, "-m", "--propagation", "private", sys.executable, "-m", "tests.faults.fulldisk", str(number)]
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        wrong = tuple(f"trial {number} ({found['about']}): {text}" for text in found["wrong"])
        out += Outcome(1, found["lost"], found["twice"], wrong)
    return out


def _unshare() -> str:
    unshare = shutil.which("unshare")
    if unshare is None or os.geteuid() != 0:
        raise NotTestedError("only root may mount a small file system")
    if subprocess.run([unshare, "-m", "true"], capture_output=True, check=False).returncode:
        raise NotTestedError("no mount namespaces can be made here")
    return unshare


def trial(seed: int) -> dict[str, object]:
    """A day on a disk that fills up at some moment, maybe with a restart while it is full."""
    dice, web = random.Random(seed), WebService()
    megabytes, left, end = dice.choice(SIZES), dice.choice(LEFT), dice.choice(("none", "restart", "crash"))
    with installation(web, f"disk{seed}", whole=True) as one:
        mount(str(one.live.state), f"size={megabytes}m")
        try:
            one.live.start()
            one.live.until(lambda: (one.live.state / "ballast").exists())
            time.sleep(dice.uniform(0, 0.3))
            early = dice.random() < 0.5
            if early:
                one.ask_for_runs()
            _fill(one, left)
            _suffer(one, dice.uniform(*FULL_FOR), end)
            was_short = _short(one)
            (one.live.state / "fill").unlink()
            one.bring_to_end()
            account = one.account()
            _check(one, was_short, account)
        finally:
            one.live.close()
            unmount(str(one.live.state))
    web.close()
    about = f"{megabytes} MB, {left} left, {'early' if early else 'late'}, {end}"
    return {"about": about, "lost": account.lost, "twice": account.count("twice"), "wrong": account.text().splitlines()}


def _fill(one: Installation, left: int) -> None:
    """Take all but so many bytes."""
    with open(one.live.state / "fill", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 65536)
        except OSError:
            pass
        file.truncate(max(file.tell() - left, 0))


def _suffer(one: Installation, seconds: float, end: str) -> None:
    """Ask for runs, and maybe have another daemon take over, on the full disk."""
    begun = time.monotonic()
    if end != "none":
        if end == "restart":
            one.live.terminate()
        else:
            kill_daemon(one.live)
        one.live.launch()
        if not one.up():
            one.wrong.append(f"no daemon starts on the full disk: {one.live.log[-1500:]}")
            return
    one.ask_for_runs()
    if not one.wait(lambda: one.has_problems() or not _short(one), 10):
        one.wrong.append("the daemon says nothing of the full disk")
    time.sleep(max(0.0, begun + seconds - time.monotonic()))
    if not one.live.alive():
        one.wrong.append(f"the daemon ended with {one.live.ended()}: {one.live.log[-1500:]}")


def _short(one: Installation) -> bool:
    """Whether the disk is nearly full now: a daemon that starts may have made room itself."""
    return shortage(one.live.state, known=False) is not None


def _check(one: Installation, was_short: bool, account: Account) -> None:
    """One alert about the disk, at least once. A `foreach` that has nowhere to print has failed, and says so."""
    said = [text for text in one.arrived() if "disk" in text["message"]]
    rows = one.live.rows("SELECT facts FROM alerts WHERE kind = 'system'")
    if len(rows) > 1 or bool(rows) != bool(said) or (was_short and not rows):
        account.add("wrong", f"not one alert about the disk: {rows} {said}")
    told = [text for text in account.faults.pop("wrong", []) if "/foreach" not in text or "exit 74" not in text]
    for text in told:
        account.add("wrong", text)


ROWS = (Row("full-disk", "a small disk that is really full, with a restart or a crash on it", 20, 2, run),)

if __name__ == "__main__":
    print(json.dumps(trial(int(sys.argv[1]))))
