"""Names jobs after their commands: `backup-db`, not `job-7`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from cronflow.core.words import untaken
from cronflow.crontab import commandwords as known

LONGEST = 40
"""Characters of a name that is made here; the limit for names is 64."""

SEPARATOR = re.compile(r"(?:\|\||&&|;|\||\n|(?<![>&0-9])&(?![>&]))")
WORD = re.compile(r"""(?:"(?:\\.|[^"\\])*"|'[^']*'|\\.|[^\s"'\\])+""", re.DOTALL)
QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|`[^`]*`|\$\([^()]*(?:\([^()]*\))*[^()]*\)""", re.DOTALL)
ASSIGNED = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
SUBCOMMAND = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]*")


class NameIdea(NamedTuple):
    """A name for a job, and the words that can distinguish it from others of that name."""

    name: str
    more: tuple[str, ...]


def idea(command: str, stdin: str | None = None) -> NameIdea:
    """A name for a command. An empty command is named after its standard input."""
    words = _significant(command)
    if stdin and words in ([], ["true"]):
        words = [re.sub(r"^\([^)]*\)s\s*", "", stdin.split("\n")[0])]
        words = words[0].split()
    name, rest = _named(words)
    more = tuple(part for word in rest if (part := _part(word)))
    return NameIdea(name or "job", more)


def _significant(command: str, depth: int = 0) -> list[str]:
    """The words of the part of a command that does the work."""
    parts = _parts(command)
    unwrapped = [words for part in parts if (words := _unwrap(part, depth))]
    working = [words for words in unwrapped if _base(words[0]).lower() not in known.GUARDS]
    return (working or unwrapped or [[]])[0]


def _parts(command: str) -> list[list[str]]:
    masked = QUOTED.sub(lambda found: "\0" * len(found[0]), command)
    parts = []
    start = 0
    for found in [*SEPARATOR.finditer(masked), None]:
        end = len(command) if found is None else found.start()
        words = WORD.findall(command[start:end].strip(" \t(){}"))
        parts.append(_without_redirections(words))
        start = end if found is None else found.end()
    return [part for part in parts if part]


def _without_redirections(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif re.match(r"[0-9&]*[<>]", word):
            skip = re.fullmatch(r"[0-9&]*(>>?|<|>\||&>>?)", word) is not None
        else:
            kept.append(word)
    return kept


def _unwrap(words: list[str], depth: int) -> list[str]:
    """The words from the program that matters on: without variables and wrappers in front of it."""
    words = [*words]
    while words:
        first = _base(words[0])
        if ASSIGNED.match(words[0]) or first in ("if", "!", "while", "until", "then", "do", "for"):
            words.pop(0)
        elif first in known.WRAPPERS:
            words = _after_options(words[1:], known.WRAPPERS[first])
        elif first in known.WITH_OPERAND:
            inner = _dash_c(words) if first in ("su", "flock") else None
            if inner is not None and depth < 3:
                return _significant(inner, depth + 1)
            words = _after_options(words[1:], known.OPERAND_VALUES)[known.WITH_OPERAND[first] :]
        elif first in known.SHELLS and len(words) > 1:
            inner = _dash_c(words)
            if inner is not None and depth < 3:
                return _significant(inner, depth + 1)
            words = _after_options(words[1:], frozenset())
        elif known.INTERPRETERS.fullmatch(first) and len(words) > 2 and words[1] in ("-e", "-r", "-c", "-E"):
            return [] if "sleep" in words[2] else [first]
        elif known.INTERPRETERS.fullmatch(first) and len(words) > 1:
            after = _after_options(words[1:], frozenset(("-W", "-X", "-d", "-I", "-classpath", "-cp")))
            if not after:
                return words
            words = after
        elif words[0].startswith("$") and "/" not in words[0] and len(words) > 1:
            return _after_options(words[1:], frozenset()) or words
        elif first in ("run-parts", "run-cron") and len(words) > 1:
            return _after_options(words[1:], frozenset(("-a", "-u"))) or words
        else:
            return words
    return []


def _after_options(words: list[str], valued: frozenset[str]) -> list[str]:
    words = [*words]
    while words and words[0].startswith("-") and len(words[0]) > 1:
        option = words.pop(0)
        if option == "-m" and words:  # python -m module
            return words
        if option in valued and words:
            words.pop(0)
    return words


def _dash_c(words: Sequence[str]) -> str | None:
    """The command that a shell is given with `-c`."""
    for place, word in enumerate(words[:-1]):
        if re.fullmatch(r"-[a-z]*c", word):
            return _unquoted(words[place + 1])
    return None


def _unquoted(word: str) -> str:
    return word[1:-1] if len(word) > 1 and word[0] == word[-1] and word[0] in "'\"" else word


def _base(word: str) -> str:
    return _unquoted(word).rstrip("/").rpartition("/")[2]


# ---- from words to a name -------------------------------------------------------------------------------------------------


def _named(words: Sequence[str]) -> tuple[str, list[str]]:
    """The name, and the words after those that it is made of."""
    if not words:
        return "", []
    base, rest = words[0], [word for word in words[1:] if not word.startswith("-")]
    if re.fullmatch(r"/etc/(cron\.\w+|periodic/\w+)/?", _unquoted(base)):
        return slug(_unquoted(base).removeprefix("/etc/")), rest
    name = _part(base)
    bare = known.EXTENSION.sub("", _base(base))
    if rest and (known.GENERIC.fullmatch(bare.lower()) or not name):
        plain = next((place for place, word in enumerate(rest) if "/" not in word and SUBCOMMAND.fullmatch(word)), 0)
        named, more = _named(rest[plain:])
        return (named, more) if named else (name, rest)
    if known.VAGUE.fullmatch(bare.lower()) and name == slug(bare) and (folder := _folder(base)):
        return f"{folder}-{name}", rest
    if _base(base) in known.PLAIN:
        target = next((word for word in rest if "/" in word or "." in word), None)
        part = _part(target) if target else ""
        return (f"{name}-{part}" if part and part != name else name), rest
    if rest and bare == _base(base) and SUBCOMMAND.fullmatch(rest[0]) and len(rest[0]) <= 24:
        part = _part(rest[0])
        return (name if name.endswith(part) else f"{name}-{part}"), rest[1:]
    return name, rest


def _folder(path: str) -> str:
    """The folder that says whose program this is: the last one with a distinctive name."""
    steps = [step for step in _unquoted(path).split("/")[:-1] if step and step[0] not in "$.~"]
    return next((slug(step) for step in reversed(steps) if step.lower() not in known.FOLDERS), "")


def _part(word: str) -> str:
    """The part of a name that a word gives: the last component of a path or address, without its extension."""
    word = _unquoted(word)
    word = re.sub(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?|\$\([^)]*\)|`[^`]*`", "", word)
    if "://" in word:
        word = word.partition("://")[2].partition("?")[0]
        word = word.rstrip("/").rpartition("/")[2] or word.partition("/")[0].partition(":")[0]
    elif "/" in word:
        steps = [step for step in word.split("/") if re.search("[A-Za-z0-9]", step)]
        short = "-".join(steps) if word.endswith("/") and len(steps) < 3 else ""
        word = short or (steps[-1] if steps else "")
    return slug(known.EXTENSION.sub("", word))


def slug(text: str) -> str:
    """A text in lower-case letters, digits and dashes, with `camelCase` split at its words; cut at a dash if it is long."""
    parted = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3-\2\4", text)
    plain = re.sub(r"[^a-z0-9]+", "-", parted.lower()).strip("-")
    if len(plain) > LONGEST:
        plain = plain[: LONGEST + 1].rpartition("-")[0] or plain[:LONGEST]
    return plain


# ---- unique ---------------------------------------------------------------------------------------------------------------


class NameRequest(NamedTuple):
    """A job that needs a name: the idea, and words for its time (`reboot`, `06-30`), its user and its crontab."""

    idea: NameIdea
    when: str
    user: str
    table: str


def unique(requests: Sequence[NameRequest]) -> list[str]:
    """Unique names for jobs. Those that would get the same name are distinguished by further words of their commands, by the time
    at which they start, by their user or crontab, and finally by a number."""
    names = [request.idea.name for request in requests]
    for number in range(4):
        names = _distinguish(names, ["".join(request.idea.more[number : number + 1]) for request in requests])
    for words in zip(*((request.when, request.user, request.table) for request in requests), strict=True):
        names = _distinguish(names, words)
    taken: set[str] = set()
    return [untaken(name if re.search("[a-z]", name) else f"job-{name}".rstrip("-"), taken) for name in names]


def _distinguish(names: Sequence[str], words: Sequence[str]) -> list[str]:
    """The names, with a further word for those that are the same, if that distinguishes any two of them."""
    groups: dict[str, set[str]] = {}
    for name, word in zip(names, words, strict=True):
        groups.setdefault(name, set()).add(word)
    longer = []
    for name, word in zip(names, words, strict=True):
        fits = word and len(groups[name]) > 1 and len(name) + len(word) < 64
        longer.append(f"{name}-{word}" if fits else name)
    return longer
