"""What a job file says: Job, Edge, AlertTarget, Settings, and the JobSet of one reading.

None of it changes: a run keeps the definition with which it started. (A NamedTuple is defined in a fifth of a dataclass's time,
which each command pays.) Instants are Unix epoch seconds, durations are seconds.
"""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

Condition = Literal["success", "failure", "done", "success_or_skipped"]
Join = Literal["all", "any"]
Overlap = Literal["skip", "queue", "replace", "allow"]
Catchup = Literal["last", "all", "none"]
MatrixJoin = Literal["all", "each"]
Command = str | tuple[str, ...]
"""A text for the shell, or the words of a program."""


CONDITIONS: tuple[Condition, ...] = ("success", "failure", "done", "success_or_skipped")
ALERT_KINDS = ("failure", "recovery", "missed", "late", "slow", "skipped", "approval", "config", "system")
DEFAULT_ALERT_KINDS = tuple(kind for kind in ALERT_KINDS if kind not in ("slow", "skipped"))
RETRY_WORDS = ("timeout", "killed", "lost", "check")
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Edge(NamedTuple):
    """`after`: the upstream job and the condition on how it ends."""

    job: str
    condition: Condition = "success"


class Job(NamedTuple):
    """One `[jobs.NAME]`, every default filled in. Field names are the keys of the job file.

    `at` are epoch seconds. `approve` is the message for who approves, maybe empty; None: nobody has to. `deadline` is
    ("duration", seconds after the slot) or ("time", seconds after midnight); `slow` is ("factor", times the median) or
    ("duration", seconds). `secrets` are references, never values."""

    name: str
    command: Command
    description: str = ""
    owner: str = ""
    runbook: str = ""
    tags: tuple[str, ...] = ()
    enabled: bool = True
    schedule: tuple[str, ...] = ()
    every: int | None = None
    at: tuple[int, ...] = ()
    watch: tuple[str, ...] = ()
    settle: float = 2.0
    timezone: str = "UTC"
    jitter: float = 0.0
    skip_on: tuple[str, ...] = ()
    only_on: tuple[str, ...] = ()
    catchup: Catchup = "last"
    catchup_window: float | None = None
    after: tuple[Edge, ...] = ()
    join: Join = "all"
    after_timeout: float | None = None
    only_if: Command | None = None
    wait_until: Command | None = None
    wait_every: float = 30.0
    wait_timeout: float = 21600.0
    approve: str | None = None
    params: Mapping[str, str] = NOTHING
    matrix: Mapping[str, tuple[str, ...]] = NOTHING
    matrix_join: MatrixJoin = "all"
    foreach: Command | None = None
    env: Mapping[str, str] = NOTHING
    env_file: tuple[str, ...] = ()
    secrets: Mapping[str, str] = NOTHING
    cwd: str | None = None
    user: str | None = None
    group: str | None = None
    shell: str = "/bin/sh"
    stdin: str | None = None
    umask: int = 0o022
    nice: int | None = None
    timeout: float | None = None
    kill_after: float = 10.0
    retries: int = 0
    retry_delay: float = 30.0
    retry_backoff: float = 2.0
    retry_max_delay: float = 1800.0
    retry_on: tuple[int | str, ...] | None = None
    success_codes: tuple[int, ...] = (0,)
    skip_codes: tuple[int, ...] = ()
    overlap: Overlap = "skip"
    pool: str | None = None
    pool_slots: int = 1
    priority: int = 0
    deadline: tuple[str, float] | None = None
    slow: tuple[str, float] | None = None
    check: tuple[str, ...] = ()
    on_failure: Command | None = None
    on_success: Command | None = None
    alert: tuple[str, ...] | None = None
    max_output: int = 10_000_000

    @property
    def copies(self) -> bool:
        """Whether a run may have several tasks of this job."""
        return bool(self.matrix) or self.foreach is not None

    def as_dict(self) -> dict[str, Any]:
        """The job as plain values, defaults left out; `job_from_dict` is its inverse."""
        plain: dict[str, Any] = {}
        for name, value in zip(self._fields, self, strict=True):
            if name in self._field_defaults and value == self._field_defaults[name]:
                continue
            if name == "after":
                plain[name] = [[edge.job, edge.condition] for edge in self.after]
            elif name == "matrix":
                plain[name] = {key: list(values) for key, values in self.matrix.items()}
            elif isinstance(value, Mapping):
                plain[name] = dict(value)
            else:
                plain[name] = list(value) if isinstance(value, tuple) else value
        return plain


def job_from_dict(plain: Mapping[str, Any]) -> Job:
    """A job from `Job.as_dict`'s values, as they come back from JSON."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()
    }
    values["after"] = tuple(Edge(job, condition) for job, condition in plain.get("after", ()))
    if "matrix" in plain:
        values["matrix"] = {key: tuple(one) for key, one in plain["matrix"].items()}
    return Job(**values)


class AlertTarget(NamedTuple):
    """One `[alerts.NAME]`: where its Apprise URLs are to be found, and the kinds it wants. A reference, not a secret."""

    name: str
    urls: tuple[str, ...] = ()
    url_file: str | None = None
    url_env: str | None = None
    on: tuple[str, ...] = DEFAULT_ALERT_KINDS


class Settings(NamedTuple):
    """`[settings]`: limits and retention. `keep_runs` is seconds, or a count of runs for each job."""

    max_running: int = 64
    keep_runs: float | None = 90 * 86400.0
    keep_runs_count: int | None = None
    keep_logs: float = 30 * 86400.0
    reload: Literal["auto", "manual"] = "auto"


class JobSet(NamedTuple):
    """Everything one reading of the job file gave: jobs in the order of the file, alert targets, settings, zone, the slots of
    each pool, the dates of each calendar (proleptic ordinals), and the host that jitter is a hash of."""

    jobs: Mapping[str, Job]
    alerts: Mapping[str, AlertTarget] = NOTHING
    settings: Settings = Settings()
    timezone: str = "UTC"
    files: tuple[str, ...] = ()
    pools: Mapping[str, int] = NOTHING
    calendars: Mapping[str, frozenset[int]] = NOTHING
    host: str = ""


def definition(jobs: Mapping[str, Job]) -> tuple[str, str]:
    """The canonical text of a set of jobs and its digest: what a run points to, so that an edit does not change it."""
    import hashlib

    body = json.dumps([job.as_dict() for job in jobs.values()], separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:16], body


def jobs_from_definition(body: str) -> dict[str, Job]:
    """The jobs of a stored definition, in their order."""
    return {plain["name"]: job_from_dict(plain) for plain in json.loads(body)}
