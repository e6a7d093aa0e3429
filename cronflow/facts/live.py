"""The live state for readers, with and without a daemon: what waits for what, by the engine's own rules (`core.run.blockers`,
`core.edges`). Only `why` loads it, and commands that look at flows which come after others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cronflow.facts.known import KnownJobs
from cronflow.store.queries import History

if TYPE_CHECKING:
    from cronflow.core.state import LiveState


def live_state(history: History, known: KnownJobs, now: float, draining: bool = False) -> LiveState:
    """The live state, as a daemon that is up, and perhaps `draining`, would have it. A new edge in the job file has no ends
    yet."""
    from cronflow.core.jobs import JobSet, Settings  # with the state 8 ms that most commands need not pay
    from cronflow.store.loading import load_waits
    from cronflow.store.standing import pauses

    edges = has_edges(known)
    state: LiveState = load_waits(history.db, edges)
    state.jobs = JobSet(known.jobs, settings=Settings(max_running=known.max_running), pools=known.pools)
    state.plan, state.pauses = known.plan, pauses(history, now)
    state.up_since, state.draining = now, draining
    if edges:
        from cronflow.core.edges.edge_state import follow_plan
        from cronflow.core.effects import Effects
        from cronflow.core.turn import Turn

        follow_plan(Turn(state, Effects(), now))
    return state


def edges_state(history: History, known: KnownJobs, now: float) -> LiveState | None:
    """The live state if a flow comes after another, else None."""
    return live_state(history, known, now) if has_edges(known) else None


def has_edges(known: KnownJobs) -> bool:
    """Whether any flow comes after another."""
    return any(flow.external_edges for flow in known.plan.flows.values())
