"""Who has to be told: a job that begins to fail, one that recovers, slots that nobody was there for, trouble of the daemon.

Quiet on success. One alert a change of state, after the last retry, and one a cause; a reminder at most once a day while a job
goes on failing; recovery only where the failure was told. An alert is a row in the transaction of what it tells.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cronflow.core.events import TroubleFound
from cronflow.core.jobs import AlertTarget, Job
from cronflow.core.records import Alert, Run, Task
from cronflow.core.state import LiveState, MissedReport
from cronflow.core.tables import TROUBLES
from cronflow.core.turn import Turn

REMIND_AFTER = 20 * 3600.0
"""Seconds. Less than a day, so that a nightly job which fails a little earlier than the night before is told again."""


HARDLY_LATE = 60.0
"""Seconds. Slots that are caught up within this time are no news."""

STREAK = 3
"""Slots in a row that were skipped because the run before still went on: from then on it is news."""


def targets_of(state: LiveState, job: str, kind: str) -> list[AlertTarget]:
    """The alert targets that want to hear this kind about this job, under the job file now in force."""
    chosen = state.jobs.jobs[job].alert if job in state.jobs.jobs else None
    names = state.jobs.alerts if chosen is None else chosen
    return [target for name in names if (target := state.jobs.alerts.get(name)) is not None and kind in target.on]


def failed(turn: Turn, task: Task) -> None:
    """A task failed for good: count it, and tell it if the job was well before or has not been told for a day."""
    state, now, run = turn.state, turn.now, turn.run(task)
    health = turn.health(task.job)
    first = health.failing_since is None
    if first:
        health.failing_since, health.failures, health.told_at = now, 0, None
    health.failures += not _copy_failed(state, task)
    if task.reason == "lost" and state.up_since is None:
        health.told_at = now if targets_of(state, task.job, "missed") else None
        if health.told_at is not None:
            return
    if health.told_at is not None and now - health.told_at < REMIND_AFTER:
        return
    facts = {
        "failing_since": health.failing_since,
        "failures": health.failures,
        "last_success_at": health.last_success_at,
        "blocks": blocks(state, run, task),
        "reminder": not first and health.told_at is not None,
        "state_reason": task.reason,
        "message": task.note,
        "finished_at": task.finished_at,
    }
    if _tell(turn, "failure", targets_of(state, task.job, "failure"), facts, task):
        health.told_at = now


def succeeded(turn: Turn, task: Task) -> None:
    """A task succeeded: the job is well, and whoever was told that it failed is told so; of copies once all of them are well."""
    state = turn.state
    if task.job in state.open_by_job[task.run] or _copy_failed(state, task):
        return
    health = turn.health(task.job)
    if health.told_at is not None:
        facts = {
            "failing_since": health.failing_since,
            "failures": health.failures,
            "released": list(dict.fromkeys(job.name for job in _after(state, turn.run(task), task.job))),
        }
        _tell(turn, "recovery", targets_of(state, task.job, "recovery"), facts, task)
    health.failing_since, health.failures, health.told_at, health.last_success_at = None, 0, None, turn.now


def _copy_failed(state: LiveState, task: Task) -> bool:
    """Whether another copy of a task's job has failed in its run."""
    return any(copy.state == "failed" for copy in state.by_job[task.run][task.job] if copy is not task)


def ask_approval(turn: Turn, task: Task) -> None:
    """A task waits for a person: tell those who want to know, once."""
    state, run = turn.state, turn.run(task)
    facts: dict[str, Any] = {"message": turn.job(task).approve, "blocks": blocks(state, run, task)}
    copies = len(state.by_job[run.id][task.job])
    if copies > 1:
        facts["copies"] = copies
    if "approval" not in task.told:
        tell_once(turn, "approval", targets_of(state, task.job, "approval"), facts, task)


def tell_skipped(turn: Turn, row: Run, jobs: Mapping[str, object], before: int) -> None:
    """A row of slots of these jobs that `overlap` skipped has grown, from `before` of them: tell it when it becomes a streak."""
    if row.reason not in ("overlap", "queue_full") or not before < STREAK <= row.slots:
        return
    going = [[run.id, run.started_at] for run in turn.state.in_the_way(jobs) if run.gate is None][:1]
    facts = {"slots": row.slots, "slot": row.slot, "slot_last": row.slot_last, "reason": row.reason, "going": going}
    told: set[str] = set()
    for root in row.roots:
        targets = [target for target in targets_of(turn.state, root, "skipped") if target.name not in told]
        told.update(target.name for target in targets)
        turn.save(*(Alert(turn.now, "skipped", target.name, root, row.id, None, facts) for target in targets))


