from __future__ import annotations

from cronflow.errors import Problem, Span
from cronflow.jobfile.render import render


def test_the_form() -> None:
    span = Span("jobs.toml", 14, 1, 6, 'timout = "10m"')
    assert render(Problem("error", "unknown key `timout` in job `backup`", "did you mean `timeout`?", span), color=False) == (
        "error: unknown key `timout` in job `backup`\n"
        "  --> jobs.toml:14:1\n"
        "   |\n"
        '14 | timout = "10m"\n'
        "   | ^^^^^^\n"
        "   = hint: did you mean `timeout`?"
    )


def test_without_a_place() -> None:
    assert render(Problem("warning", "no jobs", "add one"), color=False) == "warning: no jobs\n  = hint: add one"
    assert render(Problem("error", "no jobs"), color=False) == "error: no jobs"


def test_colour_is_on_the_word_only() -> None:
    drawn = render(Problem("error", "x", None, Span("f", 1, 1, 1, "y")), color=True)
    assert drawn.startswith("\x1b[1;31merror\x1b[0m: x")
    assert drawn.count("\x1b") == 2


def test_nothing_of_a_file_moves_the_cursor() -> None:
    evil = "a\x1b[2Jb\x9b\u202ec\r\x00\u2028"
    drawn = render(Problem("error", evil, evil, Span(evil, 1, 1, 1, evil)), color=False)
    assert all(sign == "\n" or sign.isprintable() for sign in drawn)
    assert "\\x1b[2J" in drawn
    assert "\\u202e" in drawn


def carets(text: str, column: int, length: int) -> tuple[str, str]:
    line, below = render(Problem("error", "x", None, Span("f", 1, column, length, text)), color=False).split("\n")[3:5]
    return line[4:], below[4:]


def test_carets_stand_below_wide_and_combining_characters() -> None:
    assert carets("日本x = 1", 3, 1) == ("日本x = 1", "    ^")
    assert carets("e\u0301x", 3, 1) == ("e\u0301x", " ^")
    assert carets("\tx", 2, 1) == ("    x", "    ^")
    assert carets("a日", 2, 1) == ("a日", " ^^")


def test_a_long_line_is_cut_around_the_carets() -> None:
    line, below = carets("a" * 500 + "HERE" + "b" * 500, 501, 4)
    assert len(line) <= 126
    assert line.startswith("...")
    assert line.endswith("...")
    assert line[below.index("^") : below.rindex("^") + 1] == "HERE"


def test_carets_end_with_the_line() -> None:
    assert carets("ab", 2, 40) == ("ab", " ^")
    assert carets("ab", 3, 1) == ("ab", "  ^")


def test_a_line_of_megabytes_is_drawn_at_once() -> None:
    line, below = carets("日" * 5_000_000 + "HERE" + "a" * 5_000_000, 5_000_001, 4)
    assert "HERE" in line
    assert len(below) < 130
