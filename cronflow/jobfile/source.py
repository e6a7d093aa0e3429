"""One file of TOML: read as bytes, or refused with a reason; and the place of each of its keys and values."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from functools import cached_property
from typing import Any, Literal

from cronflow.errors import Span
from cronflow.files import NotRegularError, read_regular
from cronflow.jobfile.locate import Locator, Path
from cronflow.jobfile.values import RefusalError

Part = Literal["key", "value"]
SIZE_LIMIT = 10_000_000
"""Bytes. A job file of 10,000 jobs has about 2 MB."""
NOT_BLANK = re.compile(r"\S")
BLANK = re.compile(r"\s")
QUOTED = re.compile(r""""(?:\\.|[^"\\])*"?|'[^']*'?""")


class Source:
    """A TOML file: its document, and a Span for any path in it. `file` is the name shown, `folder` is absolute."""

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
        """Made for the first problem: a good file needs none."""
        return Locator(self.text)

    def span(self, path: Path, part: Part = "value") -> Span:
        """The place of a path; if the file has no such key, the header of the table that would hold it."""
        places = self.locator.places
        known = path
        while known and known not in places:
            known = known[:-1]
        if not known:
            return Span(self.file, 1, 1, 1, shown(self.locator.line_text(1)))
        place = places[known]
        start, end = place.key if part == "key" and known == path else place.value
        return self.span_between(start, end, secret=self._holds_secrets(known, start))

    def span_within(self, path: Path, offset: int, length: int) -> Span:
        """The place of some characters of a string value; the whole value if it is written with escapes or on several lines."""
        span = self.span(path)
        place = self.locator.places.get(path)
        if place is None:
            return span
        start, end = place.value
        token = self.text[start:end]
        if token[:3] in ('"""', "'''") or token[:1] not in ('"', "'") or "\\" in token:
            return span
        return self.span_between(start + 1 + offset, min(start + 1 + offset + length, end - 1))

    def span_between(self, start: int, end: int, *, secret: bool = False) -> Span:
        """The Span of the characters [start, end), or of those on the first line."""
        line, column = self.locator.line_column(start)
        text = self._shown.get((line, secret))
        if text is None:  # cached, since thousands of problems may be on one long line
            text = self._shown[line, secret] = shown(self._without_secrets(line), secret=secret)
        return Span(self.file, line, column, max(1, min(end - start, len(text) - column + 1)), text)

    def line_of(self, path: Path) -> int:
        """The 1-based line of a path."""
        return self.span(path, "key").line

    def raw_text(self, path: Path) -> str:
        """The characters of a value as they are in the file."""
        place = self.locator.places.get(path)
        return self.text[slice(*place.value)] if place else ""

    def _without_secrets(self, line: int) -> str:
        """The text of a line, with stars for the values of `secrets`: one that is not a reference may be the secret itself."""
        text = self.locator.line_text(line)
        for start, end in self._secrets.get(line, ()):
            token = text[start:end]
            quoted = len(token) > 1 and token[0] == token[-1] and token[0] in "\"'"
            text = text[:start] + (_starred(token) if quoted else NOT_BLANK.sub("*", token)) + text[start + len(token) :]
        return text

    @cached_property
    def _secrets(self) -> dict[int, list[tuple[int, int]]]:
        """The values of `secrets`: [start, end) on each line, from 0."""
        places = {path: place for path, place in self.locator.places.items() if _leads_to_secret(path)}
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
        """Whether strings of that line may be URLs of alert targets, even misplaced ones."""
        if path[0] != "alerts":
            return "urls" in path or "url" in path
        line = self.locator.line_text(self.locator.line_column(offset)[0])
        return "urls" in line or len(path) < 3 or path[2] not in ("url_file", "url_env", "on")


def _leads_to_secret(path: Path) -> bool:
    """Whether a path leads into a table of secrets, even a misplaced one."""
    parts = path[2:] if path[0] == "jobs" else path
    return any(part in ("secret", "secrets") for part in parts)


def shown(line: str, *, secret: bool = False) -> str:
    """A line that is safe to print: of URLs, which hold passwords and tokens, only the scheme; with `secret`, nothing of any
    string. What is hidden keeps its length, so that a caret below still points at its column."""
    if secret:
        line = QUOTED.sub(lambda match: match[0] if "://" in match[0] else _starred(match[0]), line)
    parts, at = [], 0
    while (colon := line.find("://", at)) >= 0:
        begin = colon
        while begin > at and (line[begin - 1].isalnum() or line[begin - 1] in "+.-_"):
            begin -= 1
        start = colon + 3
        quote = line[begin - 1 : begin]
        if begin > at and quote in ("'", '"'):
            end = line.find(quote, start)
        else:
            end = next((blank.start() for blank in BLANK.finditer(line, start)), -1)
        end = len(line) if end < 0 else end
        parts += [line[at:start], "*" * (end - start)]
        at = end
    return "".join([*parts, line[at:]])


def _starred(token: str) -> str:
    return token if len(token) < 3 else token[0] + "*" * (len(token) - 2) + token[-1]


def content(file: str, limit: int, irregular: RefusalError) -> tuple[bytes, os.stat_result]:
    """Read a regular file without waiting: all of its bytes, or one more than `limit` of a larger one, and its fstat(2).

    Raises FileNotFoundError, IsADirectoryError, `irregular` if it is not a regular file, and RefusalError for all else."""
    try:
        return read_regular(file, limit)
    except NotRegularError:
        raise irregular from None
    except (FileNotFoundError, IsADirectoryError):
        raise
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = f"`namei -l {file}` shows its mode and those of its folders"
        raise RefusalError(f"`{file}` cannot be read: {reason}", hint) from None


def whole(file: str) -> bytes:
    """Read a job file. Raises RefusalError if it cannot be read, is too large, or others can write to it and root reads it."""
    if "\0" in file:
        raise RefusalError(f"`{file}` cannot be read: its name contains a NUL character", "`--file` names another one")
    try:
        pipe = RefusalError(f"`{file}` is not a regular file", "a job file is read again and again, so it cannot be a pipe")
        raw, about = content(file, SIZE_LIMIT, pipe)
    except IsADirectoryError:
        inside = os.path.join(file, "jobs.toml")
        raise RefusalError(f"`{file}` is a folder, not a job file", f"name the file in it, such as `{inside}`") from None
    except FileNotFoundError:
        hint = "`cronflow init` writes one; `--file` names another one"
        raise RefusalError(f"there is no job file `{file}`", hint) from None
    if len(raw) > SIZE_LIMIT:
        raise RefusalError(f"`{file}` is larger than 10 MB", "a job file holds commands; keep data in separate files")
    by_group = about.st_mode & stat.S_IWGRP and about.st_gid != 0
    if os.geteuid() == 0 and (about.st_uid != 0 or by_group or about.st_mode & stat.S_IWOTH):
        message = f"users other than root can write to `{file}`, and root would run what they write"
        raise RefusalError(message, f"`chown root:root {file}` and `chmod go-w {file}`")
    return raw
