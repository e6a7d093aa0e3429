"""People: those who ask the daemon for something, over its control socket or from inside its process; those who follow runs."""

from __future__ import annotations

import os
import selectors
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cronflow import __version__
from cronflow.core import events as happened
from cronflow.core.effects import Effects, Reply
from cronflow.core.events import Event
from cronflow.core.plan.effective import as_plain
from cronflow.core.records import Attempt
from cronflow.core.words import storable
from cronflow.daemon.clients import requests
from cronflow.daemon.clients.control import Client, Control
from cronflow.daemon.clients.following import run_event, task_event
from cronflow.errors import CronflowError, Exit, JobFileError

if TYPE_CHECKING:
    from cronflow.daemon.daemon import Daemon

Observer = Callable[[dict[str, Any]], None]


class People:
    """The clients of one daemon. `observers` hear, inside of this process, what followers hear outside."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self.control = Control(daemon.places.control)
        self.observers: list[Observer] = []
        self._asked: dict[int, Client | Callable[[Reply], None]] = {}
        self._requests = 0

    def ask(self, event: Callable[[int], Event], answer: Callable[[Reply], None]) -> None:
        """Ask the engine from inside this process, as a client would from outside."""
        self._requests += 1
        self._asked[self._requests] = answer
        self.daemon.inbox.append(event(self._requests))

    def answer(self, number: int, reply: Reply) -> None:
        """Give whoever asked the answer of the engine."""
        asker = self._asked.pop(number, None)
        if isinstance(asker, Client):
            if reply.refused is not None:
                asker.refuse(reply.refused, reply.hint, reply.exit_status)
            else:
                asker.say({"ok": True, "runs": list(reply.runs), "notes": list(reply.notes)})
        elif asker is not None:
            asker(reply)

    def hear(self, client: Client, mask: int) -> list[Event]:
        """What a client asks, as events; what needs no decision is answered at once."""
        if mask & selectors.EVENT_WRITE:
            client.send()
        events: list[Event] = []
        for message in client.requests():
            try:
                events.extend(self._request(client, message))
            except JobFileError as error:
                client.refuse(f"the job file has errors: {error.message}", "`cronflow check` shows all of them", 1)
            except CronflowError as error:
                client.refuse(error.message, error.hint, error.exit_status)
            except sqlite3.DatabaseError as error:
                client.refuse(f"the database cannot be read: {error}", None, 1)
                self.daemon.mind(error)
            except (TypeError, ValueError, AttributeError, LookupError):
                client.refuse(f"`{message['op']}` with fields that it does not take", None, Exit.USAGE)
        return events

    def _request(self, client: Client, message: requests.Message) -> list[Event]:
        match message["op"]:
            case "ping":
                client.say({"ok": True, **self._about()})
            case "why":
                client.say({"ok": True, "blockers": requests.live_blockers(message, self.daemon.state)})
            case "secrets":
                client.say({"ok": True, "values": self._secrets(str(message.get("job")))})
            case "in_force":
                source = self.daemon.source
                client.say({"ok": True, "since": source.in_force_since, "in_force": as_plain(source.reading.jobs)})
            case "follow":
                self._follow(client, message)
            case "reload":
                acted = happened.Acted(client.by, "reload", storable(str(message.get("words") or "reload")))
                return [acted, *self.daemon.reloading.reload(tell=True, client=client)]
            case "prune":
                self._check_file(message)
                client.say({"ok": True})
                self.daemon.retention.demand(client.say)
                return [happened.Acted(client.by, "prune", storable(str(message.get("words") or "prune")))]
            case "stop":
                return self._stop(client, message)
            case "handover":
                self._check_file(message)
                self._hand_over(client)
            case _:
                self._check_file(message)
                self._requests += 1
                self._asked[self._requests] = client
                return [requests.to_event(message, self._requests, client.by, self.daemon.state, self.daemon.store)]
        return []

    def _about(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "version": __version__,
            "file": str(self.daemon.places.file),
            "since": self.daemon.since,
            "foreground": not self.daemon.slots,
            "draining": self.daemon.state.draining,
            "problems": [one._asdict() for one in self.daemon.state.troubles.values()],
        }

    def _secrets(self, name: str) -> dict[str, list[str]]:
        """The known values of a job's secrets, for who has to mask them: clients have our own rights, or those of root."""
        job = self.daemon.state.jobs.jobs.get(name)
        return self.daemon.vault.known.get(name, {}) if job is None else self.daemon.vault.values(job)

    def _check_file(self, message: requests.Message) -> None:
        """A `run` means the jobs of its caller's file: another one than ours is refused, and ours is read again if it has been
        edited while we run in the foreground."""
        named = message.get("file")
        if named is not None and str(named) != str(self.daemon.places.file):
            hint = f"the state folder `{self.daemon.places.state}` is in use by it; name another one with `--state`"
            raise CronflowError(f"the daemon works on another job file: `{self.daemon.places.file}`", hint)
        if not self.daemon.slots and message["op"] == "run":
            self.daemon.inbox.extend(self.daemon.reloading.reread())

    def _follow(self, client: Client, message: requests.Message) -> None:
        runs = message.get("runs")
        numbers = [run for run in runs if requests.is_run_number(run)] if isinstance(runs, list) else []
        client.say({"ok": True})
        client.follows.update(numbers)
        for number in numbers:
            run = self.daemon.state.runs.get(number) or self.daemon.store.run(number)
            if run is not None:
                client.say(run_event(run))
                attempts = self.daemon.store.last_processes(number)
                for task in run.tasks.values():
                    client.say(task_event(task, attempts.get(task.name, ())))
                if run.final:
                    client.say(run_event(run))

    def _stop(self, client: Client, message: requests.Message) -> list[Event]:
        words = storable(str(message.get("words") or "stop"))
        mode = message.get("mode", "now")
        if mode not in ("now", "drain", "kill"):
            raise CronflowError("`mode` of a stop is `now`, `drain` or `kill`", None, Exit.USAGE)
        client.say({"ok": True, "running": self.daemon.state.running})
        if mode in ("drain", "kill"):
            return [happened.DrainAsked(client.by, words, mode == "kill")]
        self.daemon.leaving = "stopped"
        return [happened.Acted(client.by, "stop", words)]

    def _hand_over(self, client: Client) -> None:
        """A `cronflow daemon` takes the place of a run in the foreground."""
        if self.daemon.slots:
            raise CronflowError("this is a daemon already", "`cronflow reload` makes it read the job file again")
        client.say({"ok": True})
        self.daemon.leaving = "handed over"

    def tell_followers(self, out: Effects) -> None:
        """Tell those who follow a run what has been saved of it."""
        if not self.observers and not any(client.follows for client in self.control.clients):
            return
        attempts: dict[tuple[int, str], list[Attempt]] = {}
        for ref, attempt in out.attempts.items():
            attempts.setdefault((ref.run, ref.task), []).append(attempt)
        for place in attempts.keys() - out.tasks.keys():
            run = self.daemon.state.runs.get(place[0])
            if run is not None and place[1] in run.tasks:  # its copies may have taken its place
                out.tasks[place] = run.tasks[place[1]]
        for place, task in out.tasks.items():
            self._tell(task.run, task_event(task, attempts.get(place, ())))
        for number, name in out.gone:
            self._tell(number, {"event": "gone", "run": number, "task": name})
        for run in out.runs.values():
            self._tell(run.id, run_event(run))

    def _tell(self, run: int, message: dict[str, Any]) -> None:
        self.control.tell_followers(run, message)
        for observer in self.observers:
            observer(message)
