"""Processes: those of a command, which may be tried again, and what becomes of a task when one of its processes has ended.

    command  →  each `check` in its turn  →  `on_success` or `on_failure`  →  the task ends
       ↑               ↓ (not 0)
       └── retrying ←──┘

The steps after the command take its place in the limits: nobody comes between them.
"""

from __future__ import annotations

from cronflow.core.effects import Change, Effects, Reply, StartAttempt, StopAttempt
from cronflow.core.events import ApprovalGiven, AttemptBegan, AttemptEnded
from cronflow.core.jobs import Job
from cronflow.core.notify import lateness
from cronflow.core.plan.copies import item_copies
from cronflow.core.records import ATTEMPT_MOVES, Attempt, AttemptRef, Result, Run, Task, TaskState
from cronflow.core.run import queue, stages, tasks
from cronflow.core.stable import spread
from cronflow.core.state import COMMAND, LiveState, move
from cronflow.core.words import pasted
from cronflow.errors import Exit

BAD = ("failed", "timeout", "killed", "lost")


def began(state: LiveState, out: Effects, event: AttemptBegan) -> None:
    """The process of an attempt exists."""
    place = state.task_at(event.ref)
    if place is None or place[1].live is None or place[1].live.state != "starting":
        return
    attempt = place[1].live
    attempt.state, attempt.pid, attempt.started_at = "running", event.pid, event.at
    out.attempts[attempt.ref] = attempt
    lateness.watch(state, *place)


def unclaimed(state: LiveState, out: Effects, ref: AttemptRef, now: float) -> None:
    """An attempt that was committed but never begun: it is begun now, under its own number, or ends if it was cancelled."""
    place = state.task_at(ref)
    if place is None or place[1].live is None or place[1].live.state != "starting":
        return
    if place[1].live.stop is None:
        out.deeds.append(StartAttempt(ref))
    else:
        ended(state, out, AttemptEnded(ref, now, stopped=place[1].live.stop), now)


def ended(state: LiveState, out: Effects, event: AttemptEnded, now: float) -> None:
    """The process is gone: what it was for goes on, is tried again, or ends with it."""
    place = state.task_at(event.ref)
    if place is None:
        return
    run, task = place
    attempt = task.live
    assert attempt is not None
    _fill_in(state.job(run, task), attempt, event)
    out.attempts[attempt.ref] = attempt
    out.tasks[run.id, task.name] = task
    state.give_place_back(state.job(run, task), task)
    task.live = None
    if _cancelled(state.job(run, task), task, attempt):
        task.finished_at = min(event.at, now)
        tasks.close(state, out, run, task, "cancelled", attempt.stop, task.note, now)
    elif attempt.kind == COMMAND:
        _command_ended(state, out, run, task, attempt, event, now)
    elif attempt.kind == "check":
        _check_ended(state, out, run, task, attempt, event, now)
    elif task.verdict:
        task.finished_at = min(event.at, now)
        tasks.close(state, out, run, task, *tasks.verdict_of(task), now)
    else:
        _step_ended(state, out, run, task, attempt, event, now)


def _cancelled(job: Job, task: Task, attempt: Attempt) -> bool:
    """Whether the task ends with a process that somebody wanted to end: always where it was a step. A command that has ended by
    itself all the same has, unless it was still to be checked."""
    if attempt.stop in (None, "wait_timeout") or task.verdict:
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


def _command_ended(
    state: LiveState, out: Effects, run: Run, task: Task, attempt: Attempt, event: AttemptEnded, now: float
) -> None:
    job = state.job(run, task)
    task.outputs = dict(event.outputs)
    state.note_outputs(task)
    if attempt.result == "success":
        lateness.ran(state, out, task, attempt)
    if attempt.result == "lost" and state.up_since is None:
        state.interrupted.append((job.name, run.id, task.name, "lost"))
    if attempt.result == "success" and job.check:
        task.stage, task.check, task.reason = "check", 0, "check"
        queue.start(state, out, run, task, now)
    elif attempt.result in BAD and _tried_again(job, task, attempt, event):
        _retry_later(state, out, job, task, attempt.reason, event, now)
    else:
        conclude(state, out, run, task, _final_state(attempt), attempt.reason, event.message, event.at, now)


def _check_ended(state: LiveState, out: Effects, run: Run, task: Task, check: Attempt, event: AttemptEnded, now: float) -> None:
    """A check that says no makes a failure of the attempt that it looked at, which is then judged as such. One whose answer
    nobody knows is asked again."""
    job = state.job(run, task)
    if check.result == "lost" and not event.survivors:
        queue.start(state, out, run, task, now)
        return
    if check.result == "success":
        task.check += 1
        if task.check < len(job.check):
            queue.start(state, out, run, task, now)
        else:
            conclude(state, out, run, task, "success", None, None, event.at, now)
        return
    command = AttemptRef(run.id, task.name, task.attempts)
    out.overruled[command] = None
    task.stage = COMMAND
    attempt = Attempt(run.id, task.name, task.attempts, result="failed", reason="check")
    if _tried_again(job, task, attempt, event):
        _retry_later(state, out, job, task, "check", AttemptEnded(command, event.at, message=event.message), now)
    else:
        conclude(state, out, run, task, "failed", "check", event.message, event.at, now)


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
    return float(min(delay, job.retry_max_delay) * (0.9 + 0.2 * spread(str(ref))))


def pace(job: Job, task: Task) -> float:
    """Seconds after which a task comes again by itself: for the next poll of its sensor, or the next attempt of its command."""
    if task.stage == "sensor":
        return max(job.wait_every, 0.01)
    return retry_delay(job, AttemptRef(task.run, task.name, task.attempts))


