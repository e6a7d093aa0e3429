"""Finds crontabs: in files, on standard input, and on a machine. Nothing is changed; whatever is left out is reported."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Sequence
from typing import NamedTuple

from cronflow.crontab import anacron, detect, lines
from cronflow.crontab.tables import CrontabEntry, CronTable, Daemon, TableKind
from cronflow.errors import CronflowError, Exit
from cronflow.jobfile.machine import ROOT_PATH, caller_name

SIZE_LIMIT = 10_000_000
"""Bytes. Debian's cron accepts 10,000 lines of a thousand characters."""
ALL_TABLES = "`cronflow import --system` reads all crontabs of the machine"
SPOOLS = ("var/spool/cron/crontabs", "var/spool/cron", "etc/crontabs")
"""Where Debian's cron, cronie and busybox keep the crontabs of users, below the root."""
PARTS = tuple(f"etc/cron.{period}" for period in ("hourly", "daily", "weekly", "monthly", "yearly"))
PART = re.compile(r"[A-Za-z0-9_-]+")
"""Names that Debian's cron accepts in /etc/cron.d, and run-parts in its folders (cron(8), run-parts(8))."""
LEFTOVER = re.compile(r".*(~|\.rpm(save|new|orig)|,v|\.swp|\.cfsaved|\.dpkg-[a-z]+)|#.*")
"""Names that cronie ignores there."""


class MachineTables(NamedTuple):
    """The crontabs of a machine, the scripts in its run-parts folders, and the files that were left out, with the reasons."""

    tables: list[CronTable]
    folders: dict[str, list[str]]
    left_out: list[tuple[str, str]]


class ReadingOptions(NamedTuple):
    """What is known about a crontab before it is read; None and `auto`: to be detected."""

    kind: TableKind | None
    daemon: Daemon


def of_file(path: str, options: ReadingOptions) -> CronTable:
    """The crontab in a file, `-` for standard input. Raises CronflowError if it cannot be read or is not a crontab."""
    if path == "-":
        return table("standard input", _bytes_of(sys.stdin.buffer.read(SIZE_LIMIT + 1), "standard input"), options)
    return table(path, _read(path), options)


def of_user(user: str | None, root: str, options: ReadingOptions) -> CronTable:
    """The crontab of a user, or of the caller. Raises CronflowError if there is none."""
    import pwd

    me = caller_name()
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
    return table(shown, _bytes_of(raw, shown), options._replace(kind=options.kind or "user"), owner)


def _crontab(name: str, other: bool) -> bytes | None:
    """The output of `crontab -l`; None if there is no such program. Raises CronflowError if it fails."""
    import subprocess  # not for those who name a file

    command = ["crontab", "-l", *(["-u", name] if other else [])]
    env = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, env=env)
    except FileNotFoundError:
        return None
    if done.returncode == 0:
        return done.stdout
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else f"`crontab -l` exited with status {done.returncode}"
    if "no crontab for" in reason:
        raise CronflowError(f"{name} has no crontab", ALL_TABLES)
    raise _unreadable(f"the crontab of {name}", reason, other or "not allowed" in reason or "privileged" in reason)


def _spooled(name: str, root: str) -> tuple[bytes, str]:
    """The crontab of a user in a spool folder, and its path. Raises CronflowError if there is none."""
    for spool in SPOOLS:
        path = os.path.join(root, spool, name)
        if stat.S_ISREG(_mode(path)):
            return _read(path), path
    raise CronflowError(f"{name} has no crontab", ALL_TABLES)


def _mode(path: str) -> int:
    """The mode of a file, 0 if there is none. Raises CronflowError if permission is denied."""
    try:
        return os.stat(path).st_mode
    except PermissionError:
        raise _unreadable(f"`{path}`", "permission denied", True) from None
    except OSError:
        return 0


# ---- a machine ------------------------------------------------------------------------------------------------------------


def of_machine(root: str, options: ReadingOptions) -> MachineTables:
    """All crontabs below a folder: /etc/crontab, /etc/cron.d, an anacrontab, the crontabs of users, and the run-parts folders.

    A run-parts folder that no crontab names gets its own job, as in systemd-cron. Raises CronflowError if there is no such
    folder, or it cannot be read."""
    found = MachineTables([], {}, [])
    if not os.path.isdir(root):
        raise CronflowError(f"there is no folder `{root}`", "`--root` takes the folder of another system: `/mnt`")
    if options.daemon == "auto":
        options = options._replace(daemon=daemon_of(root))
    _add(found, root, "etc/crontab", options._replace(kind="system"))
    for name in (name for name in _listed(root, "etc/cron.d") if name[0] != "."):
        reason = ignored_reason(name, options.daemon)
        if reason:
            found.left_out.append((f"/etc/cron.d/{name}", reason))
        else:
            _add(found, root, f"etc/cron.d/{name}", options._replace(kind="system"))
    _add(found, root, "etc/anacrontab", options._replace(kind="anacron"))
    for spool in SPOOLS:
        for name in _listed(root, spool):
            if os.path.isfile(os.path.join(root, spool, name)) and name[0] != "." and not name.startswith("cron.update"):
                _add(found, root, f"{spool}/{name}", options._replace(kind="user"), name)
    _parts(found, root)
    return found


