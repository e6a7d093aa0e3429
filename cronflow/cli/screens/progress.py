"""Runs on their way, from the events that the daemon sends: as a block that is drawn again, and as lines.

A run and a task are here the dicts of the events: all times are epoch seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cronflow.cli.screens.style import Style, column_width, pad, visible
from cronflow.core import words
from cronflow.facts.copies import bundle_name, bundles, foremost, summary
from cronflow.facts.sentences import HOOKS, ONLY_IF, STAGES, reason_words

Event = Mapping[str, Any]

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FINAL_WORDS = {"success": "succeeded", "skipped": "was skipped", "blocked": "is blocked", "missed": "was missed"}
_PRESSING = (("running", "retrying"), ("failed",))
"""What is shown first where there is no room for all."""
_COUNTED = ("failed", "blocked", "cancelled", "success", "skipped", "running", "retrying", "queued", "waiting")


def block(run: Event, tasks: Sequence[Event], style: Style, lines: int, beat: int) -> list[str]:
    """A run in at most `lines` lines: all its tasks if they fit, else those that run or failed, and how many of each state."""
    head = _head(run, style)
    every = bundles(tasks, lambda one: one.get("job") or one["task"])
    shown = every
    tail: list[str] = []
    if len(shown) > max(lines - 1, 1):
        tail = [_counts(tasks)]
        pressing = [one for states in _PRESSING for one in every if any(task["state"] in states for task in one)]
        kept = {id(one) for one in list({id(one): one for one in pressing}.values())[: max(lines - 2, 0)]}
        shown = [one for one in every if id(one) in kept]
    names = [str(one[0]["task"]) if len(one) == 1 else bundle_name(str(one[0]["job"]), len(one)) for one in shown]
    width = column_width(names)
    rows = []
    for name, one in zip(names, shown, strict=True):
        row = _row(name, one, style, width, beat)
        rows.append(row if style.color else style.cut(row))
    return [head, *rows, *tail][: max(lines, 1)]


def _head(run: Event, style: Style) -> str:
    at = run.get("started_at") or run.get("created_at")
    trigger = "by hand" if run.get("trigger") == "manual" else str(run.get("trigger") or "")
    lead = f"run {run['run']}  {run.get('flow', '')}{', ' + trigger if trigger else ''}"
    if at is None:
        return lead
    clock = f"{words.local(at, style.clock.zone):%H:%M:%S}"
    return f"{pad(lead, max(len(lead), min((style.width or 80), 80) - len(clock) - 4))}   {clock}"


def _row(name: str, tasks: Sequence[Event], style: Style, width: int, beat: int) -> str:
    """A task, or many copies of a job, in one line."""
    states = [str(one["state"]) for one in tasks]
    state = foremost(states)
    mark = style.paint("running", SPINNER[beat % len(SPINNER)]) if "running" in states else style.mark(state)
    said = task_words(tasks[0], style) if len(tasks) == 1 else summary([str(one["task"]) for one in tasks], states)
    lead = f"  {mark} {pad(name, width)}   "
    if len(tasks) == 1 and state == "failed" and style.width is not None and len(visible(lead + said)) >= style.width:
        said = failure(tasks[0])  # half a command is of no use
    return (lead + said).rstrip()


def task_words(task: Event, style: Style) -> str:
    """How a task is, behind its name."""
    state = str(task["state"])
    attempt: Event = task.get("attempt") or {}
    if state == "running":
        since = attempt.get("started_at") or task.get("started_at")
        stage = STAGES.get(task.get("stage") or "")
        parts = [words.duration(style.clock.now - since) if since is not None else "", stage or _pid(attempt), _which(task)]
        return "   ".join(filter(None, parts))
    if state == "retrying":
        at = task.get("next_attempt_at")
        again = f", tries again {words.ago(at, style.clock.now)}" if at is not None else ""
        return f"attempt {task.get('attempts')} failed: {_how(task)}{again}"
    if state == "success":
        return "taken over" if task.get("reason") == "taken_over" else "   ".join(filter(None, (_took(task), _hook(task))))
    if state == "failed":
        place = words.pasted(f"{task['run']}/{task['task']}")
        return f"{failure(task)}   {style.paint('dim', f'cronflow logs {place}')}"
    if state == "waiting" and task.get("stage"):
        return _waits(task)
    reason = _reason(task)
    shown = style.paint(state) if task.get("finished_at") is not None else state
    return f"{shown}: {reason}" if reason and task.get("reason") != "max_running" else shown


def _waits(task: Event) -> str:
    """What a task waits for whose upstreams are met; of an approval what to type, in another terminal."""
    stage, step = task["stage"], task.get("step") or {}
    if stage == "approval":
        return f"waits for approval: cronflow approve {words.pasted('{}/{}'.format(task['run'], task['task']))}"
    if stage == "sensor":
        polled = step.get("count") if step.get("kind") == "sensor" else None
        return "waits for its `wait_until`" + (f", polled {words.times(polled)}" if polled else "")
    return STAGES.get(stage, "waiting")


def _reason(task: Event) -> str:
    if task.get("reason") == "condition" and task.get("stage") == "condition":
        return ONLY_IF
    return reason_words(task.get("reason"))


def _hook(task: Event) -> str:
    """That its hook failed, which changes nothing about it."""
    step: Event = task.get("step") or {}
    if step.get("kind") not in HOOKS or step.get("result") in (None, "success"):
        return ""
    how = words.exit_status(step.get("exit_code"), step.get("signal"), str(step["result"]))
    return f"its `{step['kind']}` hook failed ({how})"


def failure(task: Event) -> str:
    """ "exit 1 after 2 attempts"."""
    attempts = task.get("attempts") or 0
    said = _how(task) + (f" after {attempts} attempts" if attempts > 1 else "")
    return "; ".join(filter(None, (said, _hook(task))))


def _how(task: Event) -> str:
    attempt: Event = task.get("attempt") or {}
    step: Event = task.get("step") or {}
    reason, note = task.get("reason"), words.plain(str(task.get("note") or ""))
    if reason == "rejected":
        return f"rejected {note}".rstrip()
    if reason == "foreach" and note:
        return note
    if reason in ("check", "foreach") and step.get("kind") == reason and step.get("result") is not None:
        return f"{reason}: {words.exit_status(step.get('exit_code'), step.get('signal'), str(step['result']))}"
    if note and attempt.get("exit_code") in (None, 126, 127) and attempt.get("signal") is None:
        return note
    if attempt.get("result") is None or reason in ("check", "wait_timeout", "foreach"):
        return reason_words(reason) or "failed"
    return words.exit_status(attempt.get("exit_code"), attempt.get("signal"), str(attempt["result"]))


def _pid(attempt: Event) -> str:
    return f"pid {attempt['pid']}" if attempt.get("pid") is not None else ""


def _which(task: Event) -> str:
    attempts = task.get("attempts") or 0
    return f"attempt {attempts}" if attempts > 1 else ""


def _took(task: Event) -> str:
    return words.span(task.get("started_at"), task.get("finished_at"))


def _counts(tasks: Sequence[Event]) -> str:
    number = Counter(str(one["state"]) for one in tasks)
    return "  " + ", ".join(f"{number[state]} {state}" for state in _COUNTED if number[state])


def event_line(task: Event, style: Style) -> str | None:
    """A task's new state as one line with its time; None for states that come and go unnoticed."""
    state = str(task["state"])
    attempt: Event = task.get("attempt") or {}
    name = f"{task['run']}/{task['task']}"
    if state == "running":
        if attempt.get("pid") is None:
            return None
        at = attempt.get("started_at") or style.clock.now
        said = ", ".join(filter(None, (f"running, {_pid(attempt)}", _which(task))))
    elif state == "retrying":
        at = attempt.get("finished_at") or style.clock.now
        again = task.get("next_attempt_at")
        said = f"attempt {task.get('attempts')} failed: {_how(task)}" + (
            f"; tries again {words.iso(again, style.clock.zone)}" if again else ""
        )
    elif task.get("finished_at") is not None:
        at = task["finished_at"]
        if state == "failed":
            said = f"failed: {failure(task)}"
        elif state == "success":
            said = (
                "success"
                + (", taken over" if task.get("reason") == "taken_over" else f" in {_took(task)}" if _took(task) else "")
                + (f"; {_hook(task)}" if _hook(task) else "")
            )
        else:
            reason = _reason(task)
            said = f"{state}: {reason}" if reason else state
    elif state == "queued" and task.get("reason") in ("overlap", "pool_full"):
        at, said = style.clock.now, f"queued: {reason_words(task['reason'])}"
    elif state == "waiting" and task.get("stage") in ("approval", "sensor"):
        at, said = task.get("stage_at") or style.clock.now, _waits({**task, "step": None})
    else:
        return None
    return f"{words.iso(at, style.clock.zone)}  {name}  {said}"


def final_line(run: Event, tasks: Sequence[Event], style: Style) -> str:
    """The end of a run: "run 431 failed in 4 min 31 s: verify (exit 1)"."""
    state = str(run["state"])
    text = f"run {run['run']} {style.paint(state, _FINAL_WORDS.get(state, state))}"
    if _took(run):
        text += f" in {_took(run)}"
    failed = [one for one in tasks if one["state"] == "failed"]
    if failed:
        named = [f"{one['task']} ({_how(one)})" for one in failed[:5]]
        return f"{text}: {', '.join(named)}" + (f" and {len(failed) - 5} more" if len(failed) > 5 else "")
    same = [one for one in tasks if one["state"] == state and one.get("reason") == run.get("reason")]
    reason = _reason(same[0]) if same else reason_words(run.get("reason"))
    return f"{text}: {reason}" if state != "success" and reason and run.get("reason") != state else text
