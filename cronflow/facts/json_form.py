"""The documented JSON of runs, tasks, attempts, jobs and acts: here epoch seconds become ISO 8601, and nowhere else.

Keys that do not apply are null. Durations are seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cronflow.core import words
from cronflow.core.jobs import Job
from cronflow.core.records import Attempt, Pause, Skip, Task
from cronflow.facts.copies import telling

if TYPE_CHECKING:
    from cronflow.facts.overview import JobNow, Overview
    from cronflow.places import Places
    from cronflow.store.queries import ActRecord, RunRecord

Json = dict[str, Any]


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

    def run(self, record: RunRecord) -> Json:
        run = record.run
        return {
            "id": run.id,
            "flow": run.flow,
            "trigger": run.trigger,
            "by": run.by,
            "params": run.params,
            "retry_of": run.retry_of,
            "slot": self.time(run.slot),
            "slot_last": self.time(run.slot_last),
            "slots": run.slots,
            "state": run.state,
            "reason": run.reason,
            "held": run.gate,
            "created_at": self.time(run.created_at),
            "started_at": self.time(run.started_at),
            "finished_at": self.time(run.finished_at),
            "duration_s": _took(run.started_at, run.finished_at),
            "tasks": [self.task(record, task) for task in run.tasks.values()],
        }

    def task(self, record: RunRecord, task: Task) -> Json:
        attempts = record.attempts.get(task.name, [])
        return {
            "job": task.job,
            "task": task.name,
            "matrix": task.matrix,
            "state": task.state,
            "reason": task.reason,
            "caused_by": task.caused_by,
            "waits_for": [{"job": one.job, "run": one.run, "state": one.state} for one in record.awaited(task)],
            "next_attempt_at": self.time(task.again_at),
            "started_at": self.time(task.started_at),
            "finished_at": self.time(task.finished_at),
            "duration_s": _took(task.started_at, task.finished_at),
            "outputs": task.outputs,
            "attempts": [self.attempt(one) for one in attempts if one.kind == "command"],
            "steps": [{"kind": one.kind, "count": one.count, **self.attempt(one)} for one in attempts if one.kind != "command"],
        }

    def attempt(self, attempt: Attempt) -> Json:
        return {
            "n": attempt.n,
            "result": attempt.result,
            "exit_code": attempt.exit_code,
            "signal": attempt.signal,
            "pid": attempt.pid,
            "started_at": self.time(attempt.started_at),
            "finished_at": self.time(attempt.finished_at),
            "duration_s": _took(attempt.started_at, attempt.finished_at),
            "cpu_s": attempt.cpu_s,
            "max_rss_kb": attempt.max_rss_kb,
            "log": str(self.places.log(attempt.run, attempt.task, attempt.n, attempt.kind)),
            "output_bytes": attempt.output_bytes,
            "left_behind": list(attempt.left_behind),
        }

    def act(self, record: ActRecord) -> Json:
        act = record.act
        return {
            "id": record.id,
            "at": self.time(act.at),
            "by": act.by,
            "verb": act.verb,
            "words": act.words,
            "job": act.job,
            "run": act.run,
        }

    def job(self, now: JobNow) -> Json:
        job = now.job
        task = telling(now.tasks) if now.tasks else None
        return {
            "name": job.name,
            "flow": now.flow,
            "enabled": job.enabled,
            "paused": now.pause is not None,
            "pause": self.pause(now.pause),
            "skip": self.skip(now.skip),
            "schedule": _schedule(job),
            "after": [edge.job for edge in job.after],
            "state": task.state if task else None,
            "reason": task.reason if task else None,
            "waits_for": [{"job": up.job, "run": up.run, "state": up.state} for up in now.waits_for],
            "last_run": self.run(now.last) if now.last else None,
            "next_at": self.time(now.next_at),
        }

    def pause(self, pause: Pause | None) -> Json | None:
        if pause is None:
            return None
        return {"since": self.time(pause.since), "until": self.time(pause.until), "by": pause.by, "reason": pause.reason}

    def skip(self, skip: Skip | None) -> Json | None:
        return None if skip is None else {"left": skip.left, "since": self.time(skip.since), "by": skip.by}

    def daemon(self, daemon: Mapping[str, Any] | None) -> Json:
        if daemon is None:
            return {"running": False, "pid": None, "since": None, "version": None, "file": None}
        return {
            "running": True,
            "pid": daemon.get("pid"),
            "since": self.time(daemon.get("since")),
            "version": daemon.get("version"),
            "file": daemon.get("file"),
        }

    def problems(self, view: Overview, undelivered_before: float) -> list[Json]:
        found = [{"kind": one.kind, "message": one.message, "since": self.time(one.since)} for one in view.standing.troubles]
        if view.known.broken is not None and not any(one["kind"] == "config" for one in found):
            found.append({"kind": "config", "message": view.known.broken.message, "since": None})
        for going in view.late:
            message = f"`{going.task.name}` has not succeeded by its deadline (run {going.task.run})"
            found.append({"kind": "late", "message": message, "since": self.time(going.expects.deadline)})
        for going in view.slow:
            message = f"`{going.task.name}` runs far longer than usual (run {going.task.run})"
            found.append({"kind": "slow", "message": message, "since": self.time(going.expects.slow_at)})
        for one in view.standing.undelivered:
            if one.since <= undelivered_before:
                message = f"{words.count(one.number, 'alert')} to `{one.target}` not delivered" + (
                    f": {one.error}" if one.error else ""
                )
                found.append({"kind": "alerts", "message": message, "since": self.time(one.since)})
        return found


def _took(start: float | None, end: float | None) -> float | None:
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
