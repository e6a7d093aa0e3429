"""The state folder and its database, the disk below them, who works on them, and the clock."""

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
from cronflow.doctor.finding import Finding, Scene, ok, problem, warning
from cronflow.doctor.machine import holder
from cronflow.errors import CronflowError
from cronflow.keeper import client as keepers
from cronflow.linux import boot_id
from cronflow.store.copying import room_for_copy
from cronflow.store.queries import History
from cronflow.store.schema import MIGRATIONS
from cronflow.store.standing import standing

BUILT = 1_767_225_600
"""2026-01-01: no clock that is right is before that."""
QUICK = 5.0
"""Seconds that the look through the database may take."""
FIXED = (3, 51, 3)
"""The SQLite in which two connections that write and checkpoint at once do no harm any more (https://sqlite.org/wal.html)."""

MOVED = "the daemon moves it aside when it meets that, and begins a new one"


def folder(scene: Scene) -> Iterator[Finding]:
    """Whose the state folder is, and who may write into it."""
    path = scene.places.state
    if not path.exists():
        above = next(one for one in path.parents if one.exists())
        if os.access(above, os.W_OK | os.X_OK):
            yield ok("state", f"`{path}` is not there yet; the first start makes it")
        else:
            told = f"`{path}` is not there, and this user may not make it in `{above}`"
            yield problem("state", told, "name another one with `--state`")
        return
    about = path.stat()
    if about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield problem("state_mode", f"others may write into the state folder `{path}`", f"`chmod go-w {path}`")
    if about.st_uid != os.geteuid():
        yield warning("state_owner", f"`{path}` belongs to user {about.st_uid}", "call `cronflow doctor` as that user")
    elif os.access(path, os.W_OK | os.X_OK):
        yield ok("state", f"`{path}` can be written")
    else:
        yield problem("state", f"`{path}` cannot be written", "is its disk mounted read-only? `findmnt -T` tells")
    for name in ("cronflow.db", "cronflow.db-wal"):
        file = path / name
        if file.exists() and file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            yield problem("database_mode", f"others may read or write `{file}`", f"`chmod 600 {file}`")


def room(scene: Scene) -> Iterator[Finding]:
    """What the disk of the state folder has left, against what jobs may print."""
    path = next(one for one in (scene.places.state, *scene.places.state.parents) if one.exists())
    short = disk.shortage(path, False)
    if short is not None:
        yield problem("disk", short, "free space there, or set `keep_logs` lower")
        return
    about = os.statvfs(path)
    left = about.f_bavail * about.f_frsize
    if scene.jobs is not None:
        most = sorted((job.max_output for job in scene.jobs.jobs.values()), reverse=True)
        needed = sum(most[: scene.jobs.settings.max_running])
        if needed > left:
            told = f"{left / 1e6:.0f} MB are left on the disk of `{path}`; jobs that run at once may print {needed / 1e6:.0f} MB"
            yield warning("disk", told, "`max_output` of the jobs, or `max_running`, makes that less")
            return
    yield ok("disk", f"{_size(left)} are left on the disk of `{path}`")


def _size(size: float) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def database(scene: Scene) -> Iterator[Finding]:
    """Whether the history can be read, whether it is whole, and what it says of troubles."""
    path = scene.places.database
    if not path.exists():
        yield ok("database", "there is no history yet")
        return
    try:
        with History.open(path) as history:
            version = history.scalar("PRAGMA user_version")
            if version < len(MIGRATIONS):
                yield _old_format(history.db, path, version)
            whole = _integrity(history.db, path.stat().st_size)
            yield whole
            if whole.result == "ok":
                yield from _told(scene, history)
    except CronflowError as error:
        yield problem("database", error.message, error.hint)
    except sqlite3.DatabaseError as error:
        yield problem("database", f"`{path}` is damaged: {error}", MOVED)


def _old_format(db: sqlite3.Connection, path: Path, version: int) -> Finding:
    """What the next start does with a database of an older format, and whether it can."""
    told = f"the database has format {version}; the next start copies it and makes {len(MIGRATIONS)} of it"
    needed, left = room_for_copy(db, path)
    if version and left < needed:
        told += f", which needs {_size(needed)}: {_size(left)} are left, so the daemon will not start"
        return problem("database_format", told, f"make room in `{path.parent}`")
    return ok("database_format", told)


