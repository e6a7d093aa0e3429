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

COMMAND = "command"
"""The stage of the attempts of a job's command."""

GOING_ON: tuple[TaskState, ...] = ("waiting", "queued", "running", "retrying")
FINAL = frozenset({"success", "failed", "skipped", "blocked", "missed", "cancelled"})

ATTEMPT_MOVES: Mapping[str, frozenset[str]] = {
    "starting": frozenset({"running", "ended"}),
    "running": frozenset({"ended"}),
}

RUN_RANK: tuple[TaskState, ...] = ("failed", "blocked", "cancelled", "success", "skipped", "missed")
"""A run ends in the first of these states that one of its tasks is in."""

QUEUE_LIMIT = 16
"""Runs that `overlap = "queue"` holds back at most."""


class Record:
    """What records that change have in common: two are equal if their fields are. A dataclass would compile these methods for
    each of its classes, at the start of every command."""

    __slots__: tuple[str, ...] = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        if self.__class__ is not other.__class__:
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


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


@dataclass(slots=True, eq=False, repr=False)
class Attempt(Record):
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


class End(NamedTuple):
    """How a task ends: state, reason and note, the task that caused it, and when it was decided (None: when it is said)."""

    state: TaskState
    reason: str | None = None
    note: str | None = None
    caused_by: str | None = None
    at: float | None = None


class Upstreams(NamedTuple):
    """Waits for the tasks before it."""

    @property
    def state(self) -> TaskState:
        return "waiting"

    @property
    def stage(self) -> str:
        return ""


class Held(NamedTuple):
    """Would start, but its run is held back by another one of the same jobs."""

    @property
    def state(self) -> TaskState:
        return "queued"

    @property
    def stage(self) -> str:
        return ""


class Queued(NamedTuple):
    """In the queue for a process of a stage, since a time; the stage began when it was `entered`."""

    stage: str
    since: float
    entered: float
    polls: int = 0

    @property
    def state(self) -> TaskState:
        return "queued" if self.stage == COMMAND else "waiting"


class Live(NamedTuple):
    """Has a process. `passed` is how many checks this attempt has passed, `polls` how often the sensor has been polled."""

    attempt: Attempt
    entered: float
    passed: int = 0
    polls: int = 0

    @property
    def state(self) -> TaskState:
        return "running" if self.attempt.kind in (COMMAND, "check") else "waiting"

    @property
    def stage(self) -> str:
        return self.attempt.kind


class Pausing(NamedTuple):
    """Comes again by itself: for the next attempt of its command, or the next poll of its sensor. `passed` is as of the attempt
    before."""

    stage: str
    again_at: float
    entered: float
    passed: int = 0
    polls: int = 0

    @property
    def state(self) -> TaskState:
        return "waiting" if self.stage == "sensor" else "retrying"


class Approval(NamedTuple):
    """Waits for a person."""

    since: float

    @property
    def state(self) -> TaskState:
        return "waiting"

    @property
    def stage(self) -> str:
        return "approval"


class Hook(NamedTuple):
    """Its end was decided at `since`; from then on its hook is in the queue, or runs."""

    end: End
    since: float
    attempt: Attempt | None = None
    passed: int = 0

    @property
    def state(self) -> TaskState:
        return "waiting" if self.attempt is None else "running"

    @property
    def stage(self) -> str:
        return "on_failure" if self.end.state == "failed" else "on_success"


class Done(NamedTuple):
    """Has ended: in which state, decided when, at which stage, after how many checks that were passed."""

    state: TaskState
    at: float | None = None
    stage: str = ""
    passed: int = 0


Phase = Upstreams | Held | Queued | Live | Pausing | Approval | Hook | Done

PHASE_MOVES: Mapping[type[Phase], frozenset[type[Phase]]] = {
    Upstreams: frozenset({Held, Queued, Approval, Done}),
    Held: frozenset({Upstreams, Done}),
    Queued: frozenset({Live, Hook, Done}),
    Live: frozenset({Live, Queued, Pausing, Approval, Hook, Done}),
    Pausing: frozenset({Queued, Pausing, Hook, Done}),
    Approval: frozenset({Queued, Hook, Done}),
    Hook: frozenset({Hook, Done}),
    Done: frozenset(),
}
"""Every move a task may make. What a task waits for, and what will wake it, follows from its phase."""


