"""Triggers: what makes them the very same, moments, boots, watched files, delays and calendars."""

from __future__ import annotations

import json
from datetime import date

import pytest

from cronflow.core import events as happened
from cronflow.core.engine import next_wakeup
from cronflow.core.jobs import Job
from cronflow.core.plan.flow import plan
from cronflow.core.records import QUEUE_LIMIT
from cronflow.core.slots.event_slots import must_wait
from cronflow.core.time.schedule import Schedule
from cronflow.core.time.triggers import allowed, count_allowed, last_allowed, next_allowed, triggers_of
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
    assert paths(stage) == [(1, '["/in/1","/in/2"]')]
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


def test_files_that_overlap_would_refuse_wait_for_the_end_of_the_run() -> None:
    stage = Stage(job("a", watch=("/in/*",)))
    seen(stage, "1")
    seen(stage, "2")
    assert stage.rows() == [(1, "a", "watch", "running", None, 1)]
    assert list(watched(stage)) == ["1"]
    assert must_wait(stage.state, keys(stage.set.jobs["a"])[0])
    stage.end("1/a/1")
    assert not must_wait(stage.state, keys(stage.set.jobs["a"])[0])
    seen(stage, "2", "3")
    assert paths(stage) == [(1, '["1"]'), (2, '["2","3"]')]
    assert list(watched(stage)) == ["1", "2", "3"]


def test_what_is_gone_is_forgotten_while_others_wait() -> None:
    stage = Stage(job("a", watch=("/in/*",)))
    seen(stage, "1")
    stage.do(happened.Triggered(keys(stage.set.jobs["a"])[0], seen=(("1", None),)))
    assert watched(stage) == {}


def test_files_wait_where_the_queue_is_full() -> None:
    stage = Stage(job("a", watch=("/in/*",), overlap="queue"))
    for number in range(QUEUE_LIMIT + 3):
        seen(stage, str(number))
    assert len(stage.state.runs) == len(watched(stage)) == QUEUE_LIMIT + 1


def test_a_queued_run_keeps_its_files() -> None:
    stage = Stage(job("a", watch=("/in/*",), overlap="queue"))
    seen(stage, "1")
    seen(stage, "2")
    assert [(run.id, run.gate) for run in stage.state.runs.values()] == [(1, None), (2, "overlap")]
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


# ---- moments --------------------------------------------------------------------------------------------------------------


def test_a_moment_comes_once() -> None:
    stage = Stage(job("a", at=(int(MIDNIGHT) + 100, int(MIDNIGHT) + 200)))
    assert next_wakeup(stage.state) == MIDNIGHT + 100
    stage.at(100)
    assert stage.rows() == [(1, "a", "at", "running", None, 1)]
    stage.end("1/a/1")
    stage.at(200)
    stage.end("2/a/1")
    stage.at(86400)
    assert [run[2] for run in stage.rows()] == ["at", "at"]
    assert next_wakeup(stage.state) is None


def test_an_edit_of_the_list_moves_no_other_moment() -> None:
    noon = int(MIDNIGHT) + 12 * 3600
    stage = Stage(job("a", at=(int(MIDNIGHT) + 100, noon)))
    stage.at(100)
    stage.end("1/a/1")
    stage.reload(job("a", at=(int(MIDNIGHT) + 100, int(MIDNIGHT) + 50, noon, noon + 60)))
    for seconds in (43_200, 43_260):
        stage.at(seconds)
        stage.end(f"{stage.state.next_run - 1}/a/1")
    assert len(stage.rows()) == 3, "neither the one that ran nor the one that was past comes again"


def test_a_missed_moment_is_caught_up() -> None:
    stage = Stage(job("a", at=(int(MIDNIGHT) + 100,)), job("b", at=(int(MIDNIGHT) + 100,), catchup="none"))
    stage.restart(HOUR)
    assert sorted(stage.rows()) == [(1, "a", "catchup", "running", None, 1), (2, "b", "at", "missed", "daemon_down", 1)]


def test_neither_jitter_nor_calendars_touch_a_moment() -> None:
    plain, fussy = job("a", at=(5,)), job("a", at=(5,), jitter=600.0, skip_on=("x",), timezone="Europe/Berlin")
    assert keys(plain) == keys(fussy)


# ---- sameness -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"skip_on": ("x", "y")}, {"skip_on": ("y", "x")}, True),
        ({"skip_on": ("x",)}, {"only_on": ("x",)}, False),
        ({"skip_on": ("x",)}, {}, False),
        ({"jitter": 60.0}, {"jitter": 60.0}, True),
        ({"jitter": 60.0}, {"jitter": 61.0}, False),
        ({"timezone": "Europe/Berlin"}, {}, False),
    ],
)
def test_the_very_same_triggers_have_one_key(first: dict[str, object], second: dict[str, object], same: bool) -> None:
    assert (keys(job("a", schedule="@daily", **first)) == keys(job("b", schedule="0 0 * * *", **second))) is same


