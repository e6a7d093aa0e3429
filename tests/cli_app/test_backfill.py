"""`cronflow backfill`: which slots it takes, who runs them, and how it goes on after it was stopped."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing

import pytest

from tests.cli_app.conftest import Cli, Daemon, interrupt

Start = Callable[[str], Daemon]
JOBS = """\
timezone = "Europe/Berlin"
[defaults]
timeout = "1h"
cwd = "."
[jobs.extract]
schedule = "0 4 * * *"
command = 'echo "$CRONFLOW_TRIGGER $CRONFLOW_SCHEDULED_AT" >> seen; test ! -e "bad-$CRONFLOW_DATE"'
[jobs.load]
after = ["extract"]
command = "true"
[jobs.slow]
schedule = "0 4 * * *"
command = 'echo "$CRONFLOW_DATE" >> slow; while test ! -e go; do sleep 0.05; done'
[jobs.off]
schedule = "0 4 * * *"
enabled = false
command = "true"
[jobs.by-hand]
command = "true"
"""
RANGE = ("--from", "2026-03-27", "--to", "2026-03-30")
SLOTS = [f"2026-03-{day}" for day in ("27T04:00:00+01:00", "28T04:00:00+01:00", "29T04:00:00+02:00", "30T04:00:00+02:00")]


@pytest.fixture(autouse=True)
def jobs(cli: Cli) -> None:
    cli.file.write_text(JOBS)


def runs(cli: Cli) -> list[tuple[str, str]]:
    """Slot and state of each run by backfill, oldest first."""
    found = cli("runs", "-n", "1000", "--json").json["runs"]
    return [(run["slot"], run["state"]) for run in reversed(found) if run["trigger"] == "backfill"]


def test_without_a_daemon_each_slot_runs_here_oldest_first(cli: Cli) -> None:
    answer = cli("backfill", "extract", *RANGE)
    assert answer.status == 0, answer.err
    assert (cli.folder / "seen").read_text().splitlines() == [f"backfill {slot}" for slot in SLOTS]
    assert runs(cli) == [(slot, "success") for slot in SLOTS]
    lines = answer.out.splitlines()
    assert [line.split()[1] for line in lines[:-1]] == SLOTS
    assert lines[-1] == "backfill of extract: 4 success"


def test_with_a_daemon_it_runs_there(cli: Cli, daemon: Start) -> None:
    daemon(JOBS)
    answer = cli("backfill", "extract", *RANGE, "--parallel", "3", "--json")
    assert answer.status == 0
    assert [(one["slot"], one["state"]) for one in answer.json["slots"]] == [(slot, "success") for slot in SLOTS]
    assert answer.json["left"] == 0
    (run, *_) = cli("runs", "-n", "1", "--json").json["runs"]
    assert {task["job"] for task in run["tasks"]} == {"extract", "load"}


def test_a_slot_that_failed_is_run_again_and_those_that_ran_are_not(cli: Cli) -> None:
    (cli.folder / "bad-2026-03-28").touch()
    assert cli("backfill", "extract", *RANGE).status == 1
    assert runs(cli) == [(slot, "failed" if slot == SLOTS[1] else "success") for slot in SLOTS]
    listed = cli("backfill", "extract", *RANGE, "--dry-run", "--json").json
    assert listed["slots"] == [{"slot": SLOTS[1], "run": 2, "state": "failed"}]
    (cli.folder / "bad-2026-03-28").unlink()
    assert cli("retry", "2").status == 0
    covered = cli("backfill", "extract", *RANGE)
    assert (covered.status, "already ran well in all 4 slots" in covered.err, "`--again`" in covered.err) == (1, True, True)
    assert cli("backfill", "extract", *RANGE, "--again").status == 0


def test_only_failed_and_only_missed_take_these_alone(cli: Cli) -> None:
    (cli.folder / "bad-2026-03-28").touch()
    cli("backfill", "extract", "--from", "2026-03-27", "--to", "2026-03-28")
    with closing(sqlite3.connect(cli.state / "cronflow.db")) as db:
        columns = "flow, trigger, roots, definition, slot, slot_last, slots, state, reason, created_at, finished_at"
        first, last = 1774749600, 1774836000  # 04:00 of the 29th and of the 30th
        row = ("extract", "schedule", '["extract"]', "", first, last, 2, "missed", "daemon_down", last, last)
        db.execute(f"INSERT INTO runs ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
        db.commit()

    def chosen(*only: str) -> list[str]:
        return [one["slot"] for one in cli("backfill", "extract", *RANGE, *only, "--dry-run", "--json").json["slots"]]

    assert chosen() == SLOTS[1:]
    assert chosen("--only", "failed") == SLOTS[1:2]
    assert chosen("--only", "missed") == SLOTS[2:]
    assert chosen("--only", "missed,failed") == SLOTS[1:]
    assert cli("backfill", "extract", *RANGE, "--only", "missed").status == 0
    assert chosen() == SLOTS[1:2]
    none = cli("backfill", "extract", *RANGE, "--only", "missed", "--dry-run")
    assert (none.status, "none of the 4 slots" in none.err) == (1, True)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["by-hand", *RANGE], 2, "`by-hand` has no schedule, so it has no slots"),
        (["off", *RANGE], 2, "`off` is disabled in the job file"),
        (["extract", "--from", "2026-03-30", "--to", "2026-03-27"], 2, "`--from 2026-03-30` is after `--to 2026-03-27`"),
        (["extract", "--from", "2026-03-30", "--to", "2199-01-01"], 2, "`--to 2199-01-01` is in the future"),
        (["extract", "--from", "2199-01-01", "--to", "2199-01-02"], 2, "`--from 2199-01-01` is in the future"),
        (["extract", "--from", "2026-03-30 05:00", "--to", "2026-03-30 06:00"], 1, "`extract` has no slots from"),
        (["extract", "--from", "never", "--to", "now"], 2, "`never` is not a time"),
        (["extract", *RANGE, "--only", "lost"], 2, "`--only lost` is not a kind of slot"),
        (["extract", *RANGE, "--only", ","], 2, "`--only` names no kind of slot"),
        (["extract", *RANGE, "--only", "failed", "--again"], 2, "exclude each other"),
        (["extract", *RANGE, "--parallel", "0"], 2, "`--parallel`"),
        (["extract", "--from", "2026-03-01"], 2, "`--to`"),
        (["extrakt", *RANGE], 4, "no job `extrakt`"),
        (["extract", "--from", "1900-01-01", "--to", "2026-01-01"], 2, "more than 10,000 slots"),
        (
            ["extract", "--from", "2026-01-01", "--to", "2026-02-28"],
            2,
            "would start 59 runs of `extract`, 2026-01-01 to 2026-02-28",
        ),
    ],
)
def test_bad_words_are_clear_errors(cli: Cli, words: list[str], status: int, said: str) -> None:
    answer = cli("backfill", *words)
    assert (answer.status, answer.out) == (status, "")
    assert said in answer.err
    assert answer.err.count("hint:") == 1
    assert not (cli.state / "cronflow.db").exists(), "nothing was started"


def test_slots_go_by_their_own_time_and_by_the_calendar(cli: Cli) -> None:
    days = "\n[calendars.off]\ndates = [2026-03-28]\n"
    text = JOBS.replace("[jobs.extract]\n", '[jobs.extract]\njitter = "2h"\nskip_on = "off"\n') + days
    cli.file.write_text(text)
    answer = cli("backfill", "extract", *RANGE, "--dry-run", "--json")
    assert [one["slot"] for one in answer.json["slots"]] == [SLOTS[0], *SLOTS[2:]]


def test_many_runs_need_a_yes(cli: Cli) -> None:
    assert cli("backfill", "load", "--from", "2026-03-01", "--to", "2026-03-21", "--yes", "--parallel", "8").status == 0
    assert len(runs(cli)) == 21


def test_ctrl_c_stops_the_asking_and_the_same_command_goes_on(cli: Cli, daemon: Start) -> None:
    one = daemon(JOBS)
    first = cli.start("backfill", "slow", *RANGE)
    one.wait(lambda: (cli.folder / "slow").exists())
    answer = interrupt(first)
    assert answer.status == 130
    assert answer.out == "backfill of slow: nothing ran; 3 slots left\n"
    assert "run 1 will end without this command" in answer.err
    second = cli.start("backfill", "slow", *RANGE)
    (cli.folder / "go").touch()
    assert second.wait(60) == 0
    assert (cli.folder / "slow").read_text().split() == [slot[:10] for slot in SLOTS], "no slot ran twice"


def test_ctrl_c_without_a_daemon_cancels_the_run(cli: Cli) -> None:
    process = cli.start("backfill", "slow", *RANGE)
    Daemon(cli, process).wait(lambda: (cli.folder / "slow").exists())
    answer = interrupt(process)
    assert answer.status == 130, answer.err
    assert runs(cli) == [(SLOTS[0], "cancelled")]
    assert "the same command again goes on with what is left" in answer.err


def test_it_outlives_a_restart_of_the_daemon(cli: Cli, daemon: Start) -> None:
    one = daemon(JOBS)
    process = cli.start("backfill", "slow", *RANGE)
    one.wait(lambda: (cli.folder / "slow").exists())
    assert cli("stop").status == 0
    one.process.wait(60)
    daemon(JOBS)
    (cli.folder / "go").touch()
    assert process.wait(60) == 0
    assert (cli.folder / "slow").read_text().split() == [slot[:10] for slot in SLOTS]
    assert runs(cli) == [(slot, "success") for slot in SLOTS]


def test_a_daemon_that_starts_takes_over(cli: Cli, daemon: Start) -> None:
    process = cli.start("backfill", "slow", *RANGE)
    Daemon(cli, process).wait(lambda: (cli.folder / "slow").exists())
    daemon(JOBS)
    (cli.folder / "go").touch()
    assert process.wait(60) == 0
    assert runs(cli) == [(slot, "success") for slot in SLOTS]
