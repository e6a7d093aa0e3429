"""Renders a problem: the message, the place, the line with carets below it, the hint."""

from __future__ import annotations

import unicodedata

from cronflow.errors import Problem, Span

TAB = 4
WIDTH = 120
"""Columns of the file's line that are shown; a longer line is cut around the carets."""
COLORS = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m"}


def render(problem: Problem, color: bool) -> str:
    """The lines of a problem, without a final newline. Invisible characters are shown as `\\x1b`."""
    head = f"{COLORS[problem.severity]}{problem.severity}\x1b[0m" if color else problem.severity
    lines = [f"{head}: {plain(problem.message)}"]
    indent = "  "
    span = problem.span
    if span is not None:
        margin = " " * len(str(span.line))
        lines.append(f"{margin}--> {plain(span.file)}:{span.line}:{span.column}")
        indent = margin + " "
        if span.text:
            lines += [f"{indent}|", *_excerpt(span, indent)]
    if problem.hint:
        lines.append(f"{indent}= hint: {plain(problem.hint)}")
    return "\n".join(lines)


def plain(text: str) -> str:
    """A text with its control characters escaped, so that it cannot move the cursor, change colors or reverse the direction."""
    return "".join(map(_cell, text))


def _cell(sign: str) -> str:
    if sign == "\t":
        return " " * TAB
    if sign.isprintable():
        return sign
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _width(cell: str) -> int:
    """Columns on a terminal: none for combining characters, two for wide ones (Unicode Standard Annex 11)."""
    if len(cell) > 1 or cell.isascii():
        return len(cell)
    if unicodedata.combining(cell) or unicodedata.category(cell) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(cell) in "WF" else 1


def _excerpt(span: Span, indent: str) -> list[str]:
    skipped = max(0, span.column - 4 * WIDTH)
    cells = [_cell(sign) for sign in span.text[skipped : span.column + 4 * WIDTH]]
    widths = [_width(cell) for cell in cells]
    first = min(span.column - 1 - skipped, len(cells))
    last = min(first + span.length, len(cells))
    left, right = _window(widths, first, last)
    dots = "..." if left else ""
    shown = dots + "".join(cells[left:right]) + ("..." if right < len(cells) else "")
    start = len(dots) + sum(widths[left:first])
    carets = max(1, sum(widths[first : min(last, right)]))
    return [f"{span.line} | {shown}".rstrip(), f"{indent}| {' ' * start}{'^' * carets}"]


def _window(widths: list[int], first: int, last: int) -> tuple[int, int]:
    """The cells [left, right) that are shown: the whole line, or what fits around the first caret."""
    if sum(widths) <= WIDTH:
        return 0, len(widths)
    left = 0 if sum(widths[:last]) <= WIDTH else max(0, first - WIDTH // 4)
    right, room = left, WIDTH
    while right < len(widths) and room >= widths[right]:
        room -= widths[right]
        right += 1
    return left, right