def test_an_edit_of_dates_moves_no_cursor() -> None:
    stage = Stage(job("a", schedule="0 * * * *", skip_on=("x",)))
    before = dict(stage.state.cursors)
    stage.calendars = {"x": frozenset({DAY})}
    stage.now += 60
    stage.reload(*stage.set.jobs.values())
    assert stage.state.cursors == before


# ---- jitter ---------------------------------------------------------------------------------------------------------------


def late(stage: Stage, name: str = "a") -> int:
    (trigger,) = stage.state.plan.flows[name].triggers
    return trigger.delay(stage.host, name)


def test_a_delay_is_the_same_each_time_and_differs_from_flow_to_flow() -> None:
    stage = Stage(*(job(f"j{n}", schedule="0 2 * * *", jitter=600.0) for n in range(40)))
    delays = [late(stage, f"j{n}") for n in range(40)]
    assert delays == [late(stage, f"j{n}") for n in range(40)]
    assert all(0 <= delay < 600 for delay in delays)
    assert len(set(delays)) > 30
    stage.host = "db2"
    assert [late(stage, f"j{n}") for n in range(40)] != delays


def test_it_starts_its_delay_after_the_slot_and_bears_the_time_of_the_slot() -> None:
    stage = Stage(job("a", schedule="0 2 * * *", jitter=600.0))
    delay = late(stage)
    assert delay > 1
    stage.at(2 * HOUR + delay - 1)
    assert stage.rows() == []
    assert next_wakeup(stage.state) == MIDNIGHT + 2 * HOUR + delay
    stage.at(2 * HOUR + delay)
    assert stage.rows() == [(1, "a", "schedule", "running", None, 1)]
    assert stage.state.runs[1].slot == MIDNIGHT + 2 * HOUR


def test_who_starts_between_slot_and_delay_is_in_time() -> None:
    stage = Stage(job("a", schedule="0 2 * * *", jitter=6000.0))
    delay = late(stage)
    assert delay > 300
    stage.at(2 * HOUR - 10)
    stage.restart(20.0)
    stage.at(2 * HOUR + delay)
    assert [row[2] for row in stage.rows()] == ["schedule"]
    stage.end("1/a/1")
    stage.at(26 * HOUR + 10)
    stage.restart(float(delay) + 100.0)
    assert [row[2] for row in stage.rows()] == ["schedule", "catchup"]
    assert [kind for kind, _ in stage.alerts] == ["missed"]


def test_every_minute_with_a_long_delay_loses_and_doubles_nothing() -> None:
    stage = Stage(job("a", every=60, jitter=7200.0, overlap="allow"))
    delay = late(stage)
    assert delay > 120
    for minute in range(1, 200):
        stage.at(60.0 * minute + delay % 60)
    slots = [run.slot for run in stage.state.runs.values()]
    assert slots == sorted(set(slots))
    assert slots[-1] - slots[0] == 60 * (len(slots) - 1)
    assert slots[0] == MIDNIGHT - delay // 60 * 60


# ---- calendars ------------------------------------------------------------------------------------------------------------

DAY = date(2026, 10, 27).toordinal()
"""The day of MIDNIGHT."""


def calendar_stage(*jobs: Job, now: float = MIDNIGHT, **calendars: set[int]) -> Stage:
    stage = Stage(*jobs, now=now, up=False)
    stage.calendars = {name: frozenset(DAY + day for day in days) for name, days in calendars.items()}
    stage.start()
    return stage


def table(stage: Stage) -> list[tuple[object, ...]]:
    """Each row with its first and last slot in hours after midnight."""
    sql = "SELECT trigger, state, reason, slots, (slot - ?) / 3600, (slot_last - ?) / 3600 FROM runs ORDER BY id"
    return stage.store.connection.execute(sql, (int(MIDNIGHT), int(MIDNIGHT))).fetchall()


def test_slots_on_forbidden_days_are_recorded_and_do_not_run() -> None:
    stage = calendar_stage(job("a", schedule="0 */12 * * *", skip_on=("holidays", "gone")), holidays={1, 2})
    for hour in (12, 24, 36, 48, 60, 72):
        stage.at(hour * HOUR)
        for run in list(stage.state.runs):
            stage.end(f"{run}/a/1")
    assert table(stage) == [
        ("schedule", "success", None, 1, 12, 12),
        ("schedule", "skipped", "calendar", 4, 24, 60),
        ("schedule", "success", None, 1, 72, 72),
    ]


def test_the_date_is_that_of_the_zone() -> None:
    stage = calendar_stage(job("a", every=3600, timezone="Asia/Tokyo", only_on=("tokyo",)), tokyo={1})
    for hour in range(1, 48):
        stage.at(hour * HOUR)
        for run in list(stage.state.runs):
            stage.end(f"{run}/a/1")
    ran = [row[4] for row in table(stage) if row[1] == "success"]
    assert ran == list(range(15, 39)), "Tokyo is nine hours ahead"


