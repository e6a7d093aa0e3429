"""Checks the state folder and its database, their disk, the processes that use them, and the clock."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from cronflow.core.words import count, duration
from cronflow.daemon.processes.keepers import STRIDE
from cronflow.daemon.upkeep import disk
from cronflow.doctor.finding import Context, Finding, ok, problem, warning
from cronflow.doctor.machine import daemon_pid
from cronflow.errors import CronflowError
from cronflow.keeper import client as keepers
from cronflow.linux import boot_id
from cronflow.store.file import room_for_copy
from cronflow.store.lookups import first_fault, format_of, newest_run_at
from cronflow.store.queries import History
from cronflow.store.schema import MIGRATIONS
from cronflow.store.standing import standing

BUILT = 1_767_225_600
"""2026-01-01: no correct clock shows an earlier time."""
QUICK = 5.0
"""Seconds that the check of the database may take."""
FIXED = (3, 51, 3)
"""The first SQLite in which two connections that write and checkpoint at once do no harm (https://sqlite.org/wal.html)."""

MOVED = "the daemon moves a damaged database aside and starts a new one"


def check_folder(context: Context) -> Iterator[Finding]:
    """The owner of the state folder, and who may write to it."""
    path = context.places.state
    if not path.exists():
        above = next(parent for parent in path.parents if parent.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield ok("state", f"`{path}` does not exist yet; the first start creates it")
        else:
            message = f"`{path}` does not exist, and this user may not create it in `{above}`"
            yield problem("state", message, "choose another one with `--state`")
        return
    about = path.stat()
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield problem("state_mode", f"others may write to the state folder `{path}`", f"`chmod go-w {path}`")
    if about.st_uid != os.geteuid():
        yield warning("state_owner", f"`{path}` belongs to user {about.st_uid}", "run `cronflow doctor` as that user")
    elif os.access(path, os.W_OK | os.X_OK):
        yield ok("state", f"`{path}` is writable")
    else:
        yield problem("state", f"`{path}` is not writable", f"is its disk mounted read-only? `findmnt -T {path}` shows it")
    for name in ("cronflow.db", "cronflow.db-wal"):
        file = path / name
        if file.exists() and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield problem("database_mode", f"others may read or write `{file}`", f"`chmod 600 {file}`")


def check_disk(context: Context) -> Iterator[Finding]:
    """The free space on the disk of the state folder, compared with what jobs may print."""
    path = next(one for one in (context.places.state, *context.places.state.parents) if one.exists())
    short = disk.shortage(path, False)
    if short is not None:
        yield problem("disk", short, "free some space there, or lower `keep_logs`")
        return
    about = os.statvfs(path)
    left = about.f_bavail * about.f_frsize
    if context.jobs is not None:
        most = sorted((job.max_output for job in context.jobs.jobs.values()), reverse=True)
        needed = sum(most[: context.jobs.settings.max_running])
        if needed > left:
            message = (
                f"{left / 1e6:.0f} MB are free on the disk of `{path}`; jobs that run at once may print {needed / 1e6:.0f} MB"
            )
            yield warning("disk", message, "lower `max_output` of the jobs, or `max_running`")
            return
    yield ok("disk", f"{_size(left)} are free on the disk of `{path}`")


def _size(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def check_database(context: Context) -> Iterator[Finding]:
    """Whether the history can be read, whether it is intact, and which troubles it records."""
    path = context.places.database
    if not path.exists():
        yield ok("database", "there is no history yet")
        return
    try:
        with History.open(path) as history:
            version = format_of(history)
            if version < len(MIGRATIONS):
                yield _old_format(history.db, path, version)
            integrity = _integrity(history.db, path.stat().st_size)
            yield integrity
            if integrity.result == "ok":
                yield from _recorded(context, history)
    except CronflowError as error:
        yield problem("database", error.message, error.hint)
    except sqlite3.DatabaseError as error:
        yield problem("database", f"`{path}` is damaged: {error}", MOVED)


def _old_format(db: sqlite3.Connection, path: Path, version: int) -> Finding:
    """What the next start does with a database of an older format, and whether there is room for it."""
    message = f"the database has format {version}; the next start copies it and converts it to {len(MIGRATIONS)}"
    needed, left = room_for_copy(db, path)
    if version and left < needed:
        message += f", which needs {_size(needed)}: {_size(left)} are free, so the daemon will not start"
        return problem("database_format", message, f"make room in `{path.parent}`")
    return ok("database_format", message)


def _recorded(context: Context, history: History) -> Iterator[Finding]:
    now = standing(history, context.now)
    yield from (problem("trouble", one.message, "`cronflow status` shows more") for one in now.troubles)
    for late in now.undelivered:
        since = duration(context.now - late.since)
        message = f"{count(late.number, 'alert')} to `{late.target}` undelivered for {since}: {late.error or 'not tried yet'}"
        yield warning("undelivered", message, f"`cronflow alerts test {late.target}`")
    newest = newest_run_at(history)
    if newest is not None and newest > context.now + 60:
        yield problem("clock", "the newest run was opened in the future: the clock has been set back", "`timedatectl`")
    if context.daemon is None and now.meta.get("boot") not in (None, boot_id()):
        yield warning("daemon_down", "no daemon has run since the machine started", "`systemctl enable --now cronflow`")


def _integrity(db: sqlite3.Connection, size: int) -> Finding:
    """SQLite's own check, for a few seconds at most."""
    end = time.monotonic() + QUICK
    db.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        result = first_fault(db)
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        result = "in part"
    finally:
        db.set_progress_handler(None, 0)
    if result == "ok":
        return ok("database", f"the database is intact, {size / 1e6:.1f} MB")
    if result == "in part":
        return ok("database", f"the database can be read, {size / 1e6:.0f} MB; {QUICK:g} s were too short to check all of it")
    return problem("database", f"the database is damaged: {result}", MOVED)


def check_sqlite(context: Context) -> Iterator[Finding]:
    """The version of SQLite, and programs other than the daemon that could write to the database."""
    import psutil

    version, path = sqlite3.sqlite_version, os.path.realpath(context.places.database)
    ours = (os.getpid(), daemon_pid(context.places) if context.daemon is None else context.daemon.get("pid"))
    found = False
    for process in psutil.process_iter():
        try:
            opened = process.pid not in ours and any(one.path == path and one.mode != "r" for one in process.open_files())
            name = process.name()
        except psutil.Error:
            continue
        if opened:
            found = True
            message = f"process {process.pid} (`{name}`) has the database open for writing"
            yield problem("sqlite", message, "only the daemon may write: let that program use a copy")
    if not found:
        known = "; before 3.51.3 two programs that write at once can damage a database: only the daemon may write to it"
        yield ok("sqlite", f"SQLite {version}{known if sqlite3.sqlite_version_info < FIXED else ''}")


def check_keepers(context: Context) -> Iterator[Finding]:
    """The keepers that hold commands, including those of earlier daemons."""
    folder = str(context.places.journals)
    if not os.path.isdir(folder):
        return
    living = keepers.living(folder)
    newest = max(keepers.generations(folder), default=0) // STRIDE
    older = [number for number in living if number // STRIDE < newest]
    if context.daemon is None and living:
        yield ok("keepers", f"{count(len(living), 'keeper holds', 'keepers hold')} commands until a daemon takes over")
    elif older:
        yield ok("keepers", f"{count(len(older), 'keeper', 'keepers')} of earlier daemons still hold commands")


def check_clock(context: Context) -> Iterator[Finding]:
    """Whether the clock can be right, and whether it is synchronized."""
    if context.now < BUILT:
        yield problem("clock", "the clock is years behind", "`timedatectl set-ntp true`, or `date -s`")
        return
    seen = context.places.alive.stat().st_mtime if context.places.alive.exists() else 0.0
    if seen > context.now + 60:
        yield problem("clock", "a daemon was last seen alive in the future: the clock has been set back", "`timedatectl`")
        return
    if _unsynchronized():
        yield warning("clock", "the clock is not synchronized, according to the kernel", "`timedatectl set-ntp true`")
    else:
        yield ok("clock", "the clock is synchronized")


def _unsynchronized() -> bool:
    """Whether adjtimex(2) says so; False if the kernel cannot be asked."""
    import ctypes

    buffer = ctypes.create_string_buffer(256)  # modes 0: read only
    try:
        return bool(ctypes.CDLL(None).adjtimex(buffer) == 5)  # TIME_ERROR
    except (OSError, AttributeError):
        return False
