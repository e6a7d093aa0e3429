"""`cronflow doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.core.words import count, listing
from cronflow.errors import CronflowError, Exit, JobFileError

if TYPE_CHECKING:
    from cronflow.cli.screens.style import Style
    from cronflow.doctor.finding import Context, Finding

SIGNS = {"ok": ("✓", "success"), "warning": ("!", "retrying"), "problem": ("✗", "failed")}


def doctor(invocation: Invocation) -> int:
    """Look whether this machine and the jobs fit each other, and tell what to do where they do not.

    Each job is looked at with the rights of its user: shell and command, folder, env files, secrets. Then alert targets, the
    state folder and its database, the disk, the daemon and its service, crontabs, the clock. Nothing is started or changed.
    Exit status 1 if there is a problem; warnings do not count.
    """
    from cronflow.doctor import alerts, crontabs, jobs, machine, state
    from cronflow.doctor.finding import run_check

    found, context = _context(invocation)
    checks = (
        *(jobs.check_jobs, alerts.check_alerts),
        *(state.check_folder, state.check_database, state.check_sqlite, state.check_disk),
        *(machine.check_daemon, machine.check_other_daemons, state.check_keepers, machine.check_service, crontabs.check_crontabs),
        *(state.check_clock, machine.check_zones, machine.check_inotify),
    )
    for check in checks:
        found += run_check(check, context)
    failed = any(one.result == "problem" for one in found)
    if invocation.json:
        invocation.print_json({"ok": not failed, "checks": [one._asdict() for one in found]})
    else:
        _show(invocation, found)
    return 1 if failed else 0


def _context(invocation: Invocation) -> tuple[list[Finding], Context]:
    """What the checks are given, and the finding about the job file itself."""
    from cronflow.doctor.finding import Context, ok

    daemon, reading, not_ours = None, None, ""
    try:
        with client.connect(invocation.places) as there:
            daemon = there.ask("ping", seconds=5.0)
    except CronflowError as error:
        not_ours = error.message if error.exit_status == Exit.NOT_PERMITTED else ""
    try:
        reading = invocation.reading
        found = ok("job_file", f"`{invocation.places.file}` has {count(len(reading.jobs.jobs), 'job')}")
    except JobFileError as error:
        found = _faulty(error)
    jobs = reading.jobs if reading is not None else None
    return [found], Context(invocation.places, jobs, daemon, invocation.now, not_ours)


def _faulty(error: JobFileError) -> Finding:
    """The first thing about the job file that a person should change."""
    from cronflow.doctor.finding import problem

    first = next((one for one in error.problems if one.severity == "error"), None)
    if first is None or first.span is None:
        return problem("job_file", error.message, first.hint if first is not None else None)
    place = f"{first.span.file}:{first.span.line}"
    return problem("job_file", f"the job file has errors: {error.message} ({place})", "`cronflow check` shows all of them")


def _show(invocation: Invocation, found: list[Finding]) -> None:
    style = invocation.style()
    for alike in _grouped(found):
        invocation.out(_line(alike, style))
    numbers = [(sum(one.result == result for one in found), result) for result in ("problem", "warning")]
    said = ", ".join(count(number, result) for number, result in numbers if number)
    invocation.out(f"\n{count(len(found), 'check')}: {said or 'everything is well'}")


def _grouped(found: list[Finding]) -> list[list[Finding]]:
    """Equal findings of several jobs together; what is well about jobs comes after the rest."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for place, one in enumerate(found):
        groups.setdefault((one.check, one.result, one.message) if one.job is not None else (place,), []).append(one)
    jobs = sorted((alike for alike in groups.values() if alike[0].job is not None), key=lambda alike: alike[0].result == "ok")
    others = [alike for alike in groups.values() if alike[0].job is None]
    return [*others[:1], *jobs, *others[1:]]


def _line(alike: list[Finding], style: Style) -> str:
    """A finding about one job, several or none, and below it what to do about it."""
    one, names = alike[0], [f"`{one.job}`" for one in alike if one.job is not None]
    sign, kind = SIGNS[one.result]
    if one.result == "ok" and len(names) > 1:
        about = f"{count(len(names), 'job')}: "
    else:
        about = f"{'job' if len(names) == 1 else 'jobs'} {listing(names, 3)}: " if names else ""
    line = f"{style.paint(kind, sign)} {style.wrapped(about + one.message, 2)}"
    return line if one.hint is None else f"{line}\n    = hint: {style.wrapped(one.hint, 12)}"
