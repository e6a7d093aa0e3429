"""Params: values that a person gives to a run, beside the defaults of the job file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from cronflow.core.effects import Reply
from cronflow.core.jobs import Job
from cronflow.core.records import Run
from cronflow.core.words import closest
from cronflow.errors import Exit


def refused(params: Iterable[tuple[str, str]], jobs: Sequence[Job]) -> Reply | None:
    """The answer to a param that none of the jobs to be started has; None if all are known."""
    known = {key: job.name for job in jobs for key in job.params}
    for key, value in params:
        if key not in known:
            message = f"no job that would be started has a param `{key}`"
            return Reply(refused=message, hint=_hint(key, known), exit_status=Exit.USAGE)
        if "\0" in value:
            return Reply(refused=f"the value of param `{key}` has a NUL character", exit_status=Exit.USAGE)
    return None


def _hint(key: str, known: Mapping[str, str]) -> str:
    if not known:
        return "a job gets params by `params = { NAME = \"default\" }`"
    upper = {name.upper(): name for name in known}
    near = closest(key.upper(), upper)
    if near:
        return f"did you mean `{upper[near]}`?"
    return "its params are " + ", ".join(f"`{name}`" for name in known)


def given(params: Iterable[tuple[str, str]], jobs: Iterable[Job]) -> dict[str, str]:
    """Those of the values that a run with these jobs has use for."""
    known = {key for job in jobs for key in job.params}
    return {key: value for key, value in params if key in known}


def values(job: Job, run: Run) -> dict[str, str]:
    """The params of a job in a run: as given for the run, else the default of the job file."""
    return {key: run.params.get(key, default) for key, default in job.params.items()}
