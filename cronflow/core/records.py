"""What the history holds: runs, their tasks and attempts, and what goes on beside them (cursors, links, pauses, health).

Runs, tasks and attempts are the live state; they change only through `engine.step`, and only along the tables of moves below.
Instants are Unix epoch seconds, durations are seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from cronflow.core.jobs import NOTHING

TaskState = Literal[
    "waiting", "queued", "running", "retrying", "success", "failed", "skipped", "blocked", "missed", "cancelled"
]
Result = Literal["success", "failed", "timeout", "killed", "lost", "cancelled"]

FINAL = frozenset({"success", "failed", "skipped", "blocked", "missed", "cancelled"})

TASK_MOVES: Mapping[str, frozenset[str]] = {
    "waiting": frozenset({"queued", "running", "failed", "skipped", "blocked", "cancelled"}),
    "queued": frozenset({"waiting", "running", "skipped", "cancelled"}),
    "running": frozenset({"retrying", "success", "failed", "skipped", "cancelled"}),
    "retrying": frozenset({"queued", "cancelled"}),
}
"""Every move a task may make; a final state has none. `queued` → `waiting` is a held run whose gate has opened, `waiting` →
`running` the hook of a task that failed without having run, `waiting` → `failed` such a task without a hook."""

ATTEMPT_MOVES: Mapping[str, frozenset[str]] = {
    "starting": frozenset({"running", "ended"}),
    "running": frozenset({"ended"}),
}

RUN_RANK: tuple[TaskState, ...] = ("failed", "blocked", "cancelled", "success", "skipped", "missed")
"""A run ends in the first of these states that one of its tasks is in."""

QUEUE_LIMIT = 16
"""Runs that `overlap = "queue"` holds back at most."""


class AttemptRef(NamedTuple):
    """Names one process for ever: `1423/load/2`, and `1423/load/check1` for a step. A late report never ends a successor."""

    run: int
    task: str
    n: int
    kind: str = "command"

    def __str__(self) -> str:
        tail = str(self.n) if self.kind == "command" else f"{self.kind}{self.n}"
        return f"{self.run}/{self.task}/{tail}"


TELLING: Mapping[str, str] = MappingProxyType({"check": "check", "foreach": "foreach", "wait_timeout": "sensor"})
"""The kind of process whose output tells of the end of a task, by its reason; of all other reasons it is the command."""


def parse_ref(text: str) -> AttemptRef:
    """The inverse of `str(AttemptRef)`. A text that is no reference is a ValueError."""
    run, task, tail = text.split("/", 2)
    kind = tail.rstrip("0123456789")
    return AttemptRef(int(run), task, int(tail[len(kind) :]), kind or "command")


@dataclass(slots=True)
class Attempt:
    """One process of a task. `kind` is `command`, or the step that it carries out beside it; the polls of a sensor are one row,
    that of the last one, with their `count`."""

    run: int
    task: str
    n: int
    kind: str = "command"
    count: int = 1
    state: Literal["starting", "running", "ended"] = "starting"
    result: Result | None = None
    reason: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    pid: int | None = None
    created_at: float = 0.0
    started_at: float | None = None
    finished_at: float | None = None
    cpu_s: float | None = None
    max_rss_kb: int | None = None
    output_bytes: int | None = None
    left_behind: tuple[str, ...] = ()
    stop: str | None = None

    @property
    def ref(self) -> AttemptRef:
        return AttemptRef(self.run, self.task, self.n, self.kind)


@dataclass(slots=True)
class Task:
    """One job in one run, or one copy of it. `attempts` counts those begun, `steps` the processes beside them; `live` is the
    process that has not ended, if any.

    `stage` is where the task is on its way (`core.stages`), `stage_at` since when, `check` how often its sensor has been polled,
    then how many checks this attempt has passed. `verdict` is how the task ends when its hook has: state, reason, note. `told`
    are the alerts that it has caused."""

    run: int
    name: str
    job: str
    state: TaskState = "waiting"
    stage: str = ""
    stage_at: float | None = None
    steps: int = 0
    check: int = 0
    verdict: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    reason: str | None = None
    note: str | None = None
    caused_by: str | None = None
    attempts: int = 0
    next_attempt_at: float | None = None
    queued_at: float | None = None
    started_at: float | None = None
    finished_at: float | None = None
    matrix: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    live: Attempt | None = None

    @property
    def final(self) -> bool:
        return self.state in FINAL


@dataclass(slots=True)
class Run:
    """One execution of a flow, or one row of consecutive slots that did not run (then without tasks).

    `roots` own the slots `slot`…`slot_last` of the trigger `trigger_key`; both are empty for runs that own none (by hand,
    retry). `named` are the jobs that a person asked for: these run although they are paused or disabled. `held` is a run
    that waits for another one of the same jobs to end. `upstreams` are the runs of other flows whose ends counted, by job; a
    run that is `aside` tells that such edges are not met, and is in nobody's way. A run of `only` one job is no end for others.
    """

    id: int
    flow: str
    trigger: str
    created_at: float
    definition: str = ""
    trigger_key: str | None = None
    roots: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    by: str | None = None
    params: dict[str, str] = field(default_factory=dict)
    upstreams: dict[str, int] = field(default_factory=dict)
    retry_of: int | None = None
    slot: int | None = None
    slot_last: int | None = None
    slots: int = 0
    held: bool = False
    aside: bool = False
    only: bool = False
    state: TaskState = "waiting"
    reason: str | None = None
    note: str | None = None
    started_at: float | None = None
    finished_at: float | None = None
    tasks: dict[str, Task] = field(default_factory=dict)

    @property
    def final(self) -> bool:
        return self.state in FINAL


@dataclass(slots=True)
class Cursor:
    """Up to where the slots of one trigger of one root job have been dealt with.

    `lining` says that missed slots are being caught up, one run after the other. `row` is the row of slots that did not
    run, which the next such slot continues. `waits` is the slot after `at`, which waits for jobs of other flows until
    `waits_until` at the longest; `waits_as` is the trigger that its run will have, `waits_run` its number, if it has one.
    `mark` is the boot whose slot has been dealt with.
    """

    job: str
    trigger_key: str
    at: float
    lining: bool = False
    row: int | None = None
    waits: int | None = None
    waits_until: float | None = None
    waits_as: str | None = None
    waits_run: int | None = None
    mark: str | None = None


@dataclass(slots=True)
class Link:
    """An edge from a job of another flow, seen from the root that comes after it: the latest end of that job since the edge was
    first loaded.

    `new` until a decision has used it up; `look` until the edges have been looked at since. `run` and `slot` are those of the
    end, `ended_at` when it was; `failed` whether a failure lies behind a blocked one. `blocked` is the run that tells that the
    edges are not met."""

    job: str
    upstream: str
    new: bool = False
    look: bool = False
    state: TaskState | None = None
    failed: bool = False
    run: int | None = None
    slot: int | None = None
    ended_at: float | None = None
    blocked: int | None = None


class Pause(NamedTuple):
    """A job that is paused: since when, by whom, until when (None: until `resume`) and why."""

    job: str
    since: float
    by: str
    until: float | None = None
    reason: str = ""


@dataclass(slots=True)
class Health:
    """What an alert has to know of a job: since when it fails, how often in a row, and whether that was told; how long its last
    successes took, in seconds, newest last."""

    job: str
    failing_since: float | None = None
    failures: int = 0
    last_success_at: float | None = None
    told_at: float | None = None
    durations: tuple[float, ...] = ()


class Skip(NamedTuple):
    """The next `left` slots of a job that are not to run, by whom and since when."""

    job: str
    left: int
    since: float
    by: str


class Trouble(NamedTuple):
    """Something about the daemon itself that a person should know: a broken job file, a full disk, an unsent alert."""

    key: str
    kind: Literal["config", "system"]
    message: str
    since: float
    told: bool = False


class Definition(NamedTuple):
    """The jobs of a flow as they were when a run was opened: canonical text and its digest (`core.jobs.definition`)."""

    digest: str
    flow: str
    body: str


class RunSlot(NamedTuple):
    """The run that a slot of a root has opened: at most one, whatever happens."""

    root: str
    trigger_key: str
    slot: int
    run: int


class RunPaths(NamedTuple):
    """The files that caused a run."""

    run: int
    paths: tuple[str, ...]


class WatchedFile(NamedTuple):
    """A file as a watch has seen it last."""

    trigger_key: str
    path: str
    stamp: str


class Act(NamedTuple):
    """What a person did: when, who, and in which words."""

    at: float
    by: str
    verb: str
    words: str
    job: str | None = None
    run: int | None = None


class Alert(NamedTuple):
    """An alert as a row, one for each target. `facts` is what its text needs and the history cannot tell later."""

    at: float
    kind: str
    target: str
    job: str | None = None
    run: int | None = None
    task: str | None = None
    facts: Mapping[str, Any] = NOTHING

    @property
    def next_try_at(self) -> float:
        """When it is to be sent first: at once."""
        return self.at
