"""cron's own log against a job file: what was started on some days, and what the job file would have started."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronflow.core.jobs import Job
from cronflow.core.time.triggers import triggers_of
from cronflow.crontab.convert import Draft

LATE = 5 * 60
"""Seconds after its minute in which a start still counts for it: cron may have been busy."""
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CMD = re.compile(r"\((?P<user>[^()]+)\) CMD \((?:\[\d+\] )?(?P<command>.*)\)\s*$")
_BUSYBOX = re.compile(r"crond?(?:\[\d+\])?: (?:crond: )?USER (?P<user>\S+) pid +\d+ cmd (?P<command>.*)$")
_SYSLOG = re.compile(r"(?:<\d+>)?(?P<month>[A-Z][a-z]{2}) +(?P<day>\d{1,2}) (?P<clock>\d\d:\d\d:\d\d)")
_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?: ?(?:Z|[+-]\d\d:?\d\d))?")
_FULL = re.compile(r"[A-Z][a-z]{2} (?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)(?:\.\d+)? (?P<zone>\S+)")


class Start(NamedTuple):
    """A command that cron's log tells of: the line of the log, the instant, the user and the command as they are written."""

    line: int
    at: int
    user: str
    command: str


class Compared(NamedTuple):
    """What the log and the job file agree on, and what only one of them has.

    `only_log`: starts that the job file would not have made, with the job's name; `only_file`: slots of jobs without a line;
    `others`: starts of commands that are none of its jobs; `boots`: starts of jobs that have no timetable."""

    first: int
    last: int
    same: int
    only_log: list[tuple[Start, str]]
    only_file: list[tuple[int, str]]
    others: list[Start]
    boots: int


def read(text: str, now: float, zone: str) -> list[Start]:
    """The starts that a log tells of: syslog's and the journal's lines, and the journal's JSON (`journalctl -o json`).

    syslog's lines have no year: it is the one that puts them last before `now`."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        start = _of_json(number, line) if line.startswith("{") else _of_line(number, line, now, zone)
        if start is not None:
            found.append(start)
    return found


def _of_json(number: int, line: str) -> Start | None:
    try:
        entry = json.loads(line)
        message, stamp = entry["MESSAGE"], entry.get("_SOURCE_REALTIME_TIMESTAMP") or entry["__REALTIME_TIMESTAMP"]
        at = int(stamp) // 1_000_000
    except (ValueError, KeyError, TypeError):
        return None
    told = _CMD.search(message) if isinstance(message, str) else None
    return None if told is None else Start(number, at, told["user"], told["command"])


def _of_line(number: int, line: str, now: float, zone: str) -> Start | None:
    told = _CMD.search(line) or _BUSYBOX.search(line)
    if told is None:
        return None
    at = _instant(line[: told.start()], now, zone)
    return None if at is None else Start(number, at, told["user"], told["command"])


def _instant(head: str, now: float, zone: str) -> int | None:
    """The instant at the beginning of a line; None where there is none."""
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
        if syslog is not None and syslog["month"] in MONTHS:
            return _without_year(MONTHS.index(syslog["month"]) + 1, int(syslog["day"]), syslog["clock"], now, info)
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


def compare(drafts: Sequence[Draft], jobs: Mapping[str, Job], starts: Sequence[Start]) -> Compared:
    """What the log tells beside what these jobs would have done, from the first minute of the log to its last one."""
    ordered = sorted(starts, key=lambda start: start.at)
    first, last = (ordered[0].at // 60 * 60, ordered[-1].at // 60 * 60) if ordered else (0, 0)
    slots = {draft.name: _slots(draft, jobs[draft.name], first, last) for draft in drafts}
    told = Compared(first, last, 0, [], [], [], 0)
    by_command = _by_command(drafts)
    same = boots = 0
    for start in ordered:
        names = [name for name, user in by_command.get(_plain(start.command), ()) if user in (None, start.user)]
        if not names:
            told.others.append(start)
        elif any(slots[name] is None for name in names):
            boots += 1
        elif _taken(start, [slots[name] or [] for name in names]):
            same += 1
        else:
            told.only_log.append((start, names[0]))
    left = sorted((slot, name) for name, found in slots.items() for slot in found or ())
    return told._replace(same=same, boots=boots, only_file=left)


def _slots(draft: Draft, job: Job, first: int, last: int) -> list[int] | None:
    """The slots of a job in a span; None where it has no timetable."""
    triggers = triggers_of(job)
    if draft.entry.times is None or not triggers or not triggers[0].timed:
        return None
    schedule = triggers[0].schedule
    found = []
    slot = schedule.next_after(first - 1)
    while slot is not None and slot <= last:
        found.append(slot)
        slot = schedule.next_after(slot)
    return found


def _taken(start: Start, candidates: Iterable[list[int]]) -> bool:
    """Whether one of the jobs has a slot for a start, which is then used up: that of its minute, or one shortly before."""
    minute = start.at // 60 * 60
    for slots in candidates:
        near = [slot for slot in slots if minute - LATE <= slot <= minute]
        if near:
            slots.remove(near[-1])
            return True
    return False


def _by_command(drafts: Sequence[Draft]) -> dict[str, list[tuple[str, str | None]]]:
    """Jobs by their commands as a log has them, each with its user where that is known."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for draft in drafts:
        found.setdefault(_plain(draft.entry.command), []).append((draft.name, draft.keys.get("user")))
    return found


def _plain(command: str) -> str:
    """A command as all logs have it: blanks as one, and without the signs that cron masks (`^I`, `M-C`, `\\303`)."""
    text = command.replace("^I", " ").replace("#011", " ")
    text = re.sub(r"(?:M-.|\\[0-7]{3}|#[0-7]{3}|[^\x20-\x7e])+", "?", text)
    return " ".join(text.split())


def unexplained(compared: Compared) -> int:
    """How many starts only one of the two has."""
    return len(compared.only_log) + len(compared.only_file)
