"""A day of a small installation, in seconds: slots that are caught up and slots that are due, retries, a time limit, checks,
hooks, copies, several flows and an edge between two of them, runs by hand, one alert. Something happens to it, and then it is
brought to its end and every command, slot, order and alert is accounted for."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from cronflow.cli import client
from cronflow.errors import CronflowError
from tests.alerts.conftest import WebService
from tests.campaign.household import remains
from tests.campaign.ledger import Account, settle
from tests.campaign.workload import STEP, STEPS, Load
from tests.daemon.live import Live, living

MISSED = 3
"""Seconds for which nobody was there before the day begins."""
PATIENCE = 60.0
"""Seconds; as long as an alert takes that has to be sent again."""
QUICK = {"LIFE": "0.03"}
STEPS_OF_HAND = {key: value for key, value in STEPS.items() if not key.startswith("wait_")}


class Day(Load):
    """The job file of the day."""

    def __init__(self, house: Path, url: str, alerts: bool = True) -> None:
        targets = f'[alerts.ops]\nurls = ["{url}"]\n[alerts.night]\nurls = ["{url}/night"]\non = ["missed"]\n'
        super().__init__(house, f'[defaults]\nalert = []\nretry_delay = "5ms"\n{targets}')
        every_second = "* * * * * *"
        self.add("tick", env=QUICK, schedule=every_second, catchup="all", overlap="queue", retries=1, alert=["night"])
        self.add("flow", env=QUICK, every="1s", overlap="allow", retries=1)
        self.add("flow-then", env=QUICK, after={"flow": "done"}, retries=2)
        self.add("flow-good", env=QUICK, after={"flow": "success", "flow-then": "done"})
        self.add("both", env=QUICK, after={"tick": "done", "flow-then": "done"}, overlap="queue")
        self.add("hand", env=QUICK, overlap="allow", retries=2, **STEPS_OF_HAND)
        self.add("late", env={"LIFE": "20"}, overlap="allow", timeout="200ms", retries=1, alert=["ops"] if alerts else [])
        self.add("lines", env=QUICK, overlap="allow", foreach=STEP)


class Installation:
    """A living installation and what was promised to those who use it. A day that is not `whole` has fewer runs by hand, does not
    wait for a slot, and has no alert: who sends it takes as long as all the rest."""

    def __init__(self, live: Live, web: WebService, name: str, whole: bool) -> None:
        self.live = live
        self.web = web
        self.path = f"/{name}"
        self.whole = whole
        self.hand = ("hand", "late", "lines") if whole else ("late", "hand")
        self.load = Day(live.folder, web.url(self.path), whole)
        self.load.write()
        live.write(self.load.jobs)
        self.promised: dict[str, int] = {}
        self.wrong: list[str] = []

    # ---- the day ---------------------------------------------------------------------------------------------------------

    def take_state(self, template: Path) -> None:
        """Begin with a state folder whose daemon ended some seconds ago."""
        shutil.copytree(template, self.live.state)
        now = time.time()
        with closing(sqlite3.connect(self.live.places.database)) as db, db:
            for table in ("runs", "tasks", "attempts", "run_slots", "health", "alerts"):
                db.execute(f"DELETE FROM {table}")
            db.execute("UPDATE cursors SET at = ?, row = NULL", (int(now) - MISSED,))
        os.utime(self.live.places.alive, (now - MISSED, now - MISSED))

    def up(self, seconds: float = 30.0) -> bool:
        """Wait until the daemon answers; False if it ends before."""
        return self.wait(lambda: client.ping(self.live.places) is not None, seconds)

    def ask_for_runs(self) -> bool:
        """Start by hand what nobody has been promised yet; False if the daemon went away before it had answered."""
        for name in self.hand:
            try:
                if name not in self.promised:
                    self.promised[name] = self.live.run(name, seconds=2)
            except CronflowError:
                return False
        return True

    def runs_done(self) -> bool:
        """Whether all that was promised has ended."""
        numbers = list(self.promised.values())
        query = f"SELECT count(*) FROM runs WHERE finished_at IS NOT NULL AND id IN ({','.join('?' * len(numbers))})"
        return self.live.one(query, *numbers) == len(numbers)

    def has_problems(self) -> bool:
        """Whether the daemon says that something is wrong with it."""
        return bool((client.ping(self.live.places) or {}).get("problems"))

    def day_done(self) -> bool:
        """Whether all that was promised has ended and a slot came by itself."""
        slots = "SELECT count(*) FROM runs WHERE flow = 'tick' AND trigger = 'schedule' AND finished_at > 0"
        return self.runs_done() and (not self.whole or bool(self.live.one(slots)))

    def wait(self, what: Callable[[], bool], seconds: float = PATIENCE) -> bool:
        """Wait for a condition, as long as the daemon lives."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with suppress(sqlite3.OperationalError):
                if what():
                    return True
            if not self.live.alive():
                return False
            time.sleep(0.01)
        return False

    # ---- the end ---------------------------------------------------------------------------------------------------------

    def bring_to_end(self, **env: str) -> None:
        """With a daemon that nothing happens to any more: all that was promised ends, nothing new begins."""
        if not self.live.alive():
            self.live.launch(**env)
        if not self.up() or not self.ask_for_runs():
            self.wrong.append(f"no daemon comes up again: {self.live.log[-2000:]}")
            return
        if not self.wait(self.runs_done):
            self.wrong.append(f"what was started by hand does not end: {self.promised}")
        if not self.wait(self.told):
            self.wrong.append(f"not told: {self.live.rows('SELECT * FROM alerts')}")
        self.live.ask("pause", words="the day is over")
        if not self.wait(lambda: self.live.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0):
            self.wrong.append("something runs for ever")
        self.live.terminate()
        end = time.monotonic() + 10
        while remains(self.live.places.journals) and time.monotonic() < end:
            time.sleep(0.01)

    def told(self) -> bool:
        """Whether the failure was told, and no alert is left."""
        failures = self.live.one("SELECT count(*) FROM alerts WHERE kind = 'failure'")
        return (failures > 0 or not self.whole) and self.live.one("SELECT count(*) FROM alerts WHERE sent_at IS NULL") == 0

    def account(self) -> Account:
        """What the commands wrote against what the history says."""
        account = Account()
        settle(account, self.live, self.load, set(self.promised.values()))
        for text in self.wrong:
            account.add("wrong", text)
        self._alerts(account)
        for pid in remains(self.live.places.journals):
            account.add("stuck", f"keeper process {pid}")
        if (sound := self.live.rows("PRAGMA integrity_check")) != [("ok",)]:
            account.add("wrong", f"the database: {sound}")
        for word in ("Traceback", "defect"):
            if word in self.live.log:
                account.add("wrong", f"the daemon says {word}: {self.live.log[self.live.log.index(word) - 300 :][:2000]}")
        keeper = self.live.places.journals / "keeper.log"
        if keeper.exists() and keeper.read_text():
            account.add("wrong", f"a keeper says {keeper.read_text()[:2000]}")
        return account

    def arrived(self, path: str = "") -> list[dict[str, str]]:
        """What has been sent to a target of this installation: `title` and `message`."""
        return [one for at, one in zip(self.web.paths, self.web.arrived, strict=True) if at == self.path + path]

    def _alerts(self, account: Account) -> None:
        """One of each failure, and each has arrived at least once."""
        arrived = [one["title"] for one in self.arrived()]
        rows = self.live.rows("SELECT kind, job, run, target FROM alerts")
        failures = [row for row in rows if row[0] == "failure"]
        if len(failures) != len(set(failures)):
            account.add("twice", f"alerts: {failures}")
        for target, path in (("ops", ""), ("night", "/night")):
            of_target = [row for row in rows if row[3] == target]
            if len(self.arrived(path)) < len(of_target):
                account.add("lost", f"of the alerts {of_target} only {self.arrived(path)} have arrived")
                account.lost += len(of_target) - len(self.arrived(path))
        if self.whole and not any(title.startswith("FAILED late") for title in arrived):
            account.add("lost", f"the alert of a failure has not arrived: {rows}, {arrived}")
            account.lost += 1


def template(folder: Path, web: WebService) -> Path:
    """The state folder of an installation that has had its first day."""
    with installation(web, "template", True) as one:
        one.live.start()
        one.live.until(lambda: one.live.one("SELECT count(*) FROM runs"))
        one.bring_to_end()
        assert not one.wrong, one.wrong
        with closing(sqlite3.connect(one.live.places.database)) as db, db:
            db.execute("DELETE FROM pauses")
        shutil.copytree(one.live.state, folder / "template")
    return folder / "template"


@contextmanager
def installation(web: WebService, name: str, whole: bool) -> Iterator[Installation]:
    """One in a folder of its own, of which nothing is left."""
    with living() as live:
        yield Installation(live, web, name, whole)


def kill_daemon(live: Live) -> None:
    """As nobody can refuse."""
    if live.alive():
        live.signal(signal.SIGKILL)
        live.ended()
