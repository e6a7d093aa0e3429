"""The keepers of a daemon: its own, and those that earlier daemons left. What they say becomes events; each request goes to the
keeper that holds the attempt.

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

from cronflow.core.events import Event
from cronflow.core.records import AttemptRef
from cronflow.daemon.processes import reports
from cronflow.daemon.processes.orphans import Orphans
from cronflow.daemon.processes.reports import Order
from cronflow.daemon.processes.tracked import FINAL, Attempts, Stage, Tracked
from cronflow.keeper import client
from cronflow.keeper.protocol import Message
from cronflow.linux import boot_id
from cronflow.store.reserve import drop_ballast
from cronflow.wire import ProtocolError

STRIDE = 1000
"""Keepers that one daemon can have: a keeper's number is its daemon's generation × STRIDE and on."""
ANSWER_WITHIN = 5.0
"""Seconds that a start waits for older keepers to answer; slower ones are heard when they do."""
RECONNECT_EVERY = 0.05
READ_AGAIN = 1.0
STARTS = 2
"""Times that the start of a keeper is tried: one that is killed at its birth is not the last word."""

AGAIN_EVERY = 1.0
NO_KEEPER_FOR = 60.0
"""Seconds for which attempts wait while no keeper can be started."""


@dataclass(slots=True)
class Keepers:
    """All keepers of one state folder, for the loop of the daemon.

    `own` takes what is started, `open` are all that are connected by their number, of which `heard` have answered to hello and
    `returned` have yet to, after they had hung up. Those in `lost` have hung up, and are looked for at that time. `numbers` are
    all that have a journal. Times are of the monotonic clock.
    """

    journals: str
    sockets: str
    generation: int
    state_id: str
    log: Callable[[str], None]
    patience: float = NO_KEEPER_FOR
    attempts: Attempts = field(init=False)
    own: client.Connection | None = None
    numbers: set[int] = field(default_factory=set)
    open: dict[int, client.Connection] = field(default_factory=dict)
    heard: set[int] = field(default_factory=set)
    returned: set[int] = field(default_factory=set)
    lost: dict[int, float] = field(default_factory=dict)
    orphans: Orphans = field(default_factory=Orphans)
    concluded: bool = False
    born: int = 0
    again_at: float | None = None

    def __post_init__(self) -> None:
        self.attempts = Attempts(self.state_id)

    # ---- beginning -------------------------------------------------------------------------------------------------------

    def take_over(self, live: Mapping[AttemptRef, int | None], rebooted: bool = False) -> list[Event]:
        """Ask every older keeper for every attempt that is going on, start an own one, and say what became of them. `live` has
        the pid of those that are known to have begun. A journal from before a reboot may lack what was not yet on disk."""
        os.makedirs(self.journals, mode=0o700, exist_ok=True)
        os.makedirs(self.sockets, mode=0o700, exist_ok=True)
        for ref, pid in live.items():
            self.attempts.track(ref).may_have_run = pid is not None or rebooted
        for number in client.generations(self.journals):
            self.lost[number] = time.monotonic()
            self.numbers.add(number)
        self._start_own()
        events: list[Event] = []
        deadline = time.monotonic() + ANSWER_WITHIN
        while (self.lost or self._silent()) and time.monotonic() < deadline:
            events.extend(self.reconnect())
            for connection in list(self.open.values()):
                events.extend(self._read(connection, 0.02))
        return [*events, *self._conclude()]

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

    def _silent(self) -> bool:
        return not self.heard.issuperset(self.open)

    def _conclude(self) -> list[Event]:
        """Attempts that no keeper knows, once all have answered."""
        if self.concluded or self.lost or self._silent():
            return []
        self.concluded = True
        return self.attempts.unknown()

    # ---- starting and ending ---------------------------------------------------------------------------------------------

    def start(self, order: Order) -> Event | None:
        """Have an attempt started, by a fresh keeper where there is none. While none can be started it waits, and is told to have
        failed after a minute."""
        one = self.attempts.track(order.ref)
        if (self.own is None or self.own.closed) and not self._try_own():
            if one.waits_since is None:
                one.waits_since = time.monotonic()
            if time.monotonic() - one.waits_since >= self.patience:
                return self.attempts.refused(one, "no_keeper")
            one.stage = Stage.WAITING
            return None
        assert self.own is not None
        if not self.own.post(reports.spawn(self.attempts.name(order.ref), order)):
            return self.attempts.refused(one, "length")
        one.stage, one.keeper, one.named = Stage.ASKED, self.own.keeper, order.named
        if one.stop is not None:  # the start was put off, and it was told to end meanwhile
            self.own.stop(self.attempts.name(order.ref), *one.stop)
        return None

    def _try_own(self) -> bool:
        """Start a keeper, unless that has just failed."""
        if self.again_at is not None and time.monotonic() < self.again_at:
            return False
        try:
            self._start_own()
        except client.KeeperError as error:
            self.again_at = time.monotonic() + AGAIN_EVERY
            self.log(f"no command can be started: {error}")
            return False
        return True

    def overdue(self) -> list[Event]:
        """Attempts that wait for a keeper, when it is time to try again."""
        if self.again_at is None or time.monotonic() < self.again_at:
            return []
        self.again_at = None
        return self.attempts.offer()

    def stop(self, ref: AttemptRef, why: str, now: bool = False) -> None:
        """Have everything of an attempt ended. If its keeper dies first, the one that takes over is told."""
        one = self.attempts.track(ref)
        if one.stage is Stage.ORPHANED:
            self.orphans.stop(self.attempts.name(ref), why, now)
        elif one.stage is not Stage.ENDED:
            one.stop = (why, now)
            connection = self._connection_of(one)
            if connection is not None:
                connection.stop(self.attempts.name(ref), why, now)

    def _connection_of(self, one: Tracked) -> client.Connection | None:
        return None if one.keeper is None else self.open.get(one.keeper)

    def acknowledge(self) -> None:
        """Tell the keepers that the ends of attempts heard of are committed, and clear away keepers that are done."""
        for one in self.attempts.ends:
            connection = self._connection_of(one)
            if connection is not None:
                connection.acknowledge(self.attempts.name(one.ref))
            self.attempts.tracked.pop(one.ref, None)
        self.attempts.ends.clear()
        done = self.numbers.difference(self.open, self.lost)
        if done:
            for number in done.difference(one.keeper for one in self.attempts.tracked.values()):
                client.forget(self.journals, number, self.sockets)
                self.numbers.discard(number)

    def flush(self) -> None:
        for connection in self.open.values():
            connection.flush()

    # ---- listening -------------------------------------------------------------------------------------------------------

    def connections(self) -> list[client.Connection]:
        return [connection for connection in self.open.values() if not connection.closed]

    def deadline(self) -> float | None:
        """When `reconnect`, `overdue` or `orphans` have something to do (monotonic clock)."""
        times = (self.orphans.deadline(), min(self.lost.values(), default=None), self.again_at)
        return min((at for at in times if at is not None), default=None)

    def receive(self, connection: client.Connection) -> list[Event]:
        return [*self._read(connection, 0.0), *self._conclude()]

    def collect_orphans(self) -> list[Event]:
        """Ends of commands that have no keeper any more."""
        events: list[Event] = []
        for orphan in self.orphans.collect():
            ref = self.attempts.ref(orphan.attempt_id)
            if ref is not None:
                message = {**orphan.entry, "status": orphan.status, "stopped": orphan.stopped, "at": time.time()}
                events.append(self.attempts.ended(self.attempts.track(ref), message))
        return events

    def _read(self, connection: client.Connection, timeout: float) -> list[Event]:
        try:
            messages = connection.receive(timeout)
        except ProtocolError as error:
            self.log(f"keeper {connection.keeper}: {error}")
            connection.close()
            messages = []
        events = [event for message in messages for event in self._understand(connection, message)]
        if connection.closed:
            self._closed(connection.keeper)
        return events

    def _closed(self, number: int) -> None:
        """A keeper has hung up: its guard may have taken over, or it is dead and its journal speaks."""
        self.open.pop(number, None)
        self.heard.discard(number)
        self.lost[number] = time.monotonic()
        self._ask_no_more(number)

    def _ask_no_more(self, number: int) -> None:
        """A keeper starts nothing any more: what comes is for a fresh one."""
        if self.own is not None and self.own.keeper == number:
            self.own = None

    def reconnect(self) -> list[Event]:
        """Look for keepers that have hung up: talk to the one that took over, or read what the dead one knew."""
        events: list[Event] = []
        now = time.monotonic()
        for number in [number for number, at in self.lost.items() if at <= now]:
            connection = client.connect(self.journals, number, max(number, self.generation * STRIDE), self.sockets)
            if connection is not None:
                del self.lost[number]
                self.open[number] = connection
                self.returned.add(number)
            elif client.alive(self.journals, number):
                self.lost[number] = now + RECONNECT_EVERY
            else:
                events.extend(self._dead(number))
        return [*events, *self._conclude()]

    def _dead(self, number: int) -> list[Event]:
        """What the journal of a dead keeper says about its attempts; those it does not name were never started. What still
        runs is taken hold of before anything else: the status of a process that ends before that is lost."""
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
            if entry["state"] not in FINAL and entry["boot"] in (None, boot_id()) and self.attempts.ref(entry["id"]):
                self.orphans.adopt(entry["id"], entry)
        events = [event for entry in entries for event in self._left(number, entry)]
        return [*events, *self.attempts.forgotten(number, entries)]

    # ---- understanding ---------------------------------------------------------------------------------------------------

    def _understand(self, connection: client.Connection, message: Message) -> list[Event]:
        number, kind = connection.keeper, message["type"]
        if kind == "hello":
            return self._hello(connection, message)
        if kind == "draining":
            self._ask_no_more(number)
            return []
        ref = self.attempts.ref(message.get("id"))
        if ref is None:
            return []
        if kind == "refused":
            return self._not_taken(number, ref, str(message.get("why")))
        return self.attempts.told(self.attempts.track(ref), number, kind, message)

    def _hello(self, connection: client.Connection, message: Message) -> list[Event]:
        """All that a keeper holds. What it was asked for before it hung up, and does not know, is asked for again elsewhere."""
        number = connection.keeper
        self.heard.add(number)
        events = [event for entry in message["attempts"] for event in self._held(connection, entry)]
        if number in self.returned:
            self.returned.discard(number)
            events.extend(self.attempts.forgotten(number, message["attempts"]))
        if message.get("draining"):
            self._ask_no_more(number)
        return events

    def _held(self, connection: client.Connection, entry: Message) -> list[Event]:
        """An attempt that a living keeper holds."""
        ref = self.attempts.ref(entry["id"])
        if ref is None:
            return []
        one = self.attempts.track(ref)
        one.keeper = connection.keeper
        if entry["state"] in FINAL:
            return self.attempts.told(one, connection.keeper, entry["state"], entry)
        one.stage = Stage.ASKED
        if one.stop is not None:
            connection.stop(self.attempts.name(ref), *one.stop)
        return self.attempts.told(one, connection.keeper, "started", entry)

    def _left(self, number: int, entry: Message) -> list[Event]:
        """An attempt that a dead keeper has left in its journal."""
        name = str(entry["id"])
        ref = self.attempts.ref(name)
        if ref is None:
            return []
        one = self.attempts.track(ref)
        one.keeper = number
        if entry["state"] in FINAL:
            return self.attempts.told(one, number, entry["state"], entry)
        if name not in self.orphans.watched:
            return [self.attempts.ended(one, {**entry, "at": time.time()})]
        self.log(f"{ref}: its keeper is dead, its process {entry['pid']} goes on")
        one.stage = Stage.ORPHANED
        if one.stop is not None:
            self.orphans.stop(name, *one.stop)
        event = reports.began(ref, entry)
        return [event] if event is not None else []

    def _not_taken(self, number: int, ref: AttemptRef, why: str) -> list[Event]:
        """A keeper does not do what it was asked for; only of a start that is news."""
        one = self.attempts.tracked.get(ref)
        if one is None or one.keeper != number or why in ("unknown", "acknowledged"):
            return []
        if why != "draining":
            return [self.attempts.refused(one, why)]
        self._ask_no_more(number)
        return [self.attempts.nowhere(one)]

    def close(self) -> None:
        """Hang up everywhere; the keepers go on with what they hold."""
        for connection in self.open.values():
            connection.close()
        self.open.clear()
