"""The cached reading of a job file: its last good one, which the daemon and `check` save in the state folder.

Commands that only show something load it from there, at a third of the cost of reading and checking the file itself. It is valid
while its inputs are unchanged: the program, the text of every file, the matches of `include`, the machine's zone and name. A file
with the same inode, size and times is not read to verify that, unless it was changed so shortly before the reading was saved that
its times prove nothing. The names of the jobs are saved beside it, for the completion of shells.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cronflow import __version__
from cronflow.core.plan.effective import EffectiveConfig, frame_as_plain, from_plain
from cronflow.files import read_regular
from cronflow.jobfile.machine import machine_zone

if TYPE_CHECKING:
    from cronflow.jobfile.read import Reading

T = TypeVar("T")
FILE = "reading"
NAMES = "names"
SETTLED = 1.0
"""Seconds after which a further change gives a file another time, on any file system."""
LIMIT = 256 << 20
"""Bytes of the largest file that is read."""


def save_reading(folder: Path, reading: Reading) -> None:
    """Save a reading in a state folder, if there is one. Raises OSError, which callers may ignore: it is only a cache."""
    if not folder.is_dir():
        return
    _write(folder / NAMES, reading.jobs.jobs)
    sources = [[path, digest.hex(), _settled_stamp(path, digest.hex())] for path, digest in reading.sources]
    inputs = {"made": _inputs(reading.include), "sources": sources, "count": len(reading.jobs.jobs)}
    head = {**inputs, "reading": frame_as_plain(reading.jobs)}
    lines = chain((head,), (job.as_dict() for job in reading.jobs.jobs.values()))
    _write(folder / FILE, map(json.JSONEncoder(separators=(",", ":")).encode, lines))


def cached_reading(folder: Path, file: Path) -> EffectiveConfig | None:
    """The cached reading of a job file, from its state folder; None if there is no valid one."""
    return _load(folder, file, lambda reading, jobs: from_plain({**reading, "jobs": json.loads(b"[%s]" % b",".join(jobs))}))


def cached_zone(folder: Path, file: Path) -> str | None:
    """The zone of the cached reading, without the rest of it; None if there is no valid one."""
    return _load(folder, file, lambda reading, _: str(reading["timezone"]))


def _load(folder: Path, file: Path, extract: Callable[[Any, list[bytes]], T]) -> T | None:
    text = _text(str(folder / FILE))
    if text is None:
        return None
    try:
        head, *jobs = text.splitlines()
        plain = json.loads(head)
        sources = plain["sources"]
        if sources[0][0] != str(file) or plain["made"] != _inputs(plain["made"]["include"]):
            return None
        if len(jobs) != plain["count"]:
            return None
        if not all((stamp and stamp == _stamp(path)) or _digest(path) == digest for path, digest, stamp in sources):
            return None
        return extract(plain["reading"], jobs)
    except (ValueError, TypeError, LookupError, AttributeError):  # written by another program, or truncated
        return None


def _inputs(include: Any) -> dict[str, Any]:
    """What a reading depends on besides the text of its files."""
    found: list[str] = []
    if include:
        import glob

        found = sorted({os.path.normpath(path) for pattern in include for path in glob.glob(pattern, recursive=True)})
    host = os.uname().nodename
    return {"program": __version__, "zone": machine_zone(), "host": host, "include": list(include), "found": found}


def _settled_stamp(path: str, digest: str) -> list[int] | None:
    """The stamp that proves that a file still has the text of this digest; None if its times are too recent to prove it."""
    stamp = _stamp(path)
    same = stamp is not None and _digest(path) == digest and _stamp(path) == stamp
    return stamp if same and stamp is not None and max(stamp[3:]) < (time.time() - SETTLED) * 1e9 else None


def _stamp(path: str) -> list[int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


def _digest(path: str) -> str | None:
    import hashlib

    text = _text(path)
    return None if text is None else hashlib.sha256(text).hexdigest()


def _text(path: str) -> bytes | None:
    """Read a file without waiting; None if there is none, or it is not a regular file."""
    try:
        data, _ = read_regular(path, LIMIT)
    except OSError:
        return None
    return data if len(data) <= LIMIT else None


def _write(path: Path, lines: Iterable[str]) -> None:
    """Replace a file atomically. Line by line: memory that the daemon needs only for a moment it would never give back."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.writelines(f"{line}\n".encode("utf-8", "surrogateescape") for line in lines)
        fresh.replace(path)
    finally:
        with suppress(FileNotFoundError):
            fresh.unlink()
