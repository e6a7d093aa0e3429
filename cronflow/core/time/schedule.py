"""Schedules: from what a person wrote and a zone to slots, the instants at which a trigger is due.

The rule for clocks that shift, which is here and nowhere else:

    A fixed-time expression is due at the first instant at which the local clock shows its time or a later one, ever.
    An expression that follows elapsed time is due at each instant at which the local clock shows its time.

So a fixed time that a gap skips (clock forward) is due at the first instant after the gap, together with all others of that
gap and with a regular one of that instant; a time that a fold repeats (clock back) is due the first time only. An expression
follows elapsed time if its minute or hour field starts with `*`: it gets nothing extra for the gap, and both passes of the
fold. (cron(8) of Debian, for changes of less than three hours; here for all. The field for the seconds does not matter.)

Instants are Unix epoch seconds. A wall time is local time as if it were UTC: instant + offset (see `walltimes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from math import floor
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from cronflow.core.time.cronhints import ScheduleError
from cronflow.core.time.describe import describe_expressions, describe_period
from cronflow.core.time.walltimes import DAY, WallTimes, count, wall_times
from cronflow.core.words import closest

__all__ = ["ClockChange", "Oddity", "Schedule", "ScheduleError", "ZoneError", "check_zone", "clock_changes"]

_HORIZON = 100 * 366 * DAY
"""No expression pauses longer: 29 February on a given weekday comes at least every 40 years."""
_EARLIEST, _LATEST = -62_000_000_000, 253_000_000_000
"""Instants that the calendar holds, with room for every offset: from the year 5 to the year 9987."""
_EPOCH_DAY = 719_163
"""1970-01-01 as a proleptic ordinal."""


class ZoneError(ScheduleError):
    """A zone that the time zone database does not have; `offset` and `length` are within the zone's name."""


