"""Edges between flows: a job of another flow has a new end, and its latest end meets the condition.

Every edge into a root from another flow is a Link, which holds the latest end of its upstream. An end is new until a decision
has used it up: a run that the edges opened, or a slot of the root. When an upstream has ended, the edges are looked at: the root
starts, waits on, or has all reports in hand and may not start, which one blocked run tells.

Ends that belong to different rounds are not mixed. Let R be the newest slot among the ends that count; an upstream of which a
later slot, due or to come and not yet ended, is nearer to R than that of its end is waited for. A slot of the root itself belongs
to a round too: it waits for what an upstream had to do up to then, and leaves to the next slot an end that is nearer to that one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cronflow.core.edges.edge_state import links_of, own_slot
from cronflow.core.edges.ends import GO, WAIT, Answer, JobEnd, judge
from cronflow.core.plan.flow import Flow
from cronflow.core.records import End, Link
from cronflow.core.state import LiveState

# ---- what is looked at ----------------------------------------------------------------------------------------------------


class AskingSlot(NamedTuple):
    """A slot of the roots that asks whether it may start, and the one that comes after it."""

    slot: int
    following: int | None


def verdict(state: LiveState, flow: Flow, asking: AskingSlot | None = None) -> Answer | End:
    """What the edges from other flows say: the roots go, wait, or end without running. They start together, as soon as the edges
    are met for one of them."""
    answers = [_verdict(state, flow, root, asking) for root in flow.roots]
    if GO in answers:
        return GO
    return next((answer for answer in answers if answer is not WAIT), WAIT)


def _verdict(state: LiveState, flow: Flow, root: str, asking: AskingSlot | None) -> Answer | End:
    links = [(edge, state.links[root, edge.job]) for edge in flow.external_edges]
    ends = [(edge, end_told(link) if link.new else None) for edge, link in links]
    answer = judge(flow.jobs[root], ends)
    new = [link for _, link in links if link.new]
    if answer is WAIT or awaited(state, new, asking) is not None or (asking is not None and belongs_to_next_slot(new, asking)):
        return WAIT
    return answer


def belongs_to_next_slot(links: Sequence[Link], asking: AskingSlot) -> bool:
    """Whether the newest of these ends is nearer to the following slot than to the one that asks."""
    newest = _newest(links)
    return newest is not None and asking.following is not None and abs(asking.following - newest) < abs(newest - asking.slot)


def _newest(links: Sequence[Link]) -> int | None:
    return max((link.slot for link in links if link.slot is not None), default=None)


def end_told(link: Link) -> JobEnd:
    assert link.state is not None
    return JobEnd(link.state, link.upstream, link.upstream if link.failed else None)


def awaited(state: LiveState, links: Sequence[Link], asking: AskingSlot | None = None) -> tuple[str, int] | None:
    """An upstream, and a slot of it, that the ends of these links have to wait for, because it belongs to their round."""
    newest = _newest(links)
    for link in links:
        if newest is not None and link.slot is not None:
            before = max(2 * newest - link.slot, asking.slot + 1 if asking is not None else 0)
            slot = _slot_between(state, link.upstream, link.slot, before)
            if slot is not None:
                return link.upstream, slot
    return None


def _slot_between(state: LiveState, upstream: str, after: int, before: int) -> int | None:
    """The first slot of a job strictly between two times that has not ended yet. A job that is paused or disabled has none
    to come."""
    going = [own_slot(state.runs[number]) for number in state.active.get(upstream, ())]
    found = [slot for slot in going if slot is not None and after < slot < before]
    flow = state.plan.flows.get(state.plan.flow_of.get(upstream, ""))
    if flow is None or _idle(state, flow, upstream) or all(_idle(state, flow, root) for root in flow.roots):
        return min(found, default=None)
    for trigger in flow.triggers:
        places = [cursor.at for root in flow.roots if (cursor := state.cursors.get((root, trigger.key))) is not None]
        to_come = trigger.schedule.next_after(max(after, min(places))) if places else None
        if to_come is not None and to_come < before:
            found.append(to_come)
    return min(found, default=None)


def _idle(state: LiveState, flow: Flow, job: str) -> bool:
    return job in state.pauses or not flow.jobs[job].enabled


def counting(state: LiveState, flow: Flow) -> tuple[dict[str, int], int | None]:
    """The runs whose ends count now, by their jobs, and the newest of their slots."""
    new = [link for link in links_of(state, flow) if link.new and link.run is not None]
    counted = {link.upstream: link.run for link in new if link.run is not None}
    return counted, max((link.slot for link in new if link.slot is not None), default=None)
