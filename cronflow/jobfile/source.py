"""One file: read once, as bytes; refused with a reason that names the edit; and where its keys and values stand."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from functools import cached_property
from typing import Any

from cronflow.errors import Span
from cronflow.files import NotRegularError, read_regular
from cronflow.jobfile import syntax
from cronflow.jobfile.locate import Lines, Locator, Path
from cronflow.jobfile.report import Part, Report
from cronflow.jobfile.values import RefusalError

SIZE_LIMIT = 10_000_000
"""Bytes. A job file of 10,000 jobs has about 2 MB."""
BOM = b"\xef\xbb\xbf"
STARS = re.compile(r"\S")
BLANK = re.compile(r"\s")
QUOTED = re.compile(r""""(?:\\.|[^"\\])*"?|'[^']*'?""")


class Source:
    """A file that is TOML: its document, and a Span for any path in it. `file` is the name shown, `folder` is absolute."""

    def __init__(self, file: str, raw: bytes, text: str, data: dict[str, Any]) -> None:
        self.file = file
        self.path = os.path.abspath(file)
        self.folder = os.path.dirname(self.path)
        self.digest = hashlib.sha256(raw).digest()
        self.text = text
        self.data = data
        self._shown: dict[tuple[int, bool], str] = {}

    @cached_property
    def locator(self) -> Locator:
        """Made when the first problem asks for it: a good file needs none."""
        return Locator(self.text)

    def span(self, path: Path, part: Part = "value") -> Span:
        """The place of a path; where the file has no such key, the header of the table that would hold it."""
        places = self.locator.places
        known = path
        while known and known not in places:
            known = known[:-1]
        if not known:
            return Span(self.file, 1, 1, 1, shown(self.locator.line_text(1)))
        place = places[known]
        start, end = place.key if part == "key" and known == path else place.value
        return self.cut(start, end, secret=self._holds_secrets(known, start))

    def within(self, path: Path, offset: int, length: int) -> Span:
        """The place of some characters of a string value; the whole value where it is written with escapes or over lines."""
        span = self.span(path)
        place = self.locator.places.get(path)
        if place is None:
            return span
        start, end = place.value
        token = self.text[start:end]
        if token[:3] in ('"""', "'''") or token[:1] not in ('"', "'") or "\\" in token:
            return span
        return self.cut(start + 1 + offset, min(start + 1 + offset + length, end - 1))

    def cut(self, start: int, end: int, *, secret: bool = False) -> Span:
        """The Span of the characters [start, end), as far as they stand on the first line."""
        line, column = self.locator.line_column(start)
        text = self._shown.get((line, secret))
        if text is None:  # kept, for thousands of problems may stand on one long line
            text = self._shown[line, secret] = shown(self._without_secrets(line), secret=secret)
        return Span(self.file, line, column, max(1, min(end - start, len(text) - column + 1)), text)

    def line_of(self, path: Path) -> int:
        """The 1-based line of a path."""
        return self.span(path, "key").line

    def written(self, path: Path) -> str:
        """The characters of a value as they stand in the file."""
        place = self.locator.places.get(path)
        return self.text[slice(*place.value)] if place else ""

    def _without_secrets(self, line: int) -> str:
        """The text of a line, with stars for the values of `secrets`, whatever the problem is: one that is no reference may be a
        secret itself."""
        text = self.locator.line_text(line)
        for start, end in self._secrets.get(line, ()):
            token = text[start:end]
            quoted = len(token) > 1 and token[0] == token[-1] and token[0] in "\"'"
            text = text[:start] + (_stars(token) if quoted else STARS.sub("*", token)) + text[start + len(token) :]
        return text

    @cached_property
    def _secrets(self) -> dict[int, list[tuple[int, int]]]:
        """Where values of `secrets` stand: [start, end) on each line, from 0."""
        places = {path: place for path, place in self.locator.places.items() if _secret(path)}
        tables = {path[:-1] for path in places}
        found: dict[int, list[tuple[int, int]]] = {}
        for path, ((key, _), (start, end)) in places.items():
            if path in tables or start < key:  # a table of them, or its header
                continue
            line, column = self.locator.line_column(start)
            last, last_column = self.locator.line_column(end)
            for number in range(line, last + 1):
                left = column - 1 if number == line else 0
                right = last_column - 1 if number == last else len(self.locator.line_text(number))
                found.setdefault(number, []).append((left, right))
        return found

    def _holds_secrets(self, path: Path, offset: int) -> bool:
        """Whether strings of that line may be URLs of alert targets, whatever they look like and wherever they went."""
        if path[0] != "alerts":
            return "urls" in path or "url" in path
        line = self.locator.line_text(self.locator.line_column(offset)[0])
        return "urls" in line or len(path) < 3 or path[2] not in ("url_file", "url_env", "on")


def _secret(path: Path) -> bool:
    """Whether a path leads into a table of secrets, wherever it went."""
    parts = path[2:] if path[0] == "jobs" else path
    return any(part in ("secret", "secrets") for part in parts)


