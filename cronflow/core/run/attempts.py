"""Processes: those of a command, which may be tried again, and what becomes of a task when one of its processes has ended.

    command  →  each `check` in its turn  →  `on_success` or `on_failure`  →  the task ends
       ↑               ↓ (not 0)
       └── retrying ←──┘

The steps after the command take its place in the limits: nobody comes between them.
"""

from __future__ import annotations

from cronflow.core.effects import Move, Reply, StartAttempt, StopAttempt
from cronflow.core.events import ApprovalGiven, AttemptBegan, AttemptEnded
from cronflow.core.jobs import Job
from cronflow.core.notify import lateness
from cronflow.core.plan.copies import item_copies
from cronflow.core.records import (
    ATTEMPT_MOVES,
    COMMAND,
    Approval,
    Attempt,
    AttemptRef,
    End,
    Hook,
    Live,
    Pausing,
    Queued,
    Result,
    Task,
    TaskState,
)
from cronflow.core.run import queue, tasks
from cronflow.core.stable import stable_fraction
from cronflow.core.tables import ATTEMPTS, TASKS
from cronflow.core.turn import Turn
from cronflow.core.words import pasted
from cronflow.errors import Exit

BAD = ("failed", "timeout", "killed", "lost")
WAITED_TOO_LONG = End("failed", "wait_timeout")


def began(turn: Turn, event: AttemptBegan) -> None:
    """The process of an attempt exists."""
    found = turn.state.live_at(event.ref)
    if found is None or found[1].state != "starting":
        return
    task, attempt = found
    attempt.state, attempt.pid, attempt.started_at = "running", event.pid, event.at
    turn.save(attempt)
    lateness.watch(turn.state, task)


def unclaimed(turn: Turn, ref: AttemptRef) -> None:
    """An attempt that was committed but never begun: it is begun now, under its own number, or ends if it was cancelled."""
    found = turn.state.live_at(ref)
    if found is None or found[1].state != "starting":
        return
    _, attempt = found
    if attempt.stop is None:
        turn.act(StartAttempt(ref))
    else:
        ended(turn, AttemptEnded(ref, turn.now, stopped=attempt.stop))


def ended(turn: Turn, event: AttemptEnded) -> None:
    """The process is gone: what it was for goes on, is tried again, or ends with it."""
    found = turn.state.live_at(event.ref)
    if found is None:
        return
    task, attempt = found
    job = turn.job(task)
    _fill_in(job, attempt, event)
    turn.save(attempt)
    turn.state.give_place_back(job, task)
    if attempt.stop is not None and _cancelled(job, task, attempt):
        tasks.close(turn, task, End("cancelled", attempt.stop, task.note, at=event.at))
    elif isinstance(task.phase, Hook):
        tasks.close(turn, task, task.phase.end, event.at)
    elif attempt.kind == COMMAND:
        _command_ended(turn, job, task, attempt, event)
    elif attempt.kind == "check":
        _check_ended(turn, job, task, attempt, event)
    else:
        _step_ended(turn, job, task, attempt, event)


def _cancelled(job: Job, task: Task, attempt: Attempt) -> bool:
    """Whether the task ends with a process that somebody wanted to end: always where it was a step. A command that has ended by
    itself all the same has, unless it was still to be checked."""
    if attempt.stop == "wait_timeout" or isinstance(task.phase, Hook):
        return False
    checked = attempt.result == "success" and bool(job.check)
    return attempt.kind != COMMAND or attempt.result == "cancelled" or checked


def _fill_in(job: Job, attempt: Attempt, event: AttemptEnded) -> None:
    assert "ended" in ATTEMPT_MOVES[attempt.state]
    attempt.state = "ended"
    attempt.result, attempt.reason = classify(job, event)
    attempt.exit_code, attempt.signal = event.exit_code, event.signal
    attempt.pid = event.pid if event.pid is not None else attempt.pid
    attempt.started_at = event.started_at if event.started_at is not None else attempt.started_at
    attempt.finished_at = event.at
    attempt.cpu_s, attempt.max_rss_kb = event.cpu_s, event.max_rss_kb
    attempt.output_bytes, attempt.left_behind = event.output_bytes, event.left_behind


def classify(job: Job, event: AttemptEnded) -> tuple[Result, str | None]:
    """How an attempt ended, and the reason as a stable word. The truth of the process counts: one that ended by itself
    before it could be stopped has its own status. `success_codes` and `skip_codes` are those of the command alone."""
    if event.stopped == "timeout":
        return "timeout", "timeout"
    if event.stopped is not None:
        return "cancelled", "cancelled"
    if event.reason is not None:
        return "failed", event.reason
    if event.signal is not None:
        return "killed", "killed"
    if event.exit_code is None:
        return "lost", "lost"
    command = event.ref.kind == COMMAND
    if event.exit_code in (job.success_codes if command else (0,)):
        return "success", None
    return "failed", "skip_code" if command and event.exit_code in job.skip_codes else "exit_code"


