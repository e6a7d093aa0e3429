"""How a screen looks: colour, width, and times as a person or a program reads them.

On a terminal times are relative and lines are folded to its width; in a pipe times are ISO 8601 and nothing is cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cronflow.core import words

_RED, _GREEN, _YELLOW, _BLUE, _BOLD, _DIM = "31", "32", "33", "36", "1", "2"
_LOOKS = {
    "success": ("✓", _GREEN),
    "failed": ("✗", _RED),
    "blocked": ("✗", _RED),
    "cancelled": ("✗", _YELLOW),
    "timeout": ("✗", _RED),
    "killed": ("✗", _RED),
    "lost": ("✗", _RED),
    "missed": ("–", _YELLOW),
    "skipped": ("–", _DIM),
    "running": ("▶", _BLUE),
    "retrying": ("▶", _YELLOW),
    "paused": ("‖", _YELLOW),
    "late": ("", _RED),
    "slow": ("", _YELLOW),
    "heading": ("", _BOLD),
    "dim": ("", _DIM),
}
"""The mark and the colour of a state, or of another kind of text."""
_PLAIN = ("·", "")
_SGR = r"\x1b\[[0-9;]*m"
GAP = "   "


class Style(NamedTuple):
    """`width` None: a pipe or a file, where nothing is cut and times are exact."""

    clock: words.Clock
    width: int | None = None
    color: bool = False

    def paint(self, kind: str, text: str | None = None) -> str:
        """A state word (or another text) in the colour of its kind."""
        shown = kind if text is None else text
        code = _LOOKS.get(kind, _PLAIN)[1]
        return f"\x1b[{code}m{shown}\x1b[0m" if self.color and code and shown else shown

    def lead(self, state: str, text: str) -> str:
        """A text with its first word coloured, if that is the state."""
        return self.paint(state) + text.removeprefix(state) if text.startswith(state) else text

    def mark(self, state: str) -> str:
        return self.paint(state, _LOOKS.get(state, _PLAIN)[0])

    def because(self, state: str, reason: str | None) -> str:
        """A state word with its reason, if there is one."""
        return f"{self.paint(state)}: {reason}" if reason else self.paint(state)

    def section(self, title: str, rows: list[str], number: int | None = None, kind: str = "heading") -> list[str]:
        """Rows below their title and their number; nothing without rows."""
        return [f"{self.paint(kind, title)}  {len(rows) if number is None else number}", *rows] if rows else []

    def cut(self, text: str, used: int = 0) -> str:
        """A text within what is left of the line on a terminal."""
        return text if self.width is None else words.end_cut(text, max(self.width - used, 10))

    def clip(self, line: str) -> str:
        """A line, perhaps in colours, within the width of the terminal."""
        if self.width is None or len(visible(line)) <= self.width:
            return line
        kept: list[str] = []
        room = self.width - 1
        for piece in filter(None, re.split(f"({_SGR})", line)):
            if piece.startswith("\x1b["):
                kept.append(piece)
                continue
            kept.append(piece[:room])
            room -= len(piece)
            if room < 0:
                break
        return "".join(kept) + "…" + ("\x1b[0m" if self.color else "")

    def fold(self, lead: str, parts: Iterable[str], indent: int) -> str:
        """Parts behind a lead, separated by three blanks; on a terminal those that do not fit go to lines of their own."""
        lines = [lead]
        begun = False
        for part in filter(None, parts):
            gap = GAP if begun else ""
            if self.width is not None and begun and _last_line(lines[-1] + gap + part) > self.width:
                lines.append(" " * indent + self._fit(part, indent))
            else:
                lines[-1] += gap + (part if begun else self._fit(part, _last_line(lead)))
            begun = True
        return "\n".join(line.rstrip() for line in lines)

    def wrapped(self, text: str, indent: int) -> str:
        """A sentence wrapped to the terminal's width, its first line beginning at `indent`; in a pipe one line."""
        if self.width is None or len(text) + indent <= self.width:
            return text
        import textwrap

        room = max(self.width - indent, 20)
        lines = textwrap.wrap(text, room, break_on_hyphens=False, break_long_words=False)
        return ("\n" + " " * indent).join(lines)

    def _fit(self, part: str, used: int) -> str:
        """A part within the rest of its line, unless it was wrapped before."""
        if self.width is None or "\n" in part or len(visible(part)) + used <= self.width:
            return part
        return words.end_cut(visible(part), max(self.width - used, 10))

    def rule(self, text: str) -> str:
        """A line that separates two outputs, with a title; if there is no room, its right end goes first."""
        whole = f"── {text} ──"
        fits = self.width is None or len(visible(whole)) <= self.width
        return self.paint("dim", whole if fits else f"── {text}")


def style_for(zone: str, now: float, width: int | None, color: bool = False) -> Style:
    """The style for a terminal of a width; None: a pipe or a file."""
    return Style(words.Clock(zone, now, width is not None), width, color)


def visible(text: str) -> str:
    """A text without its colours: as many characters as columns."""
    return re.sub(_SGR, "", text) if "\x1b" in text else text


def _last_line(text: str) -> int:
    return len(visible(text.rpartition("\n")[2]))


def pad(text: str, width: int) -> str:
    """A text, perhaps in colour, filled up to a number of columns."""
    return text + " " * max(width - len(visible(text)), 0)


def column_width(texts: Iterable[str], most: int = 28) -> int:
    """The columns that a list of names needs, at most `most`."""
    return min(max((len(visible(text)) for text in texts), default=0), most)


def table(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Rows as columns with two blanks between them; columns that are empty in all rows are left out."""
    if not rows:
        return []
    used = [index for index in range(len(rows[0])) if any(row[index] for row in rows)]
    widths = {index: max(len(visible(row[index])) for row in rows) for index in used}
    lines = []
    for row in rows:
        cells = []
        for index in used:
            gap = " " * (widths[index] - len(visible(row[index])))
            cells.append(gap + row[index] if index in right else row[index] + gap)
        lines.append("  ".join(cells).rstrip())
    return lines
