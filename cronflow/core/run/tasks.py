"""One task in the graph of its run: what its upstreams say, and what its end means for the tasks after it.

Every function here moves tasks only through `state.move`. The end of a task is carried on through a work list, not by
recursion, so that a chain of ten thousand tasks is as flat as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from cronflow.core.edges import edge_state
from cronflow.core.edges.ends import End, Verdict, end_of, judge
from cronflow.core.effects import Change, Effects, StopAttempt
from cronflow.core.jobs import Edge, Job
from cronflow.core.notify import health, lateness
from cronflow.core.plan.copies import paired, upstream_tasks
from cronflow.core.records import Run, Task, TaskState
from cronflow.core.run import stages
from cronflow.core.slots import skips
from cronflow.core.state import LiveState, judge_run, move

# ---- upstreams ------------------------------------------------------------------------------------------------------------


def upstreams(state: LiveState, run: Run, task: Task) -> list[tuple[Edge, End | None]]:
    """The edges from jobs of this run and how these ended; edges from jobs outside the run count as met."""
    jobs, groups = state.flows[run.id].jobs, state.groups[run.id]
    before = upstream_tasks(jobs, task, lambda job: [run.tasks[name] for name in groups.get(job, ())])
    return [(edge, end_of(tasks)) for edge, tasks in before]


def advance(state: LiveState, out: Effects, run: Run, names: Iterable[str], now: float) -> None:
    """Look at waiting tasks again: they go on to their next stage, wait, or end, and then those after them are looked at."""
    todo = deque(names)
    while todo:
        task = run.tasks[todo.popleft()]
        if task.state != "waiting" or task.stage or run.held:
            continue
        job = state.job(run, task)
        verdict = judge(job, upstreams(state, run, task))
        end: Verdict | bool | None = turned_away(state, out, run, job) if verdict is True else verdict
        if end is None:
            stages.begin(state, out, run, task, now)
        elif isinstance(end, tuple):
            end_unrun(state, out, run, task, end, now)
            todo.extend(_after(state, run, task))


def end_unrun(state: LiveState, out: Effects, run: Run, task: Task, said: Verdict, now: float) -> None:
    """End a task that does not run; those after it are still to be looked at."""
    task.caused_by = said[2]
    note = edge_state.in_vain(state, state.job(run, task)) if said[1] == "after_timeout" else None
    _close(state, out, run, task, said[0], said[1], note, now)


def _after(state: LiveState, run: Run, task: Task) -> Iterator[str]:
    """The tasks to look at when this one has ended: of jobs that come after its own, once all its copies have."""
    flow, groups = state.flows[run.id], state.groups[run.id]
    copies_left = task.job in state.left[run.id]
    for down in flow.down.get(task.job, ()):
        for name in groups.get(down, ()):
            if not copies_left or (paired(flow.jobs, task.job, flow.jobs[down]) and run.tasks[name].matrix == task.matrix):
                yield name


def turned_away(state: LiveState, out: Effects, run: Run, job: Job) -> Verdict | None:
    """A job that is disabled, paused or to be skipped does not run, unless a person named it."""
    if job.name in run.named:
        return None
    if not job.enabled:
        return "skipped", "disabled", None
    if job.name in state.pauses:
        return "skipped", "paused", None
    if skips.leaves_out(state, out, run, job):
        return "skipped", "skip", None
    return None


def hold(state: LiveState, out: Effects, run: Run) -> None:
    """Mark the tasks that would go on now as held back by `overlap`."""
    for task in run.tasks.values():
        if task.state == "waiting" and judge(state.job(run, task), upstreams(state, run, task)) is True:
            move(out, task, "queued", "overlap")


# ---- the end --------------------------------------------------------------------------------------------------------------


def close(
    state: LiveState,
    out: Effects,
    run: Run,
    task: Task,
    final: TaskState,
    reason: str | None,
    note: str | None,
    now: float,
) -> None:
    """End a task, look at those after it, and end the run if it was the last one."""
    _close(state, out, run, task, final, reason, note, now)
    advance(state, out, run, list(_after(state, run, task)), now)
    finish_if_done(state, out, run, now)


def _close(
    state: LiveState,
    out: Effects,
    run: Run,
    task: Task,
    final: TaskState,
    reason: str | None,
    note: str | None,
    now: float,
) -> None:
    move(out, task, final, reason, note)
    task.finished_at = now if task.finished_at is None else task.finished_at
    task.next_attempt_at = task.queued_at = None
    state.leave_task(task)
    if final == "failed" or reason == "after_timeout":
        health.failed(state, out, run, task, now)
    elif final == "success":
        health.succeeded(state, out, run, task, now)
    lateness.ended(state, out, run, task, now)
    if task.job not in state.left[run.id]:
        edge_state.ended(state, out, run, task.job, now)


def finish_if_done(state: LiveState, out: Effects, run: Run, now: float) -> None:
    """A run ends when all its tasks are final."""
    if state.left.get(run.id) != {}:
        return
    before = run.state
    run.state, run.reason = judge_run(run)
    run.finished_at = max((task.finished_at for task in run.tasks.values() if task.finished_at is not None), default=now)
    out.changes.append(Change(run.id, None, before, run.state, run.reason))
    out.runs[run.id] = run
    for index in (state.runs, state.left, state.groups, state.givers, state.flows):
        del index[run.id]
    state.held.pop(run.id, None)
    state.look = True


def cancel(state: LiveState, out: Effects, run: Run, task: Task, reason: str, note: str | None, now: float) -> None:
    """End a task: at once if it has no process, otherwise when nothing of its process is left. A person who says so twice
    does not want to wait for `kill_after`."""
    if task.final:
        return
    if task.live is None:
        close(state, out, run, task, *_cut_short(task, reason, note), now)
    elif task.live.stop is None or reason == "cancelled":
        at_once = task.live.stop is not None
        task.live.stop, task.note = reason, note
        out.attempts[task.live.ref], out.tasks[run.id, task.name] = task.live, task
        out.deeds.append(StopAttempt(task.live.ref, at_once))


def _cut_short(task: Task, reason: str, note: str | None) -> tuple[TaskState, str | None, str | None]:
    """How a task without a process ends that is cancelled: as has been decided already, if only its hook was to come."""
    return verdict_of(task) if task.verdict else ("cancelled", reason, note)


def verdict_of(task: Task) -> tuple[TaskState, str | None, str | None]:
    """State, reason and note with which a task ends once its hook has ended."""
    final, reason, note = task.verdict
    return final, reason or None, note or None  # type: ignore[return-value]  # the words of a verdict are those of `close`


def cancel_run(state: LiveState, out: Effects, run: Run, reason: str, note: str | None, now: float) -> None:
    """End every task of a run that is not final, those that come after with `done` too."""
    for task in run.tasks.values():
        if not task.final and task.live is None:
            _close(state, out, run, task, *_cut_short(task, reason, note), now)
    for task in run.tasks.values():
        cancel(state, out, run, task, reason, note, now)
    finish_if_done(state, out, run, now)