def shown(line: str, *, secret: bool = False) -> str:
    """A line fit to be printed: of URLs, which hold passwords and tokens, only the scheme; with `secret`, nothing of any string.

    What is hidden keeps its length, so that a caret below still points at its column."""
    if secret:
        line = QUOTED.sub(lambda match: match[0] if "://" in match[0] else _stars(match[0]), line)
    parts, at = [], 0
    while (colon := line.find("://", at)) >= 0:
        begin = colon
        while begin > at and (line[begin - 1].isalnum() or line[begin - 1] in "+.-_"):
            begin -= 1
        start = colon + 3
        quote = line[begin - 1 : begin]
        end = line.find(quote, start) if begin > at and quote in ("'", '"') else _blank(line, start)
        end = len(line) if end < 0 else end
        parts += [line[at:start], "*" * (end - start)]
        at = end
    return "".join([*parts, line[at:]])


def _blank(line: str, start: int) -> int:
    match = BLANK.search(line, start)
    return match.start() if match else -1


def _stars(token: str) -> str:
    return token if len(token) < 3 else token[0] + "*" * (len(token) - 2) + token[-1]


def load(file: str, report: Report, included: tuple[Source, Path] | None = None) -> Source | None:
    """The file as a Source, or None with the reason in the report: missing, no file, unreadable, too large, writable by others
    (for root only), no UTF-8, no TOML. `included` is the place of another file that includes it."""
    report.begin(file)
    try:
        raw = whole(file)
    except RefusalError as refusal:
        report.add("error", refusal.message, refusal.hint, included[0].span(included[1]) if included else None)
        return None
    body = raw.removeprefix(BOM)
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        _foreign(file, body, error.start, report)
        return None
    document = syntax.parse(text)
    if isinstance(document, syntax.Mistake):
        report.add("error", document.message, document.hint, _mistake_span(file, text, document))
        return None
    return Source(file, raw, text, document)


def _mistake_span(file: str, text: str, mistake: syntax.Mistake) -> Span:
    lines = Lines(text)
    number, column = lines.line_column(mistake.start)
    line = lines.line_text(number)
    length = max(1, min(mistake.end - mistake.start, len(line) - column + 1))
    return Span(file, number, column, length, _unread(text[: mistake.start], line))


def _unread(before: str, line: str) -> str:
    """A line of a text that cannot be read, fit to be printed; `before` is the text before it. Where it may hold the URLs of an
    alert target, or secrets, only its key is shown."""
    if syntax.confidential(before, line):
        key, sign, rest = line.partition("=")
        line = key + sign + STARS.sub("*", rest) if sign else STARS.sub("*", line)
    return shown(line)


def _foreign(file: str, body: bytes, start: int, report: Report) -> None:
    """Bytes that are no UTF-8."""
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        report.add("error", f"`{file}` is written in UTF-16", "save it as UTF-8", Span(file, 1, 1))
        return
    before = body[:start].decode()
    line = before.count("\n") + 1
    column = len(before) - before.rfind("\n")
    row = body.split(b"\n")[line - 1].decode(errors="replace").rstrip("\r")
    guess = bytes([body[start]]).decode("cp1252", errors="replace")
    hint = "save the file as UTF-8"
    if guess.isprintable() and guess != "\ufffd":
        hint += f" (in Windows-1252 this byte is `{guess}`)"
    report.add("error", f"the byte 0x{body[start]:02x} is no UTF-8", hint, Span(file, line, column, 1, _unread(before, row)))


def content(file: str, limit: int, irregular: RefusalError) -> tuple[bytes, os.stat_result]:
    """All bytes of a regular file, or one more than `limit` of a larger one, and what it is; nothing is waited for.

    FileNotFoundError, IsADirectoryError; RefusalError with the reason for all else, `irregular` for what is no file."""
    try:
        return read_regular(file, limit)
    except NotRegularError:
        raise irregular from None
    except (FileNotFoundError, IsADirectoryError):
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RefusalError(f"`{file}` cannot be read: {reason}", f"look at it with `ls -l {file}`, also at its folders") from None


def whole(file: str) -> bytes:
    """All bytes of a job file; RefusalError with the reason why they are not taken."""
    if "\0" in file:
        raise RefusalError(f"`{file}` cannot be read: there is a NUL character in its name", "`--file` names another one")
    try:
        pipe = RefusalError(f"`{file}` is no regular file", "a job file is read again and again, so it cannot be a pipe")
        raw, about = content(file, SIZE_LIMIT, pipe)
    except IsADirectoryError:
        inside = os.path.join(file, "jobs.toml")
        raise RefusalError(f"`{file}` is a folder, not a job file", f"name the file in it, such as `{inside}`") from None
    except FileNotFoundError:
        hint = "`cronflow init` writes one; `--file` names another one"
        raise RefusalError(f"there is no job file `{file}`", hint) from None
    if len(raw) > SIZE_LIMIT:
        raise RefusalError(f"`{file}` is larger than 10 MB", "a job file holds commands; keep data in files of its own")
    if os.geteuid() == 0 and _open_to_others(about):
        told = f"others than root can write to `{file}`, and root would run what they write"
        raise RefusalError(told, f"`chown root:root {file}` and `chmod go-w {file}`")
    return raw


def _open_to_others(about: os.stat_result) -> bool:
    by_group = about.st_mode & stat.S_IWGRP and about.st_gid != 0
    return bool(about.st_uid != 0 or by_group or about.st_mode & stat.S_IWOTH)
