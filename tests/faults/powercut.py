"""A power cut between any two writes to the database: what had been synced is there, of the rest anything may be, even in parts.

The tape of a day has every write to the database and its logs. From it the disk is made up as it may be found after each of them,
and opened: it must be sound, and hold exactly what it held after one of the commits around that moment.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from cronflow.store.store import FILE, Store
from tests.faults.effects import Stage, play
from tests.faults.rows import Outcome, Row
from tests.faults.seam import Effect

NAMES = (FILE, f"{FILE}-wal", f"{FILE}-journal")
SECTOR = 512
"""Bytes that a disk writes as a whole."""
DEEDS = ("send", "spawn")
SCENES = ("birth", "day")

Change = Callable[[bytearray], None]


class File:
    """A file of the database, as all that read it see it, and as the disk surely has it."""

    def __init__(self) -> None:
        self.seen = bytearray()
        self.synced = b""
        self.pending: list[Change] = []

    def change(self, change: Change) -> None:
        """Do something that is not yet synced."""
        change(self.seen)
        self.pending.append(change)

    def sync(self) -> None:
        """All of it is on the disk now."""
        if self.pending:
            self.synced = bytes(self.seen)
        self.pending.clear()

    def torn(self, dice: random.Random) -> bytes:
        """What was synced, and of the rest what the disk has happened to write, a last piece in part."""
        found = bytearray(self.synced)
        for change in self.pending:
            if dice.random() < 0.6:
                change(found)
        if self.pending and dice.random() < 0.7:
            before = bytes(found)
            self.pending[-1](found)
            cut = dice.randrange(0, len(found) + 1, SECTOR)
            found[cut:] = before[cut:] if len(before) > cut else b""
        return bytes(found)


class Disk:
    """The files by their names; names that have come or gone since the folder was synced may be found or not."""

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self.fresh: set[str] = set()
        self.gone: dict[str, File] = {}
        self.syncs = 0

    def take(self, effect: Effect, name: str | None) -> None:
        """Let a call of the tape have been made."""
        self.syncs += effect.call in ("fsync", "fdatasync", "create", "unlink")
        if effect.call == "fdatasync" and name is None:
            self.fresh.clear()
            self.gone.clear()
        elif name is None:
            return
        elif effect.call == "create":
            self.files[name] = File()
            self.fresh.add(name)
        elif effect.call == "unlink" and name in self.files:
            self.gone[name] = self.files.pop(name)
        elif name in self.files:
            self._change(self.files[name], effect)

    def _change(self, file: File, effect: Effect) -> None:
        at, data = effect.offset, effect.data
        if effect.call == "pwrite":
            file.change(lambda content: _put(content, at, data))
        elif effect.call == "ftruncate":
            file.change(lambda content: _resize(content, at))
        elif effect.call in ("fsync", "fdatasync"):
            file.sync()

    @property
    def dirty(self) -> bool:
        """Whether something of the logs is not yet on the disk: of a commit, that is."""
        return any(file.pending for name, file in self.files.items() if name != FILE)

    def found(self, how: str, dice: random.Random) -> dict[str, bytes]:
        """The files after a power cut: `whole`, `synced` (nothing else came to the disk), or `torn`."""
        if how == "whole":
            return {name: bytes(file.seen) for name, file in self.files.items()}
        content = {name: file.synced if how == "synced" else file.torn(dice) for name, file in self.files.items()}
        back = {name: file.synced for name, file in self.gone.items() if name not in content and dice.random() < 0.5}
        away = {name for name in self.fresh if dice.random() < 0.5}
        return {name: data for name, data in (content | back).items() if name not in away}


def _put(content: bytearray, at: int, data: bytes) -> None:
    if len(content) < at:
        content.extend(bytes(at - len(content)))
    content[at : at + len(data)] = data


def _resize(content: bytearray, size: int) -> None:
    del content[size:]
    content.extend(bytes(size - len(content)))


# ---- what is in it --------------------------------------------------------------------------------------------------------


class Found(NamedTuple):
    """A database as it was opened: a digest of all rows, and what is wrong."""

    rows: str
    wrong: str = ""


def opened(content: dict[str, bytes], folder: Path) -> Found:
    """Put the files into a folder, open them as a daemon does, and look."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    (folder / "alive").touch()
    empty = not content.get(FILE)
    try:
        store = Store.open(folder)
    except Exception as error:
        return Found("", f"it does not open: {error!r}")
    with closing(store.connection) as db:
        if store.moved_aside is not None and not empty:
            return Found("", "it counts as damaged, and is moved aside")
        if (sound := db.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            return Found("", f"it is not sound: {sound}")
        try:
            store.load()
        except Exception as error:
            return Found("", f"its live state cannot be loaded: {error!r}")
        return Found(_digest(db))


def _digest(db: sqlite3.Connection) -> str:
    digest = hashlib.sha256()
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name != 'reserve' ORDER BY name"
    tables = [row[0] for row in db.execute(query)]
    for table in tables:
        digest.update(table.encode())
        for row in sorted(map(repr, db.execute(f"SELECT * FROM {table}"))):
            digest.update(row.encode())
    return digest.hexdigest()


# ---- the campaign ---------------------------------------------------------------------------------------------------------


class Tape(NamedTuple):
    """What was written to the database in a scene, call by call."""

    scene: str
    before: dict[str, bytes]
    effects: list[tuple[Effect, str | None]]

    def disk(self) -> Disk:
        """The disk before the first call."""
        disk = Disk()
        for name, data in self.before.items():
            disk.files[name] = File()
            disk.files[name].seen[:] = data
            disk.files[name].synced = data
        return disk


def record(stage: Stage, scene: str) -> Tape:
    """The tape of a scene to which nothing happens."""
    with stage.installation(scene) as (one, shared):
        state = one.live.state
        before = {name: (state / name).read_bytes() for name in NAMES if (state / name).exists()}
        shared.record()
        play(one, shared)
        mine = [(effect, _name(effect, state)) for effect in shared.effects() if effect.role == "daemon"]
        kept = [(effect, name) for effect, name in mine if name is not None or effect.call in DEEDS or effect.path == str(state)]
        disk = Tape(scene, before, kept).disk()
        for effect, name in kept:
            disk.take(effect, name)
        assert disk.found("whole", random.Random(0))[FILE] == (state / FILE).read_bytes(), "the tape is not the truth"
    return Tape(scene, before, kept)


def _name(effect: Effect, state: Path) -> str | None:
    folder, _, name = effect.path.rpartition("/")
    return name if folder == str(state) and name in NAMES else None


def run(trials: int, seed: int) -> Outcome:
    """Cut the power after so many writes, evenly spread; 0: after each. Each time the disk is found in three ways."""
    stage = Stage(tape=256 << 20)
    try:
        tapes = [record(stage, scene) for scene in SCENES]
    finally:
        stage.close()
    dice = random.Random(seed)
    total = sum(len(tape.effects) for tape in tapes)
    step = max(total // trials, 1) if trials else 1
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="faults-power-", dir=memory))
    try:
        outs = [_cut(tape, step, dice, folder / "state") for tape in tapes]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    note = f"{total:,} calls in {len(tapes)} scenes, each time the disk found whole, synced and torn"
    return sum(outs, Outcome(0))._replace(notes=(note,))


