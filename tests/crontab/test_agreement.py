"""Real crontabs: what is read of them is what another reader, made for this purpose, has read. Where not, the table says why."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cronflow.crontab.convert import convert
from cronflow.crontab.tables import Comment, CrontabEntry, Refusal, Setting
from tests.crontab.reading import SHARED, jobs_of, table

EXPLAINED = {
    ("FreifunkBRB__Gateway__config_crontab", "style"): (
        "its one line is refused (`_` is not a valid minute), so no line tells whether there is a user column"
    ),
    ("KDE__liblikeback__cron_crontab", "jobs"): (
        "the user column says `$LIKEBACK_USER`. cron puts no variables into it (load_entry() in entry.c asks getpwnam() for the "
        "word as it is), so there is no such user: Debian's cron refuses the line as `bad username`, cronie never starts it"
    ),
    ("KDE__liblikeback__cron_crontab", "refused"): "the same line",
}
"""(file, what) → who is right, by cron's source."""

pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason=f"the real crontabs are not there: {SHARED}")


def keys() -> list[dict[str, Any]]:
    path = SHARED / "manifest.json"
    return json.loads(path.read_text())["files"] if path.is_file() else []


@pytest.mark.parametrize("key", keys(), ids=lambda key: key["file"])
def test_a_real_crontab_is_read_as_the_key_says(key: dict[str, Any]) -> None:
    one = table((SHARED / key["file"]).read_bytes(), None, "auto", key["file"])
    entries = [item for item in one.items if isinstance(item, CrontabEntry)]
    told = {
        "style": (one.kind.replace("anacron", "anacrontab"), key["style"]),
        "env": (
            [(item.line, item.name, item.value) for item in one.items if isinstance(item, Setting)],
            [(line["line"], line["name"], line["value"]) for line in key["env"]],
        ),
        "jobs": (
            [(each.line, each.name or " ".join(each.words), each.user, each.command, each.stdin) for each in entries],
            [
                (job["line"], job.get("id") or job["schedule"], job.get("user"), job["command"], job.get("stdin"))
                for job in key["jobs"]
            ],
        ),
        "refused": ([item.line for item in one.items if isinstance(item, Refusal)], [line["line"] for line in key["errors"]]),
        "comments": (sum(isinstance(item, Comment) for item in one.items), key["comment_lines"]),
    }
    differing = {what for what, (ours, theirs) in told.items() if ours != theirs}
    assert differing == {what for file, what in EXPLAINED if file == key["file"]}, told


@pytest.mark.parametrize("key", keys(), ids=lambda key: key["file"])
def test_a_real_crontab_becomes_a_job_file_with_the_same_jobs_in_the_same_order(key: dict[str, Any], tmp_path: Path) -> None:
    one = table((SHARED / key["file"]).read_bytes(), None, "auto", key["file"])
    done = convert([one])
    jobs = jobs_of(done, tmp_path)
    entries = [item for item in one.items if isinstance(item, CrontabEntry)]
    assert [(job.command, job.stdin, job.user) for job in jobs.values()] == [
        (each.command.strip() or "true", each.stdin, each.user) for each in entries
    ]
    for job, each in zip(jobs.values(), entries, strict=True):
        assert job.schedule == (" ".join(each.words),) or "`" in " ".join(each.notes) or "~" in each.words
        for setting in (item for item in one.items if isinstance(item, Setting) and item.line < each.line):
            later = [item for item in one.items if isinstance(item, Setting) and setting.line < item.line < each.line]
            if setting.name not in ("MAILTO", "SHELL", "RANDOM_DELAY", "START_HOURS_RANGE") and all(
                item.name != setting.name for item in later
            ):
                assert job.env[setting.name] == setting.value
            if setting.name == "SHELL":
                assert job.shell == setting.value
