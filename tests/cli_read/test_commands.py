"""The real commands: JSON, exit statuses, a broken or missing job file, streams and locales."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli_read.conftest import build_shop, cronflow
from tests.cli_read.peer import Peer
from tests.cli_read.tale import Tale, endings, environ, walk

RUN = [
    "id",
    "flow",
    "trigger",
    "by",
    "params",
    "retry_of",
    "slot",
    "slot_last",
    "slots",
    "state",
    "reason",
    "held",
    "created_at",
    "started_at",
    "finished_at",
    "duration_s",
    "tasks",
]
TASK = [
    "job",
    "task",
    "matrix",
    "state",
    "reason",
    "caused_by",
    "waits_for",
    "next_attempt_at",
    "started_at",
    "finished_at",
    "duration_s",
    "outputs",
    "attempts",
    "steps",
]
ATTEMPT = [
    "n",
    "result",
    "exit_code",
    "signal",
    "pid",
    "started_at",
    "finished_at",
    "duration_s",
    "cpu_s",
    "max_rss_kb",
    "log",
    "output_bytes",
    "left_behind",
]
JOB = [
    "name",
    "flow",
    "enabled",
    "paused",
    "pause",
    "skip",
    "schedule",
    "after",
    "state",
    "reason",
    "waits_for",
    "last_run",
    "next_at",
]
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?[+-]\d\d:\d\d")


def check_run(run: dict[str, Any]) -> None:
    assert list(run) == RUN
    for task in run["tasks"]:
        assert list(task) == TASK
        for attempt in task["attempts"]:
            assert list(attempt) == ATTEMPT
            assert os.path.isabs(attempt["log"])


def check_times(answer: dict[str, Any]) -> None:
    """Whatever is a time is ISO 8601 with an offset, or null."""
    for key, value in walk(answer):
        if key.endswith("_at") or key in ("slot", "slot_last", "at", "since", "until"):
            assert value is None or (isinstance(value, str) and ISO.fullmatch(value)), (key, value)


# ---- json -----------------------------------------------------------------------------------------------------------------


def test_status(shop: Tale) -> None:
    result = cronflow(shop, "status", "--json")
    answer = result.json
    assert result.status == 0
    assert list(answer) == ["schema", "daemon", "jobs", "runs", "problems"]
    assert answer["daemon"] == {"running": False, "pid": None, "since": None, "version": None, "file": None}
    check_times(answer)
    jobs = {job["name"]: job for job in answer["jobs"]}
    for job in jobs.values():
        assert list(job) == JOB
        if job["last_run"] is not None:
            check_run(job["last_run"])
    assert jobs["backup-db"]["state"] == "failed"
    assert jobs["backup-db"]["schedule"] == "30 2 * * *"
    assert jobs["backup-db"]["last_run"]["id"] == 338
    assert jobs["sync"]["schedule"] == "every 15m"
    assert jobs["report"]["flow"] == "backup-db"
    assert jobs["report"]["after"] == ["upload", "verify"]
    assert (jobs["report"]["state"], jobs["report"]["reason"]) == ("blocked", "upstream_failed")
    assert jobs["old"]["enabled"] is False
    assert (jobs["old"]["last_run"], jobs["old"]["next_at"], jobs["old"]["state"]) == (None, None, None)
    assert jobs["by-hand"]["next_at"] is None
    assert [run["id"] for run in answer["runs"]] == [364]
    assert {one["kind"] for one in answer["problems"]} == {"config", "alerts", "slow"}


def test_status_of_a_job_and_of_a_run(shop: Tale) -> None:
    answer = cronflow(shop, "--json", "status", "reindex").json
    assert [job["name"] for job in answer["jobs"]] == ["reindex"]
    assert [run["id"] for run in answer["runs"]] == [364]
    answer = cronflow(shop, "status", "338", "--json").json
    assert {job["name"] for job in answer["jobs"]} == {"backup-db", "upload", "verify", "report", "alarm"}
    assert [run["id"] for run in answer["runs"]] == [338]
    check_run(answer["runs"][0])


def test_status_with_a_daemon(shop: Tale) -> None:
    with Peer(shop.places.control):
        answer = cronflow(shop, "status", "--json").json
        assert answer["daemon"] == {
            "running": True,
            "pid": os.getpid(),
            "since": "1970-01-01T01:00:00+01:00",
            "version": "1",
            "file": "x",
        }
        assert "cronflow running since 1970-01-01T01:00:00+01:00" in cronflow(shop, "status").out


def test_runs(shop: Tale) -> None:
    answer = cronflow(shop, "runs", "-n", "30", "--json").json
    assert list(answer) == ["schema", "runs", "acts"]
    check_times(answer)
    numbers = [run["id"] for run in answer["runs"]]
    assert len(numbers) == 30
    assert numbers == sorted(numbers, reverse=True)
    for run in answer["runs"]:
        check_run(run)
    assert [list(act) for act in answer["acts"]] == [["id", "at", "by", "verb", "words", "job", "run"]]
    failed = next(run for run in answer["runs"] if run["id"] == 338)
    backup = failed["tasks"][0]
    assert [attempt["exit_code"] for attempt in backup["attempts"]] == [1, 1, 1]
    assert [attempt["n"] for attempt in backup["attempts"]] == [1, 2, 3]
    assert failed["duration_s"] == pytest.approx(110, abs=15)
    assert next(task for task in failed["tasks"] if task["job"] == "report")["caused_by"] == "backup-db"


def test_a_row_of_slots_that_did_not_run_is_a_run_without_tasks(shop: Tale) -> None:
    (row,) = cronflow(shop, "runs", "sync", "--state", "missed", "--json").json["runs"]
    check_run(row)
    assert (row["tasks"], row["slots"], row["state"], row["reason"]) == ([], 8, "missed", "daemon_down")
    assert (row["slot"], row["slot_last"]) == ("2024-09-25T03:15:00+02:00", "2024-09-25T05:00:00+02:00")
    assert row["finished_at"] == "2024-09-25T05:20:00+02:00", "when it was recorded"


def test_runs_in_a_time(shop: Tale) -> None:
    between = ("-S", "2024-09-26T02:00+02:00", "-U", "2024-09-26T02:40+02:00", "--json")
    assert [run["flow"] for run in cronflow(shop, "runs", *between).json["runs"]] == [
        "sync",
        "backup-db",
        "sync",
        "sync",
        "sync-legacy",
    ]
    assert cronflow(shop, "runs", "backup-db", *between).json["runs"][0]["id"] == 338
    assert cronflow(shop, "runs", "reindex", *between).json["runs"] == []


def test_graph(shop: Tale) -> None:
    answer = cronflow(shop, "graph", "--json").json
    assert list(answer) == ["schema", "flows"]
    flow = answer["flows"][0]
    assert list(flow) == ["name", "trigger", "jobs", "edges"]
    assert {"from": "backup-db", "to": "alarm", "condition": "failure", "kind": "run"} in flow["edges"]
    assert cronflow(shop, "graph", "--format", "json").json == answer
    assert cronflow(shop, "graph", "report", "--json").json["flows"] == [flow]


# ---- who is not there -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("status", "bakup-db"), 4, "did you mean `backup-db`?"),
        (("status", "9999"), 4, "there is no run 9999"),
        (("runs", "bakup-db"), 4, "did you mean `backup-db`?"),
        (("runs", "--state", "faild"), 2, "did you mean `failed`?"),
        (("runs", "-n", "0"), 2, ""),
        (("runs", "-S", "noon"), 2, "`noon` is not a time"),
        (("logs", "bakup-db"), 4, "did you mean `backup-db`?"),
        (("logs", "338/bakup-db"), 4, "did you mean `backup-db`?"),
        (("logs", "338/backup-db/4"), 4, "has no attempt 4"),
        (("logs", "old"), 4, "`old` has not run yet"),
        (("next", "bakup-db"), 4, "did you mean `backup-db`?"),
        (("graph", "bakup-db"), 4, "did you mean `backup-db`?"),
        (("status", "--watch"), 2, "this is not one"),
    ],
)
def test_errors(shop: Tale, arguments: tuple[str, ...], status: int, said: str) -> None:
    result = cronflow(shop, *arguments)
    assert (result.status, result.out) == (status, ""), result.err
    assert result.err.startswith("error: ")
    assert said in result.err
    told = cronflow(shop, *arguments, "--json")
    assert told.status == status
    assert told.json["error"]["exit"] == status


def test_logs_cannot_follow_under_json(shop: Tale) -> None:
    result = cronflow(shop, "logs", "-f", "--json")
    assert (result.status, result.json["error"]["hint"]) == (2, "leave out one of them")


def test_a_broken_job_file_shows_what_the_history_knows(tmp_path: Path) -> None:
    tale = build_shop(tmp_path / "shop")
    tale.file.write_text('[jobs.backup-db]\ncommand = "x"\ntimout = "10m"\n')
    for arguments in (("status",), ("next", "-n", "2"), ("graph",), ("runs", "-n", "2"), ("why", "backup-db")):
        result = cronflow(tale, *arguments)
        assert result.status == 0, result.err
        assert "backup-db" in cronflow(tale, "status").out
        assert "jobs.toml:3: " in result.err
        assert "timout" in result.err
    problems = cronflow(tale, "status", "--json").json["problems"]
    assert sum(one["kind"] == "config" for one in problems) == 1


def test_no_job_file_and_no_history_is_an_error(tmp_path: Path) -> None:
    tale = Tale(tmp_path / "new", "").close()
    tale.file.unlink()
    for verb in ("status", "next", "graph"):
        result = cronflow(tale, verb)
        assert (result.status, result.out) == (1, "")
        assert "error: " in result.err
    assert cronflow(tale, "logs").status == 4
    assert cronflow(tale, "runs", "--json").json == {"schema": 1, "runs": [], "acts": []}


def test_a_state_folder_that_does_not_exist_is_an_empty_history(tmp_path: Path) -> None:
    tale = Tale(tmp_path / "new", '[jobs.a]\ncommand = "true"\n').close()
    missing = str(tmp_path / "nowhere")
    result = cronflow(tale, "status", CRONFLOW_STATE=missing)
    assert result.status == 0
    assert "cronflow is not running   1 job in 1 flow" in result.out
    assert cronflow(tale, "runs", CRONFLOW_STATE=missing).err == "nothing has run yet\n"
    assert not os.path.exists(missing)


def test_a_database_that_is_none(tmp_path: Path) -> None:
    tale = Tale(tmp_path / "new", '[jobs.a]\ncommand = "true"\n').close()
    for file in tale.places.state.iterdir():
        file.unlink()
    tale.places.database.write_bytes(b"not a database, but long enough to be taken for one\n" * 200)
    result = cronflow(tale, "status")
    assert (result.status, result.out) == (1, "")
    assert "cannot read the database" in result.err


# ---- streams --------------------------------------------------------------------------------------------------------------


def test_ascii_where_the_locale_is_not_utf8(shop: Tale) -> None:
    for arguments in (("status",), ("graph",), ("next",), ("why", "backup-db"), ("runs",), ("status", "338")):
        result = cronflow(shop, *arguments, LC_ALL="C")
        assert result.status == 0, result.err
        assert result.raw.isascii(), arguments
    assert "|-- upload" in cronflow(shop, "graph", LC_ALL="C").out.replace("|- ", "|-- ")


def test_a_pipe_gets_iso_times_and_nothing_is_cut(tmp_path: Path) -> None:
    name = "x" * 64
    command = "echo " + "y" * 300
    tale = Tale(
        tmp_path / "long", f'timezone = "UTC"\n[jobs.{name}]\nschedule = "0 2 * * *"\ncommand = "{command}"\n', {name: endings(1)}
    )
    tale.start("Mon 00:00").until("Mon 05:00").close()
    assert name in cronflow(tale, "status").out
    assert command in cronflow(tale, "status", name).out
    out = cronflow(tale, "runs").out
    assert "…" not in out
    assert re.search(r"2024-09-23T02:00:00\+00:00", out)


def test_a_closed_pipe_ends_quietly(shop: Tale) -> None:
    command = f"{sys.executable} -m cronflow.cli.main runs -n 1000 | head -1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, env=environ(shop), timeout=60, check=False)
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


def test_no_colour_in_a_pipe(shop: Tale) -> None:
    for arguments in (("status",), ("runs",), ("why", "backup-db"), ("status", "338"), ("status", "backup-db")):
        assert b"\x1b" not in cronflow(shop, *arguments).raw


def test_what_jobs_print_cannot_drive_the_terminal(tmp_path: Path) -> None:
    """The last line of a failed job is shown by `status` and `why`."""
    ending = endings(1)
    ending[0].output = "\x1b]0;title\x07\x1b[31mred\x1b[2J\x9b1m\u202etxet\x08\n"
    tale = Tale(tmp_path / "evil", '[jobs.a]\nschedule = "0 2 * * *"\ncommand = "a"\n', {"a": ending})
    tale.start("Mon 00:00").until("Mon 05:00").close()
    for arguments in (("status",), ("why", "a"), ("status", "--check")):
        out = cronflow(tale, *arguments).out
        assert "red" in out or "check" in arguments[-1]
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out), arguments
