"""Why a task, or a run with tasks, is as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cronflow.cli import explain_edges
from cronflow.cli.evidence import Answer, Evidence, Scene
from cronflow.cli.expected import Expected, expected
from cronflow.cli.output import last_line
from cronflow.cli.views.phrases import cause_words, ended_how, reason_words
from cronflow.core import words
from cronflow.core.model import Task
from cronflow.store.queries import RunRecord

_ATTEMPTS_TOLD = 5
_TASKS_TOLD = 8
_LIMITS = ("max_running", "stopping", "daemon_down")


def explain_run(scene: Scene, record: RunRecord, tasks: list[Task], job: str | None) -> Answer:
    """A run as a whole: the tasks that tell something, each in a line."""
    run = record.run
    sentence = f"run {run.id} of {run.flow} ({scene.origin(run)}) {_is(run.state)}."
    answer = Answer(job, run.id, run.slot, run.state, sentence)
    telling = [one for one in tasks if one.state not in ("success", "blocked")] or tasks
    for one in telling[:_TASKS_TOLD]:
        answer.because.append(Evidence("task", f"{one.name}: {_short(record, one)}", run.id, one.name, scene.logs(record, one)))
    if len(telling) > _TASKS_TOLD:
        answer.because.append(
            Evidence("tasks", f"and {len(telling) - _TASKS_TOLD} tasks more", run.id, None, f"cronflow status {run.id}")
        )
    answer.because += explain_edges.counted(scene, record)
    blocked = [one.name for one in tasks if one.state == "blocked"]
    if blocked and len(telling) < len(tasks):
        answer.because.append(Evidence("upstream_failed", f"blocked by that: {words.listing(blocked)}", run.id))
    return answer


def explain_task(scene: Scene, record: RunRecord, task: Task) -> Answer:
    """One task."""
    run = record.run
    sentence = f"{task.name} {_is(task.state)} in run {run.id} ({scene.origin(run)})."
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


def _short(record: RunRecord, task: Task) -> str:
    commands = record.commands(task.name)
    if task.state == "failed":
        return f"failed, {ended_how(task, commands[-1] if commands else None)}"
    if task.final:
        return f"{task.state}: {cause_words(task)}" if task.reason else task.state
    return task.state


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
    return found + _late(scene, record, task)


def _failed(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "taken_over":
        old = record.run.retry_of
        return [Evidence("taken_over", f"it failed in run {old} and was not run again", old, task.name)]
    found = _attempts(scene, record, task)
    if task.note:
        found.append(Evidence(task.reason or "failed", words.plain(task.note), task.run, task.name))
    commands = record.commands(task.name)
    if commands:
        last = commands[-1]
        line = last_line(scene.places.log(last.run, last.task, last.n, last.kind))
        if line:
            found.append(Evidence("output", f"its last line: {line}", task.run, task.name, scene.logs(record, task)))
    blocked = [one.name for one in record.run.tasks.values() if one.state == "blocked" and one.caused_by == task.name]
    if blocked:
        message = f"blocked by that: {words.listing(blocked)}"
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
        at = f" at {scene.style.when(attempt.finished_at, True)}" if attempt.finished_at is not None else ""
        took = scene.style.span(attempt.started_at, attempt.finished_at)
        message = f"attempt {attempt.n} of {allowed}: {how}{at}" + (f", after {took}" if took else "")
        found.append(Evidence("attempt", message, task.run, task.name))
    return found


def _skipped(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    if task.reason == "condition":
        return _upstreams(scene, record, task)
    if task.reason == "paused":
        return [scene.paused(task.job, task.finished_at)]
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
    commands = record.commands(task.name)
    pid = f", pid {commands[-1].pid}" if commands and commands[-1].pid is not None else ""
    expects = _expects(scene, record, task)
    if task.started_at is not None:
        took = scene.style.now - task.started_at
        said = f", usually {words.duration(expects.usual)}" if expects.usual is not None else ""
        message = f"running since {scene.style.when(task.started_at, True)} ({words.duration(took)}{said}){pid}"
        found.append(Evidence("running", message, task.run, task.name, f"cronflow logs -f {task.run}/{task.name}"))
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
    if record.run.held or task.reason == "overlap":
        found = _in_the_way(scene, record)
    elif task.state == "waiting":
        for job, condition in record.edges.get(task.job, ()):
            other = record.run.tasks.get(job)
            if other is not None and not other.final:
                found += [_open_upstream(scene, record, other, _needs(condition)), *_tries_again(scene, other)]
    elif task.state == "retrying":
        found = _attempts(scene, record, task) + _tries_again(scene, task)
    if not found or task.state == "queued":
        found += _told_by_daemon(scene, task)
    if not found and task.reason:
        found = [Evidence(task.reason, reason_words(task.reason), task.run, task.name)]
    return found + _late(scene, record, task) + _no_daemon(scene)


def _told_by_daemon(scene: Scene, task: Task) -> list[Evidence]:
    """The blockers that only the daemon knows: its limits, and whatever the history does not tell."""
    return [
        Evidence(str(one.get("code")), str(one.get("message")), one.get("run"), one.get("task"))
        for one in scene.blockers
        if (one.get("run") == task.run or one.get("code") in _LIMITS)
        and one.get("code") not in ("upstream", "retry_delay", "overlap")
    ]


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
    if task.state != "retrying" or task.next_attempt_at is None:
        return []
    message = f"{task.name} tries again at {scene.style.when(task.next_attempt_at, True)}{scene.left(task.next_attempt_at)}"
    return [Evidence("retry_delay", message, task.run, task.name)]


def _no_daemon(scene: Scene) -> list[Evidence]:
    if scene.daemon_runs:
        return []
    message = "the daemon is not running: what runs goes on, and nothing else starts"
    return [Evidence("daemon_down", message, None, None, "cronflow daemon")]


# ---- upstreams ------------------------------------------------------------------------------------------------------------


def _needs(condition: str) -> str:
    return "" if condition == "success" else f" (needs {condition.replace('_', ' ')})"


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
    return Evidence("upstream", f"after {other.job}{needs}: it is {other.state}{detail}", other.run, other.name)


def _upstreams(scene: Scene, record: RunRecord, task: Task) -> list[Evidence]:
    """The upstreams that kept a task from running."""
    if task.reason == "after_timeout":
        return explain_edges.timed_out(scene, record, task)
    found = []
    for job, condition in record.edges.get(task.job, ()):
        other = record.run.tasks.get(job)
        if other is None or not other.final or (other.state == "success" and condition != "failure"):
            continue
        found.append(_ended_upstream(scene, record, other, f"after {job}{_needs(condition)}: it "))
    cause = record.run.tasks.get(task.caused_by or "")
    if cause is not None and all(one.task != cause.name for one in found):
        found.append(_ended_upstream(scene, record, cause, f"{cause.name} "))
    return found


def _ended_upstream(scene: Scene, record: RunRecord, other: Task, lead: str) -> Evidence:
    if other.state == "failed":
        commands = record.commands(other.name)
        how = ended_how(other, commands[-1] if commands else None)
        at = f" at {scene.style.when(other.finished_at, True)}" if other.finished_at is not None else ""
        return Evidence("upstream_failed", f"{lead}failed{at}, {how}", other.run, other.name, scene.logs(record, other))
    code = {"cancelled": "upstream_cancelled", "blocked": "upstream_failed"}.get(other.state, "condition")
    cause = f": {cause_words(other)}" if other.reason and other.state != "success" else ""
    return Evidence(code, f"{lead}{_is(other.state)}{cause}", other.run, other.name)
