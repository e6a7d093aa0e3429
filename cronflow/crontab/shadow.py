"""Compares cron's own log with a job file: what was started on some days, and what the job file would have started."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronflow.core.jobs import Job
from cronflow.core.time.triggers import triggers_of
from cronflow.core.words import MONTHS
from cronflow.crontab.convert import ImportedJob
from cronflow.crontab.proof import slots_between

LATE = 5 * 60
"""Seconds after its minute within which a start still counts: cron may have been busy."""
MONTHS_SHORT = tuple(month[:3] for month in MONTHS)
_CMD = re.compile(r"\((?P<user>[^()]+)\) CMD \((?:\[\d+\] )?(?P<command>.*)\)\s*$")
_BUSYBOX = re.compile(r"crond?(?:\[\d+\])?: (?:crond: )?USER (?P<user>\S+) pid +\d+ cmd (?P<command>.*)$")
_SYSLOG = re.compile(r"(?:<\d+>)?(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?")
_FULL = re.compile(r"[A-Z][a-z]{2} (?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? (?P<zone>\S+)")


class LoggedStart(NamedTuple):
    """A start in cron's log: the line of the log, the epoch second, the user and the command as they are written."""

    line: int
    at: int
    user: str
    command: str


class Comparison(NamedTuple):
    """The starts that the log and the job file have in common, and those that only one of them has.

    `only_log`: starts that the job file would not have made, with the job's name; `only_file`: slots of jobs without a line in
    the log; `others`: starts of commands that are not its jobs; `boots`: starts of jobs without a timetable."""

    first: int
    last: int
    same: int
    only_log: list[tuple[LoggedStart, str]]
    only_file: list[tuple[int, str]]
    others: list[LoggedStart]
    boots: int

    @property
    def unexplained(self) -> int:
        """The number of starts that only one of the two has."""
        return len(self.only_log) + len(self.only_file)


def read(text: str, now: float, zone: str) -> list[LoggedStart]:
    """Read the starts from a log: lines of syslog or the journal, or the journal's JSON (`journalctl -o json`).

    syslog's lines have no year: it is the latest one that does not put them after `now`."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        start = _of_json(number, line) if line.startswith("{") else _of_line(number, line, now, zone)
        if start is not None:
            found.append(start)
    return found


def _of_json(number: int, line: str) -> LoggedStart | None:
    try:
        entry = json.loads(line)
        message, stamp = entry["MESSAGE"], entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"]
        at = int(stamp) // 1_000_000
    except (ValueError, KeyError, TypeError):
        return None
    match = _CMD.search(message) if isinstance(message, str) else None
    return None if match is None else LoggedStart(number, at, match["user"], match["command"])


def _of_line(number: int, line: str, now: float, zone: str) -> LoggedStart | None:
    match = _CMD.search(line) or _BUSYBOX.search(line)
    if match is None:
        return None
    at = _instant(line[: match.start()], now, zone)
    return None if at is None else LoggedStart(number, at, match["user"], match["command"])


def _instant(head: str, now: float, zone: str) -> int | None:
    info = ZoneInfo(zone)
    full = _FULL.match(head)
    iso = _ISO.match(head)
    syslog = _SYSLOG.match(head)
    try:
        if full is not None:
            return int(datetime.fromisoformat(full["stamp"]).replace(tzinfo=UTC if full["zone"] == "UTC" else info).timestamp())
        if iso is not None:
            then = datetime.fromisoformat(re.sub(r" (?=[+-])", "", iso[0]).replace(",", "."))
            return int((then if then.tzinfo else then.replace(tzinfo=info)).timestamp())
        if syslog is not None and syslog["month"] in MONTHS_SHORT:
            return _without_year(MONTHS_SHORT.index(syslog["month"]) + 1, int(syslog["day"]), syslog["clock"], now, info)
    except ValueError:
        return None
    return None


def _without_year(month: int, day: int, clock: str, now: float, info: ZoneInfo) -> int | None:
    hour, minute, second = map(int, clock.split(":"))
    this = datetime.fromtimestamp(now, info).year
    for year in (this, this - 1, this - 2, this - 3, this - 4):
        try:
            at = datetime(year, month, day, hour, minute, second, tzinfo=info).timestamp()
        except ValueError:  # 29 February
            continue
        if at <= now + 86_400:
            return int(at)
    return None


# ---- compared -------------------------------------------------------------------------------------------------------------


def compare(imported_jobs: Sequence[ImportedJob], jobs: Mapping[str, Job], starts: Sequence[LoggedStart]) -> Comparison:
    """Compare the starts in a log with the slots of these jobs, from the first minute of the log to its last one."""
    ordered = sorted(starts, key=lambda start: start.at)
    first, last = (ordered[0].at // 60 * 60, ordered[-1].at // 60 * 60) if ordered else (0, 0)
    slots = {imported.name: _slots(imported, jobs[imported.name], first, last) for imported in imported_jobs}
    result = Comparison(first, last, 0, [], [], [], 0)
    by_command = _by_command(imported_jobs)
    same = boots = 0
    for start in ordered:
        names = [name for name, user in by_command.get(_plain(start.command), ()) if user in (None, start.user)]
        if not names:
            result.others.append(start)
        elif any(slots[name] is None for name in names):
            boots += 1
        elif _take_slot(start, [slots[name] or [] for name in names]):
            same += 1
        else:
            result.only_log.append((start, names[0]))
    left = sorted((slot, name) for name, found in slots.items() for slot in found or ())
    return result._replace(same=same, boots=boots, only_file=left)


def _slots(imported: ImportedJob, job: Job, first: int, last: int) -> list[int] | None:
    """The slots of a job from the first minute to the last one; None if it has no timetable."""
    triggers = triggers_of(job)
    if imported.entry.times is None or not triggers or not triggers[0].timed:
        return None
    return slots_between(triggers[0].schedule, first, last + 1)


def _take_slot(start: LoggedStart, candidates: Iterable[list[int]]) -> bool:
    """Whether one of the jobs has a slot for a start, in its minute or shortly before; removes the slot."""
    minute = start.at // 60 * 60
    for slots in candidates:
        near = [slot for slot in slots if minute - LATE <= slot <= minute]
        if near:
            slots.remove(near[-1])
            return True
    return False


def _by_command(imported_jobs: Sequence[ImportedJob]) -> dict[str, list[tuple[str, str | None]]]:
    """The jobs by their commands in the form of a log, each with its user if that is known."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for imported in imported_jobs:
        found.setdefault(_plain(imported.entry.command), []).append((imported.name, imported.keys.get("user")))
    return found


def _plain(command: str) -> str:
    """A command in the form common to all logs: single blanks, no characters that cron escapes (`^I`, `M-C`, `\\303`)."""
    text = command.replace("^I", " ").replace("#011", " ")
    text = re.sub(r"(?:M-.|\\[0-7]{3}|#[0-7]{3}|[^\x20-\x7e])+", "?", text)
    return " ".join(text.split())
