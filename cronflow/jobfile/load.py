"""A file as a Source; or why it is not one: it cannot be read, is not UTF-8, or is not TOML."""

from __future__ import annotations

from cronflow.errors import Span
from cronflow.jobfile import syntax
from cronflow.jobfile.locate import LineIndex, Path
from cronflow.jobfile.report import Report
from cronflow.jobfile.source import NOT_BLANK, Source, shown, whole
from cronflow.jobfile.values import RefusalError

BOM = b"\xef\xbb\xbf"


def load(file: str, report: Report, included: tuple[Source, Path] | None = None) -> Source | None:
    """Read a file; returns None, with an error in the report, if that fails. `included` is the place that includes it."""
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
        _not_utf8(file, body, error.start, report)
        return None
    document = syntax.parse(text)
    if isinstance(document, syntax.Mistake):
        report.add("error", document.message, document.hint, _mistake_span(file, text, document))
        return None
    return Source(file, raw, text, document)


def _mistake_span(file: str, text: str, mistake: syntax.Mistake) -> Span:
    lines = LineIndex(text)
    number, column = lines.line_column(mistake.start)
    line = lines.line_text(number)
    length = max(1, min(mistake.end - mistake.start, len(line) - column + 1))
    return Span(file, number, column, length, _printable(text[: mistake.start], line))


def _printable(before: str, line: str) -> str:
    """A line of a text that is not TOML, safe to print: only its key if it may hold secrets. `before` is the text before it."""
    if syntax.confidential(before, line):
        key, sign, rest = line.partition("=")
        line = key + sign + NOT_BLANK.sub("*", rest) if sign else NOT_BLANK.sub("*", line)
    return shown(line)


def _not_utf8(file: str, body: bytes, start: int, report: Report) -> None:
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
    report.add("error", f"the byte 0x{body[start]:02x} is not UTF-8", hint, Span(file, line, column, 1, _printable(before, row)))