def _cut(tape: Tape, step: int, dice: random.Random, folder: Path) -> Outcome:
    commits = _commits(tape, folder)
    disk, current, out = tape.disk(), 0, Outcome(0)
    offset, looked = dice.randrange(step), -1
    for number, (effect, name) in enumerate(tape.effects):
        if effect.call in DEEDS and disk.dirty:
            wrong = f"{tape.scene}: {effect} is made before what was decided is on the disk"
            out += Outcome(0, wrong=(wrong,))
        disk.take(effect, name)
        current += number in commits.places
        if number % step != offset:
            continue
        lost = 0
        wrong_here = []
        for how in ("whole", "torn") if looked == disk.syncs else ("whole", "torn", "synced"):
            found = opened(disk.found(how, dice), folder)
            legal = commits.states[current : current + (1 if how == "synced" else 2)]
            if found.wrong or found.rows not in legal:
                lost += found.rows not in legal
                about = found.wrong or "it holds what no commit of that moment has left"
                wrong_here.append(f"{tape.scene}: after {number} {effect} ({how}): {about}")
        looked = disk.syncs
        out += Outcome(1, lost, 0, tuple(wrong_here))
        if out.trials % 1000 == 0:
            print(f"{number} of {len(tape.effects)}, {len(out.wrong)} wrong", file=sys.stderr, flush=True)
    return out


class Commits(NamedTuple):
    """After which calls of a tape the database holds something else for good, and what: one state more than there are places."""

    places: set[int]
    states: list[str]


def _commits(tape: Tape, folder: Path) -> Commits:
    """Each sync of a log ends a commit, or is made for nothing."""
    disk = tape.disk()
    states = [opened(disk.found("whole", random.Random(0)), folder).rows]
    places = set()
    for number, (effect, name) in enumerate(tape.effects):
        disk.take(effect, name)
        if effect.call in ("fdatasync", "fsync", "unlink") and name is not None:
            found = opened(disk.found("whole", random.Random(0)), folder)
            if found.rows != states[-1]:
                places.add(number)
                states.append(found.rows)
    return Commits(places, states)


ROWS = (
    Row(
        *("power-cut", "a power cut after the k-th write to the database, the disk found whole, synced and torn", 0, 60, run),
        uncounted=("twice",),
    ),
)
