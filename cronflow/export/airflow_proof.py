"""The proof of the times of a DAG: when Airflow would start it, beside the slots of the schedule.

Airflow 3 (`airflow/timetables/_cron.py`) asks croniter for the wall time after that of the last start, with no other argument
than the expression. If the hour field is `*`, the next start is as long after the last one as the two wall times are apart; else
it is the instant at which the clock shows the wall time: the second one where the clock goes back, and as much later as a gap
is long where the gap leaves it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from cronflow.core.time.schedule import Schedule, clock_changes
from cronflow.core.time.secondopinion import YEAR, compare
from cronflow.core.words import iso
from cronflow.export.report import ExportReport

Next = Callable[[int], int | None]
"""The start of Airflow after an instant."""


def report_other_times(job: str, schedule: Schedule, expressions: Sequence[str], now: float, report: ExportReport) -> None:
    """Compare the starts of Airflow, given these expressions, with the slots of a job, and note as a loss how many differ."""
    start, zone = int(now), schedule.zone
    changes = [change.at for change in clock_changes(zone, now, now + YEAR)]
    compared = compare(schedule, lambda after: airflow_starts(expressions, zone, after), start, changes)
    report.compared[job] = compared
    if not compared.differing:
        return
    of_year = " of a year" if compared.whole else ""
    first = min((*compared.ours, *compared.theirs))
    only = "Airflow" if first in compared.theirs else "cronflow"
    told = f"{len(compared.theirs):,} only by Airflow, {len(compared.ours):,} only by cronflow"
    why = "Airflow treats changes of the clock in its own way" if changes else "croniter reads the schedule in another way"
    number = f"of {compared.times:,} starts{of_year} {compared.differing:,} differ ({told})"
    report.lose(job, "schedule", f"`schedule`: {number}, the first at {iso(first, zone)}, only by {only}: {why}")


def summary(report: ExportReport) -> list[str]:
    """How many schedules have been proved to start at the same times."""
    found = report.compared.values()
    if not found:
        return []
    same = sum(not one.differing for one in found)
    schedules = f"{same:,} of {len(found):,} schedules" if len(found) > 1 else "the schedule" if same else "0 of 1 schedule"
    times = sum(one.times for one in found)
    return [f"Airflow starts {schedules} at the same times ({times:,} starts compared, by croniter as Airflow calls it)"]


def airflow_starts(expressions: Sequence[str], zone: str, after: int) -> Iterator[int]:
    """The starts by a CronTriggerTimetable, or a MultipleCronTriggerTimetable, after an instant."""
    sources = [_source(expression, ZoneInfo(zone)) for expression in expressions]
    while True:
        found = [start for source in sources if (start := source(after)) is not None]
        if not found:
            return
        after = min(found)
        yield after


def _source(expression: str, zone: ZoneInfo) -> Next:
    """The starts by one expression."""
    from croniter import CroniterBadDateError, croniter

    source = croniter(expression, datetime(1970, 1, 1))
    every_hour = source.expanded[1] == ["*"]

    def start(after: int) -> int | None:
        wall = datetime.fromtimestamp(after, zone).replace(tzinfo=None, fold=0)
        source.set_current(wall)
        try:
            found: datetime = source.get_next(datetime)
        except CroniterBadDateError:
            return None
        if every_hour:
            return after + int((found - wall).total_seconds())
        return max(int(found.replace(tzinfo=zone, fold=fold).timestamp()) for fold in (0, 1))

    return start
