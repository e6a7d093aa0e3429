"""The commands of all jobs: started and ended once that is saved, and held by keepers. The daemon's executor of processes of this
machine; another executor would be a part beside it."""

from __future__ import annotations

import select
import sqlite3
import time

from cronflow.core.effects import Effects, StartAttempt, StopAttempt
from cronflow.core.events import AttemptEnded, Event, Woke
from cronflow.core.records import AttemptRef
from cronflow.core.state import LiveState
from cronflow.daemon.part import FD, Life, Part, Ready
from cronflow.daemon.processes import spawning, taskfiles
from cronflow.daemon.processes.keepers import Keepers
from cronflow.daemon.processes.secrets import Secrets
from cronflow.store.database import Database

AGAIN = 1.0
"""Seconds until a start is tried again for which the database could not be read."""


class Commands(Part):
    """What an attempt leaves in its files is put into the event of its end before the engine hears of it."""

    def __init__(self, life: Life, database: Database, state: LiveState, secrets: Secrets) -> None:
        self._life = life
        self._database = database
        self._state = state
        self._orders = spawning.Orders(life.places, secrets)
        sockets, facts = str(life.places.runtime / "keeper"), database.facts
        self._keepers = Keepers(str(life.places.journals), sockets, int(facts["generation"]), facts["id"], life.log)
        self._ended: list[AttemptRef] = []
        self._put_off: list[StartAttempt | StopAttempt] = []
        self._again_at: float | None = None

    def take_over(self, rebooted: bool) -> list[Event]:
        """What has become of the attempts of earlier daemons. Raises KeeperError where no keeper can be started."""
        live = {task.live.ref: task.live.pid for task in self._state.live() if task.live is not None}
        return self._completed(self._keepers.take_over(live, rebooted))

    def fds(self) -> list[FD]:
        return [*self._keepers.connections(), *self._keepers.orphans.fds()]

    def deadline(self) -> float | None:
        return min((at for at in (self._keepers.deadline(), self._again_at) if at is not None), default=None)

    def poll(self, ready: Ready, /) -> list[Event]:
        keepers, events = self._keepers, list[Event]()
        for connection in [one for one in keepers.connections() if one in ready]:
            if ready[connection] & select.POLLOUT:
                connection.flush()
            events.extend(keepers.receive(connection))
        if keepers.lost:
            events.extend(keepers.reconnect())
        if keepers.orphans.watched:
            events.extend(keepers.collect_orphans())
        events = self._completed([*events, *keepers.overdue()])
        if self._again_at is not None and time.monotonic() >= self._again_at:
            self._again_at = None
            events.append(Woke())  # once what it has to say is saved, what was put off is tried again
        return events

    def saved(self, out: Effects, /) -> None:
        for ref in self._ended:
            taskfiles.clear(ref, self._life.places)
        self._ended.clear()
        actions, self._put_off = [*self._put_off, *out.actions], []
        for action in actions:
            if isinstance(action, StopAttempt):
                self._keepers.stop(action.ref, "cancel", action.now)
            else:
                self._start(action)
        if self._keepers.attempts.ends:
            self._keepers.acknowledge()
        self._keepers.flush()

    def close(self) -> None:
        """Commands go on, held by their keepers."""
        self._keepers.close()

    def _completed(self, events: list[Event]) -> list[Event]:
        return [self._complete(event) if isinstance(event, AttemptEnded) else event for event in events]

    def _complete(self, event: AttemptEnded) -> AttemptEnded:
        self._ended.append(event.ref)
        return taskfiles.complete(event, self._state, self._life.places, self._orders.secrets)

    def _start(self, action: StartAttempt) -> None:
        """Have an attempt started; later, where what it is to be told cannot be read in the database now."""
        store = self._database.store
        try:
            failure = spawning.start(self._state, action.ref, self._orders, self._keepers, store)
        except sqlite3.DatabaseError as error:
            self._database.on_error(error)
            self._put_off.append(action)
            self._again_at = time.monotonic() + AGAIN
            return
        if failure is not None:
            self._life.inbox.extend(self._completed([failure]))
