"""The clients of the daemon: what they ask over its control socket, or from inside its process, and what they are told of runs.

What may be asked is in one table at the end, `OPERATIONS`.
"""

from __future__ import annotations

import os
import select
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from cronflow import __version__
from cronflow.core import events as happened
from cronflow.core.effects import Effects, Reply
from cronflow.core.events import Event
from cronflow.core.plan.effective import as_plain
from cronflow.core.records import Attempt
from cronflow.core.state import LiveState
from cronflow.core.tables import ATTEMPTS, RUNS, TASKS
from cronflow.core.words import storable
from cronflow.daemon.clients import requests
from cronflow.daemon.clients.control import Client, Control, Message
from cronflow.daemon.clients.following import run_event, task_event
from cronflow.daemon.jobs.reloading import Reloading
from cronflow.daemon.part import FD, Life, Part, Ready
from cronflow.daemon.processes.secrets import Secrets
from cronflow.daemon.upkeep.retention import Retention
from cronflow.errors import CronflowError, Exit, JobFileError
from cronflow.store.database import Database


class Operation(NamedTuple):
    """What the daemon does about a request: events for the engine, an answer at once, or both. With `same_file` it is refused to
    callers that name another job file."""

    do: Callable[[Sessions, Client, Message], list[Event] | None]
    same_file: bool = False


class Services(NamedTuple):
    """The parts of the daemon that clients ask for something."""

    reloading: Reloading
    retention: Retention
    secrets: Secrets


