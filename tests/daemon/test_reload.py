"""The job file is edited while the daemon runs: by itself after two quiet seconds, by SIGHUP, by `cronflow reload`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest

from cronflow.daemon.jobs.source import JobSource
from cronflow.errors import CronflowError
from tests.daemon.live import Live, job

EAGER = (sys.executable, "-m", "tests.daemon.impatient", "0.3", "1.5")
"""A daemon that takes over an edit after 0.3 s instead of 2, and tells a broken file after 1.5 s instead of 60."""
NO_SUCH_JOB = 4
BROKEN = 'timeout = 5\n[jobs.a]\ncommand = "true"\n'
MANUAL = '[settings]\nreload = "manual"\n'


def reloads(live: Live) -> int:
    return live.log.count("reloaded: ")


def effective_config(live: Live, name: str) -> bool:
    """Whether a run of a job would be taken: one that is not there is refused with 4."""
    try:
        live.ask("run", jobs=[name], file=str(live.file))
    except CronflowError as refusal:
        return refusal.exit_status != NO_SUCH_JOB
    return True


def config_trouble(live: Live) -> str | None:
    message = live.one("SELECT message FROM troubles WHERE key = 'config'")
    return None if message is None else str(message)


def test_a_job_file_that_becomes_a_pipe_holds_up_nobody(live: Live) -> None:
    live.start(job("a", "true"))
    live.file.unlink()
    os.mkfifo(live.file)
    with pytest.raises(CronflowError, match="is not a regular file"):
        live.ask("reload")
    assert live.ask("ping")["ok"]
    assert effective_config(live, "a")


# ---- by itself ------------------------------------------------------------------------------------------------------------


def test_an_edit_is_taken_over_by_itself_and_only_once_it_is_quiet(live: Live) -> None:
    live.start(job("a", "true"))
    wrote = time.monotonic()
    while time.monotonic() - wrote < 3.0:  # an editor that saves all the time
        live.write(job("a", "true") + job("b", "true") + f"# {time.monotonic()}\n")
        time.sleep(0.2)
    assert reloads(live) == 0
    live.until(lambda: reloads(live) == 1, "it was not read again")
    assert effective_config(live, "b")


def test_a_file_written_in_place_is_noticed_too(live: Live) -> None:
    live.start(job("a", "true"), *EAGER)
    with open(live.file, "a") as file:
        file.write(job("b", "true"))
    live.until(lambda: reloads(live) == 1)
    assert effective_config(live, "b")


def test_what_says_the_same_is_no_reload(live: Live) -> None:
    live.start(job("a", "true"), *EAGER)
    live.write(job("a", "true"))
    time.sleep(0.6)
    live.write(job("a", "true") + job("b", "true"))
    live.until(lambda: reloads(live) == 1)


def test_included_files_are_edited_added_and_removed(live: Live) -> None:
    live.write(job("b", "true"), "jobs.d/b.toml")
    live.start('include = ["jobs.d/*.toml"]\n' + job("a", "true"), *EAGER)
    live.write(job("b", "true") + job("c", "true"), "jobs.d/b.toml")
    live.until(lambda: reloads(live) == 1, "the edit was not noticed")
    live.write(job("d", "true"), "jobs.d/d.toml")
    live.until(lambda: reloads(live) == 2, "the new file was not noticed")
    live.path("jobs.d/b.toml").unlink()
    live.until(lambda: reloads(live) == 3, "the removal was not noticed")
    assert [effective_config(live, name) for name in "abcd"] == [True, False, False, True]


def test_files_of_calendars_are_edited_broken_and_repaired(live: Live) -> None:
    live.write("2026-12-25\n", "dates/holidays")
    calendar = '[calendars.holidays]\nfile = "dates/holidays"\n'
    live.start(calendar + job("a", "true", skip_on="holidays"), *EAGER)
    live.write("2026-12-25\n2026-12-26\n", "dates/holidays")
    live.until(lambda: reloads(live) == 1, "the edit was not noticed")
    live.write("2026-12-32\n", "dates/holidays")
    live.until(lambda: config_trouble(live) is not None, "the broken line was not noticed")
    live.write("2026-12-31\n", "dates/holidays")
    live.until(lambda: config_trouble(live) is None, "the repair was not noticed")
    assert reloads(live) == 2


def test_an_included_folder_that_comes_later_is_noticed(live: Live) -> None:
    live.start('include = ["more/jobs.d/*.conf"]\n' + job("a", "true"), *EAGER)
    live.path("more").mkdir()
    time.sleep(0.6)
    live.path("more/jobs.d").mkdir()
    time.sleep(0.6)
    live.write(job("b", "true"), "more/jobs.d/b.conf")
    live.until(lambda: reloads(live) == 1)
    shutil.rmtree(live.path("more"))
    live.until(lambda: reloads(live) == 2)
    live.path("new/jobs.d").mkdir(parents=True)
    live.write(job("c", "true"), "new/jobs.d/c.conf")
    live.path("new").rename(live.path("more"))
    live.until(lambda: reloads(live) == 3)
    assert [effective_config(live, name) for name in "abc"] == [True, False, True]


def test_a_file_behind_links_is_watched_where_it_lies(live: Live) -> None:
    """As configuration volumes do it: the file is a link into a folder that is a link, and the folder is exchanged."""
    for number, names in enumerate(("a", "ab")):
        live.write("".join(job(name, "true") for name in names), f"v{number}/jobs.toml")
    live.path("now").symlink_to("v0")
    live.file.symlink_to("now/jobs.toml")
    live.start(None, *EAGER)
    live.path("next").symlink_to("v1")
    live.path("next").rename(live.path("now"))
    live.until(lambda: reloads(live) == 1)
    assert effective_config(live, "b")


def test_manual_does_nothing_by_itself(live: Live) -> None:
    live.start(job("a", "true"), *EAGER)
    live.write(MANUAL + job("a", "true"))
    live.until(lambda: reloads(live) == 1)
    live.write(MANUAL + job("a", "true") + job("b", "true"))
    live.stays(lambda: reloads(live) == 1, 1.5)
    live.signal(signal.SIGHUP)
    live.until(lambda: reloads(live) == 2, "SIGHUP does nothing")
    live.write(job("a", "true"))
    assert live.cli("reload").status == 0
    live.write(job("a", "true") + job("c", "true"))
    live.until(lambda: reloads(live) == 4, "it is not watched again")


# ---- by hand --------------------------------------------------------------------------------------------------------------


def test_reload_tells_what_has_changed(live: Live) -> None:
    live.start(MANUAL + job("a", "true") + job("b", "true"))
    same = live.cli("reload")
    assert (same.status, same.out) == (0, "reloaded: the jobs are what they were\n")
    live.write(MANUAL + job("a", "false") + job("c", "true"))
    told = live.cli("reload")
    assert told.status == 0
    assert told.out == "reloaded: added c; removed b; changed a\n"
    live.write(MANUAL + job("a", "true"))
    assert live.cli("reload", "--json").json == {"schema": 1, "changed": {"added": [], "removed": ["c"], "edited": ["a"]}}
    acts = live.rows("SELECT verb, words FROM acts ORDER BY id")
    assert acts == [("reload", "cronflow reload")] * 2 + [("reload", "cronflow reload --json")]


def test_runs_end_under_the_definition_they_began_with(live: Live) -> None:
    old = job("a", f"while [ ! -e {live.path('go')} ]; do sleep 0.05; done; echo old; exit 3", retries=1, retry_delay="100ms")
    live.start(MANUAL + old + job("b", "echo old b", after={"a": "failure"}))
    run = live.run("a")
    live.started(run, "a")
    live.write(MANUAL + job("a", "echo new"))
    assert live.cli("reload").status == 0
    live.path("go").touch()
    assert live.final(run) == "failed"
    assert live.output(run, "a", 2) == "old\n"
    assert live.output(run, "b") == "old b\n"
    again = live.run("a")
    assert live.final(again) == "success"
    assert live.output(again, "a") == "new\n"
    assert live.rows("SELECT name FROM tasks WHERE run = ?", again) == [("a",)]


# ---- broken ---------------------------------------------------------------------------------------------------------------


def with_target(text: str) -> str:
    """A job file whose alerts go where nobody listens: their rows are what counts here."""
    return text + '[alerts.ops]\nurls = ["json://127.0.0.1:9"]\n'


def config_alerts(live: Live) -> int:
    return int(live.one("SELECT count(*) FROM alerts WHERE kind = 'config'"))


def test_a_broken_file_leaves_the_old_one_in_force_and_is_told_once(live: Live) -> None:
    live.start(with_target(job("a", "true")), *EAGER)
    live.final(live.run("a"))
    live.write(with_target(BROKEN))
    message = live.until(lambda: config_trouble(live))
    assert message.startswith(f"{live.file}:1: ")
    assert config_alerts(live) == 0
    assert message in live.log
    problems = live.cli("status", "--json").json["problems"]
    assert [problem["kind"] for problem in problems] == ["config"]
    assert problems[0]["message"] == message
    assert f"{live.file}:1" in live.cli("status").out.replace("\n", "")
    assert effective_config(live, "a")
    live.write(with_target("# still broken\n" + BROKEN))
    live.until(lambda: config_alerts(live) == 1, "it was not told")
    live.until(lambda: (config_trouble(live) or "").startswith(f"{live.file}:2: "), "status names the old line")
    live.stays(lambda: config_alerts(live) == 1, 2.5)
    facts = json.loads(live.one("SELECT facts FROM alerts WHERE kind = 'config'"))
    assert facts["count"] == 1
    assert "timeout = 5" in facts["problems"][0]
    live.write(with_target(job("a", "true")))
    live.until(lambda: config_trouble(live) is None, "the repair was not noticed")
    assert config_alerts(live) == 1


def test_a_file_that_is_repaired_in_time_is_not_told(live: Live) -> None:
    live.start(with_target(job("a", "true")), *EAGER)
    live.write(with_target(BROKEN))
    live.until(lambda: config_trouble(live))
    live.write(with_target(job("a", "true") + job("b", "true")))
    live.until(lambda: config_trouble(live) is None)
    live.stays(lambda: config_alerts(live) == 0, 2.5)


def test_who_reloads_a_broken_file_is_told_at_once_and_so_are_the_others(live: Live) -> None:
    live.start(with_target(MANUAL + job("a", "true")))
    live.write(with_target(MANUAL + BROKEN))
    refused = live.cli("reload")
    assert refused.status == 1
    assert f"--> {live.file}:3:" in refused.err
    assert "stays the one before" in refused.err
    live.until(lambda: config_alerts(live) == 1)
    assert live.cli("reload").status == 1
    assert config_alerts(live) == 1
    live.file.unlink()
    assert live.cli("reload").status == 1
    assert config_alerts(live) == 1
    assert effective_config(live, "a")
    live.write(with_target(MANUAL + job("a", "true")))
    assert live.cli("reload").status == 0
    assert config_trouble(live) is None


def test_a_new_included_file_that_is_broken_is_watched_for_its_repair(live: Live) -> None:
    live.start(job("a", "true"), *EAGER)
    live.write("[jobs.b]\ncommand = 5\n", "jobs.d/b.toml")
    live.write('include = ["jobs.d/*.toml"]\n' + job("a", "true"))
    message = live.until(lambda: config_trouble(live))
    assert message.startswith(f"{live.path('jobs.d/b.toml')}:2: ")
    live.write(job("b", "true"), "jobs.d/b.toml")
    live.until(lambda: config_trouble(live) is None, "the repair was not noticed")
    assert effective_config(live, "b")


def test_an_edit_while_the_job_file_is_first_read_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "jobs.toml"
    path.write_text('[jobs.a]\ncommand = "true"\n')
    loads = tomllib.loads

    def edited_meanwhile(text: str, **more: Any) -> dict[str, Any]:
        path.write_text('[jobs.b]\ncommand = "true"\n')
        return loads(text, **more)

    with monkeypatch.context() as patch:
        patch.setattr(tomllib, "loads", edited_meanwhile)
        source = JobSource.open(str(path), quiet=0.0)
    assert list(source.reading.jobs.jobs) == ["a"]
    assert source.deadline() is not None
    assert source.edited()
    read = source.read_again()
    assert read is not None
    assert list(read[0].jobs) == ["b"]
    assert source.deadline() is None
    source.watch.close()
