"""Runs that a person starts or ends: what they bring in, and when they are refused."""

from __future__ import annotations

from collections.abc import Iterable

from cronflow.core.edges.ends import WAIT
from cronflow.core.effects import Reply
from cronflow.core.events import CancelAsked, RunAsked
from cronflow.core.plan import params
from cronflow.core.plan.flow import Flow, Plan, with_upstream
from cronflow.core.records import QUEUE_LIMIT, RUN_KINDS, Run
from cronflow.core.run import gates, runs, tasks
from cronflow.core.state import LiveState
from cronflow.core.turn import Turn
from cronflow.errors import Exit


def ask_run(turn: Turn, event: RunAsked) -> Reply:
    """Start jobs because a person says so: a root with its whole flow, another job with what comes after it in its flow.

    One run for each flow. Where `overlap` forbids one of them, none is started."""
    state = turn.state
    unknown = [name for name in event.jobs if name not in state.jobs.jobs]
    if unknown:
        return Reply(refused=f"no job `{unknown[0]}`", exit_status=Exit.NOT_FOUND)
    paced = RUN_KINDS[event.trigger].paced
    if paced:
        same = [run.id for run in state.runs.values() if _is_same(run, event)]
        if same:
            return Reply((same[0],), (f"run {same[0]} does that already",))
    chosen = selection(state.plan, event.jobs, event.only, event.upstream)
    refusal = params.refused(event.params, [flow.jobs[name] for flow, jobs in chosen for name in jobs])
    if refusal is not None:
        return refusal
    refuse = _full if paced else refusal_of
    for _, jobs in chosen:
        for home, mine in at_home(state, jobs):
            refusal = refuse(state, home, mine)
            if refusal is not None:
                return refusal
    numbers, notes = [], []
    for flow, jobs in chosen:
        run = runs.new(turn, flow, event.trigger)
        if True in [_waits(turn, run, home, mine) for home, mine in at_home(state, jobs)]:
            gates.hold(turn, run)
        run.named = tuple(name for name in event.jobs if name in jobs)
        run.by, run.slot, run.only = event.by, event.at, event.only
        run.params = params.given(event.params, [flow.jobs[name] for name in jobs])
        runs.open_run(turn, flow, run, jobs)
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
        flow, mine = with_needs(plan, plan.flows[flow_name], jobs)
        for other in [one for one in found if one[1] & mine]:
            found.remove(other)
            flow, mine = with_needs(plan, other[0], other[1] | mine)
        found.append((flow, mine))
    return found


def at_home(state: LiveState, jobs: Iterable[str]) -> list[tuple[Flow, dict[str, None]]]:
    """Some jobs by the flows that they belong to, whose `overlap` holds for them."""
    homes: dict[str, dict[str, None]] = {}
    for job in sorted(jobs):
        homes.setdefault(state.plan.flow_of[job], {})[job] = None
    return [(state.plan.flows[name], mine) for name, mine in homes.items()]


def with_needs(plan: Plan, flow: Flow, jobs: set[str]) -> tuple[Flow, set[str]]:
    """A flow, and some jobs, with all that these need of other flows."""
    whole = with_upstream(plan, flow, jobs)
    return whole, jobs | (whole.before(jobs) - flow.jobs.keys())


def _is_same(run: Run, event: RunAsked) -> bool:
    """Whether a backfill that goes on is of the same jobs and slot: two that are asked for at once are one."""
    return (run.trigger, run.slot, run.named) == (event.trigger, event.at, event.jobs)


def _waits(turn: Turn, run: Run, flow: Flow, jobs: Iterable[str]) -> bool:
    """Whether the run is held back. A backfill waits for whatever else has these jobs going on, and is never refused."""
    if not run.kind.paced:
        return gates.admit(turn, flow.settings_root, dict.fromkeys(jobs), run.id) is WAIT
    others = turn.state.in_the_way(dict.fromkeys(jobs)) if flow.settings_root.overlap != "allow" else []
    return any(not other.kind.paced for other in others)


def scope(flow: Flow, name: str, only: bool, upstream: bool) -> set[str]:
    """The jobs that `run NAME` starts in its flow."""
    if only:
        jobs = {name}
    elif name in flow.roots:
        jobs = set(flow.jobs)
    else:
        jobs = flow.after([name])
    return jobs | flow.before([name]) if upstream else jobs


def refusal_of(state: LiveState, flow: Flow, jobs: Iterable[str]) -> Reply | None:
    others = state.in_the_way(dict.fromkeys(jobs))
    if not others or flow.settings_root.overlap in ("allow", "replace"):
        return None
    first = others[0]
    if flow.settings_root.overlap == "skip":
        message = f"run {first.id} of `{first.flow}` is still {first.state}, and its `overlap` is \"skip\""
        hint = f"wait for it, or `cronflow cancel {first.id}` (Ctrl-C where it runs without a daemon)"
        return Reply(refused=message, hint=hint)
    if gates.held_among(others) >= QUEUE_LIMIT:
        message = f"{QUEUE_LIMIT} runs of `{flow.name}` are waiting already"
        return Reply(refused=message, hint=f"`cronflow cancel {others[-1].id}` takes one out of the queue")
    return None


def _full(state: LiveState, flow: Flow, jobs: Iterable[str]) -> Reply | None:
    """A backfill is refused only where as many of them are held back already as may be."""
    others = state.in_the_way(dict.fromkeys(jobs))
    held = [other for other in others if other.gate == "overlap" and other.kind.paced]
    if len(held) < QUEUE_LIMIT:
        return None
    message = f"{QUEUE_LIMIT} runs of backfills of `{flow.name}` are waiting already"
    return Reply(refused=message, hint=f"`cronflow cancel {held[-1].id}` takes one out of the queue")


# ---- cancel ---------------------------------------------------------------------------------------------------------------


def ask_cancel(turn: Turn, event: CancelAsked) -> Reply:
    """End a run, or one task of it; what comes after that task is judged as ever."""
    run = turn.state.runs.get(event.run)
    if run is None:
        return Reply(refused=f"run {event.run} has ended already")
    note = f"by {event.by}"
    if event.task is None:
        tasks.cancel_run(turn, run, "cancelled", note)
        return Reply((run.id,))
    mine = [run.tasks[event.task]] if event.task in run.tasks else turn.state.by_job[run.id].get(event.task)
    if not mine:
        return Reply(refused=f"run {run.id} has no task `{event.task}`", exit_status=Exit.NOT_FOUND)
    going_on = [task for task in mine if not task.final]
    if not going_on:
        return Reply(refused=f"task `{run.id}/{event.task}` has ended already: {mine[0].state}")
    for task in going_on:
        tasks.cancel(turn, task, "cancelled", note)
    return Reply((run.id,))
