"""The daemon: one loop that hears, has the engine decide, saves, and only then acts.

A turn of the loop: wait until the engine's next wake-up or until someone has something to say; make events of it; `step` them one
after the other; save all that they changed in one transaction; then start and end processes, acknowledge to the keepers, answer
people. Where saving fails (a full disk), what was decided is kept and saved with the next turn, and nothing of it is done before.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any

from cronflow.alerts.alerting import Alerting
from cronflow.core import events as happened
from cronflow.core import trace
from cronflow.core.effects import Effects, StartAttempt
from cronflow.core.engine import next_wakeup, step
from cronflow.core.events import Event
from cronflow.core.records import Trouble
from cronflow.daemon.clients.control import Client
from cronflow.daemon.clients.sessions import People
from cronflow.daemon.jobs.reloading import Reloading
from cronflow.daemon.jobs.source import JobSource
from cronflow.daemon.listening import Conversation, Listening
from cronflow.daemon.notify import Notifier
from cronflow.daemon.processes import collect, spawning
from cronflow.daemon.processes.keepers import Keepers
from cronflow.daemon.processes.secrets import Vault
from cronflow.daemon.upkeep import disk, recovery
from cronflow.daemon.upkeep.clock_correction import SetBack
from cronflow.daemon.upkeep.integrity import Checkup
from cronflow.daemon.upkeep.memory import give_back
from cronflow.daemon.upkeep.retention import FIRST, QUIET, Retention
from cronflow.errors import CronflowError
from cronflow.keeper.client import KeeperError
from cronflow.linux import boot_id, raise_priority
from cronflow.places import Places
from cronflow.store.reserve import drop_ballast, keep_ballast, reserve
from cronflow.store.sound import is_damage
from cronflow.store.store import Store
from cronflow.watch.arrivals import Arrivals

LONGEST_SLEEP = 30.0
"""Seconds. A suspend or a step of the clock is noticed within this time."""
SAVE_AGAIN = 1.0
SAVE_LATER = 0.25
"""Seconds. That a process has begun is saved with what comes next: until then its keeper knows it, and would tell it again."""
REST = 5.0
REPLACED_AGAIN = 60.0
"""Seconds for which a new database is not replaced by another one, and each time twice as long: what is wrong then may be us."""


class Daemon:
    """One life of the daemon. The caller holds the lock of the state folder. `slots=False` is a run in the foreground: it is the
    daemon for as long as `run` is told to go on, and starts nothing by itself."""

    def __init__(self, places: Places, source: JobSource, *, slots: bool = True, log: Callable[[str], None]) -> None:
        os.umask(0o077)  # what the daemon writes is for its user alone; commands have a umask of their own
        self.places = places
        self.source = source
        self.slots = slots
        self.log = log
        self.notifier = Notifier()
        self.since = time.time()
        self.leaving: str | None = None
        self.inbox: list[Event] = []
        self._unsaved = Effects()
        self._save_at: float | None = None
        self._saved: list[Callable[[], None]] = []
        self._last_seen_at = 0.0
        self._set_back = SetBack()
        self._rest_until = 0.0
        self._damage: sqlite3.Error | None = None
        self._spared_for, self._spared_until = REPLACED_AGAIN / 2, 0.0
        disk.make_room(places.state)
        self.store, self.state = recovery.revive(places, log, self._facts_of)
        if self.store.copied is not None:
            log(f"the database has a new format; as it was it is kept in `{self.store.copied}`")
        self.vault = Vault(os.path.dirname(places.file), warn=log)
        self.alerting = Alerting(self.store, places, self.vault)
        self.checkup = Checkup.of(places.database, slots)
        self.retention = Retention(self.store, places, time.monotonic() + FIRST)
        self.reloading = Reloading(places, source, self.notifier, self._saved.append, log)
        self.listening = Listening()
        self.arrivals = Arrivals(log)
        self._ready: list[tuple[Any, int]] = []
        self.keepers = self._new_keepers()
        self.people = People(self)

    def _facts_of(self, store: Store) -> Mapping[str, str]:
        """What the database is to say of this daemon."""
        self._boot_before = store.meta("boot")
        self._facts = recovery.facts(store, self.places, self.since)
        return self._facts

    def _new_keepers(self) -> Keepers:
        sockets, facts = str(self.places.runtime / "keeper"), self._facts
        return Keepers(str(self.places.journals), sockets, int(facts["generation"]), facts["id"], self.log)

    # ---- beginning and ending --------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Take over what earlier daemons left, and put the job file in force; all of it in one turn."""
        alive_at = None
        with contextlib.suppress(OSError):
            alive_at = self.places.alive.stat().st_mtime
            self.retention.seen = alive_at, time.monotonic()
        rebooted = self._boot_before not in (None, boot_id())
        try:
            live = {task.live.ref: task.live.pid for task in self.state.live() if task.live is not None}
            found = self.keepers.take_over(live, rebooted)
        except KeeperError as error:
            raise CronflowError(f"the process that holds the commands cannot be started: {error}") from None
        self.state.jobs = self.source.reading.jobs  # whom to tell of what ended meanwhile
        events: list[Event] = [*found, self._started(alive_at, rebooted), *self._hear_clock(time.time())]
        if self.store.accident is not None:
            events.append(self._accident(self.store.accident))
        elif "database" in self.state.troubles:
            events.append(happened.TroubleGone("database"))
        if "config" in self.state.troubles:
            events.append(happened.TroubleGone("config"))
        events.extend(disk.news(self.places.state, "disk" in self.state.troubles))
        self._register()
        self._turn(events)
        self.reloading.keep()
        self._touch()
        self.notifier.ready()
        self._reserve(anew=True)
        give_back(self.store.connection)
        raise_priority()

    def _accident(self, message: str) -> Event:
        self.log(message)
        return happened.TroubleFound(Trouble("database", "system", message, time.time()))

    def _started(self, alive_at: float | None, rebooted: bool) -> happened.Started:
        reading = self.source.reading
        return happened.Started(reading.jobs, self.source.plan, alive_at, self.slots, rebooted, boot_id())

    def _register(self) -> None:
        self.listening.add(self.people.control.listener)
        if self.source.watch.works:
            self.listening.add(self.source.watch)

    def close(self) -> None:
        """Leave: commands go on, held by their keepers; those who wait for the end hear of it as their connection closes."""
        self.notifier.stopping()
        with contextlib.suppress(sqlite3.Error):
            self._save(self._unsaved)
        self._touch()
        self.alerting.close()
        self.checkup.close()
        self.keepers.close()
        self.store.close()
        self.listening.close()
        self.source.watch.close()
        self.arrivals.close()
        self.people.control.close()

    # ---- the loop --------------------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool] = lambda: False, tick: float | None = None) -> None:
        """Turn until told to leave, or until `until` says so; `tick` seconds at most from one turn to the next."""
        while self.leaving is None and not until():
            self._wait(tick)
            events = self._hear()
            self._turn(events)
            self._forget(quiet=not events)
            if self.state.draining and self.state.running == 0 and not self._unsaved:
                self.leaving = "drained"

    def _wait(self, tick: float | None) -> None:
        now, monotonic = time.time(), time.monotonic()
        if self.inbox:
            return
        times = (next_wakeup(self.state), self.alerting.deadline(), now + LONGEST_SLEEP)
        wake_at = min(at for at in times if at is not None)
        ours = (self.keepers, self.source, self.alerting.outbox, self.checkup, self.retention)
        soon = (*(one.deadline() for one in ours), self.arrivals.deadline(self.state), self._save_at)
        limits = [at - monotonic for at in soon if at is not None] + [LONGEST_SLEEP]
        if tick is not None:
            limits.append(tick)
        if self.notifier.watchdog_every is not None:
            limits.append(self.notifier.watchdog_every)
        self.people.control.drop_closed()
        talks: list[Conversation] = [*self.people.control.clients, *self.keepers.connections()]
        fds = (*self.alerting.outbox.fds(), *self.keepers.orphans.fds(), *self.arrivals.fds(), *self.checkup.fds())
        self._ready = self.listening.wait(max(wake_at, now), max(0.0, min(limits)), talks, fds)

    def _hear(self) -> list[Event]:
        """Everything that has happened since the last turn, as events."""
        events, self.inbox = self.inbox, []
        for thing, mask in self._ready:
            if thing is self.people.control.listener:
                self.people.control.accept()
            elif thing is self.source.watch:
                self.source.noticed()
            elif isinstance(thing, Client):
                events.extend(self.people.hear(thing, mask))
            elif not isinstance(thing, int):
                if mask & selectors.EVENT_WRITE:
                    thing.flush()
                events.extend(self.keepers.receive(thing))
        self._ready = []
        events.extend(self._hear_time())
        return events

    def _hear_clock(self, now: float) -> list[Event]:
        """Notice a clock that was set back by hours, once what ran before is in the database."""
        if self._unsaved.rows or not self.slots:
            return []
        try:
            events = self._set_back.news(self.state, self.source.plan, self.store, now)
        except sqlite3.DatabaseError as error:
            self.mind(error)
            return []
        if events:
            self.log("the clock was set back: slots count from the time that it shows now")
        return events

    def _hear_time(self) -> list[Event]:
        now = time.time()
        events: list[Event] = self._hear_clock(now)
        if self.keepers.lost:
            events.extend(self.keepers.reconnect())
        if self.keepers.orphans.watched:
            events.extend(self.keepers.collect_orphans())
        events.extend(self.keepers.overdue())
        events.extend(self._keep_house(now))
        if (damage := self.checkup.news(time.monotonic())) is not None:
            self.mind(damage)
        while self.listening.caught and self.slots:
            events.extend(self._hear_signal(self.listening.caught.pop(0)))
        if now - self._last_seen_at >= LONGEST_SLEEP or now < self._last_seen_at:
            self._touch()
            self.source.glance()
            self._reserve()
        events.extend(self._hear_arrivals())
        events.extend(disk.news(self.places.state, "disk" in self.state.troubles))
        self.notifier.alive()
        if self.source.edited():
            events.extend(self.reloading.reload(tell=False))
        if self.source.tell_at is not None and time.monotonic() >= self.source.tell_at:
            self.source.tell_at = None
            events.extend(self.reloading.reload(tell=True))
        wakeup = next_wakeup(self.state)
        if wakeup is not None and wakeup <= now:
            events.append(happened.Woke())
        return events

    def _hear_signal(self, number: int) -> list[Event]:
        if number == signal.SIGHUP:
            return self.reloading.reload(tell=True)
        self.leaving = "stopped"
        return []

    def _keep_house(self, now: float) -> list[Event]:
        """Alerts. A database that cannot be read or written now is left in peace for a while."""
        events: list[Event] = []
        if time.monotonic() < self._rest_until:
            return events
        try:
            events.extend(self.alerting.collect(now))
            events.extend(self.alerting.dispatch(self.source.reading.jobs, self.source.plan, now))
        except sqlite3.DatabaseError as error:
            self.mind(error)
            self._rest_until = time.monotonic() + REST
        return events

    def _forget(self, quiet: bool) -> None:
        """A portion of what retention has to do, when nothing else is to be done."""
        if time.monotonic() < self.retention.deadline():
            return
        if self._unsaved or self._damage is not None:
            self.retention.put_off(REST)
            return
        now, wakeup = time.time(), next_wakeup(self.state)
        quiet = quiet and not self.inbox and (wakeup is None or wakeup > now + QUIET)
        try:
            self.retention.step(self.state.jobs.settings, now, quiet)
        except sqlite3.DatabaseError as error:
            self.mind(error)

    def _hear_arrivals(self) -> list[Event]:
        try:
            return self.arrivals.hear(self.state, self.store)
        except sqlite3.DatabaseError as error:
            self.mind(error)
            return []

    def _reserve(self, anew: bool = False) -> None:
        if self.slots:
            try:
                self.store.check_place()
                reserve(self.store.connection, anew)
                keep_ballast(self.places.state)
            except sqlite3.DatabaseError as error:
                self.mind(error)

    def mind(self, error: sqlite3.DatabaseError) -> None:
        """What an error of the database means: damage is dealt with in the next turn, a full or failing disk is waited for."""
        if is_damage(error):
            if time.monotonic() >= self._spared_until:
                self._damage = error
                self.inbox.append(happened.Woke())
        elif not isinstance(error, sqlite3.OperationalError):
            raise error

    def _touch(self) -> None:
        """Leave a sign of life, from which the next daemon tells since when nobody was there."""
        self._last_seen_at = time.time()
        with contextlib.suppress(OSError):
            self.places.alive.touch(mode=0o600)
        self.notifier.status(self.status_line())

    def status_line(self) -> str:
        """One line for `systemctl status`."""
        jobs, running = len(self.state.jobs.jobs), self.state.running
        failing = sum(one.failing_since is not None for name, one in self.state.health.items() if name in self.state.jobs.jobs)
        return f"{jobs} jobs, {running} running, {failing} failing"

    # ---- a turn ----------------------------------------------------------------------------------------------------------

    def _turn(self, events: list[Event]) -> None:
        """Step, save, act."""
        if self._damage is not None:
            self._replace_database()
        elif self.store.stands_in is not None and self._save_at is not None and time.monotonic() >= self._save_at:
            self._use_another()
        if not events and self._save_at is None:
            return
        now = time.time()
        out = self._unsaved
        for event in events:
            if isinstance(event, happened.AttemptEnded):
                event = self._harvested(event)
            made = step(self.state, event, now)
            for line in trace.news(made):
                self.log(line)
            out.add(made)
        if out.rows and not out.deeds and events and all(isinstance(event, happened.AttemptBegan) for event in events):
            self._save_at = self._save_at or time.monotonic() + SAVE_LATER
            return
        if not self._save(out):
            return
        self._unsaved = Effects()
        self._act(out)

    def _harvested(self, event: happened.AttemptEnded) -> happened.AttemptEnded:
        """The end of an attempt with what it has left in its files."""
        self._saved.append(lambda: collect.clear(event.ref, self.places))
        return collect.complete(event, self.state, self.places, self.vault)

    def _save(self, out: Effects) -> bool:
        """One transaction for all rows. What cannot be saved now is tried again, and said."""
        if not out.rows:
            self._save_at = None
            return True
        try:
            self.store.save(out)
        except sqlite3.DatabaseError as error:
            self.mind(error)
            if self._damage is not None:
                self._save_at = time.monotonic()
                return False
            self._save_at = time.monotonic() + (0.0 if drop_ballast(self.places.state) else SAVE_AGAIN)
            if "unsaved" not in self.state.troubles:
                self.log(f"the database cannot be written: {error}; nothing is started until it can")
                for event in disk.unsavable(self.places.state, "disk" in self.state.troubles, error):
                    out.add(step(self.state, event, time.time()))
            return False
        self._save_at = None
        if "unsaved" in self.state.troubles:
            self.log("the database can be written again")
            self.inbox.append(happened.TroubleGone("unsaved"))
        return True

    def _replace_database(self) -> None:
        """Put all that goes on into a new database. The history stays in the damaged one, alerts that were not sent with it."""
        self.log(f"the database is damaged: {self._damage}")
        self._damage = None
        self._spared_for *= 2
        self._spared_until = time.monotonic() + self._spared_for
        whole = recovery.everything(self.state)
        whole.add(recovery.salvaged(self.store, self.state))
        whole.watched.update(self.arrivals.known())
        whole.add(self._unsaved)
        whole.slots = list(dict.fromkeys(whole.slots))
        self._unsaved = whole
        self._use_another()
        self._unsaved.add(step(self.state, self._accident(self.store.accident or ""), time.time()))

    def _use_another(self) -> None:
        """A new database, in which nothing is yet; where there is no room for one, it is asked for again with every save."""
        self.store = self.retention.store = self.store.replaced(self.places.state, **self._facts)
        self.alerting.start_anew(self.store)
        self._save_at = time.monotonic()

    def _act(self, out: Effects) -> None:
        """The deeds of what has been saved."""
        for deed in out.deeds:
            if isinstance(deed, StartAttempt):
                self._start(deed)
            else:
                self.keepers.stop(deed.ref, "cancel", deed.now)
        if self.keepers.attempts.ends:
            self.keepers.acknowledge()
        self.keepers.flush()
        self.arrivals.saved(out)
        self.people.tell_followers(out)
        for number, reply in out.replies.items():
            self.people.answer(number, reply)
        for say in self._saved:
            say()
        self._saved.clear()
        if out.alerts:
            self.alerting.wake()
            self.inbox.extend(self._keep_house(time.time()))
        if out.runs or out.tasks:
            self.notifier.status(self.status_line())

    def _start(self, deed: StartAttempt) -> None:
        """Have an attempt started; later, where what it is to be told cannot be read in the database now."""
        try:
            failure = spawning.start(self.state, deed.ref, self.places, self.keepers, self.store, self.vault)
        except sqlite3.DatabaseError as error:
            self.mind(error)
            self._unsaved.deeds.append(deed)
            self._save_at = time.monotonic() + SAVE_AGAIN
            return
        if failure is not None:
            self.inbox.append(failure)
