"""What a command is started with: the account, the environment, the words of the command, the folder.

The same for scheduled, manual and retried attempts, and nothing of it comes from the shell that started the daemon but `LANG`.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cronflow.core.jobs import NOTHING, Command, Job
from cronflow.files import NotRegularError, read_regular
from cronflow.jobfile.machine import default_path

Reason = Literal["no_user", "no_group", "no_env_file", "env_file", "not_permitted", "no_secret"]

ENV_FILE_LIMIT = 1_000_000
"""Bytes. A kernel takes less than that as an environment (execve(2))."""
ASSIGNMENT = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*")
BARE = re.compile(r"[^\n]*")
SINGLE = re.compile(r"'([^']*)'")
DOUBLE = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
REST = re.compile(r"[ \t]*(?:#[^\n]*)?(?=\n|$)")
ESCAPE = re.compile(r'\\([\\"$`]|\n)')


@dataclass(frozen=True, slots=True)
class Account:
    """Whose rights a command has. `groups` are all its groups, for setgroups(2)."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    shell: str


FRESH = 2.0
"""Seconds for which the databases of users and groups are not asked again: they may lie on a server (nsswitch.conf(5))."""
_known: dict[tuple[int, str | None, str | None], tuple[float, Account]] = {}


class Unstartable(Exception):  # noqa: N818 (a fact about a job, and no error of the program)
    """An attempt that cannot be started: the reason of its task, and a sentence that names the key to look at."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


def account(job: Job) -> Account:
    """The account of the job's `user` and `group`; the daemon's own without them. An answer is good for FRESH seconds.

    Only root may start commands as another user. Raises Unstartable `no_user`, `no_group`, `not_permitted`."""
    asked, now = (os.geteuid(), job.user, job.group), time.monotonic()
    at, known = _known.get(asked, (0.0, None))
    if known is None or now - at >= FRESH:
        known = _account(job)
        _known[asked] = now, known
    return known


def _account(job: Job) -> Account:
    own = os.geteuid()
    entry = _user(job.user) if job.user is not None else _own_entry(own)
    gid = _group(job.group) if job.group is not None else entry.pw_gid
    if own != 0 and entry.pw_uid != own:
        raise Unstartable("not_permitted", f"`user = {job.user}` of job `{job.name}` needs a daemon that runs as root")
    if own != 0:
        groups = tuple(sorted({os.getegid(), *os.getgroups()}))
        if job.group is None:
            gid = os.getegid()
        elif gid not in groups:
            raise Unstartable("not_permitted", f"`group = {job.group}` of job `{job.name}` needs a daemon that runs as root")
    else:
        groups = tuple(sorted(os.getgrouplist(entry.pw_name, gid)))
    return Account(entry.pw_name, entry.pw_uid, gid, groups, entry.pw_dir or "/", entry.pw_shell or "/bin/sh")


def _own_entry(uid: int) -> pwd.struct_passwd:
    """The daemon's own entry; a container's user often has none."""
    try:
        return pwd.getpwuid(uid)
    except KeyError:
        home = os.environ.get("HOME") or "/"
        return pwd.struct_passwd((str(uid), "x", uid, os.getegid(), "", home, "/bin/sh"))


def _user(name: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwuid(int(name)) if name.isascii() and name.isdecimal() else pwd.getpwnam(name)
    except (KeyError, OverflowError):
        raise Unstartable("no_user", f"`user`: there is no user `{name}` on this machine") from None


def _group(name: str) -> int:
    try:
        return (grp.getgrgid(int(name)) if name.isascii() and name.isdecimal() else grp.getgrnam(name)).gr_gid
    except (KeyError, OverflowError):
        raise Unstartable("no_group", f"`group`: there is no group `{name}` on this machine") from None


def environment(
    job: Job, who: Account, facts: Mapping[str, str], base: Mapping[str, str], given: Mapping[str, str] = NOTHING
) -> dict[str, str]:
    """The environment of a command: HOME USER LOGNAME SHELL PATH, LANG of `base` (the daemon's own), `env_file`, `env`, `given`
    (secrets, params, matrix values), then `facts`, the CRONFLOW_ values. Raises Unstartable `no_env_file`, `env_file`.

    SHELL is the shell that is given the command, as under cron (crontab(5))."""
    found = {"HOME": who.home, "USER": who.name, "LOGNAME": who.name, "SHELL": job.shell, "PATH": default_path(who.uid)}
    if base.get("LANG"):
        found["LANG"] = base["LANG"]
    for path in job.env_file:
        found.update(read_env_file(path, who))
    found.update(job.env)
    found.update(given)
    found.update(facts)
    return found


def home_path(path: str, who: Account) -> str:
    """A path of the job file, `~` expanded to the home of the job's user."""
    return who.home + path[1:] if path == "~" or path.startswith("~/") else path


def cwd(job: Job, who: Account) -> str:
    """The folder that the command starts in: `cwd`, or the home of the job's user."""
    return who.home if job.cwd is None else home_path(job.cwd, who)


def argv(command: Command, shell: str, env: Mapping[str, str], folder: str) -> list[str]:
    """The words that are executed: the shell with `-c`, or the array with its program looked up in the job's own PATH.

    A program that is not found stays as it is, so that its start fails with ENOENT (exit code 127). `folder` is the command's
    cwd, from which relative entries of PATH count."""
    if isinstance(command, str):
        return [shell, "-c", command]
    program, *words = command
    if "/" not in program:
        path = os.pathsep.join(os.path.join(folder, entry) for entry in env.get("PATH", "").split(os.pathsep))
        program = shutil.which(program, path=path) or program
    return [program, *words]


def read_env_file(path: str, who: Account) -> dict[str, str]:
    """The variables of an `env_file`. A path that begins with `-` may be missing (systemd.exec(5), EnvironmentFile=)."""
    optional = path.startswith("-")
    name = home_path(path.removeprefix("-"), who)
    try:
        raw, _ = read_regular(name, ENV_FILE_LIMIT)
    except NotRegularError:
        raise Unstartable("no_env_file", f"`env_file`: `{name}` is no regular file") from None
    except FileNotFoundError:
        if optional:
            return {}
        raise Unstartable("no_env_file", f"`env_file`: there is no file `{name}`") from None
    except OSError as error:
        raise Unstartable("no_env_file", f"`env_file`: `{name}` cannot be read: {(error.strerror or '').lower()}") from None
    if len(raw) > ENV_FILE_LIMIT:
        raise Unstartable("env_file", f"`env_file`: `{name}` is larger than 1 MB")
    try:
        return parse_env_file(raw.decode().replace("\r\n", "\n"))
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise Unstartable("env_file", f"`env_file`: {name}:{line} is no UTF-8") from None
    except EnvFileError as fault:
        raise Unstartable("env_file", f"`env_file`: {name}:{fault.line} {fault.what}") from None


class EnvFileError(ValueError):
    """A line of an env file that sets nothing. `line` counts from 1; the line itself may hold a secret and is not told."""

    def __init__(self, line: int, what: str) -> None:
        super().__init__(f"line {line} {what}")
        self.line = line
        self.what = what


def parse_env_file(text: str) -> dict[str, str]:
    """The variables of `KEY=value` lines; `#` begins a comment, `export ` may stand in front.

    In double quotes a backslash takes the meaning from a backslash, `"`, `$` and a backquote, and joins lines; in single quotes
    nothing has a meaning; both may go over several lines. Without quotes the value is the rest of the line (` #` begins a
    comment). Nothing is expanded. Raises EnvFileError."""
    found: dict[str, str] = {}
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        begin = at + len(text[at:end]) - len(text[at:end].lstrip())
        if begin >= end or text[begin] in "#;":
            at = end + 1
            continue
        line = text.count("\n", 0, at) + 1
        match = ASSIGNMENT.match(text, begin, end)
        if match is None:
            raise EnvFileError(line, "is no `KEY=value`")
        if match[1].startswith("CRONFLOW_"):
            raise EnvFileError(line, f"sets `{match[1]}`, which cronflow sets itself")
        value, at = _value(text, match.end(), line)
        if "\0" in value:
            raise EnvFileError(line, f"has a NUL character in the value of `{match[1]}`")
        found[match[1]] = value
    return found


def _value(text: str, at: int, line: int) -> tuple[str, int]:
    """A value that begins at an offset, and the offset of the next line."""
    quote = text[at : at + 1]
    if quote not in ("'", '"') or not quote:
        bare = BARE.match(text, at)
        raw = bare[0] if bare else ""
        return re.split(r"(?:^|\s)#", raw, maxsplit=1)[0].rstrip(), at + len(raw) + 1
    match = (SINGLE if quote == "'" else DOUBLE).match(text, at)
    if match is None:
        raise EnvFileError(line, f"has a {quote} that is not closed")
    rest = REST.match(text, match.end())
    if rest is None:
        raise EnvFileError(line, "goes on after its closing quote")
    value = match[1]
    if quote == '"':
        value = ESCAPE.sub(lambda escape: "" if escape[1] == "\n" else escape[1], value)
    return value, rest.end() + 1


class Difference(NamedTuple):
    """What a job's environment has that another one has not, what it lacks, and (its value, the other's) where they differ."""

    added: dict[str, str]
    missing: dict[str, str]
    differing: dict[str, tuple[str, str]]


def difference(env: Mapping[str, str], caller: Mapping[str, str], ignored: Sequence[str] = ("_", "SHLVL")) -> Difference:
    """How a job's environment differs from the caller's: why a command works in a shell and not under cronflow.

    CRONFLOW_ values of the job and the shell's own bookkeeping are left out."""
    own = {name: value for name, value in env.items() if not name.startswith("CRONFLOW_")}
    other = {name: value for name, value in caller.items() if name not in ignored}
    return Difference(
        {name: own[name] for name in sorted(own.keys() - other.keys())},
        {name: other[name] for name in sorted(other.keys() - own.keys())},
        {name: (own[name], other[name]) for name in sorted(own.keys() & other.keys()) if own[name] != other[name]},
    )
