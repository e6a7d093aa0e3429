"""What is decided when jobs of other flows have ended: a root starts, waits on, or has all reports in hand and may not start.
Whatever is decided consumes the ends that counted; none of them counts a second time.
"""

from __future__ import annotations

from cronflow.core.edges.alignment import AskingSlot, counting, verdict
from cronflow.core.edges.edge_state import links_of
from cronflow.core.edges.ends import GO, WAIT
from cronflow.core.plan.flow import Flow
from cronflow.core.records import End, Run
from cronflow.core.run import gates, runs
from cronflow.core.slots import skips
from cronflow.core.turn import Turn


def decide(turn: Turn, flow: Flow) -> bool:
    """Open the run of a flow that starts by its edges alone, or say why not. True if anything was decided."""
    state = turn.state
    answer = verdict(state, flow)
    if answer is WAIT:
        return False
    if flow.disabled:
        consume_ends(turn, flow)
        return False
    run = runs.new_after(turn, flow, *counting(state, flow))
    if isinstance(answer, End):
        _tell_blocked(turn, flow, answer, run)
        return True
    consume_ends(turn, flow)
    excluded = skips.all_excluded(state, flow)
    for root in excluded[1] if excluded is not None else ():
        skips.use_up(turn, root, 1)
    admission = gates.Refused(excluded[0]) if excluded is not None else gates.admit(turn, flow.settings_root, flow.jobs, run.id)
    if isinstance(admission, gates.Refused):
        runs.record(turn, run, admission.reason)
        return True
    if admission is WAIT:
        gates.hold(turn, run)
    runs.open_run(turn, flow, run, flow.jobs)
    return True


def consume(turn: Turn, flow: Flow, asking: AskingSlot) -> dict[str, int] | None:
    """The runs whose ends let a slot of this flow start, which are consumed by that; None while it has to wait. A flow that waits
    for no other one consumes nothing."""
    if not flow.external_edges:
        return {}
    if verdict(turn.state, flow, asking) is not GO:
        return None
    counted, _ = counting(turn.state, flow)
    consume_ends(turn, flow)
    return counted


def consume_ends(turn: Turn, flow: Flow) -> None:
    """A decision has been made: no end that there is now counts a second time."""
    for link in links_of(turn.state, flow):
        if link.new or link.blocked is not None:
            link.new, link.blocked = False, None
            turn.save(link)


def _tell_blocked(turn: Turn, flow: Flow, end: End, run: Run) -> None:
    """One run tells that the edges are not met. It consumes nothing: while it stands, only its reason changes."""
    links = links_of(turn.state, flow)
    number = next((link.blocked for link in links if link.blocked is not None), None)
    if number is None:
        runs.open_blocked(turn, flow, run, end)
        number = run.id
    else:
        runs.amend(turn, number, flow.roots, end, run.upstreams)
    for link in links:
        if link.new and link.blocked != number:
            link.blocked = number
            turn.save(link)
