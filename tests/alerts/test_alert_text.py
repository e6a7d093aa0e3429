"""Facts -> title and body: golden texts in `golden/`, and what must hold for any facts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronflow.alerts.layout import short
from cronflow.alerts.text import text
from cronflow.core.jobs import ALERT_KINDS

from .cases import CASES, FAILURE, HOST, MISSED, ZONE, at

GOLDEN = Path(__file__).with_name("golden")


@pytest.mark.parametrize("name", CASES)
def test_golden(name: str) -> None:
    kind, facts = CASES[name]
    title, body = text(kind, facts, HOST, ZONE)
    assert f"{title}\n{body}\n" == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_every_golden_text_has_its_case() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == set(CASES)


@pytest.mark.parametrize("kind", [*ALERT_KINDS, "test"])
def test_each_kind_has_a_text_even_without_facts(kind: str) -> None:
    title, body = text(kind, {}, HOST, ZONE)
    words = {"failure": "FAILED", "recovery": "RECOVERED"}
    assert title.startswith(words.get(kind, kind.upper()) + " ")
    assert body.strip()


def test_a_fact_that_is_none_is_a_fact_that_is_missing() -> None:
    for kind, facts in CASES.values():
        for key in facts:
            without = {name: value for name, value in facts.items() if name != key}
            assert text(kind, facts | {key: None}, HOST, ZONE) == text(kind, without, HOST, ZONE), key


def test_long_names_are_cut_in_their_middle_and_the_state_word_never() -> None:
    job, host = "nightly-" + "x" * 48 + "-archive", "db-primary-01.fra.internal.example.org"
    title, _ = text("failure", FAILURE | {"job": job, "task": job, "reminder": True}, host, ZONE)
    assert len(title) <= 60
    assert title.startswith("FAILED nightly")
    assert "…" in title
    name, machine = title.removeprefix("FAILED ").removesuffix(", still failing").split(" on ")
    assert (name[0], name[-1]) == ("n", "e")
    assert (machine[0], machine[-1]) == ("d", "g")


def test_a_short_name_leaves_its_room_to_a_long_host() -> None:
    title, _ = text("failure", FAILURE, "db-primary-01.fra.internal.example.org", ZONE)
    assert title == "FAILED backup-db on db-primary-01.fra.internal.example.org"


def test_times_are_those_of_the_zone_shown() -> None:
    _, body = text("failure", FAILURE, HOST, "America/New_York")
    assert body.startswith("Failed at 20:31:14 EDT after 3 attempts (20:30, 20:30:30, 20:31).")


def test_many_attempts_are_a_span() -> None:
    starts = [at("Thu 02:00") + 60 * number for number in range(12)]
    _, body = text("failure", FAILURE | {"attempts": starts}, HOST, ZONE)
    assert "after 12 attempts (02:00 to 02:11). Exit 1." in body


def test_many_blocked_jobs_are_counted() -> None:
    _, body = text("failure", FAILURE | {"blocks": [f"job{number}" for number in range(40)]}, HOST, ZONE)
    assert "Blocks: job0, job1, job2, job3, job4, job5 and 34 more\n" in body


def test_a_next_time_that_has_passed_is_not_told() -> None:
    _, body = text("failure", FAILURE | {"now": at("Sat 02:30")}, HOST, ZONE)
    assert "Next:" not in body


# -- secrets -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "token=hunter2x",
        "to\x1b[31mken=hunt\x1b[0mer2x",
        "token=hunt\x00er2x",
        "a" * 145 + "hunter2x" + "b" * 400,
        "hunter2xhunter2x",
    ],
)
def test_a_secret_is_masked_before_anything_is_cut(line: str) -> None:
    facts = FAILURE | {"tail": [line], "message": "x" * 196 + line, "mask": ["hunter2x"]}
    title, body = text("failure", facts, HOST, ZONE)
    assert "hunt" not in title + body
    assert "er2x" not in title + body
    assert "***" in body


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    secret = "-----BEGIN KEY-----\nMIIEowIBAAK\n}\n-----END KEY-----\n"
    facts = FAILURE | {"tail": ["key is -----BEGIN KEY-----", "MIIEowIBAAK", "}", "done }"], "mask": [secret]}
    _, body = text("failure", facts, HOST, ZONE)
    assert "\n\nkey is ***\n***\n}\ndone }\n\n" in body


def test_an_empty_secret_masks_nothing() -> None:
    assert text("failure", FAILURE | {"mask": ["", "  "]}, HOST, ZONE) == text("failure", FAILURE, HOST, ZONE)


# -- any facts ---------------------------------------------------------------------------------------------------------

line = st.text(max_size=400)
name = st.text(st.characters(categories=["L", "N"], include_characters="._-[]"), min_size=1, max_size=70)
instant = st.floats(at("Mon 00:00") - 3e8, at("Sun 23:59"))
failure = st.fixed_dictionaries(
    {
        "now": st.just(at("Sun 23:59")),
        "job": name,
        "run": st.integers(1, 10**9),
        "finished_at": instant,
        "failing_since": instant,
        "failures": st.integers(1, 100_000),
    },
    optional={
        "task": name,
        "state_reason": st.sampled_from(
            ["exit_code", "timeout", "killed", "lost", "no_cwd", "check", "after_timeout", "wait_timeout"]
        ),
        "exit_code": st.integers(0, 255),
        "signal": st.integers(1, 64),
        "message": line,
        "attempts": st.lists(instant, max_size=30).map(sorted),
        "duration_s": st.floats(0, 1e7),
        "usual_s": st.floats(0, 1e7),
        "last_success_at": instant,
        "blocks": st.lists(name, max_size=20),
        "tail": st.lists(line, max_size=25),
        "schedule": st.text(max_size=100),
        "timezone": st.just(ZONE),
        "next_at": instant,
        "owner": line,
        "runbook": line,
        "description": line,
        "reminder": st.booleans(),
        "trigger": st.sampled_from(["schedule", "manual", "retry", "catchup", "backfill", "every"]),
        "by": line,
        "slot": st.integers(1_600_000_000, 1_790_000_000),
    },
)


@given(failure, st.text(st.characters(categories=["L", "N"], include_characters=".-"), min_size=1, max_size=80))
def test_any_failure_is_told_within_its_bounds(facts: dict[str, Any], host: str) -> None:
    title, body = text("failure", facts, host, ZONE)
    assert len(title) <= 60
    assert title.startswith("FAILED ")
    assert not [sign for sign in title + body if ord(sign) < 32 and sign != "\n"]
    assert not [sign for sign in title + body if 0x7F <= ord(sign) < 0xA0 or 0xD800 <= ord(sign) < 0xE000]
    often = "First failure." if facts["failures"] == 1 else f"{facts['failures']} runs in a row."
    assert often in body[:300]
    tail = f"cronflow retry {facts['run']}"
    assert tail in body.split("\n\n")[-1]
    brief = short(body)
    assert len(brief) <= 1024
    assert often in brief[:300]
    assert brief.endswith(body.split("\n\n")[-1])


@given(failure, st.integers(1, 3000), st.sampled_from(["start", "end"]))
def test_short_keeps_to_any_limit(facts: dict[str, Any], limit: int, keep: str) -> None:
    _, body = text("failure", facts, HOST, ZONE)
    brief = short(body, limit, keep)
    assert len(brief) <= limit
    if len(body) <= limit:
        assert brief == body


def test_short_takes_output_from_its_beginning() -> None:
    _, body = text("failure", FAILURE | {"tail": [f"line {number}" for number in range(100)]}, HOST, ZONE)
    head, output, tail = body.split("\n\n")
    limit = len(body) - 30
    brief_head, brief_output, brief_tail = short(body, limit).split("\n\n")
    assert (brief_head, brief_tail) == (head, tail)
    assert brief_output.startswith("…\nline 8")
    assert brief_output.endswith("line 99")
    assert output.endswith(brief_output.removeprefix("…\n"))


def test_short_keeps_the_first_problems_of_a_job_file() -> None:
    _, body = text(*CASES["config"], HOST, ZONE)
    brief = short(body, len(body) - 100, keep="start")
    assert "--> jobs.toml:14:1" in brief
    assert "and 5 more" not in brief
    assert brief.endswith("…\n\nAll:  cronflow check /etc/cronflow/jobs.toml")


def test_a_text_message_gets_the_beginning() -> None:
    _, body = text("failure", FAILURE, HOST, ZONE)
    brief = short(body, 160)
    assert len(brief) <= 160
    assert brief.startswith("Failed at 02:31:14 CEST after 3 attempts (02:30, 02:30:30, 02:31). Exit 1.")
    assert brief.endswith("…")


def test_a_title_of_missed_slots_fits_with_any_numbers() -> None:
    facts = MISSED | {"slots": 123456, "down_from": at("Mon 02:10") - 9e6, "now": at("Sat 02:10")}
    for cause in ("down", "clock"):
        title, _ = text("missed", facts | {"cause": cause}, "db-primary-01.fra.internal.example.org", ZONE)
        assert len(title) <= 60
        assert title.startswith("MISSED 123456 slots on db")
        assert "from 2026-06-08 22:10 to Thu 05:47" in text("missed", facts, HOST, ZONE)[1]
