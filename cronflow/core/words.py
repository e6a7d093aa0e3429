"""The words that people read: durations, points in time, exit statuses, counts, cut names and masked secrets.

Pure, and quick to import: alerts, the command line and `why` say the same thing in the same words. Instants are Unix epoch
seconds, durations are seconds; `zone` is an IANA name. Where no zone data is found for it, UTC is shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

# signal(7), the numbers of x86, ARM, RISC-V and most others
_SIGNALS = (
    "",
    *("SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL", "SIGUSR1"),
    *("SIGSEGV", "SIGUSR2", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSTKFLT", "SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP"),
    *("SIGTTIN", "SIGTTOU", "SIGURG", "SIGXCPU", "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO", "SIGPWR"),
    "SIGSYS",
)
_SIGNAL_HINTS = {"SIGKILL": "out of memory?", "SIGXCPU": "cpu limit", "SIGXFSZ": "file size limit"}
_CODE_NAMES = {126: "not executable", 127: "command not found: check PATH"}

# ECMA-48: CSI, then the strings (OSC, DCS, SOS, PM, APC) up to BEL or ST, then the two-character escapes
_ESCAPES = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_].*?(?:\x07|\x1b\\|\x9c|$)|\x1b[ -/]*[0-~]|\x9b[0-?]*[ -/]*[@-~]"
# C0 without tab, C1, line and paragraph separators, marks that turn the reading direction, halves of surrogate pairs
_CONTROLS = "[\x00-\x08\x0a-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"


def storable(text: str) -> str:
    """A text that is UTF-8, as SQLite wants: bytes of a command line or path that are none (PEP 383) are written as escapes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def duration(seconds: float, units: int = 2) -> str:
    """A span of time in words, exact enough to act on: "4 s", "4 min 11 s", "2 days 23 h".

    `units` is how many neighbouring units are shown; what is finer is dropped, not rounded, so that "2 days" have passed.
    Below one second one decimal is kept. A negative span (the clock was set back) is "0 s".
    """
    if seconds < 0.95:
        tenths = f"{max(seconds, 0.0):.1f}"
        return "0 s" if tenths == "0.0" else f"{tenths} s"
    total = int(seconds + 0.5)
    days, hours = total // _DAY, total % _DAY // _HOUR
    parts = [
        (days, "day" if days == 1 else "days"),
        (hours, "h"),
        (total % _HOUR // _MINUTE, "min"),
        (total % _MINUTE, "s"),
    ]
    first = next(index for index, (number, _) in enumerate(parts) if number)
    return " ".join(f"{number} {unit}" for number, unit in parts[first : first + units] if number)


def span(start: float | None, end: float | None) -> str:
    """How long something took: "4 min 11 s", or nothing if that is not known."""
    return "" if start is None or end is None else duration(end - start)


def short_duration(seconds: float) -> str:
    """A span of time in one unit, rounded, for a column: "8 s", "12 min", "6 h", "3 d"."""
    if seconds < 59.5:
        return f"{max(0, int(seconds + 0.5))} s"
    if seconds < 59.5 * _MINUTE:
        return f"{int(seconds / _MINUTE + 0.5)} min"
    if seconds < 47.5 * _HOUR:
        return f"{int(seconds / _HOUR + 0.5)} h"
    return f"{int(seconds / _DAY + 0.5)} d"


def ago(then: float, now: float) -> str:
    """How far away an instant is, either way: "6 h ago", "in 8 min", "now"."""
    if abs(then - now) < 0.5:
        return "now"
    return f"in {short_duration(then - now)}" if then > now else f"{short_duration(now - then)} ago"


def clock(t: float, now: float, zone: str, seconds: bool = False) -> str:
    """A point in time as far away as it is: "02:31" today, "Mon 02:36" within six days, "2026-11-02 02:36" else.

    `seconds` adds them: "02:31:14".
    """
    then = local(t, zone)
    time = then.strftime("%H:%M:%S" if seconds else "%H:%M")
    return f"{_day(then.date(), local(now, zone).date())} {time}".lstrip()


def day_clock(t: float, now: float, zone: str) -> str:
    """Like `clock`, but the nearest days by name: "today 14:45", "tomorrow 02:30", "yesterday 23:10"."""
    then, today = local(t, zone), local(now, zone).date()
    near = {-1: "yesterday", 0: "today", 1: "tomorrow"}
    word = near.get((then.date() - today).days) or _day(then.date(), today)
    return f"{word} {then:%H:%M}"


class Clock(NamedTuple):
    """How instants are shown: in which zone, seen from which instant, and for whom. A person (`human`) reads times relative to
    `now`, a program ISO 8601."""

    zone: str
    now: float
    human: bool = False

    def when(self, t: float, seconds: bool = False) -> str:
        """An instant: "02:31", "Mon 02:36" for a person, ISO 8601 for a program."""
        return clock(t, self.now, self.zone, seconds) if self.human else iso(t, self.zone)

    def day_when(self, t: float) -> str:
        """An instant with its day: "today 14:45" for a person, ISO 8601 for a program. A slot that is not on the minute shows its
        seconds."""
        if not self.human:
            return iso(t, self.zone)
        seconds = f":{int(t) % 60:02}" if int(t) % 60 and t == int(t) else ""
        return day_clock(t, self.now, self.zone) + seconds

    def when_ago(self, t: float) -> str:
        """An instant and how far away it is: "02:31 (6 h ago)"."""
        return f"{self.when(t)}{self.away(t)}"

    def away(self, t: float) -> str:
        """How far away an instant is, for a person: " (in 18 s)", " (6 h ago)"."""
        return f" ({ago(t, self.now)})" if self.human else ""

    def moment(self, t: float) -> str:
        """An instant as the end of a sentence: "today 02:00", "at Mon 02:00"."""
        shown = self.day_when(t)
        return shown if shown.startswith(("today", "yesterday", "tomorrow")) else f"at {shown}"


def zone_name(t: float, zone: str) -> str:
    """What the zone calls its time at an instant: "CEST", "+03"."""
    return local(t, zone).tzname() or ""


def iso(t: float, zone: str) -> str:
    """ISO 8601 with offset, to the second: "2026-11-02T02:36:00+01:00"."""
    return local(float(int(t)), zone).isoformat()


def local(t: float, zone: str) -> datetime:
    """An instant as the wall clock of a zone shows it. Beyond the calendar's years: its last day."""
    try:
        return datetime.fromtimestamp(t, _zone(zone))
    except (OverflowError, ValueError, OSError):  # OSError: what the C library says of years beyond its own
        return datetime(9999, 12, 31, tzinfo=UTC)


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    from zoneinfo import ZoneInfo  # 4 ms, and many commands show no time

    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # no such zone on this machine; ZoneInfoNotFoundError is a KeyError
        return UTC


def _day(day: date, today: date) -> str:
    distance = abs((day - today).days)
    if distance == 0:
        return ""
    return _DAYS[day.weekday()] if distance < 7 else day.isoformat()


def ordinal(number: int) -> str:
    """A number in a row: "1st", "2nd", "3rd", "11th", "22nd"."""
    tail = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{tail}"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """A number of things: "1 run", "3 runs", "2 copies"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def times(number: int) -> str:
    """How often: "once", "3 times"."""
    return "once" if number == 1 else f"{number} times"


def signal_name(number: int) -> str:
    """A signal's name after signal(7): "SIGKILL"; a real-time or unknown one by its number: "signal 40"."""
    return _SIGNALS[number] if 0 < number < len(_SIGNALS) else f"signal {number}"


def code_name(code: int) -> str:
    """An exit code with what it means by the shell's convention (sh(1), "EXIT STATUS"): "137 (SIGKILL; out of memory?)".

    Codes above 128 name the signal that ended the command inside the shell; others stand alone.
    """
    name = _CODE_NAMES.get(code)
    if name is None and 0 < code - 128 < len(_SIGNALS):
        signal = _SIGNALS[code - 128]
        name = "; ".join(filter(None, (signal, _SIGNAL_HINTS.get(signal))))
    return f"{code} ({name})" if name else str(code)


def exit_status(exit_code: int | None, signal: int | None, result: str | None) -> str:
    """How an attempt ended, in a few words: "exit 1", "killed by SIGTERM", "timed out", "lost".

    `result` decides where it says more than the status: a timeout ends by a signal, but the signal is not the point.
    """
    if result in ("timeout", "lost", "cancelled"):
        return {"timeout": "timed out", "lost": "lost", "cancelled": "cancelled"}[result]
    if signal is not None:
        name = signal_name(signal)
        hint = _SIGNAL_HINTS.get(name)
        return f"killed by {name} ({hint})" if hint else f"killed by {name}"
    if exit_code is not None:
        return f"exit {code_name(exit_code)}"
    return result or "unknown"


def pasted(word: str) -> str:
    """A word as it can be pasted into a shell: copies of a job bear brackets, which zsh(1) takes for a pattern."""
    return word if re.fullmatch(r"[\w@%+=:,./-]+", word, re.ASCII) else "'" + word.replace("'", "'\\''") + "'"


def middle_cut(text: str, width: int) -> str:
    """A name within `width` characters: its beginning and its end, "…" between them."""
    if len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    head = width // 2
    return f"{text[:head]}…{text[len(text) - (width - 1 - head) :]}"


def end_cut(text: str, width: int) -> str:
    """A sentence within `width` characters, "…" at its end if it was longer."""
    return text if len(text) <= width else f"{text[: max(width - 1, 0)].rstrip()}…"[:width]


def listing(names: Sequence[str], most: int = 8) -> str:
    """Names after each other, the first `most` of them: "a, b, c and 4 more"."""
    if len(names) <= most + 1:
        return ", ".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"


def untaken(name: str, taken: set[str], sign: str = "-") -> str:
    """A name that is not taken yet, with a number from 2 on if it needs one; it is taken then."""
    free, number = name, 2
    while free in taken:
        free, number = f"{name}{sign}{number}", number + 1
    taken.add(free)
    return free


def conjunction(names: Sequence[str]) -> str:
    """All of the names: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def closest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known word nearest to one that was mistyped; None where none is as near as `cutoff`, from 0 to 1."""
    import difflib  # 3 ms, and most words are right

    return next(iter(difflib.get_close_matches(word, known, 1, cutoff)), None)


def plain(line: str) -> str:
    """One line of output as a person would see it: no escape sequences (ECMA-48), no control characters.

    A carriage return overwrites, as on a terminal: of a progress bar its last state stays. Tabs become spaces.
    """
    line = re.sub(_ESCAPES, "", line, flags=re.DOTALL).rstrip("\r\n")
    shown = next((part for part in reversed(line.split("\r")) if part.strip()), "")
    return re.sub(_CONTROLS, "", shown.expandtabs()).rstrip()


MASKED_FROM = 4
"""Characters of the shortest text that is masked: a shorter one stands in half of all words."""


def maskable(secrets: Iterable[str]) -> list[str]:
    """What is masked of secret values, longest first: each value, and each line of one that has several."""
    values = {secret.strip() for secret in secrets}
    values |= {line.strip() for value in values for line in value.splitlines()}
    return sorted((value for value in values if len(value) >= MASKED_FROM), key=lambda value: (-len(value), value))


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text with every secret value as `***`; of a value of several lines also each line."""
    pattern = "|".join(map(re.escape, maskable(secrets)))
    return re.sub(pattern, "***", text) if pattern else text
