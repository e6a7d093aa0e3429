"""The engine: one function that says what to do about what happened. It decides, and nothing else does.

    step(state, event, now)   react to the event, then settle: what time and the other tasks make possible
    next_wakeup(state)        when time alone will change something; until then the daemon sleeps
    blockers(state, …)        why a task does not start; [] exactly when it does

The laws (the simulated world of the tests checks them after every step):

1. Rows before actions: whatever `step` returns is saved in one transaction before a process is started or ended.
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
from cronflow.core.notify.expectations import Timer
from cronflow.core.plan.flow import Plan
from cronflow.core.records import Act, Approval, End, Held, Pause, Pausing, Queued
from cronflow.core.run import attempts, byhand, gates, queue, retries, tasks
from cronflow.core.run.blockers import blockers
from cronflow.core.slots import clock_correction, due, event_slots, skips
from cronflow.core.state import LiveState
from cronflow.core.tables import PAUSES
from cronflow.core.turn import Turn
from cronflow.errors import Exit

__all__ = ["blockers", "next_wakeup", "step"]


def step(state: LiveState, event: Event, now: float) -> Effects:
    """React to one event at the time `now` (epoch seconds) and settle. The state is changed in place; the effects are to be
    saved before the next thing is done outside."""
    turn = Turn(state, Effects(), now)
    _react(turn, event)
    _settle(turn)
    return turn.out


def next_wakeup(state: LiveState) -> float | None:
    """When time alone will change something (epoch seconds): the next slot, retry or end of a pause."""
    found = [heap[0][0] for heap in (state.timers, state.due if state.slots and not state.draining else []) if heap]
    return min(found) if state.up_since is not None and found else None


# ---- react ----------------------------------------------------------------------------------------------------------------


def _react(turn: Turn, event: Event) -> None:
    state = turn.state
    match event:
        case happened.Started():
            state.up_since, state.slots, state.down_from = turn.now, event.slots, event.alive_at
            state.rebooted, state.boot = event.rebooted, event.boot
            _take_over(turn, event.jobs, event.plan)
            event_slots.booted(turn)
            turn.act(*(StopAttempt(task.live.ref) for task in state.live() if task.live and task.live.stop))
        case happened.Reloaded():
            _open_due(turn)
            _take_over(turn, event.jobs, event.plan)
        case happened.ClockSetBack():
            clock_correction.set_back(turn, event)
        case happened.AttemptBegan():
            attempts.began(turn, event)
        case happened.AttemptUnclaimed():
            attempts.unclaimed(turn, event.ref)
        case happened.AttemptEnded():
            attempts.ended(turn, event)
        case happened.Triggered():
            event_slots.triggered(turn, event)
        case happened.RunAsked():
            _answer(turn, event, byhand.ask_run(turn, event), "run")
        case happened.RetryAsked():
            _answer(turn, event, retries.ask_retry(turn, event), "retry")
        case happened.CancelAsked():
            _answer(turn, event, byhand.ask_cancel(turn, event), "cancel")
        case happened.PauseAsked():
            _answer(turn, event, _pause(turn, event), "pause")
        case happened.ResumeAsked():
            _answer(turn, event, _resume(turn, event), "resume")
        case happened.SkipAsked():
            _answer(turn, event, skips.ask_skip(turn, event), "skip")
        case happened.ApprovalGiven():
            verb = "approve" if event.approved else "reject"
            _answer(turn, event, attempts.approval_given(turn, event), verb)
        case happened.DrainAsked():
            _drain(turn, event)
        case happened.Acted():
            turn.save(Act(turn.now, event.by, event.verb, event.words))
        case happened.TroubleFound():
            health.trouble_found(turn, event)
        case happened.TroubleGone():
            health.trouble_gone(turn, event.key)
        case happened.Woke():
            pass


def _take_over(turn: Turn, jobs: JobSet, plan: Plan) -> None:
    """Put a reading of the job file in force. Runs that go on end under the definition with which they began."""
    state = turn.state
    state.jobs, state.plan = jobs, plan
    state.dirty = True
    if state.slots:
        due.follow_plan(turn)
        edge_state.follow_plan(turn)
        waiting.follow_plan(turn)


def _answer(
    turn: Turn, event: happened.RunAsked
    | happened.RetryAsked
    | happened.CancelAsked
    | happened.PauseAsked
    | happened.ResumeAsked
    | happened.SkipAsked
    | happened.ApprovalGiven, reply: Reply, verb: str
) -> None:
    """Answer a person, and write down what was done; what was refused was not done."""
    turn.out.replies[event.request] = reply
    if reply.refused is not None:
        return
    if isinstance(event, happened.PauseAsked | happened.ResumeAsked | happened.SkipAsked):
        turn.save(*(Act(turn.now, event.by, verb, event.words, job=job) for job in event.jobs))
        return
    names = event.jobs if isinstance(event, happened.RunAsked) else ()
    job = names[0] if len(names) == 1 else None
    turn.save(*(Act(turn.now, event.by, verb, event.words, job, run) for run in reply.runs))


def _pause(turn: Turn, event: happened.PauseAsked) -> Reply:
    state = turn.state
    unknown = [name for name in event.jobs if name not in state.jobs.jobs]
    if unknown:
        return Reply(refused=f"no job `{unknown[0]}`", exit_status=Exit.NOT_FOUND)
    for name in event.jobs:
        pause = Pause(name, turn.now, event.by, event.until, event.reason)
        state.pauses[name] = pause
        turn.save(pause)
        if pause.until is not None:
            heapq.heappush(state.timers, (pause.until, "resume", 0, name))
        _skip_unstarted(turn, name)
    return Reply()


def _skip_unstarted(turn: Turn, job: str) -> None:
    """A pause acts on tasks that have not started, unless a person named them: those in line end here."""
    state = turn.state
    for number in list(state.active.get(job, ())):
        run = state.runs[number]
        for task in list(state.by_job[number].get(job, ())):
            if isinstance(task.phase, Held | Queued | Pausing | Approval) and not task.attempts and job not in run.named:
                tasks.close(turn, task, End("skipped", "paused"))


def _resume(turn: Turn, event: happened.ResumeAsked) -> Reply:
    state = turn.state
    unknown = [name for name in event.jobs if name not in state.jobs.jobs and name not in state.pauses]
    if unknown:
        return Reply(refused=f"no job `{unknown[0]}`", exit_status=Exit.NOT_FOUND)
    if not any(name in state.pauses for name in event.jobs):
        message = f"`{event.jobs[0]}` is not paused" if len(event.jobs) == 1 else "none of these jobs is paused"
        return Reply(refused=message)
    for name in event.jobs:
        if state.pauses.pop(name, None) is not None:
            turn.delete(PAUSES, name)
    return Reply()


def _drain(turn: Turn, event: happened.DrainAsked) -> None:
    turn.state.draining = True
    turn.save(Act(turn.now, event.by, "stop", event.words))
    if event.kill:
        for run in list(turn.state.runs.values()):
            tasks.cancel_run(turn, run, "stopped", f"by {event.by}")


# ---- settle ---------------------------------------------------------------------------------------------------------------


def _settle(turn: Turn) -> None:
    """Do all that time, free limits and ended runs make possible, until nothing more is."""
    state = turn.state
    if state.up_since is None:
        return
    _open_due(turn)
    if state.ready:
        queue.start_ready(turn)
    if state.missed or state.interrupted:
        health.tell_missed(turn)
    state.down_from = None


def _open_due(turn: Turn) -> None:
    """Timers and slots that have come, runs that nothing holds any more; nothing is started yet. Only what has something to do is
    asked."""
    state = turn.state
    awake = state.slots and not state.draining
    if awake and state.dirty_edges:
        waiting.look(turn)
    while state.timers and state.timers[0][0] <= turn.now:
        _ring(turn, heapq.heappop(state.timers))
    moved = True
    while moved:
        moved = False
        while awake and state.due and state.due[0][0] <= turn.now:
            _, flow, key = heapq.heappop(state.due)
            due.fire(turn, state.plan.flows[flow], key)
            moved = True
        if awake and state.dirty_edges:
            moved = waiting.look(turn) or moved
        if state.dirty:
            state.dirty = False
            if state.held:
                moved = gates.release_held(turn) or moved
            if awake and state.catching_up:
                moved = due.continue_catchup(turn) or moved


def _ring(turn: Turn, timer: Timer) -> None:
    """A timer has come: a task goes in line again, is late or slow, a pause ends. One that stands for nothing any more is
    dropped."""
    state = turn.state
    at, kind, number, name = timer
    if kind == "resume":
        pause = state.pauses.get(name)
        if pause is not None and pause.until == at:
            del state.pauses[name]
            turn.delete(PAUSES, name)
        return
    run = state.runs.get(number)
    if run is None:
        return
    if kind == "edges":
        if state.slots and not state.draining and run.gate_until == at:
            waiting.expire(turn, run)
        return
    task = run.tasks.get(name)
    if task is None or task.final:
        return
    phase = task.phase
    if kind == "again":
        if isinstance(phase, Pausing) and phase.again_at == at:
            queue.enqueue(turn, turn.job(task), task, Queued(phase.stage, turn.now, phase.entered, phase.polls))
    elif kind == "wait_timeout":
        if state.gives_up_at(run, task) == at:
            attempts.waited_too_long(turn, task)
    else:
        lateness.ring(turn, run, task, timer)