class Oddity(NamedTuple):
    """Local times of a schedule that one clock change leaves out (`gap`) or repeats (`fold`).

    `first` and `last` of `number` such times, on the local clock and without a zone. `runs`: how often each of them runs;
    in a gap those with 1 run once, all together. `at`: the instant of that run, or of the first pass of `first`; without a run
    the first instant after the gap."""

    kind: Literal["gap", "fold"]
    first: datetime
    last: datetime
    number: int
    runs: int
    at: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Schedule:
    """When a trigger is due. Two with the same `key` have the same slots, and are equal."""

    key: str
    zone: str
    expressions: tuple[str, ...]
    period: int
    """Seconds between the slots of an interval; 0 for cron expressions."""
    _times: tuple[WallTimes, ...]
    moments: tuple[int, ...] = ()
    """The slots themselves, in order, where they are neither."""
    _last: tuple[int, int] | None = field(default=None, init=False)
    """What was found last: an instant, and the first slot after it. It is the same for all instants between the two."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"<schedule {self.key}>"

    @staticmethod
    def cron(exprs: str | Sequence[str], zone: str) -> Schedule:
        """The union of the slots of one or more cron expressions (5 fields, or 6 with the seconds in front; crontab(5))
        on the clocks of an IANA zone. Raises ScheduleError with the place of the fault, ZoneError for the zone."""
        texts = (exprs,) if isinstance(exprs, str) else tuple(exprs)
        if not texts:
            raise ScheduleError("the schedule is an empty list", "`0 4 * * *` is 04:00 every day")
        parsed: dict[str, tuple[str, WallTimes]] = {}
        for index, text in enumerate(texts):
            try:
                times = wall_times(text)
            except ScheduleError as fault:
                fault.index = index
                raise
            parsed.setdefault(times.fields.text, (text, times))
        check_zone(zone)
        key = f"cron {' | '.join(sorted(parsed))} {zone}"
        kept = tuple(parsed.values())
        return Schedule(key, zone, tuple(text for text, _ in kept), 0, tuple(times for _, times in kept))

    @staticmethod
    def every(seconds: float, zone: str) -> Schedule:
        """Each multiple of an interval since the Unix epoch, so that it never drifts; the zone is only that of `local`.
        Raises ScheduleError for less than a second or a fraction of one, ZoneError for the zone."""
        if seconds < 1 or seconds != floor(seconds):
            raise ScheduleError(f"an interval of {seconds:g} s is not a number of whole seconds", "write `1s` or more")
        check_zone(zone)
        period = int(seconds)
        return Schedule(f"every {period} {zone}", zone, (), period, ())

    @staticmethod
    def at(moments: Sequence[int], zone: str) -> Schedule:
        """These instants and no others; the zone is only that of `local`. Raises ZoneError for the zone."""
        check_zone(zone)
        kept = tuple(sorted(set(moments)))
        return Schedule(f"at {' '.join(map(str, kept))}", zone, (), 0, (), kept)

    def next_after(self, t: float) -> int | None:
        """The first slot strictly after t; None if there is none in the next hundred years."""
        if self.period:
            return (floor(t) // self.period + 1) * self.period
        if not self._times:
            return next((moment for moment in self.moments if moment > t), None)
        if self._last is not None and self._last[0] <= t < self._last[1]:
            return self._last[1]
        start = max(floor(t) + 1, _EARLIEST)
        for piece in _zone(self.zone).forward(start, min(start + _HORIZON, _LATEST)):
            found = [slot for times in self._times if (slot := piece.next(times, start)) is not None]
            if found:
                object.__setattr__(self, "_last", (floor(t), min(found)))
                return min(found)
        return None

    def slots_after(self, t: float) -> Iterator[int]:
        """All slots strictly after t, in order; of a cron expression or an interval there is no end."""
        slot = self.next_after(t)
        while slot is not None:
            yield slot
            slot = self.next_after(slot)

    def last_until(self, t: float, after: float) -> int | None:
        """The newest slot s with after < s <= t, found from its end: `after` may lie years back."""
        if self.period:
            multiple = floor(t) // self.period * self.period
            return multiple if multiple > after else None
        if not self._times:
            return next((moment for moment in reversed(self.moments) if after < moment <= t), None)
        oldest, newest = max(floor(after) + 1, _EARLIEST), min(floor(t), _LATEST)
        for piece in _zone(self.zone).backward(oldest, newest):
            found = [slot for times in self._times if (slot := piece.last(times, oldest, newest)) is not None]
            if found:
                return max(found)
        return None

    def count(self, after: float, until: float) -> int:
        """The number of slots s with after < s <= until. Arithmetic over months: the number of slots costs nothing."""
        if until <= after:
            return 0
        if self.period:
            return floor(until) // self.period - floor(after) // self.period
        if not self._times:
            return sum(after < moment <= until for moment in self.moments)
        start, end = max(floor(after) + 1, _EARLIEST), min(floor(until) + 1, _LATEST)
        return sum(piece.count(self._times, start, end) for piece in _zone(self.zone).forward(start, end))

    def local(self, slot: float) -> datetime:
        """The time that the zone's clocks show at an instant, aware of its offset."""
        return datetime.fromtimestamp(slot, _zone(self.zone).info)

    def day_begins(self, day: int) -> int:
        """The first instant at which the zone's clocks show a date (proleptic ordinal), or a later one."""
        wall = (day - _EPOCH_DAY) * DAY
        for piece in _zone(self.zone).forward(wall - 2 * DAY, wall + 2 * DAY):
            if piece.end + piece.offset > wall:
                return max(piece.start, wall - piece.offset)
        raise AssertionError("no zone is two days off")

    def describe(self) -> str:
        """The schedule in words (`at 02:30 every day`), or the expression itself where plain words could mislead."""
        if self.period:
            return describe_period(self.period)
        if not self._times:
            return "once at " + ", ".join(f"{self.local(moment):%Y-%m-%d %H:%M}" for moment in self.moments)
        return describe_expressions(self.expressions, [times.fields for times in self._times])

    def oddities(self, after: float, until: float) -> list[Oddity]:
        """What the clock changes at instants in (after, until] do to this schedule, in order of time.

        Expressions that follow elapsed time in all hours of the day have none: they just go on."""
        found: list[Oddity] = []
        fixed = [times for times in self._times if not times.fields.elapsed]
        elapsed = [times for times in self._times if times.fields.elapsed and times.fields.hours != 0xFFFFFF]
        start, end = max(floor(after) + 1, _EARLIEST), min(floor(until) + 1, _LATEST)
        for piece in _zone(self.zone).forward(start, end):
            if piece.shift and piece.start >= start:
                found.extend(oddity for oddity in (piece.oddity(fixed, False), piece.oddity(elapsed, True)) if oddity)
        return found


