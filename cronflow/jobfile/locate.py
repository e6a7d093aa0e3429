"""Locates each key and each value in a TOML text, which tomllib does not.

A scanner, not a parser: it runs over text that tomllib has accepted, so it may assume that strings end and brackets close.
A path is a tuple of keys and list positions: `("jobs", "load", "after", 0)`. Offsets count characters.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from typing import NamedTuple

Path = tuple[str | int, ...]

BLANK = re.compile(r"(?:[ \t\r]|#[^\n]*)*")
BLANK_LINES = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
KEY_PART = re.compile(r"""[ \t]*([A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|'[^'\n]*')[ \t]*(\.?)""")
STRING = re.compile(
    r'"""(?:\\[\s\S]|[^\\])*?"""(?:"{0,2})'
    r"|'''[\s\S]*?'''(?:'{0,2})"
    r'|"(?!"")(?:\\.|[^"\\\n])*"'
    r"|'(?!'')[^'\n]*'"
)
SCALAR = re.compile(r"[^,\]}#\n]*")


class Offsets(NamedTuple):
    """Offsets of a key and of its value, each [start, end). A list's element is its own key; a table's value is its header."""

    key: tuple[int, int]
    value: tuple[int, int]


class LineIndex:
    """Converts offsets of a text to lines and columns. Only a line feed ends a line (TOML)."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]

    def line_column(self, offset: int) -> tuple[int, int]:
        """1-based line and column of an offset."""
        line = bisect_right(self._lines, offset)
        return line, offset - self._lines[line - 1] + 1

    def line_text(self, line: int) -> str:
        """The text of a 1-based line without its end."""
        start = self._lines[line - 1]
        end = self._lines[line] - 1 if line < len(self._lines) else len(self.text)
        return self.text[start:end].rstrip("\r")


class Locator(LineIndex):
    """The places of all keys of one text. `repeats` are the keys and tables that are defined a second time, as (path, place)."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.places: dict[Path, Offsets] = {}
        self.repeats: list[tuple[Path, Offsets]] = []
        self._explicit: set[Path] = set()
        self._lists: dict[Path, int] = {}
        self._document()

    def _document(self) -> None:
        text, at = self.text, 0
        path: Path = ()
        while True:
            at = self._skip(BLANK_LINES, at)
            if at >= len(text):
                return
            if text[at] == "[":
                at, path = self._header(at)
            else:
                at = self._pair(at, path)
            at = self._skip(BLANK, at)

    def _skip(self, pattern: re.Pattern[str], at: int) -> int:
        match = pattern.match(self.text, at)
        return match.end() if match else at

    def _header(self, start: int) -> tuple[int, Path]:
        in_list = self.text.startswith("[[", start)
        parts, at = self._key(start + 1 + in_list)
        end = at + 1 + in_list
        path: Path = ()
        for name, span in parts[:-1]:
            path = (*path, name)
            self._record(path, Offsets(span, (start, end)), explicit=False)
            path = self._last(path)
        name, span = parts[-1]
        path = (*path, name)
        if in_list:
            self._record(path, Offsets(span, (start, end)), explicit=False)
            self._lists[path] = self._lists.get(path, -1) + 1
            path = self._last(path)
        self._record(path, Offsets(span, (start, end)), explicit=True)
        return end, path

    def _last(self, path: Path) -> Path:
        """The path itself, or that of its last element where it is a list of tables."""
        return (*path, self._lists[path]) if path in self._lists else path

    def _key(self, at: int) -> tuple[list[tuple[str, tuple[int, int]]], int]:
        parts = []
        while True:
            match = KEY_PART.match(self.text, at)
            if match is None:  # not a text that tomllib accepts
                raise ValueError(f"no key at offset {at}")
            parts.append((_unquoted(match[1]), match.span(1)))
            at = match.end()
            if not match[2]:
                return parts, at

    def _pair(self, at: int, table: Path) -> int:
        parts, at = self._key(at)
        path = table
        for name, span in parts[:-1]:
            path = (*path, name)
            self._record(path, Offsets(span, span), explicit=False)
        name, span = parts[-1]
        path = (*path, name)
        start = self._skip(BLANK, at + 1)
        end = self._value(start, path)
        self._record(path, Offsets(span, (start, end)), explicit=True)
        return end

    def _value(self, at: int, path: Path) -> int:
        sign = self.text[at : at + 1]
        if sign in ('"', "'"):
            return self._skip(STRING, at)
        if sign == "[":
            return self._list(at, path)
        if sign == "{":
            at = self._skip(BLANK_LINES, at + 1)
            while self.text[at] != "}":
                at = self._skip(BLANK_LINES, self._pair(at, path))
                if self.text[at] == ",":
                    at = self._skip(BLANK_LINES, at + 1)
            return at + 1
        end = self._skip(SCALAR, at)
        return at + len(self.text[at:end].rstrip())

    def _list(self, at: int, path: Path) -> int:
        index = 0
        at = self._skip(BLANK_LINES, at + 1)
        while self.text[at] != "]":
            end = self._value(at, (*path, index))
            self._record((*path, index), Offsets((at, end), (at, end)), explicit=True)
            index += 1
            at = self._skip(BLANK_LINES, end)
            if self.text[at] == ",":
                at = self._skip(BLANK_LINES, at + 1)
        return at + 1

    def _record(self, path: Path, place: Offsets, *, explicit: bool) -> None:
        if path in self._explicit:
            if explicit:
                self.repeats.append((path, place))
        elif explicit:
            self._explicit.add(path)
            self.places[path] = place
        else:
            self.places.setdefault(path, place)


def _unquoted(token: str) -> str:
    if token[0] == "'" or (token[0] == '"' and "\\" not in token):
        return token[1:-1]
    if token[0] == '"':
        return next(iter(tomllib.loads(f"{token} = 0")))
    return token
