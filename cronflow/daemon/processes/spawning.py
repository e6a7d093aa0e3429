"""From an attempt to the order that has a keeper start it."""

from __future__ import annotations

import os
import time
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from cronflow.core.events import AttemptEnded, Event
from cronflow.core.jobs import Job
from cronflow.core.plan import params
from cronflow.core.records import AttemptRef, Run
from cronflow.core.run.outputs import fitting, handed_down
from cronflow.core.state import LiveState
from cronflow.daemon.processes import pathlist, taskfiles
from cronflow.daemon.processes.environment import Account, Unstartable, account, argv, cwd, environment
from cronflow.daemon.processes.keepers import Keepers
from cronflow.daemon.processes.orders import Order
from cronflow.daemon.processes.secrets import Secrets, commands_of
from cronflow.daemon.processes.steps import hook_facts, step_of
from cronflow.daemon.processes.wrapping import asking, collecting
from cronflow.places import Places
from cronflow.store.store import Store

HOOKS = ("on_failure", "on_success")


def start(state: LiveState, ref: AttemptRef, places: Places, keepers: Keepers, store: Store, secrets: Secrets) -> Event | None:
    """Have the keeper start an attempt, if it is still to be started. Returns the event of a start that has failed."""
    if state.task_at(ref) is None:
        return None
    code = store.last_exit_code(ref.run, ref.task) if ref.kind in HOOKS else None
    try:
        order = Orders(places, secrets).order(state, ref, time.time(), code)
        order.env.update(pathlist.variables(state.runs[ref.run], store, places))
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
