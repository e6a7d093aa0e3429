"""Runs: opened by a slot, by a person or as a retry; held back by `overlap`; cancelled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cronflow.core import lateness, params, tasks
from cronflow.core.copies import ITEM, matrix_copies, paired
from cronflow.core.effects import Amendment, Change, Effects, Reply
from cronflow.core.ends import Verdict
from cronflow.core.events import CancelAsked, RetryAsked, RunAsked
from cronflow.core.flow import Flow, Plan, with_upstream
from cronflow.core.model import NOTHING, QUEUE_LIMIT, Job, Run, Task
from cronflow.core.state import State, jobs_of, move

NOT_WELL = ("failed", "blocked", "cancelled")
"""States of tasks that a retry does again."""

# ---- opening --------------------------------------------------------------------------------------------------------------


def open_slot(
    state: State,
    out: Effects,
    flow: Flow,
    key: str,
    roots: tuple[str, ...],
    trigger: str,
    slot: int,
    now: float,
    held: bool = False,
    number: int | None = None,
    upstreams: Mapping[str, int] = NOTHING,
    ends: Mapping[str, Verdict] = NOTHING,
) -> Run:
    """Open the run of a slot, which belongs to it alone, under its number if it has one already. `upstreams` are the runs of
    other flows whose ends counted; roots in `ends` do not run."""
    number = state.next_run if number is None else number
    run = Run(number, flow.name, trigger, now, flow.digest, key, roots, slot=slot, slot_last=slot, slots=1, held=held)
    run.upstreams, run.aside = dict(upstreams), bool(ends)
    out.slots.extend((root, key, slot, run.id) for root in roots)
    _open(state, out, flow, run, flow.jobs, now, ends=ends)
    return run


def open_after(
    state: State, out: Effects, flow: Flow, upstreams: Mapping[str, int], slot: int | None, now: float, held: bool
) -> None:
    """Open a run because jobs of other flows have ended. It carries the newest of their slots, which it does not own."""
    run = Run(state.next_run, flow.name, "after", now, flow.digest, roots=flow.roots, slot=slot, held=held)
    run.upstreams = dict(upstreams)
    _open(state, out, flow, run, flow.jobs, now)


def open_aside(
    state: State, out: Effects, flow: Flow, said: Verdict, upstreams: Mapping[str, int], slot: int | None, now: float
) -> int:
    """Open the run that tells that the edges of a flow are not met: its roots end at once, and what comes after is judged."""
    run = Run(state.next_run, flow.name, "after", now, flow.digest, roots=flow.roots, slot=slot, aside=True)
    run.upstreams = dict(upstreams)
    _open(state, out, flow, run, flow.jobs, now, ends=dict.fromkeys(flow.roots, said))
    return run.id


def amend(
    state: State, out: Effects, number: int, roots: tuple[str, ...], said: Verdict, upstreams: Mapping[str, int]
) -> None:
    """Change the reason of a run that tells that edges are not met. Its state, and what came of it, stay."""
    run = state.runs.get(number)
    if run is not None:
        run.upstreams = dict(upstreams)
        for task in [one for one in run.tasks.values() if one.job in roots]:
            task.reason, task.caused_by = said[1], said[2]
    out.amended[number] = Amendment(roots, said[1], said[2], dict(upstreams))


def record_after(
    state: State, out: Effects, flow: Flow, upstreams: Mapping[str, int], slot: int | None, reason: str, now: float
) -> None:
    """A row for a run that jobs of other flows would have opened, and that is not to be."""
    due = int(now) if slot is None else slot
    row = Run(state.next_run, flow.name, "after", now, flow.digest, roots=flow.roots, slot=due, slot_last=due, slots=1)
    row.state, row.reason, row.finished_at, row.upstreams = "skipped", reason, now, dict(upstreams)
    state.next_run += 1
    out.definitions[flow.digest] = (flow.name, flow.body)
    out.runs[row.id] = row


def _open(
    state: State,
    out: Effects,
    flow: Flow,
    run: Run,
    jobs: Iterable[str],
    now: float,
    old: Mapping[str, Sequence[Task]] = NOTHING,
    ends: Mapping[str, Verdict] = NOTHING,
) -> None:
    """Give a run its tasks and let it begin: those of `jobs` anew, but for the `old` ones, by job, of which what was well is
    taken over. Jobs in `ends` end so at once."""
    state.next_run = max(state.next_run, run.id + 1)
    chosen = set(jobs)
    for name, job in flow.jobs.items():
        if name in old:
            made = [_again(run, task, name in chosen, now) for task in old[name]]
        else:
            made = [Task(run.id, copy, name, matrix=values) for copy, values in matrix_copies(job)] if name in chosen else []
        run.tasks.update((task.name, task) for task in made)
    state.know(flow.digest, flow.body)
    out.definitions[flow.digest] = (flow.name, flow.body)
    state.runs[run.id] = run
    out.runs[run.id] = run
    out.changes.append(Change(run.id, None, "", run.state, f"{run.flow}, {run.trigger}"))
    for task in run.tasks.values():
        out.tasks[run.id, task.name] = task
    state.enter(run)
    for root, said in ends.items():
        for task in [one for one in run.tasks.values() if one.job == root]:
            tasks.end_unrun(state, out, run, task, said, now)
    if run.held:
        run.reason = "overlap"
        tasks.hold(state, out, run)
    else:
        _begin(state, out, run, now)
    for task in run.tasks.values():
        lateness.expect(state, out, run, task, now)


def _again(run: Run, old: Task, redo: bool, now: float) -> Task:
    """A task of an older run in a new one: to be done again if it was not well and its job is to be, else taken over."""
    task = Task(run.id, old.name, old.job, matrix=dict(old.matrix))
    if not (redo and old.state in NOT_WELL):
        task.state, task.reason, task.caused_by, task.finished_at = old.state, "taken_over", old.caused_by, now
        task.outputs = dict(old.outputs)
    return task


def _begin(state: State, out: Effects, run: Run, now: float) -> None:
    """Look at every task once: roots go in line, and what cannot run ends. A run of nothing but such ends at once."""
    tasks.advance(state, out, run, list(run.tasks), now)
    tasks.finish_if_done(state, out, run, now)


# ---- overlap --------------------------------------------------------------------------------------------------------------


def admit(state: State, out: Effects, head: Job, jobs: Mapping[str, object], now: float) -> bool | str:
    """What `overlap` says to one more run of these jobs: False go, True it is held back, or the reason why it is refused."""
    others = state.in_the_way(jobs)
    if not others or head.overlap == "allow":
        return False
    if head.overlap == "skip":
        return "overlap"
    if head.overlap == "replace":
        note = f"replaced by run {state.next_run}"
        for other in others:
            tasks.cancel_run(state, out, other, "replaced", note, now)
        return bool(state.in_the_way(jobs))
    waiting = sum(other.held for other in others)
    return "queue_full" if waiting >= QUEUE_LIMIT else True


def release_held(state: State, out: Effects, now: float) -> bool:
    """Let go the held runs in whose way nothing is any more, oldest first. True if there was one."""
    released = False
    for number in list(state.held):
        run = state.runs.get(number)
        if run is None or not run.held or state.before(run):
            continue
        run.held, run.reason = False, None
        del state.held[number]
        out.runs[number] = run
        released = True
        for task in run.tasks.values():
            if task.state == "queued":
                move(out, task, "waiting")
        _begin(state, out, run, now)
    return released


# ---- by hand --------------------------------------------------------------------------------------------------------------


def ask_run(state: State, out: Effects, event: RunAsked, now: float) -> Reply:
    """Start jobs because a person says so: a root with its whole flow, another job with what comes after it in its flow.

    One run for each flow. Where `overlap` forbids one of them, none is started."""
    unknown = [name for name in event.jobs if name not in state.jobs.jobs]
    if unknown:
        return Reply(refused=f"no job `{unknown[0]}`", exit_status=4)
    if event.trigger == "backfill":
        same = [run.id for run in state.runs.values() if _is_same(run, event)]
        if same:
            return Reply((same[0],), (f"run {same[0]} does that already",))
    chosen = selection(state.plan, event.jobs, event.only, event.upstream)
    refusal = params.refused(event.params, [flow.jobs[name] for flow, jobs in chosen for name in jobs])
    if refusal is not None:
        return refusal
    refuse = _full if event.trigger == "backfill" else _refusal
    for _, jobs in chosen:
        for home, mine in _at_home(state, jobs):
            refusal = refuse(state, home, mine)
            if refusal is not None:
                return refusal
    numbers, notes = [], []
    for flow, jobs in chosen:
        held = True in [_waits(state, out, event, home, mine, now) for home, mine in _at_home(state, jobs)]
        named = tuple(name for name in event.jobs if name in jobs)
        run = Run(state.next_run, flow.name, event.trigger, now, flow.digest, named=named, by=event.by, slot=event.at, held=held)
        run.only = event.only
        run.params = params.given(event.params, [flow.jobs[name] for name in jobs])
        _open(state, out, flow, run, jobs, now)
        numbers.append(run.id)
        outside = sorted({edge.job for name in jobs for edge in flow.jobs[name].after if edge.job not in jobs})
        if outside:
            notes.append(f"run {run.id} takes as met what comes after {', '.join(f'`{name}`' for name in outside)}")
    return Reply(tuple(numbers), tuple(notes))


def selection(plan: Plan, names: Iterable[str], only: bool, upstream: bool) -> list[tuple[Flow, set[str]]]:
    """The jobs that `run NAME…` starts, flow by flow. With `upstream` a flow is taken together with all that they need of other
    flows, and flows that need the same job are one run."""
    chosen: dict[str, set[str]] = {}
    for name in names:
        flow = plan.flows[plan.flow_of[name]]
        chosen.setdefault(flow.name, set()).update(scope(flow, name, only, upstream))
    if not upstream:
        return [(plan.flows[name], jobs) for name, jobs in chosen.items()]
    found: list[tuple[Flow, set[str]]] = []
    for flow_name, jobs in chosen.items():
        flow, mine = _with_needs(plan, plan.flows[flow_name], jobs)
        for other in [one for one in found if one[1] & mine]:
            found.remove(other)
            flow, mine = _with_needs(plan, other[0], other[1] | mine)
        found.append((flow, mine))
    return found


def _at_home(state: State, jobs: Iterable[str]) -> list[tuple[Flow, dict[str, None]]]:
    """Some jobs by the flows that they belong to, whose `overlap` holds for them."""
    homes: dict[str, dict[str, None]] = {}
    for job in sorted(jobs):
        homes.setdefault(state.plan.flow_of[job], {})[job] = None
    return [(state.plan.flows[name], mine) for name, mine in homes.items()]


def _with_needs(plan: Plan, flow: Flow, jobs: set[str]) -> tuple[Flow, set[str]]:
    """A flow, and some jobs, with all that these need of other flows."""
    whole = with_upstream(plan, flow, jobs)
    return whole, jobs | (whole.before(jobs) - flow.jobs.keys())


def _is_same(run: Run, event: RunAsked) -> bool:
    """Whether a backfill that goes on is of the same jobs and slot: two that are asked for at once are one."""
    return (run.trigger, run.slot, run.named) == (event.trigger, event.at, event.jobs)


def _waits(state: State, out: Effects, event: RunAsked, flow: Flow, jobs: Iterable[str], now: float) -> bool:
    """Whether the run is held back. A backfill waits for whatever else has these jobs going on, and is never refused."""
    if event.trigger != "backfill":
        return admit(state, out, flow.head, dict.fromkeys(jobs), now) is True
    others = state.in_the_way(dict.fromkeys(jobs)) if flow.head.overlap != "allow" else []
    return any(other.trigger != "backfill" for other in others)


def scope(flow: Flow, name: str, only: bool, upstream: bool) -> set[str]:
    """The jobs that `run NAME` starts in its flow."""
    if only:
        jobs = {name}
    elif name in flow.roots:
        jobs = set(flow.jobs)
    else:
        jobs = flow.after([name])
    return jobs | flow.before([name]) if upstream else jobs


def _refusal(state: State, flow: Flow, jobs: Iterable[str]) -> Reply | None:
    others = state.in_the_way(dict.fromkeys(jobs))
    if not others or flow.head.overlap in ("allow", "replace"):
        return None
    first = others[0]
    if flow.head.overlap == "skip":
        message = f"run {first.id} of `{first.flow}` is still {first.state}, and its `overlap` is \"skip\""
        hint = f"wait for it, or `cronflow cancel {first.id}` (Ctrl-C where it runs without a daemon)"
        return Reply(refused=message, hint=hint, exit_status=1)
    if sum(other.held for other in others) >= QUEUE_LIMIT:
        message = f"{QUEUE_LIMIT} runs of `{flow.name}` are waiting already"
        return Reply(refused=message, hint=f"`cronflow cancel {others[-1].id}` takes one out of the queue", exit_status=1)
    return None


def _full(state: State, flow: Flow, jobs: Iterable[str]) -> Reply | None:
    """A backfill is refused only where as many of them are held back already as may be."""
    held = [other for other in state.in_the_way(dict.fromkeys(jobs)) if other.held and other.trigger == "backfill"]
    if len(held) < QUEUE_LIMIT:
        return None
    message = f"{QUEUE_LIMIT} runs of backfills of `{flow.name}` are waiting already"
    return Reply(refused=message, hint=f"`cronflow cancel {held[-1].id}` takes one out of the queue", exit_status=1)


# ---- retry ----------------------------------------------------------------------------------------------------------------


def ask_retry(state: State, out: Effects, event: RetryAsked, now: float) -> Reply:
    """Open a run that does again what failed, was blocked or cancelled in an older one, and all that comes after it, under
    the job file now in force. What was well is taken over."""
    old = event.run
    if not old.final:
        return Reply(refused=f"run {old.id} is still {old.state}", hint=f"`cronflow cancel {old.id}` ends it", exit_status=1)
    flow = _flow_today(state, old, event.scope)
    if flow is None:
        return Reply(refused=f"none of the jobs of run {old.id} is in the job file any more", exit_status=1)
    if event.upstream:
        flow = with_upstream(state.plan, flow, jobs_of(old).keys() & flow.jobs.keys())
    again = _to_do_again(flow, old, event)
    if isinstance(again, Reply):
        return again
    homes = _at_home(state, again)
    for home, mine in homes:
        refusal = _refusal(state, home, mine)
        if refusal is not None:
            return refusal
    held = True in [admit(state, out, home.head, mine, now) for home, mine in homes]
    slot = old.slot_last if old.slot_last is not None else old.slot
    run = Run(state.next_run, flow.name, "retry", now, flow.digest, by=event.by, slot=slot, held=held, retry_of=old.id)
    run.trigger_key = None if old.trigger in ("watch", "reboot") else old.trigger_key  # whose slot tells its round
    run.named = tuple(name for name in flow.jobs if name in again and _was_to_run(old, name))
    run.params = dict(old.params)
    _open(state, out, flow, run, again, now, _kept(flow, old, again, event))
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
                fresh = (Task(old.id, copy, name, "cancelled", matrix=dict(values)) for copy, values in wanted.items())
                kept[name] = [same.get(task.name, task) for task in fresh]
    return kept


def _stands(flow: Flow, job: Job, copy: Task, again: set[str], kept: Mapping[str, Sequence[Task]]) -> bool:
    """Whether nothing that a copy comes after is to be done again; copy by copy, nothing of its like."""
    for edge in job.after:
        before = kept.get(edge.job, ()) if paired(flow.jobs, edge.job, job) else ()
        if edge.job in again and not any(one.matrix == copy.matrix and one.state not in NOT_WELL for one in before):
            return False
    return True


def _flow_today(state: State, old: Run, scope: frozenset[str]) -> Flow | None:
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
            return Reply(refused=f"run {old.id} has no task `{event.from_task}` that is still in its flow", exit_status=4)
        return flow.after([job]) - left_out
    if not old.tasks:
        return set(flow.jobs)
    bad = {task.job for task in old.tasks.values() if task.state in NOT_WELL}
    new = set(flow.jobs) - event.scope
    again = flow.after((bad | new) & set(flow.jobs)) - left_out
    if not again:
        hint = f"`cronflow retry {old.id} --from TASK` runs one task, and all after it, again"
        return Reply(refused=f"nothing in run {old.id} is left to run again", hint=hint, exit_status=1)
    return again


def _was_to_run(old: Run, name: str) -> bool:
    """A job that ran, or was to run, runs again although it has been paused since."""
    return all(task.reason not in ("paused", "disabled") for task in old.tasks.values() if task.job == name)


# ---- cancel ---------------------------------------------------------------------------------------------------------------


def ask_cancel(state: State, out: Effects, event: CancelAsked, now: float) -> Reply:
    """End a run, or one task of it; what comes after that task is judged as ever."""
    run = state.runs.get(event.run)
    if run is None:
        return Reply(refused=f"run {event.run} has ended already", exit_status=1)
    note = f"by {event.by}"
    if event.task is None:
        tasks.cancel_run(state, out, run, "cancelled", note, now)
        return Reply((run.id,))
    names = [event.task] if event.task in run.tasks else list(state.groups[run.id].get(event.task, ()))
    if not names:
        return Reply(refused=f"run {run.id} has no task `{event.task}`", exit_status=4)
    going_on = [task for name in names if not (task := run.tasks[name]).final]
    if not going_on:
        return Reply(refused=f"task `{run.id}/{event.task}` has ended already: {run.tasks[names[0]].state}", exit_status=1)
    for task in going_on:
        tasks.cancel(state, out, run, task, "cancelled", note, now)
    return Reply((run.id,))
