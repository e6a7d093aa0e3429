"""Workflows as the manuals of Airflow, Argo, dagu, Kestra, Tron and GitHub Actions draw them, by their shape, as job files.

Each is read by the real reader and played through by the real engine, as the scenarios below its jobs say (play.py).
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from cronflow.jobfile.read import read
from tests.problems import check
from tests.workflows.play import Play

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.toml"))
BETWEEN = sorted(HERE.glob("between_flows/*.toml"))


def scenes(files: list[Path]) -> list[Any]:
    """Every scenario of the files, by name."""
    found = []
    for file in files:
        for name, scene in tomllib.loads(file.read_text()).get("x-play", {}).items():
            found.append(pytest.param(file, scene, id=f"{file.stem}:{name}"))
    return found


def play(file: Path, scene: dict[str, Any]) -> None:
    played = Play(read(str(file), thorough=False).jobs, scene)
    assert played.found() == played.expected()
    if "from" not in scene:
        assert not played.state.runs, "the run never ends"


@pytest.mark.parametrize(("file", "scene"), scenes([*FILES, *BETWEEN]))
def test_it_ends_as_it_says(file: Path, scene: dict[str, Any]) -> None:
    play(file, scene)


@pytest.mark.parametrize("file", [*FILES, *BETWEEN], ids=lambda file: file.stem)
def test_check_finds_nothing(file: Path) -> None:
    """Nothing but the warnings that a file has coming, as `x-warnings` says."""
    expected = tomllib.loads(file.read_text()).get("x-warnings", ())
    for problem in check(str(file), now=1_793_059_200.0):
        assert problem.severity == "warning", problem
        assert any(words in problem.message for words in expected), problem


@pytest.mark.parametrize("file", [*FILES, *BETWEEN], ids=lambda file: file.stem)
def test_it_begins_with_what_it_shows_and_has_a_scenario(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# ")
    assert tomllib.loads(text)["x-play"]


def test_there_are_many() -> None:
    assert len(FILES) >= 40
    assert len(BETWEEN) >= 6


# ---- what cannot be said --------------------------------------------------------------------------------------------------

CANNOT = {
    "a loop back to an earlier step (Argo: recursion)": (
        "`after` draws a graph without cycles; a sensor or retries repeat one step",
        "repeat_until",
    ),
    "the rule all_skipped (Airflow)": (
        "no condition is met by a skipped upstream alone; a mark in the outputs stands for it, which a blocked one lacks",
        "rule_all_skipped",
    ),
    "the rule none_skipped (Airflow)": (
        "no condition is met by success and failure alone; a pair of jobs for each upstream says it",
        "rule_none_skipped",
    ),
    "a sensor that skips its task when it is out of time (Airflow: soft_fail)": (
        "`wait_timeout` is a failure; a condition that waits itself skips, but holds a process meanwhile",
        "sensor_that_may_fail",
    ),
    "the failure of one copy ends the others (GitHub Actions: fail-fast)": (
        "copies do not know of each other; `cancel RUN/JOB` ends them all",
        "matrix_build",
    ),
    "a matrix without some combinations (GitHub Actions: exclude)": (
        "a matrix has all of them; the others skip themselves",
        "matrix_without_some",
    ),
    "a chain of several steps for each line of a listing (Airflow: mapped task groups; Kestra: ForEach of tasks)": (
        "`matrix_join` pairs the copies of matrices, whose values are known before; the lines of a `foreach` have one step",
        "map_and_reduce",
    ),
    "k of n for large n": ("`join` knows all and any; every group of k is a job of its own", "quorum_two_of_three"),
    "a teardown whose failure does not count (Airflow)": (
        "every failed task makes its run a failed one; `|| true` keeps a command from failing",
        "setup_and_teardown",
    ),
    "a run that ends well although a step failed (dagu: markSuccess; Kestra: allowFailure, the state WARNING)": (
        "there is no state between success and failed; `success_codes` names exit codes that are none",
        "failure_that_counts_as_success",
    ),
    "only if the same step succeeded in the run before (Airflow: depends_on_past)": (
        "conditions look at the tasks of their own run; `overlap` says only that one run waits for the other",
        "one_after_the_other",
    ),
    "a flow as a step of another one (Argo: workflow of workflows; Airflow: TriggerDagRun; Kestra: Subflow)": (
        "flows do not nest; a job may come after a job of another flow",
        "between_flows/any_of_two_flows",
    ),
    "a process that lives as long as the others need it (Argo: daemon, sidecar; GitHub Actions: services)": (
        "a job ends when its command does; one starts it elsewhere and a last one ends it",
        "setup_and_teardown",
    ),
    "several steps tried again as one (Argo: retryStrategy of a template of steps)": (
        "an attempt is one command; `cronflow retry RUN --from TASK` runs the steps again",
        "chain",
    ),
}
"""Shapes that no job file can say: why, and the workflow that shows what is nearest."""


@pytest.mark.parametrize("shape", CANNOT)
def test_what_cannot_be_said_has_a_way_round(shape: str) -> None:
    reason, nearest = CANNOT[shape]
    assert reason
    assert (HERE / f"{nearest}.toml").exists()


def test_a_loop_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "jobs.toml"
    jobs = {"flip": "tails", "tails": "flip"}
    file.write_text("".join(f'[jobs.{name}]\nafter = ["{other}"]\ncommand = "./flip.sh"\n' for name, other in jobs.items()))
    messages = [problem.message for problem in check(str(file)) if problem.severity == "error"]
    assert messages == ["jobs wait for each other: `flip` -> `tails` -> `flip`"]


def test_the_failure_of_a_teardown_counts() -> None:
    scene = {"ends": {"delete-cluster": 1}, "run": "failed", "tasks": {"delete-cluster": "failed (exit_code)"}}
    play(HERE / "setup_and_teardown.toml", scene)


def test_a_scenario_that_is_not_true_is_noticed() -> None:
    good = {"run": "success", "starts": ["extract/1", "transform/1", "load/1"]}
    play(HERE / "chain.toml", good)
    for wrong in ({"run": "failed"}, {"tasks": {"load": "skipped"}}, {"tasks": {"nothing": "success"}}, {"starts": []}):
        with pytest.raises(AssertionError):
            play(HERE / "chain.toml", {**good, **wrong})
    with pytest.raises(AssertionError, match="unknown: end"):
        play(HERE / "chain.toml", {**good, "end": {}})
