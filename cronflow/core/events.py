"""What happened, in the past tense. Every change of the state begins with one of these.

A `request` is the number under which the asker waits for an answer in `Effects.replies`.
"""

from __future__ import annotations

from dataclasses import dataclass

from cronflow.core.jobs import JobSet
from cronflow.core.plan.flow import Plan
from cronflow.core.records import AttemptRef, Run, Trouble


@dataclass(frozen=True, slots=True)
class Started:
    """The daemon is up: every attempt that an earlier one left has been asked for. `alive_at` is when that one was last
    seen alive, before a reboot or not, and `boot` names the present boot; without `slots` (a run in the foreground) nothing
    starts by itself."""

    jobs: JobSet
    plan: Plan
    alive_at: float | None = None
    slots: bool = True
    rebooted: bool = False
    boot: str | None = None


@dataclass(frozen=True, slots=True)
class Reloaded:
    """Another reading of the job file is in force."""

    jobs: JobSet
    plan: Plan


@dataclass(frozen=True, slots=True)
class Woke:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class ClockSetBack:
    """The clock shows hours less than cursors have come to. Of what is later than cursors will stand: `opened` are the slots that
    have had a run, by root and trigger, and `rows` are the rows of slots that did not run."""

    opened: tuple[tuple[str, str, int], ...] = ()
    rows: tuple[Run, ...] = ()


@dataclass(frozen=True, slots=True)
class AttemptBegan:
    """The keeper has started the process."""

    ref: AttemptRef
    pid: int
    at: float


@dataclass(frozen=True, slots=True)
class AttemptUnclaimed:
    """The keeper that was asked has not started the attempt and never will."""

    ref: AttemptRef


@dataclass(frozen=True, slots=True)
class AttemptEnded:
    """The process is gone. Without exit code, signal and `reason` its status is unknown. `reason` and `message` tell why
    it could not be started; `stopped` that it was ended (`timeout`, `cancel`); `survivors` that some of it still lives. `outputs`
    is what it left in its output file, `items` the lines that a `foreach` printed."""

    ref: AttemptRef
    at: float
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    message: str | None = None
    stopped: str | None = None
    survivors: bool = False
    pid: int | None = None
    started_at: float | None = None
    cpu_s: float | None = None
    max_rss_kb: int | None = None
    output_bytes: int | None = None
    left_behind: tuple[str, ...] = ()
    outputs: tuple[tuple[str, str], ...] = ()
    items: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Triggered:
    """A watch has seen files appear, change or go.

    `key` is the trigger's. `paths` are the files that are to cause a run, none: nothing is started. `seen` is all that the watch
    has to remember: (path, stamp), None where the file is gone."""

    key: str
    paths: tuple[str, ...] = ()
    seen: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class RunAsked:
    """A person wants jobs to run now. `at` is the slot time that the run carries; `params` are values by name; `trigger` is
    "manual", or "backfill" for a slot of the past that is run again or for the first time."""

    request: int
    jobs: tuple[str, ...]
    by: str
    words: str
    only: bool = False
    upstream: bool = False
    at: int | None = None
    params: tuple[tuple[str, str], ...] = ()
    trigger: str = "manual"


@dataclass(frozen=True, slots=True)
class RetryAsked:
    """A person wants a run again; `run` is as the history tells it, with its tasks, and `scope` the jobs that its flow
    had then; `upstream` if these were of several flows, because the run had brought in all that it needed first."""

    request: int
    run: Run
    scope: frozenset[str]
    by: str
    words: str
    from_task: str | None = None
    upstream: bool = False


@dataclass(frozen=True, slots=True)
class CancelAsked:
    """A person wants a run, or one task of it, to end."""

    request: int
    run: int
    by: str
    words: str
    task: str | None = None


@dataclass(frozen=True, slots=True)
class PauseAsked:
    request: int
    jobs: tuple[str, ...]
    by: str
    words: str
    until: float | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResumeAsked:
    request: int
    jobs: tuple[str, ...]
    by: str
    words: str


@dataclass(frozen=True, slots=True)
class SkipAsked:
    """A person wants the next `slots` slots of jobs not to run; 0 takes that back."""

    request: int
    jobs: tuple[str, ...]
    by: str
    words: str
    slots: int = 1


@dataclass(frozen=True, slots=True)
class ApprovalGiven:
    """A person approves, or rejects, a task that waits for it; by a job's name all its copies that do."""

    request: int
    run: int
    task: str
    approved: bool
    by: str
    words: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """The daemon is to stop once nothing runs; with `kill`, everything that goes on is cancelled."""

    by: str
    words: str
    kill: bool = False


@dataclass(frozen=True, slots=True)
class Acted:
    """A person did something that changes no run: a reload, a stop."""

    by: str
    verb: str
    words: str


@dataclass(frozen=True, slots=True)
class TroubleFound:
    """Trouble of the daemon itself. `quiet`: to be seen in status, but not (yet) told; `not_to` is a target that is itself
    the trouble."""

    trouble: Trouble
    facts: tuple[tuple[str, object], ...] = ()
    quiet: bool = False
    not_to: str | None = None


@dataclass(frozen=True, slots=True)
class TroubleGone:
    key: str


Event = (
    Started
    | Reloaded
    | Woke
    | ClockSetBack
    | AttemptBegan
    | AttemptUnclaimed
    | AttemptEnded
    | Triggered
    | RunAsked
    | RetryAsked
    | CancelAsked
    | PauseAsked
    | ResumeAsked
    | SkipAsked
    | ApprovalGiven
    | DrainAsked
    | Acted
    | TroubleFound
    | TroubleGone
)
