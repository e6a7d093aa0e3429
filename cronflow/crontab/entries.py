"""Reads one line of a crontab that is a job: its time fields, the user of a system crontab, and the command."""

from __future__ import annotations

import re
from typing import NamedTuple
from zlib import crc32

from cronflow.crontab import cronrules, foreign
from cronflow.crontab.cronrules import NICKNAMES, Dialect, Pick, RefusedError, Times
from cronflow.crontab.tables import CrontabEntry, Daemon, Refusal, TableKind

WORD = re.compile(r"[^ \t]+")
USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@\\-]*\$?")
REBOOT, MINUTELY = "@reboot", "@every_minute"
# percent signs: crontab(5); child_process() in do_command.c of cron
_SIGN = re.compile(r"\\(.)|%", re.DOTALL)
_INPUT = re.compile(r"\\%|%")
LONGEST = 998
"""Characters of a command beyond which Debian's cron refuses it (MAX_COMMAND in cron.h)."""


class Token(NamedTuple):
    """A word of a line, and the column (from 0) at which it begins."""

    word: str
    column: int


def read(line: int, text: str, kind: TableKind, daemon: Daemon) -> CrontabEntry | Refusal:
    """Read a line as the daemon does; returns its entry, or why it is refused."""
    tokens = [Token(found[0], found.start()) for found in WORD.finditer(text)]
    notes: list[str] = []
    named = foreign.whole_line(text, tokens[0].word)
    if named:
        return _refusal(line, text, tokens[0], *named)
    if tokens[0].word[0] == "-" and len(tokens[0].word) > 1 and daemon != "debian":
        tokens[0] = Token(tokens[0].word[1:], tokens[0].column + 1)
        notes.append("the leading `-` keeps cronie from logging the start; here each run is in the history")
    count = 1 if tokens[0].word[0] == "@" else 5
    try:
        words, times = _times(text, tokens[:count], daemon, notes)
    except RefusedError as refused:
        token = tokens[refused.field] if refused.field < len(tokens) else tokens[-1]
        return _refusal(line, text, token, refused.rule, foreign.instead(token.word) or refused.hint)
    return _job(line, text, tokens[count:], _Reading(words, times, kind, daemon), notes)


class _Reading(NamedTuple):
    words: tuple[str, ...]
    times: Times | None
    kind: TableKind
    daemon: Daemon


def _times(text: str, tokens: list[Token], daemon: Daemon, notes: list[str]) -> tuple[tuple[str, ...], Times | None]:
    words = tuple(token.word for token in tokens)
    if words[0] == REBOOT:
        return words, None
    if words[0] == MINUTELY:
        notes.append(f"`{MINUTELY}` is a word of FreeBSD's cron, which Debian's cron and cronie refuse")
        words = ("*",) * 5
    elif words[0][0] == "@" and words[0] not in NICKNAMES:
        known = ", ".join([*NICKNAMES, REBOOT])
        near = words[0].lower()
        hint = f"write `{near}`" if near in NICKNAMES or near == REBOOT else f"the known ones are {known}"
        raise RefusedError(f"`{words[0]}` is not a known time", hint)
    elif words[0][0] != "@" and len(words) < 5:
        _refuse_short(words, daemon)
    if daemon != "auto":
        return words, cronrules.read(words, daemon, picker(text))
    return words, _either(words, picker(text), notes)


def _refuse_short(words: tuple[str, ...], daemon: Daemon) -> None:
    """Raise RefusedError for the first wrong one of too few fields, or because they are too few."""
    filled = (*words, *"*****")[:5]
    try:
        cronrules.read(filled, "cronie" if daemon == "auto" else daemon, picker(""))
    except RefusedError as refused:
        if refused.field < len(words):
            raise
    raise RefusedError(f"the line has only {len(words)} of the five time fields, and no command", "", len(words) - 1)


def _either(words: tuple[str, ...], pick: Pick, notes: list[str]) -> Times:
    """How cronie or Debian's cron reads the words, with a note if only one of them starts such a job."""
    refusals: dict[Dialect, RefusedError] = {}
    for daemon in ("cronie", "debian"):
        try:
            times = cronrules.read(words, daemon, pick)
        except RefusedError as refused:
            refusals[daemon] = refused
            continue
        if daemon == "debian":
            notes.append(f"Debian's cron starts this line, cronie does not: {refusals['cronie'].rule}")
            return times
        try:
            cronrules.read(words, "debian", pick)
        except RefusedError as refused:
            notes.append(f"cronie starts this line, Debian's cron does not: {refused.rule}")
        return times
    raise refusals["cronie"]


