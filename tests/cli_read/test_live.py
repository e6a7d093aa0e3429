"""What the command line reads of edges between flows is what the engine goes by."""

from __future__ import annotations

from cronflow.core.edges import alignment
from cronflow.core.plan.flow import plan
from cronflow.core.state import LiveState
from cronflow.facts.known import KnownJobs
from cronflow.facts.live import edges_state
from cronflow.store.queries import History
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600.0
DAY = 86400.0


def read(stage: Stage) -> LiveState | None:
    return edges_state(History(stage.store.connection), KnownJobs({}, stage.state.plan), stage.now)


def said(state: LiveState | None) -> list[list[object]]:
    """Everything that the rules say about the edges of each flow."""
    assert state is not None
    flows = [flow for flow in state.plan.flows.values() if flow.external_edges]
    new = [[state.links[flow.settings_root.name, edge.job] for edge in flow.external_edges] for flow in flows]
    late = [alignment.awaited(state, [link for link in links if link.new]) for links in new]
    waits = sorted((run.id, run.gate, run.gate_until) for run in state.runs.values())
    busy = {name: list(runs) for name, runs in state.active.items() if runs}
    return [[alignment.verdict(state, flow) for flow in flows], list(late), list(waits), [busy]]


def test_the_rules_say_the_same_of_what_was_read() -> None:
    stage = Stage(
        job("a", schedule="0 4 * * *"),
        job("b", schedule="30 4 * * *"),
        job("c", ("a", "b")),
        job("d", ("a",), schedule="0 5 * * *"),
        job("e", {"b": "failure"}, schedule="@hourly", after_timeout=2 * HOUR),
    )
    seen: list[list[object]] = []
    for day, code in ((0, 1), (1, 0)):
        for hour in (4.0, 4.25, 4.5, 4.75, 5.0, 7.5):
            stage.at(day * DAY + hour * HOUR)
            if hour in (4.25, 4.75):
                job_ended, status = ("a", code) if hour < 4.5 else ("b", 0)
                stage.end([ref for ref in stage.started if f"/{job_ended}/" in ref][-1], status)
            assert said(read(stage)) == said(stage.state)
            seen.append(said(stage.state)[1])
    assert any(("b", MIDNIGHT + DAY + 4.5 * HOUR) in late for late in seen), "a round was waited for"


def test_without_edges_between_flows_nothing_is_read() -> None:
    stage = Stage(job("a", schedule="0 4 * * *"), job("b", ("a",)))
    stage.at(4 * HOUR)
    assert read(stage) is None


def test_an_edge_that_no_daemon_has_loaded_has_heard_of_no_end() -> None:
    stage = Stage(job("a"), job("b", schedule="@hourly"))
    edited = plan({one.name: one for one in (job("a"), job("b", schedule="@hourly"), job("c", ("a", "b")))})
    state = edges_state(History(stage.store.connection), KnownJobs({}, edited), stage.now)
    assert {key: link.new for key, link in state.links.items()} == {("c", "a"): False, ("c", "b"): False}
