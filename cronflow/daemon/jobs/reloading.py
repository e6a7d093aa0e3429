"""Reading the job file again: when, what is put in force, who hears of it, and what is reported about a broken file."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from cronflow.core import events as happened
from cronflow.core.effects import Effects
from cronflow.core.events import Event
from cronflow.core.records import Trouble
from cronflow.core.words import count
from cronflow.daemon.clients.control import Client
from cronflow.daemon.jobs.source import JobSource, changes
from cronflow.daemon.notify import Notifier
from cronflow.daemon.part import FD, Life, Part, Ready
from cronflow.errors import JobFileError
from cronflow.jobfile.cache import save_reading

CHECK_EVERY = 30.0
"""Seconds. Some file systems report no changes."""


@dataclass
class Reloading(Part):
    """The job file of one daemon. Whoever has asked for a reload is answered when its events have been saved."""

    life: Life
    source: JobSource
    notifier: Notifier
    check_at: float = field(default_factory=lambda: time.monotonic() + CHECK_EVERY)
    answers: list[Callable[[], None]] = field(default_factory=list)

    def fds(self) -> list[FD]:
        return [self.source.watch] if self.source.watch.works else []

    def deadline(self) -> float | None:
        return min((at for at in (self.source.deadline(), self.check_at) if at is not None), default=None)

    def poll(self, ready: Ready, /) -> list[Event]:
        if self.source.watch in ready:
            self.source.hear_changes()
        if time.monotonic() >= self.check_at:
            self.check_at = time.monotonic() + CHECK_EVERY
            self.source.check()
        events = self.reload(notify=False) if self.source.edited() else []
        if self.source.notify_at is not None and time.monotonic() >= self.source.notify_at:
            self.source.notify_at = None
            events.extend(self.reload(notify=True))
        return events

    def saved(self, _out: Effects, /) -> None:
        for answer in self.answers:
            answer()
        self.answers.clear()

    def close(self) -> None:
        self.source.watch.close()

    def reread(self) -> list[Event]:
        """Read the job file again for a `run` of it, which is refused where the file is broken (JobFileError)."""
        read = self.source.read_again()
        return [] if read is None else [happened.Reloaded(*read)]

    def reload(self, notify: bool, client: Client | None = None) -> list[Event]:
        """Read the job file again. A broken one leaves the old one in force. The person who asked, status and the
        journal say so at once; an alert does (`notify`) at once if a person asked, otherwise once it has been broken for a
        minute."""
        self.notifier.reloading()
        before = self.source.reading.jobs.jobs
        try:
            read = self.source.read_again()
        except JobFileError as error:
            if client is not None:
                refusal = f"the job file has errors, the old one stays in force: {error.message}"
                self.answers.append(lambda: client.refuse(refusal, "`cronflow check`", 1))
            self.answers.append(self.notifier.ready)
            return [self._broken(error, quiet=not notify)]
        self.keep()
        self.answers.append(self.notifier.ready)
        events: list[Event] = [happened.TroubleGone("config")]
        if read is not None:
            self.life.log(f"reloaded: {count(len(read[0].jobs), 'job')} in {count(len(read[1].flows), 'flow')}")
            events.append(happened.Reloaded(*read))
        if client is not None:
            changed = changes(before, self.source.reading.jobs.jobs)
            self.answers.append(lambda: client.say({"ok": True, "changed": changed}))
        return events

    def _broken(self, error: JobFileError, quiet: bool) -> Event:
        from cronflow.jobfile.render import render

        errors = [problem for problem in error.problems if problem.severity == "error"]
        span = errors[0].span if errors else None
        place = f"{span.file}:{span.line}: " if span else ""
        message = f"{place}{error.message}" + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")
        self.life.log(f"the job file is broken, the old one stays in force: {message}")
        facts = (
            ("file", str(self.life.places.file)),
            ("problems", [render(problem, False) for problem in errors[:5]]),
            ("count", len(errors)),
            ("in_force_since", self.source.in_force_since),
        )
        return happened.TroubleFound(Trouble("config", "config", message, time.time()), facts, quiet)

    def keep(self) -> None:
        """Keep the reading for commands that only read."""
        with contextlib.suppress(OSError):
            save_reading(self.life.places.state, self.source.reading)
