"""The checks of `cronflow doctor`: what each is given, and what it finds."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple

from cronflow.core.jobs import JobSet
from cronflow.places import Places

Result = Literal["ok", "warning", "problem"]


class Finding(NamedTuple):
    """One finding. `check` is a stable word; `job` is the job that it is about, if any."""

    check: str
    result: Result
    message: str
    hint: str | None = None
    job: str | None = None


class Context(NamedTuple):
    """What the checks are given: the places, the jobs of the job file (None if it has errors), what the daemon says about itself
    (None if it does not answer), the time (epoch seconds), and a sentence about a daemon that does not serve this user."""

    places: Places
    jobs: JobSet | None
    daemon: Mapping[str, Any] | None
    now: float
    not_ours: str = ""


SECONDS = 5.0
"""The longest that a program which is asked may take to answer."""
Check = Callable[[Context], Iterator[Finding]]


def ok(check: str, message: str, job: str | None = None) -> Finding:
    """All is well."""
    return Finding(check, "ok", message, None, job)


def warning(check: str, message: str, hint: str | None = None, job: str | None = None) -> Finding:
    """Something that may be meant as it is."""
    return Finding(check, "warning", message, hint, job)


def problem(check: str, message: str, hint: str | None = None, job: str | None = None) -> Finding:
    """Something that does not work."""
    return Finding(check, "problem", message, hint, job)


def ask(program: str, *words: str) -> subprocess.CompletedProcess[bytes] | None:
    """What a program of the system answers; None if it does not exist or takes too long."""
    if (path := shutil.which(program)) is None:
        return None
    try:
        return subprocess.run([path, *words], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


def run_check(check: Check, context: Context) -> list[Finding]:
    """The findings of a check. An OSError becomes a finding too, so that the other checks continue."""
    found: list[Finding] = []
    try:
        found.extend(check(context))
    except OSError as error:
        subject = error.filename or check.__name__.removeprefix("check_")
        reason = (error.strerror or str(error)).lower()
        found.append(warning("unseen", f"`{subject}` could not be checked: {reason}", "try it as root"))
    return found
