"""Slots that wait for jobs of other flows, and roots that start when these end: looked at whenever one of them has.

A slot that waits stands behind its cursor; newer ones line up behind it. It is let go when the edges are met. When its time is
over it is `blocked`, if an upstream has ended since and does not meet its condition, or if `after_timeout` has passed; else it is
a row `skipped` (`upstream_not_new`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from cronflow.core.edges import alignment
from cronflow.core.edges.edge_state import links_of
from cronflow.core.edges.ends import GO, met
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Cursor, End
from cronflow.core.run import runs
from cronflow.core.slots import due
from cronflow.core.slots.due import Line
from cronflow.core.state import LiveState
from cronflow.core.time.schedule import Schedule
from cronflow.core.time.triggers import Trigger
from cronflow.core.turn import Turn


def look(turn: Turn) -> bool:
    """Look at the edges of every root of which an upstream has ended since. True if anything was decided."""
    state = turn.state
    decided = False
    while state.looks:
        root = next(iter(state.looks))
        flow = state.plan.flows[state.plan.flow_of[root]]
        for name in flow.roots:
            state.looks.pop(name, None)
        for link in links_of(state, flow):
            if link.look:
                link.look = False
                turn.save(link)
        decided = (_let_go(turn, flow) if flow.triggers else alignment.decide(turn, flow)) or decided
    return decided


def _waiting(state: LiveState, flow: Flow) -> Iterator[tuple[Trigger, Line]]:
    """The slots of a flow that wait, each for the roots that stand at the same place, oldest trigger first."""
    for trigger in flow.triggers:
        places: dict[float, list[Cursor]] = {}
        for cursor in due.cursors_of(state, flow, trigger):
            if cursor.waits is not None:
                places.setdefault(cursor.at, []).append(cursor)
        for cursors in places.values():
            slot = cursors[0].waits
            assert slot is not None
            asked = trigger if trigger.timed else trigger._replace(schedule=Schedule.at((slot,), trigger.schedule.zone))
            delay = trigger.delay(state.jobs.host, flow.name)
            yield trigger, Line(flow, asked, cursors, slot, state.jobs.calendars, delay)


def _let_go(turn: Turn, flow: Flow) -> bool:
    """Open the runs of slots that wait, as far as the edges are met."""
    state = turn.state
    moved = False
    for trigger, line in list(_waiting(state, flow)):
        first = line.cursors[0]
        assert first.waits is not None
        own = line.own(first.waits, first.waits_as or "", turn.now)
        if alignment.verdict(state, flow, own) is not GO:
            continue
        slot, word, number = _decided(turn, line)
        met_at = _met_at(state, flow, turn.now)
        if word != "catchup":
            upstreams = alignment.take(turn, flow, own)
            assert upstreams is not None
            due.admit(turn, line, slot, upstreams, number)
            _pass_over(turn, line, met_at)
        _go_on(turn, flow, trigger)
        moved = True
    return moved


def _decided(turn: Turn, line: Line) -> tuple[int, str, int | None]:
    """Take a slot out of its waiting: the slot, the trigger of its run, and the number that this has already."""
    first = line.cursors[0]
    assert first.waits is not None
    assert first.waits_as is not None
    found = first.waits, first.waits_as, first.waits_run
    for cursor in line.cursors:
        cursor.waits = cursor.waits_until = cursor.waits_as = cursor.waits_run = None
        turn.save(cursor)
    return found


def _met_at(state: LiveState, flow: Flow, now: float) -> float:
    """Since when edges that are met now have been: if the last of the ends came while no daemon was there, since then."""
    assert state.up_since is not None
    last = max((link.ended_at for link in links_of(state, flow) if link.new and link.ended_at is not None), default=now)
    return min(last, now) if last < state.up_since else now


def _pass_over(turn: Turn, line: Line, until: float) -> None:
    """Slots that came while this one waited beyond them, up to the end of its waiting, met `overlap`. What came after that while
    no daemon was there has been missed; one that ran when the clock was ahead is passed by."""
    if not line.trigger.timed or line.cursors[0].lining or line.flow.head.after_timeout is None:
        return
    end = until - line.delay
    while len({cursor.at for cursor in line.cursors}) == 1:
        part = replace(line, until=end)
        if turn.state.ahead and due.has_been(turn, part):
            continue
        due.record(turn, part, part.until, "skipped", "overlap")
        if part.until >= end:
            return


def _go_on(turn: Turn, flow: Flow, trigger: Trigger) -> None:
    if trigger.timed and due.fire(turn, flow, trigger):
        due.push(turn.state, flow, trigger)


# ---- over time ------------------------------------------------------------------------------------------------------------


def follow_plan(turn: Turn) -> None:
    """After a load: slots do not wait for edges that are gone, and a load starts nothing."""
    state = turn.state
    for root in [cursor.job for cursor in state.cursors.values() if cursor.waits is not None]:
        flow = state.plan.flows[state.plan.flow_of[root]]
        if not flow.outer:
            expire(turn, flow, lambda _: True)


def expire_due(turn: Turn, root: str) -> None:
    """The time of a slot that waits may be over."""
    name = turn.state.plan.flow_of.get(root)
    if name is not None:
        flow = turn.state.plan.flows[name]
        expire(turn, flow, lambda cursor: cursor.waits_until is not None and cursor.waits_until <= turn.now)


def expire(turn: Turn, flow: Flow, over: Callable[[Cursor], bool]) -> None:
    """End the waiting of slots of a flow whose time is over."""
    for trigger, line in list(_waiting(turn.state, flow)):
        first = line.cursors[0]
        if not over(first):
            continue
        late = flow.head.after_timeout is not None and first.waits_until is not None and first.waits_until <= turn.now
        until = first.waits_until if late and first.waits_until is not None else turn.now
        end = End("blocked", "after_timeout") if late else _unmet(turn.state, flow)
        slot, word, number = _decided(turn, line)
        if end is None:
            due.record(turn, line, slot, "skipped", "upstream_not_new")
        else:
            _block(turn, line, slot, word, number, end)
            _pass_over(turn, line, until)
        _go_on(turn, flow, trigger)


def _unmet(state: LiveState, flow: Flow) -> End | None:
    """The first edge of which the upstream has ended since, and not as it should have."""
    for root in flow.roots:
        for edge in flow.outer:
            link = state.links[root, edge.job]
            if link.new and not met(edge, alignment.end_told(link)):
                return End("blocked", "upstream_failed", caused_by=edge.job)
    return None


def _block(turn: Turn, line: Line, slot: int, word: str, number: int | None, end: End) -> None:
    """Open a run that tells why a slot does not run."""
    counted, _ = alignment.counting(turn.state, line.flow)
    due.advance(turn, line, slot, None)
    ends = dict.fromkeys(line.flow.roots, end)
    flow, key = line.flow, line.trigger.key
    runs.open_slot(turn, flow, key, line.roots, word, slot, number=number, upstreams=counted, ends=ends)
