"""What is wrong with a job file."""

from __future__ import annotations

from cronflow.errors import JobFileError, Problem
from cronflow.jobfile.read import read


def check(path: str, *, now: float | None = None) -> list[Problem]:
    """Every problem of the job file at a path; none for a good one."""
    try:
        return read(path, now=now).problems
    except JobFileError as error:
        return error.problems
