"""Triggers: what makes them the very same, moments, boots, watched files, delays and calendars."""

from __future__ import annotations

import pytest

from cronflow.core import events as happened
from cronflow.core.engine import next_wakeup
from cronflow.core.flow import plan
from cronflow.core.triggers import triggers_of
from tests.core.stage import MIDNIGHT, Stage, job

HOUR = 3600.0


def keys(one: object) -> list[str]:
    return [trigger.key for trigger in triggers_of(one)]  # type: ignore[arg-type]


# ---- boots ----------------------------------------------------------------------------------------------------------------


def reboot(stage: Stage, boot: str, after: float = 60.0) -> None:
    stage.boot = boot
    stage.restart(after)


def test_a_boot_starts_it_once_and_the_first_load_does_not() -> None:
    stage = Stage(job("a", schedule="@reboot"))
    assert stage.rows() == []
    stage.restart(10.0)
    assert stage.rows() == [], "the same boot"
    reboot(stage, "second")
    assert stage.rows() == [(1, "a", "reboot", "running", None, 1)]
    assert stage.state.runs[1].slot == int(stage.now)
    stage.end("1/a/1")
    stage.restart(10.0)
    assert len(stage.rows()) == 1


def test_several_boots_while_nobody_was_there_are_one() -> None:
    stage = Stage(job("a", schedule="@reboot", catchup="none"))
    reboot(stage, "fifth", 5 * 86400)
    assert [row[2:4] for row in stage.rows()] == [("reboot", "running")]


def test_a_reload_in_the_same_boot_starts_nothing() -> None:
    stage = Stage(job("b"))
    stage.reload(job("a", schedule="@reboot"), job("b"))
    stage.restart()
    assert stage.rows() == []
    reboot(stage, "second")
    assert [row[1] for row in stage.rows()] == ["a"]


def test_a_boot_that_is_not_known_starts_nothing() -> None:
    stage = Stage(job("a", schedule="@reboot"))
    stage.boot = None
    stage.restart(60.0)
    assert stage.rows() == []


def test_a_paused_job_does_not_start_at_boot_and_the_slot_is_recorded() -> None:
    stage = Stage(job("a", schedule="@reboot"))
    stage.ask(happened.PauseAsked, ("a",))
    reboot(stage, "second")
    reboot(stage, "third")
    assert stage.rows() == [(1, "a", "reboot", "skipped", "paused", 2)]
    stage.ask(happened.ResumeAsked, ("a",))
    stage.restart()
    assert len(stage.rows()) == 1


def test_boot_and_timetable_are_triggers_of_their_own() -> None:
    both = job("a", overlap="queue")._replace(schedule=("@reboot", "0 6 * * *"))
    assert [trigger.kind for trigger in triggers_of(both)] == ["schedule", "reboot"]
    stage = Stage(both)
    reboot(stage, "second", 3 * HOUR)
    stage.end("1/a/1")
    stage.at(6 * HOUR)
    assert [row[2] for row in stage.rows()] == ["reboot", "schedule"]


def test_a_flow_starts_at_boot_as_a_whole() -> None:
    stage = Stage(job("a", schedule="@reboot"), job("b", ("a",)), job("c", schedule="@reboot"), job("d", ("b", "c")))
    reboot(stage, "second")
    assert stage.state.runs[1].roots == ("a", "c")
    assert stage.tasks(1) == {"a": "running", "b": "waiting", "c": "running", "d": "waiting"}


def test_a_run_in_the_foreground_leaves_the_boot_to_the_daemon() -> None:
    stage = Stage(job("a", schedule="@reboot"))
    stage.boot = "second"
    stage.state = stage.store.load()
    stage.do(happened.Started(stage.set, plan(stage.set.jobs), None, slots=False, boot="second"))
    assert stage.rows() == []
    stage.restart()
    assert [row[2] for row in stage.rows()] == ["reboot"]


# ---- watched files --------------------------------------------------------------------------------------------------------


def watched(stage: Stage) -> dict[str, str]:
    return dict(stage.store.connection.execute("SELECT path, stamp FROM watched").fetchall())


