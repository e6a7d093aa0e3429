"""Random crontabs: whatever they hold, each line is in the job file or is told of, and the file has the same jobs."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cronflow.crontab import writing
from cronflow.crontab.convert import Import
from cronflow.crontab.tables import Blank, Comment, CrontabEntry, CronTable, Refusal, Setting
from tests.crontab.reading import imported, jobs_of, table

FIELD = st.sampled_from(
    [
        *("*", "0", "5", "*/5", "1-5", "*/7", "0-7", "mon-fri", "sat-sun", "6-0", "22-2", "*/60", "1,2", "5/15", "31"),
        *("L", "~", "1~3", "x", "*/31", "*x", "5.y", "58-2"),
    ]
)
TIMES = st.one_of(
    st.lists(FIELD, min_size=5, max_size=5).map(" ".join),
    st.sampled_from(["@daily", "@reboot", "@hourly", "@Daily", "@every 5m", "0 4 * *", "* * * * *", "30 2 * * *"]),
)
SIGNS = st.text(st.sampled_from("ab/.-_ \\%'\"$&|;()#=\t\u2028\x07é日"), max_size=24)
COMMANDS = ["/opt/backup.sh", "cd /x && ./load --all", "a | b", "run%x%y", "date +\\%F >/dev/null 2>&1", "root x", ""]
COMMAND = st.one_of(SIGNS, st.sampled_from(COMMANDS))
JOB = st.tuples(st.sampled_from(["", " ", "\t", "-"]), TIMES, st.sampled_from([" ", "\t", "  "]), COMMAND).map("".join)
NAMES = ["MAILTO", "SHELL", "PATH", "HOME", "CRON_TZ", "RANDOM_DELAY", "LOGNAME", "A", "B_C", "x-y", "CRONFLOW_X", ""]
VALUES = ['""', "", "/bin/bash", "bash", "root", "a@b.c, d", "'x y'", '"x', "Europe/Berlin", "30", "$A:/x", "\\a\\n"]
SETTING = st.tuples(st.sampled_from(NAMES), st.sampled_from(["=", " = ", "= "]), st.sampled_from(VALUES)).map("".join)
COMMENTS = ["Backup", "0 4 * * * x", "m h dom mon dow command", "Nightly.", "A=b", "-----"]
COMMENT = st.one_of(SIGNS, st.sampled_from(COMMENTS)).map("#{}".format)
LINE = st.one_of(JOB, SETTING, COMMENT, st.sampled_from(["", " ", "\t \t", "broken", "prose that means nothing at all here"]))
TABLE = st.tuples(st.lists(LINE, max_size=14).map("\n".join), st.sampled_from(["\n", "", "\r\n"])).map("".join)


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TABLE, st.sampled_from(["user", "system", None]), st.sampled_from(["auto", "debian", "cronie", "busybox"]))
def test_no_line_vanishes(text: str, kind: str | None, daemon: str) -> None:
    one = table(text, kind, daemon)  # type: ignore[arg-type]
    done = imported(text, kind, daemon)  # type: ignore[arg-type]
    written = writing.write(done)
    lines = text.split("\n")
    assert [item.line for item in one.items] == list(range(1, len(one.items) + 1))
    assert len(one.items) == len(lines) - (not lines[-1])
    with tempfile.TemporaryDirectory() as folder:
        jobs = jobs_of(done, Path(folder))
    entries = [item for item in one.items if isinstance(item, CrontabEntry)]
    assert [job.entry.line for job in done.jobs] == [entry.line for entry in entries]
    commands = [entry.command if entry.command.strip() else "true" for entry in entries]
    assert [job.command for job in jobs.values()] == commands
    assert [job.stdin for job in jobs.values()] == [entry.stdin for entry in entries]
    for item in one.items:
        line = lines[item.line - 1].strip()
        if isinstance(item, Blank):
            assert not line
        elif isinstance(item, Refusal):
            assert item.line in {told.refusal.line for told in done.refused}
        elif isinstance(item, Setting):
            assert _told(item, one, done), item
    kept = sum(row.lstrip().startswith("#") for row in written.splitlines())
    described = sum(len(job.keys.get("description", "").split()) for job in done.jobs)
    comments = [item for item in one.items if isinstance(item, Comment) and any(sign.isalnum() for sign in item.text)]
    assert kept + described + done.comments >= len(comments)


def _told(setting: Setting, one: CronTable, done: Import) -> bool:
    """Whether a variable is one of a job below it, or is told of."""
    if setting.line in {note.line for note in done.notes} | {told.refusal.line for told in done.refused}:
        return True
    values = {f"{setting.value}m", setting.value, *setting.value.split(", ")}
    for job in done.jobs:
        if job.entry.line > setting.line:
            keys = [job.keys.get(key) for key in ("shell", "cwd", "timezone", "jitter")]
            held = {str(value) for value in (job.keys.get("env", {}).get(setting.name), *keys)}
            if values & held or job.variables.get(setting.name) == setting.value:
                return True
    return not any(isinstance(item, CrontabEntry) and item.line > setting.line for item in one.items)
