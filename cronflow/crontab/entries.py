"""One line of a crontab that is a job: its time fields, the user of a system table, the command, and what cron does with them."""

from __future__ import annotations

import re
from typing import NamedTuple
from zlib import crc32

from cronflow.crontab import cronrules, foreign, percent
from cronflow.crontab.cronrules import NICKNAMES, Dialect, Pick, RefusedError, Times
from cronflow.crontab.tables import Daemon, Entry, Kind, Refusal

WORD = re.compile(r"[^ \t]+")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?")
REBOOT, MINUTELY = "@reboot", "@every_minute"
LONGEST = 998
"""Characters of a command beyond which Debian's cron refuses it (MAX_COMMAND in cron.h)."""


class Place(NamedTuple):
    """A word of a line, and the column (from 0) at which it begins."""

    word: str
    column: int


def read(line: int, text: str, kind: Kind, daemon: Daemon) -> Entry | Refusal:
    """What a line says, as the daemon reads it, or why it is refused."""
    places = [Place(found[0], found.start()) for found in WORD.finditer(text)]
    notes: list[str] = []
    named = foreign.whole_line(text, places[0].word)
    if named:
        return _refusal(line, text, places[0], *named)
    if places[0].word[0] == "-" and len(places[0].word) > 1 and daemon != "debian":
        places[0] = Place(places[0].word[1:], places[0].column + 1)
        notes.append("the `-` in front keeps cronie from logging the start; here each run is in the history")
    count = 1 if places[0].word[0] == "@" else 5
    try:
        words, times = _times(text, places[:count], daemon, notes)
    except RefusedError as refused:
        place = places[refused.field] if refused.field < len(places) else places[-1]
        return _refusal(line, text, place, refused.rule, foreign.instead(place.word) or refused.hint)
    return _job(line, text, places[count:], _Read(words, times, kind, daemon), notes)


class _Read(NamedTuple):
    words: tuple[str, ...]
    times: Times | None
    kind: Kind
    daemon: Daemon


def _times(text: str, places: list[Place], daemon: Daemon, notes: list[str]) -> tuple[tuple[str, ...], Times | None]:
    words = tuple(place.word for place in places)
    if words[0] == REBOOT:
        return words, None
    if words[0] == MINUTELY:
        notes.append(f"`{MINUTELY}` is a word of FreeBSD's cron, which Debian's and cronie refuse")
        words = ("*",) * 5
    elif words[0][0] == "@" and words[0] not in NICKNAMES:
        known = ", ".join([*NICKNAMES, REBOOT])
        near = words[0].lower()
        hint = f"write `{near}`" if near in NICKNAMES or near == REBOOT else f"the names are {known}"
        raise RefusedError(f"`{words[0]}` is no name of a time", hint)
    elif words[0][0] != "@" and len(words) < 5:
        _refuse_short(words, daemon)
    if daemon != "auto":
        return words, cronrules.read(words, daemon, picker(text))
    return words, _either(words, picker(text), notes)


def _refuse_short(words: tuple[str, ...], daemon: Daemon) -> None:
    """Say what is wrong with the first of too few fields, or that they are too few."""
    filled = (*words, *"*****")[:5]
    try:
        cronrules.read(filled, "cronie" if daemon == "auto" else daemon, picker(""))
    except RefusedError as refused:
        if refused.field < len(words):
            raise
    raise RefusedError(f"the line has {len(words)} of the five time fields, and no command", "", len(words) - 1)


def _either(words: tuple[str, ...], pick: Pick, notes: list[str]) -> Times:
    """What cronie or Debian's cron makes of the words; a note where only one of them starts such a job."""
    told: dict[Dialect, RefusedError] = {}
    for daemon in ("cronie", "debian"):
        try:
            times = cronrules.read(words, daemon, pick)
        except RefusedError as refused:
            told[daemon] = refused
            continue
        if daemon == "debian":
            notes.append(f"Debian's cron starts this line, cronie does not: {told['cronie'].rule}")
            return times
        try:
            cronrules.read(words, "debian", pick)
        except RefusedError as refused:
            notes.append(f"cronie starts this line, Debian's cron does not: {refused.rule}")
        return times
    raise told["cronie"]


