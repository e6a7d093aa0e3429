"""Errors that take more than one value to see: schedules in their zones, the graph, conflicts, URLs that Apprise refuses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Fault, faults, reach
from cronflow.core.time.schedule import Schedule, ScheduleError
from cronflow.core.time.triggers import cron_expressions
from cronflow.jobfile.build import STARTING_KEYS, ParsedJobFile
from cronflow.jobfile.conflicts import check_conflicts
from cronflow.jobfile.locate import Path
from cronflow.jobfile.references import check_references
from cronflow.jobfile.suggest import closest


def check(parsed: ParsedJobFile) -> None:
    """Report all errors that take more than one value to see."""
    doubtful = {name for name, entry in parsed.entries.items() if entry.refused & STARTING_KEYS}
    doubtful |= _check_schedules(parsed)
    for fault in faults(_with_doubtful_triggerless(parsed.jobs, doubtful) if doubtful else parsed.jobs):
        _report_fault(parsed, fault)
    check_references(parsed)
    check_conflicts(parsed)


def _check_schedules(parsed: ParsedJobFile) -> set[str]:
    """Report expressions that have no meaning; returns the jobs that have one."""
    bad = set()
    for name, job in parsed.jobs.items():
        expressions = cron_expressions(job.schedule)
        if expressions:
            try:
                Schedule.cron(expressions, job.timezone)
            except ScheduleError:
                bad.add(name)
                _check_each_expression(parsed, job)
    return bad


def _check_each_expression(parsed: ParsedJobFile, job: Job) -> None:
    source, path = parsed.location(job.name, "schedule")
    value = parsed.entries[job.name].own.get("schedule", parsed.defaults.get("schedule"))
    expressions = cron_expressions(job.schedule)
    for index, expression in enumerate([value] if isinstance(value, str) else value):
        if expression not in expressions:  # refused when it was read, or @reboot
            continue
        try:
            Schedule.cron(expression, job.timezone)
        except ScheduleError as error:
            at = path if isinstance(value, str) else (*path, index)
            span = source.span_within(at, error.offset, error.length or len(expression))
            parsed.report.add("error", error.message, error.hint, span)


def _with_doubtful_triggerless(jobs: dict[str, Job], doubtful: Iterable[str]) -> dict[str, Job]:
    """The jobs, without triggers if connected with a doubtful one: of those only names and cycles can be checked."""
    neighbours: dict[str, set[str]] = {name: set() for name in jobs}
    for name, job in jobs.items():
        for edge in job.after:
            if edge.job in jobs:
                neighbours[name].add(edge.job)
                neighbours[edge.job].add(name)
    seen = reach(doubtful, neighbours)

    def triggerless(job: Job) -> Job:
        bare = job._replace(schedule=(), every=None, at=(), watch=(), jitter=0.0, skip_on=(), only_on=())
        return bare._replace(overlap="skip", catchup="last", catchup_window=None)

    return {name: triggerless(job) if name in seen else job for name, job in jobs.items()}


def _report_fault(parsed: ParsedJobFile, fault: Fault) -> None:
    source, path = parsed.location(fault.job, fault.key)
    hint = fault.hint
    if hint is None and fault.places:
        hint = "remove one of: " + ", ".join(_line(parsed, job, key) for job, key in ((fault.job, fault.key), *fault.places))
    elif hint is None and fault.key == "after":
        hint = "remove its own name"
    elif fault.places:
        others = ", ".join(_line(parsed, job, key) for job, key in fault.places)
        hint = f"{hint}: {others}"
    parsed.report.add(fault.severity, fault.message, hint, source.span(path, "key" if path[-1] == fault.key else "value"))


def _line(parsed: ParsedJobFile, job: str, key: str) -> str:
    source, path = parsed.location(job, key)
    where = f"line {source.line_of(path)}" if source is parsed.main else f"{source.file}:{source.line_of(path)}"
    return f"{where} (`{job}`)"


def check_urls(parsed: ParsedJobFile) -> None:
    """Report URLs that Apprise refuses. A URL holds passwords and tokens: only its scheme is ever shown."""
    for name, target in parsed.alerts.items():
        for url in refused_urls(target.urls):
            _refuse_url(parsed, name, url)


def refused_urls(urls: Sequence[str]) -> list[str]:
    """The URLs that Apprise refuses. Loads Apprise (400 ms and 40 MiB), so only where a person waits for the result."""
    if not urls:
        return []
    import logging

    import apprise

    log = logging.getLogger("apprise")
    before, log.disabled = log.disabled, True  # what it logs of a URL that it refuses names the token
    try:
        return [url for url in urls if apprise.Apprise.instantiate(url, suppress_exceptions=True) is None]
    finally:
        log.disabled = before


def _refuse_url(parsed: ParsedJobFile, name: str, url: str) -> None:
    import apprise

    source = parsed.alert_sources[name]
    urls = source.data["alerts"][name]["urls"]
    path: Path = ("alerts", name, "urls")
    span = source.span(path if isinstance(urls, str) else (*path, urls.index(url)))
    scheme = url.partition("://")[0].lower()
    known = {
        scheme
        for service in apprise.Apprise().details()["schemas"]
        for key in ("protocols", "secure_protocols")
        for scheme in service.get(key) or ()
    }
    if scheme in known:
        hint = f"Apprise knows `{scheme}://`, but not with these parts: see its page on this service"
    elif near := closest(scheme, known):
        hint = f"did you mean `{near}://`?"
    else:
        hint = "https://github.com/caronc/apprise lists the services that it knows"
    parsed.report.add("error", f"alert `{name}`: Apprise does not accept this URL, `{scheme}://…`", hint, span)
