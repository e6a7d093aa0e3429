"""The graph that `after` draws: which jobs start together as one flow, in which order, and what is wrong with it.

A job *signs* with what makes it start. A root signs with its own triggers (all that start only by hand sign alike); a
job without a trigger signs as its upstreams do, if these sign alike. Jobs that are joined by edges and sign alike are one
flow. A job whose upstreams sign differently, or otherwise than its own triggers, starts a flow of its own, signs with its edges
(and its triggers), and its edges come from other flows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from cronflow.core.jobs import NOTHING, Edge, Job, definition
from cronflow.core.records import Definition
from cronflow.core.time.schedule import ScheduleError
from cronflow.core.time.triggers import Trigger, starts_by_itself, triggers_of
from cronflow.core.words import closest

Signature = tuple[object, ...]
BY_HAND: Signature = ("by hand",)
FLOW_KEYS = ("overlap", "catchup", "catchup_window")
"""Keys that act on a flow through its roots, which therefore must agree."""


@dataclass(frozen=True, slots=True, repr=False)
class Flow:
    """Jobs that start together and run as one graph; `jobs` stand in an order in which each comes after its upstreams."""

    name: str
    jobs: Mapping[str, Job]
    roots: tuple[str, ...]
    triggers: tuple[Trigger, ...] = ()
    down: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NOTHING)
    external_edges: tuple[Edge, ...] = field(init=False)
    """The edges from other flows, which are those of every root; () for a flow that waits for no other one."""
    _definition: Definition | None = field(init=False, default=None, compare=False)

    def __post_init__(self) -> None:
        edges = self.settings_root.after if self.roots else ()
        object.__setattr__(self, "external_edges", tuple(edge for edge in edges if edge.job not in self.jobs))

    @property
    def settings_root(self) -> Job:
        """The root that speaks for the flow in the keys on which its roots agree."""
        return self.jobs[self.roots[0]]

    @property
    def definition(self) -> Definition:
        """Its jobs as a run of it points to them. Made for the first run, and kept: many flows may never have one."""
        if self._definition is None:
            digest, body = definition(self.jobs)
            object.__setattr__(self, "_definition", Definition(digest, self.name, body))
        assert self._definition is not None
        return self._definition

    @property
    def disabled(self) -> bool:
        """All roots are disabled: the flow has no slots at all."""
        return not any(self.jobs[root].enabled for root in self.roots)

    def after(self, start: Iterable[str]) -> set[str]:
        """The jobs named and everything that comes after them in the flow."""
        return reach(start, self.down)

    def before(self, start: Iterable[str]) -> set[str]:
        """The jobs named and everything that they come after in the flow."""
        up = {name: tuple(edge.job for edge in job.after if edge.job in self.jobs) for name, job in self.jobs.items()}
        return reach(start, up)


def reach(start: Iterable[str], graph: Mapping[str, Collection[str]]) -> set[str]:
    """Everything that can be reached in a graph, the start included."""
    seen: set[str] = set()
    todo = list(start)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(graph.get(name, ()))
    return seen


class Plan(NamedTuple):
    """All flows of a job file, and the flow of each job."""

    flows: Mapping[str, Flow] = NOTHING
    flow_of: Mapping[str, str] = NOTHING


class Fault(NamedTuple):
    """Something wrong with the graph at `key` of `job` (`after.NAME`: that upstream); `places` are further (job, key)."""

    severity: Literal["error", "warning"]
    job: str
    key: str
    message: str
    hint: str | None = None
    places: tuple[tuple[str, str], ...] = ()


def plan(jobs: Mapping[str, Job]) -> Plan:
    """The flows of jobs in which `faults` finds no error."""
    return _assemble(jobs, _sign(jobs, _sorted(jobs)))


def with_upstream(plan: Plan, flow: Flow, jobs: Iterable[str]) -> Flow:
    """A flow with all that some of its jobs need first, of other flows too, as one graph."""
    every = {name: plan.flows[home].jobs[name] for name, home in plan.flow_of.items()}
    up = {name: tuple(edge.job for edge in job.after) for name, job in every.items()}
    more = reach(jobs, up) - flow.jobs.keys()
    if not more:
        return flow
    mine = {name: every[name] for name in _sorted({name: every[name] for name in every if name in more or name in flow.jobs})}
    return Flow(flow.name, mine, flow.roots, flow.triggers, downstream(mine))


def several_flows(jobs: Mapping[str, Job]) -> bool:
    """Whether jobs that were run together, as they were then, are of several flows: a run brought in what it needed first."""
    return len(set(_sign(jobs, _sorted(jobs)).values())) > 1


def flow_of_definition(jobs: Mapping[str, Job], name: str, roots: tuple[str, ...]) -> Flow:
    """The flow that a run was started with, from its stored jobs, whatever the job file says today."""
    return Flow(name, jobs, roots, (), downstream(jobs))


def _assemble(jobs: Mapping[str, Job], signs: Mapping[str, Signature]) -> Plan:
    flows = {}
    flow_of = {}
    for flow in _flows(jobs, signs):
        flows[flow.name] = flow
        flow_of.update(dict.fromkeys(flow.jobs, flow.name))
    return Plan(flows, flow_of)


def _flows(jobs: Mapping[str, Job], signs: Mapping[str, Signature]) -> Iterator[Flow]:
    group = {name: name for name in jobs}

    def leader(name: str) -> str:
        while group[name] != name:
            group[name] = group[group[name]]
            name = group[name]
        return name

    for name, job in jobs.items():
        if _inside(job, signs):
            for edge in job.after:
                group[leader(name)] = leader(edge.job)
    members: dict[str, list[str]] = {}
    for name in jobs:
        members.setdefault(leader(name), []).append(name)
    for names in members.values():
        yield _flow({name: jobs[name] for name in names})


def _inside(job: Job, signs: Mapping[str, Signature]) -> bool:
    """Whether all edges of the job come from its own flow."""
    return bool(job.after) and all(signs[edge.job] == signs[job.name] for edge in job.after)


def _flow(jobs: Mapping[str, Job]) -> Flow:
    ordered = {name: jobs[name] for name in _sorted(jobs)} if len(jobs) > 1 else jobs
    first = next(iter(ordered))
    sources = {name for name, job in jobs.items() if not any(edge.job in jobs for edge in job.after)}
    others = (name for name, job in jobs.items() if name != first and (name in sources or starts_by_itself(job)))
    return Flow(first, ordered, (first, *others), triggers_of(jobs[first]), downstream(ordered))


def downstream(jobs: Mapping[str, Job]) -> Mapping[str, tuple[str, ...]]:
    """The jobs that come after each one that has such."""
    down: dict[str, list[str]] = {}
    for name, job in jobs.items():
        for edge in job.after:
            if edge.job in jobs:
                down.setdefault(edge.job, []).append(name)
    return {name: tuple(after) for name, after in down.items()} if down else NOTHING


def _sorted(jobs: Mapping[str, Job]) -> list[str]:
    """Each job after its upstreams, otherwise in the order of the file. Jobs of a cycle come last."""
    waits = {name: sum(edge.job in jobs for edge in job.after) for name, job in jobs.items()}
    down = downstream(jobs)
    order = [name for name, count in waits.items() if count == 0]
    for name in order:
        for after in down.get(name, ()):
            waits[after] -= 1
            if waits[after] == 0:
                order.append(after)
    return order + [name for name, count in waits.items() if count > 0]


def _sign(jobs: Mapping[str, Job], order: list[str]) -> dict[str, Signature]:
    signs: dict[str, Signature] = {}
    known: dict[Signature, Signature] = {}
    for name in order:
        job = jobs[name]
        try:
            own = triggers_of(job)
        except ScheduleError:
            signs[name] = ("unreadable", name)
            continue
        upstream = {signs[edge.job] for edge in job.after if edge.job in signs}
        if own:
            sign: Signature = ("trigger", frozenset(trigger.key for trigger in own))
            elsewhere = bool(job.after) and upstream != {sign}
            signs[name] = (*sign, frozenset(job.after), job.join) if elsewhere else known.setdefault(sign, sign)
        elif not job.after:
            signs[name] = BY_HAND
        elif len(upstream) == 1:
            signs[name] = upstream.pop()
        else:
            signs[name] = ("after", frozenset(job.after), job.join)
    return signs


def faults(jobs: Mapping[str, Job]) -> list[Fault]:
    """Everything about the graph that `check` must refuse or warn of, in the order of the jobs."""
    found = [*_unknown(jobs), *_cycles(jobs)]
    if found:
        return found
    signs = _sign(jobs, _sorted(jobs))
    if any(sign[0] == "unreadable" for sign in signs.values()):
        return []
    for flow in _flows(jobs, signs):
        found.extend(_disagreements(flow))
    return found


SUGGESTIONS = 20
"""Unknown names for which a similar one is looked for; each look goes through all jobs."""


def _unknown(jobs: Mapping[str, Job]) -> Iterator[Fault]:
    hints: dict[str, str] = {}
    for name, job in jobs.items():
        for edge in job.after:
            if edge.job in jobs:
                continue
            if edge.job not in hints and len(hints) < SUGGESTIONS:
                hints[edge.job] = _suggestion(edge.job, jobs)
            hint = hints.get(edge.job, "a job can only come after one of this job file")
            message = f"job `{name}` comes after `{edge.job}`, which is not in the job file"
            yield Fault("error", name, f"after.{edge.job}", message, hint)


def _suggestion(name: str, jobs: Mapping[str, Job]) -> str:
    near = closest(name, jobs)
    return f"did you mean `{near}`?" if near else "a job can only come after one of this job file"


def _cycles(jobs: Mapping[str, Job]) -> Iterator[Fault]:
    """One fault for each knot of jobs that wait for each other, with the shortest way round as its path."""
    left = _knots(jobs)
    while left:
        path = min((path for name in jobs if name in left and (path := _way_round(name, jobs, left))), key=len)
        if len(path) == 2:
            message = f"job `{path[0]}` comes after itself"
        else:
            message = "jobs wait for each other: " + " -> ".join(f"`{name}`" for name in path)
        places = tuple((name, "after") for name in path[1:-1])
        yield Fault("error", path[0], "after", message, None, places)
        left -= set(path)
        left = _knots({name: jobs[name] for name in left})


def _knots(jobs: Mapping[str, Job]) -> set[str]:
    """The jobs that lie on a cycle, or on a way from one to another: what is left when jobs without upstreams, and then
    jobs without downstreams, have been taken off again and again."""
    up = {name: {edge.job for edge in job.after if edge.job in jobs} for name, job in jobs.items()}
    down: dict[str, set[str]] = {name: set() for name in jobs}
    for name, upstreams in up.items():
        for upstream in upstreams:
            down[upstream].add(name)
    left = set(jobs)
    for before, after in ((up, down), (down, up)):
        waits = {name: len(before[name] & left) for name in left}
        free = [name for name, count in waits.items() if count == 0]
        for name in free:
            left.discard(name)
            for other in after[name]:
                if other in waits:
                    waits[other] -= 1
                    if waits[other] == 0:
                        free.append(other)
    return left


def _way_round(start: str, jobs: Mapping[str, Job], among: set[str]) -> list[str]:
    came: dict[str, str] = {}
    todo = [start]
    for name in todo:
        for edge in jobs[name].after:
            if edge.job == start:
                path = [start, name]
                while path[-1] != start:
                    path.append(came[path[-1]])
                return path[::-1] if len(path) > 2 or name != start else [start, start]
            if edge.job in among and edge.job not in came:
                came[edge.job] = name
                todo.append(edge.job)
    return []


def _disagreements(flow: Flow) -> Iterator[Fault]:
    first = flow.settings_root
    for name in flow.roots[1:]:
        for key in (*FLOW_KEYS, "after_timeout") if flow.external_edges else FLOW_KEYS:
            if getattr(flow.jobs[name], key) != getattr(first, key):
                message = f"`{first.name}` and `{name}` are roots of one flow, but their `{key}` differs"
                hint = f"write the same `{key}` for both"
                yield Fault("error", name, key, message, hint, ((first.name, key),))
