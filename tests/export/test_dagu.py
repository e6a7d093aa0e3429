"""The way out to Dagu: YAML that a real reader takes, with the keys of Dagu's schema (version 2)."""

from __future__ import annotations

import random
from typing import Any

import pytest
import yaml

from cronflow.export.dagu import export
from cronflow.export.report import ExportReport
from cronflow.export.yamltext import document
from tests.docs.pages import ROOT, job_file
from tests.export.jobs import wanted
from tests.export.test_airflow import MORE
from tests.export.test_systemd import EVERYTHING

ROOT_KEYS = {
    *("name", "description", "labels", "type", "shell", "dotenv", "schedule", "catchup_window", "overlap_policy", "delay_sec"),
    *("preconditions", "params", "secrets", "handler_on", "steps"),
}
STEP_KEYS = {
    *("id", "name", "description", "depends", "run", "action", "with", "env", "working_dir", "timeout_sec", "retry_policy"),
    *("continue_on", "preconditions"),
}


def files(text: str) -> tuple[dict[str, Any], ExportReport]:
    """The DAGs, read."""
    done = export(wanted(text))
    return {name.removesuffix(".yaml"): yaml.safe_load(body) for name, body in done.files.items()}, done.report


def steps(dag: dict[str, Any]) -> dict[str, Any]:
    return {step.get("name", step.get("id")): step for step in dag["steps"]}


@pytest.mark.parametrize(
    "text", [EVERYTHING, MORE, job_file(), (ROOT / "sample_jobs.toml").read_text()], ids=("all", "more", "readme", "sample")
)
def test_the_keys_are_those_of_dagu(text: str) -> None:
    dags, _ = files(text)
    assert dags
    for name, dag in dags.items():
        assert dag["name"] == name
        assert dag.keys() <= ROOT_KEYS
        known = steps(dag)
        for step in [*dag["steps"], *dag.get("handler_on", {}).values()]:
            assert step.keys() <= STEP_KEYS
            assert ("run" in step) != ("action" in step)
            assert set(step.get("depends", ())) <= known.keys()


def test_the_flow_of_the_readme() -> None:
    dags, report = files(job_file())
    dag = dags["backup"]
    assert dag["schedule"] == ["CRON_TZ=Europe/Berlin 30 4 * * *"]
    assert (dag["type"], dag["catchup_window"], dag["overlap_policy"]) == ("graph", "720h", "latest")
    assert dag["handler_on"]["exit"]["run"] == "rm etc.tgz"
    upload = steps(dag)["upload"]
    assert upload["depends"] == ["backup"]
    assert upload["run"] == "cp etc.tgz /mnt/offsite/"
    assert upload["retry_policy"] == {"limit": 2, "interval_sec": 1, "backoff": 2.0, "max_interval_sec": 1800}
    assert upload["timeout_sec"] == 3600
    assert report.refused == {}
    assert "it is run at the end of the whole run, not right after `upload`" in report.of("clean-up")


def test_what_a_step_says() -> None:
    dags, _ = files(
        '[jobs.a]\nschedule = ["30 4 * * 7", "@hourly"]\ncommand = "true"\ncatchup = "none"\ntags = ["x"]\nparams = { P = "1" }\n'
        'env = { A = "plain", B = "$HOME" }\nsecrets = { S = "file:/s", T = "env:T" }\nonly_if = "test 1"\nshell = "/bin/bash"\n'
        'wait_until = "test 2"\nwait_timeout = "1h"\napprove = "Now?"\non_failure = "bad"\njitter = "10m"\n'
    )
    dag = dags["a"]
    assert dag["schedule"] == ["CRON_TZ=Europe/Berlin 30 4 * * 0", "CRON_TZ=Europe/Berlin 0 * * * *"]
    assert "catchup_window" not in dag
    assert 0 < dag["delay_sec"] < 600
    assert (dag["labels"], dag["params"]) == (["x"], [{"P": "1"}])
    assert dag["secrets"] == [{"name": "S", "provider": "file", "key": "/s"}, {"name": "T", "provider": "env", "key": "T"}]
    assert dag["handler_on"] == {"failure": {"run": "bad"}}
    wait, approve, command = dag["steps"]
    assert (wait["name"], wait["timeout_sec"]) == ("a-wait", 3600)
    assert approve == {"id": "a_approve", "depends": ["a-wait"], "action": "human.task", "with": {"prompt": "Now?"}}
    assert command["depends"] == ["a_approve"]
    assert command["env"] == [{"A": "plain"}]
    assert command["run"] == "export B='$HOME'\ntrue"
    assert (command["with"], command["preconditions"]) == ({"shell": "/bin/bash"}, [{"condition": "test 1"}])


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('schedule = "@daily"\nforeach = "ls"', "`foreach`"),
        ('schedule = "@daily"\nuser = "www-data"', "its own user"),
        ('after = { one = "failure", two = "success" }', "cannot express `failure`"),
        ('after = ["one", "two"]\njoin = "any"', '`join = "any"`'),
        ('after = ["one", "three"]', "other schedules"),
        ('schedule = "0 0 */2 * fri"', "both day fields"),
        ('schedule = "*/10 0 4 * * *"', "no seconds"),
    ],
)
def test_what_steps_cannot_say_is_refused_with_the_reason(keys: str, told: str) -> None:
    times = (("one", "daily"), ("two", "daily"), ("three", "hourly"))
    others = "".join(f'[jobs.{name}]\nschedule = "@{when}"\ncommand = "true"\n' for name, when in times)
    dags, report = files(f'{others}[jobs.a]\ncommand = "true"\n{keys}\n')
    assert told in report.refused["a"]
    assert not any("a" in steps(dag) for dag in dags.values())


def test_what_goes_on_after_a_failure() -> None:
    dags, report = files(
        '[jobs.a]\nschedule = "@daily"\ncommand = "true"\n[jobs.b]\nafter = { a = "done" }\ncommand = "true"\n'
        '[jobs.c]\nafter = ["b"]\ncommand = "true"\n[jobs.d]\nafter = { c = "failure" }\ncommand = "true"\n'
    )
    found = steps(dags["a"])
    assert found["a"]["continue_on"] == {"failure": True, "skipped": True}
    assert "continue_on" not in found["b"]
    assert list(dags["a"]["handler_on"]) == ["failure"]
    assert report.refused == {}


def test_yaml_gives_back_what_was_written() -> None:
    lot = random.Random(1)
    signs = "ab: -#'\"\\\n\t{}[]|>&*!%@`é\u2028\x01\x85,?= 0"
    texts = [
        "",
        "yes",
        "null",
        "1",
        "1.5",
        "- a",
        "a: b",
        " a",
        "a\n",
        "a\n\n",
        "\na",
        " a\nb",
        "a\n b\n",
        "a \nb",
        "#",
        "~",
        "a #b",
        "0x1",
    ]
    texts += ["".join(lot.choice(signs) for _ in range(lot.randint(1, 12))) for _ in range(600)]
    for text in texts:
        value = {"key": text, text: 1, "list": [text, {"a": text, "b": [text]}], "map": {"x": {"y": text}}}
        assert yaml.safe_load(document(value)) == value, repr(text)
