"""Whether each job could start now: its account, env files, secrets, folder, shell and program, each with the rights that it will
have.

A job is looked at by a child of its own, which becomes the job's user: whatever hangs (a network mount that does not answer)
holds that child and nobody else. Children that are not done in time are told of and left behind.
"""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from cronflow.core.model import Job
from cronflow.daemon.environment import Account, Unstartable, account, argv, cwd, environment, home_path
from cronflow.daemon.secrets import SecretError, read_secret
from cronflow.doctor.finding import Finding, Scene, ok, problem, warning
from cronflow.jobfile.advice import SHELLS

AT_ONCE = 8
SECONDS = 5.0
"""What a look at one job may take."""
WORD = re.compile(r"\s*([A-Za-z0-9_./+-]+)(?=\s|$)")
"""The first word of a command, where it is plain to see."""


def each_job(scene: Scene) -> Iterator[Finding]:
    """All that keeps a job from starting; one line for each job without such."""
    if scene.jobs is None:
        return
    environ = environ_of(scene)
    waiting = list(scene.jobs.jobs.values())
    going: dict[int, tuple[Job, int, float]] = {}
    answers: dict[str, list[Finding]] = {}
    with selectors.DefaultSelector() as selector:
        while waiting or going:
            while waiting and len(going) < AT_ONCE:
                job = waiting.pop(0)
                fd, pid = _look(job, str(scene.places.file.parent), environ)
                selector.register(fd, selectors.EVENT_READ)
                going[fd] = job, pid, time.monotonic() + SECONDS
            left = min(end for _, _, end in going.values()) - time.monotonic()
            done = [(int(key.fd), True) for key, _ in selector.select(max(left, 0.0))]
            done += [(fd, False) for fd, (_, _, end) in going.items() if end <= time.monotonic() and (fd, True) not in done]
            for fd, answered in done:
                job, pid, _ = going.pop(fd)
                selector.unregister(fd)
                answers[job.name] = _answer(job, fd, pid, answered)
    for name in scene.jobs.jobs:
        yield from answers[name] or [ok("job", "could start now", name)]


def environ_of(scene: Scene) -> Mapping[str, str]:
    """The environment from which secrets are read: that of the daemon, where there is one and it may be read."""
    if scene.daemon is not None:
        try:
            with open(f"/proc/{int(scene.daemon['pid'])}/environ", "rb") as file:
                entries = file.read().decode(errors="surrogateescape").split("\0")
            return dict(entry.split("=", 1) for entry in entries if "=" in entry)
        except (OSError, KeyError, ValueError):
            pass
    return os.environ


def _look(job: Job, folder: str, environ: Mapping[str, str]) -> tuple[int, int]:
    """Have a child look at a job; the descriptor from which its findings can be read, and its pid."""
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
        os.write(fd, json.dumps([problem("job", f"it could not be looked at: {error}", None, job.name)]).encode())
    finally:
        os._exit(0)


def _answer(job: Job, fd: int, pid: int, answered: bool) -> list[Finding]:
    """What a child has found. What it has started is ended with it; one that hangs is left, since it may not be able to."""
    found = [Finding(*one) for one in json.loads(_all(fd))] if answered else []
    os.close(fd)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    if answered:
        os.waitpid(pid, 0)
        return found
    told = f"its files did not answer within {SECONDS:g} s"
    where = f"is `{job.cwd or 'its home'}` on a file system that hangs? `df` tells"
    return [problem("job_hangs", told, where, job.name)]


def _all(fd: int) -> bytes:
    """Everything that comes until the other end is closed."""
    data = b""
    while piece := os.read(fd, 65536):
        data += piece
    return data or b"[]"


# ---- in the child ---------------------------------------------------------------------------------------------------------


def _findings(job: Job, folder: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    try:
        who = account(job)
    except Unstartable as fact:
        yield problem(fact.reason, fact.message, None, job.name)
        return
    yield from _secrets(job, who, folder, environ)
    try:
        env = environment(job, who, {}, environ)
    except Unstartable as fact:
        yield problem(fact.reason, fact.message, None, job.name)
        return
    if os.geteuid() == 0:
        os.setgroups(list(who.groups))
        os.setgid(who.gid)
        os.setuid(who.uid)
    where = cwd(job, who)
    try:
        os.chdir(where)
    except OSError as error:
        told = f"`{who.name}` cannot enter `{where}`: {(error.strerror or '').lower()}"
        hint = "`cwd` of the job names another folder" if job.cwd is None else "make it, or give that user the rights to it"
        yield problem("no_cwd", told, hint, job.name)
        return
    for key, command in _commands(job):
        yield from _program(job, who, key, command, env, where)


def _secrets(job: Job, who: Account, folder: str, environ: Mapping[str, str]) -> Iterator[Finding]:
    for key, ref in job.secrets.items():
        kind, _, name = ref.partition(":")
        if kind == "command":
            continue
        try:
            read_secret(ref, who.home, folder, environ)
        except SecretError as fact:
            yield problem("no_secret", f"secret `{key}` (`{ref}`): {fact}", None, job.name)
            continue
        path = os.path.join(folder, home_path(name, who))
        if kind == "file" and os.stat(path).st_mode & (stat.S_IRWXO | stat.S_IWGRP):
            told = f"others may read or write `{path}`, which holds secret `{key}`"
            yield warning("secret_mode", told, f"`chmod 600 {path}`", job.name)


def _commands(job: Job) -> Iterator[tuple[str, Any]]:
    """Everything of a job that is executed, by its key."""
    for key in ("command", "only_if", "wait_until", "foreach", "on_failure", "on_success"):
        if getattr(job, key) is not None:
            yield key, getattr(job, key)
    yield from (("check", command) for command in job.check)


def _program(job: Job, who: Account, key: str, command: Any, env: Mapping[str, str], where: str) -> Iterator[Finding]:
    """Whether the shell, or the program of a command, is there and may be executed."""
    program = argv(command, job.shell, env, where)[0]
    if "/" not in program:
        yield _missing(job, f"`{program}` of `{key}` is not in the PATH of the job, `{env.get('PATH', '')}`")
    elif not os.path.exists(program):
        yield _missing(job, f"there is no `{program}`, which `{'shell' if isinstance(command, str) else key}` names")
    elif os.path.isdir(program) or not os.access(program, os.X_OK):
        yield problem("not_executable", f"`{who.name}` may not execute `{program}`", f"`ls -l {program}`", job.name)
    elif isinstance(command, str) and (word := WORD.match(command)) and not _known(word[1], program, env):
        yield _missing(job, f"`{word[1]}`, with which `{key}` begins, is not found by `{program}`")


def _missing(job: Job, told: str) -> Finding:
    hint = f"`cronflow env {job.name}` shows its PATH; name the program with its whole path"
    return problem("no_program", told, hint, job.name)


def _known(word: str, shell: str, env: Mapping[str, str]) -> bool:
    """Whether a shell knows a word: as a program, or as one of its own. One that cannot be asked is believed to."""
    if os.path.basename(shell) not in SHELLS:
        return True
    ask = [shell, "-c", 'command -v -- "$1"', shell, word]
    nowhere = subprocess.DEVNULL
    try:
        done = subprocess.run(ask, env=dict(env), stdin=nowhere, stdout=nowhere, stderr=nowhere, timeout=SECONDS / 2, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return True
    return done.returncode == 0
