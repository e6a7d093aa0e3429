"""Which files of a watch are new or changed, and quiet. It is given scans and times, and decides; it sees neither a file nor a
clock. Times are seconds of any one clock.

What is *known* has been reported once, and saved: path and stamp. A file with another stamp is *changing* until scans that are
`settle` seconds apart have found the same stamp. A file that is gone is forgotten, but only if its absence means something: a
folder that is missing, that cannot be read, or that is another one and empty, as where a disk is not mounted, takes nothing
from what is known.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from cronflow.watch.folders import ScanResult, base_of

BASELINE = ("", "known")
"""The row that marks that there has been a first scan: without it all that is there counts as known."""
PATIENCE = 10.0
"""Times `settle`, and at the least as many seconds: for so long quiet files wait for others that are not."""


class Arrived(NamedTuple):
    """The files that are to cause a run, and all that is to be remembered with it: stamps by path, None where a file is gone."""

    paths: tuple[str, ...] = ()
    seen: tuple[tuple[str, str | None], ...] = ()


class Debounce:
    """The files of one watch. `known` are stamps by path as they were saved."""

    def __init__(self, settle: float, known: Mapping[str, str]) -> None:
        self.settle = settle
        self.known = dict(known)
        self._changing: dict[str, tuple[str, float]] = {}
        self._gone: list[str] = []
        self._scanned_at = 0.0

    def update(self, found: ScanResult, at: float) -> None:
        """Take in what a scan has found that began at a time."""
        self._scanned_at = at
        before, self._changing = self._changing, {}
        for path, stamp in found.files.items():
            if self.known.get(path) != stamp:
                old = before.get(path)
                self._changing[path] = old if old is not None and old[0] == stamp else (stamp, at)
        peopled = {base for base in found.bases if any(_lies_in(path, base) for path in found.files)}
        self._gone = [path for path in self.known if path and path not in found.files and self._is_gone(path, found, peopled)]

    def _is_gone(self, path: str, found: ScanResult, peopled: Iterable[str]) -> bool:
        if any(_lies_in(path, place) for place in found.unread):
            return False
        base = base_of(self.known[path])
        return any(_lies_in(path, place) and (number == base or place in peopled) for place, number in found.bases.items())

    def scan_again_at(self) -> float | None:
        """When another scan may find files that have become quiet; None where none is changing."""
        times = [at + self.settle for _, at in self._changing.values() if not self._is_quiet(at)]
        return min(times, default=None)

    def arrived(self) -> Arrived:
        """What is to be reported after the last scan; empty where there is nothing."""
        if BASELINE[0] not in self.known:
            return Arrived((), (BASELINE, *((path, stamp) for path, (stamp, _) in self._changing.items())))
        quiet = {path: stamp for path, (stamp, at) in self._changing.items() if self._is_quiet(at)}
        if len(quiet) < len(self._changing) and not self._out_of_patience():
            quiet = {}
        gone: list[tuple[str, str | None]] = [(path, None) for path in self._gone]
        return Arrived(tuple(sorted(quiet)), (*quiet.items(), *gone))

    def _is_quiet(self, at: float) -> bool:
        return self._scanned_at - at >= self.settle

    def _out_of_patience(self) -> bool:
        first = min((at for _, at in self._changing.values()), default=self._scanned_at)
        return self._scanned_at - first - self.settle >= max(PATIENCE, PATIENCE * self.settle)

    def remember(self, seen: Mapping[str, str | None]) -> None:
        """What has been saved is known from now on."""
        for path, stamp in seen.items():
            if stamp is None:
                self.known.pop(path, None)
            else:
                self.known[path] = stamp
        self._changing = {path: one for path, one in self._changing.items() if self.known.get(path) != one[0]}
        self._gone = [path for path in self._gone if path in self.known]


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder if folder == "/" else f"{folder}/")
