"""Edges between flows on the screens: who waits for whom, which ends counted, and what comes of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cronflow.cli.verbs.graph import Format, graph
from cronflow.cli.verbs.next import next_slots
from cronflow.cli.verbs.run import Flags, run
from cronflow.cli.verbs.status import status
from cronflow.cli.verbs.why import why
from tests.cli_read.conftest import Screen, cronflow
from tests.cli_read.tale import Ending, Tale, at

TOML = """
timezone = "Europe/Berlin"
[defaults]
timeout = "1h"
[jobs.load]
schedule = "0 4 * * *"
command = "l"
[jobs.fetch]
schedule = "30 4 * * *"
command = "f"
[jobs.report]
after = ["load", "fetch"]
command = "r"
[jobs.mail]
after = ["report"]
command = "m"
[jobs.bill]
schedule = "5 4 * * *"
after = ["load"]
command = "b"
[jobs.often]
schedule = "@hourly"
after = ["load"]
command = "o"
[jobs.strict]
schedule = "0 4 * * *"
after = ["fetch"]
after_timeout = "20m"
command = "s"
"""


def until(folder: Path, when: str, **script: list[Ending]) -> Tale:
    """From Monday on; `load` takes ten minutes, `fetch` five."""
    endings = {"load": [Ending(600)], "fetch": [Ending(300)], **script}
    return Tale(folder / "tale", TOML, endings).start("Mon 00:30").until(when).close()


# ---- why: what waits ------------------------------------------------------------------------------------------------------


def test_a_slot_that_waits_tells_for_whom_and_until_when(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 04:07")
    told = screen(tale, why, "bill", now="Mon 04:07").splitlines()
    assert told == [
        "bill waits for load since 04:05 (slot today 04:05, run 7).",
        "  · after load: it is running in run 4",
        "  · it waits until its next slot at Tue 04:05 (in 24 h); then it is skipped",
    ]
    told = screen(tale, why, "strict", now="Mon 04:07").splitlines()
    assert told == [
        "strict waits for fetch since 04:00 (slot today 04:00, run 6).",
        "  · after fetch: it has not ended yet; its next slot is today 04:30",
        "  · it waits until 04:20 (in 13 min), `after_timeout` 20 min; then it is blocked",
    ]
    assert screen(tale, why, "bill", at="04:05", now="Mon 04:07").startswith("bill waits for load")


def test_a_slot_that_waits_for_a_failed_job_will_be_blocked(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 04:40", load=[Ending(600, 1)])
    told = screen(tale, why, "bill", now="Mon 04:40")
    assert "after load: it failed in run 4 (slot today 04:00) at 04:10" in told
    assert "then it is blocked" in told


def test_a_flow_of_which_not_all_upstreams_have_ended_names_the_missing_one(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 04:15")
    told = screen(tale, why, "report", now="Mon 04:15").splitlines()
    assert told == [
        "report waits for fetch.",
        "  · after load: it succeeded in run 4 (slot today 04:00) at 04:10",
        "  · after fetch: it has not ended yet; its next slot is today 04:30",
    ]
    told = screen(tale, why, "mail", now="Mon 04:15")
    assert told.startswith("mail waits for fetch.")
    assert "it starts in the run of report, after report" in told


def test_a_slot_of_the_same_round_is_waited_for(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Tue 04:15", load=[Ending(600, 1), Ending(600)])
    told = screen(tale, why, "report", now="Tue 04:15")
    assert told.startswith("report waits for fetch.\n")
    assert "after load: it succeeded in run " in told
    assert "after fetch: its slot today 04:30 belongs to this round" in told
    answer = cronflow(tale, "status", "--json").json
    (report,) = [job for job in answer["jobs"] if job["name"] == "report"]
    assert report["waits_for"] == [{"job": "fetch", "run": None, "state": None}]


# ---- why: what counted ----------------------------------------------------------------------------------------------------


def test_a_run_names_the_runs_whose_ends_opened_it(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 04:40")
    told = screen(tale, why, "report", now="Mon 04:40").splitlines()
    assert told[0].endswith("(started because load 4 and fetch 8 ended, today 04:35).")
    assert told[2:] == [
        "  · after load: it succeeded in run 4 (slot today 04:00) at 04:10",
        "  · after fetch: it succeeded in run 8 (slot today 04:30) at 04:35",
        "  · it starts when load and fetch have ended anew",
        "  · after load: it has not ended since run 4, which has counted; its next slot is tomorrow 04:00",
        "  · after fetch: it has not ended since run 8, which has counted; its next slot is tomorrow 04:30",
    ]
    assert "after load: it succeeded in run 4 (slot today 04:00) at 04:10" in screen(tale, why, "bill", now="Mon 04:40")


def test_a_blocked_run_names_who_failed(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 04:40", load=[Ending(600, 1)])
    told = screen(tale, why, "report", now="Mon 04:40").splitlines()
    assert told[0].startswith("report is blocked in run ")
    assert told[0].endswith("(because load 4 and fetch 8 ended, today 04:35).")
    assert told[1] == "  · after load: it failed in run 4 (slot today 04:00) at 04:10   cronflow why 4"
    assert told[2] == "  · after fetch: it succeeded in run 8 (slot today 04:30) at 04:35"
    assert told[3:] == ["  · it starts when load and fetch have ended anew"], "what has counted is not told twice"


def test_a_slot_that_waited_in_vain(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 07:30")
    told = screen(tale, why, "often", at="06:00", now="Mon 07:30").splitlines()
    assert told == [
        "often did not run from 05:00 to 06:00 (2 slots).",
        "  · skipped: waited for a new end of load until the next slot, in vain",
        "  · load last ended before that in run 4, today 04:10: success",
    ]


def test_after_timeout_tells_how_long_it_waited_and_for_whom(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 04:40")
    told = screen(tale, why, "strict", now="Mon 04:40")
    assert "strict is blocked in run 6 (slot today 04:00)." in told
    assert "its slot waited 20 min for `fetch`, which has no new end" in told


CODES = {
    "bill": ("Mon 04:07", ["upstream", "waits_until"]),
    "report": ("Mon 04:15", ["upstream_ended", "upstream_not_new"]),
    "strict": ("Mon 04:25", ["after_timeout", "after_timeout", "next"]),
}


@pytest.mark.parametrize("name", CODES)
def test_the_codes_of_the_evidence(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    from cronflow.cli.invocation import Invocation, Options

    when, codes = CODES[name]
    tale = until(tmp_path, when)
    why(Invocation(tale.places, Options(json=True), now=at(when)), name)
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [one["code"] for one in answer["because"] if one["code"] != "daemon_down"] == codes
    assert answer["verdict"] == ("blocked" if name == "strict" else "waiting")


# ---- the other screens ----------------------------------------------------------------------------------------------------


def test_status_lists_the_slots_that_wait(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 04:07")
    told = screen(tale, status, now="Mon 04:07")
    assert "WAITING  3\n  · often   waits for load since 04:00, until 05:00   run 5\n" in told
    assert "  05:00 in 53 min   often (after load)\n" in told
    assert "state    waits for load since 04:05, until Tue 04:05" in screen(tale, status, "bill", now="Mon 04:07")
    assert "starts   by new ends of load, fetch" in screen(tale, status, "report", now="Mon 04:07")


def test_a_job_that_waited_too_long_is_failing_once(tmp_path: Path, screen: Screen) -> None:
    told = screen(until(tmp_path, "Mon 04:40"), status, now="Mon 04:40", width=140)
    assert "FAILING  1\n  ✗ strict  blocked 04:20 (20 min ago)   waited 20 min for `fetch`, which has no new end   run 6" in told
    assert told.count("strict") == 2, "failing once, and among the next"


def test_next_tells_what_waits_and_what_no_timetable_starts(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 04:07")
    told = [" ".join(line.split()) for line in screen(tale, next_slots, number=2, now="Mon 04:07").splitlines()]
    assert told == [
        "today 04:00 often waits for load since 04:00, until 05:00",
        "today 04:00 strict waits for fetch since 04:00, until 04:20",
        "today 04:05 bill waits for load since 04:05, until Tue 04:05",
        "today 04:30 fetch at 04:30 every day, Europe/Berlin",
        "today 05:00 often every hour, Europe/Berlin after load",
        "report → mail after load, fetch",
    ]
    assert screen(tale, next_slots, ["mail"], now="Mon 04:07").split() == ["report", "→", "mail", "after", "load,", "fetch"]
    answer = cronflow(tale, "next", "report", "bill", "-n", "1", "--json").json["next"]
    assert [(one["job"], one["at"] is None, one["note"]) for one in answer] == [
        ("bill", True, "waits for load since 2024-09-23T04:05:00+02:00, until 2024-09-24T04:05:00+02:00"),
        ("bill", False, "after load"),
        ("report", True, "after load, fetch"),
    ]


def test_the_graph_shows_edges_from_other_flows(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 01:00")
    told = [" ".join(line.split()) for line in screen(tale, graph).splitlines()]
    assert "report after load, fetch (other flows)" in told
    assert "bill 5 4 * * * at 04:05 every day also after load (other flow)" in told
    assert '"load" -> "bill" [style=dashed];' in screen(tale, graph, form=Format.dot)
    alone = screen(tale, graph, "bill", form=Format.mermaid)
    assert 'j1["load"]' in alone
    assert "j1 -.-> j0" in alone
    flows = {flow["name"]: flow for flow in cronflow(tale, "graph", "--json").json["flows"]}
    assert flows["report"]["trigger"] == "after load, fetch"
    assert [edge["kind"] for edge in flows["report"]["edges"]] == ["other_flow", "other_flow", "run"]


def test_a_dry_run_with_upstream_shows_jobs_of_other_flows(tmp_path: Path, screen: Screen) -> None:
    tale = until(tmp_path, "Mon 01:00")
    told = screen(tale, run, ["report"], Flags(upstream=True, dry_run=True)).splitlines()
    assert told[0] == "a run of `report` would start 4 jobs:"
    assert told[1:] == ["  load", "  fetch", "  report  after load, fetch", "  mail    after report"]
    result = cronflow(tale, "run", "report", "--dry-run")
    assert result.out.splitlines() == ["a run of `report` would start 2 jobs:", "  report", "  mail    after report"]
    assert result.err == "it takes as met what comes after `load`, `fetch`\n"


def test_check_says_after_whom_the_next_one_starts(tmp_path: Path) -> None:
    tale = Tale(tmp_path / "tale", TOML.replace('"0 4 * * *"\ncommand = "l"', '"* * * * *"\nenabled = false\ncommand = "l"'))
    tale.close()
    assert "the next to start is `often` at " in (told := cronflow(tale, "check").out)
    assert ", after `load`" in told
