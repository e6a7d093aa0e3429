"""Secrets of jobs: from references to values, and the memory of the values that have to be masked.

    file:/run/secrets/db    env:NAME    credential:NAME    command:pass show db

A value is in the environment of the commands of its job, and in the memory of who started them or shows their output: in no
file, no database, no command line, no message.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cronflow.ask import VALUE_LIMIT as VALUE_LIMIT
from cronflow.ask import ask_command as ask_command  # part of what this module offers
from cronflow.core.jobs import Job
from cronflow.core.words import MASKED_FROM
from cronflow.daemon.processes.environment import Account, Unstartable, account, cwd, environment
from cronflow.files import NotRegularError, read_regular

REMEMBERED = 8
"""Values of one secret that are masked: after a rotation older ones still stand in logs."""




class SecretError(Exception):
    """A secret cannot be read. The sentence says why, and never holds a value."""


def commands_of(job: Job) -> dict[str, str]:
    """The secrets that a command prints: it is run where the job is."""
    return {key: ref.partition(":")[2] for key, ref in job.secrets.items() if ref.startswith("command:")}


def read_secret(ref: str, home: str, folder: str, environ: Mapping[str, str]) -> str:
    """The value behind a reference to a file, a variable of `environ` or a credential of systemd. A relative file is looked for
    in `folder`. SecretError if it cannot be had."""
    kind, _, name = ref.partition(":")
    if kind == "env":
        if name not in environ:
            raise SecretError(f"`{name}` is not in the environment of the daemon")
        return environ[name]
    if kind == "credential":
        given = environ.get("CREDENTIALS_DIRECTORY")
        if not given:
            raise SecretError("the daemon has no credentials: the unit needs `LoadCredential=`")
        return _read_file(os.path.join(given, os.path.basename(name)))
    path = home + name[1:] if name == "~" or name.startswith("~/") else name
    return _read_file(os.path.join(folder, path))


def _read_file(path: str) -> str:
    """The text of a regular file, without one line end at its end."""
    try:
        data, _ = read_regular(path, VALUE_LIMIT)
    except (NotRegularError, IsADirectoryError):
        raise SecretError(f"`{path}` is no regular file") from None
    except FileNotFoundError:
        raise SecretError(f"there is no file `{path}`") from None
    except OSError as error:
        raise SecretError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from None
    if len(data) > VALUE_LIMIT:
        raise SecretError(f"`{path}` is larger than {VALUE_LIMIT // 1024} kB")
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise SecretError(f"`{path}` is no UTF-8 text") from None
    if "\0" in text:
        raise SecretError(f"`{path}` has a NUL character")
    return text.removesuffix("\n").removesuffix("\r")


@dataclass(slots=True)
class Secrets:
    """The values of secrets that one process knows, by job and key. `folder` is where relative files are looked for; `warn` hears
    once of each value that is too short to be masked."""

    folder: str
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    warn: Callable[[str], None] = lambda _line: None
    known: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    warned: set[tuple[str, str]] = field(default_factory=set)

    def resolve(self, job: Job, who: Account) -> dict[str, str]:
        """The values of a job's secrets, but those that a command prints. Raises Unstartable `no_secret`."""
        found: dict[str, str] = {}
        for key, ref in job.secrets.items():
            if ref.startswith("command:"):
                continue
            try:
                found[key] = read_secret(ref, who.home, self.folder, self.environ)
            except SecretError as fact:
                raise Unstartable("no_secret", f"secret `{key}` (`{ref}`): {fact}") from None
            self.remember(job.name, key, found[key])
        return found

    def remember(self, job: str, key: str, value: str) -> None:
        """Mask a value from now on."""
        values = self.known.setdefault(job, {}).setdefault(key, [])
        if value in values:
            values.remove(value)
        values.append(value)
        del values[:-REMEMBERED]
        if len(value.strip()) < MASKED_FROM and (job, key) not in self.warned:
            self.warned.add((job, key))
            self.warn(f"secret `{key}` of `{job}` is shorter than {MASKED_FROM} characters, so it is not masked")

    def values(self, job: Job) -> dict[str, list[str]]:
        """All known values of a job's secrets, those that can be read now among them."""
        for key, ref in job.secrets.items():
            if ref.startswith("command:"):
                continue
            try:
                home = account(job).home if ref.startswith("file:~") else ""
                self.remember(job.name, key, read_secret(ref, home, self.folder, self.environ))
            except (SecretError, Unstartable):
                continue
        return self.known.get(job.name, {})

    def masks(self, job: Job | None) -> list[str]:
        """What is to be masked in the output of a job."""
        return [] if job is None or not job.secrets else [value for one in self.values(job).values() for value in one]


# ---- secrets that a command prints ----------------------------------------------------------------------------------------


def command_orders(job: Job, environ: Mapping[str, str]) -> list[dict[str, Any]]:
    """How the commands of a job's secrets are to be run by whoever has to mask their values, as plain data for another process.
    Nothing where the job's account or environment cannot be had."""
    commands = commands_of(job)
    if not commands:
        return []
    try:
        who = account(job)
        env, folder = environment(job, who, {}, environ), cwd(job, who)
    except Unstartable:
        return [{"key": key, "argv": []} for key in commands]
    other = who.uid != os.geteuid()
    rights = {"user": who.uid, "group": who.gid, "extra_groups": list(who.groups)} if other else {}
    return [
        {"key": key, "argv": [job.shell, "-c", command], "env": env, "cwd": folder, "rights": rights}
        for key, command in commands.items()
    ]
