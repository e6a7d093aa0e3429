"""A job that starts when files appear or change: a real daemon, real folders."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import sys
from pathlib import Path

import pytest

from tests.daemon.live import Live, job

SETTLE = 0.3
EAGER = (sys.executable, "-m", "tests.daemon.impatient", "0.2", "60")
TELL = 'cat "$CRONFLOW_TRIGGER_PATHS_FILE"'


def watching(live: Live, *patterns: str, name: str = "load", command: str = TELL, settle: float = SETTLE, **keys: object) -> str:
    """A job that watches patterns relative to the folder of the test."""
    paths = [str(live.path(pattern)) for pattern in patterns]
    return job(name, command, watch=paths, settle=f"{int(settle * 1000)}ms", cwd=str(live.folder), **keys)


def begin(live: Live, text: str, *program: str) -> None:
    """Start a daemon and wait until each watch has had its first look."""
    live.start(text, *program)
    looked(live, text.count("watch = "))


def looked(live: Live, watches: int = 1) -> None:
    live.until(lambda: live.one("SELECT count(*) FROM watched WHERE path = ''") == watches, "nothing was looked at")


def known(live: Live) -> dict[str, str]:
    rows = live.rows("SELECT path, stamp FROM watched WHERE path != ''")
    return {os.path.relpath(os.fsdecode(path), live.folder): stamp for path, stamp in rows}


def runs(live: Live) -> list[int]:
    return [row[0] for row in live.rows("SELECT id FROM runs WHERE slots = 0 OR started_at IS NOT NULL ORDER BY id")]


def paths(live: Live, number: int) -> list[str]:
    """The files that caused a run, by its command's own account."""
    assert live.final(number) == "success", live.output(number, "load")
    return [os.path.relpath(line, live.folder) for line in live.output(number, "load").splitlines()]


def nth(live: Live, place: int) -> list[str]:
    """The files of the first run, the second…"""
    live.until(lambda: len(runs(live)) >= place, f"there was no run {place}")
    return paths(live, runs(live)[place - 1])


def make(live: Live, name: str, text: str = "text") -> Path:
    path = live.path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


# ---- what starts a run ----------------------------------------------------------------------------------------------------


def test_a_file_that_appears_and_one_that_changes_each_start_a_run(live: Live) -> None:
    make(live, "in/old.csv")
    begin(live, watching(live, "in/*.csv"))
    make(live, "in/new.csv")
    make(live, "in/new.txt")
    make(live, "in/.new.csv")
    assert nth(live, 1) == ["in/new.csv"]
    make(live, "in/old.csv", "other text")
    assert nth(live, 2) == ["in/old.csv"]
    assert live.rows("SELECT flow, trigger, slots FROM runs") == [("load", "watch", 1)] * 2
    assert live.rows("SELECT paths FROM run_paths")[1] == (json.dumps([str(live.path("in/old.csv"))]),)


def test_what_is_there_at_first_load_is_known(live: Live) -> None:
    make(live, "in/a")
    make(live, "in/b")
    begin(live, watching(live, "in/*"))
    assert set(known(live)) == {"in/a", "in/b"}
    live.stays(lambda: not runs(live), 3 * SETTLE)


def test_a_file_moved_in_counts_under_its_final_name(live: Live) -> None:
    make(live, "in/old")
    begin(live, watching(live, "in/*"))
    make(live, "elsewhere/a").rename(live.path("in/a"))
    assert nth(live, 1) == ["in/a"]
    make(live, "in/.tmp").rename(live.path("in/b"))
    assert nth(live, 2) == ["in/b"]


def test_a_time_set_afterwards_is_a_change(live: Live) -> None:
    path = make(live, "in/a")
    begin(live, watching(live, "in/*"))
    os.utime(path, (1, 1))
    assert nth(live, 1) == ["in/a"]


def test_a_slow_writer_is_waited_for(live: Live) -> None:
    make(live, "in/old")
    begin(live, watching(live, "in/*.csv", command=f"{TELL}; wc -c < in/a.csv >> sizes", settle=0.6))
    with open(live.path("in/a.csv"), "w") as file:
        for _ in range(20):
            file.write("0123456789")
            file.flush()
            live.stays(lambda: not runs(live), 0.1)
    assert nth(live, 1) == ["in/a.csv"]
    assert live.path("sizes").read_text().strip() == "200"
    live.stays(lambda: len(runs(live)) == 1, 1.0)


def test_a_folder_that_does_not_exist_yet(live: Live) -> None:
    begin(live, watching(live, "not/yet/*.csv"))
    make(live, "not/yet/a.csv")
    assert nth(live, 1) == ["not/yet/a.csv"]
    make(live, "not/yet/b.csv")
    assert nth(live, 2) == ["not/yet/b.csv"]


