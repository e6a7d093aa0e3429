"""Commands as texts for a shell: what a job's keys say, in the words of sh(1).

Every piece can stand in one line and be put beside others: a text that is more than one simple command gets brackets, one of
several lines becomes the argument of a shell.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from cronflow.core.jobs import Command, Job
from cronflow.export.report import Report

POSIX_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"})
_OWN_WORDS = frozenset(
    (
        *("!", "{", "}", "[[", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "select"),
        *("then", "time", "until", "while", ".", "alias", "break", "cd", "continue", "eval", "exec", "exit", "export"),
        *("local", "read", "readonly", "return", "set", "shift", "source", "trap", "ulimit", "umask", "unset", "wait"),
    )
)
"""Words with which a text is no plain call of a program: reserved ones, and builtins that change the shell."""
_QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_REDIRECTION = re.compile(r"[0-9]*(?:>>|>\||<>|[<>]&[0-9-]*|&>>?|[<>])")


def quoted(word: str) -> str:
    """A word as a shell reads it."""
    return shlex.quote(word)


def text_of(command: Command) -> str:
    """A command as a text for a shell, without blanks around it."""
    return command.strip() if isinstance(command, str) else shlex.join(command)


def is_simple(text: str) -> bool:
    """Whether a text is one simple command (sh(1), Simple Commands): redirections are allowed, operators and comments are not.

    What it is not sure of is none."""
    bare = _QUOTED.sub("q", text)
    if "<<" in bare or any(sign in bare for sign in "\n`'\""):
        return False
    bare = _REDIRECTION.sub(" ", bare)
    words = bare.split()
    plain = not any(sign in bare for sign in "();&|") and not any(word.startswith("#") for word in words)
    return plain and bool(words) and words[0] not in _OWN_WORDS


def is_program(text: str) -> bool:
    """Whether a text is one simple command that begins with a program's name: `timeout 1h` can stand in front of it."""
    first = text.split(None, 1)[0] if text.split() else ""
    return is_simple(text) and re.match(r"[A-Za-z_]\w*=", first) is None


def piece(text: str, shell: str) -> str:
    """A text as a part of a line: brackets around what is no simple command."""
    if is_simple(text):
        return text
    if "\n" in text or "#" in text or "<<" in text:
        return in_shell(text, shell)
    return f"({text})"


def in_shell(text: str, shell: str) -> str:
    """A call of a shell with a text, in one line: of several lines each is an argument of printf(1)."""
    if "\n" not in text:
        return f"{quoted(shell)} -c {quoted(text)}"
    lines = " ".join(quoted(line) for line in text.split("\n"))
    return f"{quoted(shell)} -c \"$(printf '%s\\n' {lines})\""


def as_program(text: str, shell: str) -> str:
    """A text as the call of a program."""
    return text if is_program(text) else in_shell(text, shell)


def fed(text: str, stdin: str) -> str:
    """A command, already a piece, that reads a text on its standard input."""
    if stdin.endswith("\n"):
        lines = " ".join(quoted(line) for line in stdin[:-1].split("\n"))
        return f"printf '%s\\n' {lines} | {text}"
    return f"printf '%s' {quoted(stdin)} | {text}" if "\n" not in stdin else f"printf %b {quoted(_escaped(stdin))} | {text}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def exports(values: Mapping[str, str]) -> list[str]:
    """Statements that set variables for what comes after them."""
    return [
        f"export {name}={quoted(value)}" if "\n" not in value else f'export {name}="$(printf %b {quoted(_escaped(value))})"'
        for name, value in values.items()
    ]


def env_files(job: Job) -> list[str]:
    """Statements that read the `env_file` of a job. A shell reads them, so that it expands what they have in double quotes."""
    found = []
    for path in job.env_file:
        name = path.removeprefix("-")
        word = home_word(name)
        read = f"set -a; . {word}; set +a"
        found.append(f"if test -e {word}; then {read}; fi" if path.startswith("-") else read)
    return found


def bounded_loop(asked: str, every: float) -> str:
    """A loop that asks until the answer is yes; what bounds it stands outside."""
    return f"until {piece(asked, '/bin/sh')}; do sleep {seconds(every)}; done"


def home_word(path: str) -> str:
    """A path as a word for a shell, in which a `~` at its beginning is the home of the user."""
    if path == "~":
        return '"$HOME"'
    return f'"$HOME"/{quoted(path[2:])}' if path.startswith("~/") else quoted(path)


def fetched(reference: str) -> str | None:
    """The word of a shell that a secret's reference stands for; None for what only the daemon of cronflow has."""
    form, _, rest = reference.partition(":")
    if form == "file":
        return f'"$(cat {home_word(rest)})"'
    return f'"$({rest})"' if form == "command" and "\n" not in rest and "#" not in rest else None


def secret_exports(job: Job, report: Report) -> list[str]:
    """Statements that set the secrets of a job; those that only the daemon of cronflow has are told as lost."""
    found = []
    for name, reference in job.secrets.items():
        value = fetched(reference)
        if value is None:
            form = reference.partition(":")[0]
            report.lose(job.name, "secrets", f"`{name}` is not set: `{form}:` is a word of cronflow's daemon")
        else:
            found.append(f"export {name}={value}")
    return found


def checked(text: str, job: Job) -> str:
    """A piece whose exit status is that of the job: with its `success_codes` as 0."""
    if job.success_codes == (0,):
        return text
    codes = "|".join(map(str, job.success_codes))
    return f"{{ {text}; case $? in {codes}) true;; *) false;; esac; }}"


def seconds(value: float) -> str:
    """A duration as timeout(1) and sleep(1) take it: one number with one unit."""
    for unit, size in (("h", 3600), ("m", 60)):
        if value >= size and value % size == 0:
            return f"{int(value // size)}{unit}"
    return f"{value:g}s"
