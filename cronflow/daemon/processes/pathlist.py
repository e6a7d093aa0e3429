"""How a command is told which files have caused its run: one path a line, in a file, and in a variable where they fit."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from cronflow.core.records import Run
from cronflow.places import Places
from cronflow.store.store import Store

LIMIT = 100_000
"""Bytes of the variable: a kernel takes up to 131,072 for one with its name (execve(2), MAX_ARG_STRLEN)."""


def variables(run: Run, store: Store, places: Places) -> dict[str, str]:
    """CRONFLOW_TRIGGER_PATHS_FILE, and CRONFLOW_TRIGGER_PATHS where the list is not too long for it; nothing for a run that no
    files have caused. On a full disk a command runs all the same, and finds the file missing. OSError for anything else."""
    paths = store.paths(run.id) if run.trigger == "watch" or run.retry_of is not None else ()
    if not paths:
        return {}
    file = places.paths(run.id)
    if not file.exists():
        _write(file, paths)
    found = {"CRONFLOW_TRIGGER_PATHS_FILE": str(file)}
    lines = "\n".join(paths)
    if len(os.fsencode(lines)) <= LIMIT:
        found["CRONFLOW_TRIGGER_PATHS"] = lines
    return found


def _write(file: Path, paths: Sequence[str]) -> None:
    """The list as a whole or not at all. All tasks of the run may read it, whoever their users are."""
    fresh = file.with_name("paths.new")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_bytes(b"".join(os.fsencode(path) + b"\n" for path in paths))
        fresh.chmod(0o644)
        fresh.rename(file)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