# ---- the command and its checks -------------------------------------------------------------------------------------------


def _command_ended(turn: Turn, job: Job, task: Task, attempt: Attempt, event: AttemptEnded) -> None:
    state = turn.state
    task.outputs = dict(event.outputs)
    if task.outputs:
        state.note_outputs(task)
    if attempt.result == "success":
        lateness.ran(turn, task, attempt)
    if attempt.result == "lost" and state.up_since is None:
        state.interrupted.append((job.name, task.run, task.name, "lost"))
    if attempt.result == "success" and job.check:
        queue.follow(turn, task, 0)
    elif attempt.result in BAD and _tried_again(job, task, attempt, event):
        _retry_later(turn, job, task, attempt.reason, event)
    else:
        conclude(turn, job, task, End(_final_state(attempt), attempt.reason, event.message, at=event.at))


def _check_ended(turn: Turn, job: Job, task: Task, check: Attempt, event: AttemptEnded) -> None:
    """A check that says no makes a failure of the attempt that it looked at, which is then judged as such. One whose answer
    nobody knows is asked again."""
    assert isinstance(task.phase, Live)
    passed = task.phase.passed + (check.result == "success")
    unknown = check.result == "lost" and not event.survivors
    if unknown or (check.result == "success" and passed < len(job.check)):
        queue.follow(turn, task, passed)
    elif check.result == "success":
        conclude(turn, job, task, End("success", at=event.at))
    else:
        command = AttemptRef(task.run, task.name, task.attempts)
        turn.patch(ATTEMPTS, command._asdict(), result="failed", reason="check")
        attempt = Attempt(task.run, task.name, task.attempts, result="failed", reason="check")
        if _tried_again(job, task, attempt, event):
            _retry_later(turn, job, task, "check", AttemptEnded(command, event.at, message=event.message))
        else:
            conclude(turn, job, task, End("failed", "check", event.message, at=event.at))


def _final_state(attempt: Attempt) -> TaskState:
    if attempt.result == "success":
        return "success"
    if attempt.result == "cancelled":
        return "cancelled"
    return "skipped" if attempt.reason == "skip_code" else "failed"


def _tried_again(job: Job, task: Task, attempt: Attempt, event: AttemptEnded) -> bool:
    """Whether the retry policy gives this failure another attempt. A lost attempt of which something still lives gets
    none: it could run twice at once."""
    if attempt.reason == "skip_code" or attempt.stop is not None or task.attempts > job.retries or event.survivors:
        return False
    if job.retry_on is None:
        return True
    if attempt.reason == "check":
        return "check" in job.retry_on
    return attempt.result in job.retry_on or (attempt.result == "failed" and attempt.exit_code in job.retry_on)


def retry_delay(job: Job, ref: AttemptRef) -> float:
    """Seconds until the attempt after `ref`: delay × backoff^n, at most `retry_max_delay`, ± 10 % that are a hash of the
    attempt, so that many jobs which failed together do not come back together, and the same seed gives the same trace."""
    delay = job.retry_delay
    for _ in range(ref.n - 1):  # and not `**`, which overflows after some hundred attempts
        if delay >= job.retry_max_delay:
            break
        delay *= job.retry_backoff
    return float(min(delay, job.retry_max_delay) * (0.9 + 0.2 * stable_fraction(str(ref))))


def pace(job: Job, task: Task, stage: str) -> float:
    """Seconds after which a task comes again by itself: for the next poll of its sensor, or the next attempt of its command."""
    if stage == "sensor":
        return max(job.wait_every, 0.01)
    return retry_delay(job, AttemptRef(task.run, task.name, task.attempts))


def _retry_later(turn: Turn, job: Job, task: Task, reason: str | None, event: AttemptEnded) -> None:
    again_at = turn.now + retry_delay(job, event.ref)
    queue.come_again(turn, task, Pausing(COMMAND, again_at, turn.now, task.passed), reason, event.message)


# ---- the steps before the command -----------------------------------------------------------------------------------------


