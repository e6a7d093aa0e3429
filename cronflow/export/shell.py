"""Commands as shell code: what a job's keys say, in the language of sh(1).

Every piece fits on one line and can be combined with others: code that is more than one simple command gets parentheses, code of
several lines becomes the argument of a shell.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from shlex import join, quote

from cronflow.core.jobs import Command, Job
from cronflow.core.words import local
from cronflow.export.report import ExportReport, ExportRequest
from cronflow.jobfile.machine import home

POSIX_SHELLS = frozenset({"sh", "bash", "dash", "ash", "ksh", "mksh", "zsh"})
_OWN_WORDS = frozenset(
    (
        *("!", "{", "}", "[[", "case", "do", "done", "elif", "else", "esac", "fi", "for", "function", "if", "in", "select"),
        *("then", "time", "until", "while", ".", "alias", "break", "cd", "continue", "eval", "exec", "exit", "export"),
        *("local", "read", "readonly", "return", "set", "shift", "source", "trap", "ulimit", "umask", "unset", "wait"),
    )
)
"""First words of what is not a simple call of a program: reserved words, and builtins that change the shell."""
_QUOTED = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*\"""", re.DOTALL)
_REDIRECTION = re.compile(r"[0-9]*(?:>>|>\||<>|[<>]&[0-9-]*|&>>?|[<>])")


def text_of(command: Command) -> str:
    """A command as shell code, without blanks around it."""
    return command.strip() if isinstance(command, str) else join(command)


def is_simple(text: str) -> bool:
    """Whether code is surely one simple command (sh(1)): with redirections at most, without operators and comments."""
    bare = _QUOTED.sub("q", text)
    if "<<" in bare or any(sign in bare for sign in "\n`'\""):
        return False
    bare = _REDIRECTION.sub(" ", bare)
    words = bare.split()
    plain = not any(sign in bare for sign in "();&|") and not any(word.startswith("#") for word in words)
    return plain and bool(words) and words[0] not in _OWN_WORDS


def is_program(text: str) -> bool:
    """Whether code is one simple command that begins with a program's name, so that `timeout 1h` can go in front of it."""
    first = text.split(None, 1)[0] if text.split() else ""
    return is_simple(text) and re.match(r"[A-Za-z_]\w*=", first) is None


def piece(text: str, shell: str) -> str:
    """Code as a part of a line: in parentheses unless it is a simple command."""
    if is_simple(text):
        return text
    if "\n" in text or "#" in text or "<<" in text:
        return in_shell(text, shell)
    return f"({text})"


def in_shell(text: str, shell: str) -> str:
    """A call of a shell with code, on one line: several lines become arguments of printf(1)."""
    if "\n" not in text:
        return f"{quote(shell)} -c {quote(text)}"
    lines = " ".join(quote(line) for line in text.split("\n"))
    return f"{quote(shell)} -c \"$(printf '%s\\n' {lines})\""


def as_program(text: str, shell: str) -> str:
    """Code as the call of a program."""
    return text if is_program(text) else in_shell(text, shell)


def with_stdin(text: str, stdin: str) -> str:
    """A piece of code that reads a text on its standard input."""
    if stdin.endswith("\n"):
        lines = " ".join(quote(line) for line in stdin[:-1].split("\n"))
        return f"printf '%s\\n' {lines} | {text}"
    return f"printf '%s' {quote(stdin)} | {text}" if "\n" not in stdin else f"printf %b {quote(_escaped(stdin))} | {text}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def exports(values: Mapping[str, str]) -> list[str]:
    """Statements that set variables for what comes after them."""
    return [
        f"export {name}={quote(value)}" if "\n" not in value else f'export {name}="$(printf %b {quote(_escaped(value))})"'
        for name, value in values.items()
    ]


def env_files(job: Job) -> list[str]:
    """Statements that read the `env_file` of a job. The shell reads them, so it expands what is in double quotes."""
    found = []
    for path in job.env_file:
        name = path.removeprefix("-")
        word = home_word(name)
        read = f"set -a; . {word}; set +a"
        found.append(f"if test -e {word}; then {read}; fi" if path.startswith("-") else read)
    return found


def polling_loop(command: str, every: float) -> str:
    """A loop that runs a command until it succeeds; its time limit is outside."""
    return f"until {piece(command, '/bin/sh')}; do sleep {seconds(every)}; done"


def home_word(path: str) -> str:
    """A path as a word for a shell; a leading `~` is the home of the user."""
    if path == "~":
        return '"$HOME"'
    return f'"$HOME"/{quote(path[2:])}' if path.startswith("~/") else quote(path)


def folder_of(job: Job, user: str) -> str:
    """The absolute folder of a job: its `cwd`, or the home of its user."""
    path = job.cwd or "~"
    return (home(job.user or user) or "/") + path[1:] if path == "~" or path.startswith("~/") else path


def setup_statements(job: Job, variables: Sequence[str], cwd: bool, report: ExportReport) -> list[str]:
    """Statements before a command: env files, these that set variables, secrets, the umask, and if `cwd` the folder."""
    found = [*env_files(job), *variables, *secret_exports(job, report)]
    found += [f"umask {job.umask:03o}"] if job.umask != 0o022 else []
    return found + ([f"cd {home_word(job.cwd)} || exit 1"] if cwd and job.cwd is not None and job.cwd != "~" else [])


def fetched(reference: str) -> str | None:
    """The shell word for a secret's reference; None for a secret that only cronflow's daemon can get."""
    form, _, rest = reference.partition(":")
    if form == "file":
        return f'"$(cat {home_word(rest)})"'
    return f'"$({rest})"' if form == "command" and "\n" not in rest and "#" not in rest else None


def secret_exports(job: Job, report: ExportReport) -> list[str]:
    """Statements that set the secrets of a job; those that only cronflow's daemon can get are recorded as lost."""
    found = []
    for name, reference in job.secrets.items():
        value = fetched(reference)
        if value is None:
            form = reference.partition(":")[0]
            report.lose(job.name, "secrets", f"`{name}` is not set: only cronflow's daemon reads `{form}:`")
        else:
            found.append(f"export {name}={value}")
    return found


def checked(text: str, job: Job) -> str:
    """A piece of code whose exit status is 0 for any of the job's `success_codes`."""
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


def guard(job: Job, request: ExportRequest, leave: str) -> str:
    """The statement that ends a script with `leave` on days that the calendars of a job forbid, without past dates; or ""."""
    zone = "" if job.timezone == request.zone else f"TZ={job.timezone} "
    today = f"$({zone}date +%F)"
    found = []
    first = local(request.now, job.timezone).date().toordinal() - 1
    for names, form in ((job.skip_on, "case {} in {}) {};; esac"), (job.only_on, "case {} in {});; *) {};; esac")):
        days = sorted({one for name in names for one in request.jobs.calendars.get(name, ()) if one >= first})
        if days or (names and names is job.only_on):
            listed = "|".join(date.fromordinal(one).isoformat() for one in days) or "none"
            found.append(form.format(today, listed, leave))
    return "; ".join(found)
