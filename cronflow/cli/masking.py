"""The values of secrets, masked wherever the output of jobs is shown.

The daemon tells those it knows, older values among them; the rest is read here, as the daemon would read it. A secret that
cannot be read is reported once, since its value would be shown.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from cronflow.cli.client import connect
from cronflow.core.jobs import Job
from cronflow.daemon.processes.secrets import Secrets, ask_command, command_orders
from cronflow.errors import CronflowError
from cronflow.places import Places

_ANSWER_SECONDS = 2.0


class Masking:
    """What to mask in the output of each job; `warn` gets told of secrets that cannot be masked."""

    def __init__(self, places: Places, warn: Callable[[str], None]) -> None:
        self._places = places
        self._warn = warn
        self._secrets = Secrets(os.path.dirname(places.file))
        self._known: dict[str, list[str]] = {}

    def of(self, job: Job | None) -> list[str]:
        """The values of a job's secrets, as `words.masked` takes them."""
        if job is None or not job.secrets:
            return []
        if job.name not in self._known:
            self._known[job.name] = self._look(job)
        return self._known[job.name]

    def _look(self, job: Job) -> list[str]:
        told = self._told(job.name)
        found = {key: [*told.get(key, ()), *values] for key, values in {**told, **self._secrets.values(job)}.items()}
        for order in command_orders(job, os.environ):
            value = ask_command(order)
            if value is not None:
                found.setdefault(str(order["key"]), []).append(value)
        for key in job.secrets:
            if not found.get(key):
                self._warn(f"secret `{key}` of `{job.name}` cannot be read here, so it is not masked")
        return [value for values in found.values() for value in values]

    def _told(self, job: str) -> dict[str, list[str]]:
        """The values that the daemon knows, if there is one."""
        try:
            with connect(self._places) as daemon:
                return dict(daemon.ask("secrets", job=job, seconds=_ANSWER_SECONDS).get("values") or {})
        except CronflowError:
            return {}
