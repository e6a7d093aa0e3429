"""A `cronflow run` without a daemon: it is the daemon for as long as its own run lasts, and starts nothing by itself.

When its run has ended it leaves, even if it serves other commands: they take over, as after a crash. A `cronflow daemon` that
starts takes its place at once. Killed, it leaves the commands to their keeper.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from cronflow.core.effects import Reply
from cronflow.core.events import CancelAsked
from cronflow.core.records import Run
from cronflow.daemon.clients.requests import to_event
from cronflow.daemon.daemon import Daemon
from cronflow.daemon.jobs.source import JobSource
from cronflow.errors import CronflowError
from cronflow.places import Places

ALERTS_WITHIN = 10.0
"""Seconds that a run which is over waits for its alerts to be sent; later ones are left to the next daemon."""


class Foreground:
    """One run in the foreground. `runs` are the runs that the caller sees through, `watch` hears of each change of them."""

    def __init__(self, places: Places, by: str, watch: Callable[[dict[str, Any]], None], log: Callable[[str], None]) -> None:
        self.by = by
        self.runs: tuple[int, ...] = ()
        self.refusal: Reply | None = None
        self.reply: Reply | None = None
        self.interrupted = 0
        self.watch = watch
        self.daemon = Daemon(places, JobSource.open(str(places.file)), slots=False, log=log)
        self.daemon.sessions.observers.append(self._hear)

    def begin(self) -> None:
        """Take over what earlier processes left."""
        self.daemon.signals.catch(signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        self.daemon.begin()

    def ask(self, message: dict[str, Any]) -> Reply:
        """Ask the engine what a client would ask over the control socket, and wait for its answer."""
        daemon, answers = self.daemon, list[Reply]()
        self.reply = None
        store = daemon.database.store
        daemon.sessions.ask(lambda number: to_event(message, number, self.by, daemon.state, store), answers.append)
        daemon.run(lambda: bool(answers))
        if not answers:
            raise CronflowError("this process was told to leave before anything was started")
        self.reply = answers[0]
        self.runs = self.reply.runs
        return self.reply

    def attend(self, runs: tuple[int, ...], tick: Callable[[], None], most: int = 0) -> bool:
        """See runs through until `most` of them are left. True when that is so, False when another process has taken the place or
        a signal said to go."""
        self.runs = runs

        def over() -> bool:
            tick()
            self._obey_signals()
            return self._left() <= most

        self.daemon.run(over, tick=0.1)
        return self._left() <= most

    def send_alerts(self) -> None:
        """Wait for the alerts of what is over, if nobody else is about to send them."""
        if self.daemon.life.leaving is None:
            until = time.monotonic() + ALERTS_WITHIN
            self.daemon.run(lambda: time.monotonic() >= until or not self.daemon.alerts.busy(time.time()), tick=0.05)

    def run_now(self, number: int) -> Run | None:
        """A run as it is now."""
        return self.daemon.state.runs.get(number) or self.daemon.database.store.run(number)

    def close(self) -> None:
        self.daemon.close()

    def _left(self) -> int:
        return sum(number in self.daemon.state.runs for number in self.runs)

    def _hear(self, event: dict[str, Any]) -> None:
        if event["run"] in self.runs or self.reply is None:
            self.watch(event)

    def _obey_signals(self) -> None:
        """Ctrl-C cancels the run; a second one does not wait for `kill_after`."""
        for number in self.daemon.signals.take():
            if number == signal.SIGINT:
                self.interrupted += 1
                for run in self.runs:
                    if run in self.daemon.state.runs:
                        asked = partial(CancelAsked, run=run, by=self.by, words="Ctrl-C")
                        self.daemon.sessions.ask(asked, lambda _reply: None)
            else:
                self.daemon.life.leaving = "stopped"
