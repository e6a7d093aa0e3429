"""What the tests of the job file share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cronflow.jobfile.read import Reading, read

ReadText = Callable[[str], Reading]


@pytest.fixture(name="read_text")
def read_text_(tmp_path: Path) -> ReadText:
    def read_text(text: str) -> Reading:
        path = tmp_path / "jobs.toml"
        path.write_text(text)
        path.chmod(0o644)
        return read(str(path), thorough=False)

    return read_text
