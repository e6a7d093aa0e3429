"""Checks whether each job could start now, with the rights that it will have: account, env files, secrets, folder, shell,
programs.

A child process that becomes the job's user checks each job, so whatever hangs (a network mount that does not answer) only blocks
that child. Children that do not finish in time are reported and left behind.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn

from cronflow.core.jobs import Job
from cronflow.daemon.processes.environment import Account, Unstartable, account, argv, cwd, environment, home_path
from cronflow.daemon.processes.secrets import SecretError, commands_of, read_secret
from cronflow.doctor.finding import Context, Finding, ok, problem, warning
from cronflow.doctor.programs import programs_of, unstartable
from cronflow.jobfile.warnings import SHELLS

AT_ONCE = 8
SECONDS = 5.0
"""The longest that the check of one job may take."""


def check_jobs(context: Context) -> Iterator[Finding]:
    """Everything that keeps jobs from starting; one finding for each job that could start."""
    if context.jobs is None:
        return
    environ = daemon_environ(context)
    waiting = list(context.jobs.jobs.values())
    going: dict[int, tuple[Job, int, float]] = {}
    answers: dict[str, list[Finding]] = {}
    with selectors.DefaultSelector() as selector:
        while waiting or going:
            while waiting and len(going) < AT_ONCE:
                job = waiting.pop(0)
                fd, pid = _start_child(job, str(context.places.file.parent), environ)
                selector.register(fd, selectors.EVENT_READ)
                going[fd] = job, pid, time.monotonic() + SECONDS
            left = min(end for _, _, end in going.values()) - time.monotonic()
            done = [(int(key.fd), True) for key, _ in selector.select(max(left, 0.0))]
            done += [(fd, False) for fd, (_, _, end) in going.items() if end <= time.monotonic() and (fd, True) not in done]
            for fd, answered in done:
                job, pid, _ = going.pop(fd)
                selector.unregister(fd)
                answers[job.name] = _child_findings(job, fd, pid, answered)
    for name, job in context.jobs.jobs.items():
        found = answers[name] or [ok("job", "could start now", name)]
        for one in found:  # a disabled job never starts by itself
            yield one._replace(result="warning") if one.result == "problem" and not job.enabled else one


def daemon_environ(context: Context) -> Mapping[str, str]:
    """The environment from which secrets are read: the daemon's, if there is one and it is readable, or else our own."""
    if context.daemon is not None:
        try:
            with open(f"/proc/{int(context.daemon['pid'])}/environ", "rb") as file:
                entries = file.read().decode(errors="surrogateescape").split("\0")
            return dict(entry.split("=", 1) for entry in entries if "=" in entry)
        except (OSError, KeyError, ValueError):
            pass
    return os.environ


