"""Why a task, or a run with tasks, is as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cronflow.core import words
from cronflow.core.records import Task
from cronflow.facts import explain_edges, explain_stage
from cronflow.facts.copies import bundle_name, bundles, foremost, named, summary, tally
from cronflow.facts.evidence import Answer, Evidence, Scene
from cronflow.facts.expected import Expected, expected
from cronflow.facts.output import last_line
from cronflow.facts.phrases import (
    approve_command,
    cause_words,
    ended_how,
    reason_words,
    stage_phrase,
    telling_attempt,
)
from cronflow.store.queries import RunRecord

_ATTEMPTS_TOLD = 5
_TASKS_TOLD = 8
_COPIES_TOLD = 3


def explain_run(scene: Scene, record: RunRecord, tasks: list[Task], job: str | None) -> Answer:
    """A run as a whole, or the copies of a job in it: the tasks that tell something, each in a line; many copies in one."""
    run = record.run
    sentence = f"run {run.id} of {run.flow} ({scene.origin(run)}) {_is(run.state)}."
    verdict = run.state
    if job is not None:
        states = [one.state for one in tasks]
        verdict = foremost(states)  # type: ignore[assignment]  # one of these states
        copies = words.count(len(tasks), "copy", "copies")
        sentence = f"{job} has {copies} in run {run.id} ({scene.origin(run)}): {tally(states)}."
    answer = Answer(job, run.id, run.slot, verdict, sentence)
    shown = bundles(tasks, lambda one: one.job)
    telling = [bundle for bundle in shown if any(one.state not in ("success", "blocked") for one in bundle)]
    lines = [line for bundle in telling or ([] if job else shown) for line in _lines(scene, record, bundle, job)]
    answer.because = lines[:_TASKS_TOLD]
    if len(lines) > _TASKS_TOLD:
        more = f"and {len(lines) - _TASKS_TOLD} more"
        answer.because.append(Evidence("tasks", more, run.id, None, f"cronflow status {run.id}"))
    answer.because += explain_edges.counted(scene, record)
    blocked = [one for one in tasks if one.state == "blocked"]
    if blocked and telling:
        answer.because.append(Evidence("upstream_failed", f"blocked by that: {named(blocked, 8)}", run.id))
    return answer


def _lines(scene: Scene, record: RunRecord, bundle: list[Task], job: str | None) -> list[Evidence]:
    """A task in a line; of many copies how many are in each state, and each that failed."""
    single = bundle if len(bundle) == 1 else [one for one in bundle if one.state == "failed"]
    found = []
    if len(bundle) > 1 and not job:
        message = f"{bundle_name(bundle[0].job, len(bundle))}: {tally(one.state for one in bundle)}"
        found.append(Evidence("tasks", message, record.run.id, bundle[0].job))
    for one in single:
        command = approve_command(one) or scene.logs(record, one)
        found.append(Evidence("task", f"{one.name}: {_short(scene, record, one)}", one.run, one.name, command))
    return found


def explain_task(scene: Scene, record: RunRecord, task: Task) -> Answer:
    """One task."""
    run = record.run
    sentence = f"{task.name} {_stands(task)} in run {run.id} ({scene.origin(run)})."
    tell: Mapping[str, Callable[[Scene, RunRecord, Task], list[Evidence]]] = {
        "success": _succeeded,
        "failed": _failed,
        "blocked": _upstreams,
        "skipped": _skipped,
        "cancelled": _cancelled,
        "running": _running,
    }
    because = tell.get(task.state, _waits)(scene, record, task)
    if task.reason != "after_timeout":
        because += explain_edges.counted(scene, record, task)
    return Answer(task.job, run.id, run.slot, task.state, sentence, because)


def _is(state: str) -> str:
    """A state as the verb of a sentence."""
    return {"success": "succeeded", "failed": "failed", "missed": "was missed"}.get(state, f"is {state}")


def _stands(task: Task) -> str:
    """How a task stands, as the verb of a sentence."""
    if task.state == "waiting" and task.phase.stage == "approval":
        return "waits for an approval"
    return _is(task.state)


def _short(scene: Scene, record: RunRecord, task: Task) -> str:
    if task.state == "failed":
        return f"failed, {ended_how(task, telling_attempt(record, task))}"
    if task.final:
        return f"{task.state}: {cause_words(task)}" if task.reason else task.state
    return stage_phrase(record, task, scene.style) if task.phase.stage not in ("", "command") else task.state


# ---- final ----------------------------------------------------------------------------------------------------------------


def _succeeded(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "taken_over":
        old = record.run.retry_of
        return [Evidence("taken_over", f"it succeeded in run {old} and was not run again", old, task.name)]
    found = _attempts(scene, record, task)[:-1]
    start, end = task.started_at, task.finished_at
    if start is not None and end is not None:
        took = f"from {scene.style.when(start, True)} to {scene.style.when(end, True)}, {words.duration(end - start)}"
        found.append(Evidence("success", took, task.run, task.name, scene.logs(record, task)))
    return found + explain_stage.hooks(scene, record, task) + _late(scene, record, task)


def _failed(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "taken_over":
        old = record.run.retry_of
        return [Evidence("taken_over", f"it failed in run {old} and was not run again", old, task.name)]
    found = _attempts(scene, record, task) + explain_stage.decided(scene, record, task)
    if task.note and task.reason != "rejected":
        found.append(Evidence(task.reason or "failed", words.plain(task.note), task.run, task.name))
    commands = record.commands(task.name)
    if commands and task.reason != "check":
        last = commands[-1]
        line = last_line(scene.places.log(last.run, last.task, last.n, last.kind), scene.masks(scene.job(record, task)))
        if line:
            found.append(Evidence("output", f"its last line: {line}", task.run, task.name, scene.logs(record, task)))
    found += explain_stage.hooks(scene, record, task)
    blocked = [one for one in record.run.tasks.values() if one.state == "blocked" and one.caused_by == task.name]
    if blocked:
        message = f"blocked by that: {named(blocked, 8)}"
        found.append(Evidence("blocks", message, task.run, task.name, f"cronflow retry {task.run}"))
    return found


def _attempts(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    """The last attempts that have ended."""
    found = []
    allowed = scene.allowed(record, task)
    for attempt in record.commands(task.name)[-_ATTEMPTS_TOLD:]:
        if attempt.state != "ended":
            continue
        how = words.exit_status(attempt.exit_code, attempt.signal, attempt.result)
        if how == "failed":
            how = reason_words(attempt.reason)
        elif attempt.reason == "check":
            how += ", and then a check failed"
        at = f" at {scene.style.when(attempt.finished_at, True)}" if attempt.finished_at is not None else ""
        took = scene.style.span(attempt.started_at, attempt.finished_at)
        message = f"attempt {attempt.n} of {allowed}: {how}{at}" + (f", after {took}" if took else "")
        found.append(Evidence("attempt", message, task.run, task.name))
    return found


def _skipped(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "condition":
        return explain_stage.decided(scene, record, task) or _upstreams(scene, record, task)
    if task.reason == "paused":
        return [scene.paused(task.job, task.finished_at)]
    if task.reason == "skip":
        return [scene.skipped(task.job, task.finished_at)]
    if task.reason == "skip_code":
        return _attempts(scene, record, task)
    return [Evidence(task.reason or "skipped", reason_words(task.reason) or "skipped", task.run, task.name)]


def _cancelled(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "upstream_cancelled":
        return _upstreams(scene, record, task)
    note = f" {words.plain(task.note)}" if task.note else ""
    at = f" at {scene.style.when(task.finished_at, True)}" if task.finished_at is not None else ""
    word = {"replaced": "ended:", "stopped": "ended, because the daemon was stopped"}.get(task.reason or "", "cancelled")
    return [Evidence(task.reason or "cancelled", f"{word}{note}{at}", task.run, task.name, f"cronflow retry {task.run}")]


# ---- not final ------------------------------------------------------------------------------------------------------------


def _running(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    found = _attempts(scene, record, task)
    last = record.step(task.name, "command")
    pid = f", pid {last.pid}" if last is not None and last.pid is not None and last.state != "ended" else ""
    expects = _expects(scene, record, task)
    if task.started_at is not None:
        took = scene.style.now - task.started_at
        said = f", usually {words.duration(expects.usual)}" if expects.usual is not None else ""
        message = f"running since {scene.style.when(task.started_at, True)} ({words.duration(took)}{said}){pid}"
        command = f"cronflow logs -f {words.pasted(f'{task.run}/{task.name}')}"
        found.append(Evidence("running", message, task.run, task.name, command))
    found += explain_stage.in_stage(scene, record, task) + explain_stage.hooks(scene, record, task)
    if expects.slow(task, scene.style.now) and expects.slow_at is not None:
        message = f"slow since {scene.style.when(expects.slow_at, True)}{_rule(scene, record, task)}"
        found.append(Evidence("slow", message, task.run, task.name))
    return found + _late(scene, record, task) + _no_daemon(scene)


def _expects(scene: Scene, record: RunRecord, task: Task) -> Expected:
    return expected(scene.history, [record])[task.run, task.name]


def _rule(scene: Scene, record: RunRecord, task: Task) -> str:
    """From when on a command is slow: ": `slow` is 2 times the median of its last 20 successes"."""
    job = scene.history.definition(record.run.definition).get(task.job)
    if job is not None and job.slow is not None and job.slow[0] == "duration":
        return f": `slow` is {words.duration(job.slow[1])}"
    known = words.count(len(scene.history.durations([task.job]).get(task.job, ())), "success", "successes")
    own = f"`slow` is {job.slow[1]:g} times" if job is not None and job.slow is not None else "three times, and 5 min more than,"
    return f": {own} the median of its last {known}"


def _late(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    """That a task has not succeeded, or did not, by its deadline."""
    expects, slot = _expects(scene, record, task), record.run.slot
    if not expects.late(task, scene.style.now) or expects.deadline is None or slot is None:
        return []
    due = f"{scene.style.when(expects.deadline, True)} ({words.duration(expects.deadline - slot)} after its slot)"
    return [Evidence("late", f"late: it had to succeed by {due}", task.run, task.name)]


def _waits(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    found: list[Evidence] = []
    if record.run.gate == "overlap" or task.reason == "overlap":
        found = _in_the_way(scene, record)
    elif task.state == "retrying":
        found = _attempts(scene, record, task) + explain_stage.decided(scene, record, task) + _tries_again(scene, task)
    elif task.state == "waiting" and task.phase.stage:
        found = explain_stage.in_stage(scene, record, task)
    elif task.state == "waiting":
        for _, condition, tasks in record.upstreams(task):
            still = [other for other in tasks if not other.final]
            for other in still[:_COPIES_TOLD]:
                found += [_open_upstream(scene, record, other, _needs(condition)), *_tries_again(scene, other)]
            if len(still) > _COPIES_TOLD:
                message = f"and {len(still) - _COPIES_TOLD} more of {bundle_name(still[0].job, len(tasks))}"
                found.append(Evidence("upstream", message, task.run, still[0].job))
    found += explain_stage.in_line(scene, record, task)
    if not found and task.reason:
        found = [Evidence(task.reason, reason_words(task.reason), task.run, task.name)]
    return found + _late(scene, record, task) + _no_daemon(scene)


def _in_the_way(scene: Scene, record: RunRecord) -> list[Evidence]:
    found = []
    jobs = {one.job for one in record.run.tasks.values()}
    for other in scene.history.records(scene.history.live_runs()):
        still = {one.job for one in other.run.tasks.values() if not one.final}
        if other.run.id < record.run.id and jobs & still:
            message = f"run {other.run.id} of the same jobs is still {other.run.state}"
            found.append(Evidence("overlap", message, other.run.id, None, f"cronflow why {other.run.id}"))
    return found[:_ATTEMPTS_TOLD]


def _tries_again(scene: Scene, task: Task) -> list[Evidence]:
    if task.state != "retrying" or task.again_at is None:
        return []
    message = f"{task.name} tries again at {scene.style.when(task.again_at, True)}{scene.left(task.again_at)}"
    return [Evidence("retry_delay", message, task.run, task.name)]


def _no_daemon(scene: Scene) -> list[Evidence]:
    if scene.daemon_runs:
        return []
    message = "the daemon is not running: what runs goes on, and nothing else starts"
    return [Evidence("daemon_down", message, None, None, "cronflow daemon")]


# ---- upstreams ------------------------------------------------------------------------------------------------------------


def _needs(condition: str) -> str:
    return "" if condition == "success" else f" (needs {condition.replace('_', ' ')})"


def _open_words(other: Task) -> str:
    """How an upstream is that has not ended."""
    return "it waits for an approval" if other.phase.stage == "approval" and other.state == "waiting" else f"it is {other.state}"


def _open_upstream(scene: Scene, record: RunRecord, other: Task, needs: str) -> Evidence:
    """An upstream that has not ended."""
    detail = ""
    if other.state == "running" and other.started_at is not None:
        detail = f" since {scene.style.when(other.started_at, True)}"
    ended = [one for one in record.commands(other.name) if one.state == "ended"]
    if other.state == "retrying" and ended:
        last = ended[-1]
        how = words.exit_status(last.exit_code, last.signal, last.result).replace("exit ", "exited ", 1)
        at = f" at {scene.style.when(last.finished_at, True)}" if last.finished_at is not None else ""
        detail = f" (attempt {last.n} of {scene.allowed(record, other)} {how}{at})"
    return Evidence("upstream", f"after {other.name}{needs}: {_open_words(other)}{detail}", other.run, other.name)


def _upstreams(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    """The upstreams that kept a task from running."""
    if task.reason == "after_timeout":
        return explain_edges.timed_out(scene, record, task)
    found = []
    for job, condition, tasks in record.upstreams(task):
        lead = f"after {job}{_needs(condition)}: "
        if not all(other.final for other in tasks):
            continue
        if len(tasks) > 1 and (condition == "failure") != any(other.state == "failed" for other in tasks):
            states = [other.state for other in tasks]
            found.append(_all_copies(record, tasks, f"{lead}{summary([other.name for other in tasks], states)}"))
        elif len(tasks) == 1 and (tasks[0].state != "success" or condition == "failure"):
            found.append(_ended_upstream(scene, record, tasks[0], f"{lead}it "))
    cause = record.run.tasks.get(task.caused_by or "")
    if cause is not None and all(one.task != cause.name for one in found):
        found.append(_ended_upstream(scene, record, cause, f"{cause.name} "))
    return found


def _all_copies(record: RunRecord, tasks: list[Task], message: str) -> Evidence:
    """How the copies of an upstream ended, taken together."""
    state = foremost([other.state for other in tasks])
    code = {"cancelled": "upstream_cancelled", "blocked": "upstream_failed", "failed": "upstream_failed"}.get(state, "condition")
    return Evidence(code, message, record.run.id, tasks[0].job)


def _ended_upstream(scene: Scene, record: RunRecord, other: Task, lead: str) -> Evidence:
    if other.state == "failed":
        how = ended_how(other, telling_attempt(record, other))
        at = f" at {scene.style.when(other.finished_at, True)}" if other.finished_at is not None else ""
        return Evidence("upstream_failed", f"{lead}failed{at}, {how}", other.run, other.name, scene.logs(record, other))
    code = {"cancelled": "upstream_cancelled", "blocked": "upstream_failed"}.get(other.state, "condition")
    cause = f": {cause_words(other)}" if other.reason and other.state != "success" else ""
    return Evidence(code, f"{lead}{_is(other.state)}{cause}", other.run, other.name)