class _Piece:
    """A stretch of instants [start, end) with one offset. `high` is the latest wall time that the clock has shown before, `shift`
    how far the clock is put forward at `start`; 0 where a piece only begins because the table of the zone is cut there."""

    __slots__ = ("end", "high", "offset", "shift", "start")

    def __init__(self, start: int, end: int, offset: int, high: int, shift: int) -> None:
        self.start, self.end, self.offset, self.high, self.shift = start, end, offset, high, shift

    def _made_up(self, times: WallTimes) -> bool:
        """Whether a fixed time is due at the start of this piece because the gap before it skipped that time."""
        wall = self.start + self.offset
        return self.high < wall and not times.fields.elapsed and times.next(self.high, wall) is not None

    def next(self, times: WallTimes, start: int) -> int | None:
        """The first slot of this piece that is not before `start`."""
        if start <= self.start and self._made_up(times):
            return self.start
        low = max(start, self.start) + self.offset
        if not times.fields.elapsed and low < self.high:
            low = self.high
        end = self.end + self.offset
        wall = times.next(low, end) if low < end else None
        return None if wall is None else wall - self.offset

    def last(self, times: WallTimes, oldest: int, newest: int) -> int | None:
        """The last slot of this piece in [oldest, newest]."""
        low, high = max(oldest, self.start) + self.offset, min(newest, self.end - 1) + self.offset
        if not times.fields.elapsed and low < self.high:
            low = self.high
        wall = times.previous(low, high) if low <= high else None
        if wall is not None:
            return wall - self.offset
        return self.start if oldest <= self.start <= newest and self._made_up(times) else None

    def count(self, union: Sequence[WallTimes], start: int, end: int) -> int:
        """The number of slots of this piece in [start, end)."""
        low, stop = max(start, self.start) + self.offset, min(end, self.end) + self.offset
        total = count(union, max(low, self.high), stop)
        if low < self.high:
            repeated = [times for times in union if times.fields.elapsed]
            total += count(repeated, low, min(self.high, stop))
        if start <= self.start < end and any(self._made_up(times) for times in union):
            wall = self.start + self.offset
            total += all(times.next(wall, wall + 1) is None for times in union)
        return total

    def oddity(self, union: Sequence[WallTimes], elapsed: bool) -> Oddity | None:
        """What the clock change at the start of this piece does to these expressions, all fixed or all elapsed."""
        wall = self.start + self.offset
        low, end = min(wall, self.high), max(wall, self.high)
        number = count(union, low, end)
        if not number:
            return None
        first = min(found for times in union if (found := times.next(low, end)) is not None)
        last = max(found for times in union if (found := times.previous(low, end - 1)) is not None)
        if wall > self.high:
            return Oddity("gap", _naive(first), _naive(last), number, 0 if elapsed else 1, self.start)
        at = first - self.offset + self.shift
        return Oddity("fold", _naive(first), _naive(last), number, 2 if elapsed else 1, at)


def _naive(wall: int) -> datetime:
    return datetime(1970, 1, 1) + timedelta(seconds=wall)


