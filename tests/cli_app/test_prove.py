"""`cronflow check --prove` and the second opinion of `cronflow import --prove`: notes, never warnings."""

from __future__ import annotations

import json

from tests.cli_app.conftest import Cli

JOBS = """\
timezone = "Europe/Berlin"
[defaults]
timeout = "1h"
[jobs.backup]
schedule = ["0 4 */2 * mon", "0 5 * * *"]
command = "true"
[jobs.report]
schedule = "0 4 */2 * mon"
command = "true"
[jobs.twice]
schedule = "30 1-3 * * *"
command = "true"
"""


def test_notes_tell_where_croniter_has_other_times(cli: Cli) -> None:
    cli.file.write_text(JOBS)
    plain, proved = cli("check"), cli("check", "--prove")
    assert proved.status == plain.status == 0
    assert "note:" not in plain.out
    notes = [line for line in proved.out.splitlines() if line.startswith("note: ")]
    assert notes[0].startswith("note: croniter agrees on 1 of 3 schedules (36")
    assert notes[1].startswith("note: `0 4 */2 * mon` (backup, report): only croniter has ")
    assert notes[1].endswith("cron wants days that fit both day fields, croniter takes those that fit one")
    assert all(note.startswith("note: `30 1-3 * * *` (twice): only croniter has ") for note in notes[2:])
    assert "the clock goes back" in proved.out


def test_one_line_where_all_agree(cli: Cli) -> None:
    cli.file.write_text(JOBS.replace("*/2", "2-31/2").replace("1-3", "5"))
    assert "\nnote: croniter agrees on all 3 schedules (" in f"\n{cli('check', '--prove').out}"
    cli.file.write_text('[jobs.a]\nschedule = "0 4 * * *"\ncommand = "true"\ntimeout = "1h"\n')
    assert cli("check", "--prove").out.startswith("note: `0 4 * * *` (a) agrees with croniter (36")
    cli.file.write_text('[jobs.a]\nevery = "1h"\ncommand = "true"\ntimeout = "1h"\n')
    assert cli("check", "--prove").out.startswith("note: there is no schedule of five fields to compare with croniter\n")


def test_notes_leave_the_exit_status_alone_even_with_strict(cli: Cli) -> None:
    cli.file.write_text(JOBS.replace("1-3", "4"))
    assert cli("check", "--strict").status == cli("check", "--strict", "--prove").status == 0


def test_json(cli: Cli) -> None:
    cli.file.write_text(JOBS)
    assert json.loads(cli("check", "--json").out)["croniter"] is None
    found = json.loads(cli("check", "--json", "--prove").out)["croniter"]
    assert [(one["schedule"], one["jobs"]) for one in found] == [
        ("0 4 */2 * mon", ["backup", "report"]),
        ("0 5 * * *", ["backup"]),
        ("30 1-3 * * *", ["twice"]),
    ]
    assert [one["file"] for one in found] == [str(cli.file)] * 3
    assert {one["timezone"] for one in found} == {"Europe/Berlin"}
    days, agreeing, changes = (one["differences"] for one in found)
    assert (agreeing, [one["rules"] for one in days]) == ([], [["both_days"]])
    assert (days[0]["cronflow"], days[0]["croniter"] > 100, "+" in days[0]["at"]) == (0, True, False)
    assert ["fold"] in [one["rules"] for one in changes]


def test_import_has_it_as_a_section_after_the_proof(cli: Cli) -> None:
    (cli.folder / "crontab").write_text("0 4 */2 * 1 x\n0 5 * * * y\n")
    told = cli("import", "crontab", "--prove", "30")
    proof, _, opinion = told.out.partition("no difference\n")
    assert told.status == 0
    assert "by the rules of cron and by the job file" in proof
    assert opinion.startswith("note: croniter agrees on 1 of 2 schedules (366 times of a year)\nnote: `0 4 */2 * 1` (x): only ")
    answer = json.loads(cli("import", "crontab", "--prove", "30", "--json").out)
    assert [len(one["differences"]) for one in answer["croniter"]] == [1, 0]
