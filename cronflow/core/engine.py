"""The engine: one function that says what to do about what happened. It decides, and nothing else does.

    step(state, event, now)   react to the event, then settle: what time and the other tasks make possible
    next_wakeup(state)        when time alone will change something; until then the daemon sleeps
    blockers(state, …)        why a task does not start; [] exactly when it does

The laws (the simulated world of the tests checks them after every step):

1. Rows before deeds: whatever `step` returns is saved in one transaction before a process is started or ended.
2. A step right after a step, with nothing new, returns nothing; `next_wakeup` is None or in the future.
3. What is in the database rebuilds the live state exactly.
4. A slot opens at most one run. Attempts ≤ retries + 1; running ≤ limits; nothing starts before its `after`.
5. Events name an attempt, not a job: a late report never ends a successor. Only its own report ends an attempt.
6. A queue is bounded. Whatever began ends. Every slot is in exactly one row.
7. The same events at the same times give the same trace, to the letter.

A task passes through stages: upstreams; condition, sensor, approval, the lines of a `foreach`; limits; the attempts of its
command; checks; a hook. A stage that needs a process starts, holds and reports it as an attempt of another `kind`; a stage that
waits is a state with a predicate in `blockers`.
"""

from __future__ import annotations

import heapq

from cronflow.core import events as happened
from cronflow.core.edges import edge_state, waiting
from cronflow.core.effects import Effects, Reply, StopAttempt
from cronflow.core.events import Event
from cronflow.core.jobs import JobSet
from cronflow.core.notify import health, lateness
from cronflow.core.plan.flow import Plan
from cronflow.core.records import Act, Pause
from cronflow.core.run import attempts, byhand, queue, retries, runs, tasks
from cronflow.core.run.blockers import blockers
from cronflow.core.slots import clock_correction, due, event_slots, skips
from cronflow.core.state import LiveState
from cronflow.errors import Exit

__all__ = ["blockers", "next_wakeup", "step"]


def step(state: LiveState, event: Event, now: float) -> Effects:
    """React to one event at the time `now` (epoch seconds) and settle. The state is changed in place; the effects are to be
    saved before the next thing is done outside."""
    out = Effects()
    _react(state, out, event, now)
    _settle(state, out, now)
    return out


def next_wakeup(state: LiveState) -> float | None:
    """When time alone will change something (epoch seconds): the next slot, retry or end of a pause."""
    found = [heap[0][0] for heap in (state.timers, state.due if state.slots and not state.draining else []) if heap]
    return min(found) if state.up_since is not None and found else None


# ---- react ----------------------------------------------------------------------------------------------------------------


def _react(state: LiveState, out: Effects, event: Event, now: float) -> None:
    match event:
        case happened.Started():
            state.up_since, state.slots, state.down_from = now, event.slots, event.alive_at
            state.rebooted, state.boot = event.rebooted, event.boot
            _take_over(state, out, event.jobs, event.plan, now)
            event_slots.booted(state, out, now)
            out.deeds.extend(StopAttempt(task.live.ref) for task in state.live() if task.live and task.live.stop)
        case happened.Reloaded():
            _open_due(state, out, now)
            _take_over(state, out, event.jobs, event.plan, now)
        case happened.ClockSetBack():
            clock_correction.set_back(state, out, event, now)
        case happened.AttemptBegan():
            attempts.began(state, out, event)
        case happened.AttemptUnclaimed():
            attempts.unclaimed(state, out, event.ref, now)
        case happened.AttemptEnded():
            attempts.ended(state, out, event, now)
        case happened.Triggered():
            event_slots.triggered(state, out, event, now)
        case happened.RunAsked():
            _answer(out, event, byhand.ask_run(state, out, event, now), "run", now)
        case happened.RetryAsked():
            _answer(out, event, retries.ask_retry(state, out, event, now), "retry", now)
        case happened.CancelAsked():
            _answer(out, event, byhand.ask_cancel(state, out, event, now), "cancel", now)
        case happened.PauseAsked():
            _answer(out, event, _pause(state, out, event, now), "pause", now)
        case happened.ResumeAsked():
            _answer(out, event, _resume(state, out, event), "resume", now)
        case happened.SkipAsked():
            _answer(out, event, skips.ask_skip(state, out, event, now), "skip", now)
        case happened.ApprovalGiven():
            verb = "approve" if event.approved else "reject"
            _answer(out, event, attempts.approval_given(state, out, event, now), verb, now)
        case happened.DrainAsked():
            _drain(state, out, event, now)
        case happened.Acted():
            out.acts.append(Act(now, event.by, event.verb, event.words))
        case happened.TroubleFound():
            health.trouble_found(state, out, event, now)
        case happened.TroubleGone():
            health.trouble_gone(state, out, event.key)
        case happened.Woke():
            pass


def _take_over(state: LiveState, out: Effects, jobs: JobSet, plan: Plan, now: float) -> None:
    """Put a reading of the job file in force. Runs that go on end under the definition with which they began."""
    state.jobs, state.plan = jobs, plan
    state.look = True
    if state.slots:
        due.follow_plan(state, out, now)
        edge_state.follow_plan(state, out)
        waiting.follow_plan(state, out, now)