def test_a_calendar_of_both_kinds_and_one_that_is_not_there() -> None:
    both = job("a", schedule="0 12 * * *", only_on=("work",), skip_on=("off",))
    days = {"work": frozenset({DAY, DAY + 1, DAY + 2}), "off": frozenset({DAY + 1})}
    (trigger,) = triggers_of(both)
    noon = int(MIDNIGHT) + 43200
    assert [allowed(trigger, days, noon + day * 86400) for day in range(-1, 4)] == [False, True, False, True, False]
    assert not any(allowed(trigger, {}, noon + day * 86400) for day in range(4))
    assert next_allowed(trigger, {}, MIDNIGHT) is None
    assert next_allowed(trigger, days, noon) == noon + 2 * 86400
    assert last_allowed(trigger, days, noon + 1.5 * 86400, MIDNIGHT) == noon
    assert count_allowed(trigger, days, MIDNIGHT - 9 * 86400, MIDNIGHT + 9 * 86400) == 2


def test_the_last_allowed_slot_is_caught_up_and_only_allowed_ones_are_told() -> None:
    stage = calendar_stage(job("a", schedule="0 */12 * * *", skip_on=("off",)), off={1, 3})
    stage.restart(4 * 86400 - 60.0)
    assert table(stage) == [
        ("schedule", "missed", "daemon_down", 1, 12, 12),
        ("schedule", "skipped", "calendar", 2, 24, 36),
        ("schedule", "missed", "daemon_down", 1, 48, 48),
        ("catchup", "running", None, 1, 60, 60),
        ("schedule", "skipped", "calendar", 2, 72, 84),
    ]
    facts = [json.loads(row[0]) for row in stage.store.connection.execute("SELECT facts FROM alerts")]
    assert [one["recorded"] for one in facts] == [[["a", 2]]]
    stage.end("4/a/1")
    stage.at(96 * HOUR)
    assert table(stage)[5:] == [("schedule", "running", None, 1, 96, 96)]


def test_downtime_of_nothing_but_forbidden_days_is_no_alert() -> None:
    stage = calendar_stage(job("a", schedule="0 */12 * * *", only_on=("none",)))
    stage.restart(86400.0)
    assert table(stage) == [("schedule", "skipped", "calendar", 2, 12, 24)]
    assert stage.alerts == []


def test_lining_leaves_forbidden_slots_out() -> None:
    stage = calendar_stage(job("a", schedule="0 */12 * * *", skip_on=("off",), catchup="all"), off={1})
    stage.restart(2 * 86400 + 60.0)
    for _ in range(2):
        for run in list(stage.state.runs):
            stage.end(f"{run}/a/1")
    assert table(stage) == [
        ("catchup", "success", None, 1, 12, 12),
        ("schedule", "skipped", "calendar", 2, 24, 36),
        ("catchup", "success", None, 1, 48, 48),
    ]


def test_a_pause_over_a_holiday_keeps_the_holiday() -> None:
    stage = calendar_stage(job("a", schedule="0 */12 * * *", skip_on=("off",)), off={1})
    stage.ask(happened.PauseAsked, ("a",))
    stage.at(3 * 86400)
    assert [row[1:4] for row in table(stage)] == [("skipped", "paused", 1), ("skipped", "calendar", 2), ("skipped", "paused", 3)]


def test_a_year_of_every_minute_is_a_matter_of_days() -> None:
    stage = calendar_stage(job("a", schedule="* * * * *", only_on=("work",)), work={d for d in range(366) if d % 7 < 5})
    stage.restart(365 * 86400.0)
    rows = table(stage)
    assert len(rows) == 2 * 53
    assert sum(row[3] for row in rows) == 365 * 1440
    assert {row[3] for row in rows if row[2] == "calendar"} >= {2880}


def test_files_that_come_on_a_forbidden_day_start_nothing() -> None:
    stage = calendar_stage(job("a", watch=("/in/*",), skip_on=("off",)), off={0})
    seen(stage, "/in/1")
    assert stage.rows() == [(1, "a", "watch", "skipped", "calendar", 1)]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Sao_Paulo", "Africa/Cairo", "Pacific/Apia", "America/Havana", "UTC"])
def test_a_day_begins_when_the_clocks_first_show_it(zone: str) -> None:
    schedule = Schedule.at((), zone)
    start = date(2011, 1, 1).toordinal()
    for day in range(start, start + 366 * 6, 5 if zone != "Pacific/Apia" else 1):
        begins = schedule.day_begins(day)
        assert schedule.local(begins).toordinal() >= day > schedule.local(begins - 1).toordinal()
