"""The seam through which the daemon and its keeper reach the kernel: seam.c in front of the C library, held from outside.

Roles are counted by themselves, since their order among each other is not the same twice.
"""

from __future__ import annotations

import errno
import functools
import mmap
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.faults.rows import NotTestedError

ROLES = ("daemon", "starter", "guard", "holder", "child")
"""The daemon; the keeper before it has two lives; these two; a child of the holder until its exec."""
NOTHING, KILL, FAIL_ONCE, FAIL = range(4)
PLAIN, FILE_CALL, FILE_GROWS = range(3)

_TAPE = 4096
_HEAD = struct.Struct("4I4I8I2Q")
_RECORD = struct.Struct("IHHIIqII12sHH")
_ARMED, _HIT, _BROKEN = struct.Struct("5I"), 16, 20


class Effect(NamedTuple):
    """A call that changed something, or that was to."""

    role: str
    count: int
    call: str
    path: str
    kind: int
    offset: int
    size: int
    data: bytes
    hit: bool

    def fails_with(self, number: int) -> bool:
        """Whether a disk that is full, or defective, may let this call fail."""
        return self.kind == FILE_GROWS or (self.kind == FILE_CALL and number == errno.EIO)

    def __str__(self) -> str:
        return f"{self.role} {self.count} {self.call} {self.path}".rstrip()


@functools.cache
def library() -> Path:
    """seam.c, compiled. NotTestedError without a C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise NotTestedError("there is no C compiler for the library that counts the calls")
    made = Path(tempfile.mkdtemp(prefix="faults-seam-")) / "seam.so"
    source = Path(__file__).with_name("seam.c")
    words = [compiler, "-O2", "-shared", "-fPIC", "-o", str(made), str(source), "-ldl"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotTestedError(f"the C compiler does not compile the library that counts the calls: {done.stderr[:500]}")
    return made


class Seam:
    """The shared memory of one installation's processes."""

    def __init__(self, path: Path, house: Path, size: int) -> None:
        self.path, self.house = path, house
        with open(path, "w+b") as file:
            file.truncate(_TAPE + size)
            self._memory = mmap.mmap(file.fileno(), _TAPE + size)
        struct.pack_into("Q", self._memory, _HEAD.size - 8, size)

    @property
    def env(self) -> Mapping[str, str]:
        """What a daemon that passes through here has in its environment."""
        return {"LD_PRELOAD": str(library()), "SEAM_CONTROL": str(self.path), "SEAM_HOUSE": str(self.house)}

    def arm(self, role: str, at: int, action: int, number: int = 0) -> None:
        """Have the call with this number within its role kill its process or fail; FAIL: and all that may, until `heal`."""
        _ARMED.pack_into(self._memory, 0, ROLES.index(role), at, action, number, 0)

    def record(self) -> None:
        """Have the tape keep what is written at a place of a file."""
        struct.pack_into("I", self._memory, 24, 1)

    def heal(self) -> None:
        """The disk has room again, and nothing more happens."""
        struct.pack_into("I", self._memory, 8, NOTHING)
        struct.pack_into("I", self._memory, _BROKEN, 0)

    @property
    def hit(self) -> bool:
        """Whether the call that was asked for has come."""
        return bool(struct.unpack_from("I", self._memory, _HIT)[0])

    def effects(self) -> Iterator[Effect]:
        """The tape, in order of time."""
        end = struct.unpack_from("Q", self._memory, _HEAD.size - 16)[0]
        assert end < len(self._memory) - _TAPE, "the tape is too short"
        at = 0
        while at < end:
            head = _RECORD.unpack_from(self._memory, _TAPE + at)
            length, role, kind, count, _, offset, size, kept, call, named, hit = head
            start = _TAPE + at + _RECORD.size
            path = self._memory[start : start + named].decode(errors="surrogateescape")
            data = self._memory[start + named : start + named + kept]
            yield Effect(ROLES[role], count, call.rstrip(b"\0").decode(), path, kind, offset, size, data, bool(hit))
            at += length or 8

    def close(self) -> None:
        """Let go of the memory."""
        self._memory.close()
        self.path.unlink(missing_ok=True)
