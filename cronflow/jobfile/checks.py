"""What is wrong with a job file although each of its values can be read: schedules, the graph, URLs that nobody takes."""

from __future__ import annotations

from collections.abc import Iterable

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Fault, faults
from cronflow.core.time.schedule import Schedule, ScheduleError
from cronflow.core.time.triggers import cron_expressions
from cronflow.jobfile.build import WHEN, Draft
from cronflow.jobfile.clashes import check_clashes
from cronflow.jobfile.locate import Path
from cronflow.jobfile.references import check_references
from cronflow.jobfile.report import Report
from cronflow.jobfile.suggest import closest


def check(draft: Draft, report: Report) -> None:
    """All errors that need more than one value to be seen."""
    doubtful = {name for name, written in draft.written.items() if written.refused & WHEN}
    doubtful |= _schedules(draft, report)
    for fault in faults(_without_doubts(draft.jobs, doubtful)):
        _tell(fault, draft, report)
    check_references(draft, report)
    check_clashes(draft, report)


def _schedules(draft: Draft, report: Report) -> set[str]:
    """Expressions that are none; the jobs that have one."""
    bad = set()
    for name, job in draft.jobs.items():
        expressions = cron_expressions(job.schedule)
        if expressions:
            try:
                Schedule.cron(expressions, job.timezone)
            except ScheduleError:
                bad.add(name)
                _each_expression(job, draft, report)
    return bad


def _each_expression(job: Job, draft: Draft, report: Report) -> None:
    source, path = draft.place(job.name, "schedule")
    written = draft.written_value(job.name, "schedule")
    expressions = cron_expressions(job.schedule)
    for index, expression in enumerate([written] if isinstance(written, str) else written):
        if expression not in expressions:  # refused when it was read, or @reboot
            continue
        try:
            Schedule.cron(expression, job.timezone)
        except ScheduleError as error:
            at = path if isinstance(written, str) else (*path, index)
            span = source.within(at, error.offset, error.length or len(expression))
            report.add("error", error.message, error.hint, span)


def _without_doubts(jobs: dict[str, Job], doubtful: Iterable[str]) -> dict[str, Job]:
    """The jobs with all that hangs together with a doubtful one made triggerless: of these the graph is checked for unknown names
    and cycles only, for how they start is not known."""
    todo = list(doubtful)
    if not todo:
        return jobs
    near: dict[str, set[str]] = {name: set() for name in jobs}
    for name, job in jobs.items():
        for edge in job.after:
            if edge.job in jobs:
                near[name].add(edge.job)
                near[edge.job].add(name)
    seen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(near[name])

    def plain(job: Job) -> Job:
        bare = job._replace(schedule=(), every=None, at=(), watch=(), jitter=0.0, skip_on=(), only_on=())
        return bare._replace(overlap="skip", catchup="last", catchup_window=None)

    return {name: plain(job) if name in seen else job for name, job in jobs.items()}


def _tell(fault: Fault, draft: Draft, report: Report) -> None:
    source, path = draft.place(fault.job, fault.key)
    hint = fault.hint
    if hint is None and fault.places:
        hint = "remove one of: " + ", ".join(_line(job, key, draft) for job, key in ((fault.job, fault.key), *fault.places))
    elif hint is None and fault.key == "after":
        hint = "take its own name out"
    elif fault.places:
        others = ", ".join(_line(job, key, draft) for job, key in fault.places)
        hint = f"{hint}: {others}"
    report.add(fault.severity, fault.message, hint, source.span(path, "key" if path[-1] == fault.key else "value"))


def _line(job: str, key: str, draft: Draft) -> str:
    source, path = draft.place(job, key)
    where = f"line {source.line_of(path)}" if source is draft.main else f"{source.file}:{source.line_of(path)}"
    return f"{where} (`{job}`)"


def check_urls(draft: Draft, report: Report) -> None:
    """URLs that Apprise does not take. Loads Apprise (400 ms and 40 MiB), hence only where a person waits for the result.

    A URL holds passwords and tokens: nothing of it but its scheme is ever told."""
    if not any(target.urls for target in draft.alerts.values()):
        return
    import logging

    import apprise

    log = logging.getLogger("apprise")
    before, log.disabled = log.disabled, True  # what it logs of a URL that it refuses names the token
    try:
        for name, target in draft.alerts.items():
            for url in target.urls:
                if apprise.Apprise.instantiate(url, suppress_exceptions=True) is None:
                    _refuse_url(name, url, draft, report)
    finally:
        log.disabled = before


def _refuse_url(name: str, url: str, draft: Draft, report: Report) -> None:
    import apprise

    source = draft.alert_sources[name]
    written = source.data["alerts"][name]["urls"]
    path: Path = ("alerts", name, "urls")
    span = source.span(path if isinstance(written, str) else (*path, written.index(url)))
    scheme = url.partition("://")[0].lower()
    known = {one for plugin in apprise.Apprise().details()["schemas"] for one in _schemes(plugin)}
    if scheme in known:
        hint = f"Apprise knows `{scheme}://`, but not with these parts: see its page on this service"
    else:
        hint = _near_scheme(scheme, known)
    report.add("error", f"alert `{name}`: Apprise takes no such URL `{scheme}://…`", hint, span)


def _near_scheme(scheme: str, known: set[str]) -> str:
    near = closest(scheme, known)
    return f"did you mean `{near}://`?" if near else "https://github.com/caronc/apprise lists the services that it knows"


def _schemes(plugin: dict[str, object]) -> list[str]:
    """The schemes of one of the services that Apprise tells of."""
    found: list[str] = []
    for key in ("protocols", "secure_protocols"):
        value = plugin.get(key)
        if isinstance(value, list | tuple):
            found.extend(str(one) for one in value)
    return found
