"""How jobs of other flows matter: which of their ends counted, which are still awaited, and by which rule."""

from __future__ import annotations

from cronflow.core import words
from cronflow.core.edges.ends import JobEnd, end_of
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Task
from cronflow.facts import upcoming
from cronflow.facts.evidence import Answer, Context, Evidence
from cronflow.facts.sentences import cause_words
from cronflow.facts.waits import Upstream, Waiting, missing, upstreams, waiting_of, who
from cronflow.store.lookups import last_end_before
from cronflow.store.queries import RunRecord


def needs(condition: str) -> str:
    """What an edge asks for, where that is more than a success: " (needs failure)"."""
    return "" if condition == "success" else f" (needs {condition.replace('_', ' ')})"


def waiting(context: Context, name: str, slot: int | None = None) -> Answer | None:
    """Why a job has not started, if it waits for jobs of other flows: one of its slots waits (perhaps a certain one), or only
    some edges of a flow without a timetable have new ends. None if it does not wait."""
    flow = context.known.plan.flows.get(context.known.flow_name(name))
    if flow is None or not flow.external_edges:
        return None
    slots = [one for one in waiting_of(context.edges, flow, context.clock.now) if slot in (None, one.slot)]
    if slots:
        return _waiting_slot(context, name, slots[0])
    ups = upstreams(context.edges, flow, name)
    begun = any(up.link.new for up in ups) and not all(up.ended for up in ups)
    if slot is not None or flow.triggers or flow.disabled or not begun:
        return None
    answer = Answer(name, None, None, "waiting", f"{name} waits for {who(flow, missing(ups))}.")
    answer.because = [_now(context, up) for up in ups] + _with(flow, name)
    return answer


def _waiting_slot(context: Context, name: str, one: Waiting) -> Answer:
    begun = one.slot if one.slot >= context.clock.now - 86400 else None
    since = f" since {context.clock.when(begun)}" if begun is not None else ""
    sentence = f"{name} waits for {one.who}{since} (slot {context.clock.day_when(one.slot)}, run {one.run})."
    answer = Answer(name, one.run, float(one.slot), "waiting", sentence)
    answer.because = [_now(context, up) for up in one.upstreams]
    answer.because.append(_until(context, one))
    answer.because += _with(one.flow, name)
    return answer


def _until(context: Context, one: Waiting) -> Evidence:
    """How long a slot waits, and what happens to it then."""
    limit = one.flow.settings_root.after_timeout
    if one.until is None:
        return Evidence("waits_until", "it waits until its next event, without limit")
    shown = f"{context.clock.when(one.until)}{context.clock.away(one.until)}"
    if limit is not None:
        return Evidence("waits_until", f"it waits until {shown}, `after_timeout` {words.duration(limit)}; then it is blocked")
    failed = any(up.ended and not up.ready for up in one.upstreams)
    return Evidence("waits_until", f"it waits until its next slot at {shown}; then it is {'blocked' if failed else 'skipped'}")


def _with(flow: Flow, name: str) -> list[Evidence]:
    """A job that is not a root waits together with the jobs before it."""
    if name in flow.roots:
        return []
    edges = ", ".join(edge.job for edge in flow.jobs[name].after)
    return [Evidence("upstream", f"it starts in the run of {flow.name}, after {edges}")]


def outlook(context: Context, flow: Flow, after: str, told: list[Evidence]) -> list[Evidence]:
    """When a flow without a trigger of its own starts: after which ends of other flows. Those in `told` are not repeated."""
    ups = upstreams(context.edges, flow)
    have = "has" if len(ups) == 1 or flow.settings_root.join == "any" else "have"
    found = [Evidence("after", f"it starts when {who(flow, ups)} {have} ended anew{after}")]
    known = {(one.run, one.task) for one in told}
    return found + [_now(context, up) for up in ups if not up.ended or (up.link.run, up.job) not in known]


def _now(context: Context, up: Upstream) -> Evidence:
    """The state of one upstream."""
    link, lead = up.link, f"after {up.job}{needs(up.edge.condition)}: "
    if up.ended:
        run = f" in run {link.run}" if link.run is not None else ""
        ended = f" at {context.clock.when(link.ended_at)}" if link.ended_at is not None else ""
        code = "upstream_ended" if up.ready else "upstream_failed" if link.failed else "condition"
        return Evidence(code, f"{lead}{_ended(link.state or '')}{run}{_of(context, link.slot)}{ended}", link.run, up.job)
    if link.new and up.slot is not None:
        belongs = f"belongs to this round, and its latest end{_of(context, link.slot)} does not"
        return Evidence("upstream_slot", f"{lead}its slot {context.clock.day_when(up.slot)} {belongs}", link.run, up.job)
    if link.new and up.left:
        message = f"{lead}its end in run {link.run}{_of(context, link.slot)} is nearer to the next slot, and left to that"
        return Evidence("upstream_slot", message, link.run, up.job)
    if up.going is not None:
        return Evidence("upstream", f"{lead}it is {up.state} in run {up.going.id}", up.going.id, up.job)
    return Evidence("upstream_not_new", lead + _nothing_new(context, up), link.run, up.job)


