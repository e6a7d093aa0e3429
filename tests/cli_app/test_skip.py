"""`cronflow skip` against a real daemon, and where what it asked for is shown."""

from __future__ import annotations

from collections.abc import Callable

from tests.cli_app.conftest import Cli, Daemon

JOBS = """\
timezone = "Europe/Berlin"
[jobs.extract]
schedule = "0 4 1 * *"
command = "true"
[jobs.load]
after = ["extract"]
command = "true"
[jobs.quick]
every = "1s"
command = "true"
overlap = "queue"
[jobs.by-hand]
command = "true"
"""
Start = Callable[[str], Daemon]


def test_without_a_daemon_nothing_is_skipped(cli: Cli) -> None:
    answer = cli("skip", "extract")
    assert (answer.status, answer.out) == (3, "")
    assert "the daemon is not running, so nothing is skipped" in answer.err


def test_it_is_state_that_is_shown_survives_a_restart_and_is_taken_back(cli: Cli, daemon: Start) -> None:
    first = daemon(JOBS)
    answer = cli("skip", "extract", "load", "-n", "2", "--json").json
    assert (answer["skipped"], answer["slots"], len(answer["at"]["extract"])) == (["extract", "load"], 2, 2)
    assert cli("stop").status == 0
    first.process.wait(60)
    daemon(JOBS)
    jobs = {one["name"]: one for one in cli("status", "--json").json["jobs"]}
    assert jobs["load"]["skip"]["left"] == 2
    assert jobs["by-hand"]["skip"] is None
    assert jobs["extract"]["next_at"] > max(answer["at"]["extract"]), "it starts in the slot after those"
    by = jobs["load"]["skip"]["by"]
    assert f"the next 2 slots ({by})" in cli("status").out
    notes = [one["note"] for one in cli("next", "extract", "-n", "3", "--json").json["next"]]
    assert notes == [f"extract, load skipped by {by}"] * 2 + [None]
    why = cli("why", "extract", "--json").json["because"]
    assert [one["code"] for one in why] == ["skip", "next"]
    assert cli("skip", "extract", "load", "-n", "0").out == "nothing is skipped any more of `extract` and `load`\n"
    assert cli("skip", "extract", "-n", "0").status == 1
    acts = [act["words"] for act in cli("runs", "--json").json["acts"] if act["verb"] == "skip"]
    assert acts == ["cronflow skip extract load -n 0"] * 2 + ["cronflow skip extract load -n 2 --json"] * 2


def test_the_next_slots_do_not_run(cli: Cli, daemon: Start) -> None:
    one = daemon(JOBS)
    assert cli("skip", "quick", "-n", "3").status == 0
    done = lambda: cli("status", "quick", "--json").json["jobs"][0]["skip"] is None  # noqa: E731
    one.wait(done)
    rows = [run for run in cli("runs", "quick", "-n", "50", "--json").json["runs"] if run["reason"] == "skip"]
    assert sum(run["slots"] for run in rows) == 3
    assert "skipped: that was asked for" in cli("why", str(rows[0]["id"])).out


def test_what_cannot_be_skipped_is_an_error(cli: Cli, daemon: Start) -> None:
    daemon(JOBS)
    assert cli("skip").status == 2
    assert cli("skip", "extract", "-n", "-1").status == 2
    assert cli("skip", "extract", "-n", "1001").status == 2
    unknown = cli("skip", "extrakt")
    assert (unknown.status, "did you mean `extract`?" in unknown.err) == (4, True)
    by_hand = cli("skip", "by-hand")
    assert (by_hand.status, "`by-hand` starts only by hand, so it has no slots to skip" in by_hand.err) == (1, True)
