"""Where tables are: files, standard input, and what a machine has. Nothing is changed, and every lack is told."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Sequence
from typing import NamedTuple

from cronflow.crontab import anacron, lines, looking
from cronflow.crontab.tables import Daemon, Entry, Kind, Table
from cronflow.errors import CronflowError, Exit
from cronflow.jobfile.machine import ROOT_PATH

SIZE_LIMIT = 10_000_000
"""Bytes. Debian's cron takes 10,000 lines of a thousand characters."""
ALL_TABLES = "`cronflow import --system` looks at all tables of the machine"
SPOOLS = ("var/spool/cron/crontabs", "var/spool/cron", "etc/crontabs")
"""Where daemons keep the crontabs of users: Debian's, cronie, busybox."""
PARTS = tuple(f"etc/cron.{period}" for period in ("hourly", "daily", "weekly", "monthly", "yearly"))
PART = re.compile(r"[A-Za-z0-9_-]+")
"""Names that Debian's cron takes in /etc/cron.d, and run-parts in its folders (cron(8), run-parts(8))."""
LEFT = re.compile(r".*(~|\.rpm(save|new|orig)|,v|\.swp|\.cfsaved|\.dpkg-[a-z]+)|#.*")
"""Names that cronie leaves out there."""


class Found(NamedTuple):
    """The tables of a machine, the scripts in its folders of run-parts, and the files that were left out, with the reason."""

    tables: list[Table]
    folders: dict[str, list[str]]
    left_out: list[tuple[str, str]]


class Choice(NamedTuple):
    """What the caller said about the tables; None and `auto`: found by looking."""

    kind: Kind | None
    daemon: Daemon


def of_file(path: str, choice: Choice) -> Table:
    """A table in a file, `-` for standard input. CronflowError for what is none."""
    if path == "-":
        return table("standard input", _bytes_of(sys.stdin.buffer.read(SIZE_LIMIT + 1), "standard input"), choice)
    return table(path, _read(path), choice)


def of_user(user: str | None, root: str, choice: Choice) -> Table:
    """The crontab of a user, or of the caller. CronflowError without one."""
    import pwd

    me = pwd.getpwuid(os.geteuid()).pw_name if _known(os.geteuid()) else str(os.geteuid())
    name = user or me
    if user is not None and root == "/":
        try:
            pwd.getpwnam(user)
        except KeyError:
            raise CronflowError(f"there is no user `{user}` on this machine", "`getent passwd` lists them") from None
    raw = _crontab(name, name != me) if root == "/" else None
    shown = f"crontab of {name}"
    if raw is None:
        raw, shown = _spooled(name, root)
    owner = None if name == me and root == "/" else name
    return table(shown, _bytes_of(raw, shown), choice._replace(kind=choice.kind or "user"), owner)


def _known(uid: int) -> bool:
    import pwd

    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _crontab(name: str, other: bool) -> bytes | None:
    """What `crontab -l` prints; None where there is no such program."""
    import subprocess  # not for those who name a file

    command = ["crontab", "-l", *(["-u", name] if other else [])]
    env = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=env)
    except FileNotFoundError:
        return None
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip().splitlines()
    told = said[-1] if said else f"`crontab -l` ended with status {done.returncode}"
    if "no crontab for" in told:
        raise CronflowError(f"{name} has no crontab", ALL_TABLES)
    raise _unreadable(f"the crontab of {name}", told, other or "not allowed" in told or "privileged" in told)


def _spooled(name: str, root: str) -> tuple[bytes, str]:
    """The crontab of a user where the daemons keep it, and its path."""
    for spool in SPOOLS:
        path = os.path.join(root, spool, name)
        if stat.S_ISREG(_mode(path)):
            return _read(path), path
    raise CronflowError(f"{name} has no crontab", ALL_TABLES)


def _mode(path: str) -> int:
    """The mode of a file, 0 where there is none. CronflowError where nobody may look."""
    try:
        return os.stat(path).st_mode
    except PermissionError:
        raise _unreadable(f"`{path}`", "permission denied", True) from None
    except OSError:
        return 0


# ---- a machine ------------------------------------------------------------------------------------------------------------


def of_machine(root: str, choice: Choice) -> Found:
    """All tables below a folder: /etc/crontab, /etc/cron.d, an anacrontab, the crontabs of users, and the folders of run-parts.

    A folder that no table names gets a job of its own, as systemd-cron has it."""
    found = Found([], {}, [])
    if not os.path.isdir(root):
        raise CronflowError(f"there is no folder `{root}`", "`--root` takes the folder of another system: `/mnt`")
    if choice.daemon == "auto":
        choice = choice._replace(daemon=daemon_of(root))
    _add(found, root, "etc/crontab", choice._replace(kind="system"))
    for name in (name for name in _listed(root, "etc/cron.d") if name[0] != "."):
        reason = unread(name, choice.daemon)
        if reason:
            found.left_out.append((f"/etc/cron.d/{name}", reason))
        else:
            _add(found, root, f"etc/cron.d/{name}", choice._replace(kind="system"))
    _add(found, root, "etc/anacrontab", choice._replace(kind="anacron"))
    for spool in SPOOLS:
        for name in _listed(root, spool):
            if os.path.isfile(os.path.join(root, spool, name)) and name[0] != "." and not name.startswith("cron.update"):
                _add(found, root, f"{spool}/{name}", choice._replace(kind="user"), name)
    _parts(found, root)
    return found


