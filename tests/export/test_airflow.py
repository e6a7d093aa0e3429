"""The way out to Airflow: a file that Python takes, whose tasks and edges are those of the jobs; Airflow itself is asked where it
is installed."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from cronflow.export.airflow import export
from cronflow.export.airflow_proof import airflow_starts
from cronflow.export.report import ExportReport
from tests.docs.pages import ROOT, job_file
from tests.export.jobs import wanted
from tests.export.test_systemd import EVERYTHING

MORE = """\
[pools]
warehouse = 2
[jobs.load]
schedule = ["0 5 * * fri-sun", "0 6 L * *"]
command = 'echo "{{ not a template }}" {# nor this #}'
env = { SCRIPT = "/x/run.sh", BRACES = "{{ 7 * 7 }}" }
params = { TOP = "5" }
pool = "warehouse"
pool_slots = 2
priority = 7
retries = 3
retry_backoff = 1.5
timeout = "90m"
approve = "Are the figures \\"right\\"?"
user = "etl"
owner = "data-team"
tags = ["nightly"]
cwd = "/srv"
[jobs.after-load]
after = { load = "success" }
command = ["/x/y.sh", "it's"]
[jobs.mixed]
after = { load = "done", after-load = "failure" }
command = "true"
[jobs.any]
after = { load = "failure", after-load = "failure" }
join = "any"
command = "true"
[jobs.other]
every = "15m"
command = "true"
[jobs.of-both]
after = ["load", "other"]
command = "true"
"""


def dags(text: str) -> tuple[str, ExportReport]:
    done = export(wanted(text))
    return done.files[""], done.report


class Dag:
    """A DAG as the text of a file has it: its arguments, its tasks with theirs, and its edges."""

    def __init__(self, body: ast.With) -> None:
        call = body.items[0].context_expr
        assert isinstance(call, ast.Call)
        self.id = ast.literal_eval(call.args[0])
        self.arguments = arguments(call)
        self.tasks: dict[str, dict[str, Any]] = {}
        self.edges: list[tuple[str, str]] = []
        names: dict[str, str] = {}
        for line in body.body:
            if isinstance(line, ast.Assign):
                assert isinstance(line.value, ast.Call)
                assert isinstance(line.targets[0], ast.Name)
                found = {"operator": ast.unparse(line.value.func), **arguments(line.value)}
                names[line.targets[0].id] = found["task_id"]
                self.tasks[found.pop("task_id")] = found
            else:
                assert isinstance(line, ast.Expr)
                self._chain(line.value, names)

    def _chain(self, line: ast.expr, names: dict[str, str]) -> list[str]:
        """`[a, b] >> c >> d`; the tasks at its end."""
        if isinstance(line, ast.Name):
            return [names[line.id]]
        if isinstance(line, ast.List):
            return [names[one.id] for one in line.elts if isinstance(one, ast.Name)]
        assert isinstance(line, ast.BinOp)
        before, after = self._chain(line.left, names), self._chain(line.right, names)
        self.edges += [(one, other) for one in before for other in after]
        return after


def arguments(call: ast.Call) -> dict[str, Any]:
    """The arguments of a call: constants as they are, all else as text."""
    found = {}
    for keyword in call.keywords:
        assert keyword.arg is not None
        try:
            found[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:
            found[keyword.arg] = ast.unparse(keyword.value)
    return found


def read(text: str) -> dict[str, Dag]:
    tree = ast.parse(text)
    compile(tree, "dags.py", "exec")
    found = [Dag(line) for line in tree.body if isinstance(line, ast.With)]
    return {dag.id: dag for dag in found}


def test_the_flow_of_the_readme() -> None:
    text, report = dags(job_file())
    (dag,) = read(text).values()
    assert dag.arguments["schedule"] == "CronTriggerTimetable('30 4 * * *', timezone='Europe/Berlin')"
    assert dag.arguments["start_date"] == "pendulum.datetime(2026, 11, 18, 12, 6, tz='Europe/Berlin')"
    assert (dag.arguments["catchup"], dag.arguments["max_active_runs"]) == (False, 1)
    assert dag.edges == [("backup", "upload"), ("upload", "report"), ("upload", "clean-up")]
    assert dag.tasks["clean-up"]["trigger_rule"] == "all_done"
    upload = dag.tasks["upload"]
    assert upload["bash_command"] == "cp etc.tgz /mnt/offsite/"
    assert (upload["retries"], upload["retry_delay"]) == (2, "timedelta(seconds=1)")
    assert (upload["retry_exponential_backoff"], upload["max_retry_delay"]) == (2, "timedelta(minutes=30)")
    assert upload["execution_timeout"] == "timedelta(hours=1)"
    assert report.refused == {}


def test_conditions_are_trigger_rules() -> None:
    (dag,) = (dag for dag in read(dags(MORE)[0]).values() if dag.id == "load")
    assert dag.tasks["any"]["trigger_rule"] == "one_failed"
    assert "trigger_rule" not in dag.tasks["mixed"]
    assert dag.tasks["mixed-edge-1"] == {"operator": "EmptyOperator", "trigger_rule": "all_done"}
    assert dag.tasks["mixed-edge-2"] == {"operator": "EmptyOperator", "trigger_rule": "all_failed"}
    assert {("load", "mixed-edge-1"), ("mixed-edge-1", "mixed"), ("after-load", "mixed-edge-2")} <= set(dag.edges)


def test_what_a_task_says() -> None:
    text, _ = dags(MORE)
    found = read(text)
    load = found["load"].tasks["load"]
    assert (load["pool"], load["pool_slots"], load["priority_weight"], load["weight_rule"]) == ("warehouse", 2, 7, "absolute")
    assert (load["run_as_user"], load["owner"], load["cwd"]) == ("etl", "data-team", "/srv")
    assert (load["retry_exponential_backoff"], load["execution_timeout"]) == (1.5, "timedelta(minutes=90)")
    assert found["load"].arguments["params"] == {"TOP": "5"}
    assert load["env"] == {"SCRIPT": "{{ '/x/run.sh' }}", "BRACES": "{{ '{{ 7 * 7 }}' }}", "TOP": "{{ params.TOP }}"}
    assert load["bash_command"] == '{% raw %}echo "{{ not a template }}" {# nor this #}{% endraw %}'
    approval = found["load"].tasks["load-approve"]
    assert approval == {"operator": "ApprovalOperator", "subject": 'Are the figures "right"?', "fail_on_reject": True}
    assert ("load-approve", "load") in found["load"].edges
    assert found["load"].tasks["after-load"]["bash_command"] == "/x/y.sh 'it'\"'\"'s'"
    assert "airflow pools set warehouse 2 ''" in text


def test_times() -> None:
    found = read(dags(MORE)[0])
    expected = "MultipleCronTriggerTimetable('0 5 * * 0,5-6', '0 6 l * *', timezone='Europe/Berlin')"
    assert found["load"].arguments["schedule"] == expected
    assert found["other"].arguments["schedule"] == "CronTriggerTimetable('*/15 * * * *', timezone='UTC')"


@pytest.mark.parametrize(
    ("schedule", "expressions"),
    [
        ("5-5 4 * * sun-sun", ["5 4 * * 0"]),
        ("0 4 13 * fri#2", ["0 4 13 * *", "0 4 * * 5#2"]),
        ("30 0 4 1,l * mon#1", ["0 4 1,L * *", "0 4 * * 1#1"]),
        ("0 4 */2 * mon-sun", ["0 4 */2 * *"]),
    ],
)
def test_what_croniter_reads_otherwise_is_written_as_it_reads_it(schedule: str, expressions: list[str]) -> None:
    seconds = " 30" if schedule.startswith("30 0") else ""
    (dag,) = read(dags(job(schedule))[0]).values()
    written = ast.parse(dag.arguments["schedule"]).body[0]
    assert isinstance(written, ast.Expr)
    assert isinstance(written.value, ast.Call)
    found = [ast.literal_eval(one).lower() for one in written.value.args]
    assert found == [f"{one.lower()}{seconds}" for one in expressions]


def job(schedule: str, more: str = "") -> str:
    return f'[jobs.a]\nschedule = "{schedule}"\ncommand = "true"\ntimeout = "1h"\n{more}'


@pytest.mark.parametrize("schedule", ["0 4 * * *", "*/15 * * * *", "* * * * *", "0 4 13 * fri#2", "5-5 12 L * *", "30 0 4 1 * *"])
def test_airflow_is_proved_to_start_at_the_same_times(schedule: str) -> None:
    done = export(wanted(job(schedule)))
    assert done.report.compared["a"].differing == 0
    assert [loss for loss in done.report.losses if loss.key == "schedule"] == []
    (note,) = done.notes
    assert note.startswith("Airflow starts the schedule at the same times (")
    assert f"\n{note}.\n" in done.files[""]


@pytest.mark.parametrize(
    ("schedule", "ours", "theirs"),
    [  # Berlin's clock goes forward on 2027-03-28, and back on 2027-10-31
        (
            "30 2 * * *",
            ["2027-03-28T03:00+02:00", "2027-10-31T02:30+02:00"],
            ["2027-03-28T03:30+02:00", "2027-10-31T02:30+01:00"],
        ),
        ("0 */2 * * *", ["2027-10-31T02:00+02:00"], ["2027-03-28T03:00+02:00"]),
        ("0 0-23 * * *", [], ["2027-10-31T02:00+01:00"]),
        ("0 * * * mon-fri", ["2027-03-29T00:00+02:00"], ["2027-10-31T23:00+01:00"]),
    ],
)
def test_starts_at_other_times_are_counted_among_the_losses(schedule: str, ours: list[str], theirs: list[str]) -> None:
    done = export(wanted(job(schedule)))
    compared = done.report.compared["a"]
    assert (compared.ours, compared.theirs) == tuple(
        tuple(int(datetime.fromisoformat(one).timestamp()) for one in times) for times in (ours, theirs)
    )
    (loss,) = (loss.message for loss in done.report.losses if loss.key == "schedule")
    assert f" {len(ours) + len(theirs)} differ ({len(theirs)} only by Airflow, {len(ours)} only by cronflow)" in loss
    assert loss.endswith("Airflow treats changes of the clock in its own way")
    assert done.notes[0].startswith("Airflow starts 0 of 1 schedule at the same times (")


def test_in_a_zone_without_changes_nothing_differs() -> None:
    others = "".join(f'[jobs.b{number}]\nevery = "{every}"\ncommand = "true"\n' for number, every in enumerate(("15m", "8h")))
    done = export(wanted(job("30 2 * * *", f'timezone = "UTC"\n{others}')))
    assert done.notes[0].startswith("Airflow starts 3 of 3 schedules at the same times (")


def test_jobs_of_other_flows_are_assets() -> None:
    found = read(dags(MORE)[0])
    assert found["of-both"].arguments["schedule"] == "Asset('load') & Asset('other')"
    assert found["other"].tasks["other"]["outlets"] == "[Asset('other')]"


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ('foreach = "ls"', "`foreach`"),
        ('schedule = "0 0 */2 * fri"', "both day fields"),
        ('after = { one = "done", two = "success" }', "assets only report successes"),
        ('schedule = "@yearly"\nafter = ["one"]', "waits for jobs with another one"),
    ],
)
def test_what_tasks_cannot_say_is_refused_with_the_reason(keys: str, told: str) -> None:
    others = "".join(
        f'[jobs.{name}]\nschedule = "@{when}"\ncommand = "true"\n' for name, when in (("one", "daily"), ("two", "hourly"))
    )
    text, report = dags(f'{others}[jobs.a]\ncommand = "true"\n{keys}\n')
    assert told in report.refused["a"]
    assert f"- a: not written: {report.refused['a']}" in text
    assert list(read(text)) == ["one", "two"]


@pytest.mark.skipif(importlib.util.find_spec("airflow") is None, reason="apache-airflow is not installed")
def test_airflow_reads_the_file(tmp_path: Path) -> None:
    sample = (ROOT / "sample_jobs.toml").read_text()
    for number, text in enumerate((EVERYTHING, MORE, job_file(), sample)):
        (tmp_path / f"dags{number}.py").write_text(dags(text)[0])
    script = "import sys; from airflow.dag_processing.dagbag import DagBag; print(DagBag(sys.argv[1]).import_errors)"
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "home")}
    words = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout.strip().endswith("{}"), done.stdout + done.stderr


ASKED = ("30 2 * * *", "0 */2 * * *", "0 0-23 * * *", "0 * * * 1-5", "*/20 * 1 * *", "15,45 1-3 * * 0", "0 4 13 * *")


@pytest.mark.skipif(importlib.util.find_spec("airflow") is None, reason="apache-airflow is not installed")
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/New_York"])
def test_the_starts_of_the_proof_are_those_of_airflow(zone: str, tmp_path: Path) -> None:
    script = (
        "import sys, pendulum; from airflow.timetables.trigger import CronTriggerTimetable\n"
        "for text in sys.argv[2:]:\n"
        "    timetable, at = CronTriggerTimetable(text, timezone=sys.argv[1]), pendulum.from_timestamp(1795000000)\n"
        "    starts = [at := timetable._get_next(at) for _ in range(3000)]\n"
        "    print(*(int(one.timestamp()) for one in starts))"
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path / "home")}
    words = [sys.executable, "-c", script, zone, *ASKED]
    done = subprocess.run(words, env=env, capture_output=True, text=True, timeout=110, check=True)
    for expression, line in zip(ASKED, done.stdout.splitlines()[-len(ASKED) :], strict=True):
        ours = islice(airflow_starts([expression], zone, 1_795_000_000), 3000)
        assert list(ours) == list(map(int, line.split())), expression
