"""What starts the units of a flow: a timer for its times, a path unit for its files, and the boot."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping, Sequence

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.core.time.cronfields import HOUR, MINUTE, MONTH, parse
from cronflow.core.time.cronhints import KINDS
from cronflow.core.time.triggers import cron_expressions
from cronflow.core.words import iso, local
from cronflow.export.crontimes import utc_offsets
from cronflow.export.losses import written
from cronflow.export.oncalendar import calendar_lines, interval_lines
from cronflow.export.report import ExportReport
from cronflow.export.units import Settings, UnitContext, plain_line, span, unit_text

A_YEAR = 366 * 86_400
MOST_LISTED = 3
"""Times affected by clock changes that are listed one by one."""


def starter_units(
    flow: Flow, starts: Sequence[str], services: Mapping[str, dict[str, Settings]], context: UnitContext
) -> dict[str, str]:
    """The timer and the path unit of a flow. A start at boot goes into the [Install] section of the service itself."""
    root, report, names = flow.settings_root, context.report, context.names
    target = starts[0]
    found: dict[str, str] = {}
    if len(starts) > 1:
        target = f"{flow.name} all"
        found[f"{names[f'{flow.name} all']}.service"] = _all(flow, starts, context)
    service = f"{names[target]}.service"
    if len(cron_expressions(root.schedule)) < len(root.schedule):
        section = services[target]["Install"] if target in services else None
        if section is None:
            report.lose(root.name, "schedule", "`@reboot`: nothing starts it at boot")
        elif root.enabled:
            section.append(("WantedBy", "multi-user.target" if report.request.system else "default.target"))
    lines = _times(root, report)
    if lines:
        found[f"{names[root.name]}.timer"] = _timer(root, lines, service, report)
    if root.watch:
        found[f"{names[root.name]}.path"] = _path_unit(root, service, report)
    if not root.enabled and (lines or root.watch):
        report.lose(root.name, "enabled", "`enabled = false`: its timer has no [Install], so that it cannot be enabled")
    return found


def _all(flow: Flow, starts: Sequence[str], context: UnitContext) -> str:
    unit: Settings = [("Description", f"{flow.name}: starts {', '.join(starts)}")]
    unit += [("Wants", f"{context.names[name]}.service") for name in starts]
    sections = {"Unit": unit, "Service": [("Type", "oneshot"), ("ExecStart", "/bin/true")]}
    return unit_text([f"{context.request.source}: what the timer of `{flow.name}` starts"], sections)


def _times(root: Job, report: ExportReport) -> Settings:
    zone = "" if root.timezone == report.request.zone else root.timezone
    lines: Settings = []
    for expression in cron_expressions(root.schedule):
        fitting = "UTC" if _any_zone(expression, root.timezone, report.request.now) else zone
        lines += [("OnCalendar", line) for line in calendar_lines(expression, fitting)]
    if root.every is not None:
        intervals = interval_lines(root.every)
        if intervals is None:
            how = "counted from its last start, where cronflow counts from 1970-01-01 00:00 UTC"
            report.lose(root.name, "every", f"`{written('every', root.every)}`: {how}")
            lines += [("OnActiveSec", span(root.every)), ("OnUnitActiveSec", span(root.every))]
        else:
            lines += [("OnCalendar", line) for line in intervals]
    to_come = [moment for moment in root.at if moment > report.request.now]
    return lines + [("OnCalendar", f"{local(moment, 'UTC'):%Y-%m-%d %H:%M:%S} UTC") for moment in to_come]


def _any_zone(expression: str, zone: str, now: float) -> bool:
    """Whether an expression has the same times in UTC as in a zone in which systemd would skip the second pass of an hour."""
    fields = parse(expression)
    whole = all(mask & KINDS[kind].every == KINDS[kind].every for kind, mask in ((HOUR, fields.hours), (MONTH, fields.months)))
    if not (fields.elapsed and whole and fields.every_day and fields.every_weekday):
        return False
    offsets = utc_offsets(zone, now)
    every = KINDS[MINUTE].every
    turns = {offset // 60 % 60 for offset in offsets}
    same = all((fields.minutes << turn | fields.minutes >> 60 - turn) & every == fields.minutes for turn in turns)
    return len(offsets) > 1 and same


def _timer(root: Job, times: Settings, service: str, report: ExportReport) -> str:
    calendar = any(key == "OnCalendar" for key, _ in times)
    timer = [*times, ("AccuracySec", "1s")]
    if calendar:
        timer.append(("Persistent", "false" if root.catchup == "none" else "true"))
    elif root.catchup != "none":
        report.lose(root.name, "catchup", "`every`: missed slots are not caught up")
    if root.jitter:
        timer += [("RandomizedDelaySec", span(root.jitter)), ("FixedRandomDelay", "true")]
    timer.append(("Unit", service))
    sections = {
        "Unit": [("Description", f"{root.name}: {plain_line(root.description) or 'its times'}")],
        "Timer": timer,
        "Install": [("WantedBy", "timers.target")] if root.enabled else [],
    }
    return unit_text([f"{report.request.source}: when job `{root.name}` starts"], sections)


def _path_unit(root: Job, service: str, report: ExportReport) -> str:
    lines: Settings = []
    for pattern in root.watch:
        path = pattern
        while glob.has_magic(os.path.basename(path)) or glob.has_magic(path):
            path = os.path.dirname(path)
        if path != pattern:
            report.lose(root.name, "watch", f"`{pattern}`: systemd does not watch patterns: any change in `{path}` starts it")
        lines.append(("PathChanged", path.replace("%", "%%")))
    how = "changes while systemd is not watching are missed, and it does not wait until files are unchanged"
    report.lose(root.name, "watch", f"`watch`: {how}")
    sections = {
        "Unit": [("Description", f"{root.name}: its files")],
        "Path": [*dict.fromkeys(lines), ("Unit", service)],
        "Install": [("WantedBy", "paths.target")] if root.enabled else [],
    }
    return unit_text([f"{report.request.source}: the files that job `{root.name}` waits for"], sections)


def report_clock_changes(flow: Flow, report: ExportReport) -> None:
    """Record that systemd starts nothing for a time that a clock change skips, and starts a repeated time only once."""
    root = flow.settings_root
    for trigger in flow.triggers:
        expressions = cron_expressions(root.schedule)
        if trigger.kind != "schedule" or all(_any_zone(one, root.timezone, report.request.now) for one in expressions):
            continue
        oddities = trigger.schedule.oddities(report.request.now, report.request.now + A_YEAR)
        for odd in [odd for odd in oddities if odd.runs == (1 if odd.kind == "gap" else 2)][:MOST_LISTED]:
            if odd.kind == "gap":
                at = iso(odd.at, root.timezone)[11:16]
                how = f"does not exist in {root.timezone}: systemd does not start it, cronflow at {at}"
            else:
                how = f"comes twice in {root.timezone}: systemd starts it once, cronflow twice"
            report.lose(root.name, "schedule", f"{odd.first:%Y-%m-%d %H:%M} {how}")
