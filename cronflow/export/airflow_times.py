"""When a flow starts, in Airflow's form: a timetable, or the assets of the jobs that it comes after."""

from __future__ import annotations

from collections.abc import Sequence

from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.core.time.cronfields import DAY, WEEKDAY, parse, spell
from cronflow.core.time.cronhints import NICKNAMES
from cronflow.core.time.schedule import Schedule
from cronflow.core.time.secondopinion import without_lone_ranges
from cronflow.core.time.triggers import cron_expressions
from cronflow.core.words import local
from cronflow.export.airflow_proof import report_other_times
from cronflow.export.crontimes import every_lines
from cronflow.export.losses import written
from cronflow.export.pythontext import call, literal, period
from cronflow.export.report import ExportReport, UnwritableError

TRIGGER = "airflow.timetables.trigger"
INDENT = "    "


def schedule_of(flow: Flow, report: ExportReport, imports: set[tuple[str, str]]) -> str:
    """The expression for `schedule=`; adds to `imports`, as (module, name). Raises UnwritableError for what it cannot express."""
    root = flow.settings_root
    if flow.external_edges:
        return _assets(flow, imports)
    expressions = cron_expressions(root.schedule)
    _report_other_triggers(root, report)
    if expressions:
        written_out = [text for one in expressions for text in _croniter(one)]
        report_other_times(root.name, Schedule.cron(expressions, root.timezone), written_out, report.request.now, report)
        return _cron(written_out, root.timezone, imports)
    if root.every is not None:
        try:
            lines = [line.when for line in every_lines(root.every)]
            report_other_times(root.name, Schedule.every(root.every, "UTC"), lines, report.request.now, report)
            return _cron(lines, "UTC", imports)
        except UnwritableError:
            how = "counted from the start of the DAG, not from 1970-01-01 00:00 UTC"
            report.lose(root.name, "every", f"`{written('every', root.every)}`: {how}")
        imports.add((TRIGGER, "DeltaTriggerTimetable"))
        return f"DeltaTriggerTimetable({period(root.every)})"
    to_come = [moment for moment in root.at if moment > report.request.now]
    if not to_come:
        return "None"
    imports.update({("airflow.timetables.events", "EventsTimetable"), ("pendulum", "")})
    moments = [f"pendulum.datetime({local(one, 'UTC'):%Y, %-m, %-d, %-H, %-M, %-S})" for one in to_come]
    return call("EventsTimetable", [("", f"[{', '.join(moments)}]"), ("restrict_to_events", "True")], INDENT)


def _report_other_triggers(root: Job, report: ExportReport) -> None:
    """Record the other triggers of a job as lost: a DAG has one timetable."""
    expressions = cron_expressions(root.schedule)
    if len(expressions) < len(root.schedule):
        report.lose(root.name, "schedule", "`@reboot`: Airflow does not start DAGs at boot")
    if root.watch:
        report.lose(root.name, "watch", f"`{written('watch', root.watch)}`: no files are watched")
    if root.every is not None and expressions:
        report.lose(root.name, "every", f"`{written('every', root.every)}`: a DAG has one timetable, which is `schedule` here")
    if root.at and (expressions or root.every is not None):
        report.lose(root.name, "at", "`at`: a DAG has one timetable")


def _assets(flow: Flow, imports: set[tuple[str, str]]) -> str:
    """The assets of jobs of other flows: a DAG starts when they have been updated again."""
    root = flow.settings_root
    if flow.triggers:
        raise UnwritableError("its own schedule waits for jobs with another one, which a DAG cannot express")
    for edge in flow.external_edges:
        if edge.condition != "success":
            raise UnwritableError(
                f"it comes after `{edge.job}`, of another DAG, by `{edge.condition}`: assets only report successes"
            )
    imports.add(("airflow.sdk", "Asset"))
    sign = " | " if root.join == "any" else " & "
    return sign.join(f"Asset({literal(edge.job)})" for edge in flow.external_edges)


def _cron(expressions: Sequence[str], zone: str, imports: set[tuple[str, str]]) -> str:
    name = "CronTriggerTimetable" if len(expressions) == 1 else "MultipleCronTriggerTimetable"
    imports.add((TRIGGER, name))
    return f"{name}({', '.join(map(literal, expressions))}, timezone={literal(zone)})"


def _croniter(text: str) -> list[str]:
    """An expression as croniter reads it for Airflow: the seconds stand last, and a day is in one of two day fields. Two
    expressions for a day of the month and a `#` or `L` of the weekdays, of which croniter knows only both at once."""
    fields = parse(text)
    if fields.both and not (fields.every_day or fields.every_weekday):
        raise UnwritableError(
            f'`schedule = "{text}"` wants days that match both day fields; Airflow takes those that match either'
        )
    words = NICKNAMES.get(text.strip().lower(), text).split()
    seconds, words = words[:-5], without_lone_ranges(" ".join(words[-5:])).split()
    if "-sun" in words[4].lower() or fields.nths():
        words[4] = spell(WEEKDAY, fields.weekdays)
    if fields.every_day and not fields.every_weekday:
        words[2] = "*"
    if fields.every_weekday and not fields.every_day:
        words[4] = "*"
    if "l" in words[2].lower():
        words[2] = spell(DAY, fields.days).lower()
    if fields.nths() and not fields.both:
        days = [[*words[:4], "*"], [*words[:2], "*", *words[3:]]]
        return [" ".join([*one, *seconds]) for one in days]
    return [" ".join([*words, *seconds])]
