"""The shape of an alert: a title within its width, lines without control characters, a body that shortens well.

A body has up to three parts with one empty line between them: the head (what, when, why, how often), the middle (output, or
the problems of a job file) and the tail (commands to paste, schedule, owner). `short` takes from the middle first, so that
neither the cause nor the next command is lost where a service allows little room.
"""

from __future__ import annotations

from collections.abc import Sequence

from cronflow.core import words

TITLE_WIDTH = 60
OUTPUT_LINES = 20
LINE_WIDTH = 300
COLUMN = 45
"""Where the second column of the tail begins."""


def short(body: str, limit: int = 1024, keep: str = "end") -> str:
    """A body within `limit` characters: the middle loses its beginning, or with `keep="start"` its end, then the head its end.

    The tail is never cut, unless it alone is more than the limit (a text message): then only the beginning of the head stays.
    """
    if len(body) <= limit:
        return body
    parts = body.split("\n\n")
    head, tail = parts[0], parts[-1] if len(parts) > 1 else ""
    lines = "\n\n".join(parts[1:-1]).split("\n") if len(parts) > 2 else []
    room = limit - len(head) - (len(tail) + 2 if tail else 0)
    if room < 0:
        left = limit - len(tail) - 2
        return words.end_cut(head, left) + f"\n\n{tail}" if tail and left >= 80 else words.end_cut(head, limit)
    middle = _fitting(lines, room - 2, from_end=keep == "end")
    return "\n\n".join(filter(None, (head, middle, tail)))


def _fitting(lines: list[str], room: int, from_end: bool) -> str:
    """As many whole lines as fit, "…" for the others; at least a piece of the line at the end that counts."""
    kept: list[str] = []
    used = 1  # the mark
    for line in reversed(lines) if from_end else lines:
        if used + len(line) + 1 > room:
            if not kept and room > 20:
                kept.append(words.middle_cut(line, room - 2))
            break
        kept.append(line)
        used += len(line) + 1
    if not any(line.strip() for line in kept):
        return ""
    return "\n".join(["…", *reversed(kept)] if from_end else [*kept, "…"])


def headline(word: str, name: str, host: str, between: str = " on ", after: str = "") -> str:
    """State word, name, host: names are cut in their middle where the whole would not fit, the word never."""
    name, host = one_line(name), one_line(host)
    room = TITLE_WIDTH - len(word) - 1 - len(between) - len(after)
    if len(name) + len(host) > room:
        host = words.middle_cut(host, max(room - len(name), min(len(host), room // 3)))
        name = words.middle_cut(name, room - len(host))
    return f"{word} {name}{between}{host}{after}"


def clean(value: str | Sequence[str], secrets: Sequence[str]) -> str | list[str]:
    """Text from outside, before anything is cut: control characters first, since they may part a secret, then secrets."""
    if isinstance(value, str):
        return words.masked("\n".join(words.plain(line) for line in value.split("\n")), secrets)
    return words.masked("\n".join(words.plain(line) for line in value), secrets).split("\n")


def last_lines(output: Sequence[str]) -> str:
    lines = "\n".join(output).rstrip("\n").split("\n")[-OUTPUT_LINES:]
    return "\n".join(words.middle_cut(line, LINE_WIDTH) for line in lines).strip("\n")


def columns(left: str, right: str) -> list[str]:
    if left and right and len(left) <= COLUMN - 3:
        return [f"{left:<{COLUMN}}{right}"]
    return [cell for cell in (left, right) if cell]


def named(label: str, names: Sequence[str]) -> str:
    return f"{label}: {words.listing([one_line(name) for name in names], 6)}" if names else ""


def sentence(label: str, names: Sequence[str]) -> str:
    return f"{named(label, names)}." if names else ""


def sentence_case(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


def one_line(value: object) -> str:
    """Any text as one line without control characters."""
    return " ".join(words.plain(part) for part in str(value).split())
