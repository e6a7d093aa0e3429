"""What another reading of the job file would change."""

from __future__ import annotations

import json

from cronflow.core.jobs import AlertTarget, Job, JobSet, Settings
from cronflow.core.plan.changes import HIDDEN, FlowChange, KeyChange, SlotChange, compare
from cronflow.core.plan.effective import as_plain, effective_config, from_plain
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600


def changed(before: list[Job], after: list[Job]):  # type: ignore[no-untyped-def]  # Changes, to be read by its fields
    return compare(effective_config(Stage.jobset(*before)), effective_config(Stage.jobset(*after)), MIDNIGHT)


def test_the_same_is_no_change() -> None:
    jobs = [job("a", schedule="0 1 * * *", env={"A": "1"}), job("b", ("a",))]
    assert not changed(jobs, jobs)


def test_it_is_the_same_after_a_journey_as_json() -> None:
    jobs = JobSet(
        {"a": job("a", schedule="0 1 * * *", env={"A": "1"}, retry_on=(1, "lost")), "b": job("b", {"a": "failure"})},
        {"ops": AlertTarget("ops", ("slack://token",))},
        Settings(max_running=3),
        "Europe/Berlin",
        (),
        {"db": 2},
        {"holidays": frozenset({740000, 740001})},
    )
    text = json.dumps(as_plain(jobs))
    assert "token" not in text, "URLs stay where they are"
    assert from_plain(json.loads(text)) == effective_config(jobs)


def test_jobs_come_go_and_change_key_by_key() -> None:
    before = [job("a", schedule="0 1 * * *", env={"A": "1", "B": "2"}), job("gone")]
    after = [job("a", schedule="0 1 * * *", env={"A": "1", "B": "3"}, retries=2, tags=("x",)), job("new")]
    found = changed(before, after)
    assert (found.added, found.removed) == (["new"], ["gone"])
    assert found.edited == {"a": [KeyChange("tags", [], ["x"]), KeyChange("env.B", "2", "3"), KeyChange("retries", 0, 2)]}
    assert (found.flows, found.slots, found.settings) == ([], [], [])


def test_slots_that_move_are_counted_anew() -> None:
    found = changed([job("a", schedule="0 1 * * *")], [job("a", schedule="0 2 * * *")])
    assert found.slots == [SlotChange("a", int(MIDNIGHT) + HOUR, int(MIDNIGHT) + 2 * HOUR, True)]
    found = changed([job("a", schedule="0 1 * * *")], [job("a", schedule="0 1,5 * * *")])
    assert found.slots == [SlotChange("a", int(MIDNIGHT) + HOUR, int(MIDNIGHT) + HOUR, True)]
    assert changed([job("a", schedule="0 0 * * *")], [job("a", schedule="@daily")]).slots == []


def test_a_job_that_is_disabled_or_goes_has_no_next_slot() -> None:
    found = changed([job("a", schedule="0 1 * * *"), job("b", every=7200)], [job("a", schedule="0 1 * * *", enabled=False)])
    assert found.slots == [SlotChange("a", int(MIDNIGHT) + HOUR, None), SlotChange("b", int(MIDNIGHT) + 2 * HOUR, None)]


def test_flows_merge_split_and_get_other_names() -> None:
    apart = [job("a", schedule="0 1 * * *"), job("b", schedule="0 1 * * *")]
    together = [*apart, job("c", ("a", "b"))]
    assert changed(apart, together).flows == [FlowChange("merge", ("a", "b"), ("a",))]
    assert changed(together, apart).flows == [FlowChange("split", ("a",), ("a", "b"))]
    first = [job("z"), job("a", ("z",))]
    assert changed([job("a")], first).flows == [FlowChange("rename", ("a",), ("z",))]


def test_limits_pools_and_calendars_and_of_alerts_only_that_they_differ() -> None:
    before = JobSet({}, {"ops": AlertTarget("ops", ("a://1",)), "old": AlertTarget("old")}, Settings(), "UTC", (), {"db": 2})
    after = JobSet(
        {}, {"ops": AlertTarget("ops", ("a://2",))}, Settings(max_running=3), "Asia/Tokyo", (), {}, {"h": frozenset({1})}
    )
    assert compare(effective_config(before), effective_config(after), MIDNIGHT).settings == [
        KeyChange("timezone", "UTC", "Asia/Tokyo"),
        KeyChange("settings.max_running", 64, 3),
        KeyChange("pools.db", 2, None),
        KeyChange("calendars.h", None, HIDDEN),
        KeyChange("alerts.ops", HIDDEN, HIDDEN),
        KeyChange("alerts.old", HIDDEN, None),
    ]