class Sessions(Part):
    """All clients of one daemon. `observers` hear, inside of this process, what followers hear outside."""

    def __init__(self, life: Life, database: Database, state: LiveState, services: Services) -> None:
        self.observers: list[Callable[[dict[str, Any]], None]] = []
        self._life = life
        self._database = database
        self._state = state
        self._services = services
        self._control = Control(life.places.control)
        self._asked: dict[int, Client | Callable[[Reply], None]] = {}
        self._requests = 0

    # ---- for the loop ----------------------------------------------------------------------------------------------------

    def fds(self) -> list[FD]:
        self._control.drop_closed()
        return [self._control.listener, *self._control.clients]

    def poll(self, ready: Ready, /) -> list[Event]:
        events: list[Event] = []
        for client in [one for one in self._control.clients if one in ready]:
            if ready[client] & select.POLLOUT:
                client.flush()
            for message in client.requests():
                events.extend(self._heard(client, message))
        if self._control.listener in ready:
            self._control.accept()
        return events

    def saved(self, out: Effects, /) -> None:
        """Tell those who follow a run what has been saved of it, and those who have asked what the engine says."""
        self._tell_followers(out)
        for number, reply in out.replies.items():
            self._answer(number, reply)

    def close(self) -> None:
        """Those who wait for our end hear of it as their connection closes."""
        self._control.close()

    # ---- asking ----------------------------------------------------------------------------------------------------------

    def ask(self, event: Callable[[int], Event], answer: Callable[[Reply], None]) -> None:
        """Ask the engine from inside this process, as a client would from outside."""
        self._life.inbox.append(event(self._number(answer)))

    def _number(self, asker: Client | Callable[[Reply], None]) -> int:
        self._requests += 1
        self._asked[self._requests] = asker
        return self._requests

    def _answer(self, number: int, reply: Reply) -> None:
        asker = self._asked.pop(number, None)
        if not isinstance(asker, Client):
            if asker is not None:
                asker(reply)
        elif reply.refused is not None:
            asker.refuse(reply.refused, reply.hint, reply.exit_status)
        else:
            asker.say({"ok": True, "runs": list(reply.runs), "notes": list(reply.notes)})

    def _heard(self, client: Client, message: Message) -> list[Event]:
        """What a client asks, as events; what needs no decision is answered at once."""
        operation = OPERATIONS.get(message["op"], ENGINE)
        try:
            if operation.same_file:
                self._check_file(message)
            return operation.do(self, client, message) or []
        except JobFileError as error:
            client.refuse(f"the job file has errors: {error.message}", "`cronflow check` shows all of them", 1)
        except CronflowError as error:
            client.refuse(error.message, error.hint, error.exit_status)
        except sqlite3.DatabaseError as error:
            client.refuse(f"the database cannot be read: {error}", None, 1)
            self._database.on_error(error)
        except (TypeError, ValueError, AttributeError, LookupError):
            client.refuse(f"`{message['op']}` with fields that it does not take", None, Exit.USAGE)
        return []

    def _check_file(self, message: Message) -> None:
        named, places = message.get("file"), self._life.places
        if named is not None and str(named) != str(places.file):
            hint = f"the state folder `{places.state}` is in use by it; name another one with `--state`"
            raise CronflowError(f"the daemon works on another job file: `{places.file}`", hint)

    # ---- operations ------------------------------------------------------------------------------------------------------

    def _engine(self, client: Client, message: Message) -> list[Event]:
        """Ask the engine. Before a `run` the file is read again if it has been edited while we run in the foreground."""
        event = requests.to_event(message, self._requests + 1, client.by, self._state, self._database.store)
        reread = self._services.reloading.reread() if message["op"] == "run" and not self._life.slots else []
        self._number(client)
        return [*reread, event]

    def _ping(self, client: Client, _message: Message) -> None:
        client.say({
            "ok": True,
            "pid": os.getpid(),
            "version": __version__,
            "file": str(self._life.places.file),
            "since": self._life.since,
            "foreground": not self._life.slots,
            "draining": self._state.draining,
            "problems": [one._asdict() for one in self._state.troubles.values()],
        })

    def _secrets(self, client: Client, message: Message) -> None:
        """The known values of a job's secrets, for who has to mask them: clients have our own rights, or those of root."""
        name, secrets = str(message.get("job")), self._services.secrets
        job = self._state.jobs.jobs.get(name)
        client.say({"ok": True, "values": secrets.known.get(name, {}) if job is None else secrets.values(job)})

    def _in_force(self, client: Client, _message: Message) -> None:
        source = self._services.reloading.source
        client.say({"ok": True, "since": source.in_force_since, "in_force": as_plain(source.reading.jobs)})

    def _follow(self, client: Client, message: Message) -> None:
        runs = message.get("runs")
        numbers = [run for run in runs if requests.is_run_number(run)] if isinstance(runs, list) else []
        client.say({"ok": True})
        client.follows.update(numbers)
        for number in numbers:
            run = self._state.runs.get(number) or self._database.store.run(number)
            if run is not None:
                client.say(run_event(run))
                attempts = self._database.store.last_processes(number)
                for task in run.tasks.values():
                    client.say(task_event(task, attempts.get(task.name, ())))
                if run.final:
                    client.say(run_event(run))

    def _reload(self, client: Client, message: Message) -> list[Event]:
        return [*_acted(client, message), *self._services.reloading.reload(notify=True, client=client)]

    def _prune(self, client: Client, message: Message) -> list[Event]:
        client.say({"ok": True})
        self._services.retention.demand(client.say)
        return _acted(client, message)

    def _stop(self, client: Client, message: Message) -> list[Event]:
        mode = message.get("mode", "now")
        if mode not in ("now", "drain", "kill"):
            raise CronflowError("`mode` of a stop is `now`, `drain` or `kill`", None, Exit.USAGE)
        client.say({"ok": True, "running": self._state.running})
        if mode in ("drain", "kill"):
            return [happened.DrainAsked(client.by, _words(message), mode == "kill")]
        self._life.leaving = "stopped"
        return _acted(client, message)

    def _hand_over(self, client: Client, _message: Message) -> None:
        """A `cronflow daemon` takes the place of a run in the foreground."""
        if self._life.slots:
            raise CronflowError("this is a daemon already", "`cronflow reload` makes it read the job file again")
        client.say({"ok": True})
        self._life.leaving = "handed over"

    # ---- telling ---------------------------------------------------------------------------------------------------------

    def _tell_followers(self, out: Effects) -> None:
        if not self.observers and not any(client.follows for client in self._control.clients):
            return
        attempts: dict[tuple[int, str], list[Attempt]] = {}
        for attempt in out.of(ATTEMPTS).values():
            if attempt is not None:
                attempts.setdefault((attempt.run, attempt.task), []).append(attempt)
        tasks = dict(out.of(TASKS))
        for number, name in attempts.keys() - tasks.keys():
            run = self._state.runs.get(number)
            if run is not None and name in run.tasks:  # its copies may have taken its place
                tasks[number, name] = run.tasks[name]
        for (number, name), task in tasks.items():
            gone = {"event": "gone", "run": number, "task": name}
            self._tell(number, gone if task is None else task_event(task, attempts.get((number, name), ())))
        for run in out.of(RUNS).values():
            if run is not None:
                self._tell(run.id, run_event(run))

    def _tell(self, run: int, message: dict[str, Any]) -> None:
        for client in list(self._control.clients):
            if run in client.follows:
                client.say(message)
        for observer in self.observers:
            observer(message)


def _words(message: Message) -> str:
    return storable(str(message.get("words") or message["op"]))


def _acted(client: Client, message: Message) -> list[Event]:
    """What a person did that the engine does not decide, for the history."""
    return [happened.Acted(client.by, str(message["op"]), _words(message))]


ENGINE = Operation(Sessions._engine, same_file=True)
"""What the engine decides; unknown requests are refused there as well."""
OPERATIONS: Mapping[str, Operation] = {
    "ping": Operation(Sessions._ping),
    "secrets": Operation(Sessions._secrets),
    "in_force": Operation(Sessions._in_force),
    "follow": Operation(Sessions._follow),
    "reload": Operation(Sessions._reload),
    "stop": Operation(Sessions._stop),
    "prune": Operation(Sessions._prune, same_file=True),
    "handover": Operation(Sessions._hand_over, same_file=True),
    **dict.fromkeys(("run", "retry", "cancel", "approve", "reject", "pause", "resume", "skip"), ENGINE),
}
