"""The command in a line of a crontab: the commands of a chain, with what their other keys add around them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from cronflow.core.jobs import Job
from cronflow.export.chain import Chain, joined
from cronflow.export.report import ExportReport, UnwritableError
from cronflow.export.shell import (
    POSIX_SHELLS,
    as_program,
    checked,
    exports,
    in_shell,
    is_simple,
    piece,
    polling_loop,
    seconds,
    setup_statements,
    text_of,
    with_stdin,
)

SH = "/bin/sh"
BESIDE = ("only_if", "wait_until", "check", "on_failure", "on_success")
AROUND = (*BESIDE, "cwd", "timeout", "nice", "umask", "env_file", "secrets", "success_codes")
"""Keys that add something around the command."""


def shell_of(chain: Chain) -> str:
    """The shell of a line: that of its jobs, if they have the same one and it can run what is around their commands."""
    shells = {job.shell for job in chain.jobs if isinstance(job.command, str)}
    if len(shells) != 1:
        return SH
    shell = shells.pop()
    return shell if os.path.basename(shell) in POSIX_SHELLS or _bare(chain) else SH


def _bare(chain: Chain) -> bool:
    """Whether nothing is around the command of the only job."""
    job = chain.jobs[0]
    alone = Job(job.name, job.command)
    return len(chain.jobs) == 1 and all(getattr(job, key) == getattr(alone, key) for key in AROUND)


def command_of(chain: Chain, before: Sequence[str], outside: Mapping[str, str], report: ExportReport) -> str:
    """The command of a line as cron reads it, with `%` escaped. `before` are statements that come first, `outside` the variables
    that the table sets. Raises UnwritableError for a command that cron cannot run."""
    shell = outside["SHELL"]
    setups = [_setup(job, outside, report) for job in chain.jobs]
    stdin = ""
    if len(chain.jobs) == 1:
        job = chain.jobs[0]
        stdin = _input(job)
        body = _body(job, shell, fed_before=bool(stdin))
        statements = [*before, *setups[0]]
    else:
        shared = setups[0] if all(setup == setups[0] for setup in setups) else []
        own = {job.name: [] if shared else setup for job, setup in zip(chain.jobs, setups, strict=True)}
        body = joined(chain, lambda job: _part(job, shell, own[job.name]))
        statements = [*before, *shared]
    return _encoded(_sequence(statements, body), chain, report) + stdin


def _sequence(statements: Sequence[str], body: str) -> str:
    """Statements, then a body; `cd folder && command` if that is all."""
    if statements and statements[-1].startswith("cd ") and all(map(is_simple, body.split(" && "))):
        return "; ".join([*statements[:-1], f"{statements[-1].removesuffix(' || exit 1')} && {body}"])
    return "; ".join([*statements, body])


def whole_minutes(root: Job) -> int:
    """The jitter of a job in minutes, as for RANDOM_DELAY (crontab(5) of cronie); 0 for one that it cannot express."""
    minutes, rest = divmod(root.jitter, 60)
    return int(minutes) if not rest and minutes <= 1440 else 0


def _setup(job: Job, outside: Mapping[str, str], report: ExportReport) -> list[str]:
    """Statements before the command: variables that the crontab does not set, the umask, the folder."""
    lasting = {"SHELL"} if job.env_file else job.env.keys()  # an env file may override all others
    inside = {name: value for name, value in job.env.items() if outside.get(name) != value or name not in lasting}
    return setup_statements(job, exports(inside), job.cwd != outside.get("HOME"), report)


def _part(job: Job, shell: str, setup: Sequence[str]) -> str:
    body = _body(job, shell, fed_before=False)
    if not setup:
        return body if is_simple(body) or _closed(body) else f"({body})"
    return f"({_sequence(setup, body)})"


def _closed(body: str) -> bool:
    """Whether a body is already in parentheses, braces or `if`."""
    return re.fullmatch(r"\([^()]*\)|\{ .*\}|if .*; fi", body) is not None


def _body(job: Job, shell: str, fed_before: bool) -> str:
    """The command with its condition, checks and hooks, as one list of a shell; verbatim if there are none."""
    text = text_of(job.command)
    other = isinstance(job.command, str) and job.shell != shell
    if other or "\n" in text:
        text = in_shell(text, job.shell if isinstance(job.command, str) else shell)
    program = []
    if job.nice is not None:
        program.append(f"nice -n {job.nice}")
    if job.timeout is not None:
        program.append(f"timeout -k {seconds(job.kill_after)} {seconds(job.timeout)}")
    if program:
        text = " ".join([*program, as_program(text, job.shell)])
    beside = any(getattr(job, key) for key in BESIDE) or job.success_codes != (0,)
    if job.stdin and not fed_before:
        text = with_stdin(piece(text, job.shell), job.stdin)
    return _beside(job, text, shell) if beside else text


def _beside(job: Job, text: str, shell: str) -> str:
    """A command with its sensor, condition, checks and hooks around it."""
    whole = text if text.startswith("printf ") and job.stdin else piece(text, shell)
    parts = []
    if job.wait_until is not None:
        loop = polling_loop(text_of(job.wait_until), job.wait_every)
        parts.append(f"timeout {seconds(job.wait_timeout)} {in_shell(loop, shell)}")
    if job.only_if is not None:
        parts.append(piece(text_of(job.only_if), shell))
    parts.append(checked(whole, job))
    parts += [piece(check, shell) for check in job.check]
    line = " && ".join(parts)
    if job.on_failure is None and job.on_success is None:
        return line
    success = piece(text_of(job.on_success), shell) if job.on_success is not None else "true"
    failure = f"{piece(text_of(job.on_failure), shell)}; false" if job.on_failure is not None else "false"
    return f"if {line}; then {success}{'; true' if job.on_success else ''}; else {failure}; fi"


# ---- percent signs --------------------------------------------------------------------------------------------------------


def _input(job: Job) -> str:
    """A `stdin` in cron's form, from the first `%` on; "" if there is none, or cron cannot express it."""
    text = job.stdin or ""
    if any(getattr(job, key) for key in BESIDE) or not text.endswith("\n") or "\\\n" in text or "\r" in text:
        return ""
    body = text if text == "\n" or text.endswith("\n\n") else text[:-1]
    return "%" + body.replace("%", "\\%").replace("\n", "%")


def _encoded(text: str, chain: Chain, report: ExportReport) -> str:
    """A command with `%`, which would end it, escaped for cron. Raises UnwritableError for one that no cron reads alike."""
    name = chain.jobs[0].name
    if "\n" in text or "\0" in text:
        raise UnwritableError("its line would have a line break in it")
    if "\\%" in text:
        raise UnwritableError("it has a backslash before a `%`, which each cron reads differently")
    if "\\\\" in text:
        report.lose(name, "command", "`\\\\` in the command: Debian's cron gives the shell one backslash, cronie both")
    return text.replace("%", "\\%")