def test_folders_below_are_watched_as_they_come(live: Live) -> None:
    make(live, "in/old.csv")
    begin(live, watching(live, "in/**/*.csv"))
    make(live, "in/x/y/a.csv")
    assert nth(live, 1) == ["in/x/y/a.csv"]
    make(live, "in/x/y/b.csv")
    assert nth(live, 2) == ["in/x/y/b.csv"]


def test_several_patterns_are_one_watch(live: Live) -> None:
    make(live, "in/old")
    begin(live, watching(live, "in/*.csv", "more/*.txt"))
    make(live, "in/a.csv")
    make(live, "more/b.txt")
    assert nth(live, 1) == ["in/a.csv", "more/b.txt"]


def test_two_jobs_with_the_same_watch_each_get_the_files(live: Live) -> None:
    make(live, "in/old")
    begin(live, watching(live, "in/*") + watching(live, "in/*", name="other", settle=0.2))
    make(live, "in/a")
    live.until(lambda: len(runs(live)) == 2)
    assert {live.final(number) for number in runs(live)} == {"success"}
    assert {row[0] for row in live.rows("SELECT paths FROM run_paths")} == {json.dumps([str(live.path("in/a"))])}


def test_many_files_at_once_are_one_run(live: Live) -> None:
    live.path("in").mkdir()
    begin(live, watching(live, "in/*.csv", command=f'{TELL}; echo "${{CRONFLOW_TRIGGER_PATHS-none}}" > variable', settle=1.0))
    names = [f"{number:04}-{'x' * 60}.csv" for number in range(2000)]
    for name in names:
        make(live, f"out/{name}", "")
    for name in names:
        live.path(f"out/{name}").rename(live.path(f"in/{name}"))
    assert nth(live, 1) == [f"in/{name}" for name in names]
    assert live.path("variable").read_text() == "none\n"
    live.stays(lambda: len(runs(live)) == 1, 1.0)


def test_a_file_that_is_deleted_starts_nothing_and_may_come_again(live: Live) -> None:
    make(live, "in/b")
    path = make(live, "in/a")
    begin(live, watching(live, "in/*"))
    path.unlink()
    live.until(lambda: set(known(live)) == {"in/b"})
    assert not runs(live)
    make(live, "in/a")
    assert nth(live, 1) == ["in/a"]


@pytest.mark.skipif(sys.getfilesystemencoding() != "utf-8", reason="names are UTF-8")
def test_a_name_that_is_no_text_reaches_the_command_as_it_is(live: Live) -> None:
    live.path("in").mkdir()
    begin(live, watching(live, "in/*", command=f'{TELL}; basename "$CRONFLOW_TRIGGER_PATHS" > list'))
    name = os.path.join(os.fsencode(live.path("in")), b"caf\xe9 a")
    Path(os.fsdecode(name)).touch()
    live.until(lambda: runs(live))
    live.final(1)
    live.until(lambda: live.path("list").exists())
    assert live.path("list").read_bytes() == b"caf\xe9 a\n"
    assert live.terminate() == 0
    live.start()
    live.stays(lambda: len(runs(live)) == 1, 1.0)


# ---- over the life of daemons ---------------------------------------------------------------------------------------------


def test_files_that_came_while_the_daemon_was_down_count(live: Live) -> None:
    make(live, "in/old")
    make(live, "in/gone")
    begin(live, watching(live, "in/*"))
    make(live, "in/seen")
    assert nth(live, 1) == ["in/seen"]
    live.terminate()
    make(live, "in/new")
    make(live, "in/old", "other text")
    live.path("in/gone").unlink()
    live.start()
    assert nth(live, 2) == ["in/new", "in/old"]
    live.until(lambda: set(known(live)) == {"in/new", "in/old", "in/seen"})
    live.terminate()
    live.start()
    live.stays(lambda: len(runs(live)) == 2, 1.0)


def test_a_daemon_killed_at_any_time_loses_no_file_and_tells_none_twice(live: Live) -> None:
    live.path("in").mkdir()
    begin(live, watching(live, "in/*", overlap="queue"))
    expected = []
    for number in range(8):
        make(live, f"in/{number}")
        expected.append(f"in/{number}")
        live.stays(lambda: True, SETTLE * number / 5)
        assert live.process is not None
        live.process.kill()
        live.process.wait()
        live.start()
    live.until(lambda: set(known(live)) == set(expected))
    told = [path for number in runs(live) for path in paths(live, number)]
    assert sorted(told) == expected


def test_files_that_come_while_the_run_goes_on_are_the_next_run(live: Live) -> None:
    live.path("in").mkdir()
    begin(live, watching(live, "in/*", command=f"{TELL}; until test -e go; do sleep 0.05; done"))
    make(live, "in/a")
    live.started(1, "load")
    for name in "bcd":
        make(live, f"in/{name}")
        live.stays(lambda: len(runs(live)) == 1, 2 * SETTLE)
    make(live, "go")
    assert nth(live, 1) == ["in/a"]
    assert nth(live, 2) == ["in/b", "in/c", "in/d"]
    assert live.rows("SELECT id FROM runs WHERE state = 'skipped'") == []


