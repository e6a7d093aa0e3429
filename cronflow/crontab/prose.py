"""Comments of a crontab: which of them say what a job is for, and which only explain crontabs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cronflow.crontab import entries
from cronflow.crontab.cronrules import FIELDS
from cronflow.crontab.settings import assignment
from cronflow.crontab.tables import Comment, Entry

LONGEST = 160
"""Characters of a description."""
HEADING = re.compile(
    r"\bm(in|inute)?s?\b\W+\bh(ou)?rs?\b|\bm\s+h\s|\bdow\b|day ?of ?(the )?week|system-wide crontab|period in days", re.IGNORECASE
)
COLUMNS = frozenset(
    word
    for words in (
        "m min mins minute minutes h hr hour hours d dom mday day days of the month mon months dow wday weekday week",
        "w user users name username command commands cmd to be executed period in delay job identifier id",
    )
    for word in words.split()
)
"""Words of a line that only names columns."""
EXPLAINS = re.compile(
    r"\b(cron|crontabs?|minutes?|hours?|days?|months?|week|weekday|commands?|tasks?|fields?|user-?name|allowed|edit|output|run)\b|[|┌│┴]",
    re.IGNORECASE,
)
WARNING = re.compile(
    r"((the|my|our|some) )?(cron\W?(tab|job)?s?|jobs|tasks|entries)$|"
    r"(please )?(do not|don'?t|never)\b.*\b(edit|modify|change|touch|put|remove|below|forget)\b",
    re.IGNORECASE,
)
"""Lines that tell of no job."""


class Said(NamedTuple):
    """What a block of comments gives: a description, the lines that stay comments, and how many lines are left out."""

    description: str
    kept: list[str]
    left_out: int


def said(block: Sequence[Comment], describes: bool) -> Said:
    """What the comments of one block say. `describes`: a job follows them directly."""
    texts = [_bare(comment.text) for comment in block]
    if _explains(texts):
        return Said("", [], len(texts))
    headings = [_column_heading(text) for text in texts]
    kept = [(text, comment) for text, comment, heading in zip(texts, block, headings, strict=True) if not heading]
    lines = [text for text, _ in kept]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    if not describes:
        return Said("", lines, sum(headings))
    description, rest = _description(lines)
    return Said(description, rest, sum(headings))


def _bare(text: str) -> str:
    """A comment without its `#`, and without a frame of signs."""
    text = text.lstrip("#").rstrip()
    text = text.removeprefix(" ")
    return "" if not re.search(r"\w", text) else text


def _explains(texts: Sequence[str]) -> bool:
    """Whether a block tells how crontabs are written, as the ones do that `crontab -e` begins with."""
    told = [text for text in texts if text]
    if len(told) < 3 or not any(HEADING.search(text) for text in told):
        return False
    return sum(EXPLAINS.search(text) is not None for text in told) * 2 >= len(told)


def _column_heading(text: str) -> bool:
    """Whether a line only names the columns of a crontab."""
    words = re.findall(r"[A-Za-z]+", text.lower())
    named = HEADING.search(text) or re.match(r"\s*(\*\s+){5}", text)
    return named is not None and COLUMNS.issuperset(words)


def _description(lines: Sequence[str]) -> tuple[str, list[str]]:
    """The first sentence of the lines, and those that are no part of it."""
    prose = [place for place, text in enumerate(lines) if text and not switched_off(text) and not WARNING.match(text)]
    if not prose:
        return "", list(lines)
    first = last = prose[0]
    while last + 1 in prose and not re.search(r"[.!?:]$", lines[last]) and re.match(r"[a-z0-9(]", lines[last + 1].strip()):
        last += 1
    text = " ".join(" ".join(lines[first : last + 1]).split())
    if len(text) > LONGEST:
        sentence = re.match(r".{20,160}?[.!?](?=\s)", text)
        text = sentence[0] if sentence else text[:LONGEST].rpartition(" ")[0] + " …"
        return text, list(lines)
    return text.rstrip(":"), [*lines[:first], *lines[last + 1 :]]


def switched_off(text: str) -> bool:
    """Whether a comment is a job or a variable that somebody has switched off."""
    text = text.strip()
    if not text:
        return False
    words = text.split()
    if words[0][0] == "@" or (len(words) > len(FIELDS) and re.match(r"[0-9*]", text)):
        return isinstance(entries.read(0, text, "user", "auto"), Entry)
    setting = assignment(text)
    return setting is not None and re.fullmatch(r"[A-Z_][A-Z0-9_]*", setting.name) is not None