class _Zone:
    """The offsets of a zone as pieces, found by asking for the offset day by day: no zone has ever shifted twice within two days.

    Pieces are kept in chunks of 2**25 seconds, a little more than a year."""

    def __init__(self, info: tzinfo) -> None:
        self.info = info
        self._chunks: dict[int, list[_Piece]] = {}

    def forward(self, start: int, end: int) -> Iterator[_Piece]:
        """The pieces that have instants of [start, end), in order of time."""
        if start >= end:
            return
        for number in range(start >> 25, (end - 1 >> 25) + 1):
            for piece in self._chunk(number):
                if piece.end > start and piece.start < end:
                    yield piece

    def backward(self, oldest: int, newest: int) -> Iterator[_Piece]:
        """The pieces that have instants of [oldest, newest], the latest first."""
        for number in range(newest >> 25, (oldest >> 25) - 1, -1):
            for piece in reversed(self._chunk(number)):
                if piece.end > oldest and piece.start <= newest:
                    yield piece

    def _chunk(self, number: int) -> list[_Piece]:
        pieces = self._chunks.get(number)
        if pieces is None:
            pieces = self._chunks[number] = self._cut(number << 25, number + 1 << 25)
        return pieces

    def _cut(self, low: int, end: int) -> list[_Piece]:
        """The pieces of [low, end). It looks back two days: no fold is wider, so no earlier wall time can come again."""
        pieces = []
        start = low - 2 * DAY
        offset = self._offset(start)
        high, shift = start + offset, 0
        while start < end:
            shift_at = self._next_shift(start, end)
            if shift_at > low:
                begin = max(start, low)
                shown = max(high, begin + offset) if begin > start else high
                pieces.append(_Piece(begin, shift_at, offset, shown, 0 if begin > start else shift))
            high = shift_at + offset
            start = shift_at
            shift, offset = self._offset(start) - offset, self._offset(start)
        return pieces

    def _next_shift(self, start: int, end: int) -> int:
        """The first instant after `start` with another offset than at `start`, or `end`."""
        offset = self._offset(start)
        low = start
        while low < end:
            high = min(low + DAY, end)
            if self._offset(high) != offset:
                while high - low > 1:
                    middle = (low + high) // 2
                    if self._offset(middle) == offset:
                        low = middle
                    else:
                        high = middle
                return high
            low = high
        return end

    def _offset(self, instant: int) -> int:
        delta = datetime.fromtimestamp(instant, self.info).utcoffset()
        return 0 if delta is None else delta.days * DAY + delta.seconds


@lru_cache(maxsize=1024)
def _zone(name: str) -> _Zone:
    try:
        return _Zone(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        if name == "UTC":  # a machine without a time zone database still knows this one
            return _Zone(UTC)
        raise ZoneError(f"there is no time zone `{name}`", _zone_hint(name), 0, len(name)) from None


class ClockChange(NamedTuple):
    """A change of a zone's clock: the first instant after it, by how many seconds it is put forward, and the new offset."""

    at: int
    by: int
    offset: int


def clock_changes(zone: str, after: float, until: float) -> Iterator[ClockChange]:
    """The changes of a zone's clock at instants in (after, until], in order of time. Raises ZoneError."""
    start = max(floor(after) + 1, _EARLIEST)
    for piece in _zone(zone).forward(start, min(floor(until) + 1, _LATEST)):
        if piece.shift and piece.start >= start:
            yield ClockChange(piece.start, piece.shift, piece.offset)


def check_zone(name: str) -> None:
    """Raise ZoneError, with a suggestion, for a name that the time zone database does not have."""
    _zone(name)


@lru_cache(maxsize=64)
def _zone_hint(name: str) -> str:
    from zoneinfo import available_timezones

    names = {zone.lower(): zone for zone in sorted(available_timezones())}
    if not names:
        return "this machine has no time zone database: install `tzdata`"
    wanted = name.strip().lower().replace(" ", "_")
    cities = {zone.rpartition("/")[2]: zone for zone in names if "/" in zone and not zone.startswith(("etc/", "posix/"))}
    city = closest(wanted, cities, 0.8)
    near = wanted if wanted in names else cities[city] if city else None
    if near is None and wanted.isalpha() and len(wanted) <= 5:
        return "a zone is a place, such as `Europe/Berlin`: it knows its own summer time"
    near = near or closest(wanted, names)
    return f"did you mean `{names[near]}`?" if near else "zones have names such as `Europe/Berlin` or `UTC`"
