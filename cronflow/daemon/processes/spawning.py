"""From an attempt to the order that has a keeper start it."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronflow.ask import VALUE_LIMIT
from cronflow.core.events import AttemptEnded, Event
from cronflow.core.jobs import Command, Job
from cronflow.core.plan import params
from cronflow.core.records import Attempt, AttemptRef, End, Hook, Live, Run, Task
from cronflow.core.run.outputs import FILE_LIMIT, fitting, handed_down
from cronflow.core.state import LiveState
from cronflow.daemon.processes import taskfiles
from cronflow.daemon.processes.environment import Account, Unstartable, account, argv, cwd, environment
from cronflow.daemon.processes.keepers import Keepers
from cronflow.daemon.processes.reports import Order
from cronflow.daemon.processes.secrets import Secrets, commands_of
from cronflow.places import Places
from cronflow.store.store import Store

HOOKS = ("on_failure", "on_success")
KEYS = {"condition": "only_if", "sensor": "wait_until"}
"""The key of the job file behind a kind of attempt; the others are called alike."""
SHORTEST = 1.0
"""Seconds that the last poll of a sensor has at the least."""


def start(state: LiveState, ref: AttemptRef, orders: Orders, keepers: Keepers, store: Store) -> Event | None:
    """Have the keeper start an attempt, if it is still to be started. Returns the event of a start that has failed."""
    if state.live_at(ref) is None:
        return None
    code = store.last_exit_code(ref.run, ref.task) if ref.kind in HOOKS else None
    try:
        order = orders.order(state, ref, time.time(), code)
        order.env.update(taskfiles.path_variables(state.runs[ref.run], store, orders.places))
    except Unstartable as fact:
        return AttemptEnded(ref, time.time(), reason=fact.reason, message=fact.message)
    except OSError as error:
        message = f"its log folder cannot be made: {error.strerror}"
        return AttemptEnded(ref, time.time(), reason="no_log", message=message)
    return keepers.start(order)


class Orders(NamedTuple):
    """Makes the orders for attempts, and the files that their commands are given."""

    places: Places
    secrets: Secrets

    def order(self, state: LiveState, ref: AttemptRef, now: float, exit_code: int | None = None) -> Order:
        """The order for an attempt that is going on. `exit_code` is that of the command's last attempt, for a hook. Raises
        Unstartable, OSError."""
        run = state.runs[ref.run]
        task = run.tasks[ref.task]
        assert task.live is not None
        job = state.job(run, task)
        who = account(job)
        step = step_of(job, task, task.live, now)
        last = state.health.get(job.name)
        facts = attempt_facts(job, run, max(task.attempts, 1), last.last_success_at if last else None)
        if ref.kind in HOOKS:
            facts |= hook_facts(task, exit_code)
        given = {**self.secrets.resolve(job, who), **params.values(job, run), **task.matrix}
        outputs, left_out = fitting(handed_down(state.definition_of(run), run, task, state.with_outputs.get(run.id, ())))
        facts |= taskfiles.prepare(self.places, ref, task.attempts, who)
        env = environment(job, who, {**facts, **outputs}, os.environ, given)
        folder = cwd(job, who)
        words = argv(step.command, job.shell, env, folder)
        log = self._log(ref)
        taskfiles.append(log, [f"`{one}` is left out: the outputs before are larger than 1 MB" for one in left_out])
        key = "shell" if isinstance(step.command, str) else step.key
        return Order(
            ref,
            argv=asking(self._collected(ref, words, who), job.shell, commands_of(job)),
            env=env,
            cwd=folder,
            log=log,
            kill_after=job.kill_after,
            named={"program": words[0], "key": key, "step": step.key, "cwd": folder, "user": who.name},
            account=who if os.geteuid() == 0 and (job.user is not None or job.group is not None) else None,
            umask=job.umask,
            nice=job.nice,
            stdin=step.stdin,
            timeout=step.timeout,
            max_output=job.max_output,
        )

    def _collected(self, ref: AttemptRef, words: list[str], who: Account) -> list[str]:
        """The words of a `foreach`, which prints into a file of its own."""
        if ref.kind != "foreach":
            return words
        path = self.places.items(ref.run, ref.task, ref.n)
        taskfiles.make_file(path, who)
        return collecting(words, path)

    def _log(self, ref: AttemptRef) -> str:
        """The log of an attempt, made before it starts; of a sensor's polls only the last one's is kept. On a full disk a command
        runs all the same, and its output is lost."""
        path = self.places.log(ref.run, ref.task, ref.n, ref.kind)
        if ref.kind == "sensor":
            self.places.log(ref.run, ref.task, ref.n - 1, ref.kind).unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
        try:
            taskfiles.in_run_folder(self.places, ref.run, lambda: os.close(os.open(path, flags, 0o600)))
        except OSError as error:
            if error.errno not in taskfiles.NO_ROOM:
                raise
            return os.devnull
        return str(path)


def attempt_facts(job: Job, run: Run, n: int, previous_success: float | None) -> dict[str, str]:
    """The CRONFLOW_ values of an attempt. The slot's own time is the same in retries; without a slot it is the run's creation."""
    zone = ZoneInfo(job.timezone)
    scheduled = datetime.fromtimestamp(run.slot if run.slot is not None else int(run.created_at), zone)
    facts = {
        "CRONFLOW_JOB": job.name,
        "CRONFLOW_RUN_ID": str(run.id),
        "CRONFLOW_ATTEMPT": str(n),
        "CRONFLOW_TRIGGER": run.trigger,
        "CRONFLOW_SCHEDULED_AT": scheduled.isoformat(),
        "CRONFLOW_DATE": scheduled.date().isoformat(),
    }
    if previous_success is not None:
        facts["CRONFLOW_PREVIOUS_SUCCESS_AT"] = datetime.fromtimestamp(int(previous_success), zone).isoformat()
    return facts


class Step(NamedTuple):
    """The command of one process, the key of the job file that holds it, its limit in seconds (None: it has none)."""

    key: str
    command: Command
    timeout: float | None
    stdin: str | None = None


def step_of(job: Job, task: Task, attempt: Attempt, now: float) -> Step:
    """What an attempt is to run. Every process has the job's `timeout`; a poll of a sensor at most what is left of
    `wait_timeout`. Only the command itself reads `stdin`."""
    key = KEYS.get(attempt.kind, attempt.kind)
    if key == "command":
        return Step(key, job.command, job.timeout, job.stdin)
    if key == "check":
        return Step(key, job.check[task.passed], job.timeout)
    command: Command | None = getattr(job, key)
    assert command is not None, f"{attempt.ref} of a job without `{key}`"
    if key != "wait_until":
        return Step(key, command, job.timeout)
    since = task.phase.entered if isinstance(task.phase, Live) else now
    left = max(job.wait_timeout - (now - since), SHORTEST)
    return Step(key, command, min(left, math.inf if job.timeout is None else job.timeout))


def hook_facts(task: Task, exit_code: int | None) -> dict[str, str]:
    """What a hook is told of the end of its task: its state and reason, and the exit code of its last attempt."""
    end = task.phase.end if isinstance(task.phase, Hook) else End("failed")
    facts = {"CRONFLOW_TASK_STATE": str(end.state), "CRONFLOW_TASK_REASON": end.reason or ""}
    return facts if exit_code is None else {**facts, "CRONFLOW_EXIT_CODE": str(exit_code)}


# ---- what stands around a command -----------------------------------------------------------------------------------------
#
# Texts of sh(1) are constant, and all that varies is an argument: nothing of a job file is ever read as part of them.

SH = "/bin/sh"
_COLLECT = (
    'rc=$({ { (exec "$@" 3>&-); echo $? >&3; } | command -p head -c ' + str(FILE_LIMIT + 1) + ' >"$0"; } 3>&1)'
    ' || exit 74; exit "$rc"'
)
"""The items go through a pipe that ends at the limit, so that no flood fills the disk; 74 (sysexits.h, EX_IOERR): it was full."""
_ASK = (
    """\