def _nothing_new(context: Context, up: Upstream) -> str:
    """When an upstream without a new end last ended, and its next slot."""
    link = up.link
    said = "it has not ended yet" if link.run is None else f"it has not ended since run {link.run}, which has counted"
    home = context.known.plan.flows[context.known.plan.flow_of[up.job]]
    at = upcoming.next_slot(context.known, home, context.clock.now)
    return said if at is None else f"{said}; its next slot is {context.clock.day_when(at)}"


def _ended(state: str) -> str:
    return {"success": "it succeeded", "failed": "it failed"}.get(state, f"it was {state}")


def _of(context: Context, slot: int | None) -> str:
    return "" if slot is None else f" (slot {context.clock.day_when(slot)})"


def counted(context: Context, record: RunRecord, task: Task | None = None) -> list[Evidence]:
    """The ends of other flows that decided a run or a row; only for its roots."""
    run = record.run
    if not run.upstreams or (task is not None and task.job not in run.roots):
        return []
    root = task.job if task is not None else run.roots[0]
    conditions = {edge.job: edge.condition for edge in record.jobs[root].after} if root in record.jobs else {}
    others = {one.run.id: one for one in context.history.records(run.upstreams.values())}
    return [_counted(context, job, conditions.get(job, "success"), number, others) for job, number in run.upstreams.items()]


def _counted(context: Context, job: str, condition: str, number: int, others: dict[int, RunRecord]) -> Evidence:
    lead, other = f"after {job}{needs(condition)}: ", others.get(number)
    if other is None:
        return Evidence("upstream_ended", f"{lead}it ended in run {number}, which is no longer in the history", number, job)
    end, why, at = _end(other, job)
    shown = f" at {context.clock.when(at)}" if at is not None else ""
    message = f"{lead}{_ended(end.state)} in run {number}{_of(context, other.run.slot_last)}{shown}{why}"
    bad = end.failed or end.state == "blocked"
    code = "upstream_failed" if bad else "upstream_cancelled" if end.state == "cancelled" else "upstream_ended"
    return Evidence(code, message, number, job, f"cronflow why {number}" if bad else "")


def _end(other: RunRecord, job: str) -> tuple[JobEnd, str, float | None]:
    """How a job ended in a run: its end, why, and when. A row of slots stands for all its jobs."""
    tasks = [one for one in other.run.tasks.values() if one.job == job]
    end = end_of(tasks) if tasks else None
    if end is None:
        why = f": {other.run.reason}" if other.run.reason else ""
        return JobEnd(other.run.state, job), why, other.run.finished_at
    task = next(one for one in tasks if one.name == end.name)
    why = f": {cause_words(task)}" if end.state in ("blocked", "skipped") and task.reason else ""
    times = [one.finished_at for one in tasks if one.finished_at is not None]
    return end, why, max(times, default=None)


def timed_out(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    """A slot that waited longer than `after_timeout`: how long, and for which jobs."""
    message = f"its slot {words.plain(task.note or 'waited in vain')}"
    limit = "`after_timeout` is how long a slot waits for jobs of other flows"
    told = [Evidence("after_timeout", message, task.run, task.name), Evidence("after_timeout", limit)]
    return [*told, *counted(context, record, task)]


def not_new(context: Context, record: RunRecord) -> list[Evidence]:
    """A row of slots that waited in vain until just before the next one."""
    run = record.run
    root = record.jobs.get(run.roots[0] if run.roots else run.flow)
    jobs = [edge.job for edge in root.after] if root is not None else []
    named = words.listing(jobs) or "no job of another flow"
    found = [Evidence("upstream_not_new", f"skipped: waited for a new end of {named} until the next slot, in vain", run.id)]
    for job in jobs:
        row = last_end_before(context.history, job, run.finished_at)
        if row is None:
            found.append(Evidence("upstream_not_new", f"{job} had never ended before that", None, job))
        else:
            message = f"{job} last ended before that in run {row[0]}, {context.clock.day_when(row[2])}: {row[1]}"
            found.append(Evidence("upstream_ended", message, row[0], job))
    return found
