"""What cronflow-jobs(5) tells of its examples is so: each is read by the real reader, and where the page says what happens in a
night, that night is played."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.man_play import PAGE, Play, displays, example, instant
from tests.problems import check

PLAYED = ("rounds", "waiting slots", "clock changes", "downtime", "overlap")


@pytest.mark.parametrize("text", [text for _, text in displays()], ids=lambda text: re.findall(r"jobs\.([\w-]+)", text)[0])
def test_check_finds_no_error(text: str, tmp_path: Path) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text(text)
    assert [problem.message for problem in check(str(path)) if problem.severity == "error"] == []


def test_every_display_is_looked_at_and_every_named_one_is_played() -> None:
    assert len(displays()) == PAGE.read_text().count("\n.Bd -literal")
    assert sorted(name for name, _ in displays() if name) == sorted(PLAYED)


# ---- jobs of other flows --------------------------------------------------------------------------------------------------


def rounds(folder: Path) -> Play:
    """From Monday, 2027-03-01, 00:00 on."""
    return Play("rounds", folder, "2027-03-01 00:00", {"orders": 10, "stock": 5})


def monday(folder: Path) -> Play:
    play = rounds(folder)
    assert play.until("2027-03-01 12:00") == ["orders 04:00", "stock 04:30", "report 04:35"]
    return play


def tuesday(folder: Path) -> Play:
    """The night in which `orders` fails."""
    play = monday(folder)
    play.codes["orders"] = [1]
    assert play.until("2027-03-02 05:00") == ["orders 04:00", "stock 04:30"]
    return play


def test_it_starts_when_both_have_ended_and_carries_the_newest_slot(tmp_path: Path) -> None:
    play = monday(tmp_path)
    assert play.runs("report") == ["3 after 04:30 success"]


def test_each_end_counts_once(tmp_path: Path) -> None:
    play = monday(tmp_path)
    play.run("orders")
    assert play.until("2027-03-01 18:00") == [], "the end of `stock` has been used up"
    assert play.until("2027-03-02 12:00") == ["orders 04:00", "stock 04:30", "report 04:35"]


def test_what_has_failed_blocks_it_and_names_it(tmp_path: Path) -> None:
    play = tuesday(tmp_path)
    assert play.runs("report")[1:] == ["6 after 04:30 blocked"]
    assert play.told() == ["failure orders"]
    blocks = "SELECT json_extract(facts, '$.blocks') FROM alerts WHERE kind = 'failure'"
    assert play.store.connection.execute(blocks).fetchone()[0] == '["report"]'


def test_it_does_not_start_with_the_stock_of_the_day_before(tmp_path: Path) -> None:
    play = tuesday(tmp_path)
    assert play.until("2027-03-03 04:20") == ["orders 04:00"], "stock of Tuesday is there, and belongs to another round"
    assert play.until("2027-03-03 12:00") == ["stock 04:30", "report 04:35"]
    assert play.runs("report")[-1] == "9 after 04:30 success"


def test_a_retry_mends_it(tmp_path: Path) -> None:
    play = tuesday(tmp_path)
    play.until("2027-03-02 06:00")
    assert play.retry(4).refused is None
    assert play.until("2027-03-02 12:00") == ["report 06:10"]
    upstreams = play.store.connection.execute("SELECT upstreams FROM runs WHERE id = 8").fetchone()[0]
    assert upstreams == '{"orders":7,"stock":5}'


def test_one_blocked_run_stays_while_the_edges_are_not_met(tmp_path: Path) -> None:
    play = tuesday(tmp_path)
    play.run("stock")
    play.until("2027-03-02 12:00")
    assert [one for one in play.runs("report") if "blocked" in one] == ["6 after 04:30 blocked"]


def test_by_hand_it_waits_for_nobody_and_uses_up_nothing(tmp_path: Path) -> None:
    play = monday(tmp_path)
    play.until("2027-03-02 04:20")
    reply = play.run("report")
    assert reply.notes == ("run 5 takes as met what comes after `orders`, `stock`",)
    assert play.ran[-1] == "report 04:20"
    assert play.until("2027-03-02 12:00") == ["stock 04:30", "report 04:35"]


def test_with_upstream_they_run_first_in_the_same_run(tmp_path: Path) -> None:
    play = monday(tmp_path)
    play.run("report", upstream=True)
    assert play.ran[-2:] == ["orders 12:00", "stock 12:00"]
    play.until("2027-03-01 13:00")
    assert play.tasks(4) == {"orders": "success", "stock": "success", "report": "success"}


@pytest.mark.parametrize("more", [{"only": True}, {"trigger": "backfill"}])
def test_only_and_backfills_are_no_ends(more: dict[str, object], tmp_path: Path) -> None:
    play = monday(tmp_path)
    play.until("2027-03-02 04:20")
    play.run("stock", **more)
    assert play.until("2027-03-02 04:29") == []


def test_an_edit_starts_nothing(tmp_path: Path) -> None:
    play = rounds(tmp_path)
    jobs = play.set
    without = [job for job in jobs.jobs.values() if job.name != "report"]
    play.reload(*without)
    play.until("2027-03-01 04:20")
    play.reload(*jobs.jobs.values())
    assert play.until("2027-03-01 12:00") == ["stock 04:30"], "the end of `orders` is from before the edge"


# ---- a trigger of its own -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("minutes", "starts"),
    [
        (60, ["bills 06:00", "prices 06:00"]),
        (200, ["bills 07:20", "prices 07:20"]),
        (300, ["bills 09:00"]),
    ],
)
def test_a_slot_waits_for_its_edge(minutes: float, starts: list[str], tmp_path: Path) -> None:
    play = Play("waiting slots", tmp_path, "2027-03-01 00:00", {"load": minutes})
    assert sorted(play.until("2027-03-01 12:00")) == sorted(["load 04:00", *starts])
    slots = [line.split()[1:3] for name in ("bills", "prices") for line in play.runs(name)]
    assert slots == [["schedule", "06:00"]] * 2, "for the slots of 06:00"
    if minutes == 300:
        assert play.reasons(3) == {"prices": "after_timeout"}
        assert play.told() == ["failure prices"]
        message = play.store.connection.execute("SELECT json_extract(facts, '$.message') FROM alerts").fetchone()[0]
        assert message == "waited 2 h for `load`, which is still running in run 1"


def test_after_timeout_ends_the_waiting_at_eight(tmp_path: Path) -> None:
    play = Play("waiting slots", tmp_path, "2027-03-01 00:00", {"load": 300})
    play.until("2027-03-01 07:59")
    assert play.runs("prices") == ["3 schedule 06:00 waiting"]
    play.until("2027-03-01 08:00")
    assert play.runs("prices") == ["3 schedule 06:00 blocked"]


def test_a_slot_that_waits_behind_a_failure_is_blocked_and_not_alerted(tmp_path: Path) -> None:
    play = Play("waiting slots", tmp_path, "2027-03-01 00:00", {"load": 10})
    play.codes["load"] = [1, 1]
    play.until("2027-03-02 05:59")
    assert play.runs("bills") == ["2 schedule 06:00 waiting"]
    play.until("2027-03-02 06:00")
    assert play.runs("bills") == ["2 schedule 06:00 blocked", "5 schedule 06:00 waiting"]
    assert "failure bills" not in play.told()


def test_a_slot_waits_for_what_the_other_job_has_to_do_up_to_its_time(tmp_path: Path) -> None:
    play = Play("waiting slots", tmp_path, "2027-03-01 00:00", {"load": 10})
    play.until("2027-03-01 05:30")
    play.reload(play.set.jobs["load"], play.set.jobs["bills"]._replace(enabled=False))
    play.until("2027-03-01 12:00")
    play.takes["load"] = 200
    play.reload(play.set.jobs["load"], play.set.jobs["bills"]._replace(enabled=True))
    assert play.until("2027-03-02 12:00") == ["load 04:00", "bills 07:20"], "the load of Monday is unused, and not of this round"


def monday_failed(folder: Path) -> Play:
    play = Play("waiting slots", folder, "2027-03-01 00:00", {"load": 10})
    play.codes["load"] = [1]
    play.until("2027-03-01 08:00")
    play.ran = [one for one in play.ran if not one.startswith("prices")]
    return play


def test_an_end_that_is_nearer_to_the_next_slot_is_left_to_it(tmp_path: Path) -> None:
    play = monday_failed(tmp_path)
    assert play.until("2027-03-02 05:59") == ["load 04:00"]
    assert "bills 06:00" in play.until("2027-03-02 12:00")
    assert [line.partition(" ")[2] if "×" not in line else line for line in play.runs("bills")] == [
        "skipped upstream_not_new × 1",
        "schedule 06:00 success",
    ]


def test_a_retry_starts_the_slot_that_waits(tmp_path: Path) -> None:
    play = monday_failed(tmp_path)
    play.retry(1)
    assert "bills 08:10" in play.until("2027-03-01 12:00")


def test_a_slot_that_waits_for_nobody_is_skipped(tmp_path: Path) -> None:
    play = Play("waiting slots", tmp_path, "2027-03-01 00:00", {"load": 10})
    load = play.set.jobs["load"]._replace(schedule=(), every=None)
    play.reload(load, play.set.jobs["bills"])
    play.until("2027-03-02 12:00")
    assert play.runs("bills") == ["skipped upstream_not_new × 1", "2 schedule 06:00 waiting"]
    assert play.told() == []


# ---- changes of the clock -------------------------------------------------------------------------------------------------


def started(play: Play, job: str) -> list[str]:
    return [one.split()[1] for one in play.ran if one.startswith(f"{job} ")]


def test_clock_forward(tmp_path: Path) -> None:
    play = Play("clock changes", tmp_path, "2027-03-28 00:00")
    play.until("2027-03-28 12:00")
    assert started(play, "nightly") == ["03:00"]
    assert started(play, "quarters") == ["03:00"]
    watch = started(play, "watch")
    place = watch.index("01:50")
    assert watch[place : place + 3] == ["01:50", "03:00", "03:10"]
    assert instant("2027-03-28 03:00") - instant("2027-03-28 01:50") == 600


def test_clock_back(tmp_path: Path) -> None:
    play = Play("clock changes", tmp_path, "2027-10-31 00:00")
    play.until("2027-10-31 12:00")
    assert started(play, "nightly") == ["02:30"]
    assert started(play, "quarters") == ["02:00", "02:15", "02:30", "02:45"]
    assert started(play, "watch")[11:25] == ["02:00", "02:10", "02:20", "02:30", "02:40", "02:50"] * 2 + ["03:00", "03:10"]
    order = [one for one in play.ran if one in ("nightly 02:30", "watch 02:50")]
    assert order == ["nightly 02:30", "watch 02:50", "watch 02:50"], "in the first pass"


# ---- slots that were missed -----------------------------------------------------------------------------------------------


def test_downtime(tmp_path: Path) -> None:
    play = Play("downtime", tmp_path, "2027-03-01 17:30")
    assert play.until("2027-03-01 18:30") == ["backup 18:00", "hourly-load 18:05"]
    play.off_until("2027-03-02 09:30")
    assert play.told() == ["missed"]
    play.until("2027-03-02 09:59")
    assert play.runs("backup") == ["1 schedule 18:00 success", "missed daemon_down × 6", "6 catchup 08:00 success"]
    hours = [*(f"{hour}:05" for hour in (22, 23)), *(f"{hour:02}:05" for hour in range(10))]
    loads = play.runs("hourly-load")
    assert loads[1] == "missed daemon_down × 3"
    assert [line.split()[1:] for line in loads[2:]] == [["catchup", hour, "success"] for hour in hours]
    assert started(play, "hourly-load")[1:] == [f"09:{minute}" for minute in range(30, 42)], "one after the other"
    assert play.runs("reminder") == ["missed daemon_down × 1"]


# ---- overlap --------------------------------------------------------------------------------------------------------------


def test_overlap(tmp_path: Path) -> None:
    play = Play("overlap", tmp_path, "2027-03-01 09:59", {"mirror": 25, "import": 25, "preview": 25})
    play.until("2027-03-01 10:05")
    play.takes = {}
    play.until("2027-03-01 10:34")
    assert started(play, "mirror") == ["10:00", "10:30"]
    assert play.runs("mirror")[1] == "skipped overlap × 2"
    assert started(play, "import")[:3] == ["10:00", "10:25", "10:26"]
    assert [line.split()[2] for line in play.runs("import")[:3]] == ["10:00", "10:10", "10:20"]
    assert [line.split()[3] for line in play.runs("preview")[:2]] == ["cancelled", "success"]
    assert started(play, "preview")[:2] == ["10:00", "10:10"]


def test_allow_runs_beside(tmp_path: Path) -> None:
    play = Play("overlap", tmp_path, "2027-03-01 09:59", {"probe": 25})
    for when, beside in (("10:05", 1), ("10:15", 2), ("10:22", 3)):
        play.until(f"2027-03-01 {when}")
        assert sum(one[1].split("/")[1] == "probe" for one in play.ends) == beside


def test_the_examples_name_what_the_prose_tells() -> None:
    for name in PLAYED:
        after = PAGE.read_text().partition(f'example: {name}\n')[2].partition("\n.Ed\n")[2]
        prose = re.split(r"^\.(?:Sh|Bd) ", after, maxsplit=1, flags=re.MULTILINE)[0]
        for job in re.findall(r"^\[jobs\.(.*)\]$", example(name), re.MULTILINE):
            assert job in prose.replace(r"\-", "-"), (name, job)
