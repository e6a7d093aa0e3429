"""Which jobs are one flow, in which order, and what `faults` says about graphs that are none."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from cronflow.core.jobs import Edge, Job
from cronflow.core.plan.flow import faults, plan


def job(name: str, *after: str, schedule: str | None = None, **keys: object) -> Job:
    edges = tuple(Edge(upstream) for upstream in after)
    return Job(name, "true", schedule=(schedule,) if schedule else (), after=edges, **keys)  # type: ignore[arg-type]


def table(*jobs: Job) -> dict[str, Job]:
    return {one.name: one for one in jobs}


def flows(*jobs: Job) -> dict[str, list[str]]:
    assert faults(table(*jobs)) == []
    return {name: list(flow.jobs) for name, flow in plan(table(*jobs)).flows.items()}


def test_a_job_after_another_belongs_to_its_flow() -> None:
    assert flows(job("b", "a"), job("a", schedule="@daily"), job("c", "b")) == {"a": ["a", "b", "c"]}


def test_jobs_without_edges_are_flows_of_their_own_even_with_the_same_trigger() -> None:
    assert flows(job("a", schedule="@daily"), job("b", schedule="@daily")) == {"a": ["a"], "b": ["b"]}


def test_roots_with_the_very_same_trigger_are_joined_by_a_common_downstream() -> None:
    """`@daily` and `0 0 * * *` are the very same; the flow bears the name of the first root of the file."""
    found = plan(table(job("x", schedule="0 0 * * *"), job("y", schedule="@daily"), job("z", "x", "y")))
    assert list(found.flows) == ["x"]
    assert found.flows["x"].roots == ("x", "y")


def test_roots_are_joined_over_common_members() -> None:
    jobs = [job(name, schedule="@daily") for name in ("a", "b", "c")] + [job("ab", "a", "b"), job("bc", "b", "c")]
    assert flows(*jobs) == {"a": ["a", "b", "c", "ab", "bc"]}


def test_jobs_that_start_only_by_hand_count_as_the_same_trigger() -> None:
    assert flows(job("a"), job("b"), job("c", "a", "b")) == {"a": ["a", "b", "c"]}


def test_a_job_whose_trigger_is_that_of_its_upstream_is_of_its_flow_and_a_root() -> None:
    found = plan(table(job("a", schedule="0 4 * * *"), job("b", "a", schedule="0 4 * * *")))
    assert found.flows["a"].roots == ("a", "b")


def test_every_of_an_hour_in_minutes_is_the_very_same() -> None:
    found = plan(table(Job("a", "true", every=3600), Job("b", "true", every=3600), job("c", "a", "b")))
    assert list(found.flows) == ["a"]


def test_another_zone_is_another_trigger() -> None:
    jobs = table(job("a", schedule="@daily"), job("b", schedule="@daily", timezone="Europe/Berlin"), job("c", "a", "b"))
    assert faults(jobs) == []
    flows = plan(jobs).flows
    assert list(flows) == ["a", "b", "c"]
    assert [edge.job for edge in flows["c"].external_edges] == ["a", "b"]
    assert (flows["a"].external_edges, flows["c"].triggers) == ((), ())


def test_a_trigger_of_its_own_behind_another_flow() -> None:
    flows = plan(table(job("a", schedule="@daily"), job("b", "a", schedule="@hourly"), job("c", "b"))).flows
    assert {name: list(flow.jobs) for name, flow in flows.items()} == {"a": ["a"], "b": ["b", "c"]}
    assert [edge.job for edge in flows["b"].external_edges] == ["a"]
    assert len(flows["b"].triggers) == 1


def test_jobs_with_the_same_edges_from_other_flows_are_joined_by_a_common_one() -> None:
    jobs = [job("a", schedule="@daily"), job("b", schedule="@hourly"), job("c", "a", "b"), job("d", "b", "a")]
    assert list(plan(table(*jobs)).flows) == ["a", "b", "c", "d"]
    assert plan(table(*jobs, job("e", "c", "d"))).flows["c"].roots == ("c", "d")


def test_a_job_with_an_upstream_elsewhere_joins_nothing() -> None:
    jobs = table(job("a", schedule="@hourly"), job("r", schedule="@daily"), job("j", "a", schedule="@daily"), job("m", "j", "r"))
    assert list(plan(jobs).flows) == ["a", "r", "j", "m"]


def test_an_unknown_upstream_has_a_suggestion() -> None:
    (fault,) = faults(table(job("extract", schedule="@daily"), job("load", "extrakt")))
    assert fault.key == "after.extrakt"
    assert fault.hint == "did you mean `extract`?"


def test_a_cycle_is_printed_as_a_path() -> None:
    (fault,) = faults(table(job("load", "clean"), job("clean", "fetch"), job("fetch", "load")))
    assert fault.message == "jobs wait for each other: `load` -> `clean` -> `fetch` -> `load`"
    assert fault.places == (("clean", "after"), ("fetch", "after"))


def test_a_job_after_itself() -> None:
    (fault,) = faults(table(job("a", "a")))
    assert fault.message == "job `a` comes after itself"


def test_two_cycles_are_two_faults() -> None:
    found = faults(table(job("a", "b"), job("b", "a"), job("c", "d"), job("d", "c"), job("e", "a", "c")))
    assert len(found) == 2


@pytest.mark.parametrize("seed", range(50))
def test_the_path_of_a_cycle_is_one(seed: int) -> None:
    rng = random.Random(seed)
    names = [f"j{number}" for number in range(8)]
    jobs = table(*(job(name, *rng.sample(names, rng.choice((0, 1, 2)))) for name in names))
    for fault in faults(jobs):
        path = [part.strip("` ") for part in fault.message.partition(": ")[2].split("->")]
        for downstream, upstream in pairwise(path):
            assert upstream in {edge.job for edge in jobs[downstream].after}


def test_roots_that_disagree_name_both_places() -> None:
    jobs = table(job("a", schedule="@daily", overlap="skip"), job("b", schedule="@daily", overlap="queue"), job("c", "a", "b"))
    (fault,) = faults(jobs)
    assert (fault.job, fault.key, fault.places) == ("b", "overlap", (("a", "overlap"),))


def test_the_order_of_a_flow_puts_each_job_after_its_upstreams() -> None:
    rng = random.Random(7)
    for _ in range(50):
        names = [f"j{number}" for number in range(12)]
        jobs = [job("j0", schedule="@daily")]
        jobs += [job(name, *rng.sample(names[:at], min(at, 2))) for at, name in enumerate(names) if at]
        rng.shuffle(jobs)
        order = list(plan(table(*jobs)).flows["j0"].jobs)
        for one in jobs:
            assert all(order.index(edge.job) < order.index(one.name) for edge in one.after)


def test_ten_thousand_jobs_in_a_chain() -> None:
    jobs = table(job("j0"), *(job(f"j{at}", f"j{at - 1}") for at in range(1, 10_000)))
    assert faults(jobs) == []
    assert len(plan(jobs).flows["j0"].jobs) == 10_000
