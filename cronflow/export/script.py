"""A job as a script of several lines, for targets that pass a script to a shell."""

from __future__ import annotations

import os
from collections.abc import Sequence
from shlex import quote

from cronflow.core.jobs import Job
from cronflow.export.report import ExportReport
from cronflow.export.shell import in_shell, is_program, is_simple, setup_statements, text_of

SHELLS = frozenset({"/bin/sh", "/bin/bash", "/usr/bin/sh", "/usr/bin/bash"})
"""Shells whose code bash can run."""
SKIP = 99


def script(job: Job, report: ExportReport, guard: str = "", *, cwd: bool = False, env: bool = False) -> str:
    """The script: what comes before the command, the command, the handling of its exit status, its checks.

    `guard` is a statement that exits with SKIP on some days. `cwd` and `env`: the target has no setting for these."""
    variables = [f"export {name}={quote(value)}" for name, value in job.env.items() if env or job.env_file]
    before = [*([guard] if guard else []), *setup_statements(job, variables, cwd, report)]
    if job.only_if is not None:
        before.append(f"{grouped(text_of(job.only_if))} || exit {SKIP}")
    body = _command(job)
    after = _after(job)
    if after and not is_simple(body):
        body = grouped(body)
    return "\n".join([*before, _with_stdin(body, job.stdin), *after])


def grouped(text: str) -> str:
    """Code as one command, whatever it is."""
    return text if is_simple(text) else f"(\n{text}\n)"


def _command(job: Job) -> str:
    text = text_of(job.command)
    if isinstance(job.command, str) and job.shell not in SHELLS:
        text = in_shell(text, job.shell) if "\n" not in text else f"{quote(job.shell)} -c {quote(text)}"
    if job.nice is not None:
        program = text if is_program(text) else f"{os.path.basename(job.shell)} -c {quote(text)}"
        text = f"nice -n {job.nice} {program}"
    return text


def _after(job: Job) -> Sequence[str]:
    lines = []
    if job.success_codes != (0,):
        lines += ["status=$?", f"case $status in {'|'.join(map(str, job.success_codes))}) ;; *) exit $status ;; esac"]
        lines += ["true"] if not job.check else []
    elif job.check:
        lines.append("status=$?; [ $status = 0 ] || exit $status")
    return [*lines, *(f"{grouped(check)} || exit 1" for check in job.check)]


def _with_stdin(body: str, stdin: str | None) -> str:
    """The command with its standard input as a here-document."""
    if not stdin:
        return body
    if not stdin.endswith("\n"):
        return f"printf %s {quote(stdin)} | {grouped(body)}"
    mark = "END"
    while mark in stdin.split("\n"):
        mark += "_"
    whole = body if body.startswith("(\n") else grouped(body)
    return f"{whole} <<'{mark}'\n{stdin}{mark}"