def _step_ended(turn: Turn, job: Job, task: Task, step: Attempt, event: AttemptEnded) -> None:
    """A condition, a poll or the lines of a `foreach`. One whose status nobody knows is asked again."""
    phase = task.phase
    assert isinstance(phase, Live)
    if end := tasks.excluded(turn, turn.run(task), job):
        tasks.close(turn, task, end)
    elif step.stop == "wait_timeout" and step.result != "success":
        conclude(turn, job, task, WAITED_TOO_LONG)
    elif step.result == "lost" and not event.survivors:
        queue.enqueue(turn, job, task, Queued(step.kind, turn.now, phase.entered, phase.polls))
    elif event.reason is not None or step.result == "lost":
        conclude(turn, job, task, End("failed", step.reason, event.message, at=event.at))
    elif step.kind == "sensor" and step.result != "success":
        _poll_later(turn, job, task, phase)
    elif step.kind == "foreach" and step.result != "success":
        conclude(turn, job, task, End("failed", "foreach", event.message, at=event.at))
    elif step.kind == "foreach":
        _items_known(turn, job, task, event)
    elif step.result == "success":
        queue.next_stage(turn, job, task, step.kind)
    else:
        tasks.close(turn, task, End("skipped", "condition"))


def _poll_later(turn: Turn, job: Job, task: Task, phase: Live) -> None:
    if turn.now >= phase.entered + job.wait_timeout:
        conclude(turn, job, task, WAITED_TOO_LONG)
    else:
        again_at = turn.now + pace(job, task, "sensor")
        queue.come_again(turn, task, Pausing("sensor", again_at, phase.entered, polls=phase.polls), "sensor")


def waited_too_long(turn: Turn, task: Task) -> None:
    """The time of a sensor is over: its task fails; a poll that is going on is ended first."""
    live = task.live
    if live is None:
        conclude(turn, turn.job(task), task, WAITED_TOO_LONG)
    elif live.stop is None:
        live.stop = "wait_timeout"
        turn.save(live)
        turn.act(StopAttempt(live.ref))


def _items_known(turn: Turn, job: Job, task: Task, event: AttemptEnded) -> None:
    """Put a task for each line in the place of this one."""
    if not event.items:
        tasks.close(turn, task, End("skipped", "no_items"))
        return
    state, run = turn.state, turn.run(task)
    del run.tasks[task.name]
    state.by_job[run.id][task.job].remove(task)
    turn.delete(TASKS, (run.id, task.name))
    turn.out.moves.append(Move(run.id, task.name, task.state, f"{len(event.items)} copies", None))
    copies = [Task(run.id, name, job.name, told=task.told, matrix=values) for name, values in item_copies(job, event.items)]
    for copy in copies:
        run.tasks[copy.name] = copy
        state.enter_task(copy)
        lateness.expect(turn, copy)
    state.leave_task(task)
    for copy in copies:
        queue.next_stage(turn, job, copy, "foreach")


# ---- approval -------------------------------------------------------------------------------------------------------------


def approval_given(turn: Turn, event: ApprovalGiven) -> Reply:
    """A person lets a task go on, or ends it as failed; by a job's name all its copies that wait for it."""
    run = turn.state.runs.get(event.run)
    if run is None:
        return Reply(refused=f"run {event.run} has ended already")
    mine = [run.tasks[event.task]] if event.task in run.tasks else turn.state.by_job[run.id].get(event.task)
    if not mine:
        return Reply(refused=f"run {run.id} has no task `{event.task}`", exit_status=Exit.NOT_FOUND)
    waiting = [task for task in mine if isinstance(task.phase, Approval)]
    if not waiting:
        first = mine[0]
        how = f"has ended already: {first.state}" if first.final else "does not wait for an approval"
        hint = f"`cronflow why {pasted(f'{run.id}/{event.task}')}`"
        return Reply(refused=f"task `{run.id}/{event.task}` {how}", hint=hint)
    for task in waiting:
        if event.approved:
            queue.next_stage(turn, turn.job(task), task, "approval")
        else:
            note = f"by {event.by}" + (f": {event.reason}" if event.reason else "")
            conclude(turn, turn.job(task), task, End("failed", "rejected", note))
    return Reply((run.id,))


# ---- the end --------------------------------------------------------------------------------------------------------------


def conclude(turn: Turn, job: Job, task: Task, end: End) -> None:
    """End a task as decided, after its hook if it has one for this end. A hook changes nothing about it."""
    if {"failed": job.on_failure, "success": job.on_success}.get(end.state) is None:
        tasks.close(turn, task, end)
        return
    hook = Hook(end._replace(at=None), turn.now, passed=task.passed)
    if task.state == "running":
        queue.follow(turn, task, hook)
    else:
        queue.enqueue(turn, job, task, hook)
