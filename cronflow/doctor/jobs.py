"""Whether each job could start now: its account, env files, secrets, folder, shell and program, each with the rights that it will
have.

A job is looked at by a child of its own, which becomes the job's user: whatever hangs (a network mount that does not answer)
holds that child and nobody else. Children that are not done in time are told of and left behind.
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
from typing import Any, NoReturn

from cronflow.core.jobs import Job
from cronflow.daemon.processes.environment import Account, Unstartable, account, argv, cwd, environment, home_path
from cronflow.daemon.processes.secrets import SecretError, commands_of, read_secret
from cronflow.doctor.finding import Finding, Scene, ok, problem, warning
from cronflow.doctor.programs import named, unstartable
from cronflow.jobfile.warnings import SHELLS

AT_ONCE = 8
SECONDS = 5.0
"""What a look at one job may take."""


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
    for name, job in scene.jobs.jobs.items():
        found = answers[name] or [ok("job", "could start now", name)]
        yield from found if job.enabled else map(_of_disabled, found)


def _of_disabled(found: Finding) -> Finding:
    """A job that never starts by itself has no problem yet."""
    return found._replace(result="warning") if found.result == "problem" else found


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
        if kind == "file" and (fault := exposed(path, f"secret `{key}`", who.uid)) is not None:
            yield warning("secret_mode", *fault, job.name)


def exposed(path: str, what: str, user: int) -> tuple[str, str] | None:
    """Who else can read or change a file that holds something secret, and what to do about it. It may belong to root, to who
    asks, and to this user."""
    about = os.stat(path)
    if about.st_mode & (stat.S_IRWXO | stat.S_IWGRP):
        return f"others may read or write `{path}`, which holds {what}", f"`chmod 600 {path}`"
    if about.st_uid not in (0, os.geteuid(), user):
        return f"`{path}`, which holds {what}, belongs to user {about.st_uid}", f"`chown {os.geteuid()} {path}`"
    return None


def _commands(job: Job) -> Iterator[tuple[str, Any]]:
    """Everything of a job that is executed, by its key."""
    for key in ("command", "only_if", "wait_until", "foreach", "on_failure", "on_success"):
        if getattr(job, key) is not None:
            yield key, getattr(job, key)
    yield from (("check", command) for command in job.check)
    yield from ((f"secrets.{key}", command) for key, command in commands_of(job).items())


def _program(job: Job, who: Account, key: str, command: Any, env: Mapping[str, str], where: str) -> Iterator[Finding]:
    """Whether the shell, or the program of a command, is there and can be started, and what the command calls."""
    program, shell = argv(command, job.shell, env, where)[0], isinstance(command, str)
    named_by = f"which `{'shell' if shell else key}` names"
    if "/" not in program:
        yield _missing(job, f"`{program}` of `{key}` is not in the PATH of the job, `{env.get('PATH', '')}`")
    elif not os.path.exists(program):
        yield _missing(job, f"there is no `{program}`, {named_by}, or `{who.name}` may not look there", program)
    elif (fault := unstartable(program, env, alone=not shell)) is not None:
        yield problem("not_executable", f"`{program}`, {named_by}, {fault[0]}", fault[1], job.name)
    elif shell and os.path.basename(program) in SHELLS:
        yield from _called(job, key, command, env)


def _called(job: Job, key: str, command: str, env: Mapping[str, str]) -> Iterator[Finding]:
    """The programs that a command for the shell calls: those that the shell does not find, or could not start. A path is told of
    in a warning where something before it may make it."""
    words = list(named(command))
    for place, (word, path) in enumerate(zip(words, _found(words, job.shell, env), strict=True)):
        told = f"`{word}`, {f'which `{key}` calls' if place else f'with which `{key}` begins'},"
        if not path:
            finding = _missing(job, f"{told} is not found by `{job.shell}`", word)
        elif "/" in path and (fault := unstartable(path, env, alone=False)) is not None:
            finding = problem("not_executable", f"{told} {fault[0]}", fault[1], job.name)
        else:
            continue
        yield finding._replace(result="warning") if place and "/" in word else finding


def _missing(job: Job, told: str, path: str = "") -> Finding:
    hint = f"`cronflow env {job.name}` shows its PATH; name the program with its whole path"
    if path.startswith("/"):
        hint = f"`namei -l {path}` shows the folders on the way to it"
    elif "/" in path:
        hint = f"it is looked for in the folder of the job, which `cwd` names; `cronflow env {job.name}` shows its environment"
    return problem("no_program", told, hint, job.name)


def _found(words: list[str], shell: str, env: Mapping[str, str]) -> list[str]:
    """What a shell takes these words for: the path of a program, a word of its own, or nothing. One that cannot be asked is
    believed to know them."""
    if not words:
        return []
    ask = [shell, "-c", 'for word in "$@"; do command -v -- "$word" || echo; done', shell, *words]
    nowhere = subprocess.DEVNULL
    try:
        done = subprocess.run(
            ask, env=dict(env), stdin=nowhere, stdout=subprocess.PIPE, stderr=nowhere, timeout=SECONDS / 2, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ["a shell"] * len(words)
    found = os.fsdecode(done.stdout).split("\n")[:-1]
    return found if len(found) == len(words) else ["a shell"] * len(words)
