"""Edges between flows, looked at from the history after each step: nothing starts before its round is complete, and nothing waits
that could have started."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cronflow.core.effects import Effects
from cronflow.core.events import Event, Reloaded, Started
from cronflow.core.records import FINAL, Link, Run
from cronflow.core.tables import LINKS, PAUSES, RUNS

if TYPE_CHECKING:
    from tests.world.world import World

OF_A_ROUND = ("schedule", "every", "at", "catchup", "retry")


def check_rounds(world: World, event: Event, out: Effects) -> None:
    """The decisions of one step about roots that start by their edges alone. One at which the job file or a pause changed may
    have been right before that."""
    state = world.state
    assert state is not None
    if isinstance(event, Started | Reloaded) or out.of(PAUSES) or not state.slots or state.draining:
        return
    for run in out.of(RUNS).values():
        if run is None or run.trigger != "after" or run.created_at != world.now:
            continue
        if run.upstreams and len(run.roots) == 1 and not run.aside:
            ends = {upstream: world.store.run(number) for upstream, number in run.upstreams.items()}
            found = missing(world, {upstream: _slot(end) for upstream, end in ends.items()}, world.now)
            assert found is None, f"run {run.id} of {run.flow} starts without slot {found}, by {run.upstreams}"
    for root in {root for root, _ in out.of(LINKS)}:
        flow = state.plan.flows[state.plan.flow_of[root]]
        links = [state.links[root, edge.job] for edge in flow.external_edges]
        if flow.roots != (root,) or flow.triggers or flow.disabled or any(link.look for link in links):
            continue
        good = [link.new and _met(edge.condition, link) for edge, link in zip(flow.external_edges, links, strict=True)]
        if any(good) if flow.settings_root.join == "any" else all(good):
            found = missing(world, {link.upstream: link.slot for link in links if link.new}, math.inf)
            assert found is not None, f"{root} does not start, though nothing is missing: {links}"


def _slot(run: Run | None) -> int | None:
    """The slot of a run, or the last one of a row, if it belongs to a round."""
    if run is None or (run.trigger not in OF_A_ROUND and run.tasks) or (run.trigger == "retry" and run.trigger_key is None):
        return None
    return run.slot_last if run.slot_last is not None else run.slot


def missing(world: World, ends: dict[str, int | None], opened: float) -> tuple[str, int] | None:
    """An upstream and a slot of it, later than that of its end and nearer to the newest of all, that has not ended: still to
    come, or in a run opened before a time, since what goes on in the same step may have begun after the decision."""
    newest = max((slot for slot in ends.values() if slot is not None), default=0)
    for upstream, slot in ends.items():
        if slot is not None:
            found = min(_open_slots(world, upstream, slot, 2 * newest - slot, opened), default=None)
            if found is not None:
                return upstream, found
    return None


def _open_slots(world: World, job: str, after: int, before: int, opened: float) -> Iterable[int]:
    """Slots of a job between two times that go on, in runs opened before a time, or are still to come."""
    state = world.state
    assert state is not None
    words, final = ", ".join("?" * len(OF_A_ROUND)), ", ".join("?" * len(FINAL))
    sql = (
        f"SELECT runs.slot FROM runs JOIN tasks ON run = id WHERE job = ? AND runs.slot > ? AND runs.slot < ?"
        f" AND created_at < ? AND trigger IN ({words}) AND tasks.state NOT IN ({final})"
        " AND (trigger != 'retry' OR trigger_key IS NOT NULL)"
    )
    found = world.store.connection.execute(sql, (job, after, before, opened, *OF_A_ROUND, *FINAL))
    yield from (row[0] for row in found)
    flow = state.plan.flows.get(state.plan.flow_of.get(job, ""))
    awake = {name for name, one in flow.jobs.items() if one.enabled and name not in state.pauses} if flow else set()
    if flow is None or job not in awake or not awake & set(flow.roots):
        return
    for trigger in flow.triggers:
        sql = f"SELECT min(at) FROM cursors WHERE trigger_key = ? AND job IN ({', '.join('?' * len(flow.roots))})"
        (done,) = world.store.connection.execute(sql, (trigger.key, *flow.roots)).fetchone()
        slot = trigger.schedule.next_after(max(after, done)) if done is not None else None
        if slot is not None and slot < before:
            yield slot


def _met(condition: str, link: Link) -> bool:
    if condition == "success":
        return link.state == "success"
    if condition == "failure":
        return link.failed
    return condition == "done" or link.state in ("success", "skipped")
