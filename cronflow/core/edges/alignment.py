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
from cronflow.core.run import runs
from cronflow.core.slots import skips
from cronflow.core.state import LiveState
from cronflow.core.turn import Turn

# ---- what is looked at ----------------------------------------------------------------------------------------------------


class Own(NamedTuple):
    """A slot of the roots that asks, and the one that comes after it."""

    slot: int
    following: int | None


def verdict(state: LiveState, flow: Flow, own: Own | None = None) -> Answer | End:
    """What the edges from other flows say: the roots go, wait, or end without running. They start together, as soon as the edges
    are met for one of them."""
    answers = [_verdict(state, flow, root, own) for root in flow.roots]
    if GO in answers:
        return GO
    return next((answer for answer in answers if answer is not WAIT), WAIT)


def _verdict(state: LiveState, flow: Flow, root: str, own: Own | None) -> Answer | End:
    links = [(edge, state.links[root, edge.job]) for edge in flow.outer]
    ends = [(edge, end_told(link) if link.new else None) for edge, link in links]
    answer = judge(flow.jobs[root], ends)
    new = [link for _, link in links if link.new]
    if answer is WAIT or awaited(state, new, own) is not None or (own is not None and for_the_next(new, own)):
        return WAIT
    return answer


def for_the_next(links: Sequence[Link], own: Own) -> bool:
    """Whether the newest of these ends is nearer to the following slot than to the one that asks."""
    newest = _newest(links)
    return newest is not None and own.following is not None and abs(own.following - newest) < abs(newest - own.slot)


def _newest(links: Sequence[Link]) -> int | None:
    return max((link.slot for link in links if link.slot is not None), default=None)


def end_told(link: Link) -> JobEnd:
    assert link.state is not None
    return JobEnd(link.state, link.upstream, link.upstream if link.failed else None)


def awaited(state: LiveState, links: Sequence[Link], own: Own | None = None) -> tuple[str, int] | None:
    """An upstream, and a slot of it, that the ends of these links have to wait for, because it belongs to their round."""
    newest = _newest(links)
    for link in links:
        if newest is not None and link.slot is not None:
            before = max(2 * newest - link.slot, own.slot + 1 if own is not None else 0)
            slot = _slot_between(state, link.upstream, link.slot, before)
            if slot is not None:
                return link.upstream, slot
    return None


def _slot_between(state: LiveState, upstream: str, after: int, before: int) -> int | None:
    """The first slot of a job strictly between two times that has not ended yet. A job that is paused or disabled has none
    to come."""
    going = [own_slot(state.runs[number]) for number in state.busy.get(upstream, ())]
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


# ---- decisions ------------------------------------------------------------------------------------------------------------


def decide(turn: Turn, flow: Flow) -> bool:
    """Open the run of a flow that starts by its edges alone, or say why not."""
    state = turn.state
    answer = verdict(state, flow)
    if answer is WAIT:
        return False
    if flow.dormant:
        use_up(turn, flow)
        return False
    counted, slot = counting(state, flow)
    if isinstance(answer, End):
        _tell_blocked(turn, flow, answer, counted, slot)
        return True
    use_up(turn, flow)
    nobody = skips.nobody(state, flow)
    for root in nobody[1] if nobody is not None else ():
        skips.use_up(turn, root, 1)
    refusal = nobody[0] if nobody is not None else runs.admit(turn, flow.head, flow.jobs)
    if isinstance(refusal, str):
        runs.record_after(turn, flow, counted, slot, refusal)
    else:
        runs.open_after(turn, flow, counted, slot, held=refusal)
    return True


def take(turn: Turn, flow: Flow, own: Own) -> dict[str, int] | None:
    """The runs whose ends let a slot of this flow start, which are used up by that; None while it has to wait. A flow that waits
    for no other one takes nothing."""
    if not flow.outer:
        return {}
    if verdict(turn.state, flow, own) is not GO:
        return None
    counted, _ = counting(turn.state, flow)
    use_up(turn, flow)
    return counted


def counting(state: LiveState, flow: Flow) -> tuple[dict[str, int], int | None]:
    """The runs whose ends count now, by their jobs, and the newest of their slots."""
    new = [link for link in links_of(state, flow) if link.new and link.run is not None]
    counted = {link.upstream: link.run for link in new if link.run is not None}
    return counted, max((link.slot for link in new if link.slot is not None), default=None)


def use_up(turn: Turn, flow: Flow) -> None:
    """A decision has been made: no end that there is now counts a second time."""
    for link in links_of(turn.state, flow):
        if link.new or link.blocked is not None:
            link.new, link.blocked = False, None
            turn.save(link)


def _tell_blocked(turn: Turn, flow: Flow, end: End, counted: dict[str, int], slot: int | None) -> None:
    """One run tells that the edges are not met. It uses up nothing: while it stands, only its reason changes."""
    links = links_of(turn.state, flow)
    number = next((link.blocked for link in links if link.blocked is not None), None)
    if number is None:
        number = runs.open_aside(turn, flow, end, counted, slot)
    else:
        runs.amend(turn, number, flow.roots, end, counted)
    for link in links:
        if link.new and link.blocked != number:
            link.blocked = number
            turn.save(link)
