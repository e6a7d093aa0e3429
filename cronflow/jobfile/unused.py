"""Warnings about keys that have no effect: without another key, without a suitable trigger, or in a job that is not a root."""

from __future__ import annotations

from collections.abc import Callable

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow, Plan
from cronflow.core.time.triggers import cron_expressions
from cronflow.jobfile import keys
from cronflow.jobfile.build import JobEntry, ParsedJobFile

BY_ROOTS = tuple(name for name, key in keys.JOB.items() if key.by_roots)
NEEDED = {
    "settle": "watch",
    "after_timeout": "after",
    "wait_every": "wait_until",
    "wait_timeout": "wait_until",
    "matrix_join": "matrix",
    "pool_slots": "pool",
}
"""Key → the key that it refines."""


def _timed(job: Job) -> bool:
    return bool(cron_expressions(job.schedule)) or job.every is not None


def _dated(job: Job) -> bool:
    return bool(job.schedule or job.watch) or job.every is not None


def _missable(job: Job) -> bool:
    return _timed(job) or bool(job.at)


TRIGGERS: dict[str, tuple[Callable[[Job], bool], str]] = {
    "jitter": (_timed, "no `schedule` with times and no `every`"),
    "skip_on": (_dated, "no `schedule`, `every` or `watch`"),
    "only_on": (_dated, "no `schedule`, `every` or `watch`"),
    "catchup": (_missable, "no `schedule` with times, `every` or `at`"),
    "catchup_window": (_missable, "no `schedule` with times, `every` or `at`"),
}
"""Keys that act only on some kinds of triggers, which a root may not have."""


def warn_of_unused(parsed: ParsedJobFile, plan: Plan | None) -> None:
    """Warn of such keys in a job's own table, not in `[defaults]`. `plan` is None if the graph has errors."""
    for name, entry in parsed.entries.items():
        for key, needed in NEEDED.items():
            if key in entry.own and not getattr(entry.job, needed) and not {key, needed} & entry.refused:
                _warn(parsed, name, key, f"has no `{needed}`", f"remove it, or add `{needed}`")
        _check_matrix_join(parsed, entry)
        _check_retried_checks(parsed, entry)
        if plan is not None:
            flow = plan.flows[plan.flow_of[name]]
            _check_triggers(parsed, entry, flow)
            if name in flow.roots and entry.job.only_on:
                _check_calendars(parsed, entry.job)


def _warn(parsed: ParsedJobFile, job: str, key: str, why: str, hint: str) -> None:
    parsed.warn(job, key, f"`{key}` has no effect in job `{job}`, which {why}", hint, "key")


def _check_triggers(parsed: ParsedJobFile, entry: JobEntry, flow: Flow) -> None:
    job = entry.job
    if "after_timeout" in entry.own and job.after and all(edge.job in flow.jobs for edge in job.after):
        hint = "remove it: inside a flow a task waits for those of its own run"
        _warn(parsed, job.name, "after_timeout", "comes after no job of another flow", hint)
    roots = " and ".join(f"`{root}`" for root in flow.roots[:3])
    for key in BY_ROOTS:
        if key not in entry.own:
            continue
        if job.name not in flow.roots:
            _warn(parsed, job.name, key, f"starts with {roots}", f"set `{key}` in {roots}")
        elif key in TRIGGERS and not TRIGGERS[key][0](job):
            _warn(parsed, job.name, key, f"has {TRIGGERS[key][1]}", "remove it")


def _check_calendars(parsed: ParsedJobFile, job: Job) -> None:
    """Warn of a root to whose triggers the calendars leave no date at all."""
    if not _dated(job) or job.at or not all(name in parsed.calendars for name in (*job.only_on, *job.skip_on)):
        return
    only, skip = (frozenset().union(*(parsed.calendars[name] for name in names)) for names in (job.only_on, job.skip_on))
    if only <= skip:
        message = f"job `{job.name}` never starts by itself: its calendars leave it no date"
        parsed.warn(job.name, "only_on", message, "it starts on dates of `only_on` that are not in `skip_on`", "key")


def _check_matrix_join(parsed: ParsedJobFile, entry: JobEntry) -> None:
    """Warn of a job that is to follow an upstream copy by copy, and has none with the same matrix."""
    job = entry.job
    if not job.matrix or job.matrix_join != "each" or "matrix_join" not in entry.own:
        return
    jobs = parsed.entries
    if not any(edge.job in jobs and jobs[edge.job].job.matrix == job.matrix for edge in job.after):
        hint = "write exactly the same `matrix` in both, or in `[defaults]`"
        _warn(parsed, job.name, "matrix_join", "comes after no job with the same `matrix`", hint)


def _check_retried_checks(parsed: ParsedJobFile, entry: JobEntry) -> None:
    job = entry.job
    if "check" in (job.retry_on or ()) and not job.check and "retry_on" in entry.own and "check" not in entry.refused:
        message = f'"check" in `retry_on` has no effect in job `{job.name}`, which has no `check`'
        parsed.warn(job.name, "retry_on.check", message, "remove the word, or add `check`")
