"""Why a task, or a run with tasks, is as it is."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from cronflow.core import words
from cronflow.core.records import Task
from cronflow.facts import explain_edges, explain_stage
from cronflow.facts.copies import bundle_title, bundles, foremost, named, summary, tally
from cronflow.facts.evidence import Answer, Context, Evidence
from cronflow.facts.expected import Expected, expected
from cronflow.facts.explain_edges import needs
from cronflow.facts.sentences import (
    approve_command,
    at_words,
    cause_words,
    ended_how,
    exit_words,
    reason_words,
    stage_phrase,
    telling_attempt,
)
from cronflow.store.queries import RunRecord

if TYPE_CHECKING:
    from cronflow.core.run.blockers import Blocker

_ATTEMPTS_TOLD = 5
_TASKS_TOLD = 8
_COPIES_TOLD = 3
_RUNS_TOLD = 5


def explain_run(context: Context, record: RunRecord, tasks: list[Task], job: str | None) -> Answer:
    """A run as a whole, or the copies of a job in it: one line for each task that is worth one, one for many copies."""
    run = record.run
    sentence = f"run {run.id} of {run.flow} ({context.origin(run)}) {_is(run.state)}."
    verdict = run.state
    if job is not None:
        states = [one.state for one in tasks]
        verdict = foremost(states)  # type: ignore[assignment]  # one of these states
        copies = words.count(len(tasks), "copy", "copies")
        sentence = f"{job} has {copies} in run {run.id} ({context.origin(run)}): {tally(states)}."
    answer = Answer(job, run.id, run.slot, verdict, sentence)
    shown = bundles(tasks, lambda one: one.job)
    telling = [bundle for bundle in shown if any(one.state not in ("success", "blocked") for one in bundle)]
    lines = [line for bundle in telling or ([] if job else shown) for line in _lines(context, record, bundle, job)]
    answer.because = lines[:_TASKS_TOLD]
    if len(lines) > _TASKS_TOLD:
        more = f"and {len(lines) - _TASKS_TOLD} more"
        answer.because.append(Evidence("tasks", more, run.id, None, f"cronflow status {run.id}"))
    answer.because += explain_edges.counted(context, record)
    blocked = [one for one in tasks if one.state == "blocked"]
    if blocked and telling:
        answer.because.append(Evidence("upstream_failed", f"blocked by that: {named(blocked, 8)}", run.id))
    return answer


def _lines(context: Context, record: RunRecord, bundle: list[Task], job: str | None) -> list[Evidence]:
    """One line for a task; for many copies how many are in each state, and each one that failed."""
    single = bundle if len(bundle) == 1 else [one for one in bundle if one.state == "failed"]
    found = []
    if len(bundle) > 1 and not job:
        message = f"{bundle_title(bundle)}: {tally(one.state for one in bundle)}"
        found.append(Evidence("tasks", message, record.run.id, bundle[0].job))
    for one in single:
        command = approve_command(one) or context.logs_command(record, one)
        found.append(Evidence("task", f"{one.name}: {_short(context, record, one)}", one.run, one.name, command))
    return found


def explain_task(context: Context, record: RunRecord, task: Task) -> Answer:
    """One task."""
    run = record.run
    sentence = f"{task.name} {_stands(task)} in run {run.id} ({context.origin(run)})."
    tell: Mapping[str, Callable[[Context, RunRecord, Task], list[Evidence]]] = {
        "success": _succeeded,
        "failed": _failed,
        "blocked": _upstreams,
        "skipped": _skipped,
        "cancelled": _cancelled,
        "running": _running,
    }
    because = tell.get(task.state, _waits)(context, record, task)
    if task.reason != "after_timeout":
        because += explain_edges.counted(context, record, task)
    return Answer(task.job, run.id, run.slot, task.state, sentence, because)


def _is(state: str) -> str:
    """A state as the verb of a sentence."""
    return {"success": "succeeded", "failed": "failed", "missed": "was missed"}.get(state, f"is {state}")


def _stands(task: Task) -> str:
    """How a task stands, as the verb of a sentence."""
    if task.state == "waiting" and task.phase.stage == "approval":
        return "waits for an approval"
    return _is(task.state)


def _short(context: Context, record: RunRecord, task: Task) -> str:
    if task.state == "failed":
        return f"failed, {ended_how(task, telling_attempt(record, task))}"
    if task.final:
        return f"{task.state}: {cause_words(task)}" if task.reason else task.state
    return stage_phrase(record, task, context.clock) if task.phase.stage not in ("", "command") else task.state


def _succeeded(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "taken_over":
        old = record.run.retry_of
        return [Evidence("taken_over", f"it succeeded in run {old} and was not run again", old, task.name)]
    found = _attempts(context, record, task)[:-1]
    start, end = task.started_at, task.finished_at
    if start is not None and end is not None:
        took = f"from {context.clock.when(start, True)} to {context.clock.when(end, True)}, {words.duration(end - start)}"
        found.append(Evidence("success", took, task.run, task.name, context.logs_command(record, task)))
    return found + explain_stage.hooks(context, record, task) + _late(context, record, task)


def _failed(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "taken_over":
        old = record.run.retry_of
        return [Evidence("taken_over", f"it failed in run {old} and was not run again", old, task.name)]
    found = _attempts(context, record, task) + explain_stage.decided(context, record, task)
    if task.note and task.reason != "rejected":
        found.append(Evidence(task.reason or "failed", words.plain(task.note), task.run, task.name))
    commands = record.commands(task.name)
    if commands and task.reason != "check":
        last = commands[-1]
        line = context.logs.last_line(last, record.job(task))
        if line:
            found.append(Evidence("output", f"its last line: {line}", task.run, task.name, context.logs_command(record, task)))
    found += explain_stage.hooks(context, record, task)
    blocked = [one for one in record.run.tasks.values() if one.state == "blocked" and one.caused_by == task.name]
    if blocked:
        message = f"blocked by that: {named(blocked, 8)}"
        found.append(Evidence("blocks", message, task.run, task.name, f"cronflow retry {task.run}"))
    return found


def _attempts(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    """The last attempts that have ended."""
    found = []
    allowed = context.allowed(record, task)
    for attempt in record.commands(task.name)[-_ATTEMPTS_TOLD:]:
        if attempt.state != "ended":
            continue
        how = exit_words(attempt)
        if how == "failed":
            how = reason_words(attempt.reason)
        elif attempt.reason == "check":
            how += ", and then a check failed"
        at = at_words(attempt.finished_at, context.clock)
        took = words.span(attempt.started_at, attempt.finished_at)
        message = f"attempt {attempt.n} of {allowed}: {how}{at}" + (f", after {took}" if took else "")
        found.append(Evidence("attempt", message, task.run, task.name))
    return found


def _skipped(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "condition":
        return explain_stage.decided(context, record, task) or _upstreams(context, record, task)
    if task.reason == "paused":
        return [context.paused(task.job, task.finished_at)]
    if task.reason == "skip":
        return [context.skipped(task.job, task.finished_at)]
    if task.reason == "skip_code":
        return _attempts(context, record, task)
    return [Evidence(task.reason or "skipped", reason_words(task.reason) or "skipped", task.run, task.name)]


def _cancelled(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "upstream_cancelled":
        return _upstreams(context, record, task)
    note = f" {words.plain(task.note)}" if task.note else ""
    at = at_words(task.finished_at, context.clock)
    word = {"replaced": "ended:", "stopped": "ended, because the daemon was stopped"}.get(task.reason or "", "cancelled")
    return [Evidence(task.reason or "cancelled", f"{word}{note}{at}", task.run, task.name, f"cronflow retry {task.run}")]


def _running(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    found = _attempts(context, record, task)
    last = record.step(task.name, "command")
    pid = f", pid {last.pid}" if last is not None and last.pid is not None and last.state != "ended" else ""
    expects = _expects(context, record, task)
    if task.started_at is not None:
        took = context.clock.now - task.started_at
        said = f", usually {words.duration(expects.usual)}" if expects.usual is not None else ""
        message = f"running since {context.clock.when(task.started_at, True)} ({words.duration(took)}{said}){pid}"
        command = f"cronflow logs -f {words.pasted(f'{task.run}/{task.name}')}"
        found.append(Evidence("running", message, task.run, task.name, command))
    found += explain_stage.in_stage(context, record, task) + explain_stage.hooks(context, record, task)
    if expects.slow(task, context.clock.now) and expects.slow_at is not None:
        message = f"slow since {context.clock.when(expects.slow_at, True)}{_rule(context, record, task)}"
        found.append(Evidence("slow", message, task.run, task.name))
    return found + _late(context, record, task) + _no_daemon(context)


def _expects(context: Context, record: RunRecord, task: Task) -> Expected:
    return expected(context.history, [record])[task.run, task.name]


def _rule(context: Context, record: RunRecord, task: Task) -> str:
    """When a command counts as slow: ": `slow` is 2 times the median of its last 20 successes"."""
    job = record.jobs.get(task.job)
    if job is not None and job.slow is not None and job.slow[0] == "duration":
        return f": `slow` is {words.duration(job.slow[1])}"
    known = words.count(len(context.history.durations([task.job]).get(task.job, ())), "success", "successes")
    own = f"`slow` is {job.slow[1]:g} times" if job is not None and job.slow is not None else "three times, and 5 min more than,"
    return f": {own} the median of its last {known}"


def _late(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    """Whether a task missed its deadline, or is past it."""
    expects, slot = _expects(context, record, task), record.run.slot
    if not expects.late(task, context.clock.now) or expects.deadline is None or slot is None:
        return []
    due = f"{context.clock.when(expects.deadline, True)} ({words.duration(expects.deadline - slot)} after its slot)"
    return [Evidence("late", f"late: it had to succeed by {due}", task.run, task.name)]


def _waits(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    causes = context.blockers(task)
    if any(one.code == "overlap" for one in causes):
        found = [_in_the_way(context, one) for one in causes[:_RUNS_TOLD]]
    elif task.state == "retrying":
        found = _attempts(context, record, task) + explain_stage.decided(context, record, task) + _tries_again(context, task)
    elif task.phase.stage:
        found = explain_stage.in_stage(context, record, task)
    else:
        found = _open_upstreams(context, record, causes)
    found += explain_stage.in_line(context, causes)
    if not found and task.reason:
        found = [Evidence(task.reason, reason_words(task.reason), task.run, task.name)]
    return found + _late(context, record, task) + _no_daemon(context)


def _in_the_way(context: Context, one: Blocker) -> Evidence:
    """A run of the same jobs that a held run waits for."""
    assert one.run is not None
    message = f"run {one.run} of the same jobs is still {context.state.runs[one.run].state}"
    return Evidence("overlap", message, one.run, None, f"cronflow why {one.run}")


def _open_upstreams(context: Context, record: RunRecord, causes: list[Blocker]) -> list[Evidence]:
    """The upstreams that have not ended, the first few of many copies, and the limits that keep them from starting."""
    found = []
    open_ = [(one.edge, record.run.tasks[one.task]) for one in causes if one.edge is not None and one.task is not None]
    for edge, pairs in itertools.groupby(open_, key=lambda pair: pair[0]):
        still = [other for _, other in pairs]
        for other in still[:_COPIES_TOLD]:
            found += [_open_upstream(context, record, other, needs(edge.condition)), *_tries_again(context, other)]
        if len(still) > _COPIES_TOLD:
            more = f"and {len(still) - _COPIES_TOLD} more of {bundle_title(record.tasks_of(edge.job))}"
            found.append(Evidence("upstream", more, record.run.id, edge.job))
    if any(other.state == "queued" for _, other in open_):
        from cronflow.core.run.blockers import limits

        found += explain_stage.in_line(context, limits(context.state))
    return found


def _tries_again(context: Context, task: Task) -> list[Evidence]:
    if task.state != "retrying" or task.again_at is None:
        return []
    at = f"{context.clock.when(task.again_at, True)}{context.clock.away(task.again_at)}"
    message = f"{task.name} tries again at {at}"
    return [Evidence("retry_delay", message, task.run, task.name)]


def _no_daemon(context: Context) -> list[Evidence]:
    if context.daemon_runs:
        return []
    message = "the daemon is not running: what runs goes on, and nothing else starts"
    return [Evidence("daemon_down", message, None, None, "cronflow daemon")]


def _open_words(other: Task) -> str:
    """The state of an upstream that has not ended, in words."""
    return "it waits for an approval" if other.phase.stage == "approval" and other.state == "waiting" else f"it is {other.state}"


def _open_upstream(context: Context, record: RunRecord, other: Task, needs: str) -> Evidence:
    """An upstream that has not ended."""
    detail = ""
    if other.state == "running" and other.started_at is not None:
        detail = f" since {context.clock.when(other.started_at, True)}"
    ended = [one for one in record.commands(other.name) if one.state == "ended"]
    if other.state == "retrying" and ended:
        last = ended[-1]
        how = exit_words(last).replace("exit ", "exited ", 1)
        at = at_words(last.finished_at, context.clock)
        detail = f" (attempt {last.n} of {context.allowed(record, other)} {how}{at})"
    return Evidence("upstream", f"after {other.name}{needs}: {_open_words(other)}{detail}", other.run, other.name)


def _upstreams(context: Context, record: RunRecord, task: Task) -> list[Evidence]:
    """The upstreams that kept a task from running."""
    if task.reason == "after_timeout":
        return explain_edges.timed_out(context, record, task)
    found = []
    for edge, tasks in record.upstreams(task):
        lead = f"after {edge.job}{needs(edge.condition)}: "
        if not all(other.final for other in tasks):
            continue
        if len(tasks) > 1 and (edge.condition == "failure") != any(other.state == "failed" for other in tasks):
            states = [other.state for other in tasks]
            found.append(_all_copies(record, tasks, f"{lead}{summary([other.name for other in tasks], states)}"))
        elif len(tasks) == 1 and (tasks[0].state != "success" or edge.condition == "failure"):
            found.append(_ended_upstream(context, record, tasks[0], f"{lead}it "))
    cause = record.run.tasks.get(task.caused_by or "")
    if cause is not None and all(one.task != cause.name for one in found):
        found.append(_ended_upstream(context, record, cause, f"{cause.name} "))
    return found


def _all_copies(record: RunRecord, tasks: Sequence[Task], message: str) -> Evidence:
    """How all copies of an upstream ended, taken together."""
    state = foremost([other.state for other in tasks])
    code = {"cancelled": "upstream_cancelled", "blocked": "upstream_failed", "failed": "upstream_failed"}.get(state, "condition")
    return Evidence(code, message, record.run.id, tasks[0].job)


def _ended_upstream(context: Context, record: RunRecord, other: Task, lead: str) -> Evidence:
    if other.state == "failed":
        how = ended_how(other, telling_attempt(record, other))
        at = at_words(other.finished_at, context.clock)
        return Evidence("upstream_failed", f"{lead}failed{at}, {how}", other.run, other.name, context.logs_command(record, other))
    code = {"cancelled": "upstream_cancelled", "blocked": "upstream_failed"}.get(other.state, "condition")
    cause = f": {cause_words(other)}" if other.reason and other.state != "success" else ""
    return Evidence(code, f"{lead}{_is(other.state)}{cause}", other.run, other.name)
