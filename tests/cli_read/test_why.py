"""Why: one small history for each case."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cronflow.cli.verbs.runs import runs
from cronflow.cli.verbs.status import status as show_status
from cronflow.cli.verbs.why import why
from cronflow.core.events import Triggered
from tests.cli_read.conftest import Screen, cronflow
from tests.cli_read.tale import Ending, Tale, endings

HEAD = 'timezone = "Europe/Berlin"\n'


def tell(tmp_path: Path, toml: str, script: dict[str, list[Ending]] | None = None) -> Tale:
    return Tale(tmp_path / "tale", HEAD + toml, script or {})


def test_waiting_for_a_job_that_is_retrying(tmp_path: Path, screen: Screen) -> None:
    toml = """
[jobs.backup]
schedule = "0 2 * * *"
retries = 2
retry_delay = "1m"
command = "b"
[jobs.prune]
after = ["backup"]
command = "p"
"""
    tale = tell(tmp_path, toml, {"backup": [Ending(12, 1)]}).start("Mon 00:00").until("Mon 02:00:20").close()
    text = screen(tale, why, "prune", now="Mon 02:00:20")
    assert text.startswith(
        "prune is waiting in run 1 (slot today 02:00).\n  · after backup: it is retrying (attempt 1 of 3 exited 1 at 02:00:12)\n"
    )
    assert "  · backup tries again at 02:01:" in text
    assert "the daemon is not running" in text
    text = screen(tale, why, "backup", now="Mon 02:00:20")
    assert text.startswith("backup is retrying in run 1")
    assert "attempt 1 of 3: exit 1 at 02:00:12, after 12 s" in text


def test_skipped_because_the_one_before_was_still_going_on(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.sync]\nschedule = "*/10 * * * *"\ncommand = "s"\n'
    tale = tell(tmp_path, toml, {"sync": [Ending(1500), Ending(10)]}).start("Mon 01:55").until("Mon 02:22").close()
    text = screen(tale, why, "sync", now="Mon 02:22")
    assert "sync did not run from 02:10 to 02:20 (2 slots)." in text
    assert "run 1 was still going on (since 02:00:00, still goes on)" in text
    assert "cronflow why 1" in text


def test_held_back_by_overlap_queue(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.sync]\nschedule = "*/10 * * * *"\noverlap = "queue"\ncommand = "s"\n'
    tale = tell(tmp_path, toml, {"sync": [Ending(1500)]}).start("Mon 01:55").until("Mon 02:12").close()
    text = screen(tale, why, "sync", now="Mon 02:12")
    assert "sync is queued in run 2" in text
    assert "run 1 of the same jobs is still running" in text


def test_a_condition_that_was_not_met(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.a]\nschedule = "0 2 * * *"\ncommand = "a"\n[jobs.alarm]\nafter = { a = "failure" }\ncommand = "x"\n'
    tale = tell(tmp_path, toml).start("Mon 00:00").until("Mon 03:00").close()
    text = screen(tale, why, "alarm", now="Mon 03:00")
    assert "alarm is skipped in run 1" in text
    assert "after a (needs failure): it succeeded" in text


def test_skip_code_and_cancel(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.a]\ncommand = "a"\nskip_codes = [99]\n[jobs.b]\ncommand = "b"\n[jobs.c]\nafter = ["b"]\ncommand = "c"\n'
    tale = tell(tmp_path, toml, {"a": endings(99), "b": [Ending(500)]}).start("Mon 00:00")
    tale.act("Run", jobs=("a",)).until("Mon 00:10").act("Run", jobs=("b",)).until("Mon 00:11").act("Cancel", run=2, by="bert")
    tale.until("Mon 00:20").close()
    assert "exit 99" in screen(tale, why, "a", now="Mon 00:20")
    assert "cancelled by bert" in screen(tale, why, "c", now="Mon 00:20")
    assert "b is cancelled in run 2" in screen(tale, why, "2/b", now="Mon 00:20")


def test_a_command_that_could_not_start_names_the_key(tmp_path: Path, screen: Screen) -> None:
    ending = Ending(0, None, reason="no_cwd", message="`cwd` /srv/etl does not exist")
    tale = (
        tell(tmp_path, '[jobs.a]\ncommand = "a"\n', {"a": [ending]})
        .start("Mon 00:00")
        .act("Run", jobs=("a",))
        .until("Mon 00:01")
        .close()
    )
    assert "`cwd` /srv/etl does not exist" in screen(tale, why, "a", now="Mon 00:01")


def test_taken_over_by_a_retry(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.a]\ncommand = "a"\n[jobs.b]\nafter = ["a"]\ncommand = "b"\n'
    tale = tell(tmp_path, toml, {"b": endings(1, 0)}).start("Mon 00:00").act("Run", jobs=("a",)).until("Mon 00:01")
    old = tale.store.run(1)
    assert old is not None
    tale.act("Retry", run=old, scope=frozenset({"a", "b"})).until("Mon 00:02").close()
    assert "it succeeded in run 1 and was not run again" in screen(tale, why, "a", now="Mon 00:02")
    assert "b succeeded in run 2 (retry of 1 by anna)" in screen(tale, why, "b", now="Mon 00:02")


def test_a_slot_that_was_paused_then_resumed_names_who_paused_it(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.a]\nschedule = "0 * * * *"\ncommand = "a"\n'
    tale = tell(tmp_path, toml).start("Mon 00:30").act("Pause", jobs=("a",), by="bert").until("Mon 02:30")
    tale.act("Resume", jobs=("a",)).until("Mon 03:30").close()
    text = screen(tale, why, "a", at="02:00", now="Mon 03:30")
    assert "a did not run from 01:00 to 02:00 (2 slots)." in text
    assert "a was paused 00:30 by bert" in text
    assert "succeeded" in screen(tale, why, "a", at="03:00", now="Mon 03:30")


def test_never_ran_and_what_the_history_does_not_have(tmp_path: Path, screen: Screen) -> None:
    tale = tell(tmp_path, '[jobs.a]\nschedule = "0 5 * * *"\ncommand = "a"\n').close()
    assert screen(tale, why, "a", now="Mon 03:30") == "a has not run yet.\n  · next: today 05:00 (in 2 h)\n"
    text = screen(tale, why, "a", at="yesterday 05:00", now="Tue 03:30")
    assert "the history has nothing of it" in text
    assert "no daemon has run yet" in text


def test_missed_slots_name_the_downtime_where_an_alert_recorded_it(tmp_path: Path, screen: Screen) -> None:
    toml = '[alerts.ops]\nurls = ["json://localhost"]\n[jobs.a]\nevery = "15m"\ncommand = "a"\n'
    tale = (
        tell(tmp_path, toml)
        .start("Mon 00:30")
        .until("Mon 03:02")
        .start("Mon 05:20", alive="Mon 03:02")
        .until("Mon 06:00")
        .close()
    )
    text = screen(tale, why, "a", at="04:00", now="Mon 06:00")
    assert "the daemon was not running from 03:02:00 to 05:20:00; catchup ran the last one as run" in text


@pytest.mark.parametrize("what", ["backup-db", "338", "338/upload", "sync-legacy", "reindex", "@last", "251"])
def test_json_has_the_documented_keys(shop: Tale, what: str) -> None:
    answer = cronflow(shop, "why", what, "--json").json
    assert list(answer) == ["schema", "job", "run", "at", "verdict", "because"]
    because: list[dict[str, Any]] = answer["because"]
    assert because
    for one in because:
        assert list(one) == ["code", "message", "run", "task"]
        assert one["code"].isidentifier()


def test_errors(shop: Tale) -> None:
    for arguments, status, said in (
        (("why", "bakup-db"), 4, "did you mean `backup-db`?"),
        (("why", "99999"), 4, "there is no run 99999"),
        (("why", "338/nothing"), 4, "run 338 has no task `nothing`"),
        (("why", "338", "--at", "14:30"), 2, "name a job with `--at`"),
        (("why", "sync", "--at", "noon"), 2, "is not a time"),
        (("why",), 2, "JOB|RUN"),
    ):
        result = cronflow(shop, *arguments)
        assert (result.status, result.out) == (status, ""), arguments
        assert said in result.err
        told = cronflow(shop, *arguments, "--json")
        assert told.status == status
        assert list(told.json["error"]) == ["message", "hint", "exit"]


def test_a_run_that_files_have_started_names_them(tmp_path: Path, screen: Screen) -> None:
    toml = '[jobs.load]\nwatch = "/in/*"\ncommand = "l"\n[jobs.tidy]\nafter = ["load"]\ncommand = "t"\n'
    tale = tell(tmp_path, toml).start("Mon 00:00").until("Mon 02:00")
    key = tale.state.plan.flows["load"].triggers[0].key
    names = ("/in/caf\udce9", "/in/\x1b[1mbold", *(f"/in/{number}" for number in range(5)))
    tale.step(Triggered(key, names, tuple((name, "stamp") for name in names)))
    tale.until("Mon 02:01")
    tale.step(Triggered(key, ("/in/x",), (("/in/x", "stamp"),)))
    tale.until("Mon 02:02").close()
    said = "7 files: /in/caf\\udce9, /in/bold, /in/0 and 4 more"
    assert screen(tale, why, "1", now="Mon 02:02").splitlines()[1] == f"  · started by {said}"
    assert screen(tale, why, "1/tidy", now="Mon 02:02").splitlines()[1] == f"  · started by {said}"
    assert said in " ".join(screen(tale, show_status, "1", now="Mon 02:02").split())
    lines = screen(tale, runs, now="Mon 02:02").splitlines()
    assert lines[0].endswith("watch  1 file: /in/x")
    assert lines[1].endswith("watch  7 files: /in/caf\\udce9 and 6 more")