def _add(found: MachineTables, root: str, path: str, options: ReadingOptions, owner: str | None = None) -> None:
    full = os.path.join(root, path)
    if os.path.isfile(full):
        found.tables.append(table(f"/{path}", _read(full), options, owner))
    elif os.path.lexists(full):
        found.left_out.append((f"/{path}", "it is not a file"))


def _parts(found: MachineTables, root: str) -> None:
    """Add the scripts in the run-parts folders, and a crontab for those that nothing runs."""
    commands = "\n".join(item.command for table in found.tables for item in table.items if isinstance(item, CrontabEntry))
    entries = []
    for path in PARTS:
        folder = f"/{path}"
        listed = [name for name in _listed(root, path) if PART.fullmatch(name)]
        scripts = [name for name in listed if os.access(os.path.join(root, path, name), os.X_OK)]
        if scripts:
            found.folders[folder] = scripts
            if not re.search(rf"{re.escape(folder)}(?![\w-])", commands):
                entries.append(f"@{path.rpartition('.')[2]} root cd / && run-parts {folder}")
    if entries:
        head = f"# No crontab runs these folders; systemd-cron does, and so do these jobs.\n\nPATH={ROOT_PATH}\n"
        text = head + "".join(f"{entry}\n" for entry in entries)
        found.tables.append(lines.read("run-parts folders", text, "system", "auto"))


def _listed(root: str, folder: str) -> Sequence[str]:
    """The names in a folder, sorted; none if it does not exist. Raises CronflowError if permission is denied."""
    path = os.path.join(root, folder)
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except PermissionError:
        message = f"`{path}`, which may hold crontabs, cannot be read"
        raise CronflowError(message, "run it with `sudo`", Exit.NOT_PERMITTED) from None


def ignored_reason(name: str, daemon: Daemon) -> str | None:
    """Why cron ignores a file of this name in /etc/cron.d; None if it does not."""
    if LEFTOVER.fullmatch(name):
        return "no cron reads files of such names"
    if daemon == "debian" and not PART.fullmatch(name):
        return "Debian's cron only reads files whose names consist of letters, digits, `_` and `-`"
    return None


def daemon_of(root: str) -> Daemon:
    """The cron daemon of a system; `auto` if it cannot be detected."""
    if os.path.exists(os.path.join(root, "etc/debian_version")) and os.path.exists(os.path.join(root, "usr/sbin/cron")):
        return "debian"
    if os.path.exists(os.path.join(root, "etc/alpine-release")):
        return "busybox"
    return "cronie" if os.path.exists(os.path.join(root, "usr/sbin/crond")) else "auto"


# ---- bytes ----------------------------------------------------------------------------------------------------------------


def table(name: str, raw: bytes, options: ReadingOptions, owner: str | None = None) -> CronTable:
    """The crontab in these bytes. Bytes that are not UTF-8 are refused line by line."""
    text = raw.decode("utf-8", "surrogateescape")
    kind = options.kind or detect.kind_of(name, text)
    daemon = detect.daemon_of(text) if options.daemon == "auto" else options.daemon
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
        raise CronflowError(f"`{path}` is a folder, not a crontab", hint) from None
    except OSError as error:
        raise _unreadable(f"`{path}`", (error.strerror or str(error)).lower(), isinstance(error, PermissionError)) from None


def _unreadable(subject: str, reason: str, denied: bool) -> CronflowError:
    message = f"{subject} cannot be read: {reason}"
    return CronflowError(message, "run it with `sudo`", Exit.NOT_PERMITTED) if denied else CronflowError(message)


def _bytes_of(raw: bytes, name: str) -> bytes:
    if len(raw) > SIZE_LIMIT:
        raise CronflowError(f"`{name}` is too long for a crontab: more than {SIZE_LIMIT // 1_000_000} MB", None)
    if b"\0" in raw:
        line = raw[: raw.index(b"\0")].count(b"\n") + 1
        raise CronflowError(f"`{name}` is not a crontab: there is a NUL byte in line {line}", "is it a text file?")
    return raw
