"""Job files for exports, read by the real reader; and what the engine makes of a flow whose commands end as a test says."""

from __future__ import annotations

import itertools
import random
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cronflow.core.jobs import Edge, Job, JobSet
from cronflow.export.report import ExportRequest
from cronflow.jobfile.read import read
from tests.core.stage import MIDNIGHT, Stage

NOW = 1_795_000_000.0
"""2026-11-18 11:06:40 UTC."""
CONDITIONS = ("success", "failure", "done", "success_or_skipped")
CHAINS = [
    *itertools.product(CONDITIONS, repeat=2),
    *random.Random(6).sample(list(itertools.product(CONDITIONS, repeat=3)), 12),
]
"""The conditions between the jobs of a chain: all of three jobs, some of four."""


def wanted(text: str, system: bool = False, zone: str = "Europe/Berlin") -> ExportRequest:
    """What an export is asked for, from the text of a job file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.toml"
        path.write_text(text if text.startswith("timezone") else f'timezone = "{zone}"\n{text}')
        jobs: JobSet = read(str(path), thorough=False, now=NOW).jobs
    return ExportRequest(jobs._replace(host="db1"), NOW, zone, "anna", "jobs.toml", system)


def engine(jobs: Mapping[str, Job], codes: Mapping[str, int]) -> set[str]:
    """The jobs whose command the engine starts in a run of a flow."""
    stage = Stage(*jobs.values(), now=MIDNIGHT)
    stage.at(3600.0)
    ran = list(stage.started)
    for ref in ran:  # it grows while the engine goes on
        before = len(stage.started)
        stage.end(ref, codes[ref.split("/")[1]])
        ran += stage.started[before:]
    return {ref.split("/")[1] for ref in ran}


def flow(edges: Mapping[str, Mapping[str, str]]) -> dict[str, Job]:
    """Jobs that start at 01:00 by their roots: name → (upstream → condition)."""
    return {
        name: Job(
            name,
            f"run {name}",
            schedule=() if after else ("0 1 * * *",),
            after=tuple(Edge(upstream, condition) for upstream, condition in after.items()),  # type: ignore[arg-type]
        )
        for name, after in edges.items()
    }


def chain(conditions: Sequence[str]) -> dict[str, Job]:
    """`a`, `b`, … one after the other."""
    names = "abcd"[: len(conditions) + 1]
    return flow({"a": {}, **{name: {names[place]: conditions[place]} for place, name in enumerate(names[1:])}})


def outcomes(names: Iterable[str]) -> list[dict[str, int]]:
    """Every way in which commands can end: 0 or 1 each."""
    names = tuple(names)
    return [{name: number >> place & 1 for place, name in enumerate(names)} for number in range(2 ** len(names))]
