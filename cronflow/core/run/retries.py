"""Retries: runs that do again what was not well in an older one, and take over the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cronflow.core.edges.ends import WAIT
from cronflow.core.effects import Reply
from cronflow.core.events import RetryAsked
from cronflow.core.jobs import Job
from cronflow.core.plan.copies import ITEM, matrix_copies, paired
from cronflow.core.plan.flow import Flow, with_upstream
from cronflow.core.records import Done, Run, Task
from cronflow.core.run import byhand, gates, runs
from cronflow.core.state import LiveState, jobs_of
from cronflow.core.turn import Turn
from cronflow.errors import Exit


def ask_retry(turn: Turn, event: RetryAsked) -> Reply:
    """Open a run that does again what failed, was blocked or cancelled in an older one, and all that comes after it, under
    the job file now in force. What was well is taken over."""
    state = turn.state
    old = event.run
    if not old.final:
        return Reply(refused=f"run {old.id} is still {old.state}", hint=f"`cronflow cancel {old.id}` ends it")
    flow = _flow_today(state, old, event.scope)
    if flow is None:
        return Reply(refused=f"none of the jobs of run {old.id} is in the job file any more")
    if event.upstream:
        flow = with_upstream(state.plan, flow, jobs_of(old).keys() & flow.jobs.keys())
    again = _to_do_again(flow, old, event)
    if isinstance(again, Reply):
        return again
    homes = byhand.at_home(state, again)
    for home, mine in homes:
        refusal = byhand.refusal_of(state, home, mine)
        if refusal is not None:
            return refusal
    run = runs.new(turn, flow, "retry")
    if WAIT in [gates.admit(turn, home.settings_root, mine, run.id) for home, mine in homes]:
        gates.hold(turn, run)
    run.slot = old.slot_last if old.slot_last is not None else old.slot
    run.by, run.retry_of = event.by, old.id
    run.trigger_key = old.trigger_key if old.kind.tells_round else None
    run.named = tuple(name for name in flow.jobs if name in again and _was_to_run(old, name))
    run.params = dict(old.params)
    runs.open_run(turn, flow, run, again, _kept(flow, old, again, event))
    gone = list(dict.fromkeys(task.job for task in old.tasks.values() if task.job not in flow.jobs))
    notes = (f"left out, because they are not in this flow any more: {', '.join(gone)}",) if gone else ()
    return Reply((run.id,), notes)


def _kept(flow: Flow, old: Run, again: set[str], event: RetryAsked) -> dict[str, list[Task]]:
    """The old tasks of each job that is taken over, or of whose copies only some are to be done again."""
    by_job: dict[str, list[Task]] = {}
    for task in old.tasks.values():
        by_job.setdefault(task.job, []).append(task)
    kept: dict[str, list[Task]] = {}
    for name, job in flow.jobs.items():
        mine = by_job.get(name, [])
        if name not in again:
            kept.update({name: mine} if mine else {})
        elif job.copies and event.from_task != name:
            lines = {task.name: task.matrix for task in mine if ITEM in task.matrix}
            wanted = dict(matrix_copies(job)) if job.matrix else lines
            same = {task.name: task for task in mine if task.matrix and wanted.get(task.name) == task.matrix}
            same = {name: task for name, task in same.items() if _stands(flow, job, task, again, kept)}
            same.pop(event.from_task or "", None)
            if same:
                fresh = (Task(old.id, copy, name, Done("cancelled"), matrix=dict(values)) for copy, values in wanted.items())
                kept[name] = [same.get(task.name, task) for task in fresh]
    return kept


def _stands(flow: Flow, job: Job, copy: Task, again: set[str], kept: Mapping[str, Sequence[Task]]) -> bool:
    """Whether nothing that a copy comes after is to be done again; copy by copy, nothing of its like."""
    for edge in job.after:
        before = kept.get(edge.job, ()) if paired(flow.jobs, edge.job, job) else ()
        if edge.job in again and not any(one.matrix == copy.matrix and one.state not in runs.NOT_WELL for one in before):
            return False
    return True


def _flow_today(state: LiveState, old: Run, scope: frozenset[str]) -> Flow | None:
    for name in (old.flow, *old.roots, *jobs_of(old), *sorted(scope)):
        if name in state.plan.flow_of:
            return state.plan.flows[state.plan.flow_of[name]]
    return None


def _to_do_again(flow: Flow, old: Run, event: RetryAsked) -> set[str] | Reply:
    """The jobs to run again. Jobs that the old run left out on purpose, though its flow had them, stay out."""
    left_out = event.scope - jobs_of(old).keys() if old.tasks else frozenset()
    if event.from_task is not None:
        task = old.tasks.get(event.from_task)
        job = task.job if task is not None else event.from_task
        if job not in jobs_of(old) or job not in flow.jobs:
            message = f"run {old.id} has no task `{event.from_task}` that is still in its flow"
            return Reply(refused=message, exit_status=Exit.NOT_FOUND)
        return flow.after([job]) - left_out
    if not old.tasks:
        return set(flow.jobs)
    bad = {task.job for task in old.tasks.values() if task.state in runs.NOT_WELL}
    new = set(flow.jobs) - event.scope
    again = flow.after((bad | new) & set(flow.jobs)) - left_out
    if not again:
        hint = f"`cronflow retry {old.id} --from TASK` runs one task, and all after it, again"
        return Reply(refused=f"nothing in run {old.id} is left to run again", hint=hint)
    return again


def _was_to_run(old: Run, name: str) -> bool:
    """A job that ran, or was to run, runs again although it has been paused since."""
    return all(task.reason not in ("paused", "disabled") for task in old.tasks.values() if task.job == name)
