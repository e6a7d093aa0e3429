"""Runs: how they are opened, and held back by `overlap`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cronflow.core.edges.ends import judge
from cronflow.core.jobs import NOTHING
from cronflow.core.notify import lateness
from cronflow.core.plan.copies import matrix_copies
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Done, End, Run, Task
from cronflow.core.run import tasks
from cronflow.core.tables import RUN_SLOTS, RUNS, TASKS
from cronflow.core.turn import Turn

NOT_WELL = ("failed", "blocked", "cancelled")
"""States of tasks that a retry does again."""

# ---- opening --------------------------------------------------------------------------------------------------------------


def new(turn: Turn, flow: Flow, trigger: str, roots: tuple[str, ...] = ()) -> Run:
    """A run of a flow that is not open yet, under the next number."""
    return Run(turn.state.next_run, flow.name, trigger, turn.now, flow.definition.digest, roots=roots)


def new_after(turn: Turn, flow: Flow, upstreams: Mapping[str, int], slot: int | None) -> Run:
    """A run because jobs of other flows have ended. It carries the newest of their slots, which it does not own."""
    run = new(turn, flow, "after", flow.roots)
    run.upstreams, run.slot = dict(upstreams), slot
    return run


def open_run(turn: Turn, flow: Flow, run: Run, jobs: Iterable[str], old: Mapping[str, Sequence[Task]] = NOTHING) -> None:
    """Give a run its tasks, and let it begin unless a gate holds it back: those of `jobs` anew, but for the `old` ones, by job,
    of which what was well is taken over."""
    enter(turn, flow, run, jobs, old)
    if run.gate == "overlap":
        tasks.hold(turn, run)
    begin(turn, run)


def open_blocked(turn: Turn, flow: Flow, run: Run, end: End) -> None:
    """Open the run that tells that the edges of a flow are not met: its roots end at once, and what comes after is judged."""
    run.aside = True
    enter(turn, flow, run, flow.jobs)
    block(turn, run, flow.roots, end)


def block(turn: Turn, run: Run, roots: tuple[str, ...], end: End) -> None:
    """End the roots of a run without running, and let the run go on with that."""
    for task in [task for task in run.tasks.values() if task.job in roots and not task.final]:
        tasks.end_unrun(turn, run, task, end)
    begin(turn, run)


def begin(turn: Turn, run: Run) -> None:
    """Let a run begin, as far as no gate holds it back; from then on its tasks may be late."""
    tasks.begin(turn, run)
    jobs = turn.state.definitions[run.definition]
    for task in run.tasks.values():
        if jobs[task.job].deadline is not None and not task.final:
            lateness.expect(turn, task)


def enter(turn: Turn, flow: Flow, run: Run, jobs: Iterable[str], old: Mapping[str, Sequence[Task]] = NOTHING) -> None:
    """Give a run its tasks and take it into the live state."""
    state, chosen = turn.state, set(jobs)
    state.next_run = max(state.next_run, run.id + 1)
    for name, job in flow.jobs.items():
        if name in old:
            made = [_again(run, task, name in chosen, turn.now) for task in old[name]]
        else:
            made = [Task(run.id, copy, name, matrix=values) for copy, values in matrix_copies(job)] if name in chosen else []
        run.tasks.update((task.name, task) for task in made)
    state.know(run.definition, flow.definition.body)
    turn.save(flow.definition)
    state.runs[run.id] = run
    turn.moved(run, "", f"{run.flow}, {run.trigger}")
    turn.save(*run.tasks.values())
    state.enter(run)


def refresh(turn: Turn, flow: Flow, run: Run) -> None:
    """Have a run that has not begun go by the job file that is in force now, unless a person has ended some of it."""
    if run.definition != flow.definition.digest and not run.partly_ended:
        _drop_tasks(turn, run)
        turn.state.leave(run, turn.now)
        run.flow, run.definition = flow.name, flow.definition.digest
        enter(turn, flow, run, flow.jobs)


def discard(turn: Turn, run: Run) -> None:
    """Take a run that never began out of the live state, with its tasks and its claim on its slot."""
    _drop_tasks(turn, run)
    turn.state.leave(run, turn.now)
    for root in run.roots:
        turn.delete(RUN_SLOTS, (root, run.trigger_key, run.slot))


def skip(turn: Turn, run: Run, reason: str) -> None:
    """End a run that never began, and of which a person has ended some tasks: the others are skipped, but for those that end
    with these."""
    for task in run.tasks.values():  # upstreams first
        if not task.final:
            answer = judge(turn.job(task), tasks.upstreams(turn.state, run, task))
            if not isinstance(answer, End) or answer.state == "skipped":
                answer = End("skipped", reason)
            tasks.end_unrun(turn, run, task, answer)
    tasks.finish_if_done(turn, run)


def _drop_tasks(turn: Turn, run: Run) -> None:
    for task in run.tasks.values():
        turn.delete(TASKS, (run.id, task.name))
        turn.state.leave_task(task)
    run.tasks = {}


def _again(run: Run, old: Task, redo: bool, now: float) -> Task:
    """A task of an older run in a new one: to be done again if it was not well and its job is to be, else taken over."""
    task = Task(run.id, old.name, old.job, matrix=dict(old.matrix))
    if not (redo and old.state in NOT_WELL):
        task.phase, task.reason, task.caused_by, task.finished_at = Done(old.state, now), "taken_over", old.caused_by, now
        task.outputs = dict(old.outputs)
    return task


# ---- rows and reasons -----------------------------------------------------------------------------------------------------


def amend(turn: Turn, number: int, roots: tuple[str, ...], end: End, upstreams: Mapping[str, int]) -> None:
    """Change the reason of a run that tells that edges are not met. Its state, and what came of it, stay."""
    run = turn.state.runs.get(number)
    if run is None:
        for root in roots:
            turn.patch(TASKS, {"run": number, "job": root}, reason=end.reason, caused_by=end.caused_by)
        turn.patch(RUNS, {"id": number}, upstreams=dict(upstreams), reason=end.reason)
        return
    run.upstreams = dict(upstreams)
    turn.save(run)
    for task in run.tasks.values():
        if task.job in roots:
            task.reason, task.caused_by = end.reason, end.caused_by
            turn.save(task)


def withdraw(turn: Turn, run: Run, reason: str) -> None:
    """Have a run that never began, and is not to, stand in the history as a row, or as a run where some of it has ended."""
    if run.partly_ended:
        skip(turn, run, reason)
    else:
        discard(turn, run)
        record(turn, run, reason)


def record(turn: Turn, run: Run, reason: str) -> None:
    """Have a run that is not to be stand in the history as a row of one slot, with the reason."""
    run.gate = run.gate_after = run.gate_until = None
    run.slot = run.slot_last = int(turn.now) if run.slot is None else run.slot
    run.slots, run.is_row = 1, True
    run.state, run.reason, run.finished_at = "skipped", reason, turn.now
    turn.state.next_run = max(turn.state.next_run, run.id + 1)
    turn.save(run)
