"""Runs that wait for jobs of other flows, and roots that start when these end: looked at whenever one of them has.

A slot whose edges are not met has a run that waits; newer slots of its trigger line up behind it. It begins when the edges are
met. When its time is over it is `blocked`, if an upstream has ended since and does not meet its condition, or if
`after_timeout` has passed; else it never begins, and its slot is in a row `skipped` (`upstream_not_new`).
"""

from __future__ import annotations

from dataclasses import replace

from cronflow.core.edges import alignment, decisions
from cronflow.core.edges.edge_state import links_of
from cronflow.core.edges.ends import GO, WAIT, met
from cronflow.core.plan.flow import Flow
from cronflow.core.records import End, Run
from cronflow.core.run import gates, runs
from cronflow.core.slots import due
from cronflow.core.slots.due_slots import DueSlots, trigger_of
from cronflow.core.slots.rows import record, record_run
from cronflow.core.state import LiveState
from cronflow.core.time.schedule import Schedule
from cronflow.core.turn import Turn


def look(turn: Turn) -> bool:
    """Look at the edges of every root of which an upstream has ended since. True if anything was decided."""
    state = turn.state
    decided = False
    while state.dirty_edges:
        root = next(iter(state.dirty_edges))
        flow = state.plan.flows[state.plan.flow_of[root]]
        for name in flow.roots:
            state.dirty_edges.pop(name, None)
        for link in links_of(state, flow):
            if link.look:
                link.look = False
                turn.save(link)
        decided = (_let_go(turn, flow) if flow.triggers else decisions.decide(turn, flow)) or decided
    return decided


def _flow_of(state: LiveState, run: Run) -> Flow | None:
    """The flow to which the roots of a run belong today."""
    return next((state.plan.flows[state.plan.flow_of[root]] for root in run.roots if root in state.plan.flow_of), None)


def slots_of(state: LiveState, flow: Flow, run: Run) -> DueSlots | None:
    """The slot of a run that waits, as one of its trigger; None where the trigger is not in the job file any more."""
    trigger = trigger_of(flow, run.trigger_key or "")
    cursors = [state.cursors[root, run.trigger_key or ""] for root in run.roots if (root, run.trigger_key) in state.cursors]
    if trigger is None or not cursors or run.slot is None:
        return None
    asked = trigger if trigger.timed else trigger._replace(schedule=Schedule.at((run.slot,), trigger.schedule.zone))
    return DueSlots(flow, asked, cursors, run.slot, state.jobs.calendars, trigger.delay(state.jobs.host, flow.name))


def _let_go(turn: Turn, flow: Flow) -> bool:
    """Let the runs of a flow begin that wait, as far as the edges are met."""
    state = turn.state
    moved = False
    for run in gates.waiting_for_edges(state):
        slots = slots_of(state, flow, run) if _flow_of(state, run) is flow else None
        if slots is None or run.slot is None:
            continue
        met_at = _met_at(state, flow, turn.now)
        ends = decisions.consume(turn, flow, slots.asking(run.slot, run.trigger, turn.now))
        if ends is None:
            continue
        _admit(turn, slots, run, ends)
        if run.trigger != "catchup":
            _pass_over(turn, slots, met_at)
        moved = True
    return moved


def _admit(turn: Turn, slots: DueSlots, run: Run, ends: dict[str, int]) -> None:
    """Let a run begin whose edges are met, as far as `overlap` lets it. Runs that are caught up go one after the other."""
    flow = slots.flow
    if run.trigger == "catchup":
        answer: gates.Admission = WAIT if turn.state.in_the_way(flow.jobs) else GO
    else:
        answer = gates.admit(turn, flow.settings_root, flow.jobs, run.id)
    if isinstance(answer, gates.Refused):
        record_run(turn, slots, run, answer.reason)
        return
    _lift(turn, slots, run)
    run.upstreams = ends
    if answer is WAIT:
        gates.hold(turn, run)
    runs.begin(turn, run)


def _lift(turn: Turn, slots: DueSlots, run: Run) -> None:
    gates.lift(turn, run)
    runs.refresh(turn, slots.flow, run)


def _met_at(state: LiveState, flow: Flow, now: float) -> float:
    """Since when edges that are met now have been: if the last of the ends came while no daemon was there, since then."""
    assert state.up_since is not None
    last = max((link.ended_at for link in links_of(state, flow) if link.new and link.ended_at is not None), default=now)
    return min(last, now) if last < state.up_since else now


def _pass_over(turn: Turn, slots: DueSlots, until: float) -> None:
    """Slots that came while one waited beyond them, up to the end of its waiting, met `overlap`. What came after that while no
    daemon was there has been missed; one that ran when the clock was ahead is passed by."""
    if not slots.trigger.timed or slots.cursors[0].catching_up or slots.flow.settings_root.after_timeout is None:
        return
    end = until - slots.delay
    while len({cursor.at for cursor in slots.cursors}) == 1:
        part = replace(slots, until=end)
        if turn.state.already_run and due.has_been(turn, part):
            continue
        record(turn, part, part.until, ("skipped", "overlap"))
        if part.until >= end:
            return


# ---- over time ------------------------------------------------------------------------------------------------------------


def follow_plan(turn: Turn) -> None:
    """After a load: no run waits for edges that are gone, or where its trigger is; and a load starts nothing."""
    state = turn.state
    for run in gates.waiting_for_edges(state):
        flow = _flow_of(state, run)
        if flow is None or slots_of(state, flow, run) is None:
            runs.discard(turn, run)
            runs.record(turn, run, "disabled" if flow is not None and flow.disabled else "edited")
        elif not flow.external_edges:
            expire(turn, run)


def expire(turn: Turn, run: Run) -> None:
    """End the waiting of a run whose time is over."""
    state = turn.state
    flow = _flow_of(state, run)
    slots = slots_of(state, flow, run) if flow is not None else None
    if flow is None or slots is None:
        return
    until = run.gate_until
    late = flow.settings_root.after_timeout is not None and until is not None and until <= turn.now
    end = End("blocked", "after_timeout") if late else _unmet(state, flow)
    if end is None:
        record_run(turn, slots, run, "upstream_not_new")
        return
    counted, _ = alignment.counting(state, flow)
    _lift(turn, slots, run)
    run.upstreams, run.aside = counted, True
    runs.block(turn, run, flow.roots, end)
    _pass_over(turn, slots, until if late and until is not None else turn.now)


def _unmet(state: LiveState, flow: Flow) -> End | None:
    """The first edge of which the upstream has ended since, and not as it should have."""
    for root in flow.roots:
        for edge in flow.external_edges:
            link = state.links[root, edge.job]
            if link.new and not met(edge, alignment.end_told(link)):
                return End("blocked", "upstream_failed", caused_by=edge.job)
    return None