def picker(text: str) -> Pick:
    """Chooses for `~`, by a hash of the line: the same each time."""
    turn = 0

    def pick(low: int, high: int) -> int:
        nonlocal turn
        turn += 1
        return low + crc32(f"{text} {turn}".encode()) % (high - low + 1)

    return pick


def _job(line: int, text: str, places: list[Place], read: _Read, notes: list[str]) -> Entry | Refusal:
    """The rest of the line: the user, and the command."""
    end = Place(text.rstrip()[-1:], max(len(text.rstrip()) - 1, 0))
    user = None
    if not places:
        return _refusal(line, text, end, "there is no command behind the time")
    if places[0].word[0] == "*":
        hint = "six or seven time fields are no line of a crontab: the first one is the minute"
        return _refusal(line, text, places[0], f"`{places[0].word}` stands where the {_expected(read.kind)} belongs", hint)
    if places[0].word == "?":
        return _refusal(line, text, places[0], *foreign.QUARTZ)
    if read.kind == "system":
        user = places[0].word
        if not USER.fullmatch(user):
            return _refusal(line, text, places[0], f"`{user}` can be no user: cron puts no variables into this column", "")
        places = places[1:]
        if not places:
            return _refusal(line, text, end, f"there is no command behind the user `{user}`")
    written, option = _options(text[places[0].column :], read.daemon, notes)
    if option:
        return _refusal(line, text, places[0], *option)
    halved = read.daemon == "debian"
    command, stdin = (written, None) if read.daemon == "busybox" else percent.split(written, halved)
    notes.extend(_remarks(written, command, stdin, read))
    return Entry(line, text, read.words, read.times, _trimmed(command), stdin, user, tuple(notes))


def _expected(kind: Kind) -> str:
    return "user" if kind == "system" else "command"


def _options(command: str, daemon: Daemon, notes: list[str]) -> tuple[str, tuple[str, str] | None]:
    """The command without the options that some daemons take in front of it."""
    option = re.match(r"(-[a-z]+)[ \t]+(?=\S)", command)
    if option is None or daemon in ("debian", "busybox"):
        return command, None
    if option[1] == "-n":
        notes.append("`-n` asks cronie for mail about failures only: alerts are about nothing else")
        return command[option.end() :], None
    hint = "`overlap` and `alert` of a job say what they say" if set(option[1]) <= set("-nqs") else ""
    return command, (f"`{option[1]}` is an option of OpenBSD's cron, which cronie refuses", hint)


def _remarks(written: str, command: str, stdin: str | None, read: _Read) -> list[str]:
    """What a person may not expect of a command."""
    told = []
    if stdin is not None:
        told.append("a `%` without a backslash ends the command: what follows is its standard input")
        if not command.strip():
            told.append("nothing stands before it: cron runs an empty command, which does nothing, and so does `true`")
    if "\\\\" in written and read.daemon == "auto":
        told.append("of two backslashes Debian's cron takes one away; here both are kept, as by cronie")
    if len(written) > LONGEST and read.daemon in ("auto", "debian"):
        told.append(f"Debian's cron refuses commands of more than {LONGEST} characters")
    if re.match(r"[0-9*,/-]+[ \t]", command) and read.kind == "user":
        first = command.split()[0]
        told.append(f"the command begins with `{first}`: if the line has seconds in front, cron reads it another way")
    return told


def _trimmed(command: str) -> str:
    """Without blanks around it; one that a backslash makes a part of the last word stays."""
    kept = command.strip(" \t")
    return f"{kept} " if kept.endswith("\\") and len(command.rstrip(" \t")) < len(command) else kept


def _refusal(line: int, text: str, place: Place, rule: str, hint: str = "") -> Refusal:
    return Refusal(line, text, rule, hint, place.column + 1, max(len(place.word), 1))
