"""The daemon: one loop that listens, has the engine decide, saves, and only then acts.

A turn: wait until one of the parts has something to say; have all of them make events of it; `step` these one after the other;
save all that they changed in one transaction; then every part acts on what was saved: starts and ends processes, acknowledges to
the keepers, answers clients. Where saving fails (a full disk), what was decided is kept and saved with the next turn, and nothing
of it is done before.
"""

from __future__ import annotations

import contextlib
import math
import os
import signal
import sqlite3
import time
from collections.abc import Callable

from cronflow.alerts.compose import Composer, Output
from cronflow.alerts.outbox import Outbox
from cronflow.core import events as happened
from cronflow.core import trace
from cronflow.core.effects import Effects
from cronflow.core.engine import next_wakeup, step
from cronflow.core.events import Event
from cronflow.core.records import Trouble
from cronflow.daemon.clients.sessions import Services, Sessions
from cronflow.daemon.clock import Clock
from cronflow.daemon.jobs.reloading import Reloading
from cronflow.daemon.jobs.source import JobSource
from cronflow.daemon.notify import Notifier
from cronflow.daemon.part import Life, Part, Ready, wait
from cronflow.daemon.processes.commands import Commands
from cronflow.daemon.processes.secrets import Secrets, command_orders
from cronflow.daemon.signals import Signals
from cronflow.daemon.upkeep import recovery
from cronflow.daemon.upkeep.alive import SignOfLife
from cronflow.daemon.upkeep.disk import Disk, make_room
from cronflow.daemon.upkeep.integrity import IntegrityCheck
from cronflow.daemon.upkeep.memory import give_back
from cronflow.daemon.upkeep.retention import Retention
from cronflow.errors import CronflowError
from cronflow.keeper.client import KeeperError
from cronflow.keeper.output import read_log
from cronflow.linux import boot_id, raise_priority
from cronflow.places import Places
from cronflow.store.reserve import drop_ballast
from cronflow.watch.filewatches import FileWatches

LONGEST_SLEEP = 30.0
"""Seconds. A suspend or a step of the clock is noticed within this time."""
SAVE_AGAIN = 1.0
SAVE_LATER = 0.25
"""Seconds. The start of a process is saved with what comes next: until then its keeper knows of it, and would report it again."""


