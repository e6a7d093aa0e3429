"""Links: what the roots of other flows know of the jobs that they come after. Here they are made, and hear of ends."""

from __future__ import annotations

from cronflow.core.edges.ends import JobEnd, end_of, met
from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Link, Run, Task
from cronflow.core.state import LiveState
from cronflow.core.tables import LINKS
from cronflow.core.turn import Turn
from cronflow.core.words import duration


def follow_plan(turn: Turn) -> None:
    """After a load: a link for each edge between flows that is new, on which no end from before counts; none for those gone."""
    state = turn.state
    wanted = {
        (root, edge.job) for flow in state.plan.flows.values() for root in flow.roots for edge in flow.external_edges
    }
    for key in sorted(wanted - state.links.keys()):
        state.links[key] = link = Link(*key)
        turn.save(link)
    for key in sorted(state.links.keys() - wanted):
        del state.links[key]
        turn.delete(LINKS, key)
    state.link_up()


def links_of(state: LiveState, flow: Flow) -> list[Link]:
    """The links of all roots of a flow."""
    return [state.links[root, edge.job] for root in flow.roots for edge in flow.external_edges]


def own_slot(run: Run) -> int | None:
    """The slot that says to which round a run belongs; None for runs by hand, after others, or by events, and their retries."""
    return run.slot if run.kind.tells_round and run.trigger_key is not None else None


def ended(turn: Turn, run: Run, job: str) -> None:
    """All tasks of a job in a run are final, and roots of other flows come after it. Backfills and runs of only one job are no
    ends for others, nor are tasks that were not to run: with them a slot is over, and no more."""
    mine = turn.state.by_job[run.id][job]
    end = end_of(mine)
    assert end is not None
    counts = run.is_end and not all(_not_to_run(task) for task in mine)
    at = max(turn.now if task.finished_at is None else task.finished_at for task in mine)
    _note(turn, job, end if counts else None, run, at)


NOT_TO_RUN = frozenset({"paused", "disabled", "skip", "edited", "upstream_not_new", "overlap", "queue_full"})


def _not_to_run(task: Task) -> bool:
    return task.state == "skipped" and task.reason in NOT_TO_RUN


def in_vain(state: LiveState, job: Job) -> str:
    """For whom a root has waited as long as `after_timeout` lets it, and how these stand: "waited 2 h for `load`, which is still
    running in run 12"."""
    said = []
    for edge in job.after:
        link = state.links.get((job.name, edge.job))
        going = [state.runs[number] for number in state.active.get(edge.job, ())]
        if going:
            said.append(f"`{edge.job}`, which is still {_state_of(going[0], edge.job)} in run {going[0].id}")
        elif link is None or not link.new:
            said.append(f"`{edge.job}`, which has no new end")
        elif not met(edge, JobEnd(link.state or "missed", edge.job, edge.job if link.failed else None)):
            how = {"success": "succeeded", "failed": "failed"}.get(link.state or "", f"was {link.state}")
            said.append(f"`{edge.job}`, which {how} in run {link.run}")
    if not said:
        said = [f"{', '.join(f'`{edge.job}`' for edge in job.after)}, of which an end of this round is missing"]
    return f"waited {duration(job.after_timeout or 0.0)} for {'; '.join(said)}"


def _state_of(run: Run, job: str) -> str:
    return next(task.state for task in run.tasks.values() if task.job == job and not task.final)


def not_run(turn: Turn, flow: Flow, row: Run) -> None:
    """Slots of a flow have been recorded that did not run. One that the calendar skipped is an end `skipped` of all its jobs."""
    for job in flow.jobs:
        if job in turn.state.linked:
            end = JobEnd("skipped", job) if row.reason == "calendar" else None
            _note(turn, job, end, row, turn.now)


def _note(turn: Turn, job: str, end: JobEnd | None, run: Run, at: float) -> None:
    state, slot = turn.state, run.slot_last if run.is_row else own_slot(run)
    for root in state.linked[job]:
        if _takes_part(state, run, root):
            continue
        link = state.links[root, job]
        link.look = True
        state.dirty_edges[root] = None
        turn.save(link)
        if end is not None:
            link.new, link.state, link.failed = True, end.state, end.failed
            link.run, link.slot, link.ended_at = run.id, slot, at


def _takes_part(state: LiveState, run: Run, root: str) -> bool:
    """Whether the flow of a root is in the run itself (`run --upstream`), where the edge is one like any other. An end may become
    known before there is a plan."""
    inside = state.by_job.get(run.id, {})
    flow = state.plan.flows.get(state.plan.flow_of.get(root, ""))
    return any(one in inside for one in (flow.roots if flow is not None else (root,)))