def test_a_retry_has_the_same_files(live: Live) -> None:
    live.path("in").mkdir()
    begin(live, watching(live, "in/*", command=f"{TELL}; test -e go"))
    make(live, "in/a")
    live.until(lambda: runs(live))
    assert live.final(1) == "failed"
    assert live.cli("retry", "1").status == 1
    make(live, "go")
    assert live.cli("retry", "2").status == 0
    assert paths(live, 3) == ["in/a"]
    assert "CRONFLOW" not in live.cli("run", "load").out


def test_a_reload_takes_over_new_watches_and_keeps_what_the_others_know(live: Live) -> None:
    make(live, "in/a")
    make(live, "more/a")
    text = watching(live, "in/*")
    begin(live, text, *EAGER)
    live.write(text + watching(live, "more/*", name="more"))
    looked(live, 2)
    make(live, "in/b")
    make(live, "more/b")
    live.until(lambda: len(runs(live)) == 2)
    live.write(text)
    live.until(lambda: set(known(live)) == {"in/a", "in/b"}, "what is gone was not forgotten")
    make(live, "more/c")
    live.write(text + watching(live, "more/*", name="more"))
    looked(live, 2)
    assert "more/c" in known(live)
    assert len(runs(live)) == 2


def test_without_a_daemon_nothing_is_watched(live: Live) -> None:
    make(live, "in/a")
    live.write(watching(live, "in/*", command="sleep 0.5; env | grep -c TRIGGER_PATHS"))
    assert live.cli("run", "load").status == 1
    assert live.one("SELECT count(*) FROM watched") == 0


def test_a_pause_leaves_the_files_out(live: Live) -> None:
    live.path("in").mkdir()
    begin(live, watching(live, "in/*"))
    assert live.cli("pause", "load").status == 0
    make(live, "in/a")
    live.until(lambda: "in/a" in known(live))
    assert live.rows("SELECT state, reason FROM runs") == [("skipped", "paused")]
    assert live.cli("resume", "load").status == 0
    make(live, "in/b")
    live.until(lambda: len(live.rows("SELECT id FROM runs")) == 2)
    assert paths(live, 2) == ["in/b"]


# ---- trouble --------------------------------------------------------------------------------------------------------------


def test_a_folder_that_does_not_answer_holds_up_nothing_else_and_is_told(live: Live) -> None:
    make(live, "hung/old")
    make(live, "in/old")
    make(live, "silent")
    live.start(
        watching(live, "hung/*", name="hung") + watching(live, "in/*"), sys.executable, "-m", "tests.daemon.hanging", "0.5"
    )
    looked(live)
    make(live, "in/a")
    assert nth(live, 1) == ["in/a"]
    message = str(live.until(lambda: live.one("SELECT message FROM troubles"), "nobody was told"))
    assert str(live.path("hung/*")) in message
    live.path("silent").unlink()
    live.until(lambda: live.one("SELECT count(*) FROM troubles") == 0)
    looked(live, 2)
    make(live, "hung/b")
    live.until(lambda: len(runs(live)) == 2)
    assert live.one("SELECT paths FROM run_paths WHERE run = 2") == json.dumps([str(live.path("hung/b"))])


def test_a_daemon_leaves_while_a_folder_does_not_answer(live: Live) -> None:
    make(live, "hung/old")
    make(live, "silent")
    live.start(watching(live, "hung/*", name="hung"), sys.executable, "-m", "tests.daemon.hanging", "0.1")
    live.until(lambda: live.one("SELECT message FROM troubles"))
    assert live.terminate() == 0


def test_what_cannot_be_saved_is_told_once_it_can(live: Live) -> None:
    make(live, "in/old")
    begin(live, watching(live, "in/*"))
    with contextlib.closing(sqlite3.connect(live.state / "cronflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        make(live, "in/a")
        live.until(lambda: "cannot be written" in live.log)
        make(live, "in/b")
        other.execute("ROLLBACK")
    live.until(lambda: set(known(live)) == {"in/old", "in/a", "in/b"})
    told = [path for number in runs(live) for path in paths(live, number)]
    assert sorted(told) == ["in/a", "in/b"]


def test_with_a_new_database_files_are_still_known(live: Live) -> None:
    make(live, "in/old")
    begin(live, watching(live, "in/*"))
    with open(live.state / "cronflow.db", "r+b") as file:
        file.truncate(0)
    live.path("state/cronflow.db-wal").unlink()
    live.run("load")
    live.until(lambda: "damaged" in live.log and set(known(live)) == {"in/old"}, "nothing was taken along")
    live.terminate()
    make(live, "in/new")
    live.start()
    live.until(lambda: live.rows("SELECT id FROM runs WHERE trigger = 'watch'"))
    assert live.one("SELECT paths FROM run_paths") == json.dumps([str(live.path("in/new"))])