class Daemon:
    """One life of the daemon. The caller holds the lock of the state folder. `slots=False` is a run in the foreground: it is the
    daemon for as long as `run` is told to go on, and starts nothing by itself."""

    def __init__(self, places: Places, source: JobSource, *, slots: bool = True, log: Callable[[str], None]) -> None:
        os.umask(0o077)  # what the daemon writes is for its user alone; commands have a umask of their own
        self.life = life = Life(places, slots, log)
        self.source = source
        make_room(places.state)
        self.database, self.state, self._boot_before = recovery.revive(places, life.since, log)
        database, state = self.database, self.state
        if database.store.copied is not None:
            log(f"the database has a new format; as it was it is kept in `{database.store.copied}`")
        self._save_at: float | None = None
        folder = os.path.dirname(places.file)
        secrets = Secrets(folder, warn=log)
        output = Output(
            lambda ref, most: b"".join(read_log(str(places.log(*ref)), tail=most)),
            secrets.masks,
            lambda job: command_orders(job, os.environ),
        )
        self.notifier = Notifier(state)
        self.commands = Commands(life, database, state, secrets)
        self.clock = Clock(life, database, state)
        self.alerts = Outbox(database, state, Composer(database, output), folder)
        self.signals = Signals(self._on_signal if slots else None)
        self.alive = SignOfLife(places.alive)
        self.watches = FileWatches(state, lambda: self.database.store, log)
        self.disk = Disk(life, database, state)
        self.reloading = Reloading(life, source, self.notifier)
        self.retention = Retention(life, database, state, self.alive.last())
        self.sessions = Sessions(life, database, state, Services(self.reloading, self.retention, secrets))
        self.parts: list[Part] = [  # who comes first starts what is due first, and leaves last
            self.commands,
            self.sessions,
            self.clock,
            self.alerts,
            IntegrityCheck(places.database, slots),
            self.signals,
            self.alive,
            self.watches,
            self.disk,
            self.notifier,
            self.reloading,
            self.retention,
        ]

    # ---- beginning and ending --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take over what earlier daemons left, and put the job file in force; all of it in one turn."""
        reading, plan = self.source.reading, self.source.plan
        rebooted = self._boot_before not in (None, boot_id())
        self.state.jobs = reading.jobs  # says who is notified of what has ended meanwhile
        try:
            events = self.commands.take_over(rebooted)
        except KeeperError as error:
            raise CronflowError(f"the process that holds the commands cannot be started: {error}") from None
        events.append(happened.Started(reading.jobs, plan, self.alive.last(), self.life.slots, rebooted, boot_id()))
        events.extend(self._guarded(self.clock.set_back, plan))
        if self.database.store.accident is not None:
            events.append(self._accident(self.database.store.accident))
        elif "database" in self.state.troubles:
            events.append(happened.TroubleGone("database"))
        if "config" in self.state.troubles:
            events.append(happened.TroubleGone("config"))
        self._turn([*events, *self.disk.changes()])
        self.reloading.keep()
        self.alive.give()
        self.notifier.ready()
        self._guarded(self.disk.reserve, True)
        give_back(self.database.store)
        raise_priority()

    def _accident(self, message: str) -> Event:
        self.life.log(message)
        return happened.TroubleFound(Trouble("database", "system", message, time.time()))

    def close(self) -> None:
        """Leave: commands go on, held by their keepers."""
        self.notifier.stopping()
        with contextlib.suppress(sqlite3.Error):
            if self._save(self.database.unsaved):
                self.sessions.saved(self.database.unsaved)  # else who has asked would take it as not done
        self.database.store.close()
        for part in reversed(self.parts):
            part.close()

    def _on_signal(self, number: int) -> list[Event]:
        if number == signal.SIGHUP:
            return self.reloading.reload(notify=True)
        self.life.leaving = "stopped"
        return []

    # ---- the loop --------------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool] = lambda: False, tick: float = LONGEST_SLEEP) -> None:
        """Turn until told to leave, or until `until` says so; `tick` seconds at most from one turn to the next."""
        while self.life.leaving is None and not until():
            self._turn(self._poll(self._wait(tick)))
            if self.state.draining and self.state.running == 0 and not self.database.unsaved:
                self.life.leaving = "drained"

    def _wait(self, tick: float) -> Ready:
        if self.life.inbox or self.database.damage is not None:
            return {}
        deadlines = (self._save_at, *(part.deadline() for part in self.parts))
        wake_at = min((at for at in deadlines if at is not None), default=math.inf)
        fds = [fd for part in self.parts for fd in part.fds()]
        return wait(fds, min(wake_at - time.monotonic(), tick))

    def _poll(self, ready: Ready) -> list[Event]:
        """Everything that has happened since the last turn, as events."""
        events, self.life.inbox = self.life.inbox, []
        for part in self.parts:
            events.extend(self._guarded(part.poll, ready))
        wakeup = next_wakeup(self.state)
        if wakeup is not None and wakeup <= time.time():
            events.append(happened.Woke())
        return events

    def _guarded(self, do: Callable[..., list[Event] | None], *args: object) -> list[Event]:
        """The events that it returns; none where the database cannot be worked on just now."""
        try:
            return do(*args) or []
        except sqlite3.DatabaseError as error:
            self.database.on_error(error)
            return []

    # ---- a turn ----------------------------------------------------------------------------------------------------------

    def _turn(self, events: list[Event]) -> None:
        if self.database.damage is not None:
            self._replace_database(self.database.damage)
        elif self.database.store.stands_in is not None and self._save_at is not None and time.monotonic() >= self._save_at:
            self.database.replace()
        if not events and self._save_at is None:
            return
        now, out = time.time(), self.database.unsaved
        for event in events:
            made = step(self.state, event, now)
            for line in trace.news(made):
                self.life.log(line)
            out.add(made)
        if out.unsaved and not out.actions and events and all(isinstance(event, happened.AttemptBegan) for event in events):
            self._save_at = self._save_at or time.monotonic() + SAVE_LATER
        elif self._save(out):
            self.database.unsaved = Effects()
            for part in self.parts:
                part.saved(out)

    def _save(self, out: Effects) -> bool:
        """One transaction for all rows. What cannot be saved now is tried again, and reported."""
        self._save_at = None
        if not out.unsaved:
            return True
        try:
            self.database.store.save(out)
        except sqlite3.DatabaseError as error:
            self._save_at = time.monotonic()
            self.database.on_error(error)
            if self.database.damage is None:
                self._wait_for_room(out, error)
            return False
        if "unsaved" in self.state.troubles:
            self.life.log("the database can be written again")
            self.life.inbox.append(happened.TroubleGone("unsaved"))
        return True

    def _wait_for_room(self, out: Effects, error: sqlite3.DatabaseError) -> None:
        if not drop_ballast(self.life.places.state):
            self._save_at = time.monotonic() + SAVE_AGAIN
        if "unsaved" not in self.state.troubles:
            self.life.log(f"the database cannot be written: {error}; nothing is started until it can")
            for event in self.disk.unsavable(error):
                out.add(step(self.state, event, time.time()))

    def _replace_database(self, damage: sqlite3.DatabaseError) -> None:
        """Put all that goes on into a new database. The history stays in the damaged one; alerts that
        are still to be sent come along where they can be read."""
        self.life.log(f"the database is damaged: {damage}")
        whole = recovery.everything(self.state)
        whole.add(recovery.salvaged(self.database.store, self.state))
        whole.add(Effects.saving(*self.watches.known()))
        whole.add(self.database.unsaved)
        self.database.replace()
        whole.add(step(self.state, self._accident(self.database.store.accident or ""), time.time()))
        self.database.unsaved = whole
        self._save_at = time.monotonic()