def _start_child(job: Job, folder: str, environ: Mapping[str, str]) -> tuple[int, int]:
    """Start a child that checks a job; returns the descriptor from which its findings can be read, and its pid."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        _child(job, folder, environ, writing)
    os.close(writing)
    return reading, pid


def _child(job: Job, folder: str, environ: Mapping[str, str], fd: int) -> NoReturn:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        os.setsid()
        found = list(_findings(job, folder, environ))
        os.write(fd, json.dumps(found).encode())
    except Exception as error:
        os.write(fd, json.dumps([problem("job", f"it could not be checked: {error}", None, job.name)]).encode())
    finally:
        os._exit(0)


def _child_findings(job: Job, fd: int, pid: int, answered: bool) -> list[Finding]:
    """The findings of a child, whose processes are killed; one that hangs is not waited for, since it may never end."""
    with open(fd, "rb") as answer:
        found = [Finding(*one) for one in json.loads(answer.read() or b"[]")] if answered else []
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if answered:
        os.waitpid(pid, 0)
        return found
    message = f"its files did not answer within {SECONDS:g} s"
    where = f"is `{job.cwd or 'its home'}` on a file system that hangs? `df` tells"
    return [problem("job_hangs", message, where, job.name)]


class Launch(NamedTuple):
    """How a process of a job would start: as which user, in which environment and folder."""

    job: Job
    user: Account
    env: Mapping[str, str]
    folder: str


# ---- in the child ---------------------------------------------------------------------------------------------------------


def _findings(job: Job, folder: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        user = account(job)
        yield from _secrets(job, user, folder, environ)
        env = environment(job, user, {}, environ)
    except Unstartable as error:
        yield problem(error.reason, error.message, None, job.name)
        return
    if os.geteuid() == 0:
        os.setgroups(list(user.groups))
        os.setgid(user.gid)
        os.setuid(user.uid)
    where = cwd(job, user)
    try:
        os.chdir(where)
    except OSError as error:
        message = f"`{user.name}` cannot enter `{where}`: {(error.strerror or '').lower()}"
        hint = "set `cwd` of the job to another folder" if job.cwd is None else "create it, or give that user access to it"
        yield problem("no_cwd", message, hint, job.name)
        return
    for key, command in _commands(job):
        yield from _program(Launch(job, user, env, where), key, command)


def _secrets(job: Job, user: Account, folder: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    for key, ref in job.secrets.items():
        kind, _, name = ref.partition(":")
        if kind == "command":
            continue
        try:
            read_secret(ref, user.home, folder, environ)
        except SecretError as error:
            yield problem("no_secret", f"secret `{key}` (`{ref}`): {error}", None, job.name)
            continue
        path = os.path.join(folder, home_path(name, user))
        if kind == "file" and (fault := exposed(path, f"secret `{key}`", user.uid)) is not None:
            yield warning("secret_mode", *fault, job.name)


def exposed(path: str, what: str, user: int) -> tuple[str, str] | None:
    """Message and hint for a secret file that others than root, the caller and this user can read or change; else None."""
    about = os.stat(path)
    if about.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        return f"others may read or write `{path}`, which holds {what}", f"`chmod 600 {path}`"
    if about.st_uid not in (0, os.geteuid(), user):
        return f"`{path}`, which holds {what}, belongs to user {about.st_uid}", f"`chown {os.geteuid()} {path}`"
    return None


def _commands(job: Job) -> Iterator[tuple[str, Any]]:
    for key in ("command", "only_if", "wait_until", "foreach", "on_failure", "on_success"):
        if getattr(job, key) is not None:
            yield key, getattr(job, key)
    yield from (("check", command) for command in job.check)
    yield from ((f"secrets.{key}", command) for key, command in commands_of(job).items())


def _program(launch: Launch, key: str, command: Any) -> Iterator[Finding]:
    """Whether the shell, or the program of a command, exists and can be started, and so the programs that the command calls."""
    job, user, env, folder = launch
    program, shell = argv(command, job.shell, env, folder)[0], isinstance(command, str)
    named_by = f"which `{'shell' if shell else key}` names"
    if "/" not in program:
        yield _not_found(job, f"`{program}` of `{key}` is not in the PATH of the job, `{env.get('PATH', '')}`")
    elif not os.path.exists(program):
        yield _not_found(job, f"there is no `{program}`, {named_by}, or `{user.name}` has no access to it", program)
    elif (fault := unstartable(program, env, alone=not shell)) is not None:
        yield problem("not_executable", f"`{program}`, {named_by}, {fault[0]}", fault[1], job.name)
    elif shell and os.path.basename(program) in SHELLS:
        yield from _called(job, key, command, env)


def _called(job: Job, key: str, command: str, env: Mapping[str, str]) -> Iterator[Finding]:
    """The programs in a command that the shell cannot find or start; only a warning if something before may create them."""
    words = list(programs_of(command))
    for place, (word, path) in enumerate(zip(words, _resolve(words, job.shell, env), strict=True)):
        message = f"`{word}`, {f'which `{key}` calls' if place else f'with which `{key}` begins'},"
        if not path:
            finding = _not_found(job, f"{message} is not found by `{job.shell}`", word)
        elif "/" in path and (fault := unstartable(path, env, alone=False)) is not None:
            finding = problem("not_executable", f"{message} {fault[0]}", fault[1], job.name)
        else:
            continue
        yield finding._replace(result="warning") if place and "/" in word else finding


def _not_found(job: Job, message: str, path: str = "") -> Finding:
    hint = f"`cronflow env {job.name}` shows its PATH; write the whole path of the program"
    if path.startswith("/"):
        hint = f"`namei -l {path}` shows the folders on the way to it"
    elif "/" in path:
        hint = f"it is looked for in the folder of the job, which `cwd` names; `cronflow env {job.name}` shows its environment"
    return problem("no_program", message, hint, job.name)


def _resolve(words: list[str], shell: str, env: Mapping[str, str]) -> list[str]:
    """How a shell resolves these words: as paths, its own words, or ""; a shell that cannot be asked is assumed to know them."""
    if not words:
        return []
    ask = [shell, "-c", 'for word in "$@"; do command -v -- "$word" || echo; done', shell, *words]
    try:
        done = subprocess.run(ask, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS / 2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ["a shell"] * len(words)
    found = os.fsdecode(done.stdout).split("\n")[:-1]
    return found if len(found) == len(words) else ["a shell"] * len(words)
