"""The programs that a command starts, as far as that is plain to see, and whether a file can be started at all.

A command for a shell is read up to the first thing that only a shell can interpret (a loop, a function, a here-document, a word
that begins with a variable): programs before it are found, those after it are not.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping

BLANK = re.compile(r"(?:[ \t]|\\\n|(?<![^\s;&|])#[^\n]*)*")
WORD = re.compile(
    r"""(?: [^\s;&|<>()'"`\\$\#] | (?<=[^\s;&|]) \# | \\[^\n] | '[^']*' | \$\(\([^()'"`]*\)\) | \$\([^()'"`\\$]*\)
      | `[^`'"\\]*` | \$(?!\()
      | "(?:[^"\\`$] | \\. | `[^`"\\]*` | \$\(\([^()"`]*\)\) | \$\([^()"`\\]*\) | \$(?!\())*" )+""",
    re.DOTALL | re.VERBOSE,
)
"""A word of sh(1) without nested substitutions."""
REDIRECTION = re.compile(r"\d*(?:&>>?|>>|>\||[<>]&|<>|>|<(?!<))[ \t]*")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
PLAIN = re.compile(r"[A-Za-z0-9_./+-]+")
END = re.compile(r"\|\||&&|\|&?|&|;(?!;)|\n")
ASKING = frozenset(("test", "[", "command", "type", "which", "hash"))
"""Programs that test whether something exists: it may be what comes after `&&`."""
LAST = frozenset(("exec", "exit", "return", "eval", ".", "source", "alias", "export", "declare", "typeset", "hash"))
"""Words after which a name may mean something else, or nothing more is run."""
RESERVED = frozenset(("if", "for", "while", "until", "case", "select", "function", "time", "coproc", "{", "[["))
HEAD = 256
"""Bytes of a file that the kernel searches for an interpreter (execve(2))."""


def programs_of(command: str) -> Iterator[str]:
    """The programs that a command certainly calls, each once, in order."""
    seen: set[str] = set()
    place, moved = 0, False
    while True:
        found = _simple(command, place)
        if found is None:
            return
        words, end, place = found
        first = words[0] if words else ""
        relative = "/" in first and not first.startswith("/")
        if first in RESERVED:
            return
        if first and PLAIN.fullmatch(first) and not (moved and relative) and first not in seen:
            seen.add(first)
            yield first
        moved |= first in ("cd", "pushd")
        if first in LAST or not end or end == "||" or (end == "&&" and first in ASKING):
            return


def _simple(text: str, place: int) -> tuple[list[str], str, int] | None:
    """The words of one simple command, the operator after it, and where the next one begins. None if none is plain to see; the
    operator is "" if only the beginning of the command is."""
    words: list[str] = []
    while True:
        place = _end(BLANK, text, place)
        if place == len(text):
            return (words, "", place) if words else None
        end = END.match(text, place)
        if end is not None and not text.startswith("&>", place):
            if words or end[0] in ("\n", ";"):
                return words, end[0], end.end()
            return None
        redirection = REDIRECTION.match(text, place)
        word = WORD.match(text, redirection.end() if redirection else place)
        if word is None:
            defined = len(words) == 1 and text[place] == "("
            return (words, "", place) if words and not defined else None
        place = word.end()
        if redirection is not None:
            continue
        if not words and ASSIGNMENT.match(word[0]):
            if word[0].startswith("PATH="):
                return None
            continue
        if word[0] != "!" or words:
            words.append(word[0])


def _end(pattern: re.Pattern[str], text: str, place: int) -> int:
    match = pattern.match(text, place)
    return place if match is None else match.end()


def unstartable(path: str, env: Mapping[str, str], alone: bool) -> tuple[str, str] | None:
    """Why this process cannot start an existing file, as the end of a sentence that begins with its name, and a hint; None if it
    can. `alone`: it is started without a shell, which would run a script without `#!` itself."""
    path = os.path.abspath(path)
    if os.path.isdir(path):
        return "is a folder", "write the path of a program in it"
    if not os.access(path, os.X_OK):
        return "may not be executed by the job's user", f"`chmod +x {path}`; `findmnt -T {path}` shows a `noexec`"
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return None  # a program need not be readable
    if head.startswith(b"#!"):
        return _uninterpreted(path, head[2:].split(b"\n")[0].decode(errors="replace"), env)
    if alone and not head.startswith(b"\x7fELF") and b"\0" not in head:
        return (
            "has no `#!` in its first line",
            "an array is started without a shell: write `#!/bin/sh` there, or use a string",
        )
    return None


def _uninterpreted(path: str, line: str, env: Mapping[str, str]) -> tuple[str, str] | None:
    """What is wrong with the interpreter in the first line of a script; None if nothing is."""
    if line.endswith("\r"):
        return "has Windows line endings, so its interpreter is not found", f"`sed -i 's/\\r$//' {path}`"
    words = line.split()
    if words and words[0].startswith("/") and not os.path.exists(words[0]):
        return f"needs an interpreter that does not exist, `{words[0]}`", f"`head -n 1 {path}`"
    if words and os.path.basename(words[0]) == "env":
        names = [word for word in words[1:] if word != "-S"]
        if names and PLAIN.fullmatch(names[0]) and names[0][0] != "-" and shutil.which(names[0], path=env.get("PATH")) is None:
            return f"needs an interpreter that is not in the PATH of the job, `{names[0]}`", f"`head -n 1 {path}`"
    return None
