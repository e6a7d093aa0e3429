"""One task in the graph of its run: what its upstreams say, and what its end means for the tasks after it.

The end of a task is carried on through a work list, not by
recursion, so that a chain of ten thousand tasks is as flat as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from cronflow.core.edges import edge_state
from cronflow.core.edges.ends import GO, JobEnd, end_of, judge
from cronflow.core.effects import StopAttempt
from cronflow.core.jobs import Edge, Job
from cronflow.core.notify import health, lateness
from cronflow.core.plan.copies import paired, upstream_tasks
from cronflow.core.records import Done, End, Held, Hook, Run, Task, Upstreams
from cronflow.core.run import queue
from cronflow.core.slots import skips
from cronflow.core.slots.due_slots import end_row
from cronflow.core.state import LiveState, judge_run
from cronflow.core.turn import Turn

# ---- upstreams ------------------------------------------------------------------------------------------------------------


def upstreams(state: LiveState, run: Run, task: Task) -> list[tuple[Edge, JobEnd | None]]:
    """The edges from jobs of this run and how these ended; edges from jobs outside the run count as met."""
    before = upstream_tasks(state.flows[run.id].jobs, task, state.by_job[run.id])
    return [(edge, end_of(tasks)) for edge, tasks in before]


def advance(turn: Turn, run: Run, tasks: Iterable[Task]) -> None:
    """Look at tasks that wait for their upstreams: they go on to their first stage, wait, or end, and then those after them are
    looked at."""
    if run.gate is not None:
        return
    jobs = turn.state.definitions[run.definition]
    todo = deque(tasks)
    while todo:
        task = todo.popleft()
        if not isinstance(task.phase, Upstreams):
            continue
        job = jobs[task.job]
        answer = judge(job, upstreams(turn.state, run, task))
        if answer is GO:
            answer = excluded(turn, run, job) or GO
        if answer is GO:
            queue.next_stage(turn, job, task)
        elif isinstance(answer, End):
            end_unrun(turn, run, task, answer)
            todo.extend(_after(turn.state, run, task))


def end_unrun(turn: Turn, run: Run, task: Task, end: End) -> None:
    """End a task that does not run; those after it are still to be looked at."""
    note = edge_state.in_vain(turn.state, turn.job(task)) if end.reason == "after_timeout" else None
    _close(turn, run, task, end._replace(note=note))


def _after(state: LiveState, run: Run, task: Task) -> Iterator[Task]:
    """The tasks to look at when this one has ended: of jobs that come after its own, once all its copies have."""
    flow, groups = state.flows[run.id], state.by_job[run.id]
    copies_left = task.job in state.open_by_job[run.id]
    for down in flow.down.get(task.job, ()):
        for other in groups.get(down, ()):
            if not copies_left or (paired(flow.jobs, task.job, flow.jobs[down]) and other.matrix == task.matrix):
                yield other


def excluded(turn: Turn, run: Run, job: Job) -> End | None:
    """A job that is disabled, paused or to be skipped does not run, unless a person named it."""
    if job.name in run.named:
        return None
    if not job.enabled:
        return End("skipped", "disabled")
    if job.name in turn.state.pauses:
        return End("skipped", "paused")
    return End("skipped", "skip") if skips.consume_skip(turn, run, job) else None


def hold(turn: Turn, run: Run) -> None:
    """Mark the tasks that would go on now as held back by `overlap`."""
    for task in run.tasks.values():
        if isinstance(task.phase, Upstreams) and judge(turn.job(task), upstreams(turn.state, run, task)) is GO:
            turn.enter(task, Held(), "overlap")


def begin(turn: Turn, run: Run) -> None:
    """Look at every task once: roots go in the queue, and what cannot run ends. A run of nothing but such ends at once."""
    advance(turn, run, list(run.tasks.values()))
    finish_if_done(turn, run)


# ---- the end --------------------------------------------------------------------------------------------------------------


def close(turn: Turn, task: Task, end: End, finished_at: float | None = None) -> None:
    """End a task, look at those after it, and end the run if it was the last one. `finished_at` is when its hook had ended, where
    it has one."""
    run = turn.run(task)
    _close(turn, run, task, end, finished_at)
    advance(turn, run, list(_after(turn.state, run, task)))
    finish_if_done(turn, run)


def _close(turn: Turn, run: Run, task: Task, end: End, finished_at: float | None = None) -> None:
    state, now, phase = turn.state, turn.now, task.phase
    decided_at = phase.since if isinstance(phase, Hook) else now if end.at is None else min(end.at, now)
    task.finished_at = decided_at if finished_at is None else min(finished_at, now)
    task.caused_by = end.caused_by
    turn.enter(task, Done(end.state, decided_at, phase.stage, task.passed), end.reason, end.note)
    state.leave_task(task)
    if end.state == "failed" or end.reason == "after_timeout":
        health.failed(turn, task)
    elif end.state == "success":
        health.succeeded(turn, task)
    if state.definitions[run.definition][task.job].deadline is not None:
        lateness.ended(turn, run, task)
    if task.job in state.linked and task.job not in state.open_by_job[run.id]:
        edge_state.ended(turn, run, task.job)


def finish_if_done(turn: Turn, run: Run) -> None:
    """A run ends when all its tasks are final."""
    state = turn.state
    if state.open_by_job.get(run.id) != {}:
        return
    before = run.state
    run.state, run.reason = judge_run(run)
    if run.gate == "edges":
        end_row(turn, run)
    run.gate = run.gate_after = run.gate_until = None
    run.finished_at = max((task.finished_at for task in run.tasks.values() if task.finished_at is not None), default=turn.now)
    turn.moved(run, before, run.reason)
    state.leave(run, turn.now)


def cancel(turn: Turn, task: Task, reason: str, note: str | None) -> None:
    """End a task: at once if it has no process, otherwise when nothing of its process is left. A person who says so twice
    does not want to wait for `kill_after`."""
    live = task.live
    if task.final:
        return
    if live is None:
        close(turn, task, _cut_short(task, reason, note))
    elif live.stop is None or reason == "cancelled":
        at_once = live.stop is not None
        live.stop, task.note = reason, note
        turn.save(live, task)
        turn.act(StopAttempt(live.ref, at_once))


def _cut_short(task: Task, reason: str, note: str | None) -> End:
    """How a task without a process ends that is cancelled: as has been decided already, if only its hook was to come."""
    return task.phase.end if isinstance(task.phase, Hook) else End("cancelled", reason, note)


def cancel_run(turn: Turn, run: Run, reason: str, note: str | None) -> None:
    """End every task of a run that is not final, those that come after with `done` too."""
    for task in run.tasks.values():
        if not task.final and task.live is None:
            _close(turn, run, task, _cut_short(task, reason, note))
    for task in run.tasks.values():
        cancel(turn, task, reason, note)
    finish_if_done(turn, run)
