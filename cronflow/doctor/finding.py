"""What a look has found, and what it looks at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from cronflow.core.jobs import JobSet
from cronflow.places import Places

Result = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """One thing looked at. `check` is a stable word; `job` is the job that it is about, if it is about one."""

    check: str
    result: Result
    message: str
    hint: str | None = None
    job: str | None = None


class Scene(NamedTuple):
    """What there is to look at: the places, the jobs of the job file (None where it has errors), what a daemon that answers says
    of itself, the time (epoch seconds), and a sentence about a daemon that does not answer this user."""

    places: Places
    jobs: JobSet | None
    daemon: Mapping[str, Any] | None
    now: float
    not_ours: str = ""


Look = Callable[[Scene], Iterator[Finding]]


def ok(check: str, message: str, job: str | None = None) -> Finding:
    return Finding(check, "ok", message, None, job)


def warning(check: str, message: str, hint: str | None = None, job: str | None = None) -> Finding:
    return Finding(check, "warning", message, hint, job)


def problem(check: str, message: str, hint: str | None = None, job: str | None = None) -> Finding:
    return Finding(check, "problem", message, hint, job)


def looked(look: Look, scene: Scene) -> list[Finding]:
    """What a look finds. Where the machine does not let us look, that is told, and the other looks go on."""
    found: list[Finding] = []
    try:
        found.extend(look(scene))
    except OSError as error:
        what = f"`{error.filename}`" if error.filename else f"`{look.__name__}`"
        reason = (error.strerror or str(error)).lower()
        found.append(warning("unseen", f"{what} could not be looked at: {reason}", "try it as root"))
    return found
