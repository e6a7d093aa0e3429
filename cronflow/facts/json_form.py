"""The documented JSON of runs, tasks, attempts, jobs and acts: here epoch seconds become ISO 8601, and nowhere else.

Keys that do not apply are null. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cronflow.core import words
from cronflow.core.jobs import Job
from cronflow.core.records import Attempt, Run, Task
from cronflow.facts.copies import telling

if TYPE_CHECKING:
    from cronflow.facts.overview import JobNow, Overview
    from cronflow.places import Places
    from cronflow.store.queries import ActRecord, RunRecord

Json = dict[str, Any]
_INSTANTS = (
    *("at", "slot", "slot_last", "since", "until", "created_at", "started_at", "finished_at"),
    *("before", "after", "due", "ends"),
)


class JsonForm:
    """Turns records of the history into their documented JSON, with times in one zone."""

    def __init__(self, places: Places, zone: str) -> None:
        self.places = places
        self.zone = zone

    def time(self, t: float | None) -> str | None:
        """ISO 8601 with offset; to the millisecond where the instant is not a whole second."""
        if t is None:
            return None
        text = words.local(t, self.zone).isoformat(timespec="milliseconds")
        return text.replace(".000", "", 1)

    def of(self, record: object, names: str) -> Json:
        """Attributes of a record by their names, separated by blanks; those that are instants as ISO 8601."""
        return {
            name: self.time(value) if name in _INSTANTS else value
            for name, value in ((name, getattr(record, name)) for name in names.split())
        }

    def run(self, record: RunRecord) -> Json:
        run = record.run
        return {
            **self.of(run, "id flow trigger by params retry_of slot slot_last slots state reason"),
            "held": run.gate,
            **self.of(run, "created_at started_at finished_at"),
            "duration_s": _took(run),
            "tasks": [self.task(record, task) for task in run.tasks.values()],
        }

    def task(self, record: RunRecord, task: Task) -> Json:
        attempts = record.attempts.get(task.name, [])
        return {
            "job": task.job,
            "task": task.name,
            **self.of(task, "matrix state reason caused_by"),
            "waits_for": [self.of(one, "job run state") for one in record.awaited(task)],
            "next_attempt_at": self.time(task.again_at),
            **self.of(task, "started_at finished_at"),
            "duration_s": _took(task),
            "outputs": task.outputs,
            "attempts": [self.attempt(one) for one in attempts if one.kind == "command"],
            "steps": [{"kind": one.kind, "count": one.count, **self.attempt(one)} for one in attempts if one.kind != "command"],
        }

    def attempt(self, attempt: Attempt) -> Json:
        return {
            **self.of(attempt, "n result exit_code signal pid started_at finished_at"),
            "duration_s": _took(attempt),
            **self.of(attempt, "cpu_s max_rss_kb"),
            "log": str(self.places.log(attempt.run, attempt.task, attempt.n, attempt.kind)),
            **self.of(attempt, "output_bytes left_behind"),
        }

    def act(self, record: ActRecord) -> Json:
        return {"id": record.id, **self.of(record.act, "at by verb words job run")}

    def job(self, now: JobNow) -> Json:
        job = now.job
        task = telling(now.tasks) if now.tasks else None
        return {
            "name": job.name,
            "flow": now.flow,
            "enabled": job.enabled,
            "paused": now.pause is not None,
            "pause": None if now.pause is None else self.of(now.pause, "since until by reason"),
            "skip": None if now.skip is None else self.of(now.skip, "left since by"),
            "schedule": _schedule(job),
            "after": [edge.job for edge in job.after],
            "state": task.state if task else None,
            "reason": task.reason if task else None,
            "waits_for": [self.of(up, "job run state") for up in now.waits_for],
            "last_run": self.run(now.last) if now.last else None,
            "next_at": self.time(now.next_at),
        }

    def daemon(self, daemon: Mapping[str, Any] | None) -> Json:
        found = daemon or {}
        about = {"pid": found.get("pid"), "since": self.time(found.get("since"))}
        return {"running": daemon is not None, **about, "version": found.get("version"), "file": found.get("file")}

    def problems(self, view: Overview) -> list[Json]:
        from cronflow.facts.overview import UNDELIVERED_AFTER

        found = [self.of(one, "kind message since") for one in view.standing.troubles]
        if view.known.broken is not None and not any(one["kind"] == "config" for one in found):
            found.append({"kind": "config", "message": view.known.broken.message, "since": None})
        for going in view.late:
            message = f"`{going.task.name}` has not succeeded by its deadline (run {going.task.run})"
            found.append({"kind": "late", "message": message, "since": self.time(going.expects.deadline)})
        for going in view.slow:
            message = f"`{going.task.name}` runs far longer than usual (run {going.task.run})"
            found.append({"kind": "slow", "message": message, "since": self.time(going.expects.slow_at)})
        for one in view.standing.undelivered:
            if one.since <= view.now - UNDELIVERED_AFTER:
                error = f": {one.error}" if one.error else ""
                message = f"{words.count(one.number, 'alert')} to `{one.target}` not delivered{error}"
                found.append({"kind": "alerts", "message": message, "since": self.time(one.since)})
        return found


def _took(one: Run | Task | Attempt) -> float | None:
    start, end = one.started_at, one.finished_at
    return None if start is None or end is None else round(max(end - start, 0.0), 3)


def _schedule(job: Job) -> str | None:
    parts = list(job.schedule)
    if job.every is not None:
        from cronflow.jobfile.values import format_duration

        parts.append(f"every {format_duration(job.every)}")
    if job.at or job.watch:
        from cronflow.core.time.triggers import untimed_words

        parts += untimed_words(job)
    return "; ".join(parts) or None
