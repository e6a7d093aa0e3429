"""An export: what is asked for, the files that it writes, what is lost of each job, and which jobs are not written at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from cronflow.core.jobs import JobSet
from cronflow.core.plan.flow import Flow
from cronflow.core.time.secondopinion import Compared


class UnwritableError(Exception):
    """Why a job cannot be written for a target: a fact about the job, without its name."""


class Loss(NamedTuple):
    """Something that is lost of a job: the key, and the consequence."""

    job: str
    key: str
    message: str


class ExportRequest(NamedTuple):
    """What is to be exported, and for whom. `now` is an epoch second, `zone` the machine's, `user` the caller, `source` the name
    of the job file. `system`: write a crontab, or units, for the whole machine."""

    jobs: JobSet
    now: float
    zone: str
    user: str
    source: str
    system: bool = True

    def delay_of(self, flow: Flow) -> int:
        """The seconds by which `jitter` delays a flow on this machine."""
        return max((trigger.delay(self.jobs.host, flow.name) for trigger in flow.triggers), default=0)


class ExportReport:
    """What an export loses. `refused`: job → why it is not written. `names` are all jobs in their order, `roots` those with which
    flows begin: a key that acts on a flow through them is lost of every job when it is lost of every root. `compared`: root → the
    starts that the target would have beside its slots, where that was tried."""

    def __init__(self, request: ExportRequest) -> None:
        self.request = request
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
        """Record a loss, once."""
        self._lost.setdefault(job, {})[Loss(job, key, " ".join(message.split()))] = None

    def refuse(self, jobs: Iterable[str], reason: str) -> None:
        """Leave jobs out; losses recorded for them no longer count."""
        for job in jobs:
            self.refused.setdefault(job, " ".join(reason.split()))
            self._lost.pop(job, None)
            self.compared.pop(job, None)

    def of(self, job: str) -> list[str]:
        """The consequences of what is lost of a job."""
        return [loss.message for loss in self._lost.get(job, ())]

    def shared(self) -> frozenset[str]:
        """What is lost of every job that is written, if there are several."""
        written = set(self.names) - self.refused.keys()
        roots = self.roots & written
        found: dict[str, set[str]] = {}
        for loss in self.losses:
            found.setdefault(loss.message, set()).add(loss.job)
        return frozenset(message for message, jobs in found.items() if len(jobs) > 1 and (jobs >= written or jobs == roots))

    def lines(self) -> list[str]:
        """The whole report, a line each: first what is left out, then what is lost, job by job."""
        shared = self.shared()
        refused: dict[str, list[str]] = {}
        for job, reason in self.refused.items():
            refused.setdefault(reason, []).append(job)
        lines = [f"{', '.join(jobs)}: not written: {reason}" for reason, jobs in refused.items()]
        lines += [f"every job: {message}" for message in sorted(shared)]
        return lines + [f"{job}: {loss}" for job in self.names for loss in self.of(job) if loss not in shared]


class ExportResult(NamedTuple):
    """A finished export: name → text of each file ("" for a lone file), the report, what is left to do by hand, and what else is
    good to know."""

    files: Mapping[str, str]
    report: ExportReport
    next: Sequence[str] = ()
    notes: Sequence[str] = ()
