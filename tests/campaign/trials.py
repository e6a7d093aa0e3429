"""Kill trials: a daemon with some twenty commands going on, one SIGKILL at a random moment, and again.

Many trials share a state folder, a batch; at its end nothing new is started, what runs is waited for, and the account is made up.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from cronflow.cli import client
from tests.campaign.household import House, keepers, newborn, remains
from tests.campaign.ledger import Account, settle
from tests.campaign.workload import Hand, Workload, kill
from tests.daemon.live import Live

KINDS = ("daemon", "holder", "guard", "older", "both", "newborn")
MAY_LOSE = ("both", "newborn")
MIXES = {"keeper": ("holder", "guard", "older"), "all": KINDS[:4]}
DRAINED_WITHIN = 90.0
EDITED = 0.25
"""How often the job file is another one: a daemon that is killed comes up with it, one that lives on reads it again."""


@dataclass
class Figures:
    """What a batch has shown; `fine` is what every batch must be."""

    who: str
    seed: int
    trials: int = 0
    commands: int = 0
    lost: int = 0
    twice: int = 0
    wrong: int = 0
    missing: int = 0
    stuck: int = 0
    untried: int = 0
    slots: int = 0
    order: int = 0
    seconds: float = 0.0

    @property
    def fine(self) -> bool:
        lost = 0 if set(MAY_LOSE) & set(kinds(self.who)) else self.lost
        return not (lost or self.twice or self.wrong or self.missing or self.stuck or self.untried or self.slots or self.order)

    def take(self, account: Account) -> None:
        self.commands = account.commands
        for one in fields(self):
            if one.name in account.faults:
                setattr(self, one.name, account.count(one.name))

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def kinds(who: str) -> tuple[str, ...]:
    """The kinds of trial that a word stands for."""
    return MIXES.get(who, (who,))


class Batch:
    """One state folder and the trials in it. `Live` is the caller's, and it is the caller who closes it."""

    def __init__(self, live: Live, who: str, seed: int) -> None:
        self.live = live
        self.kinds = kinds(who)
        self.dice = random.Random(f"{who} {seed}")
        self.load = Workload(live.folder)
        self.hand = Hand(live.places, seed)
        self.figures = Figures(who, seed)
        self.account = Account()
        self.killed: list[str] = []
        self._hurt: set[int] = set()
        self._whole_kills: list[float] = []
        self._begun = time.monotonic()
        self._trials: dict[str, Callable[[], str | None]] = {
            "daemon": self.kill_daemon,
            "holder": lambda: self.kill_one("holder"),
            "guard": lambda: self.kill_one("guard"),
            "older": self.kill_one_of_older,
            "both": self.kill_both,
            "newborn": self.kill_newborn,
        }

    def run(self, trials: int) -> Figures:
        """So many trials, and the account."""
        self.load.write()
        self.live.start(self.load.jobs)
        self.hand.start()
        self._sleep(1.0)
        while self.figures.trials < trials:
            if self.dice.random() < EDITED:
                self.live.write(self.load.edit(self.dice))
            what = self._trials[self.dice.choice(self.kinds)]()
            if what is not None:
                self.figures.trials += 1
                self.killed.append(f"{time.time():.3f} {what}")
        self.drain()
        settle(self.account, self.live, self.load, self.hand.promised)
        if self.kinds == ("both",):
            self._explain_losses()
        self.figures.take(self.account)
        self.figures.seconds = round(time.monotonic() - self._begun, 1)
        return self.figures

    # ---- the trials ------------------------------------------------------------------------------------------------------

    def kill_daemon(self) -> str:
        """The daemon goes: mostly while it works, sometimes while it starts and takes over."""
        if self.dice.random() < 0.7:
            self._up()
        self._sleep(0.5)
        return self._kill_daemon() + self._launch()

    def kill_one(self, role: str) -> str | None:
        """One process of the present keeper goes, and the daemon lives on."""
        if self._present() is None:
            return None
        self._sleep(0.3)
        house = self._present()
        return None if house is None else self._hurt_one(house, role)

    def kill_one_of_older(self) -> str | None:
        """The daemon is restarted, and while the keeper of the one before drains, a process of that goes."""
        before = self._present()
        if before is None:
            return None
        if self.dice.random() < 0.5:
            self._kill_daemon()
        else:
            self.live.terminate()
        self._launch()
        self._sleep(0.8)
        house = next((one for one in self._whole() if one.number == before.number), None)
        return None if house is None else self._hurt_one(house, self.dice.choice(("holder", "guard")))

    def kill_both(self) -> str | None:
        """Both processes of the present keeper go, and sometimes the daemon just before or after."""
        if self._present() is None:
            return None
        self._sleep(0.4)
        house = self._present()
        if house is None:
            return None
        first, second = self.dice.sample(("holder", "guard"), 2)
        and_daemon = self.dice.choice((None, None, "before", "after"))
        said = self._kill_daemon() if and_daemon == "before" else ""
        said += self._hurt_one(house, first)
        time.sleep(self.dice.choice((0.0, 0.0, 0.002, 0.01)))
        said += " and " + self._hurt_one(house, second)
        self._whole_kills.append(time.time())
        if and_daemon == "after":
            time.sleep(self.dice.uniform(0, 0.05))
            said += " and " + self._kill_daemon()
        return said + (self._launch() if and_daemon else "")

    def kill_newborn(self) -> str | None:
        """A keeper that is being started, for a new daemon or in place of one that has been killed, goes at once as a whole."""
        house = self._present()
        if house is None:
            return None
        said = self._kill_daemon() + self._launch() if self.dice.random() < 0.5 else self._hurt_one(house, "guard")
        before, until = house.number, time.monotonic() + 5.0
        while not (pids := newborn(self.live.places.journals, before)):
            if time.monotonic() > until:
                return None
        time.sleep(self.dice.choice((0.0, self.dice.uniform(0, 0.01), self.dice.uniform(0, 0.06))))
        for pid in newborn(self.live.places.journals, before) or pids:
            kill(pid)
        return f"{said} and newborn {pids}"

    # ---- their parts -----------------------------------------------------------------------------------------------------

    def _sleep(self, most: float) -> None:
        time.sleep(self.dice.uniform(0, most))

    def _up(self) -> None:
        self.live.until(lambda: client.ping(self.live.places), "the daemon does not answer")

    def _kill_daemon(self) -> str:
        process = self.live.process
        assert process is not None
        assert process.poll() is None, f"the daemon has ended by itself, with {process.returncode}: {self.live.log[-3000:]}"
        process.kill()
        process.wait()
        return f"daemon {process.pid}"

    def _launch(self) -> str:
        self.live.launch()
        return ""

    def _whole(self) -> list[House]:
        return [house for house in keepers(self.live.places.journals) if house.number not in self._hurt]

    def _present(self) -> House | None:
        """The keeper of the daemon that is up now. None if it has none of which both lives are left."""
        self._up()
        generation = int(self.live.one("SELECT value FROM meta WHERE key = 'generation'") or 0)
        return next((one for one in reversed(self._whole()) if one.number // 1000 == generation), None)

    def _hurt_one(self, house: House, role: str) -> str:
        self._hurt.add(house.number)
        pid = house.holder if role == "holder" else house.guard
        kill(pid)
        return f"{role} {pid} of {house.number}"

    # ---- the end ---------------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Start nothing more, and wait until all has ended, the keepers too."""
        self.hand.stop()
        self._up()
        self.live.ask("pause", words="the campaign is over")
        left = "SELECT count(*) FROM runs WHERE finished_at IS NULL"
        self._wait(lambda: self.live.one(left) == 0)
        if self.live.alive():
            assert self.live.terminate() == 0
        self._wait(lambda: not remains(self.live.places.journals))
        for pid in remains(self.live.places.journals):
            self.account.add("stuck", f"keeper process {pid}")
        for line in _complaints(self.live.places.journals / "keeper.log"):
            self.account.add("wrong", f"a keeper has said: {line}")

    def _explain_losses(self) -> None:
        """An attempt may be lost only if its keeper was killed as a whole while it ran: from when it was claimed until it was
        told as lost."""
        query = "SELECT run, task, n, kind, created_at, finished_at FROM attempts WHERE result = 'lost'"
        for *ref, created, finished in self.live.rows(query):
            if not any(created <= at <= finished for at in self._whole_kills):
                self.account.add("wrong", f"{ref} was lost, and no keeper was killed as a whole while it ran")

    def _wait(self, truth: Callable[[], bool]) -> None:
        until = time.monotonic() + DRAINED_WITHIN
        while not truth() and time.monotonic() < until:
            time.sleep(0.05)


def _complaints(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []
