"""Who waits for jobs of other flows, and for which of them, by the engine's own rules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from cronflow.core import words
from cronflow.core.jobs import Edge
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Link, Run

if TYPE_CHECKING:
    from cronflow.core.edges.alignment import AskingSlot
    from cronflow.core.state import LiveState


class Upstream(NamedTuple):
    """A job of another flow, as seen from a root that comes after it: the run in which it is going on, and the slot of it that
    is awaited because it belongs with the other ends, or with the slot of the root. `left`: its end is nearer to the next slot
    of the root, and is left to that."""

    edge: Edge
    link: Link
    going: Run | None = None
    slot: int | None = None
    left: bool = False

    @property
    def job(self) -> str:
        return self.edge.job

    @property
    def run(self) -> int | None:
        """The run that `state` is about."""
        if self.going is not None:
            return self.going.id
        return self.link.run if self.ended else None

    @property
    def ended(self) -> bool:
        """Whether it has a new end, and no other is awaited for the same round."""
        return self.link.new and self.slot is None and not self.left

    @property
    def ready(self) -> bool:
        """Whether it has ended and meets the condition."""
        return self.ended and met(self)

    @property
    def state(self) -> str | None:
        """Its state in the run that is going on, else that of its new end; None if both are still to come."""
        if self.going is None:
            return self.link.state if self.ended else None
        return next(task.state for task in self.going.tasks.values() if task.job == self.job and not task.final)


class Waiting(NamedTuple):
    """A slot that waits for jobs of other flows, as its run. `until`: when the wait ends; None without a limit."""

    flow: Flow
    run: int
    roots: tuple[str, ...]
    slot: int
    until: float | None
    upstreams: tuple[Upstream, ...]

    @property
    def who(self) -> str:
        """The jobs it waits for: "load and fetch"; with `join = "any"` "load or fetch"."""
        return who(self.flow, missing(self.upstreams))


def missing(ups: Sequence[Upstream]) -> list[Upstream]:
    """The upstreams that are awaited: those that have not ended, or, if all have, those that did not meet the condition."""
    return [up for up in ups if not up.ended] or [up for up in ups if not up.ready]


def who(flow: Flow, ups: Sequence[Upstream]) -> str:
    """Jobs in a sentence: "load, fetch and scan", "load or fetch"."""
    names = [up.job for up in ups]
    word = "or" if flow.settings_root.join == "any" else "and"
    return f" {word} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def met(up: Upstream) -> bool:
    """Whether the latest end of an upstream meets the condition of its edge."""
    from cronflow.core.edges import alignment, ends

    return up.link.state is not None and ends.met(up.edge, alignment.end_told(up.link))


def upstreams(state: LiveState | None, flow: Flow, root: str | None = None, own: AskingSlot | None = None) -> list[Upstream]:
    """The jobs of other flows that a root comes after (the first root, if `root` is not one), perhaps as seen by a slot of its
    own; [] for most flows."""
    if state is None or not flow.external_edges:
        return []
    from cronflow.core.edges import alignment

    name = root if root in flow.roots else flow.roots[0]
    links = {edge.job: state.links[name, edge.job] for edge in flow.external_edges}
    new = [link for link in links.values() if link.new]
    late = alignment.awaited(state, new, own)
    left = own is not None and alignment.belongs_to_next_slot(new, own)
    found = []
    for edge in flow.external_edges:
        runs = going(state, edge.job)
        slot = late[1] if late is not None and late[0] == edge.job else None
        found.append(Upstream(edge, links[edge.job], runs[-1] if runs else None, slot, left))
    return found


def going(state: LiveState | None, job: str) -> list[Run]:
    """The runs in which a job is going on, without those that only wait for jobs of other flows."""
    runs = [] if state is None else [state.runs[number] for number in state.active.get(job, ())]
    return [run for run in runs if run.gate != "edges"]


def waiting_slots(state: LiveState | None, now: float) -> list[Waiting]:
    """Every slot that waits for jobs of other flows, oldest first."""
    flows = () if state is None else state.plan.flows.values()
    return sorted((one for flow in flows for one in waiting_of(state, flow, now)), key=lambda one: one.slot)


def waiting_of(state: LiveState | None, flow: Flow, now: float) -> Iterator[Waiting]:
    """The slots of one flow that wait, each as its run."""
    if state is None or not flow.external_edges:
        return
    from cronflow.core.edges import alignment

    for run in state.runs.values():
        trigger = next((one for one in flow.triggers if one.key == run.trigger_key), None)
        if run.gate == "edges" and run.slot is not None and trigger is not None and run.roots[0] in flow.roots:
            after = now - trigger.delay(state.jobs.host, flow.name) if run.trigger == "catchup" else run.slot
            own = alignment.AskingSlot(run.slot, trigger.schedule.next_after(after))
            yield Waiting(flow, run.id, run.roots, run.slot, run.gate_until, tuple(upstreams(state, flow, run.roots[0], own)))


def waits_for(state: LiveState | None, name: str, now: float) -> list[Upstream]:
    """The jobs of other flows that a root waits for now, because one of its slots waits or some of them have ended."""
    flow = None if state is None else state.plan.flows.get(state.plan.flow_of.get(name, ""))
    if state is None or flow is None or not flow.external_edges or name not in flow.roots:
        return []
    held = next((one for one in waiting_of(state, flow, now) if name in one.roots), None)
    ups = held.upstreams if held is not None else upstreams(state, flow, name)
    waits = held is not None or (not flow.triggers and any(up.link.new for up in ups))
    return missing(ups) if waits else []


def after_words(edges: Sequence[Edge], join: str = "all") -> str:
    """The jobs that a flow comes after, with the condition unless it is success: "load, fetch (on done)"."""
    named = [edge.job if edge.condition == "success" else f"{edge.job} (on {edge.condition})" for edge in edges]
    return " or ".join(named) if join == "any" else words.listing(named)