def _told(scene: Scene, history: History) -> Iterator[Finding]:
    """What the history itself says of troubles."""
    now = standing(history, scene.now)
    yield from (problem("trouble", one.message, "`cronflow status` tells more") for one in now.troubles)
    for late in now.undelivered:
        since = duration(scene.now - late.since)
        told = f"{count(late.number, 'alert')} to `{late.target}` undelivered for {since}: {late.error or 'not tried yet'}"
        yield warning("undelivered", told, f"`cronflow alerts test {late.target}`")
    newest = history.scalar("SELECT created_at FROM runs ORDER BY id DESC LIMIT 1")
    if newest is not None and newest > scene.now + 60:
        yield problem("clock", "the newest run was opened in the future: the clock has been set back", "`timedatectl`")
    if scene.daemon is None and now.meta.get("boot") not in (None, boot_id()):
        yield warning("daemon_down", "no daemon has run since the machine was started", "`systemctl enable --now cronflow`")


def _integrity(db: sqlite3.Connection, size: int) -> Finding:
    """SQLite's own look, for as long as a person waits."""
    end = time.monotonic() + QUICK
    db.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        said = str(db.execute("PRAGMA quick_check(1)").fetchone()[0]).splitlines()[-1]
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        said = "in part"
    finally:
        db.set_progress_handler(None, 0)
    if said == "ok":
        return ok("database", f"the database is whole, {size / 1e6:.1f} MB")
    if said == "in part":
        return ok("database", f"the database can be read, {size / 1e6:.0f} MB; {QUICK:g} s were too few to look at all of it")
    return problem("database", f"the database is damaged: {said}", MOVED)


def sqlite(scene: Scene) -> Iterator[Finding]:
    """The SQLite in use, and programs besides the daemon that could write to the database."""
    import psutil

    version, path = sqlite3.sqlite_version, os.path.realpath(scene.places.database)
    ours = (os.getpid(), holder(scene.places) if scene.daemon is None else scene.daemon.get("pid"))
    found = False
    for process in psutil.process_iter():
        try:
            opened = process.pid not in ours and any(one.path == path and one.mode != "r" for one in process.open_files())
            name = process.name()
        except psutil.Error:
            continue
        if opened:
            found = True
            told = f"process {process.pid} (`{name}`) has the database open for writing"
            yield problem("sqlite", told, "only the daemon may: let that program read a copy")
    if not found:
        known = "; before 3.51.3 two programs that write at once can damage a database: only the daemon may write to this one"
        yield ok("sqlite", f"SQLite {version}{known if sqlite3.sqlite_version_info < FIXED else ''}")


def holders(scene: Scene) -> Iterator[Finding]:
    """Keepers that hold commands, also those of earlier daemons."""
    folder = str(scene.places.journals)
    if not os.path.isdir(folder):
        return
    living = keepers.living(folder)
    newest = max(keepers.generations(folder), default=0) // STRIDE
    older = [number for number in living if number // STRIDE < newest]
    if scene.daemon is None and living:
        yield ok("keepers", f"{count(len(living), 'keeper holds', 'keepers hold')} commands until a daemon hears of them")
    elif older:
        yield ok("keepers", f"{count(len(older), 'keeper', 'keepers')} of earlier daemons still hold commands")


def clock(scene: Scene) -> Iterator[Finding]:
    """Whether the clock can be right, and whether something keeps it so."""
    if scene.now < BUILT:
        yield problem("clock", "the clock is years behind", "`timedatectl set-ntp true`, or `date -s`")
        return
    seen = scene.places.alive.stat().st_mtime if scene.places.alive.exists() else 0.0
    if seen > scene.now + 60:
        yield problem("clock", "a daemon was last seen alive in the future: the clock has been set back", "`timedatectl`")
        return
    if _unsynchronized():
        yield warning("clock", "nothing keeps the clock right: the kernel calls it unsynchronised", "`timedatectl set-ntp true`")
    else:
        yield ok("clock", "the clock is kept right")


def _unsynchronized() -> bool:
    """What adjtimex(2) says; False where the kernel cannot be asked."""
    import ctypes

    buffer = ctypes.create_string_buffer(256)  # modes 0: read only
    try:
        return bool(ctypes.CDLL(None).adjtimex(buffer) == 5)  # TIME_ERROR
    except (OSError, AttributeError):
        return False