def _retry_later(
    state: LiveState, out: Effects, job: Job, task: Task, reason: str | None, event: AttemptEnded, now: float
) -> None:
    move(out, task, "retrying", reason, event.message)
    stages.come_again(state, out, state.runs[task.run], task, now + retry_delay(job, event.ref))


# ---- the steps before the command -----------------------------------------------------------------------------------------


def _step_ended(state: LiveState, out: Effects, run: Run, task: Task, step: Attempt, event: AttemptEnded, now: float) -> None:
    """A condition, a poll or the lines of a `foreach`. One whose status nobody knows is asked again."""
    if away := tasks.turned_away(state, out, run, state.job(run, task)):
        tasks.close(state, out, run, task, away[0], away[1], None, now)
    elif step.stop == "wait_timeout" and step.result != "success":
        waited_too_long(state, out, run, task, now)
    elif step.result == "lost" and not event.survivors:
        queue.enqueue(state, out, run, task, now)
    elif event.reason is not None or step.result == "lost":
        conclude(state, out, run, task, "failed", step.reason, event.message, event.at, now)
    elif task.stage == "sensor" and step.result != "success":
        _poll_later(state, out, run, task, now)
    elif task.stage == "foreach":
        _items_known(state, out, run, task, step, event, now)
    elif step.result == "success":
        stages.begin(state, out, run, task, now)
    else:
        tasks.close(state, out, run, task, "skipped", "condition", None, now)


def _poll_later(state: LiveState, out: Effects, run: Run, task: Task, now: float) -> None:
    job = state.job(run, task)
    assert task.stage_at is not None
    if now >= task.stage_at + job.wait_timeout:
        waited_too_long(state, out, run, task, now)
    else:
        stages.come_again(state, out, run, task, now + pace(job, task))


def waited_too_long(state: LiveState, out: Effects, run: Run, task: Task, now: float) -> None:
    """The time of a sensor is over: its task fails; a poll that is going on is ended first."""
    if task.live is None:
        conclude(state, out, run, task, "failed", "wait_timeout", None, now, now)
    elif task.live.stop is None:
        task.live.stop = "wait_timeout"
        out.attempts[task.live.ref] = task.live
        out.deeds.append(StopAttempt(task.live.ref))


def _items_known(state: LiveState, out: Effects, run: Run, task: Task, step: Attempt, event: AttemptEnded, now: float) -> None:
    """Put a task for each line in the place of this one."""
    if step.result != "success":
        conclude(state, out, run, task, "failed", "foreach", event.message, event.at, now)
        return
    if not event.items:
        tasks.close(state, out, run, task, "skipped", "no_items", None, now)
        return
    job = state.job(run, task)
    del run.tasks[task.name]
    state.groups[run.id][task.job].remove(task.name)
    out.tasks.pop((run.id, task.name), None)
    out.gone[run.id, task.name] = None
    out.changes.append(Change(run.id, task.name, task.state, f"{len(event.items)} copies", None))
    copies = [
        Task(run.id, name, job.name, stage="foreach", told=task.told, matrix=values)
        for name, values in item_copies(job, event.items)
    ]
    for copy in copies:
        run.tasks[copy.name] = copy
        state.enter_task(copy)
        lateness.expect(state, out, run, copy, now)
    state.leave_task(task)
    for copy in copies:
        stages.begin(state, out, run, copy, now)


# ---- approval -------------------------------------------------------------------------------------------------------------


def approval_given(state: LiveState, out: Effects, event: ApprovalGiven, now: float) -> Reply:
    """A person lets a task go on, or ends it as failed; by a job's name all its copies that wait for it."""
    run = state.runs.get(event.run)
    if run is None:
        return Reply(refused=f"run {event.run} has ended already")
    names = [event.task] if event.task in run.tasks else list(state.groups[run.id].get(event.task, ()))
    if not names:
        return Reply(refused=f"run {run.id} has no task `{event.task}`", exit_status=Exit.NOT_FOUND)
    waiting = [task for name in names if _waits_for_approval(task := run.tasks[name])]
    if not waiting:
        first = run.tasks[names[0]]
        how = f"has ended already: {first.state}" if first.final else "does not wait for an approval"
        hint = f"`cronflow why {pasted(f'{run.id}/{event.task}')}`"
        return Reply(refused=f"task `{run.id}/{event.task}` {how}", hint=hint)
    for task in waiting:
        if event.approved:
            stages.begin(state, out, run, task, now)
        else:
            note = f"by {event.by}" + (f": {event.reason}" if event.reason else "")
            conclude(state, out, run, task, "failed", "rejected", note, now, now)
    return Reply((run.id,))


def _waits_for_approval(task: Task) -> bool:
    return task.stage == "approval" and not task.final and not task.verdict


# ---- the end --------------------------------------------------------------------------------------------------------------


def conclude(
    state: LiveState,
    out: Effects,
    run: Run,
    task: Task,
    final: TaskState,
    reason: str | None,
    note: str | None,
    at: float,
    now: float,
) -> None:
    """End a task as decided, after its hook if it has one for this end. A hook changes nothing about it."""
    job = state.job(run, task)
    hook = {"failed": job.on_failure, "success": job.on_success}.get(final)
    if hook is None:
        task.finished_at = min(at, now)
        tasks.close(state, out, run, task, final, reason, note, now)
        return
    task.verdict = (final, reason or "", note or "")
    task.stage, task.stage_at, task.next_attempt_at = "on_failure" if final == "failed" else "on_success", now, None
    task.reason = "hook"
    if task.state == "running":
        queue.start(state, out, run, task, now)
    else:
        queue.enqueue(state, out, run, task, now)
