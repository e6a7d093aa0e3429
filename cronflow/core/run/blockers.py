"""Why a task does not start: the one truth for the engine, which starts a task exactly when the list is empty, and for whoever
asks. What is said of it stands in `facts.sentences`."""

from __future__ import annotations

from dataclasses import dataclass

from cronflow.core.jobs import Edge, Job
from cronflow.core.plan.copies import upstream_tasks
from cronflow.core.records import Approval, Done, Hook, Pausing, Queued, Run, Task
from cronflow.core.state import LiveState, queue_of


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason: a stable word, and what it is about. `run` and `task` are what has to end or give way first, `edge` is the one
    from that task's job; `until` is when the reason ends by itself. Of a limit: how much of its `size` is `used`, which `pool` it
    is, and how many slots of it the task `needs`."""

    code: str
    run: int | None = None
    task: str | None = None
    edge: Edge | None = None
    until: float | None = None
    pool: str | None = None
    used: int = 0
    size: int = 0
    needs: int = 1


def blockers(state: LiveState, run: Run, task: Task) -> list[Blocker]:
    """What a task that has not ended waits for; [] exactly when it starts (or has a process)."""
    phase = task.phase
    if task.live is not None or isinstance(phase, Done):
        return []
    if run.gate == "overlap":
        return [Blocker("overlap", other.id) for other in state.before(run)]
    if run.gate == "edges":
        return _other_flows(state, run)
    match phase:
        case Queued() | Hook():
            return limits(state) or _turn(state, run, task)
        case Pausing():
            code = "sensor" if phase.stage == "sensor" else "retry_delay"
            return [Blocker(code, run.id, task.name, until=phase.again_at)]
        case Approval():
            return [Blocker("approval", run.id, task.name)]
    before = upstream_tasks(state.flows[run.id].jobs, task, state.by_job[run.id])
    return [Blocker("upstream", run.id, one.name, edge) for edge, tasks in before for one in tasks if not one.final]


def limits(state: LiveState) -> list[Blocker]:
    """What keeps every process from starting."""
    if state.up_since is None:
        return [Blocker("daemon_down")]
    if state.draining:
        return [Blocker("stopping")]
    most = state.jobs.settings.max_running
    if state.running >= most:
        return [Blocker("max_running", used=state.running, size=most)]
    return []


def pool_limits(state: LiveState, job: Job) -> list[Blocker]:
    """What keeps a command of this job from starting in its pool. A job that needs more slots than the pool has now needs them
    all; a pool that is gone from the job file limits nothing."""
    size = state.jobs.pools.get(job.pool) if job.pool is not None else None
    if size is None or job.pool is None:
        return []
    used = state.used.get(job.pool, 0)
    if used + min(job.pool_slots, size) <= size:
        return []
    return [Blocker("pool_full", pool=job.pool, used=used, size=size, needs=job.pool_slots)]


def pool_holders(state: LiveState, pool: str) -> list[Task]:
    """The tasks that hold slots of a pool, whatever their run."""
    return [task for task in state.live() if task.attempts > 0 and state.job(state.runs[task.run], task).pool == pool]


def _turn(state: LiveState, run: Run, task: Task) -> list[Blocker]:
    """What keeps a queued task from starting, the limits of all apart: its pool, or who is before it in the queue for that."""
    job = state.job(run, task)
    pool = queue_of(job, task)
    if not pool:
        return []
    full = pool_limits(state, job)
    if full:
        return full
    first = state.ready[pool][0]
    return [] if (first.run, first.task) == (run.id, task.name) else [Blocker("pool_full", first.run, first.task, pool=pool)]


def _other_flows(state: LiveState, run: Run) -> list[Blocker]:
    """The edges from jobs of other flows that a run waits for: those without a new end, or all where the round is incomplete."""
    flow = next((state.plan.flows[state.plan.flow_of[root]] for root in run.roots if root in state.plan.flow_of), None)
    edges = flow.external_edges if flow is not None else ()
    old = [edge for edge in edges if not any(link.new for root in run.roots if (link := state.links.get((root, edge.job))))]
    return [Blocker("upstream", edge=edge, until=run.gate_until) for edge in old or edges] or [Blocker("upstream")]
