"""What an export has come to: the files, what is lost of each job, and which jobs are not written at all, with the reasons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cronflow.core.jobs import JobSet
from cronflow.core.time.secondopinion import Compared


class UnwritableError(Exception):
    """Why a job cannot be written for a target: a fact about the job, without its name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Loss(NamedTuple):
    """What is lost of a job: the key, and what follows from it."""

    job: str
    key: str
    message: str


class Report:
    """What is told of an export. `refused`: job → why it is not written. `names` are those of all jobs, in their order, `roots`
    those with which flows begin: what acts on a flow through them is lost of every job when it is lost of every root. `compared`:
    root → its starts by the target beside its slots, where that was tried."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.roots: set[str] = set()
        self.refused: dict[str, str] = {}
        self.compared: dict[str, Compared] = {}
        self._lost: dict[str, dict[Loss, None]] = {}

    @property
    def losses(self) -> list[Loss]:
        """All losses, job by job."""
        return [loss for losses in self._lost.values() for loss in losses]

    def lose(self, job: str, key: str, message: str) -> None:
        """Note a loss, once."""
        self._lost.setdefault(job, {})[Loss(job, key, " ".join(message.split()))] = None

    def refuse(self, jobs: Iterable[str], reason: str) -> None:
        """Leave jobs out; what had been noted of them is void."""
        for job in jobs:
            self.refused.setdefault(job, " ".join(reason.split()))
            self._lost.pop(job, None)
            self.compared.pop(job, None)

    def of(self, job: str) -> list[str]:
        """What is lost of a job, in sentences."""
        return [loss.message for loss in self._lost.get(job, ())]

    def shared(self) -> frozenset[str]:
        """What is lost of every job that is written, if these are several."""
        written = set(self.names) - self.refused.keys()
        roots = self.roots & written
        found: dict[str, set[str]] = {}
        for loss in self.losses:
            found.setdefault(loss.message, set()).add(loss.job)
        return frozenset(message for message, jobs in found.items() if len(jobs) > 1 and (jobs >= written or jobs == roots))

    def lines(self) -> list[str]:
        """All of it, a line each: first what is left out, then what is lost, job by job."""
        shared = self.shared()
        told = [f"{names}: not written: {reason}" for names, reason in _grouped(self.refused)]
        told += [f"every job: {message}" for message in sorted(shared)]
        return told + [f"{job}: {one}" for job in self.names for one in self.of(job) if one not in shared]


def _grouped(refused: Mapping[str, str]) -> list[tuple[str, str]]:
    """Jobs that are left out for the same reason, together."""
    found: dict[str, list[str]] = {}
    for job, reason in refused.items():
        found.setdefault(reason, []).append(job)
    return [(", ".join(jobs), reason) for reason, jobs in found.items()]


class Wanted(NamedTuple):
    """What is to be exported, and for whom. `now` is an instant, `zone` that of this machine, `user` who calls, `source` the
    name of the job file. `system`: a table, or units, of the whole machine."""

    jobs: JobSet
    now: float
    zone: str
    user: str
    source: str
    system: bool = True


class Written(NamedTuple):
    """An export: name → text of each file, and what is told of it. A name is relative to a folder; of a lone file it is empty.
    `next` tells what is left to do by hand, `notes` what else is good to know."""

    files: Mapping[str, str]
    report: Report
    next: Sequence[str] = ()
    notes: Sequence[str] = ()
