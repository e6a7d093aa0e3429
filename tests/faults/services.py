"""An alert service that refuses, hangs, drips, answers 500, and comes back.

Every alert arrives at least once; what has not arrived is told in status; and no job is delayed, whatever a service does.
"""

from __future__ import annotations

import contextlib
import random
import socket
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator

from tests.alerts.conftest import WebService
from tests.daemon.live import Live, job, living
from tests.faults.rows import Outcome, Row

DELAYED_BY = 0.1
MARGIN = 10
"""A bound of time is told from a hang; the figure is in the notes."""
HASTY = (sys.executable, "-m", "tests.faults.hasty", "3")
"""A daemon whose senders have 3 s instead of 30."""
FAULTS = ("refused", "hang", "drip", "500", "404")
HOUSE = 10
"""Alerts in one house, each to a service of its own."""
TRIES = 3
"""After so many, an alert that does not arrive is in status."""


class Service:
    """A web server that may also not be there at all: its port is kept for it."""

    def __init__(self, fault: str) -> None:
        self.web = WebService()
        self.fault = fault
        self.closed = socket.socket()
        self.closed.bind(("127.0.0.1", 0))
        self.web.answer = {"500": 500, "404": 404}.get(fault, fault)

    def url(self) -> str:
        port = self.closed.getsockname()[1] if self.fault == "refused" else self.web.port
        return f"json://127.0.0.1:{port}/hook"

    def come_back(self) -> None:
        """Be there and answer. What was said before to a service that did not take it has not arrived."""
        self.fault, self.web.answer = "", 200
        self.web.closing.set()
        self.web.arrived.clear()

    def close(self) -> None:
        self.web.close()
        self.closed.close()


@contextlib.contextmanager
def services(faults: list[str]) -> Iterator[list[Service]]:
    made = [Service(fault) for fault in faults]
    try:
        yield made
    finally:
        for one in made:
            one.close()


def house(count: int, dice: random.Random, slowest: list[float]) -> tuple[int, list[str]]:
    """So many jobs that fail, each with a service of its own: how many alerts were lost, and what does not hold."""
    wrong: list[str] = []
    first = dice.randrange(len(FAULTS))
    faults = [FAULTS[(first + number) % len(FAULTS)] for number in range(count)]
    with living() as live, services(faults) as made:
        jobs = job("tick", "true", schedule="* * * * * *")
        jobs += "".join(job(f"j{number}", "false", alert=[f"s{number}"]) for number in range(count))
        write_urls(live, made)
        live.write(jobs + "".join(f'[alerts.s{number}]\nurl_file = "url{number}"\n' for number in range(count)))
        live.start(None, *HASTY)
        for number in range(count):
            live.run(f"j{number}")
        live.until(lambda: tried(live, count, 1), "an alert is not tried", 120)
        assert live.terminate() == 0
        due_now(live, TRIES - 1)
        live.start(None, *HASTY)
        live.until(lambda: tried(live, count, TRIES), "an alert is not tried again", 120)
        told = " ".join(one["message"] for one in live.cli("status", "--json").json["problems"])
        wrong += [f"status is silent about s{number}" for number in range(count) if f"`s{number}`" not in told]
        assert live.terminate() == 0
        due_now(live, TRIES)
        for one in made:
            one.come_back()
        write_urls(live, made)
        live.start(None, *HASTY)
        unsent = "SELECT count(*) FROM alerts WHERE kind = 'failure' AND sent_at IS NULL"
        live.until(lambda: live.one(unsent) == 0, "not all are sent", 120)
        slowest.extend(delays(live))
        if "Traceback" in live.log or "defect" in live.log:
            wrong.append(live.log[-1000:])
        titles = [(number, str(message["title"])) for number, one in enumerate(made) for message in one.web.arrived]
        arrived = Counter(number for number, title in titles if f" j{number} " in title)
        lost = [number for number in range(count) if not arrived[number]]
    return len(lost), wrong + [f"the alert to a service that was `{faults[number]}` has not arrived" for number in lost]


def write_urls(live: Live, made: list[Service]) -> None:
    for number, one in enumerate(made):
        live.write(one.url() + "\n", f"url{number}")


def tried(live: Live, count: int, tries: int) -> bool:
    return bool(live.one("SELECT count(*) FROM alerts WHERE kind = 'failure' AND tries >= ?", tries) == count)


def due_now(live: Live, tries: int) -> None:
    """Let the next try of every alert be due, as if time had passed and so many had been made."""
    with contextlib.closing(sqlite3.connect(live.places.database)) as db, db:
        db.execute("UPDATE alerts SET next_try_at = 0, tries = ? WHERE sent_at IS NULL AND kind = 'failure'", (tries,))
        db.execute("DELETE FROM alerts WHERE kind = 'system'")


def delays(live: Live) -> list[float]:
    """How long after its slot each run of the job of each second began."""
    delay = "SELECT attempts.started_at - runs.slot FROM attempts JOIN runs ON id = run"
    return [float(row[0]) for row in live.rows(f"{delay} WHERE task = 'tick' AND trigger = 'schedule'")]


def alerts(trials: int, seed: int) -> Outcome:
    """Some alerts a house."""
    dice = random.Random(seed)
    lost, wrong, slowest = 0, list[str](), list[float]()
    begun = time.monotonic()
    for first in range(0, trials, HOUSE):
        count = min(HOUSE, trials - first)
        gone, lines = house(count, dice, slowest)
        lost, wrong = lost + gone, wrong + lines
    slowest.sort()
    if slowest[-1] > MARGIN * DELAYED_BY:
        wrong.append(f"a job began {slowest[-1]:.2f} s after its slot")
    within = sum(delay <= DELAYED_BY for delay in slowest) / len(slowest)
    note = f"{len(slowest)} starts meanwhile: {within:.1%} within {DELAYED_BY * 1000:.0f} ms of their slot,"
    note += f" the median after {slowest[len(slowest) // 2] * 1000:.0f} ms, the last after {slowest[-1] * 1000:.0f} ms"
    note += f"; {time.monotonic() - begun:.0f} s"
    return Outcome(trials, lost, 0, tuple(wrong), (note,))


ROWS = (
    Row(
        *("services", "the alert service refuses, hangs, drips, answers 500, comes back", 200, 3, alerts),
        batch=50,
        uncounted=("twice",),
    ),
)