def _answer(
    out: Effects,
    event: happened.RunAsked
    | happened.RetryAsked
    | happened.CancelAsked
    | happened.PauseAsked
    | happened.ResumeAsked
    | happened.SkipAsked
    | happened.ApprovalGiven,
    reply: Reply,
    verb: str,
    now: float,
) -> None:
    """Answer a person, and write down what was done; what was refused was not done."""
    out.replies[event.request] = reply
    if reply.refused is not None:
        return
    if isinstance(event, happened.PauseAsked | happened.ResumeAsked | happened.SkipAsked):
        out.acts.extend(Act(now, event.by, verb, event.words, job=job) for job in event.jobs)
        return
    names = event.jobs if isinstance(event, happened.RunAsked) else ()
    job = names[0] if len(names) == 1 else None
    out.acts.extend(Act(now, event.by, verb, event.words, job, run) for run in reply.runs)


def _pause(state: LiveState, out: Effects, event: happened.PauseAsked, now: float) -> Reply:
    unknown = [name for name in event.jobs if name not in state.jobs.jobs]
    if unknown:
        return Reply(refused=f"no job `{unknown[0]}`", exit_status=Exit.NOT_FOUND)
    for name in event.jobs:
        pause = Pause(name, now, event.by, event.until, event.reason)
        state.pauses[name] = pause
        out.pauses[name] = pause
        if pause.until is not None:
            heapq.heappush(state.timers, (pause.until, "resume", 0, name))
        _skip_unstarted(state, out, name, now)
    return Reply()


def _skip_unstarted(state: LiveState, out: Effects, job: str, now: float) -> None:
    """A pause acts on tasks that have not started, unless a person named them: those in line end here."""
    for number in list(state.busy.get(job, ())):
        run = state.runs[number]
        for name in list(state.groups[number].get(job, ())):
            task = run.tasks[name]
            unstarted = (task.state == "queued" or (task.state == "waiting" and task.stage)) and task.attempts == 0
            if unstarted and task.live is None and not task.verdict and job not in run.named:
                tasks.close(state, out, run, task, "skipped", "paused", None, now)


def _resume(state: LiveState, out: Effects, event: happened.ResumeAsked) -> Reply:
    unknown = [name for name in event.jobs if name not in state.jobs.jobs and name not in state.pauses]
    if unknown:
        return Reply(refused=f"no job `{unknown[0]}`", exit_status=Exit.NOT_FOUND)
    if not any(name in state.pauses for name in event.jobs):
        message = f"`{event.jobs[0]}` is not paused" if len(event.jobs) == 1 else "none of these jobs is paused"
        return Reply(refused=message)
    for name in event.jobs:
        if state.pauses.pop(name, None) is not None:
            out.pauses[name] = None
    return Reply()


def _drain(state: LiveState, out: Effects, event: happened.DrainAsked, now: float) -> None:
    state.draining = True
    out.acts.append(Act(now, event.by, "stop", event.words))
    if event.kill:
        for run in list(state.runs.values()):
            tasks.cancel_run(state, out, run, "stopped", f"by {event.by}", now)


# ---- settle ---------------------------------------------------------------------------------------------------------------


def _settle(state: LiveState, out: Effects, now: float) -> None:
    """Do all that time, free limits and ended runs make possible, until nothing more is."""
    if state.up_since is None:
        return
    _open_due(state, out, now)
    queue.start_ready(state, out, now)
    health.tell_missed(state, out, now)


def _open_due(state: LiveState, out: Effects, now: float) -> None:
    """Timers and slots that have come, runs that nothing holds any more; nothing is started yet."""
    awake = state.slots and not state.draining
    if awake:
        waiting.look(state, out, now)
    _ring(state, out, now)
    moved = True
    while moved:
        moved = awake and due.fire_due(state, out, now)
        moved = (awake and waiting.look(state, out, now)) or moved
        if state.look:
            state.look = False
            moved = runs.release_held(state, out, now) or moved
            if awake:
                moved = due.go_on_lining(state, out, now) or moved


def _ring(state: LiveState, out: Effects, now: float) -> None:
    """Timers that have come: tasks go in line again, are late or slow, pauses end. One that stands for nothing any more is
    dropped."""
    while state.timers and state.timers[0][0] <= now:
        at, kind, number, name = heapq.heappop(state.timers)
        if kind == "resume":
            pause = state.pauses.get(name)
            if pause is not None and pause.until == at:
                del state.pauses[name]
                out.pauses[name] = None
            continue
        if kind in ("late", "slow"):
            lateness.ring(state, out, (at, kind, number, name), now)
            continue
        if kind == "edges":
            if state.slots and not state.draining:
                waiting.expire_due(state, out, name, now)
            continue
        run = state.runs.get(number)
        task = run.tasks.get(name) if run else None
        if run is None or task is None or task.final:
            continue
        if kind == "again" and task.next_attempt_at == at:
            queue.enqueue(state, out, run, task, now)
        elif kind == "wait_timeout" and state.gives_up_at(run, task) == at:
            attempts.waited_too_long(state, out, run, task, now)
