"""A large job file in memory of its own: the same values, and equal texts once."""

from __future__ import annotations

from pathlib import Path

import pytest

from cronflow.core.jobs import NOTHING
from cronflow.daemon.upkeep import memory
from cronflow.errors import JobFileError
from cronflow.jobfile.read import Reading, read

FILES = sorted(path for path in Path(__file__).parents[2].rglob("*.toml") if ".venv" not in path.parts)


def reading(path: Path) -> Reading:
    return read(str(path), thorough=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: "-".join(path.parts[-2:]))
def test_what_is_copied_is_equal_to_the_letter(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LARGE", 0)
    try:
        read_as_ever = reading(path)
    except JobFileError:
        with pytest.raises(JobFileError):
            memory.compact(lambda: reading(path))
        return
    copied = memory.compact(lambda: reading(path))
    assert copied == read_as_ever
    assert repr(copied) == repr(read_as_ever)


def test_equal_texts_and_empty_tables_are_there_once(tmp_path: Path) -> None:
    jobs = range(memory.LARGE)
    path = tmp_path / "jobs.toml"
    path.write_text("".join(f'[jobs.j{n}]\nschedule = "0 4 * * *"\ncommand = "make all"\ntags = ["x"]\n' for n in jobs))
    copied = memory.compact(lambda: reading(path))
    assert len(copied.jobs.jobs) == memory.LARGE
    first, *others = copied.jobs.jobs.values()
    assert first.env is NOTHING
    assert all(one.command is first.command and one.schedule is first.schedule and one.env is NOTHING for one in others)
    assert all(one.retry_delay is first.retry_delay for one in others)
