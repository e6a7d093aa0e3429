"""Where the URLs of an alert target come from, and what is said when there are none: never a word of what was read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cronflow.alerts.sender import TargetError, resolve
from cronflow.core.jobs import AlertTarget

URL = "slack://T1JJ3T3L2/A1BRTD4JD/s3cret"


def test_urls_stand_in_the_job_file() -> None:
    assert resolve(AlertTarget("ops", urls=(URL, " json://h ")), {}) == [URL, "json://h"]


def test_a_file_has_a_url_a_line(tmp_path: Path) -> None:
    path = tmp_path / "slack.url"
    path.write_bytes(f"\ufeff# ours\r\n{URL}\r\n\r\n  json://h/#x  \r\n".encode())
    assert resolve(AlertTarget("ops", url_file=str(path)), {}) == [URL, "json://h/#x"]
    path.write_text("json://new\n")
    assert resolve(AlertTarget("ops", url_file="slack.url"), {}, folder=str(tmp_path)) == ["json://new"]


def test_a_variable_may_hold_several() -> None:
    assert resolve(AlertTarget("ops", url_env="SLACK_URL"), {"SLACK_URL": f"{URL}\njson://h"}) == [URL, "json://h"]


@pytest.mark.parametrize(
    ("content", "fact"),
    [
        (b"", "holds no url"),
        (b"# nothing\n\n", "holds no url"),
        (b"json://h\nxoxb-s3cret\n", "line 2 of `url_file` {path} is no url"),
        (b"\xff\xfe s3cret", "is no UTF-8 text"),
    ],
)
def test_a_file_without_urls(tmp_path: Path, content: bytes, fact: str) -> None:
    path = tmp_path / "slack.url"
    path.write_bytes(content)
    with pytest.raises(TargetError) as raised:
        resolve(AlertTarget("ops", url_file=str(path)), {})
    assert fact.format(path=path) in raised.value.message
    assert raised.value.message.startswith("`[alerts.ops]`: ")
    assert "s3cret" not in raised.value.message + str(raised.value.hint)
    assert raised.value.hint


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"`url_file` .*/none: no such file or directory"):
        resolve(AlertTarget("ops", url_file=str(tmp_path / "none")), {})
    with pytest.raises(TargetError, match=r"is a directory|is no regular file"):
        resolve(AlertTarget("ops", url_file=str(tmp_path)), {})


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TargetError, match="is no regular file"):
        resolve(AlertTarget("ops", url_file=str(tmp_path / "pipe")), {})


def test_a_variable_that_is_not_set() -> None:
    with pytest.raises(TargetError, match="the environment variable `SLACK_URL` is not set"):
        resolve(AlertTarget("ops", url_env="SLACK_URL"), {})
    with pytest.raises(TargetError, match="the environment variable `SLACK_URL` holds no url"):
        resolve(AlertTarget("ops", url_env="SLACK_URL"), {"SLACK_URL": " "})
    with pytest.raises(TargetError, match="`urls` holds no url"):
        resolve(AlertTarget("ops"), {})
