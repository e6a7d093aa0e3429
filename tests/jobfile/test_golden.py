"""Every refusal and warning as a person sees it: golden/CASE.toml is read, golden/CASE.txt is what is drawn.

`CRONFLOW_GOLDEN=write` writes the texts anew; read the difference before you keep it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cronflow.jobfile.machine import default_path
from cronflow.jobfile.render import render
from tests.problems import check

GOLDEN = Path(__file__).parent / "golden"
CASES = sorted(str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*.toml") if path.parent.name != "jobs.d")
NOW = 1_767_225_600.0  # 2026-01-01 00:00 UTC


@pytest.mark.parametrize("case", CASES)
def test_drawn(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "case"
    original = GOLDEN / case
    if original.name == "jobs.toml":
        shutil.copytree(original.parent, here)
    else:
        here.mkdir()
        shutil.copyfile(original, here / original.name)
    for copy in here.rglob("*.toml"):
        copy.chmod(0o644)
    monkeypatch.chdir(here)
    monkeypatch.setenv("TZ", "Europe/Berlin")
    text = "\n\n".join(render(problem, color=False) for problem in check(original.name, now=NOW))
    text = text.replace(str(here), "/HERE").replace(default_path(os.geteuid()), "/PATH") + "\n"
    expected = GOLDEN / case.replace(".toml", ".txt")
    if os.environ.get("CRONFLOW_GOLDEN") == "write":
        expected.write_text(text)
    assert text == expected.read_text()


def test_no_text_without_its_case() -> None:
    texts = {str(path.relative_to(GOLDEN)) for path in GOLDEN.rglob("*.txt")}
    assert texts == {case.replace(".toml", ".txt") for case in CASES}
