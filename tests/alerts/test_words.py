"""Durations, points in time, exit statuses and names, as people read them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cronflow
from cronflow.core import words

from .cases import ZONE, at

MIN, H, D = 60, 3600, 86400


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 s"),
        (0, "0 s"),
        (0.04, "0 s"),
        (0.34, "0.3 s"),
        (0.96, "1 s"),
        (4.2, "4 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (4 * MIN + 11, "4 min 11 s"),
        (6 * MIN, "6 min"),
        (3599.9, "1 h"),
        (H + 59, "1 h"),
        (3 * H + 5 * MIN, "3 h 5 min"),
        (D, "1 day"),
        (2 * D + 23 * H + 55 * MIN, "2 days 23 h"),
        (2 * D + 5 * MIN, "2 days"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert words.duration(seconds) == shown


def test_duration_with_more_or_fewer_units() -> None:
    span = 2 * D + 6 * H + 43 * MIN + 51
    assert [words.duration(span, units) for units in (1, 2, 3, 4)] == [
        "2 days",
        "2 days 6 h",
        "2 days 6 h 43 min",
        "2 days 6 h 43 min 51 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-5, "0 s"),
        (0.2, "0 s"),
        (8, "8 s"),
        (59.6, "1 min"),
        (12 * MIN + 29, "12 min"),
        (358, "6 min"),
        (59.6 * MIN, "1 h"),
        (6 * H, "6 h"),
        (36 * H, "36 h"),
        (3 * D, "3 d"),
    ],
)
def test_short_duration(seconds: float, shown: str) -> None:
    assert words.short_duration(seconds) == shown


def test_ago_looks_both_ways() -> None:
    assert words.ago(0, 6 * H) == "6 h ago"
    assert words.ago(8 * MIN, 0) == "in 8 min"
    assert words.ago(0.2, 0) == "now"


@pytest.mark.parametrize(
    ("then", "shown"),
    [
        (at("Thu 02:31:14"), "02:31"),
        (at("Thu 23:59"), "23:59"),
        (at("Wed 23:59"), "Wed 23:59"),
        (at("Mon 02:36"), "Mon 02:36"),
        (at("Sun 18:00"), "Sun 18:00"),
        (at("Thu 02:31") - 6 * D, "Fri 02:31"),
        (at("Thu 02:31") - 7 * D, "2026-09-17 02:31"),
        (at("Thu 02:31") + 7 * D, "2026-10-01 02:31"),
    ],
)
def test_clock_says_as_much_as_is_needed(then: float, shown: str) -> None:
    assert words.clock(then, at("Thu 09:00"), ZONE) == shown


def test_clock_goes_by_the_days_of_the_zone() -> None:
    then, now = at("Thu 01:00"), at("Thu 09:00")
    assert words.clock(then, now, ZONE, seconds=True) == "01:00:00"
    assert words.clock(then, now, "America/New_York") == "Wed 19:00"


def test_day_clock_names_the_nearest_days() -> None:
    now = at("Thu 09:00")
    days = ["yesterday 02:30", "today 02:30", "tomorrow 02:30", "Sat 02:30"]
    assert [words.day_clock(at(f"{day} 02:30"), now, ZONE) for day in ("Wed", "Thu", "Fri", "Sat")] == days


def test_iso_and_zone_name_follow_the_season() -> None:
    assert words.iso(at("Thu 02:31:14") + 0.7, ZONE) == "2026-09-24T02:31:14+02:00"
    assert words.zone_name(at("Thu 02:31"), ZONE) == "CEST"
    assert words.zone_name(at("Thu 02:31") + 60 * D, ZONE) == "CET"


def test_a_zone_or_a_time_that_cannot_be_shown_is_still_shown() -> None:
    assert words.iso(0, "No/Where") == "1970-01-01T00:00:00+00:00"
    assert words.iso(0, "../etc/passwd") == "1970-01-01T00:00:00+00:00"
    assert words.iso(1e18, "UTC").startswith("9999-12-31")


def test_ordinal() -> None:
    shown = [words.ordinal(number) for number in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111)]
    assert shown == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]


@pytest.mark.parametrize(
    ("code", "signal", "result", "shown"),
    [
        (0, None, "success", "exit 0"),
        (1, None, "failed", "exit 1"),
        (126, None, "failed", "exit 126 (not executable)"),
        (127, None, "failed", "exit 127 (command not found: check PATH)"),
        (137, None, "failed", "exit 137 (SIGKILL; out of memory?)"),
        (143, None, "failed", "exit 143 (SIGTERM)"),
        (128, None, "failed", "exit 128"),
        (255, None, "failed", "exit 255"),
        (None, 9, "killed", "killed by SIGKILL (out of memory?)"),
        (None, 15, "killed", "killed by SIGTERM"),
        (None, 40, "killed", "killed by signal 40"),
        (None, 15, "timeout", "timed out"),
        (None, None, "lost", "lost"),
        (None, 15, "cancelled", "cancelled"),
        (None, None, None, "unknown"),
    ],
)
def test_exit_status(code: int | None, signal: int | None, result: str | None, shown: str) -> None:
    assert words.exit_status(code, signal, result) == shown


def test_signal_names_are_those_of_this_machine() -> None:
    import signal

    for number in range(1, 32):
        known = {item.name for item in signal.Signals if item.value == number}
        aliases = {"SIGIOT": "SIGABRT", "SIGPOLL": "SIGIO", "SIGCLD": "SIGCHLD"}
        assert words.signal_name(number) in {aliases.get(name, name) for name in known}


@given(st.text(max_size=50), st.integers(0, 60))
def test_cut_text_is_never_wider(text: str, width: int) -> None:
    for cut in (words.middle_cut(text, width), words.end_cut(text, width)):
        assert len(cut) <= width
        assert cut == text or len(text) > width


def test_cuts_keep_what_counts() -> None:
    assert words.middle_cut("nightly-archive-of-orders", 11) == "night…rders"
    assert words.end_cut("what happened, and why", 15) == "what happened,…"
    assert words.listing(["a", "b", "c"], 2) == "a, b, c"
    assert words.listing(["a", "b", "c", "d"], 2) == "a, b and 2 more"
    assert (words.count(1, "run"), words.count(3, "run"), words.count(2, "copy", "copies")) == ("1 run", "3 runs", "2 copies")


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain × text", "plain × text"),
        ("\x1b[1;31mred\x1b[0m\x1b[K", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        ("\x1b(Btext\x1b[?25h", "text"),
        ("\x9b31mred", "red"),
        ("  1%\r 50%\r100%\r\n", "100%"),
        ("bell\x07 back\x08space nul\x00", "bell backspace nul"),
        ("a\tb", "a       b"),
        ("\u202egnp.exe", "gnp.exe"),
        ("half \udc80", "half "),
        ("\x1b[unfinished", "nfinished"),
    ],
)
def test_plain_is_what_a_person_would_see(line: str, shown: str) -> None:
    assert words.plain(line) == shown.rstrip()


@given(st.text())
def test_plain_leaves_nothing_that_steers_a_terminal(line: str) -> None:
    assert not [sign for sign in words.plain(line) if ord(sign) < 32 or 0x7F <= ord(sign) < 0xA0]


def test_masked_takes_the_longest_secret_first_and_leaves_its_marks_alone() -> None:
    assert words.masked("pass=abcdef abcd ****", ["abcd", "abcdef", "****", ""]) == "pass=*** *** ***"
    assert words.masked("a.cd abcd", ["a.cd"]) == "*** abcd"
    assert words.masked("a short one, abc", ["a", "abc"]) == "a short one, abc"


def test_words_are_quick_to_import() -> None:
    """Nothing heavier than datetime and re: the command line needs these words in every command."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import cronflow.core.words; print(*sorted(sys.modules))"
    folder = str(Path(cronflow.__file__).parents[1])
    done = subprocess.run([sys.executable, "-I", "-c", program, folder], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert not {"zoneinfo", "croniter", "sqlite3", "subprocess", "logging", "signal", "asyncio"} & set(loaded)


def test_words_that_a_shell_takes_as_they_are() -> None:
    assert words.pasted("1423/load") == "1423/load"
    assert words.pasted("1423/load[eu,1]") == "'1423/load[eu,1]'"
    assert words.pasted("it's") == "'it'\\''s'"
    assert words.pasted("") == "''"
