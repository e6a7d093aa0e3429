"""`cronflow next`: slots in order, clock changes, schedules that are in no file."""

from __future__ import annotations

from pathlib import Path

from tests.cli_read.conftest import cronflow
from tests.cli_read.tale import Tale

BERLIN = ("--timezone", "Europe/Berlin")


def test_json_is_sorted_by_time(shop: Tale) -> None:
    answer = cronflow(shop, "next", "-n", "40", "--from", "2024-09-26T08:52+02:00", "--json").json
    assert list(answer) == ["schema", "next"]
    found = answer["next"]
    assert len(found) == 40
    for one in found:
        assert list(one) == ["job", "at", "slot", "note"]
    assert [one["at"] for one in found] == sorted(one["at"] for one in found)
    assert not any(one["job"] == "old" for one in found), "a disabled job has no slots"


def test_a_dependent_that_is_asked_for_comes_after_its_upstreams(shop: Tale) -> None:
    (one,) = cronflow(shop, "next", "report", "-n", "1", "--from", "2024-09-26T08:52+02:00", "--json").json["next"]
    assert one == {
        "job": "report",
        "at": "2024-09-27T02:30:00+02:00",
        "slot": "2024-09-27T02:30:00+02:00",
        "note": "after upload, verify",
    }


def test_jobs_without_slots_say_why(shop: Tale) -> None:
    assert "starts only by hand: `cronflow run by-hand`" in cronflow(shop, "next", "by-hand").err
    assert "is disabled in the job file" in cronflow(shop, "next", "old").err


def test_a_gap_and_a_fold_are_noted() -> None:
    def notes(expression: str, start: str) -> list[tuple[str, str | None]]:
        result = cronflow(EMPTY, "next", "--schedule", expression, *BERLIN, "--from", start, "-n", "2", "--json")
        return [(one["at"], one["note"]) for one in result.json["next"]]

    assert notes("30 2 * * *", "2027-03-27T12:00") == [
        ("2027-03-28T03:00:00+02:00", "02:30 does not exist: runs at 03:00"),
        ("2027-03-29T02:30:00+02:00", None),
    ]
    assert notes("30 2 * * *", "2026-10-24T12:00") == [
        ("2026-10-25T02:30:00+02:00", "02:30 comes twice: runs the first time"),
        ("2026-10-26T02:30:00+01:00", None),
    ]
    assert notes("*/30 * * * *", "2026-10-25T02:15+02:00") == [
        ("2026-10-25T02:30:00+02:00", None),
        ("2026-10-25T02:00:00+01:00", None),
    ]
    assert notes("15,45 2 * * *", "2027-03-27T12:00")[0] == (
        "2027-03-28T03:00:00+02:00",
        "02:15 to 02:45 do not exist: runs at 03:00",
    )


def test_a_schedule_with_a_fault_is_drawn() -> None:
    result = cronflow(EMPTY, "next", "--schedule", "0 25 * * *")
    assert (result.status, result.out) == (1, "")
    lines = result.err.splitlines()
    assert lines[0].startswith("error: ")
    assert lines[2] == "   | 0 25 * * *"
    assert lines[3] == "   |   ^^"
    assert lines[4].startswith("  = hint: ")


def test_a_zone_that_is_none() -> None:
    result = cronflow(EMPTY, "next", "--schedule", "0 2 * * *", "--timezone", "Europe/Berln")
    assert (result.status, result.out) == (1, "")
    assert "did you mean `Europe/Berlin`?" in result.err


def test_options_that_do_not_go_together(shop: Tale) -> None:
    assert cronflow(shop, "next", *BERLIN).status == 2
    assert cronflow(shop, "next", "sync", "--schedule", "0 2 * * *").status == 2


def test_a_schedule_needs_no_job_file() -> None:
    result = cronflow(EMPTY, "next", "--schedule", "@daily", "--timezone", "UTC", "-n", "1", "--from", "2026-01-01T12:00+00:00")
    assert result.status == 0
    assert result.out == "2026-01-02T00:00:00+00:00  @daily   at 00:00 every day, UTC\n"


def test_an_expression_without_plain_words_is_written_once(tmp_path: Path) -> None:
    expression = "0 9 1-7 * mon"
    result = cronflow(EMPTY, "next", "--schedule", expression, "--timezone", "UTC", "-n", "1", "--from", "2026-01-01")
    assert (result.status, result.out.count(expression)) == (0, 1)
    assert result.out.endswith(f"{expression}   UTC\n")
    tale = Tale(tmp_path / "t", f'[jobs.a]\nschedule = "{expression}"\ncommand = "a"\n').close()
    assert cronflow(tale, "graph").out == f"a   {expression}\n"


def test_several_roots_and_seconds(tmp_path: Path) -> None:
    toml = 'timezone = "UTC"\n[jobs.a]\nschedule = "30 0 2 * * *"\ncommand = "a"\n'
    toml += '[jobs.b]\nschedule = "30 00 2 * * *"\ncommand = "b"\n'
    tale = Tale(tmp_path / "t", toml + '[jobs.c]\nafter = ["a", "b"]\ncommand = "c"\n').close()
    result = cronflow(tale, "next", "-n", "1", "--from", "2026-01-01T00:00+00:00", "--json")
    assert [(one["job"], one["at"]) for one in result.json["next"]] == [
        ("a", "2026-01-01T02:00:30+00:00"),
        ("b", "2026-01-01T02:00:30+00:00"),
    ]
    assert "a, b → c" in cronflow(tale, "next", "-n", "1").out


class _Nowhere(Tale):
    """No job file and no state at all."""

    def __post_init__(self) -> None:
        self.file = self.folder / "none.toml"
        from cronflow.places import Places

        self.places = Places(self.file, self.folder / "state", self.folder / "state")


EMPTY = _Nowhere(Path("/nonexistent/cronflow"), "")
