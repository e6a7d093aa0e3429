"""The last good reading of a job file, kept in its state folder by who has read it: the daemon, and `check`.

A command that only shows something takes it from there, which costs a third of reading and checking the file itself. It counts as
long as all that it was made of is the same: the program, the text of every file, the files that `include` finds, the machine's
zone and name. A file that is the same by inode, size and times is not read for that, unless it was changed so shortly before the
reading was kept that its times cannot tell. Beside it lie the names of the jobs, for the completion of shells.
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
from cronflow.core.plan.effective import InForce, frame_as_plain, from_plain
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
"""Bytes of a file that is looked at."""


def keep(folder: Path, reading: Reading) -> None:
    """Keep a reading in a state folder, if there is one. OSError if that cannot be: it is a convenience, and no more."""
    if not folder.is_dir():
        return
    _write(folder / NAMES, reading.jobs.jobs)
    sources = [[path, digest.hex(), _stamp(path, digest.hex())] for path, digest in reading.sources]
    made = {"made": _made(reading.include), "sources": sources, "count": len(reading.jobs.jobs)}
    head = {**made, "reading": frame_as_plain(reading.jobs)}
    lines = chain((head,), (job.as_dict() for job in reading.jobs.jobs.values()))
    _write(folder / FILE, map(json.JSONEncoder(separators=(",", ":")).encode, lines))


def kept(folder: Path, file: Path) -> InForce | None:
    """The reading of a job file that is kept in its state folder; None where there is none that still counts."""
    return _kept(folder, file, lambda reading, jobs: from_plain({**reading, "jobs": json.loads(b"[%s]" % b",".join(jobs))}))


def kept_zone(folder: Path, file: Path) -> str | None:
    """The zone of a reading that is kept, and no more of it."""
    return _kept(folder, file, lambda reading, _: str(reading["timezone"]))


def _kept(folder: Path, file: Path, wanted: Callable[[Any, list[bytes]], T]) -> T | None:
    text = _text(str(folder / FILE))
    if text is None:
        return None
    try:
        head, *jobs = text.splitlines()
        plain = json.loads(head)
        sources = plain["sources"]
        if sources[0][0] != str(file) or plain["made"] != _made(plain["made"]["include"]):
            return None
        if len(jobs) != plain["count"]:
            return None
        if not all((stamp and stamp == _times(path)) or _digest(path) == digest for path, digest, stamp in sources):
            return None
        return wanted(plain["reading"], jobs)
    except (ValueError, TypeError, LookupError, AttributeError):  # another program's, or cut off: as good as none
        return None


def _made(include: Any) -> dict[str, Any]:
    """What a reading depends on beside the text of its files."""
    found: list[str] = []
    if include:
        import glob

        found = sorted({os.path.normpath(path) for pattern in include for path in glob.glob(pattern, recursive=True)})
    host = os.uname().nodename
    return {"program": __version__, "zone": machine_zone(), "host": host, "include": list(include), "found": found}


def _stamp(path: str, digest: str) -> list[int] | None:
    """What tells that a file still has the text of this digest; None where nothing can."""
    stamp = _times(path)
    same = stamp is not None and _digest(path) == digest and _times(path) == stamp
    return stamp if same and stamp is not None and max(stamp[3:]) < (time.time() - SETTLED) * 1e9 else None


def _times(path: str) -> list[int] | None:
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
    """What a file says; None where there is none, or something that would have to be waited for."""
    try:
        data, _ = read_regular(path, LIMIT)
    except OSError:
        return None
    return data if len(data) <= LIMIT else None


def _write(path: Path, lines: Iterable[str]) -> None:
    """Replace a file as a whole. Line by line: what a daemon needs for a moment only, it would keep for ever."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as stream:
            stream.writelines(f"{line}\n".encode("utf-8", "surrogateescape") for line in lines)
        fresh.replace(path)
    finally:
        with suppress(FileNotFoundError):
            fresh.unlink()
