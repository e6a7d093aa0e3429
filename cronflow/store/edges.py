"""What edges between flows hang on, as far as the database tells it: the ends that roots have heard of, slots that wait, and
the runs that go on. The engine's own rules are then asked about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from cronflow.core.plan.flow import Plan
from cronflow.core.records import Pause
from cronflow.store.queries import History
from cronflow.store.rows import CURSORS, LINKS

if TYPE_CHECKING:
    from cronflow.core.state import LiveState


def edges(history: History, plan: Plan, pauses: Mapping[str, Pause]) -> LiveState | None:
    """The live state without all that `core.rounds` does not ask for; None where no flow comes after another. An edge that no
    daemon has loaded yet has heard of no end."""
    if not any(flow.outer for flow in plan.flows.values()):
        return None
    from cronflow.core.edges import edge_state  # with the state 8 ms that most job files need not pay
    from cronflow.core.effects import Effects
    from cronflow.core.state import LiveState
    from cronflow.core.turn import Turn

    state = LiveState(plan=plan, pauses=dict(pauses))
    for row in history.db.execute(LINKS.select):
        link = LINKS.object(row)
        state.links[link.job, link.upstream] = link
    edge_state.follow_plan(Turn(state, Effects(), 0.0))
    for row in history.db.execute(CURSORS.select):
        cursor = CURSORS.object(row)
        state.cursors[cursor.job, cursor.trigger_key] = cursor
    for record in history.records(history.live_runs()):
        run = record.run
        state.runs[run.id] = run
        for task in run.tasks.values():
            if not task.final:
                state.busy.setdefault(task.job, {})[run.id] = None
    return state