_cronflow_line='
'
while [ "$1" != -- ]; do
  _cronflow_value=$({ "$0" -c "$2" </dev/null; echo "/cronflow/$?"; } | command -p head -c LIMIT)
  case ${_cronflow_value##*/cronflow/} in
    0) ;;
    "" | *[!0-9]*)
      echo "cronflow: the command of secret \\`$1\\` printed more than 64 kB" >&2
      exit 125 ;;
    *)
      echo "cronflow: the command of secret \\`$1\\` ended with exit status ${_cronflow_value##*/cronflow/}" >&2
      exit 125 ;;
  esac
  _cronflow_value=${_cronflow_value%/cronflow/*}
  while [ "$_cronflow_value" != "${_cronflow_value%"$_cronflow_line"}" ]; do
    _cronflow_value=${_cronflow_value%"$_cronflow_line"}
  done
  export "$1=$_cronflow_value"
  shift 2
done
shift
unset _cronflow_value _cronflow_line
exec "$@"
"""
).replace("LIMIT", str(VALUE_LIMIT + len("/cronflow/0")))
"""A value comes through a pipe that ends at the limit, behind it the status of its command: where that is missing, the value was
larger."""


def collecting(argv: Sequence[str], path: Path) -> list[str]:
    """A command whose standard output goes into a file, up to the limit; its exit status stays its own."""
    return [SH, "-c", _COLLECT, str(path), *argv]


def asking(argv: Sequence[str], shell: str, commands: Mapping[str, str]) -> list[str]:
    """A command before which others are run, whose output it finds in its environment: KEY -> command. Their values are in no
    command line; one that fails ends the attempt with exit status 125."""
    if not commands:
        return list(argv)
    pairs = [word for pair in commands.items() for word in pair]
    return [SH, "-c", _ASK, shell, *pairs, "--", *argv]
