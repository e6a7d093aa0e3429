"""Between the words of the engine and those of keepers: an order as a request, what a keeper says as events."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cronflow.core.events import AttemptBegan, AttemptEnded
from cronflow.core.records import AttemptRef
from cronflow.daemon.processes.environment import Account
from cronflow.keeper import tree

NOT_FOUND = 127
NOT_EXECUTABLE = 126

_STAGES = {
    "cwd": ("no_cwd", "`cwd`: cannot enter `{cwd}`: {error}"),
    "user": ("no_user", "`user`: cannot become `{user}`: {error}"),
    "log": ("no_log", "its log cannot be opened: {error}"),
    "stdin": ("no_stdin", "`stdin` cannot be given: {error}"),
    "nice": ("no_nice", "`nice` cannot be set: {error}"),
    "fork": ("no_process", "no process can be started: {error}"),
}
_REFUSALS = {
    "journal": ("disk_full", "the keeper has no room left in its journal: the disk of the state folder is full"),
    "no_keeper": ("no_keeper", "the process that holds the commands cannot be started: no memory, or too many processes"),
    "length": ("too_long", "its command, environment and `stdin` together are longer than the 4 MB that a start may have"),
}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run for an attempt, independent of what runs it. Without an `account` it has the daemon's own rights.
    `timeout` and `kill_after` are seconds, `max_output` bytes of `log`. `named` is what the message of a failed start names."""

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


def spawn(name: str, order: Order) -> dict[str, Any]:
    """An order in the words of a keeper, which knows the processes of an attempt by its name in their environment."""
    who = order.account
    keys = ("argv", "cwd", "umask", "nice", "stdin", "log", "timeout", "kill_after", "max_output")
    rights = {"uid": who.uid, "gid": who.gid, "groups": list(who.groups)} if who is not None else {}
    env = {**order.env, tree.VARIABLE: name}
    return {"type": "spawn", "id": name, "env": env, **rights, **{key: getattr(order, key) for key in keys}}


def began(ref: AttemptRef, message: Mapping[str, Any]) -> AttemptBegan | None:
    """The event of a `started` message; None while the process has no pid yet."""
    if message.get("pid") is None:
        return None
    return AttemptBegan(ref, message["pid"], message.get("started_at") or message["at"])


def not_begun(ref: AttemptRef, message: Mapping[str, Any], facts: Mapping[str, str], now: float) -> AttemptEnded:
    """The event of a command that never ran: 127 not found and 126 not executable, as a shell says (POSIX, 2.8.2); other
    stages have no exit code but a reason, and a message that names the key."""
    stage, number = message.get("stage") or "exec", message.get("errno") or 0
    error = os.strerror(number).lower() if number else "unknown"
    at = message.get("at") or now
    if stage == "exec":
        program = facts.get("program", "")
        if number in (errno.ENOENT, errno.ENOTDIR):
            text = f"command not found: `{program}`; check `{facts.get('key', 'command')}` and PATH"
            return AttemptEnded(ref, at, NOT_FOUND, reason="exit_code", message=text)
        if number == errno.E2BIG:
            text = f"`{facts.get('step', 'command')}` and its environment are longer than the kernel takes"
            return AttemptEnded(ref, at, reason="too_long", message=text)
        text = f"not executable: `{program}`: {error}"
        return AttemptEnded(ref, at, NOT_EXECUTABLE, reason="exit_code", message=text)
    reason, text = _STAGES.get(stage, (f"no_{stage}", "cannot be started: {error}"))
    return AttemptEnded(ref, at, reason=reason, message=text.format_map({"cwd": "", "user": "", **facts, "error": error}))


def refused(ref: AttemptRef, why: str, now: float) -> AttemptEnded:
    """The event of a start that no keeper takes."""
    reason, text = _REFUSALS.get(why, (f"refused_{why}", f"the keeper refused to start it: {why}"))
    return AttemptEnded(ref, now, reason=reason, message=text)


def ended(ref: AttemptRef, message: Mapping[str, Any], attempt_id: str, now: float) -> AttemptEnded:
    """The event of an `ended` message. Without a status the attempt is lost, and what is left of it alive is looked for."""
    status = message.get("status")
    exit_code = os.WEXITSTATUS(status) if status is not None and os.WIFEXITED(status) else None
    number = os.WTERMSIG(status) if status is not None and os.WIFSIGNALED(status) else None
    measured: dict[str, Any] = {key: message.get(key) for key in ("pid", "started_at", "cpu_s", "max_rss_kb", "output_bytes")}
    return AttemptEnded(
        ref,
        message.get("at") or now,
        exit_code,
        number,
        stopped=message.get("stopped"),
        survivors=status is None and bool(tree.survivors(attempt_id, message.get("pid"), message.get("ticks") or None)),
        left_behind=tuple(f"{one.get('pid')} {one.get('command', '')}".strip() for one in message.get("left_behind") or ()),
        **measured,
    )
