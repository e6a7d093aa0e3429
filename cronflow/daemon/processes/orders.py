"""What is to be run for an attempt, independent of what runs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cronflow.core.records import AttemptRef
from cronflow.daemon.processes.environment import Account


@dataclass(frozen=True, slots=True)
class Order:
    """A command and all that it is started with. Without an `account` it has the daemon's own rights. `timeout` and `kill_after`
    are seconds, `max_output` bytes of `log`. `named` is what the message of a failed start names."""

    ref: AttemptRef
    argv: Sequence[str]
    env: dict[str, str]
    cwd: str
    log: str
    kill_after: float
    named: Mapping[str, str]
    account: Account | None = None
    umask: int | None = None
    nice: int | None = None
    stdin: str | None = None
    timeout: float | None = None
    max_output: int | None = None
