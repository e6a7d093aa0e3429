"""Explains what is wrong with a text that is not TOML, in words that lead to the edit.

tomllib reports where it gave up, which for an unclosed string or a key set twice is not where the mistake is.
"""

from __future__ import annotations

import re
import tomllib
from typing import NamedTuple

from cronflow.jobfile.locate import STRING, Locator, Offsets, Path

POSITION = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
TOKEN = re.compile(rf"{STRING.pattern}|#[^\n]*|[^\"'#]+")
BARE_PAIR = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*([^\"'\[{#=]*)")
SIGNS = re.compile(r"[\[\]{}]")

KNOWN = (
    ("Invalid statement", "this line is not TOML", "a line is `key = value`, `[table]` or `# comment`"),
    ("Expected '=' after a key", "`=` is missing after this key", "a line is `key = value`"),
    ("Expected ']' at the end", "this header does not end with `]`", "a header is `[jobs.NAME]` on a line of its own"),
    ("Expected ']]' at the end", "this header does not end with `]]`", "jobs are plain tables: `[jobs.NAME]`"),
    ("Invalid initial character for a key", "there is no key here", "anything but letters, digits, `_` and `-` needs quotes"),
    ("Unescaped '\\' in a string", "`\\` begins an escape in this string", "write `\\\\`, or put the string in single quotes"),
    ("Invalid hex value", "the code after `\\` has too few digits", "write `\\u00e9`, or the character itself"),
    ("Escaped character is not", "there is no character with this code", "write the character itself"),
    ("Invalid date or datetime", "there is no such date", "dates are `2026-12-24`, times `06:00:00`"),
    ("Cannot redefine namespace", "this table already has its values", "put all its keys below one header"),
    ("Cannot mutate immutable", "this table already has its values", "put all its keys in one place"),
    ("Cannot overwrite a value", "this key already has a value", "remove one of the two"),
    ("Cannot declare", "this table already exists", "remove one of the two"),
    ("Duplicate inline table key", "this key already has a value", "remove one of the two"),
)
IN_STRING = ("Unterminated string", "Illegal character", "Found invalid character", 'Expected "', "Expected '\"")
DUPLICATE = ("Cannot overwrite", "Cannot declare", "Duplicate inline")
TRUTH = {"yes": "true", "on": "true", "True": "true", "TRUE": "true"} | dict.fromkeys(("no", "off", "False", "FALSE"), "false")


class Mistake(NamedTuple):
    """The place of a mistake, as offsets [start, end), and what is wrong there."""

    start: int
    end: int
    message: str
    hint: str | None


def parse(text: str) -> dict[str, object] | Mistake:
    """Parse a text: its document, or its first mistake, after which a TOML parser cannot continue."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _explain(text, str(error))
    except RecursionError:
        start = _first_too_deep(text)
        return Mistake(start, start + 1, "brackets are nested too deeply here", "a job file needs at most three levels")
    except ValueError:  # int() takes at most 4300 digits
        match = re.search(r"[0-9_]{1000,}", text)
        start = match.start() if match else 0
        return Mistake(start, start + 20, "this number is too long", "numbers have at most 18 digits")


def _explain(text: str, words: str) -> Mistake:
    match = POSITION.search(words)
    at = len(text.rstrip())
    if match and match[1]:
        at = sum(len(line) + 1 for line in text.split("\n")[: int(match[1]) - 1]) + int(match[2]) - 1
    reason = words[: match.start()] if match else words
    sign = text[at : at + 1]
    if sign and not sign.isprintable() and sign not in "\t\n" and not text.startswith("\r\n", at):
        return _invisible(at, sign)
    if reason.startswith(IN_STRING) and (found := _unclosed_string(text, at)):
        return found
    if reason.startswith(DUPLICATE) and (found := _duplicate(text, at)):
        return found
    if reason.startswith(("Expected newline", "Invalid value")):
        return _not_a_value(text, at)
    if reason.startswith(("Unclosed", "Invalid initial")) and (found := _unclosed_bracket(text, at)):
        return found
    if reason.startswith("Unescaped"):
        at -= 2
        if text.startswith("\\%", at):
            hint = "write `%` alone: only a crontab wants a `\\` before it"
            return Mistake(at, at + 2, "`\\` begins an escape in this string", hint)
    for begin, message, hint in KNOWN:
        if reason.startswith(begin):
            return Mistake(at, at + 1, message, hint)
    return Mistake(at, at + 1, reason[:1].lower() + reason[1:], None)


def confidential(before: str, line: str) -> bool:
    """Whether a line of a text that is not TOML may hold secrets or URLs of alert targets; `before` is the text before it."""
    headers = re.findall(r"^[ \t]*\[+[ \t]*([^\]\n]*)", before, re.MULTILINE)
    within = bool(headers) and re.match(r"alerts\b|.*\bsecrets?\b", headers[-1]) is not None
    return (within and not line.lstrip().startswith("[")) or re.search(r"\b(urls?|secrets?)\b", line) is not None


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _invisible(at: int, sign: str) -> Mistake:
    """The mistake of a character that editors do not show, such as a no-break space that was pasted."""
    code = f"U+{ord(sign):04X}"
    if sign == "\r":
        return Mistake(at, at + 1, f"there is a lone carriage return ({code}) here", "save the file with plain line endings (LF)")
    if sign.isspace() and ord(sign) > 127:
        return Mistake(at, at + 1, f"this is not a plain space ({code})", "type it again")
    escape = f"\\u{ord(sign):04x}" if ord(sign) < 0x10000 else f"\\U{ord(sign):08x}"
    return Mistake(at, at + 1, f"there is an invisible character ({code}) here", f"in a string write `{escape}`")


def _unclosed_string(text: str, at: int) -> Mistake | None:
    begin = 0
    while begin < len(text):
        match = TOKEN.match(text, begin)
        if match is None:
            break
        begin = match.end()
    if begin >= len(text) or begin > at:
        return None
    quote = text[begin] * 3 if text.startswith(text[begin] * 3, begin) else text[begin]
    if len(quote) == 3:
        return Mistake(begin, begin + 3, "this string is not closed", f"close it with `{quote}`")
    hint = f"close it with `{quote}`; a string of several lines goes between `'''` and `'''`"
    return Mistake(begin, _line_end(text, begin), "this string is not closed on its line", hint)


def _unclosed_bracket(text: str, at: int) -> Mistake | None:
    opened: list[int] = []
    begin = 0
    while token := TOKEN.match(text, begin, at):
        begin = token.end()
        for match in SIGNS.finditer(token[0]) if token[0][0] not in "\"'#" else ():
            if match[0] in "[{":
                opened.append(token.start() + match.start())
            elif opened:
                opened.pop()
    if not opened:
        return None
    start = opened[-1]
    if text[start] == "[":
        message, hint = "this list is not closed", "end it with `]`, and put a `,` between its elements"
    else:
        message = "this table is not closed on its line"
        hint = "`{ a = 1, b = 2 }` is on one line, without a trailing `,`; a longer table gets its own header"
    return Mistake(start, _line_end(text, start), message, hint)


def _duplicate(text: str, at: int) -> Mistake | None:
    """The mistake of a key or a table that is defined a second time; the hint names the first one."""
    for end, closing in ((at, ""), (at, "]"), (at, "}"), (at, "}}"), (at, "]]")):
        try:
            found = Locator(text[:end] + closing)
        except (ValueError, IndexError):
            continue
        if found.repeats:
            path, place = found.repeats[0]
            return _repeated(found, path, place)
    return None


def _repeated(found: Locator, path: Path, place: Offsets) -> Mistake:
    line, _ = found.line_column(found.places[path].key[0])
    name = path[-1]
    start, end = place.key
    if path[0] == "jobs" and len(path) == 2:
        return Mistake(start, end, f"job `{name}` is defined twice", f"the other one is on line {line}")
    where = f" in job `{path[1]}`" if path[0] == "jobs" and len(path) > 2 else ""
    return Mistake(start, end, f"`{name}` is set twice{where}", f"the other one is on line {line}")


def _not_a_value(text: str, at: int) -> Mistake:
    """The mistake of something that is not a value, mostly a string without quotes."""
    begin = text.rfind("\n", 0, at) + 1
    end = _line_end(text, at)
    match = BARE_PAIR.fullmatch(text[begin:end].split(" #")[0].rstrip())
    if match is None:
        rest = max(at + 1, at + len(text[at:end].rstrip()))
        return Mistake(at, rest, "this is not a TOML value", 'strings need quotes: `schedule = "0 4 * * *"`')
    key, value = match.groups()
    start = begin + match.start(2)
    if not value:
        return Mistake(begin + match.start(1), begin + match.end(1), f"`{key}` has no value", f'write `{key} = "…"`')
    span = (start, begin + match.end(2))
    if value in TRUTH:
        return Mistake(*span, f"`{value}` is not a TOML value", f"write `{key} = {TRUTH[value]}`")
    if re.fullmatch(r"0[0-9]+", value):
        return Mistake(*span, "a number cannot begin with 0", f'write `{key} = "{value}"`')
    shown = value if len(value) <= 40 and "://" not in value and not confidential(text[:begin], text[begin:end]) else "…"
    return Mistake(*span, f"the value of `{key}` is not TOML", f'strings need quotes: `{key} = "{shown}"`')


def _first_too_deep(text: str) -> int:
    depth = 0
    for match in SIGNS.finditer(text):
        depth += 1 if match[0] in "[{" else -1
        if depth > 50:
            return match.start()
    return 0
