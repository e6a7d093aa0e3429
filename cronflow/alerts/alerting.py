"""From the rows of the outbox to messages that have arrived: composed when they are sent, tried until they are taken.

Nothing here waits, and no job waits for it: each message is sent by a process of its own (`outbox`).
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cronflow.alerts.sender import LONGEST, Outbox, TargetError, backoff, resolve
from cronflow.alerts.text import text
from cronflow.core.events import Event, TroubleFound, TroubleGone
from cronflow.core.jobs import AlertTarget, Job, JobSet, jobs_from_definition
from cronflow.core.notify.expectations import usual
from cronflow.core.plan.flow import Plan
from cronflow.core.records import TELLING, Trouble
from cronflow.core.time.triggers import next_start, untimed_words
from cronflow.core.words import duration
from cronflow.daemon.processes.secrets import Vault, command_orders
from cronflow.keeper.output import read_log
from cronflow.places import Places
from cronflow.store.store import Store

TAIL_LINES = 20
TAIL_BYTES = 8192
SAVE_AGAIN = 5.0
UNDELIVERED = 3
"""Tries after which an alert that does not arrive is trouble of its own."""
FORGOTTEN = 86400.0
"""Seconds for which an alert waits for its target to come back into the job file."""
AT_ONCE = 25
"""Alerts of a target that a turn looks at."""


@dataclass(slots=True)
class Alerting:
    """The outbox of one daemon. Targets that did not take what they were sent last share one worker, in turn, so that a service
    that hangs, with however many alerts, never holds up those to another one."""

    store: Store
    places: Places
    vault: Vault
    outbox: Outbox = field(default_factory=Outbox)
    host: str = field(default_factory=socket.gethostname)
    going: dict[int, dict[str, Any]] = field(default_factory=dict)
    unsaved: dict[int, tuple[bool, str | None, float, float]] = field(default_factory=dict)
    next_at: float | None = 0.0
    failing: set[str] = field(default_factory=set)
    begun: dict[str, int] = field(default_factory=dict)

    def wake(self) -> None:
        """There may be new alerts in the outbox."""
        self.next_at = 0.0

    def start_anew(self, store: Store) -> None:
        """Go on with another database, in which alerts have other numbers: what is on its way counts as not sent."""
        self.outbox.close()
        self.store, self.outbox = store, Outbox()
        self.going, self.unsaved = {}, {}
        self.wake()

    def busy(self, now: float) -> bool:
        """Whether an alert is on its way, or due."""
        return bool(self.going) or (self.next_at is not None and self.next_at <= now)

    def deadline(self) -> float | None:
        """When the next alert is to be tried (epoch seconds)."""
        return None if self.outbox.room() <= 0 else self.next_at

    def dispatch(self, jobs: JobSet, plan: Plan, now: float) -> list[Event]:
        """Give to workers what is due. Whom the job file no longer names may be back after the next edit, but not after a day:
        then the alert is done with, and keeps the reason as its error."""
        if self.next_at is None or now < self.next_at <= now + LONGEST or self.outbox.room() <= 0:
            return []
        events: list[Event] = []
        self._save()
        for row in sorted(self.store.alerts_due(now, AT_ONCE, now + LONGEST), key=self._turn_of):
            if row["id"] in self.going or row["id"] in self.unsaved or row["target"] in self._held():
                continue
            if self.outbox.room() <= 0:
                break
            try:
                target = jobs.alerts.get(row["target"])
                if target is None:
                    raise TargetError(f"there is no `[alerts.{row['target']}]` in the job file any more")
                urls = resolve(target, os.environ, os.path.dirname(self.places.file))
                title, body, compose = self._composed(row, jobs, plan, target, now)
            except TargetError as error:
                given_up = row["target"] not in jobs.alerts and now - row["at"] > FORGOTTEN
                events.extend(self._done(row, given_up, error.message, now))
                continue
            if self.outbox.submit(row["id"], urls, title, body, row["kind"], compose):
                self.going[row["id"]] = row
                self.begun[row["target"]] = max(self.begun.values(), default=0) + 1
        self.next_at = self._next()
        return events

    def _turn_of(self, row: Mapping[str, Any]) -> tuple[bool, int, int, int]:
        """Those that take alerts come first, one of each target after the other, and who had the last turn comes last."""
        return row["target"] in self.failing, row["nth"], self.begun.get(row["target"], 0), row["id"]

    def _held(self) -> set[str]:
        """The targets that have to wait for the worker which those that fail share."""
        at_work = any(row["target"] in self.failing for row in self.going.values())
        return self.failing if at_work else set()

    def _next(self) -> float | None:
        """The next try among those that are not on their way, and need not wait for one that is. Farther away than any is made,
        it is told by a clock that was set back since, and due."""
        known, held, now = (*self.going, *self.unsaved), self._held(), time.time()
        others = f"id NOT IN ({','.join('?' * len(known))}) AND target NOT IN ({','.join('?' * len(held))})"
        sql = f"SELECT min(CASE WHEN next_try_at > ? THEN 0 ELSE next_try_at END) FROM alerts WHERE sent_at IS NULL AND {others}"
        row = self.store.connection.execute(sql, (now + LONGEST, *known, *held)).fetchone()
        times = [at for at in (row[0], now + SAVE_AGAIN if self.unsaved else None) if at is not None]
        return min(times, default=None)

    def collect(self, now: float) -> list[Event]:
        """Note what the workers say."""
        events: list[Event] = []
        for sent in self.outbox.collect(time.monotonic()):
            row = self.going.pop(sent.alert_id, None)
            if row is not None:
                (self.failing.discard if sent.ok else self.failing.add)(row["target"])
                events.extend(self._done(row, sent.ok, sent.error or None, now))
                self.next_at = self._next()
        return events

    def _done(self, row: Mapping[str, Any], ok: bool, error: str | None, now: float) -> list[Event]:
        tries = row["tries"] + 1
        self.unsaved[row["id"]] = (ok, error, now, now + backoff(tries))
        self._save()
        key = f"alerts:{row['target']}"
        if ok:
            given_up = error is not None
            return [] if given_up and self._others_wait(row) else [TroubleGone(key)]
        if tries < UNDELIVERED:
            return []
        message = f"alerts to `{row['target']}` do not arrive: {error}"
        return [TroubleFound(Trouble(key, "system", message, now), not_to=row["target"])]

    def _others_wait(self, row: Mapping[str, Any]) -> bool:
        """Whether there is another alert to the same target that was not sent."""
        query = "SELECT 1 FROM alerts WHERE target = ? AND sent_at IS NULL AND id != ?"
        return self.store.connection.execute(query, (row["target"], row["id"])).fetchone() is not None

    def _save(self) -> None:
        """Note in the database how tries ended. Where it cannot be written now, they are known here, so that nothing is sent
        again and again meanwhile."""
        for number, (ok, error, at, next_try_at) in list(self.unsaved.items()):
            try:
                self.store.alert_tried(number, ok, error, at, next_try_at)
            except sqlite3.OperationalError:
                return
            del self.unsaved[number]

    # ---- composing -------------------------------------------------------------------------------------------------------

    def _composed(
        self, row: Mapping[str, Any], jobs: JobSet, plan: Plan, target: AlertTarget, now: float
    ) -> tuple[str, str, dict[str, Any] | None]:
        """The message, or what is known of it where a damaged history makes no sense: it is sent all the same."""
        try:
            return self._compose(row, jobs, plan, target, now)
        except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError):
            about = f" {row['job']}" if row["job"] else ""
            return f"{row['kind'].upper()}{about} on {self.host}"[:60], f"The history of it makes no sense: {row}", None

    def _compose(
        self, row: Mapping[str, Any], jobs: JobSet, plan: Plan, target: AlertTarget, now: float
    ) -> tuple[str, str, dict[str, Any] | None]:
        """Title and body; for a job with secrets that a command prints, what its worker needs to make them."""
        facts: dict[str, Any] = {"now": now, "at": row["at"], "target": target.name, **row["facts"]}
        zone = jobs.timezone
        if row["job"] is not None:
            facts.update(self._of_job(row["job"], jobs, plan, now))
            facts.update(self._of_task(row["job"], row["run"], row["task"], row["facts"].get("state_reason")))
        for one in facts.get("interrupted", ()):
            one[2:] = ["lost", self._tried_again(one[1], one[2])]
        if "released" in facts:
            facts["released"] = self._states(row["run"], row["job"], facts["released"])
        facts = {key: value for key, value in facts.items() if value is not None}
        job = self._job_of(row, jobs)
        facts["mask"] = self.vault.masks(job)
        orders = [] if job is None else command_orders(job, os.environ)
        if orders:
            return "", "", {"kind": row["kind"], "facts": facts, "host": self.host, "zone": zone, "secrets": orders}
        return *text(row["kind"], facts, self.host, zone), None

    def _job_of(self, row: Mapping[str, Any], jobs: JobSet) -> Job | None:
        """The job of an alert as its run has it: whose secrets may stand in the output."""
        digest = self.store.connection.execute("SELECT definition FROM runs WHERE id = ?", (row["run"],)).fetchone()
        found = jobs_from_definition(self.store.definition(digest[0])) if digest is not None else jobs.jobs
        return found.get(row["job"])

    def _of_job(self, name: str, jobs: JobSet, plan: Plan, now: float) -> dict[str, Any]:
        job: Job | None = jobs.jobs.get(name)
        if job is None:
            return {"job": name}
        flow = plan.flows[plan.flow_of[name]]
        triggers = () if flow.dormant else flow.triggers
        coming = (next_start(trigger, flow.name, jobs.calendars, jobs.host, now) for trigger in triggers)
        return {
            "job": name,
            "owner": job.owner or None,
            "runbook": job.runbook or None,
            "description": job.description or None,
            "schedule": _schedule(flow.head),
            "timezone": job.timezone,
            "next_at": min((start[0] for start in coming if start is not None), default=None),
        }

    def _of_task(self, job: str, run: int, task: str | None, reason: str | None) -> dict[str, Any]:
        """What the history tells of a task: its attempts, how long it took and usually takes, the last lines of the process
        that decided how it ended."""
        db = self.store.connection
        rows = db.execute(
            "SELECT started_at, finished_at, exit_code, signal, result, created_at FROM attempts"
            " WHERE run = ? AND task = ? AND kind = 'command' ORDER BY n",
            (run, task),
        ).fetchall()
        about = db.execute("SELECT trigger, by, slot FROM runs WHERE id = ?", (run,)).fetchone()
        facts: dict[str, Any] = {"run": run, "task": task, "attempts": [row[0] or row[5] for row in rows]}
        if about is not None:
            facts.update(zip(("trigger", "by", "slot"), about, strict=True))
        if rows:
            started, finished, facts["exit_code"], facts["signal"], facts["result"], _ = rows[-1]
            facts["finished_at"] = finished
            facts["duration_s"] = finished - started if finished is not None and started is not None else None
        facts["tail"] = self._last_lines(run, str(task), TELLING.get(reason or "", "command"))
        facts["usual_s"] = self._usual(job)
        return facts

    def _usual(self, job: str) -> float | None:
        """The median time of the job's last successes (seconds)."""
        row = self.store.connection.execute("SELECT durations FROM health WHERE job = ?", (job,)).fetchone()
        return usual(json.loads(row[0])) if row else None

    def _last_lines(self, run: int, task: str, kind: str) -> list[str]:
        """Those of the last process of a kind; of the command where a step has said nothing."""
        sql = "SELECT max(n) FROM attempts WHERE run = ? AND task = ? AND kind = ?"
        n = self.store.connection.execute(sql, (run, task, kind)).fetchone()[0]
        lines = self._tail(run, task, n, kind) if n is not None else []
        return lines if lines or kind == "command" else self._last_lines(run, task, "command")

    def _tail(self, run: int, task: str, n: int, kind: str) -> list[str]:
        try:
            data = b"".join(read_log(str(self.places.log(run, task, n, kind)), None, TAIL_BYTES))
        except OSError:
            return []
        return data.decode("utf-8", "replace").splitlines()[-TAIL_LINES:]

    def _tried_again(self, run: int, task: str) -> str | None:
        db = self.store.connection
        row = db.execute("SELECT state, attempts FROM tasks WHERE run = ? AND name = ?", (run, task)).fetchone()
        if row is None or row[0] in ("failed", "cancelled"):
            return None
        return f"{run}/{task}/{row[1] + (row[0] == 'retrying')}"

    def _states(self, run: int, job: str, names: list[str]) -> list[list[str]]:
        """How jobs stand that could go on after a job of a run: in that run, or in one of another flow that its end opened."""
        db = self.store.connection
        states = dict(db.execute("SELECT name, state FROM tasks WHERE run = ?", (run,)).fetchall())
        elsewhere = (
            "SELECT tasks.state FROM tasks JOIN runs ON runs.id = tasks.run WHERE tasks.job = ? AND tasks.run > ?"
            " AND NOT runs.aside AND json_extract(runs.upstreams, ?) = ? LIMIT 1"
        )
        for name in names:
            row = None if name in states else db.execute(elsewhere, (name, run, f'$."{job}"', run)).fetchone()
            if row is not None:
                states[name] = row[0]
        return [[name, states[name]] for name in names if name in states]

    def close(self) -> None:
        self.outbox.close()


def _schedule(root: Job) -> str | None:
    """The triggers of a flow as its root has them in the job file."""
    every = [f"every {duration(root.every)}"] if root.every is not None else []
    parts = [*root.schedule, *every, *untimed_words(root)]
    return "; ".join(parts) or None