def paths(stage: Stage) -> list[tuple[int, str]]:
    return stage.store.connection.execute("SELECT run, paths FROM run_paths ORDER BY run").fetchall()


def seen(stage: Stage, *names: str, starts: bool = True) -> None:
    key = next(key for key in keys(stage.set.jobs["a"]) if key.startswith("watch"))
    found = tuple((name, f"stamp of {name}") for name in names)
    stage.do(happened.Triggered(key, names if starts else (), found))


def test_files_start_a_run_that_knows_them() -> None:
    stage = Stage(job("a", watch=("/in/*",)))
    seen(stage, "/in/old", starts=False)
    assert stage.rows() == []
    seen(stage, "/in/1", "/in/2")
    assert stage.rows() == [(1, "a", "watch", "running", None, 1)]
    assert paths(stage) == [(1, '["/in/1", "/in/2"]')]
    assert watched(stage) == {name: f"stamp of {name}" for name in ("/in/old", "/in/1", "/in/2")}


def test_a_file_that_is_gone_is_forgotten() -> None:
    stage = Stage(job("a", watch=("/in/*",)))
    seen(stage, "/in/1", starts=False)
    key = keys(stage.set.jobs["a"])[0]
    stage.do(happened.Triggered(key, seen=(("/in/1", None),)))
    assert watched(stage) == {}


def test_two_changes_in_one_second_are_two_slots() -> None:
    stage = Stage(job("a", watch=("/in/*",), overlap="allow"))
    for name in ("1", "2", "3"):
        seen(stage, name)
    slots = [run.slot for run in stage.state.runs.values()]
    assert len(slots) == len(set(slots)) == 3
    assert stage.state.cursors == stage.store.load().cursors
    assert next_wakeup(stage.state) is None


def test_what_overlap_refuses_is_a_row_and_the_files_are_known() -> None:
    stage = Stage(job("a", watch=("/in/*",)))
    for name in ("1", "2", "3"):
        seen(stage, name)
    assert stage.rows() == [(1, "a", "watch", "running", None, 1), (2, "a", "watch", "skipped", "overlap", 2)]
    assert [number for number, _ in paths(stage)] == [1]
    assert len(watched(stage)) == 3


def test_a_queued_run_keeps_its_files() -> None:
    stage = Stage(job("a", watch=("/in/*",), overlap="queue"))
    seen(stage, "1")
    seen(stage, "2")
    assert [(run.id, run.held) for run in stage.state.runs.values()] == [(1, False), (2, True)]
    assert paths(stage) == [(1, '["1"]'), (2, '["2"]')]


def test_while_it_drains_nothing_starts_and_the_files_will_be_found_again() -> None:
    stage = Stage(job("a", watch=("/in/*",)))
    stage.do(happened.DrainAsked("anna", "stop"))
    seen(stage, "1")
    assert stage.rows() == []
    assert watched(stage) == {}


def test_one_watch_of_two_flows_starts_both() -> None:
    stage = Stage(job("a", watch=("/x", "/y")), job("b", watch=("/y", "/x")), job("c", watch=("/x",)))
    seen(stage, "/x")
    assert [row[1] for row in stage.rows()] == ["a", "b"]
    assert paths(stage) == [(1, '["/x"]'), (2, '["/x"]')]


def test_a_key_that_is_gone_starts_nothing() -> None:
    stage = Stage(job("a", watch=("/x",)))
    stage.do(happened.Triggered("watch 2 /elsewhere", ("/elsewhere",)))
    assert stage.rows() == []


@pytest.mark.parametrize("catchup", ["last", "all", "none"])
def test_there_is_no_event_to_catch_up(catchup: str) -> None:
    stage = Stage(job("a", watch=("/x",), catchup=catchup), now=MIDNIGHT + 0.7)
    stage.now += 0.1
    seen(stage, "/x")
    assert stage.rows() == [(1, "a", "watch", "running", None, 1)]
    stage.end("1/a/1")
    stage.restart(5 * HOUR)
    assert len(stage.rows()) == 1
