"""What an alert says: its row, what the history and the job file tell of it when it is sent, and the last lines of output."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cronflow.alerts.text import text
from cronflow.core.jobs import Job
from cronflow.core.records import TELLING, AttemptRef
from cronflow.core.state import LiveState
from cronflow.core.time.triggers import next_start, untimed_words
from cronflow.core.words import duration
from cronflow.store import outbox
from cronflow.store.database import Database
from cronflow.store.outbox import Unsent

TAIL_LINES = 20
TAIL_BYTES = 8192


class Message(NamedTuple):
    """Title and body; or, for a job with secrets that a command prints, what the worker needs to make them."""

    title: str
    body: str
    order: dict[str, Any] | None = None


class Output(NamedTuple):
    """The output of jobs: the last bytes that an attempt has written (raises OSError), the secrets to mask in it that are known
    here, and how to ask commands for the others."""

    tail: Callable[[AttemptRef, int], bytes]
    masks: Callable[[Job | None], list[str]]
    orders: Callable[[Job], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Composer:
    """Makes the messages of one daemon."""

    database: Database
    output: Output
    host: str = field(default_factory=socket.gethostname)

    def message(self, alert: Unsent, state: LiveState, now: float) -> Message:
        """The message, or what is known of it where a damaged history makes no sense: it is sent all the same."""
        try:
            return self._message(alert, state, now)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            about = f" {alert.job}" if alert.job else ""
            title = f"{alert.kind.upper()}{about} on {self.host}"[:60]
            return Message(title, f"The history of it makes no sense: {alert._asdict()}")

    def _message(self, alert: Unsent, state: LiveState, now: float) -> Message:
        db, zone = self.database.store.connection, state.jobs.timezone
        facts: dict[str, Any] = {"now": now, "at": alert.at, "target": alert.target, **alert.facts}
        if alert.job is not None:
            facts.update(_of_job(alert.job, state, now))
            facts.update(outbox.facts_of_task(db, alert.run, alert.task))
            facts["tail"] = self._last_lines(alert, TELLING.get(alert.facts.get("state_reason") or "", "command"))
            facts["usual_s"] = outbox.usual_duration(db, alert.job)
        for one in facts.get("interrupted", ()):
            one[2:] = ["lost", outbox.tried_again(db, one[1], one[2])]
        if "released" in facts:
            facts["released"] = outbox.states_after(db, alert.run, alert.job, facts["released"])
        facts = {key: value for key, value in facts.items() if value is not None}
        known = outbox.jobs_of(db, alert.run)  # whose secrets may stand in the output
        job = (state.jobs.jobs if known is None else known).get(alert.job or "")
        facts["mask"] = self.output.masks(job)
        secrets = [] if job is None else self.output.orders(job)
        if secrets:
            order = {"kind": alert.kind, "facts": facts, "host": self.host, "zone": zone, "secrets": secrets}
            return Message("", "", order)
        return Message(*text(alert.kind, facts, self.host, zone))

    def _last_lines(self, alert: Unsent, kind: str) -> list[str]:
        """Those of the last process of a kind; of the command where a step has said nothing."""
        lines: list[str] = []
        if (last := outbox.last_of_kind(self.database.store.connection, alert.run, alert.task, kind)) is not None:
            with contextlib.suppress(OSError):
                lines = self.output.tail(last, TAIL_BYTES).decode("utf-8", "replace").splitlines()[-TAIL_LINES:]
        return lines if lines or kind == "command" else self._last_lines(alert, "command")


def _of_job(name: str, state: LiveState, now: float) -> dict[str, Any]:
    job = state.jobs.jobs.get(name)
    if job is None:
        return {"job": name}
    flow = state.plan.flows[state.plan.flow_of[name]]
    triggers = () if flow.disabled else flow.triggers
    starts = (next_start(trigger, flow.name, state.jobs.calendars, state.jobs.host, now) for trigger in triggers)
    return {
        "job": name,
        "owner": job.owner or None,
        "runbook": job.runbook or None,
        "description": job.description or None,
        "schedule": _schedule(flow.settings_root),
        "timezone": job.timezone,
        "next_at": min((start[0] for start in starts if start is not None), default=None),
    }


def _schedule(root: Job) -> str | None:
    """The triggers of a flow as its root has them in the job file."""
    every = [f"every {duration(root.every)}"] if root.every is not None else []
    parts = [*root.schedule, *every, *untimed_words(root)]
    return "; ".join(parts) or None
