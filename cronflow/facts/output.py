"""The output of attempts, read from the logs that the keeper writes, and made safe for a terminal."""

from __future__ import annotations

import codecs
import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from cronflow.core import words
from cronflow.core.jobs import Job
from cronflow.core.records import Attempt
from cronflow.places import Places

_LOOK_BACK = 8192
_PIECE = 1 << 20
# all of C0 but tab and newline, DEL, C1, and the marks that turn the reading direction
_UNSEEN = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]"


def last_line(path: Path, secrets: Iterable[str] = ()) -> str:
    """The last line of a log that is not empty, without control characters and secrets; "" if there is none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(os.fstat(file.fileno()).st_size - _LOOK_BACK, 0))
            data = file.read(_LOOK_BACK).rpartition(b"\0")[2]  # what was dropped reads as zeros
    except OSError:
        return ""
    lines = (words.plain(line) for line in reversed(data.decode(errors="replace").splitlines()))
    return words.masked(next((line for line in lines if line.strip()), "").strip(), secrets)


class Logs(NamedTuple):
    """Where the logs are, and what to mask in the output of each job."""

    places: Places
    masks: Callable[[Job | None], Iterable[str]]

    def last_line(self, attempt: Attempt, job: Job | None) -> str:
        """The last line of what an attempt has printed."""
        path = self.places.log(attempt.run, attempt.task, attempt.n, attempt.kind)
        return last_line(path, self.masks(job))


def tail_of(path: Path, lines: int) -> tuple[bytes, int]:
    """The last lines of a log, and the offset at which they end. Reads backwards from the end until there are enough. OSError
    without a log."""
    with Log(path) as log:
        end = log.size
        for power in itertools.count(16, 4):
            start = max(end - (1 << power), 0)
            log.offset = start
            data = b"".join(log.new())
            if start == 0 or data.count(b"\n") > lines:
                break
        kept = data.splitlines(keepends=True)
        return b"".join(kept[max(len(kept) - lines, 0) :]) if lines else b"", log.offset


class Log:
    """A log that may still grow: `new` gives what was added since the last call. OSError if there is none."""

    def __init__(self, path: Path, offset: int = 0) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self.offset = offset

    def __enter__(self) -> Log:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @property
    def size(self) -> int:
        return os.fstat(self._fd).st_size

    def new(self) -> Iterator[bytes]:
        """What comes after the offset, in pieces, with a line in place of what was dropped. Moves the offset."""
        from cronflow.keeper.output import marker, pieces

        if self.size < self.offset:  # its middle was dropped by copying the tail: where we were is gone
            yield marker(self.offset - self.size)
            self.offset = self.size
        for start, end in list(pieces(self._fd)):
            if end <= self.offset:
                continue
            if start > self.offset:
                yield b"\n" + marker(start - self.offset)
                self.offset = start
            while self.offset < end:
                data = os.pread(self._fd, min(_PIECE, end - self.offset), self.offset)
                if not data:
                    return
                self.offset += len(data)
                yield data


class Visible:
    """Turns output into text that cannot drive a terminal: control characters become visible (`^[`), bytes that are not UTF-8
    a replacement sign. Use one for each log, since a character may be split between two pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def text(self, data: bytes, last: bool = False) -> str:
        decoded = self._decoder.decode(data, last).replace("\r\n", "\n")
        return re.sub(_UNSEEN, _sign, decoded)


def _sign(match: re.Match[str]) -> str:
    number = ord(match[0])
    if number < 0x20:
        return f"^{chr(number + 0x40)}"
    return "^?" if number == 0x7F else f"<U+{number:04X}>"


class Mask:
    """Masks output that comes in pieces: a value may be split between two of them."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._values = [value.encode() for value in words.maskable(secrets)]
        self._pattern = re.compile(b"|".join(map(re.escape, self._values)))
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can be shown so far; what may be the beginning of a value is held back."""
        if not self._values:
            return data
        data = self._pattern.sub(b"***", self._held + data)
        held = max(_beginning(data, value) for value in self._values)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def rest(self) -> bytes:
        """What was held back, once nothing more comes."""
        held, self._held = self._held, b""
        return held


def _beginning(data: bytes, value: bytes) -> int:
    """How many bytes at the end of the data are an incomplete beginning of a value."""
    at = data.find(value[:1], max(len(data) - len(value) + 1, 0))
    while at >= 0:
        if value.startswith(data[at:]):
            return len(data) - at
        at = data.find(value[:1], at + 1)
    return 0
