"""Why a task does not start: the one truth for the engine, which starts a task exactly when the list is empty, and for
`cronflow why`, which prints it."""

from __future__ import annotations

from dataclasses import dataclass

from cronflow.core.jobs import Job
from cronflow.core.plan.copies import paired
from cronflow.core.records import Approval, Done, Hook, Pausing, Queued, Run, Task
from cronflow.core.state import LiveState, queue_of


@dataclass(frozen=True, slots=True)
class Blocker:
    """One reason: a stable word, a sentence, and the run and task that it points to."""

    code: str
    message: str
    run: int | None = None
    task: str | None = None
    until: float | None = None


def blockers(state: LiveState, run: Run, task: Task) -> list[Blocker]:
    """What a task that has not ended waits for; [] exactly when it starts (or has a process)."""
    phase = task.phase
    if task.live is not None or isinstance(phase, Done):
        return []
    if run.gate == "edges":
        return _other_flows(state, run)
    if run.gate == "overlap":
        return [
            Blocker("overlap", f"run {other.id} of the same jobs is still {other.state}", other.id)
            for other in state.before(run)
        ]
    match phase:
        case Queued() | Hook():
            return limits(state) or _turn(state, run, task)
        case Pausing(stage="sensor"):
            return [Blocker("sensor", "its `wait_until` has not come true yet", run.id, task.name, phase.again_at)]
        case Pausing():
            message = f"attempt {task.attempts} failed; attempt {task.attempts + 1} is to come"
            return [Blocker("retry_delay", message, run.id, task.name, phase.again_at)]
        case Approval():
            return [Blocker("approval", state.job(run, task).approve or "it has to be approved", run.id, task.name)]
    return _upstream(state, run, task)


def limits(state: LiveState) -> list[Blocker]:
    """What keeps every process from starting."""
    if state.up_since is None:
        return [Blocker("daemon_down", "the daemon is not up yet")]
    if state.draining:
        return [Blocker("stopping", "the daemon is about to stop and starts nothing more")]
    most = state.jobs.settings.max_running
    if state.running >= most:
        return [Blocker("max_running", f"{state.running} of at most {most} processes are running (`max_running`)")]
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
    return [Blocker("pool_full", f"{used} of {size} slots of pool `{job.pool}` are taken, and it needs {job.pool_slots}")]


def _turn(state: LiveState, run: Run, task: Task) -> list[Blocker]:
    """What keeps a task in its queue, the limits of all apart."""
    job = state.job(run, task)
    pool = queue_of(job, task)
    if not pool:
        return []
    full = pool_limits(state, job)
    if full:
        return full
    first = state.ready[pool][0]
    if (first.run, first.task) == (run.id, task.name):
        return []
    message = f"{first.run}/{first.task} is before it in the line for pool `{pool}`"
    return [Blocker("pool_full", message, first.run, first.task)]


def _upstream(state: LiveState, run: Run, task: Task) -> list[Blocker]:
    found = []
    job = state.job(run, task)
    flow = state.flows[run.id]
    for edge in job.after:
        for name in state.groups[run.id].get(edge.job, ()):
            other = run.tasks[name]
            if not other.final and (not paired(flow.jobs, edge.job, job) or other.matrix == task.matrix):
                found.append(Blocker("upstream", f"after {other.name}: it is {other.state}", run.id, other.name))
    return found


def _other_flows(state: LiveState, run: Run) -> list[Blocker]:
    """What a run waits for that waits for jobs of other flows."""
    names = {edge.job: None for root in run.roots if root in state.jobs.jobs for edge in state.jobs.jobs[root].after}
    flows = state.plan.flow_of
    outside = [name for name in names if flows.get(name) != flows.get(run.roots[0])]
    new = {link.upstream for (root, _), link in state.links.items() if root in run.roots and link.new}
    missing = [name for name in outside if name not in new] or outside
    return [Blocker("upstream", f"after {name}, of another flow", None, name, run.gate_until) for name in missing]