def blocks(state: LiveState, run: Run, task: Task) -> list[str]:
    """The jobs that cannot run because this one failed: tasks of its run, and jobs of other flows that come after."""
    lost: dict[str, None] = {}
    todo = [task.job]
    for name in todo:
        for job in _after(state, run, name):
            needed = any(edge.job == name and edge.condition in ("success", "success_or_skipped") for edge in job.after)
            if needed and job.join == "all" and job.name not in lost:
                lost[job.name] = None
                todo.append(job.name)
    return list(lost)


def _after(state: LiveState, run: Run, name: str) -> Iterator[Job]:
    """The jobs that come after one: those of the run, in the run; and, if they hear of it, roots of other flows and what is
    below these, as the job file now in force has it."""
    inside = state.by_job[run.id]
    if name in inside:
        flow = state.flows[run.id]
        yield from (flow.jobs[after] for after in flow.down.get(name, ()) if after in inside)
    elif name in state.plan.flow_of:
        flow = state.plan.flows[state.plan.flow_of[name]]
        yield from (flow.jobs[after] for after in flow.down.get(name, ()))
    if run.is_end:
        roots = (root for root in state.linked.get(name, ()) if root in state.jobs.jobs)
        yield from (state.jobs.jobs[root] for root in roots)


def tell_missed(turn: Turn) -> None:
    """One alert for each target about all slots that this step found missed, and all attempts lost with them."""
    state, now = turn.state, turn.now
    report, interrupted = state.missed, state.interrupted
    state.missed, state.interrupted = {}, []
    if not interrupted and all(_hardly_late(one, now) for one in report.values()):
        return
    jobs = [*report, *(job for job, *_ in interrupted)]
    by_target: dict[str, list[str]] = {}
    for job in dict.fromkeys(jobs):
        for target in targets_of(state, job, "missed"):
            by_target.setdefault(target.name, []).append(job)
    for name, mine in by_target.items():
        facts = _missed_facts(mine, report, interrupted)
        facts["down_from"], facts["down_to"] = state.down_from, now
        facts["cause"] = "down" if now == state.up_since else "clock"
        facts["rebooted"] = state.rebooted
        turn.save(Alert(now, "missed", name, facts=facts))


def _hardly_late(one: MissedReport, now: float) -> bool:
    """A slot that a restart of a few seconds delayed, and that runs now: nobody has to know."""
    return not one.recorded and not one.waiting and (one.caught_up is None or now - one.caught_up <= HARDLY_LATE)


def _missed_facts(
    jobs: list[str], report: dict[str, MissedReport], interrupted: list[tuple[str, int, str, str]]
) -> dict[str, Any]:
    mine = {job: report[job] for job in jobs if job in report}
    return {
        "caught_up": [[job, one.caught_up] for job, one in mine.items() if one.caught_up is not None],
        "recorded": [[job, one.recorded] for job, one in mine.items() if one.recorded],
        "waiting": [[job, one.waiting] for job, one in mine.items() if one.waiting],
        "interrupted": [[job, run, task, what] for job, run, task, what in interrupted if job in jobs],
        "slots": sum((one.caught_up is not None) + one.recorded + one.waiting for one in mine.values()),
    }


def trouble_found(turn: Turn, event: TroubleFound) -> None:
    """Trouble of the daemon itself: a row while it lasts, told once."""
    state = turn.state
    known = state.troubles.get(event.trouble.key)
    told = known.told if known is not None else False
    since = known.since if known is not None else event.trouble.since
    trouble = event.trouble._replace(since=since, told=told or not event.quiet)
    if trouble == known:
        return
    state.troubles[trouble.key] = trouble
    turn.save(trouble)
    if trouble.told and not told:
        targets = (target for target in state.jobs.alerts.values() if target.name != event.not_to)
        wanted = [target for target in targets if trouble.kind in target.on]
        _tell(turn, trouble.kind, wanted, {"message": trouble.message, "since": since, **dict(event.facts)})


def trouble_gone(turn: Turn, key: str) -> None:
    if turn.state.troubles.pop(key, None) is not None:
        turn.delete(TROUBLES, key)


def _tell(turn: Turn, kind: str, targets: Iterable[AlertTarget], facts: dict[str, Any], task: Task | None = None) -> bool:
    job, run, name = (task.job, task.run, task.name) if task is not None else (None, None, None)
    alerts = [Alert(turn.now, kind, target.name, job, run, name, facts) for target in targets]
    turn.save(*alerts)
    return bool(alerts)


def tell_once(turn: Turn, kind: str, targets: Iterable[AlertTarget], facts: dict[str, Any], task: Task) -> None:
    """An alert that there is at most once for a job in a run, however many copies it has and whether or not anybody wants it."""
    first = not any(kind in copy.told for copy in turn.state.by_job[task.run][task.job])
    task.told = (*task.told, kind)
    turn.save(task)
    if first:
        _tell(turn, kind, targets, facts, task)
