"""RUN and JOB as a person types them: `1423`, `1423/load/2`, `@last`, a job's name; with a suggestion where nothing fits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from cronflow.core.words import listing
from cronflow.errors import CronflowError, Exit

if TYPE_CHECKING:
    from cronflow.store.queries import History

LAST = "@last"
WAITING = "RUN[/TASK]|JOB"
"""A task that waits for an approval, in the usage of a verb; completion knows it by this word."""
STEPS = ("condition", "sensor", "foreach", "check", "on_failure", "on_success")
"""The kinds of processes of a task beside its command."""


class Process(NamedTuple):
    """An attempt of a task's command, or a step beside it, by its number."""

    n: int
    kind: str = "command"

    def __str__(self) -> str:
        return str(self.n) if self.kind == "command" else f"{self.kind}{self.n}"


def parse_run_ref(text: str) -> tuple[str, str | None, Process | None]:
    """`RUN[/TASK[/ATTEMPT]]` in its parts; the first is still as typed, for `resolve_run`. A step is named by its kind and
    number: `check2`.

    An attempt that is neither, or an empty part, is a CronflowError with exit status 2."""
    parts = text.split("/")
    if len(parts) > 3 or not all(parts):
        raise CronflowError(f"`{text}` is not a run", "write RUN, RUN/TASK or RUN/TASK/ATTEMPT, as in `1423/load/2`", Exit.USAGE)
    process = None
    if len(parts) == 3:
        kind = parts[2].rstrip("0123456789")
        if kind == parts[2] or kind not in ("", *STEPS):
            steps = f"the first attempt is 1, a step is one such as `check1`; kinds of steps are {', '.join(STEPS)}"
            raise CronflowError(f"`{parts[2]}` in `{text}` is not an attempt", steps, Exit.USAGE)
        process = Process(int(parts[2][len(kind) :][:18]), kind or "command")
    return parts[0], parts[1] if len(parts) > 1 else None, process


def resolve_run(history: History, text: str, jobs: Iterable[str]) -> int:
    """The number of the run that is meant: a number, `@last`, or a job's name for its last run (exit status 4 if none is).

    `jobs` are the names known from the job file; a job that is only in the history is found as well."""
    number = number_of(text)
    if number is not None:
        if not history.has_run(number):
            raise CronflowError(f"there is no run {text}", _hint(history, number), Exit.NOT_FOUND)
        return number
    if text == LAST:
        number = history.newest_run()
        if number is None:
            raise CronflowError("there is no run yet", "`cronflow run JOB` starts one", Exit.NOT_FOUND)
        return number
    found = history.last_runs([text]).get(text)
    if found is None:
        check_job(text, jobs)
        raise CronflowError(f"`{text}` has not run yet", f"`cronflow why {text}` tells when it will", Exit.NOT_FOUND)
    return found


def is_run(text: str) -> bool:
    """Whether a JOB|RUN argument means a run: job names are never numbers."""
    return text == LAST or number_of(text) is not None


def check_job(name: str, jobs: Iterable[str]) -> str:
    """The name itself if there is such a job, else a CronflowError (exit status 4) that suggests the nearest one."""
    known = list(jobs)
    if name in known:
        return name
    from cronflow.jobfile.suggest import did_you_mean

    hint = did_you_mean(name, known) or ("`cronflow graph` lists all jobs" if known else "the job file has no jobs")
    raise CronflowError(f"no job `{name}`", hint, Exit.NOT_FOUND)


def check_task(history: History, run: int, name: str) -> str:
    """The name itself if the run has such a task, or a job with copies of that name, else a CronflowError (exit status 4) that
    suggests the nearest one."""
    from cronflow.store.lookups import task_names

    tasks = task_names(history, run)
    known = dict.fromkeys([*(task for task, _ in tasks), *(job for _, job in tasks)])
    if name in known:
        return name
    raise no_such_task(run, name, known)


def no_such_task(run: int, name: str, known: Iterable[str]) -> CronflowError:
    """The error for a task that a run does not have; `known` are the names that it has."""
    from cronflow.jobfile.suggest import did_you_mean

    names = list(known)
    hint = did_you_mean(name, names) or (f"its tasks are {listing(names)}" if names else "it is a row of slots that did not run")
    return CronflowError(f"run {run} has no task `{name}`", hint, Exit.NOT_FOUND)


def parse_params(words: list[str]) -> dict[str, str]:
    """The values of `-p K=V`; a word without `=` is a CronflowError with exit status 2."""
    found: dict[str, str] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if not sign or not key:
            hint = f"write `-p {key or 'NAME'}=value`; an empty value is `-p {key or 'NAME'}=`"
            raise CronflowError(f"`{word}` is not `NAME=value`", hint, Exit.USAGE)
        found[key] = value
    return found


def number_of(text: str) -> int | None:
    """A text as the number of a run, if it can be one."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def _hint(history: History, number: int) -> str:
    newest = history.newest_run()
    if newest is None:
        return "there is no run yet"
    if 0 < number < newest:
        return "it is not in the history any more: `keep_runs` says how long runs are kept"
    return f"the last one is {newest}"
