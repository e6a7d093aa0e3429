from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cronflow.core.plan.effective import effective_config
from cronflow.jobfile import cache
from cronflow.jobfile.cache import cached_reading, cached_zone, save_reading
from cronflow.jobfile.read import read

FILES = {
    "jobs.toml": """\
include = ["jobs.d/*.toml"]
timezone = "Europe/Berlin"
[pools]
few = 2
[calendars.holidays]
file = "holidays.txt"
[alerts.ops]
urls = ["json://localhost/token"]
[jobs.a]
schedule = ["0 4 * * mon-fri", "30 5 1 * *"]
command = ["./run", "--now"]
env = { NAME = "värde" }
skip_on = ["holidays"]
retry_on = [1, "timeout"]
pool = "few"
[jobs.b]
after = { a = "done" }
command = "echo b"
matrix = { region = ["eu", "us"] }
""",
    "jobs.d/c.toml": '[jobs.c]\nevery = "10m"\ncommand = "c"\n',
    "holidays.txt": "2026-12-25\n",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A job file with all that it includes, whose reading is kept."""
    (tmp_path / "jobs.d").mkdir()
    (tmp_path / "state").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    save_reading(tmp_path / "state", read(str(tmp_path / "jobs.toml"), thorough=False))
    return tmp_path


def found(place: Path) -> object:
    return cached_reading(place / "state", place / "jobs.toml")


def test_what_is_kept_is_what_was_read(place: Path) -> None:
    assert found(place) == effective_config(read(str(place / "jobs.toml"), thorough=False).jobs)
    assert cached_zone(place / "state", place / "jobs.toml") == "Europe/Berlin"
    assert (place / "state" / "names").read_text() == "a\nb\nc\n"


def test_neither_a_secret_nor_anybody_else_is_let_in(place: Path) -> None:
    file = place / "state" / "reading"
    assert "token" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600


CHANGES: dict[str, Callable[[Path], object]] = {
    "the file": lambda place: (place / "jobs.toml").write_text(FILES["jobs.toml"] + "# one more line\n"),
    "an included file": lambda place: (place / "jobs.d/c.toml").write_text('[jobs.c]\nevery = "20m"\ncommand = "c"\n'),
    "one more included file": lambda place: (place / "jobs.d/d.toml").write_text('[jobs.d]\ncommand = "d"\n'),
    "an included file less": lambda place: (place / "jobs.d/c.toml").unlink(),
    "a calendar": lambda place: (place / "holidays.txt").write_text("2026-12-24\n"),
    "the file is gone": lambda place: (place / "jobs.toml").unlink(),
    "a pipe in its place": lambda place: ((place / "jobs.toml").unlink(), os.mkfifo(place / "jobs.toml")),
    "nothing is kept": lambda place: (place / "state/reading").unlink(),
    "it is cut off": lambda place: os.truncate(place / "state/reading", 400),
    "its last job is missing": lambda place: rewrite(place, lambda _, jobs: jobs.pop()),
    "it is empty": lambda place: os.truncate(place / "state/reading", 0),
    "it is something else": lambda place: (place / "state/reading").write_text("[1, 2]"),
    "it has a key that no job knows": lambda place: rewrite(place, lambda _, jobs: jobs[0].update(colour=1)),
    "it lacks a key": lambda place: rewrite(place, lambda head, _: head["reading"].pop("calendars")),
}


def rewrite(place: Path, change: Callable[[dict[str, Any], list[dict[str, Any]]], object]) -> None:
    file = place / "state" / "reading"
    head, *jobs = map(json.loads, file.read_text().splitlines())
    change(head, jobs)
    file.write_text("".join(f"{json.dumps(line)}\n" for line in (head, *jobs)))


@pytest.mark.parametrize("change", CHANGES)
def test_it_counts_only_as_long_as_nothing_differs(place: Path, change: str) -> None:
    CHANGES[change](place)
    assert found(place) is None


def test_a_file_that_cannot_have_changed_is_not_read_for_it(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_at(place, time.time() + 60)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "_digest", lambda path: pytest.fail(f"{path} was read"))
        assert found(place) is not None
    (place / "jobs.toml").chmod(0o640)
    assert found(place) is not None, "its times differ now, and its text does not"


def keep_at(place: Path, now: float) -> None:
    """Keep the reading as if it were later: the files are none that have just been changed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now)
        save_reading(place / "state", read(str(place / "jobs.toml"), thorough=False))


@pytest.mark.parametrize("later", [False, True])
def test_a_change_within_the_same_moment_is_seen(place: Path, later: bool) -> None:
    """Same size, same times: only where the times cannot tell is the text looked at."""
    if later:
        keep_at(place, time.time() + 60)
    before = (place / "holidays.txt").stat()
    (place / "holidays.txt").write_text("2026-12-26\n")
    os.utime(place / "holidays.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found(place) is None


def test_another_program_reads_for_itself(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "__version__", "99.0")
    assert found(place) is None


def test_another_zone_of_the_machine_is_another_reading(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    assert found(place) is None


def test_another_file_has_another_reading(place: Path) -> None:
    (place / "other.toml").write_text(FILES["jobs.toml"])
    assert cached_reading(place / "state", place / "other.toml") is None


def test_without_a_state_folder_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "jobs.toml").write_text('[jobs.a]\ncommand = "a"\n')
    save_reading(tmp_path / "none", read(str(tmp_path / "jobs.toml")))
    assert not (tmp_path / "none").exists()
