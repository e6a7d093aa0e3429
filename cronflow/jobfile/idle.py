"""Warnings about keys without effect where they stand: without another key, without such a trigger, in a job that is no root."""

from __future__ import annotations

from collections.abc import Callable

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow, Plan
from cronflow.core.time.triggers import cron_expressions
from cronflow.jobfile import keys
from cronflow.jobfile.build import Draft, Written
from cronflow.jobfile.report import Report

BY_ROOTS = tuple(name for name, key in keys.JOB.items() if key.by_roots)
NEEDED = {
    "settle": "watch",
    "after_timeout": "after",
    "wait_every": "wait_until",
    "wait_timeout": "wait_until",
    "matrix_join": "matrix",
    "pool_slots": "pool",
}
"""Keys that say more about another one."""


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
"""Keys that act on triggers of some kinds, which a root may not have."""


def advise_idle(draft: Draft, plan: Plan | None, report: Report) -> None:
    """A warning at each such key of a job's own table; `[defaults]` may say what not every job needs. `plan` is None where the
    graph has errors."""
    for name, written in draft.written.items():
        for key, needed in NEEDED.items():
            if key in written.own and not getattr(written.job, needed) and not {key, needed} & written.refused:
                told = f"`{key}` has no effect in job `{name}`, which has no `{needed}`"
                _warn(name, key, told, f"take it out, or add `{needed}`", draft, report)
        _copy_by_copy(written, draft, report)
        _retried_checks(written, draft, report)
        if plan is not None:
            flow = plan.flows[plan.flow_of[name]]
            _triggers(written, flow, draft, report)
            if name in flow.roots and written.job.only_on:
                _no_dates(written.job, draft, report)


def _warn(job: str, key: str, told: str, hint: str, draft: Draft, report: Report) -> None:
    source, path = draft.place(job, key)
    report.warning(source, path, told, hint, "key")


def _triggers(written: Written, flow: Flow, draft: Draft, report: Report) -> None:
    job = written.job
    if "after_timeout" in written.own and job.after and all(edge.job in flow.jobs for edge in job.after):
        told = f"`after_timeout` has no effect in job `{job.name}`, which comes after no job of another flow"
        _warn(job.name, "after_timeout", told, "take it out: inside a flow a task waits for those of its own run", draft, report)
    roots = " and ".join(f"`{root}`" for root in flow.roots[:3])
    for key in BY_ROOTS:
        if key not in written.own:
            continue
        if job.name not in flow.roots:
            told = f"`{key}` has no effect in job `{job.name}`, which starts with {roots}"
            _warn(job.name, key, told, f"set `{key}` in {roots}", draft, report)
        elif key in TRIGGERS and not TRIGGERS[key][0](job):
            told = f"`{key}` has no effect in job `{job.name}`, which has {TRIGGERS[key][1]}"
            _warn(job.name, key, told, "take it out", draft, report)


def _no_dates(job: Job, draft: Draft, report: Report) -> None:
    """A root to whose triggers the calendars leave no date at all."""
    if not _dated(job) or job.at or not all(name in draft.calendars for name in (*job.only_on, *job.skip_on)):
        return
    only, skip = (frozenset().union(*(draft.calendars[name] for name in names)) for names in (job.only_on, job.skip_on))
    if only <= skip:
        told = f"job `{job.name}` never starts by itself: its calendars leave it no date"
        _warn(job.name, "only_on", told, "it starts on dates of `only_on` that are not in `skip_on`", draft, report)


def _copy_by_copy(written: Written, draft: Draft, report: Report) -> None:
    """A job that wants to follow an upstream copy by copy, and has none with the same matrix."""
    job = written.job
    if not job.matrix or job.matrix_join != "each" or "matrix_join" not in written.own:
        return
    jobs = draft.written
    if not any(edge.job in jobs and jobs[edge.job].job.matrix == job.matrix for edge in job.after):
        told = f"`matrix_join` has no effect in job `{job.name}`, which comes after no job with the same `matrix`"
        _warn(job.name, "matrix_join", told, "write the very same `matrix` in both, or in `[defaults]`", draft, report)


def _retried_checks(written: Written, draft: Draft, report: Report) -> None:
    job = written.job
    if "check" in (job.retry_on or ()) and not job.check and "retry_on" in written.own and "check" not in written.refused:
        told = f'"check" in `retry_on` has no effect in job `{job.name}`, which has no `check`'
        source, path = draft.place(job.name, "retry_on.check")
        report.warning(source, path, told, "take the word out, or add `check`")
