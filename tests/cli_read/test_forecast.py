"""`cronflow forecast`: the next hours of a history that was lived through."""

from __future__ import annotations

from tests.cli_read.conftest import Screen, cronflow
from tests.cli_read.tale import Tale


def test_the_screen(shop: Tale, screen: Screen) -> None:
    from cronflow.cli.verbs.forecast import forecast

    text = screen(shop, forecast, width=100)
    assert text.splitlines()[0] == "from today 08:52 to tomorrow 08:52   by the usual durations of each job"
    assert "  tomorrow 02:30 → 02:36         backup-db → upload, verify, report" in text
    assert "sync   96 runs of 20 s" in text
    assert "reindex   run 364 goes on   already longer than usual" in text
    assert "alarm" not in text, "nothing fails in it"
    assert "sync-legacy   today 09:00 to tomorrow 08:00 (24 slots)   skipped: it was paused" in text
    assert all(len(line) <= 60 for line in screen(shop, forecast, width=60).splitlines())


def test_json(shop: Tale) -> None:
    answer = cronflow(shop, "forecast", "--hours", "2", "--json").json
    assert list(answer) == ["schema", "from", "to", "cut_at", "runs", "not_run", "crowded", "late", "unknown"]
    assert answer["cut_at"] is None
    (first, *_) = (run for run in answer["runs"] if run["flow"] == "reindex")
    assert first["id"] is not None, "it goes on already"


def test_an_empty_history_and_an_empty_file_are_none_the_worse(tmp_path_factory) -> None:  # type: ignore[no-untyped-def]
    tale = Tale(tmp_path_factory.mktemp("empty") / "empty", '[jobs.a]\ncommand = "x"\n').close()
    done = cronflow(tale, "forecast")
    assert (done.status, done.out.splitlines()[-1]) == (0, "nothing is due")
    assert "the daemon is not running" in done.err
    assert cronflow(tale, "forecast", "--hours", "0").status == 2
