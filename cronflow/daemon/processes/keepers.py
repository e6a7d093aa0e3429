"""The daemon's keepers: its own, and those that earlier daemons left. What they say becomes events; what is to be started or
ended goes to the one whose it is.

Each daemon has a generation. It starts a keeper of its own, and says hello to every older one: from then on that one starts
nothing for older daemons, so that its answer is final. An attempt that no keeper knows has never been started. While a keeper
does not answer (stalled, not dead), nothing is concluded about attempts that no other one knows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cronflow.core.events import AttemptUnclaimed, Event
from cronflow.core.records import AttemptRef, parse_ref
from cronflow.daemon.processes import reports
from cronflow.daemon.processes.orphans import Orphans
from cronflow.keeper import client
from cronflow.keeper.protocol import Message
from cronflow.linux import boot_id
from cronflow.store.reserve import drop_ballast
from cronflow.wire import ProtocolError

STRIDE = 1000
"""Keepers that one daemon can have: a keeper's number is its daemon's generation × STRIDE and on."""
ANSWER_WITHIN = 5.0
"""Seconds that a start waits for older keepers to answer; those that are slower are heard when they do."""
RECONNECT_EVERY = 0.05
READ_AGAIN = 1.0
STARTS = 2
"""Times that a keeper is tried to be started: one that is killed at its birth is not the last word."""

AGAIN_EVERY = 1.0
NO_KEEPER_FOR = 60.0
"""Seconds for which attempts wait for a keeper to be had."""


@dataclass(slots=True)
class Keepers:
    """All keepers of one state folder, for the loop of the daemon."""

    journals: str
    sockets: str
    generation: int
    state_id: str
    log: Callable[[str], None]
    own: client.Connection | None = None
    numbers: set[int] = field(default_factory=set)
    open: dict[int, client.Connection] = field(default_factory=dict)
    heard: set[int] = field(default_factory=set)
    lost: dict[int, float] = field(default_factory=dict)
    where: dict[str, int] = field(default_factory=dict)
    asked: dict[int, set[str]] = field(default_factory=dict)
    facts: dict[str, Mapping[str, str]] = field(default_factory=dict)
    unresolved: dict[AttemptRef, int | None] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)
    stopping: dict[str, tuple[str, bool]] = field(default_factory=dict)
    rebooted: bool = False
    orphans: Orphans = field(default_factory=Orphans)
    ends: list[tuple[int, str]] = field(default_factory=list)
    born: int = 0
    waiting: dict[AttemptRef, float] = field(default_factory=dict)
    waited: dict[AttemptRef, float] = field(default_factory=dict)
    patience: float = NO_KEEPER_FOR
    again_at: float = 0.0

    # ---- beginning -------------------------------------------------------------------------------------------------------

    def take_over(self, live: Mapping[AttemptRef, int | None], rebooted: bool = False) -> list[Event]:
        """Ask every older keeper for every attempt that is going on, start an own one, and say what became of them. `live` has
        the pid of those that are known to have begun. A journal from before a reboot may lack what was not yet on disk."""
        os.makedirs(self.journals, mode=0o700, exist_ok=True)
        os.makedirs(self.sockets, mode=0o700, exist_ok=True)
        self.unresolved, self.rebooted = dict(live), rebooted
        events: list[Event] = []
        for number in client.generations(self.journals):
            self.lost[number] = time.monotonic()
            self.numbers.add(number)
        self._start_own()
        deadline = time.monotonic() + ANSWER_WITHIN
        while (self.lost or self._silent()) and time.monotonic() < deadline:
            events.extend(self.reconnect())
            for connection in list(self.open.values()):
                events.extend(self._read(connection, 0.02))
        events.extend(self._conclude())
        return events

    def _start_own(self) -> None:
        """A fresh keeper for what comes."""
        for left in reversed(range(STARTS)):
            number = self.generation * STRIDE + self.born
            self.born += 1
            try:
                self.own = client.start_keeper(self.journals, number, self.sockets)
            except client.KeeperError:
                if not left:
                    raise
                drop_ballast(Path(self.journals).parent)  # its journal may have found no room
            else:
                self.open[number] = self.own
                return
            finally:
                self.numbers.add(number)

    def _silent(self) -> list[int]:
        return [number for number in self.open if number not in self.heard]

    def _conclude(self) -> list[Event]:
        """Attempts that no keeper knows, once all have answered."""
        if not self.unresolved or self.lost or self._silent():
            return []
        unknown = {ref: pid for ref, pid in sorted(self.unresolved.items()) if self.name(ref) not in self.where}
        self.unresolved = {}
        return [self._nowhere(ref, pid is not None or self.rebooted) for ref, pid in unknown.items()]

    def _nowhere(self, ref: AttemptRef, may_have_run: bool) -> Event:
        """An attempt that no keeper knows was never started: every claim is in a journal. Only a journal that was not yet on
        disk when the machine went down, or that somebody removed, can lack one that ran; then it is lost."""
        name = self.name(ref)
        self.where.pop(name, None)
        self.stopping.pop(name, None)
        if not may_have_run and name not in self.begun:
            return AttemptUnclaimed(ref)
        self.begun.pop(name, None)
        return reports.ended(ref, {"status": None}, name, time.time())

    # ---- starting and ending ---------------------------------------------------------------------------------------------

    def name(self, ref: AttemptRef) -> str:
        """The name of an attempt for its keeper and in its environment, unlike that of any other state folder."""
        return f"{self.state_id}:{ref}"

    def start(self, ref: AttemptRef, request: Message, facts: Mapping[str, str]) -> Event | None:
        """Have an attempt started, by a fresh keeper where there is none. Where none can be had it waits for one, and is told to
        have ended after a minute. `facts` are what the message of a failed start names."""
        name = self.name(ref)
        if (self.own is None or self.own.closed) and not self._try_own():
            since = self.waited.pop(ref, time.monotonic())
            if time.monotonic() - since >= self.patience:
                return reports.refused(ref, "no_keeper", time.time())
            self.waiting[ref] = since
            return None
        assert self.own is not None
        if not self.own.post({"type": "spawn", "id": name, **request}):
            return reports.refused(ref, "length", time.time())
        self.facts[name] = facts
        self.where[name] = self.own.keeper
        if name in self.stopping:  # the start was put off, and it was told to end meanwhile
            self.own.stop(name, *self.stopping[name])
        return None

    def _try_own(self) -> bool:
        """Start a keeper, unless that has just failed."""
        if time.monotonic() < self.again_at:
            return False
        try:
            self._start_own()
        except client.KeeperError as error:
            self.again_at = time.monotonic() + AGAIN_EVERY
            self.log(f"no command can be started: {error}")
            return False
        return True

    def overdue(self) -> list[Event]:
        """Attempts that wait for a keeper, when it is time to try again: as good as never asked for, they are asked for again,
        or end if they have been cancelled."""
        if not self.waiting or time.monotonic() < self.again_at:
            return []
        self.waited, self.waiting = self.waiting, {}
        return [AttemptUnclaimed(ref) for ref in self.waited]

    def stop(self, ref: AttemptRef, why: str, now: bool = False) -> None:
        """Have everything of an attempt ended. A keeper that dies before it hears of it leaves that to its heir."""
        name = self.name(ref)
        if self.orphans.stop(name, why, now):
            return
        self.stopping[name] = (why, now)
        connection = self.open.get(self.where.get(name, -1))
        if connection is not None:
            connection.stop(name, why, now)

    def acknowledge(self) -> None:
        """Tell the keepers that the ends of attempts heard of are committed, and clear away those that are done."""
        for number, name in self.ends:
            connection = self.open.get(number)
            if connection is not None:
                connection.acknowledge(name)
            for kept in (self.where, self.facts, self.begun, self.stopping):
                kept.pop(name, None)
        self.ends.clear()
        for number in [one for one in self.numbers if one not in self.open and one not in self.lost]:
            if number not in self.where.values():
                client.forget(self.journals, number, self.sockets)
                self.numbers.discard(number)

    def flush(self) -> None:
        """Send what has been put together for the keepers."""
        for connection in self.open.values():
            connection.flush()

    # ---- listening -------------------------------------------------------------------------------------------------------

    def connections(self) -> list[client.Connection]:
        return [connection for connection in self.open.values() if not connection.closed]

    def deadline(self) -> float | None:
        """When `reconnect` or `orphans` have something to do (monotonic clock)."""
        again_at = self.again_at if self.waiting else None
        times = [at for at in (self.orphans.deadline(), min(self.lost.values(), default=None), again_at) if at is not None]
        return min(times, default=None)

    def receive(self, connection: client.Connection) -> list[Event]:
        """What a keeper has said."""
        return [*self._read(connection, 0.0), *self._conclude()]

    def collect_orphans(self) -> list[Event]:
        """Ends of commands that have no keeper any more."""
        events: list[Event] = []
        for one in self.orphans.collect():
            ref = self._ref(one.attempt_id)
            if ref is not None:
                message = {**one.entry, "status": one.status, "stopped": one.stopped, "at": time.time()}
                events.append(reports.ended(ref, message, one.attempt_id, time.time()))
                self.ends.append((-1, one.attempt_id))
        return events

    def _read(self, connection: client.Connection, timeout: float) -> list[Event]:
        try:
            messages = connection.receive(timeout)
        except ProtocolError as error:
            self.log(f"keeper {connection.keeper}: {error}")
            connection.close()
            messages = []
        events = [event for message in messages for event in self._understand(connection.keeper, message)]
        if connection.closed:
            self._closed(connection.keeper)
        return events

    def _closed(self, number: int) -> None:
        """A keeper has hung up: its guard may have taken over, or it is dead and its journal speaks."""
        self.open.pop(number, None)
        self.heard.discard(number)
        self.lost[number] = time.monotonic()
        if self.own is not None and self.own.keeper == number:
            self.own = None

    def reconnect(self) -> list[Event]:
        """Look for keepers that have hung up: talk to the one that took over, or read what the dead one knew."""
        events: list[Event] = []
        now = time.monotonic()
        for number, at in list(self.lost.items()):
            if at > now:
                continue
            greeting = max(number, self.generation * STRIDE)
            connection = client.connect(self.journals, number, greeting, self.sockets)
            if connection is not None:
                del self.lost[number]
                self.open[number] = connection
                self.asked[number] = {name for name, keeper in self.where.items() if keeper == number}
            elif client.alive(self.journals, number):
                self.lost[number] = now + RECONNECT_EVERY
            else:
                events.extend(self._dead(number))
        events.extend(self._conclude())
        return events

    def _dead(self, number: int) -> list[Event]:
        """What the journal of a dead keeper says about its attempts; those it does not name were never started. What still
        runs is taken hold of before anything else: the status of a process that ends until then is lost."""
        try:
            entries = client.read_journal(self.journals, number)
        except FileNotFoundError:
            entries = []
        except (client.KeeperError, OSError) as error:
            self.log(f"the journal of keeper {number} cannot be read: {error}; nothing is concluded until it can")
            self.lost[number] = time.monotonic() + READ_AGAIN
            return []
        del self.lost[number]
        for entry in entries:
            if entry["state"] not in ("ended", "failed") and entry["boot"] in (None, boot_id()) and self._ref(entry["id"]):
                self.orphans.adopt(entry["id"], entry)
        events: list[Event] = []
        for entry in entries:
            events.extend(self._entry(number, entry, dead=True))
        mine = {name for name, keeper in self.where.items() if keeper == number}
        events.extend(self._forgotten(mine, entries))
        return events

    # ---- understanding ---------------------------------------------------------------------------------------------------

    def _understand(self, number: int, message: Message) -> list[Event]:
        kind = message["type"]
        if kind == "hello":
            return self._hello(number, message)
        if kind == "draining":
            if self.own is not None and self.own.keeper == number:
                self.own = None
            return []
        ref = self._ref(str(message.get("id")))
        if ref is None:
            return []
        name = str(message["id"])
        if kind == "started":
            event = reports.began(ref, message)
            if event is not None:
                self.begun[name] = event.pid
            return [event] if event is not None else []
        if kind == "failed":
            self.ends.append((number, name))
            return [reports.not_begun(ref, message, self.facts.get(name, {}), time.time())]
        if kind == "ended":
            self.ends.append((number, name))
            return [reports.ended(ref, message, name, time.time())]
        if kind == "refused":
            return self._refused(ref, name, str(message.get("why")))
        return []

    def _hello(self, number: int, message: Message) -> list[Event]:
        """All that a keeper holds. Attempts that we asked it for and that it does not know are asked for again elsewhere."""
        self.heard.add(number)
        events: list[Event] = []
        for entry in message["attempts"]:
            events.extend(self._entry(number, entry, dead=False))
        events.extend(self._forgotten(self.asked.pop(number, set()), message["attempts"]))
        if message.get("draining") and self.own is not None and self.own.keeper == number:
            self.own = None
        return events

    def _entry(self, number: int, entry: Message, dead: bool) -> list[Event]:
        name = str(entry["id"])
        ref = self._ref(name)
        if ref is None:
            return []
        self.where[name] = number
        if entry["state"] in ("ended", "failed"):
            return self._understand(number, {**entry, "type": entry["state"]})
        if not dead:
            if name in self.stopping:
                self.open[number].stop(name, *self.stopping[name])
            return self._understand(number, {**entry, "type": "started"})
        if name in self.orphans.watched:
            self.log(f"{ref}: its keeper is dead, its process {entry['pid']} goes on")
            if name in self.stopping:
                self.orphans.stop(name, *self.stopping[name])
            event = reports.began(ref, entry)
            return [event] if event is not None else []
        self.ends.append((number, name))
        return [reports.ended(ref, {**entry, "at": time.time()}, name, time.time())]

    def _forgotten(self, asked: set[str], entries: list[Message]) -> list[Event]:
        """Attempts that a keeper was asked to start and that it does not know: it never will start them."""
        known = {str(entry["id"]) for entry in entries} | {name for _, name in self.ends} | set(self.orphans.watched)
        events: list[Event] = []
        for name in sorted(asked - known):
            ref = self._ref(name)
            if ref is not None and name in self.where:
                events.append(self._nowhere(ref, may_have_run=False))
        return events

    def _refused(self, ref: AttemptRef, name: str, why: str) -> list[Event]:
        if why in ("draining", "unknown", "acknowledged"):
            if why != "draining":
                return []
            if self.own is not None and self.where.get(name) == self.own.keeper:
                self.own = None
            return [self._nowhere(ref, may_have_run=False)]
        self.where.pop(name, None)
        self.stopping.pop(name, None)
        return [reports.refused(ref, why, time.time())]

    def _ref(self, name: str) -> AttemptRef | None:
        """The attempt of a keeper's name for it; None if it is another state folder's."""
        owner, _, text = name.partition(":")
        try:
            return parse_ref(text) if owner == self.state_id else None
        except ValueError:
            return None

    def close(self) -> None:
        """Hang up everywhere; the keepers go on with what they hold."""
        for connection in self.open.values():
            connection.close()
        self.open.clear()
