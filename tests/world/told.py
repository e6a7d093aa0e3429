"""What the alerts of the whole history must show: who had to hear of something late or slow did, once, and nobody else."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cronflow.core.effects import Effects
from cronflow.core.jobs import Job
from cronflow.core.tables import ALERTS, TASKS

if TYPE_CHECKING:
    from tests.world.world import World


def check_alerts(out: Effects, now: float) -> None:
    """What is told as late, or as slow, is so at that moment."""
    for alert in out.of(ALERTS).values():
        if alert.kind not in ("late", "slow"):
            continue
        assert alert.run is not None
        assert alert.task is not None
        task = out.of(TASKS)[alert.run, alert.task]
        place = f"{alert.run}/{alert.task}"
        if alert.kind == "slow":
            assert task.live is not None, f"{place} is told as slow and does not run"
            assert task.live.started_at is not None
            assert now >= task.live.started_at + alert.facts["slow_after_s"], f"{place} is told as slow too soon"
            continue
        at = alert.facts["deadline"]
        assert now >= at or task.state in ("failed", "blocked"), f"{place} is told as late too soon"
        in_time = task.state == "success" and task.finished_at is not None and task.finished_at <= at
        assert not in_time, f"{place} is told as late and was in time"


def check_told(world: World, jobs_of: dict[str, dict[str, Job]]) -> None:
    """At most one alert of a kind, and each that was due, to exactly those who wanted it and did not know."""
    db = world.store.connection
    told: dict[tuple[int, str], list[str]] = {}
    for run, task, kind, target in db.execute(
        "SELECT run, job, kind, target FROM alerts WHERE kind IN ('late', 'slow', 'approval')"
    ):
        mine = told.setdefault((run, f"{kind} {task}"), [])
        assert target not in mine, f"{run}/{task} is told twice as {kind} to {target}"
        mine.append(target)
    for number, name, of, state, ended_at, cause, slot, digest in db.execute(
        "SELECT run, name, job, tasks.state, CASE verdict WHEN '[]' THEN tasks.finished_at ELSE stage_at END, tasks.caused_by,"
        " slot, definition FROM tasks JOIN runs ON id = run"
        " WHERE slot IS NOT NULL AND trigger NOT IN ('manual', 'retry', 'backfill')"
    ):
        job = jobs_of[digest][of]
        at = _deadline(job, slot)
        if at is None or of not in world.jobs.jobs or not of.startswith("f") or job.copies:
            continue
        mine = told.get((number, f"late {name}"), [])
        if state == "success" and ended_at > at:
            assert set(mine) == _wanting(world, job, "late"), f"{number}/{name} was late and is told to {mine}"
        elif state in ("failed", "blocked"):
            source = jobs_of[digest].get((cause or name).partition("[")[0], job)
            if source.name in world.jobs.jobs:
                missing = _wanting(world, job, "late") - _wanting(world, source, "failure") - set(mine)
                assert not missing, f"{number}/{name} is {state}, and {missing} never hear of it"


def _wanting(world: World, job: Job, kind: str) -> set[str]:
    targets = world.jobs.alerts
    return {name for name in (targets if job.alert is None else job.alert) if name in targets and kind in targets[name].on}


def _deadline(job: Job, slot: int) -> float | None:
    """Minute by minute, on the clock of the job's zone."""
    if job.deadline is None or job.deadline[0] == "duration":
        return None if job.deadline is None else slot + job.deadline[1]
    zone = ZoneInfo(job.timezone)
    wanted = divmod(int(job.deadline[1]) // 60, 60)
    at = slot - slot % 60 + 60
    while (moment := datetime.fromtimestamp(at, zone)) and (moment.hour, moment.minute) != wanted:
        at += 60
    return at
