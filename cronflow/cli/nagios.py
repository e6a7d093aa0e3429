"""`cronflow status --check`: one line for Nagios and its kin, with performance data, and their exit status.

0 ok, 1 warning, 2 critical, 3 unknown; the form is that of the Monitoring Plugins' development guidelines.
"""

from __future__ import annotations

from cronflow.cli import names
from cronflow.cli.client import ping
from cronflow.cli.invocation import Invocation
from cronflow.core import words
from cronflow.errors import CronflowError
from cronflow.facts.overview import PAUSED_LONG, UNDELIVERED_AFTER, Overview, gather
from cronflow.facts.sentences import ended_how
from cronflow.store.queries import History

OK, WARNING, CRITICAL, UNKNOWN = range(4)
_WORDS = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
_NAMED = 4


def judge(invocation: Invocation, job: str | None = None) -> int:
    """Print the line and return the exit status. Whatever cannot be read is 3, said in the same form on standard output."""
    try:
        with History.open(invocation.places.database) as history:
            known = invocation.known_jobs(history)
            if job is not None:
                names.check_job(job, known.jobs)
            view = gather(history, known, ping(invocation.places), invocation.now)
    except CronflowError as error:
        _say(invocation, UNKNOWN, error.message, {})
        return UNKNOWN
    critical, warning = _critical(view, job), _warnings(view, job, invocation.now)
    level = CRITICAL if critical else WARNING if warning else OK
    said = critical + warning or [f"{words.count(len(view.known.jobs), 'job')}, {words.count(len(view.running), 'task')} running"]
    _say(invocation, level, "; ".join(said), _figures(view))
    return level


def _critical(view: Overview, job: str | None) -> list[str]:
    said = []
    if view.daemon is None:
        said.append("the daemon is not running")
    elif view.daemon.get("foreground"):
        said.append("the daemon is not running (only a `cronflow run` in the foreground)")
    failing = [one for one in view.failing if job in (None, one.job)]
    shown = []
    for one in failing[:_NAMED]:
        how = ended_how(one.task, one.attempt)
        shown.append(f"{one.job} ({how})" if how else one.job)
    if failing:
        more = f" and {len(failing) - _NAMED} more" if len(failing) > _NAMED else ""
        said.append(f"{len(failing)} failing: {', '.join(shown)}{more}")
    return said


def _warnings(view: Overview, job: str | None, now: float) -> list[str]:
    long = [one for one in view.paused if now - one.since > PAUSED_LONG]
    unsent = [one for one in view.standing.undelivered if now - one.since > UNDELIVERED_AFTER]
    late = [one for one in view.late if job in (None, one.task.job)]
    slow = [one for one in view.slow if job in (None, one.task.job)]
    said = [f"{one.task.name} is late by {words.duration(now - (one.expects.deadline or now))}" for one in late]
    said += [f"{one.task.name} is slow: {words.duration(now - (one.attempt_began or now))}" for one in slow]
    said += [f"{one.job} is paused for {words.duration(now - one.since)}" for one in long if job in (None, one.job)]
    said += [f"{words.count(one.number, 'alert')} to {one.target} undelivered" for one in unsent]
    said += [words.plain(one.message.splitlines()[0] if one.message else one.kind) for one in view.standing.troubles]
    if view.known.broken is not None:
        said.append(f"the job file has errors: {view.known.broken.message}")
    return said


def _figures(view: Overview) -> dict[str, str]:
    unsent = sum(one.number for one in view.standing.undelivered)
    return {
        "failing": f"{len(view.failing)};;0;0",
        "running": f"{len(view.running)};;;0",
        "waiting": f"{len(view.waiting)};;;0",
        "paused": f"{len(view.paused)};;;0;{len(view.known.jobs)}",
        "undelivered": f"{unsent};0;;0",
        "jobs": f"{len(view.known.jobs)};;;0",
    }


def _say(invocation: Invocation, level: int, text: str, figures: dict[str, str]) -> None:
    tail = f" | {' '.join(f'{name}={value}' for name, value in figures.items())}" if figures else ""
    invocation.out(f"CRONFLOW {_WORDS[level]}: {text.replace('|', '/')}{tail}")
