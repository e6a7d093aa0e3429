from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronflow.jobfile import kinds, values
from cronflow.jobfile.values import RefusalError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("10m", 600.0),
        ("1h30m", 5400.0),
        ("2d", 172800.0),
        ("2w", 1209600.0),
        ("500ms", 0.5),
        ("1.5h", 5400.0),
        ("1h 30m", 5400.0),
        ("0s", 0.0),
        ("1d2h3m4s5ms", 93784.005),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.duration("timeout", text) == seconds


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("10", "has no unit", '"10m"'),
        ("10min", "is a duration in the wrong form", 'timeout = "10m"'),
        ("2 hours 5 minutes", "is a duration in the wrong form", 'timeout = "2h5m"'),
        ("30m1h", "is a duration in the wrong form", 'timeout = "1h30m"'),
        ("10M", "is a duration in the wrong form", 'timeout = "10m"'),
        ("1h1h", "names a unit twice", "add them up"),
        ("5y", "has an unknown unit `y`", '"5d"'),
        ("-5m", "is negative", "0 or more"),
        ("", "is not a duration", '"1h30m"'),
        ("soon", "is not a duration", '"1h30m"'),
        ("٣m", "is not a duration", '"1h30m"'),
        ("10m;", "is not a duration", '"1h30m"'),
    ],
)
def test_what_is_no_duration(text: str, told: str, hint: str) -> None:
    with pytest.raises(RefusalError) as refusal:
        values.duration("timeout", text)
    assert refusal.value.message.endswith(told)
    assert hint in refusal.value.hint


@given(st.integers(0, 3650 * 86400 * 1000))
def test_a_length_reads_as_the_duration_that_it_is(milliseconds: int) -> None:
    assert values.duration("x", values.format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.text(max_size=20))
def test_any_text_is_a_duration_or_refused_with_a_hint(text: str) -> None:
    try:
        seconds = values.duration("timeout", text)
    except RefusalError as refusal:
        told = refusal
    else:
        assert seconds >= 0
        return
    assert told.hint
    assert "`timeout" in told.message


@pytest.mark.parametrize(
    ("text", "count"), [("10MB", 10_000_000), ("10MiB", 10_485_760), ("512KB", 512_000), ("1.5GB", 1_500_000_000), ("100 B", 100)]
)
def test_sizes(text: str, count: int) -> None:
    assert values.size("max_output", text) == count


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10M", '"10MB"'),
        ("10k", '"10KB"'),
        ("10mib", '"10MiB"'),
        ("10mb", '"10MB"'),
        ("10", '"10MB"'),
        ("5TB", "GB"),
        ("much", "10MB"),
    ],
)
def test_what_is_no_size(text: str, hint: str) -> None:
    with pytest.raises(RefusalError) as refusal:
        values.size("max_output", text)
    assert hint in refusal.value.hint


@pytest.mark.parametrize(("text", "mask"), [("027", 0o27), ("0o27", 0o27), ("77", 0o77), ("0", 0), ("0777", 0o777)])
def test_umasks(text: str, mask: int) -> None:
    assert kinds.umask("umask", text, print) == mask


@pytest.mark.parametrize("text", ["888", "1777", "rwx", "", "-1"])
def test_what_is_no_umask(text: str) -> None:
    with pytest.raises(RefusalError, match="is not a umask"):
        kinds.umask("umask", text, print)
