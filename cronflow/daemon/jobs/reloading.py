"""Reading the job file again: what is put in force, who is told of it, and what is said of a file that is broken."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from cronflow.core import events as happened
from cronflow.core.events import Event
from cronflow.core.records import Trouble
from cronflow.core.words import count
from cronflow.daemon.clients.control import Client
from cronflow.daemon.jobs.source import JobSource, changes
from cronflow.daemon.notify import Notifier
from cronflow.errors import JobFileError
from cronflow.jobfile.cache import save_reading
from cronflow.places import Places


@dataclass(frozen=True, slots=True)
class Reloading:
    """The job file of one daemon. What is given to `later` is said when the events have been saved."""

    places: Places
    source: JobSource
    notifier: Notifier
    later: Callable[[Callable[[], None]], None]
    log: Callable[[str], None]

    def reread(self) -> list[Event]:
        """Read the job file again for a `run` of it, which is refused where the file is broken (JobFileError)."""
        read = self.source.read_again()
        return [] if read is None else [happened.Reloaded(*read)]

    def reload(self, tell: bool, client: Client | None = None) -> list[Event]:
        """Read the job file again. One that is broken leaves the old one in force: said at once to the person who asked, in
        status and in the journal; as an alert (`tell`) at once if a person asked, otherwise once it has been broken for a
        minute."""
        self.notifier.reloading()
        before = self.source.reading.jobs.jobs
        try:
            read = self.source.read_again()
        except JobFileError as error:
            if client is not None:
                refusal = f"the job file has errors, the old one stays in force: {error.message}"
                self.later(lambda: client.refuse(refusal, "`cronflow check`", 1))
            self.later(self.notifier.ready)
            return [self._broken(error, quiet=not tell)]
        self.keep()
        self.later(self.notifier.ready)
        events: list[Event] = [happened.TroubleGone("config")]
        if read is not None:
            self.log(f"reloaded: {count(len(read[0].jobs), 'job')} in {count(len(read[1].flows), 'flow')}")
            events.append(happened.Reloaded(*read))
        if client is not None:
            changed = changes(before, self.source.reading.jobs.jobs)
            self.later(lambda: client.say({"ok": True, "changed": changed}))
        return events

    def _broken(self, error: JobFileError, quiet: bool) -> Event:
        from cronflow.jobfile.render import render

        errors = [problem for problem in error.problems if problem.severity == "error"]
        span = errors[0].span if errors else None
        place = f"{span.file}:{span.line}: " if span else ""
        message = f"{place}{error.message}" + (f" (and {len(errors) - 1} more)" if len(errors) > 1 else "")
        self.log(f"the job file is broken, the old one stays in force: {message}")
        facts = (
            ("file", str(self.places.file)),
            ("problems", [render(problem, False) for problem in errors[:5]]),
            ("count", len(errors)),
            ("in_force_since", self.source.in_force_since),
        )
        return happened.TroubleFound(Trouble("config", "config", message, time.time()), facts, quiet)

    def keep(self) -> None:
        """Keep the reading for those who only look."""
        with contextlib.suppress(OSError):
            save_reading(self.places.state, self.source.reading)
