"""Nothing vanishes: each key of a job is in what is written, or is told to be lost, or its job is refused."""

from __future__ import annotations

import ast

import pytest
import yaml

from cronflow.export import airflow, crontab, dagu, systemd
from cronflow.export.report import ExportResult
from cronflow.jobfile import keys
from tests.export.jobs import wanted

TARGETS = {"crontab": crontab.export, "systemd": systemd.export, "airflow": airflow.export, "dagu": dagu.export}
SAMPLES = {
    "command": '"other"',
    "description": '"what it is for"',
    "owner": '"data-team"',
    "runbook": '"https://wiki.example/a"',
    "tags": '["nightly"]',
    "enabled": "false",
    "schedule": '"17 5 * * *"',
    "every": '"2h"',
    "at": "2027-01-01T00:00:00",
    "watch": '"/srv/in/*"',
    "timezone": '"Asia/Tokyo"',
    "jitter": '"90s"',
    "skip_on": '["holidays"]',
    "only_on": '["holidays"]',
    "catchup": '"all"',
    "catchup_window": '"3h"',
    "join": '"any"',
    "only_if": '"test -e /x"',
    "wait_until": '"test -e /y"',
    "approve": "true",
    "params": '{ P = "1" }',
    "matrix": '{ R = ["eu", "us"] }',
    "foreach": '"ls"',
    "env": '{ A = "1" }',
    "env_file": '"/etc/default/a"',
    "secrets": '{ S = "env:S" }',
    "cwd": '"/srv"',
    "user": '"www-data"',
    "group": '"www-data"',
    "shell": '"/bin/bash"',
    "stdin": '"text\\n"',
    "umask": '"027"',
    "nice": "7",
    "timeout": '"1h"',
    "retries": "2",
    "success_codes": "[0, 3]",
    "skip_codes": "[99]",
    "overlap": '"replace"',
    "pool": '"warehouse"',
    "priority": "7",
    "deadline": '"06:00"',
    "slow": '"1h"',
    "check": '"test -e /z"',
    "on_failure": '"bad"',
    "on_success": '"good"',
    "alert": '["ops"]',
    "max_output": '"1MB"',
}
WITH = {
    "settle": 'watch = "/srv/in/*"\nsettle = "7s"',
    "after_timeout": 'after = ["other"]\nafter_timeout = "1h"',
    "after": 'after = ["other"]',
    "wait_every": 'wait_until = "test -e /y"\nwait_every = "7s"',
    "wait_timeout": 'wait_until = "test -e /y"\nwait_timeout = "7m"',
    "matrix_join": 'matrix = { R = ["eu", "us"] }\nmatrix_join = "each"',
    "kill_after": 'timeout = "1h"\nkill_after = "1m"',
    "retry_delay": 'retries = 3\nretry_delay = "7s"',
    "retry_backoff": "retries = 3\nretry_backoff = 1.5",
    "retry_max_delay": 'retries = 3\nretry_max_delay = "7m"',
    "retry_on": "retries = 3\nretry_on = [75]",
    "pool_slots": 'pool = "warehouse"\npool_slots = 2',
}
"""Keys that mean something beside another one."""
UNTOLD = {
    *((key, target) for key in ("join", "matrix_join", "after_timeout", "settle") for target in TARGETS),
    *((key, "crontab") for key in ("retry_delay", "retry_backoff", "retry_max_delay", "retry_on", "skip_codes")),
    ("shell", "airflow"),
}
"""Keys that mean nothing here: of one job after one other in its flow; beside a `watch` or `retries` that is told to be lost; the
exit code of a single job to cron, /bin/bash to an operator that is bash."""
HEAD = """\
[calendars.holidays]
dates = [2026-12-25]
[pools]
warehouse = 2
[alerts.ops]
urls = "mailto://localhost?from=root@localhost&to=ops@example.org"
[alerts.chat]
urls = "slack://a/b/c"
[jobs.other]
schedule = "@yearly"
command = "true"
[jobs.a]
"""


def test_every_key_is_looked_at() -> None:
    assert SAMPLES.keys() | WITH.keys() == keys.JOB.keys()


def export(target: str, body: str) -> ExportResult:
    own = "" if "command" in body.split("\n")[0] else 'command = "true"\n'
    when = (
        "" if any(body.startswith(key) for key in ("schedule", "every", "at ", "watch", "after ")) else 'schedule = "0 4 * * *"\n'
    )
    return TARGETS[target](wanted(f"{HEAD}{own}{when}{body}\n"))


def bare(done: ExportResult) -> str:
    """What is written, without remarks."""
    lines = "\n".join(f"{name}\n{text}" for name, text in done.files.items()).splitlines()
    return "\n".join(line for line in lines if "lost:" not in line)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("key", [*SAMPLES, *WITH])
def test_a_key_is_written_or_told(key: str, target: str) -> None:
    body = WITH.get(key, f"{key} = {SAMPLES.get(key)}")
    done = export(target, body)
    if any(job.startswith("a") for job in done.report.refused):
        return
    told = [loss for loss in done.report.losses if loss.job.startswith("a") and (loss.key == key or key in loss.message)]
    without = export(target, "\n".join(line for line in body.split("\n") if not line.startswith(f"{key} =")))
    assert told or bare(done) != bare(without) or (key, target) in UNTOLD


@pytest.mark.parametrize("target", TARGETS)
def test_what_only_cronflow_sets_is_told(target: str) -> None:
    done = export(target, 'stdin = "$CRONFLOW_OUTPUT"')
    assert any("`CRONFLOW_OUTPUT`" in loss.message for loss in done.report.losses)


@pytest.mark.parametrize("target", TARGETS)
def test_every_job_is_written_or_refused(target: str) -> None:
    done = export(target, 'matrix = { R = ["eu", "us"] }')
    assert done.report.names == ["other", "a[eu]", "a[us]"]
    text = "".join(done.files.values())
    assert done.report.refused == {}
    assert all(text.count(value) for value in ("eu", "us"))


HOSTILE = 'x\\nExecStart=/bin/evil\\n* * * * * evil\\n\\"\\"\\"; evil = 1 #\'`$(evil)%n{{ evil }} \\\\ \\u001b[31m'
"""As a string of TOML: lines that would be settings, jobs or statements if they came to stand at the beginning of a line."""


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    "key", ["description", "owner", "runbook", "tags", "cwd", "user", "stdin", "check", "on_failure", "approve", "env"]
)
def test_no_text_becomes_a_setting_or_a_job(key: str, target: str) -> None:
    value = {"tags": f'["{HOSTILE}"]', "cwd": f'"/{HOSTILE}"', "env": f'{{ A = "{HOSTILE}" }}'}.get(key, f'"{HOSTILE}"')
    done = export(target, f"{key} = {value}")
    lines = [line for text in done.files.values() for line in text.splitlines()]
    if target in ("crontab", "systemd"):
        assert not [line for line in lines if line.startswith(("ExecStart=/bin/evil", "* * * * * evil", '"""'))]
    elif target == "airflow":
        tree = ast.parse(done.files[""])
        assert not [line for line in tree.body if isinstance(line, ast.Assign)]
    else:
        assert all(isinstance(yaml.safe_load(text), dict) for text in done.files.values())
    for text in (*(loss.message for loss in done.report.losses), *done.report.refused.values()):
        assert "\n" not in text
