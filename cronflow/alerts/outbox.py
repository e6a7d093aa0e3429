"""When an alert leaves: from its row in the outbox to a message that has arrived.

1. The engine decides on an alert. Its row is saved in the transaction of what it is about, to be sent at once.
2. After the commit the outbox is woken (`saved`), and takes the rows that are due (`_dispatch`): those of targets that took what
   they were sent last come first, one of each target after the other.
3. The URLs of the target are read as they are now. Where there are none the try has failed (6); a target that the job file no
   longer names may be back after the next edit, but not after a day: then the alert is given up, with the reason as its error.
4. The message is composed from what the history tells now (`compose`), so that one that had to wait still says the truth.
5. A worker process is given both (`sender`); the row is on its way (`going`), and nothing waits for it.
6. The worker answers, or is killed when its time is up (`_collect`). The row is marked as sent, or gets the time of its next try:
   after 30 s at first, every hour at last, for ever. After three failed tries there is trouble, for `status` and other targets.
7. Where that cannot be saved now, it is known here (`unsaved`), so that nothing is sent again and again meanwhile.
8. A daemon that dies between 5 and 6 leaves a row that was not sent: the next one sends it again. At least once.

Targets that did not take what they were sent last share one worker, in turn, so that a service that hangs, with however many
alerts, never holds up those to another one.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Mapping

from cronflow.alerts.compose import Composer
from cronflow.alerts.sender import LONGEST, Sender, TargetError, backoff, resolve
from cronflow.core.effects import Effects
from cronflow.core.events import Event, TroubleFound, TroubleGone
from cronflow.core.records import Trouble
from cronflow.core.state import LiveState
from cronflow.core.tables import ALERTS
from cronflow.store import outbox
from cronflow.store.database import Database
from cronflow.store.outbox import Unsent

SAVE_AGAIN = 5.0
REST = 5.0
"""Seconds for which a database that cannot be read or written is left alone."""
UNDELIVERED = 3
"""Tries after which an alert that does not arrive is trouble of its own."""
FORGOTTEN = 86400.0
"""Seconds for which an alert waits for its target to come back into the job file."""
AT_ONCE = 25
"""Alerts of a target that a turn looks at."""


class Outbox:
    """The outbox of one daemon, a part of its loop. `next_at` is when the next alert is due (epoch seconds)."""

    def __init__(self, database: Database, state: LiveState, composer: Composer, folder: str) -> None:
        self.database = database
        self.state = state
        self.composer = composer
        self._folder = folder  # relative files of URLs are looked for there
        self.sender = Sender()
        self.going: dict[int, Unsent] = {}
        self.unsaved: dict[int, outbox.Try] = {}
        self.next_at: float | None = 0.0
        self._failing: set[str] = set()
        self._turns: dict[str, int] = {}
        self._rest_until = 0.0
        self._replaced = database.replaced

    def busy(self, now: float) -> bool:
        """Whether an alert is on its way, or due (epoch seconds)."""
        return bool(self.going) or (self.next_at is not None and self.next_at <= now)

    # ---- for the loop ----------------------------------------------------------------------------------------------------

    def fds(self) -> list[int]:
        return [] if self._rests() else self.sender.fds()

    def deadline(self) -> float | None:
        if self._rests():
            return self._rest_until
        due = None if self.next_at is None or self.sender.room() <= 0 else time.monotonic() + self.next_at - time.time()
        return min((at for at in (due, self.sender.deadline()) if at is not None), default=None)

    def poll(self, ready: Mapping[object, int]) -> list[Event]:  # noqa: ARG002 (a worker's pipe is read whoever is ready)
        """Hear from the workers, and give them what is due."""
        events: list[Event] = []
        if self._rests():
            return events
        if self._replaced != self.database.replaced:
            self._start_anew()
        try:
            events.extend(self._collect(time.time()))
            events.extend(self._dispatch(time.time()))
        except sqlite3.DatabaseError as error:
            self.database.on_error(error)
            self._rest_until = time.monotonic() + REST
        return events

    def saved(self, out: Effects) -> None:
        if out.of(ALERTS):
            self.next_at = 0.0

    def close(self) -> None:
        self.sender.close()

    def _rests(self) -> bool:
        return time.monotonic() < self._rest_until

    def _start_anew(self) -> None:
        """Go on with another database, in which alerts have other numbers: what is on its way counts as not sent."""
        self.sender.close()
        self.sender, self.going, self.unsaved, self.next_at = Sender(), {}, {}, 0.0
        self._replaced = self.database.replaced

    # ---- sending ---------------------------------------------------------------------------------------------------------

    def _dispatch(self, now: float) -> list[Event]:
        if self.next_at is None or now < self.next_at <= now + LONGEST or self.sender.room() <= 0:
            return []
        events: list[Event] = []
        self._save()
        rows = outbox.due(self.database.store.connection, now, AT_ONCE, now + LONGEST)
        for alert in sorted(rows, key=self._turn_of):
            if alert.id in self.going or alert.id in self.unsaved or alert.target in self._held():
                continue
            if self.sender.room() <= 0:
                break
            try:
                self._submit(alert, now)
            except TargetError as error:
                given_up = alert.target not in self.state.jobs.alerts and now - alert.at > FORGOTTEN
                events.extend(self._ended([(alert, given_up, error.message)], now))
        self.next_at = self._next()
        return events

    def _submit(self, alert: Unsent, now: float) -> None:
        """Send one. A TargetError where it has nowhere to go."""
        target = self.state.jobs.alerts.get(alert.target)
        if target is None:
            raise TargetError(f"there is no `[alerts.{alert.target}]` in the job file any more")
        urls = resolve(target, os.environ, self._folder)
        message = self.composer.message(alert, self.state, now)
        if self.sender.submit(alert.id, urls, message.title, message.body, alert.kind, message.order):
            self.going[alert.id] = alert
            self._turns[alert.target] = max(self._turns.values(), default=0) + 1

    def _turn_of(self, alert: Unsent) -> tuple[bool, int, int, int]:
        """Those that take alerts come first, one of each target after the other, and who had the last turn comes last."""
        return alert.target in self._failing, alert.nth, self._turns.get(alert.target, 0), alert.id

    def _held(self) -> set[str]:
        """The targets that have to wait for the worker which those that fail share."""
        at_work = any(alert.target in self._failing for alert in self.going.values())
        return self._failing if at_work else set()

    def _next(self) -> float | None:
        """The next try among those that are not on their way, and need not wait for one that is."""
        now, known = time.time(), [*self.going, *self.unsaved]
        at = outbox.next_try(self.database.store.connection, now, now + LONGEST, known, self._held())
        return min((one for one in (at, now + SAVE_AGAIN if self.unsaved else None) if one is not None), default=None)

    # ---- what has become of it -------------------------------------------------------------------------------------------

    def _collect(self, now: float) -> list[Event]:
        ends: list[tuple[Unsent, bool, str | None]] = []
        for sent in self.sender.collect(time.monotonic()):
            alert = self.going.pop(sent.alert_id, None)
            if alert is not None:
                (self._failing.discard if sent.ok else self._failing.add)(alert.target)
                ends.append((alert, sent.ok, sent.error or None))
        if not ends:
            return []
        events = self._ended(ends, now)
        self.next_at = self._next()
        return events

    def _ended(self, ends: list[tuple[Unsent, bool, str | None]], now: float) -> list[Event]:
        """Tries have ended. All are noted before the database is asked, which may fail."""
        for alert, ok, error in ends:
            self.unsaved[alert.id] = (now, error, None) if ok else (None, error, now + backoff(alert.tries + 1))
        self._save()
        return [event for end in ends for event in self._told(*end, now)]

    def _told(self, alert: Unsent, ok: bool, error: str | None, now: float) -> list[Event]:
        """What the end of a try says of its target; `ok` with an error is an alert that is given up."""
        key = f"alerts:{alert.target}"
        if ok:
            others_wait = error is not None and outbox.others_wait(self.database.store.connection, alert)
            return [] if others_wait else [TroubleGone(key)]
        if alert.tries + 1 < UNDELIVERED:
            return []
        message = f"alerts to `{alert.target}` do not arrive: {error}"
        return [TroubleFound(Trouble(key, "system", message, now), not_to=alert.target)]

    def _save(self) -> None:
        """Note in the database how tries ended, as far as it can be written now."""
        for number, one in list(self.unsaved.items()):
            try:
                outbox.note_try(self.database.store.connection, number, *one)
            except sqlite3.OperationalError:
                return
            del self.unsaved[number]
