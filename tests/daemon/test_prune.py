"""`cronflow prune`, by the daemon and without one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator

import pytest

from benchmarks.history import HEAD, make
from tests.daemon.live import Live, job, living

RUNS = 2000
LESS = 'keep_runs = "30d"\nkeep_logs = "10d"'


@pytest.fixture
def year() -> Iterator[Live]:
    """A year of history of which eleven months are to go."""
    with living() as live:
        live.folder.rmdir()
        make(live.folder, jobs=20, runs=RUNS, logs=200)
        kept = HEAD.format(keep=395).split("[alerts")[0].removeprefix("[settings]\n").strip()
        text = live.file.read_text()
        assert kept in text
        live.write(text.replace(kept, LESS))
        yield live


def count(live: Live) -> int:
    return int(live.one("SELECT count(*) FROM runs"))


def removed(said: str) -> tuple[int, int, int]:
    """Runs, outputs and acts of the one line of an answer."""
    found = re.search(r"removed? (\d+) runs, the output of (\d+) runs, (\d+) acts? of", said)
    assert found, said
    return int(found[1]), int(found[2]), int(found[3])


@pytest.mark.parametrize("served", [False, True])
def test_what_a_dry_run_counts_is_removed(year: Live, served: bool) -> None:
    if served:
        year.start()
    logs = len(list((year.state / "logs").glob("*/*")))
    expected = removed(year.cli("prune", "--dry-run").out)
    assert count(year) == RUNS
    done = year.cli("prune")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("removed ")
    assert removed(done.out) == expected
    assert count(year) == RUNS - expected[0]
    assert 1800 < expected[0] < 1850
    assert len(list((year.state / "logs").glob("*/*"))) == logs - expected[1] > 0
    assert year.one("SELECT words FROM acts ORDER BY id DESC") == "cronflow prune"
    assert year.cli("prune").out == "there is nothing to remove\n"
    assert year.cli("runs", "job19").status == 0  # ran once, a year ago
    assert "1  " in year.cli("runs", "job19").out


def test_the_answer_as_json(year: Live) -> None:
    expected = year.cli("prune", "--dry-run", "--json").json
    assert expected.pop("dry_run") is True
    assert set(expected) == {"schema", "runs", "logs", "acts", "alerts"}
    done = year.start().cli("prune", "--json")
    assert done.json == {**expected, "dry_run": False}


def test_a_daemon_of_another_job_file_is_not_asked(year: Live) -> None:
    year.start()
    other = year.write(year.file.read_text(), "other.toml")
    refused = year.cli("prune", "--file", str(other))
    assert refused.status == 1
    assert "another job file" in refused.err
    assert count(year) == RUNS


def test_a_damaged_database_is_left_to_the_daemon(year: Live) -> None:
    path = year.state / "cronflow.db"
    path.write_bytes(b"x" * 5000)
    refused = year.cli("prune")
    assert (refused.status, refused.out) == (1, "")
    assert "cronflow daemon" in refused.err
    assert path.read_bytes() == b"x" * 5000


def test_without_a_history_there_is_nothing_to_remove() -> None:
    with living() as live:
        live.write('[jobs.a]\ncommand = "true"\n')
        for words in (("prune",), ("prune", "--dry-run")):
            assert (live.cli(*words).out, live.cli(*words).status) == ("there is nothing to remove\n", 0)
        assert not (live.state / "cronflow.db").exists()


def test_what_is_left_is_told_without_what_is_gone() -> None:
    """Runs that stay name runs that are gone: as upstreams, as the run that they are a retry of."""
    with living() as live:
        roots = job("first", "true") + job("other", "true", schedule="0 4 1 1 *")
        live.start(roots + job("last", "exit 3", after=["first", "other"]))
        for name in ("first", "other", "first"):
            live.final(live.run(name))
        last = live.until(lambda: live.one("SELECT max(id) FROM runs WHERE flow = 'last' AND finished_at IS NOT NULL"))
        again = live.cli("retry", str(last), "--detach").out.strip()
        live.final(int(again))
        assert live.cli("retry", again, "--detach").status == 0
        live.until(lambda: live.one("SELECT count(*) FROM runs WHERE finished_at IS NULL") == 0)
        live.terminate()
        with sqlite3.connect(live.state / "cronflow.db") as db:
            db.execute("UPDATE runs SET finished_at = finished_at - 8640000")
        before = {row[0] for row in live.rows("SELECT id FROM runs")}
        assert "removed" in live.cli("prune").out
        left = {row[0] for row in live.rows("SELECT id FROM runs")}
        gone = before - left
        assert {last, int(again)} <= gone
        assert {"first", "other", "last"} == {row[0] for row in live.rows("SELECT DISTINCT job FROM tasks")}
        looks = [("status",), ("runs",), ("next",), ("graph",), *((verb, str(run)) for run in left for verb in ("why", "logs"))]
        for words in [*looks, *(("status", name) for name in ("first", "other", "last")), ("why", "last")]:
            answer = live.cli(*words)
            assert (answer.status, answer.err.replace("(no log is left of it)\n", "")) == (0, ""), words
        for run in gone:
            assert live.cli("why", str(run)).status == 4
        live.start()
        new = live.cli("retry", str(max(left)), "--detach")
        assert new.status == 0
        assert live.final(int(new.out)) == "failed"
        live.final(live.run("first"))
