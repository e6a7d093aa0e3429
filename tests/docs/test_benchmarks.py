"""The benchmarks measure what they say; how fast anything is does not matter here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import chain, crowd, figures, files, graph, report
from benchmarks.__main__ import main
from benchmarks.clock import clock_jobs
from cronflow.core.jobs import Job
from cronflow.core.plan.flow import plan
from cronflow.jobfile.read import read
from tests.docs.pages import ROOT


def jobs_of(text: str, folder: Path) -> dict[str, Job]:
    """The jobs of a job file that has no problem."""
    path = folder / "jobs.toml"
    path.write_text(text)
    reading = read(str(path), thorough=False)
    assert [one.message for one in reading.problems] == []
    return dict(reading.jobs.jobs)


def test_the_graph_is_one_flow_of_which_make_needs_every_task(tmp_path: Path) -> None:
    jobs = jobs_of(graph.job_file(10), tmp_path)
    (flow,) = plan(jobs).flows.values()
    assert len(flow.jobs) == 1000
    last = {graph.task(9, place) for place in range(graph.WIDTH)}
    assert {name for name in jobs if name not in last} == {edge.job for job in jobs.values() for edge in job.after}
    rules = [line.partition(": ") for line in graph.makefile(10).splitlines() if line.startswith("t")]
    assert {name: before.split() for name, _, before in rules} == {
        name: [edge.job for edge in job.after] for name, job in jobs.items()
    }


def test_the_chain_is_a_chain(tmp_path: Path) -> None:
    jobs = jobs_of(chain.job_file(20), tmp_path)
    assert [[edge.job for edge in job.after] for job in jobs.values()] == [[], *([f"s{step}"] for step in range(19))]


def test_the_jobs_of_a_crowd_are_due_at_the_same_second(tmp_path: Path) -> None:
    for every in [1, *(every for _, every in crowd.SIZES)]:
        jobs = jobs_of(clock_jobs(5, every), tmp_path)
        assert len({job.schedule for job in jobs.values()}) == 1
        assert 60 % every == 0


def test_a_reload_has_something_to_reload(tmp_path: Path) -> None:
    before, after = (jobs_of(files.job_file(30, edit), tmp_path) for edit in (1, 2))
    assert [name for name in before if before[name] != after[name]] == ["job29"]


def test_two_things_take_turns() -> None:
    said: list[str] = []

    def say(word: str, value: float) -> float:
        said.append(word)
        return value

    pairs = figures.in_turn(2, lambda: say("a", 6.0), lambda: say("b", 4.0))
    assert "".join(said) == "ab" + "abab"
    assert pairs.ratios == (1.5, 1.5)


@pytest.mark.parametrize(("percent", "value"), [(50.0, 2.5), (99.0, 4.0), (75.0, 3.0)])
def test_percentiles(percent: float, value: float) -> None:
    assert figures.percentile([4.0, 1.0, 3.0, 2.0], percent) == value


def test_the_median_counts_for_the_goal() -> None:
    most = figures.Figure("a", "b", (1.0, 1.4, 9.0), figures.Goal(1.5))
    least = most._replace(goal=figures.Goal(1.5, at_least=True))
    assert (most.met, least.met, most._replace(goal=None).met) == (True, False, None)
    assert report.table([most, least]).splitlines()[2:] == [
        "| a | b | **1.40** × (1.00 – 9.00) | ≤ 1.5 × | ✓ |",
        "| a | b | **1.40** × (1.00 – 9.00) | ≥ 1.5 × | ✗ |",
    ]


def test_a_table_is_put_between_the_marks(tmp_path: Path) -> None:
    path = tmp_path / "speed.md"
    path.write_text((ROOT / report.PAGE).read_text())
    report.put_into(path, "the first table")
    report.put_into(path, "the second table")
    text = path.read_text()
    assert f"{report.BEGIN}\nthe second table\n{report.END}" in text
    assert "the first table" not in text
    with pytest.raises(ValueError, match="has no"):
        report.put_into(Path(__file__), "third")


def test_the_program_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    program = Path(sys.executable).with_name("cronflow")
    words = ["chain", "completion", "pool", "--quick", "--repeat", "1", "--json", str(path)]
    assert main([*words, "--program", str(program), "--folder", str(tmp_path)]) == 0
    found = json.loads(path.read_text())["figures"]
    assert len(found) == 3
    assert all(one["values"] and min(one["ours"]) > 0 and min(one["theirs"]) > 0 for one in found)
    assert capsys.readouterr().out.count("\n|") == 4
    assert list(tmp_path.iterdir()) == [path]