def _add(found: Found, root: str, path: str, choice: Choice, owner: str | None = None) -> None:
    full = os.path.join(root, path)
    if os.path.isfile(full):
        found.tables.append(table(f"/{path}", _read(full), choice, owner))
    elif os.path.lexists(full):
        found.left_out.append((f"/{path}", "it is no file"))


def _parts(found: Found, root: str) -> None:
    """The folders of run-parts: what is in them, and a table for those that nothing runs."""
    named = "\n".join(item.command for one in found.tables for item in one.items if isinstance(item, Entry))
    entries = []
    for path in PARTS:
        folder = f"/{path}"
        listed = [name for name in _listed(root, path) if PART.fullmatch(name)]
        scripts = [name for name in listed if os.access(os.path.join(root, path, name), os.X_OK)]
        if scripts:
            found.folders[folder] = scripts
            if not re.search(rf"{re.escape(folder)}(?![\w-])", named):
                entries.append(f"@{path.rpartition('.')[2]} root cd / && run-parts {folder}")
    if entries:
        head = f"# No table runs these folders; systemd-cron does, and so do these jobs.\n\nPATH={ROOT_PATH}\n"
        text = head + "".join(f"{one}\n" for one in entries)
        found.tables.append(lines.read("folders of run-parts", text, "system", "auto"))


def _listed(root: str, folder: str) -> Sequence[str]:
    """The names in a folder, in order; none where it is not there. CronflowError where it may not be read."""
    path = os.path.join(root, folder)
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        hint = "call it with `sudo`"
        raise CronflowError(f"`{path}` may not be read, and tables are in it", hint, Exit.NOT_PERMITTED) from None


def unread(name: str, daemon: Daemon) -> str | None:
    """Why cron reads no file of this name in /etc/cron.d."""
    if LEFT.fullmatch(name):
        return "no cron reads a file of such a name"
    if daemon == "debian" and not PART.fullmatch(name):
        return "Debian's cron reads files whose names have letters, digits, `_` and `-` only"
    return None


def daemon_of(root: str) -> Daemon:
    """The daemon that a system has; `auto` where it cannot be told."""
    if os.path.exists(os.path.join(root, "etc/debian_version")) and os.path.exists(os.path.join(root, "usr/sbin/cron")):
        return "debian"
    if os.path.exists(os.path.join(root, "etc/alpine-release")):
        return "busybox"
    return "cronie" if os.path.exists(os.path.join(root, "usr/sbin/crond")) else "auto"


# ---- bytes ----------------------------------------------------------------------------------------------------------------


def table(name: str, raw: bytes, choice: Choice, owner: str | None = None) -> Table:
    """The table that these bytes are. Lone bytes that are no UTF-8 are refused line by line."""
    text = raw.decode("utf-8", "surrogateescape")
    kind = choice.kind or looking.kind_of(name, text)
    daemon = looking.daemon_of(text) if choice.daemon == "auto" else choice.daemon
    if kind == "anacron":
        return anacron.read(name, text, daemon)
    return lines.read(name, text, kind, daemon, owner)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return _bytes_of(file.read(SIZE_LIMIT + 1), path)
    except FileNotFoundError:
        raise CronflowError(f"there is no file `{path}`", ALL_TABLES) from None
    except IsADirectoryError:
        hint = "name a file in it, or `--system --root` if it is the root of a system"
        raise CronflowError(f"`{path}` is a folder, and no crontab", hint) from None
    except OSError as error:
        raise _unreadable(f"`{path}`", (error.strerror or str(error)).lower(), isinstance(error, PermissionError)) from None


def _unreadable(what: str, why: str, denied: bool) -> CronflowError:
    return CronflowError(f"{what} cannot be read: {why}", "call it with `sudo`" if denied else None, 5 if denied else 1)


def _bytes_of(raw: bytes, name: str) -> bytes:
    if len(raw) > SIZE_LIMIT:
        raise CronflowError(f"`{name}` is too long for a crontab: more than {SIZE_LIMIT // 1_000_000} MB", None)
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise CronflowError(f"`{name}` is no crontab: there is a NUL byte in line {line}", "is it a text file?")
    return raw
