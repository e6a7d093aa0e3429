"""Runs: how they are opened, and held back by `overlap`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cronflow.core.jobs import NOTHING, Job
from cronflow.core.notify import lateness
from cronflow.core.plan.copies import matrix_copies
from cronflow.core.plan.flow import Flow
from cronflow.core.records import QUEUE_LIMIT, Definition, Done, End, Held, Run, RunSlot, Task, Upstreams
from cronflow.core.run import tasks
from cronflow.core.tables import RUNS, TASKS
from cronflow.core.turn import Turn

NOT_WELL = ("failed", "blocked", "cancelled")
"""States of tasks that a retry does again."""

# ---- opening --------------------------------------------------------------------------------------------------------------


def open_slot(
    turn: Turn,
    flow: Flow,
    key: str,
    roots: tuple[str, ...],
    trigger: str,
    slot: int,
    held: bool = False,
    number: int | None = None,
    upstreams: Mapping[str, int] = NOTHING,
    ends: Mapping[str, End] = NOTHING,
) -> Run:
    """Open the run of a slot, which belongs to it alone, under its number if it has one already. `upstreams` are the runs of
    other flows whose ends counted; roots in `ends` do not run."""
    number = turn.state.next_run if number is None else number
    run = Run(number, flow.name, trigger, turn.now, flow.digest, key, roots, slot=slot, slot_last=slot, slots=1, held=held)
    run.upstreams, run.aside = dict(upstreams), bool(ends)
    turn.save(*(RunSlot(root, key, slot, run.id) for root in roots))
    open_run(turn, flow, run, flow.jobs, ends=ends)
    return run


def open_after(turn: Turn, flow: Flow, upstreams: Mapping[str, int], slot: int | None, held: bool) -> None:
    """Open a run because jobs of other flows have ended. It carries the newest of their slots, which it does not own."""
    run = Run(turn.state.next_run, flow.name, "after", turn.now, flow.digest, roots=flow.roots, slot=slot, held=held)
    run.upstreams = dict(upstreams)
    open_run(turn, flow, run, flow.jobs)


def open_aside(turn: Turn, flow: Flow, end: End, upstreams: Mapping[str, int], slot: int | None) -> int:
    """Open the run that tells that the edges of a flow are not met: its roots end at once, and what comes after is judged."""
    run = Run(turn.state.next_run, flow.name, "after", turn.now, flow.digest, roots=flow.roots, slot=slot, aside=True)
    run.upstreams = dict(upstreams)
    open_run(turn, flow, run, flow.jobs, ends=dict.fromkeys(flow.roots, end))
    return run.id


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


def record_after(turn: Turn, flow: Flow, upstreams: Mapping[str, int], slot: int | None, reason: str) -> None:
    """A row for a run that jobs of other flows would have opened, and that is not to be."""
    now = turn.now
    due = int(now) if slot is None else slot
    row = Run(turn.state.next_run, flow.name, "after", now, flow.digest, roots=flow.roots, slot=due, slot_last=due, slots=1)
    row.state, row.reason, row.finished_at, row.upstreams = "skipped", reason, now, dict(upstreams)
    turn.state.next_run += 1
    turn.save(Definition(flow.digest, flow.name, flow.body))
    turn.save(row)


def open_run(
    turn: Turn,
    flow: Flow,
    run: Run,
    jobs: Iterable[str],
    old: Mapping[str, Sequence[Task]] = NOTHING,
    ends: Mapping[str, End] = NOTHING,
) -> None:
    """Give a run its tasks and let it begin: those of `jobs` anew, but for the `old` ones, by job, of which what was well is
    taken over. Jobs in `ends` end so at once."""
    state = turn.state
    state.next_run = max(state.next_run, run.id + 1)
    chosen = set(jobs)
    for name, job in flow.jobs.items():
        if name in old:
            made = [_again(run, task, name in chosen, turn.now) for task in old[name]]
        else:
            made = [Task(run.id, copy, name, matrix=values) for copy, values in matrix_copies(job)] if name in chosen else []
        run.tasks.update((task.name, task) for task in made)
    state.know(flow.digest, flow.body)
    turn.save(Definition(flow.digest, flow.name, flow.body))
    state.runs[run.id] = run
    turn.moved(run, "", f"{run.flow}, {run.trigger}")
    turn.save(*run.tasks.values())
    state.enter(run)
    for root, end in ends.items():
        for task in [one for one in run.tasks.values() if one.job == root]:
            tasks.end_unrun(turn, task, end)
    if run.held:
        run.reason = "overlap"
        tasks.hold(turn, run)
    else:
        _begin(turn, run)
    for task in run.tasks.values():
        lateness.expect(turn, task)


def _again(run: Run, old: Task, redo: bool, now: float) -> Task:
    """A task of an older run in a new one: to be done again if it was not well and its job is to be, else taken over."""
    task = Task(run.id, old.name, old.job, matrix=dict(old.matrix))
    if not (redo and old.state in NOT_WELL):
        task.phase, task.reason, task.caused_by, task.finished_at = Done(old.state, now), "taken_over", old.caused_by, now
        task.outputs = dict(old.outputs)
    return task


def _begin(turn: Turn, run: Run) -> None:
    """Look at every task once: roots go in line, and what cannot run ends. A run of nothing but such ends at once."""
    tasks.advance(turn, run, list(run.tasks))
    tasks.finish_if_done(turn, run)


# ---- overlap --------------------------------------------------------------------------------------------------------------


def admit(turn: Turn, head: Job, jobs: Mapping[str, object]) -> bool | str:
    """What `overlap` says to one more run of these jobs: False go, True it is held back, or the reason why it is refused."""
    state = turn.state
    others = state.in_the_way(jobs)
    if not others or head.overlap == "allow":
        return False
    if head.overlap == "skip":
        return "overlap"
    if head.overlap == "replace":
        note = f"replaced by run {state.next_run}"
        for other in others:
            tasks.cancel_run(turn, other, "replaced", note)
        return bool(state.in_the_way(jobs))
    waiting = sum(other.held for other in others)
    return "queue_full" if waiting >= QUEUE_LIMIT else True


def release_held(turn: Turn) -> bool:
    """Let go the held runs in whose way nothing is any more, oldest first. True if there was one."""
    state = turn.state
    released = False
    for number in list(state.held):
        run = state.runs.get(number)
        if run is None or not run.held or state.before(run):
            continue
        run.held, run.reason = False, None
        del state.held[number]
        turn.save(run)
        released = True
        for task in run.tasks.values():
            if isinstance(task.phase, Held):
                turn.enter(task, Upstreams())
        _begin(turn, run)
    return released
