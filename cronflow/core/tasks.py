"""One task on its way: upstreams, limits, attempts, end; and what its end means for the tasks after it.

Every function here moves tasks only through `state.move`. The end of a task is carried on through a work list, not by
recursion, so that a chain of ten thousand tasks is as flat as one.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable

from cronflow.core import health, skips
from cronflow.core.blockers import limits
from cronflow.core.effects import Change, Effects, StartAttempt, StopAttempt
from cronflow.core.events import AttemptBegan, AttemptEnded
from cronflow.core.model import ATTEMPT_MOVES, Attempt, AttemptRef, Edge, Job, Result, Run, Task
from cronflow.core.model import State as StateWord
from cronflow.core.state import State, judge_run, move

Verdict = tuple[StateWord, str, str | None]
"""How a task ends without having run: state, reason, and the task that caused it."""


# ---- upstreams ------------------------------------------------------------------------------------------------------------


def met(edge: Edge, upstream: Task) -> bool:
    """Whether a final upstream meets the condition of an edge."""
    if edge.condition == "done":
        return True
    if edge.condition == "failure":
        return upstream.state == "failed" or (upstream.state == "blocked" and upstream.caused_by is not None)
    if edge.condition == "success_or_skipped":
        return upstream.state in ("success", "skipped")
    return upstream.state == "success"


def judge(job: Job, upstreams: list[tuple[Edge, Task]]) -> Verdict | bool:
    """What the upstreams in the run say: True it may go on, False it waits, or how it ends without running.

    Each condition is judged when its upstream is final; with `join = "any"` one that is met is enough. A task whose
    conditions are not met ends when all its upstreams are final: cancelled before blocked before skipped.
    """
    if not upstreams:
        return True
    final = [(edge, task) for edge, task in upstreams if task.final]
    good = [edge for edge, task in final if met(edge, task)]
    if len(good) == len(upstreams) or (job.join == "any" and good):
        return True
    if len(final) < len(upstreams):
        return False
    for _, task in final:
        if task.state == "cancelled":
            return "cancelled", "upstream_cancelled", task.caused_by or task.name
    for edge, task in final:
        if edge.condition in ("success", "success_or_skipped") and task.state in ("failed", "blocked"):
            return "blocked", "upstream_failed", task.caused_by or task.name
    cause = next(task for edge, task in final if not met(edge, task))
    return "skipped", "condition", cause.name


def _upstreams(run: Run, job: Job) -> list[tuple[Edge, Task]]:
    """The edges from tasks of this run; edges from jobs outside the run count as met."""
    return [(edge, run.tasks[edge.job]) for edge in job.after if edge.job in run.tasks]


def advance(state: State, out: Effects, run: Run, names: Iterable[str], now: float) -> None:
    """Look at waiting tasks again: they are queued, go on waiting, or end, and then those after them are looked at."""
    todo = deque(names)
    while todo:
        task = run.tasks[todo.popleft()]
        if task.state != "waiting" or run.held:
            continue
        job = state.job(run, task)
        verdict = judge(job, _upstreams(run, job))
        end: Verdict | bool | None = _turned_away(state, out, run, job) if verdict is True else verdict
        if end is None:
            enqueue(state, out, task, now)
        elif isinstance(end, tuple):
            task.caused_by = end[2]
            _close(state, out, run, task, end[0], end[1], None, now)
            todo.extend(name for name in state.flows[run.id].down[task.job] if name in run.tasks)


def _turned_away(state: State, out: Effects, run: Run, job: Job) -> Verdict | None:
    """A job that is disabled, paused or to be skipped does not run, unless a person named it."""
    if job.name in run.named:
        return None
    if not job.enabled:
        return "skipped", "disabled", None
    if job.name in state.pauses:
        return "skipped", "paused", None
    if skips.leaves_out(state, out, run, job):
        return "skipped", "skip", None
    return None


# ---- limits and attempts --------------------------------------------------------------------------------------------------


def enqueue(state: State, out: Effects, task: Task, now: float) -> None:
    """Put a task in line for a process; first come, first served."""
    move(out, task, "queued", "max_running")
    task.queued_at = now
    task.next_attempt_at = None
    heapq.heappush(state.ready, (now, task.run, task.name))


def hold(state: State, out: Effects, run: Run) -> None:
    """Mark the tasks that would go in line now as held back by `overlap`."""
    for task in run.tasks.values():
        job = state.job(run, task)
        if task.state == "waiting" and judge(job, _upstreams(run, job)) is True:
            move(out, task, "queued", "overlap")


def start_ready(state: State, out: Effects, now: float) -> None:
    """Start what is in line, as far as the limits allow. Tasks that have been cancelled meanwhile are passed over."""
    while state.ready and not limits(state):
        queued_at, run_id, name = heapq.heappop(state.ready)
        run = state.runs.get(run_id)
        task = run.tasks[name] if run else None
        if run is None or task is None or task.state != "queued" or task.queued_at != queued_at:
            continue
        task.attempts += 1
        attempt = Attempt(run.id, task.name, task.attempts, created_at=now)
        task.live = attempt
        task.started_at = task.started_at if task.started_at is not None else now
        move(out, task, "running")
        state.running += 1
        out.attempts[attempt.ref] = attempt
        out.deeds.append(StartAttempt(attempt.ref))
        if run.state == "waiting":
            out.changes.append(Change(run.id, None, run.state, "running", None))
            run.state, run.reason, run.started_at = "running", None, now
            out.runs[run.id] = run


def began(state: State, out: Effects, event: AttemptBegan) -> None:
    """The process of an attempt exists."""
    place = state.task_at(event.ref)
    if place is None or place[1].live is None or place[1].live.state != "starting":
        return
    attempt = place[1].live
    attempt.state, attempt.pid, attempt.started_at = "running", event.pid, event.at
    out.attempts[attempt.ref] = attempt


def unclaimed(state: State, out: Effects, ref: AttemptRef, now: float) -> None:
    """An attempt that was committed but never begun: it is begun now, under its own number, or ends if it was cancelled."""
    place = state.task_at(ref)
    if place is None or place[1].live is None or place[1].live.state != "starting":
        return
    if place[1].live.stop is None:
        out.deeds.append(StartAttempt(ref))
    else:
        ended(state, out, AttemptEnded(ref, now, stopped=place[1].live.stop), now)


def ended(state: State, out: Effects, event: AttemptEnded, now: float) -> None:
    """The process is gone: the attempt ends, and the task is tried again or ends with it."""
    place = state.task_at(event.ref)
    if place is None:
        return
    run, task = place
    attempt = task.live
    assert attempt is not None
    assert "ended" in ATTEMPT_MOVES[attempt.state]
    job = state.job(run, task)
    result, reason = classify(job, event)
    attempt.state, attempt.result, attempt.reason = "ended", result, reason
    attempt.exit_code, attempt.signal = event.exit_code, event.signal
    attempt.pid = event.pid if event.pid is not None else attempt.pid
    attempt.started_at = event.started_at if event.started_at is not None else attempt.started_at
    attempt.finished_at = event.at
    attempt.cpu_s, attempt.max_rss_kb = event.cpu_s, event.max_rss_kb
    attempt.output_bytes, attempt.left_behind = event.output_bytes, event.left_behind
    out.attempts[attempt.ref] = attempt
    task.live = None
    state.running -= 1
    if result == "lost" and state.up_since is None:
        state.interrupted.append((job.name, run.id, task.name, "lost"))
    if result in ("failed", "timeout", "killed", "lost") and _tried_again(job, task, attempt, event):
        _retry_later(state, out, job, task, reason, event, now)
    else:
        note = event.message
        if result == "cancelled" and attempt.stop is not None:
            reason, note = attempt.stop, task.note
        task.finished_at = min(event.at, now)
        close(state, out, run, task, _final_state(attempt), reason, note, now)


def classify(job: Job, event: AttemptEnded) -> tuple[Result, str | None]:
    """How an attempt ended, and the reason as a stable word. The truth of the process counts: one that ended by itself
    before it could be stopped has its own status."""
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
    if event.exit_code in job.success_codes:
        return "success", None
    return "failed", "skip_code" if event.exit_code in job.skip_codes else "exit_code"


def _final_state(attempt: Attempt) -> StateWord:
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


def spread(text: str) -> float:
    """A number in [0, 1) that depends on nothing but the text (FNV-1a, 32 bits, with a final mix)."""
    value = 2166136261
    for byte in text.encode():
        value = ((value ^ byte) * 16777619) & 0xFFFFFFFF
    value = ((value ^ (value >> 15)) * 0x2C1B3C6D) & 0xFFFFFFFF
    return float((value ^ (value >> 12)) & 0xFFFFFFFF) / 4294967296.0


def _retry_later(
    state: State, out: Effects, job: Job, task: Task, reason: str | None, event: AttemptEnded, now: float
) -> None:
    move(out, task, "retrying", reason, event.message)
    task.next_attempt_at = now + retry_delay(job, event.ref)
    heapq.heappush(state.timers, (task.next_attempt_at, "retry", task.run, task.name))


# ---- the end --------------------------------------------------------------------------------------------------------------


def close(
    state: State,
    out: Effects,
    run: Run,
    task: Task,
    final: StateWord,
    reason: str | None,
    note: str | None,
    now: float,
) -> None:
    """End a task, look at those after it, and end the run if it was the last one."""
    _close(state, out, run, task, final, reason, note, now)
    advance(state, out, run, [name for name in state.flows[run.id].down[task.job] if name in run.tasks], now)
    if final == "failed":
        health.failed(state, out, run, task, now)
    elif final == "success" and reason != "taken_over":
        health.succeeded(state, out, run, task, now)
    finish_if_done(state, out, run, now)


def _close(
    state: State,
    out: Effects,
    run: Run,
    task: Task,
    final: StateWord,
    reason: str | None,
    note: str | None,
    now: float,
) -> None:
    move(out, task, final, reason, note)
    task.finished_at = now if task.finished_at is None else task.finished_at
    task.next_attempt_at = None
    state.left[run.id] -= 1
    same_job = any(other.job == task.job and not other.final for other in run.tasks.values()) if task.matrix else False
    if not same_job:
        state.busy[task.job].pop(run.id, None)
    state.look = True


def finish_if_done(state: State, out: Effects, run: Run, now: float) -> None:
    """A run ends when all its tasks are final."""
    if state.left.get(run.id) != 0:
        return
    before = run.state
    run.state, run.reason = judge_run(run)
    run.finished_at = max((task.finished_at for task in run.tasks.values() if task.finished_at is not None), default=now)
    out.changes.append(Change(run.id, None, before, run.state, run.reason))
    out.runs[run.id] = run
    del state.runs[run.id], state.left[run.id], state.flows[run.id]
    state.held.pop(run.id, None)
    state.look = True


def cancel(state: State, out: Effects, run: Run, task: Task, reason: str, note: str | None, now: float) -> None:
    """End a task: at once if it has no process, otherwise when nothing of its process is left. A person who says so twice
    does not want to wait for `kill_after`."""
    if task.final:
        return
    if task.live is None:
        close(state, out, run, task, "cancelled", reason, note, now)
    elif task.live.stop is None:
        task.live.stop, task.note = reason, note
        out.attempts[task.live.ref], out.tasks[run.id, task.name] = task.live, task
        out.deeds.append(StopAttempt(task.live.ref))
    elif reason == "cancelled":
        out.deeds.append(StopAttempt(task.live.ref, now=True))


def cancel_run(state: State, out: Effects, run: Run, reason: str, note: str | None, now: float) -> None:
    """End every task of a run that is not final, those that come after with `done` too."""
    for task in run.tasks.values():
        if not task.final and task.live is None:
            _close(state, out, run, task, "cancelled", reason, note, now)
    for task in run.tasks.values():
        cancel(state, out, run, task, reason, note, now)
    finish_if_done(state, out, run, now)