@dataclass(slots=True, eq=False, repr=False)
class Task(Record):
    """One job in one run, or one copy of it; `phase` is where it is on its way, with all that belongs to that place.

    `reason`, `note` and `caused_by` tell why it is there, or how it ended. `attempts` counts those begun, `steps` the processes
    beside them. `told` are the alerts that it has caused."""

    run: int
    name: str
    job: str
    phase: Phase = field(default_factory=Upstreams)
    told: tuple[str, ...] = ()
    reason: str | None = None
    note: str | None = None
    caused_by: str | None = None
    attempts: int = 0
    steps: int = 0
    started_at: float | None = None
    finished_at: float | None = None
    matrix: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def state(self) -> TaskState:
        return self.phase.state

    @property
    def final(self) -> bool:
        return type(self.phase) is Done

    @property
    def live(self) -> Attempt | None:
        """The process that has not ended, if there is one."""
        phase = self.phase
        return phase.attempt if isinstance(phase, Live | Hook) else None

    @property
    def entered(self) -> float | None:
        """When the stage began at which it is."""
        phase = self.phase
        if isinstance(phase, Queued | Live | Pausing):
            return phase.entered
        return phase.since if isinstance(phase, Approval | Hook) else None

    @property
    def again_at(self) -> float | None:
        """When it comes again by itself."""
        return self.phase.again_at if isinstance(self.phase, Pausing) else None

    @property
    def passed(self) -> int:
        """How many checks its last attempt has passed."""
        return self.phase.passed if isinstance(self.phase, Live | Pausing | Hook | Done) else 0

    @property
    def polls(self) -> int:
        """How often its sensor has been polled."""
        return self.phase.polls if isinstance(self.phase, Queued | Live | Pausing) else 0


class RunKind(NamedTuple):
    """What a run is that was opened by one of the words of CRONFLOW_TRIGGER.

    `owns_slot`: its slot is its own, and opens no second run. `tells_round`: that slot says to which round its ends belong, where
    other flows come after it. `stands_for_slot`: it does what its slot stands for, so that a backfill leaves the slot out.
    `by_person`: neither a skip nor a deadline holds for it. `is_end`: other flows hear of its ends. `paced`: whoever asked for it
    decides how many go on at once; it waits for all other runs of its jobs, and no `overlap` refuses it."""

    owns_slot: bool = False
    tells_round: bool = False
    stands_for_slot: bool = False
    by_person: bool = False
    is_end: bool = True
    paced: bool = False


_TIMED = RunKind(owns_slot=True, tells_round=True, stands_for_slot=True)

RUN_KINDS: Mapping[str, RunKind] = MappingProxyType(
    {
        "schedule": _TIMED,
        "every": _TIMED,
        "at": _TIMED,
        "catchup": _TIMED,
        "reboot": RunKind(owns_slot=True, stands_for_slot=True),
        "watch": RunKind(owns_slot=True),
        "after": RunKind(),
        "manual": RunKind(by_person=True),
        "retry": RunKind(tells_round=True, stands_for_slot=True, by_person=True),
        "backfill": RunKind(stands_for_slot=True, by_person=True, is_end=False, paced=True),
    }
)
"""What each trigger makes of a run. cronflow-jobs(5) prints this table."""

Gate = Literal["overlap", "edges"]


@dataclass(slots=True, eq=False, repr=False)
class Run(Record):
    """One execution of a flow, or one row of consecutive slots that did not run (`is_row`, without tasks).

    `roots` own the slots `slot`…`slot_last` of the trigger `trigger_key`; both are empty for runs that own none (by hand,
    retry). `named` are the jobs that a person asked for: these run although they are paused or disabled. `upstreams` are the
    runs of other flows whose ends counted, by job; a run that is `aside` tells that such edges are not met, and is in nobody's
    way. A run of `only` one job is no end for others.

    A `gate` holds the whole run back: "overlap" until no run of the same jobs goes on of those up to number `gate_after`; "edges"
    until jobs of other flows have ended, and until `gate_until` at the latest.
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
    is_row: bool = False
    gate: Gate | None = None
    gate_after: int | None = None
    gate_until: float | None = None
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

    @property
    def partly_ended(self) -> bool:
        """Whether some of its tasks have ended."""
        return any(task.final for task in self.tasks.values())

    @property
    def kind(self) -> RunKind:
        return RUN_KINDS[self.trigger]

    @property
    def is_end(self) -> bool:
        """Whether other flows hear of its ends."""
        return self.kind.is_end and not self.only


@dataclass(slots=True, eq=False, repr=False)
class Cursor(Record):
    """Up to where the slots of one trigger of one root job have been dealt with.

    `catching_up` says that missed slots are being caught up, one run after the other. `row` is the row of slots that did not
    run, which the next such slot continues. `mark` is the boot whose slot has been dealt with.
    """

    job: str
    trigger_key: str
    at: float
    catching_up: bool = False
    row: int | None = None
    mark: str | None = None


@dataclass(slots=True, eq=False, repr=False)
class Link(Record):
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


@dataclass(slots=True, eq=False, repr=False)
class Health(Record):
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
