"""Crontabs as the tests have them: a text read, converted, written, and read back as a job file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cronflow.core.jobs import Job
from cronflow.crontab import sources, writing
from cronflow.crontab.convert import Import, ImportedJob, convert
from cronflow.crontab.tables import CrontabEntry, CronTable, Daemon, Refusal, TableKind
from cronflow.jobfile.read import read

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "crontabs"
"""Real crontabs of public repositories, beside the repository where they are there."""


def real_crontabs() -> list[Path]:
    """The files of that folder, in order; its list and its README apart."""
    found = SHARED.iterdir() if SHARED.is_dir() else ()
    return sorted(path for path in found if path.is_file() and path.name not in ("manifest.json", "README.md"))


def table(text: str | bytes, kind: TableKind | None = "user", daemon: Daemon = "auto", name: str = "crontab") -> CronTable:
    raw = text.encode() if isinstance(text, str) else text
    return sources.table(name, raw, sources.ReadingOptions(kind, daemon))


def imported(text: str | bytes, kind: TableKind | None = "user", daemon: Daemon = "auto") -> Import:
    return convert([table(text, kind, daemon)])


def only(text: str, kind: TableKind | None = "user", daemon: Daemon = "auto") -> ImportedJob:
    """The one job of a table."""
    done = imported(text, kind, daemon)
    assert not done.refused
    assert len(done.jobs) == 1
    return done.jobs[0]


def entry(text: str, kind: TableKind = "user", daemon: Daemon = "auto") -> CrontabEntry:
    """The one line of a table, as the entry that it is."""
    item = table(text + "\n", kind, daemon).items[0]
    assert isinstance(item, CrontabEntry), item
    return item


def refusal(text: str, kind: TableKind = "user", daemon: Daemon = "auto") -> Refusal:
    """The one line of a table, as the refusal that it is."""
    item = table(text + "\n", kind, daemon).items[0]
    assert isinstance(item, Refusal), item
    return item


def jobs_of(done: Import, folder: Path) -> Mapping[str, Job]:
    """The jobs of the job file that is written, in its order."""
    path = folder / "imported.toml"
    path.write_text(writing.write(done), encoding="utf-8")
    return read(str(path), thorough=False).jobs.jobs
