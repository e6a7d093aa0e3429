"""Workflows as the manuals of Airflow, Argo, dagu, Kestra, Tron and GitHub Actions draw them, by their shape, as job files.

Each is read by the real reader and played through by the real engine, as the scenarios below its jobs say (play.py).
"""

from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cronflow.jobfile.read import check, read
from tests.workflows.play import Play

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("*.toml"))
BETWEEN = sorted(HERE.glob("between_flows/*.toml"))
EDGES_BETWEEN_FLOWS = find_spec("cronflow.core.rounds") is not None


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
    if "runs" not in scene:
        assert not played.state.runs, "the run never ends"


@pytest.mark.parametrize(("file", "scene"), scenes(FILES))
def test_it_ends_as_it_says(file: Path, scene: dict[str, Any]) -> None:
    play(file, scene)


@pytest.mark.skipif(not EDGES_BETWEEN_FLOWS, reason="edges between flows are not supported yet")
@pytest.mark.parametrize(("file", "scene"), scenes(BETWEEN))
def test_between_flows(file: Path, scene: dict[str, Any]) -> None:
    play(file, scene)


@pytest.mark.parametrize("file", [*FILES, *(BETWEEN if EDGES_BETWEEN_FLOWS else [])], ids=lambda file: file.stem)
def test_check_finds_nothing(file: Path) -> None:
    assert check(str(file), now=1_793_059_200.0) == []


@pytest.mark.parametrize("file", [*FILES, *BETWEEN], ids=lambda file: file.stem)
def test_it_begins_with_what_it_shows_and_has_a_scenario(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# ")
    assert tomllib.loads(text)["x-play"]


def test_there_are_many() -> None:
    assert len(FILES) >= 40
    assert len(BETWEEN) >= 6