def picker(text: str) -> Pick:
    """A chooser for `~` that goes by a hash of the line, so that it always chooses the same."""
    turn = 0

    def pick(low: int, high: int) -> int:
        nonlocal turn
        turn += 1
        return low + crc32(f"{text} {turn}".encode()) % (high - low + 1)

    return pick


def _job(line: int, text: str, tokens: list[Token], read: _Reading, notes: list[str]) -> CrontabEntry | Refusal:
    end = Token(text.rstrip()[-1:], max(len(text.rstrip()) - 1, 0))
    user = None
    if not tokens:
        return _refusal(line, text, end, "there is no command after the time")
    if tokens[0].word[0] == "*":
        hint = "a crontab has five time fields, not six or seven: the first one is the minute"
        place = "user" if read.kind == "system" else "command"
        return _refusal(line, text, tokens[0], f"`{tokens[0].word}` is where the {place} belongs", hint)
    if tokens[0].word == "?":
        return _refusal(line, text, tokens[0], *foreign.QUARTZ)
    if read.kind == "system":
        user = tokens[0].word
        if not USER.fullmatch(user):
            return _refusal(line, text, tokens[0], f"`{user}` cannot be a user: cron does not expand variables in this column")
        tokens = tokens[1:]
        if not tokens:
            return _refusal(line, text, end, f"there is no command after the user `{user}`")
    written, option = _options(text[tokens[0].column :], read.daemon, notes)
    if option:
        return _refusal(line, text, tokens[0], *option)
    halved = read.daemon == "debian"
    command, stdin = (written, None) if read.daemon == "busybox" else split_percent(written, halved)
    notes.extend(_remarks(written, command, stdin, read))
    return CrontabEntry(line, text, read.words, read.times, _trimmed(command), stdin, user, tuple(notes))


def _options(command: str, daemon: Daemon, notes: list[str]) -> tuple[str, tuple[str, str] | None]:
    """The command without the options that some daemons accept in front of it, or the rule and hint of a refusal."""
    option = re.match(r"(-[a-z]+)[ \t]+(?=\S)", command)
    if option is None or daemon in ("debian", "busybox"):
        return command, None
    if option[1] == "-n":
        notes.append("`-n` asks cronie for mail about failures only; alerts are about nothing else anyway")
        return command[option.end() :], None
    hint = "use `overlap` and `alert` of a job instead" if set(option[1]) <= set("-nqs") else ""
    return command, (f"`{option[1]}` is an option of OpenBSD's cron, which cronie refuses", hint)


def _remarks(written: str, command: str, stdin: str | None, read: _Reading) -> list[str]:
    remarks = []
    if stdin is not None:
        remarks.append("a `%` without a backslash ends the command; what follows is its standard input")
        if not command.strip():
            remarks.append("there is nothing before it: cron runs an empty command, which does nothing; here it is `true`")
    if "\\\\" in written and read.daemon == "auto":
        remarks.append("Debian's cron removes one of two backslashes; here both are kept, as in cronie")
    if len(written) > LONGEST and read.daemon in ("auto", "debian"):
        remarks.append(f"Debian's cron refuses commands of more than {LONGEST} characters")
    if re.match(r"[0-9*,/-]+[ \t]", command) and read.kind == "user":
        first = command.split()[0]
        remarks.append(f"the command begins with `{first}`: if the line begins with seconds, cron reads it differently")
    return remarks


def _trimmed(command: str) -> str:
    """The command without the blanks around it, except for one that a backslash makes part of the last word."""
    kept = command.strip(" \t")
    return f"{kept} " if kept.endswith("\\") and len(command.rstrip(" \t")) < len(command) else kept


def _refusal(line: int, text: str, token: Token, rule: str, hint: str = "") -> Refusal:
    return Refusal(line, text, rule, hint, token.column + 1, max(len(token.word), 1))


def split_percent(text: str, halve: bool) -> tuple[str, str | None]:
    """Split a command from its standard input, which follows the first `%` without a backslash; each further `%` is a newline.

    `halve`: the shell gets one of two backslashes, as under Debian's cron; cronie leaves both."""
    command: list[str] = []
    place = 0
    for sign in _SIGN.finditer(text):
        command.append(text[place : sign.start()])
        place = sign.end()
        if sign[0] == "%":
            return "".join(command), _input(text[place:])
        kept = sign[1] if sign[1] == "%" or (halve and sign[1] == "\\") else sign[0]
        command.append(kept)
    return "".join(command) + text[place:], None


def _input(text: str) -> str | None:
    """The standard input, to which cron adds a final newline; None if there is none."""
    if not text:
        return None
    read = _INPUT.sub(lambda sign: "%" if len(sign[0]) == 2 else "\n", text)
    return read if read.endswith("\n") else read + "\n"
