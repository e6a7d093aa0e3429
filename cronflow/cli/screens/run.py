"""One run: what opened it, its tasks, how each ended."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from cronflow.cli.screens.status import expectation_words
from cronflow.cli.screens.style import Style, column_width, pad
from cronflow.core import words
from cronflow.core.records import Task
from cronflow.facts.copies import bundle_title, bundles, foremost, named, summary, telling
from cronflow.facts.expected import Expected
from cronflow.facts.overview import TaskNow
from cronflow.facts.sentences import (
    HOOKS,
    approve_command,
    cause_words,
    ended_how,
    files_phrase,
    hook_words,
    reason_words,
    row_phrase,
    stage_phrase,
    task_phrase,
    telling_attempt,
    trigger_phrase,
)
from cronflow.store.queries import RunRecord

_COMMANDS = 5
"""How many commands to paste are shown of each kind."""


def run_screen(record: RunRecord, tasks: Sequence[TaskNow], style: Style) -> str:
    """A run with its tasks in the order of its flow, and what to type next."""
    run = record.run
    shown = bundles(tasks, lambda one: one.task.job)
    width = column_width(bundle_title([each.task for each in one]) for one in shown)
    lines = [run_head(record, style)]
    if run.params:
        lines.append(style.fold("  with ", [f"{key}={words.plain(value)}" for key, value in run.params.items()], 7))
    for one in shown:
        lines.append(task_row(one[0], style, width) if len(one) == 1 else bundle_row([each.task for each in one], style, width))
    failed = [name for name, task in run.tasks.items() if task.state == "failed" and record.attempts.get(name)]
    for name in failed[:_COMMANDS]:
        lines.append(style.paint("dim", f"  output: cronflow logs {words.pasted(f'{run.id}/{name}')}"))
    waiting = [command for task in run.tasks.values() if (command := approve_command(task))]
    for command in waiting[:_COMMANDS]:
        lines.append(style.paint("dim", f"  go on:  {command}"))
    if any(task.state in ("failed", "blocked", "cancelled") for task in run.tasks.values()) and run.final:
        lines.append(style.paint("dim", f"  again:  cronflow retry {run.id}"))
    return "\n".join(lines)


def run_head(record: RunRecord, style: Style) -> str:
    """The first line of a run: number, flow, trigger, slot, state, when and how long."""
    run = record.run
    parts = [f"run {run.id}", run.flow, trigger_phrase(run)]
    if run.slot is not None and run.slots <= 1:
        parts.append(f"slot {style.clock.day_when(run.slot)}")
    elif run.slot is not None and run.slot_last is not None:
        span = f"{style.clock.day_when(run.slot)} to {style.clock.day_when(run.slot_last)}"
        parts.append(f"{words.count(run.slots, 'slot')}, {span}")
    if record.is_row:
        parts.append(style.because(run.state, reason_words(run.reason)))
    elif run.final:
        took = f" in {words.span(run.started_at, run.finished_at)}" if run.started_at is not None else ""
        parts.append(f"{style.paint(run.state)}{took}")
        if run.finished_at is not None:
            parts.append(style.clock.when_ago(run.finished_at))
    else:
        parts.append(style.because(run.state, reason_words(run.reason)))
        since = run.created_at if run.started_at is None else run.started_at
        parts.append(f"since {style.clock.when(since)}")
    if run.note:
        parts.append(words.plain(run.note))
    parts.append(files_phrase(record.files))
    return style.fold("", parts, 2)


def bundle_row(tasks: list[Task], style: Style, width: int) -> str:
    """Many copies of a job in one line."""
    states = [task.state for task in tasks]
    lead = f"  {style.mark(foremost(states))} {pad(bundle_title(tasks), width)}  "
    return style.fold(lead, [summary([task.name for task in tasks], states)], 6)


def task_row(one: TaskNow, style: Style, width: int) -> str:
    """One task: its mark, its name, how it is."""
    lead = f"  {style.mark(one.task.state)} {pad(one.task.name, width)}  "
    return style.fold(lead, task_parts(one, style), 6)


def task_parts(one: TaskNow, style: Style) -> Iterable[str]:
    """What there is to say of a task, in pieces."""
    record, task, expects = one
    if task.state == "running":
        return _running(record, task, expects, style)
    if not task.final:
        return [style.lead(task.state, task_phrase(record, task, style.clock)), *expectation_words(expects, task, style)]
    took = words.span(task.started_at, task.finished_at)
    hook = hook_words(record.step(task.name, *HOOKS))
    if task.state == "success":
        again = f"after {task.attempts} attempts" if task.attempts > 1 else ""
        taken = "taken over" if task.reason == "taken_over" else ""
        return [took, taken, again, *_metrics(task), hook, *expectation_words(expects, task, style)]
    if task.state == "failed":
        return [style.paint("failed"), ended_how(task, telling_attempt(record, task)), took and f"ran {took}", hook]
    return [style.because(task.state, cause_words(task)), words.plain(task.note) if task.note else ""]


def _metrics(task: Task) -> list[str]:
    """The outputs that everybody counts: "rows 12,345"."""
    shown = [(key, words.plain(task.outputs[key])) for key in ("rows", "bytes") if key in task.outputs]
    return [f"{key} {int(value):,}" if re.fullmatch("[0-9]{1,18}", value) else f"{key} {value}" for key, value in shown]


def _running(record: RunRecord, task: Task, expects: Expected, style: Style) -> list[str]:
    commands = record.commands(task.name)
    pid = f"pid {commands[-1].pid}" if commands and commands[-1].pid is not None else ""
    again = f"attempt {task.attempts}" if task.attempts > 1 else ""
    if task.started_at is None:
        return [style.paint("running"), pid, again]
    took = style.clock.now - task.started_at
    shown = f"for {words.duration(took)}" if style.clock.human else f"since {style.clock.when(task.started_at)}"
    return [
        f"{style.paint('running')} {shown}",
        "" if task.phase.stage in ("", "command") else stage_phrase(record, task, style.clock),
        f"usually {words.duration(expects.usual)}" if expects.usual is not None else "",
        *expectation_words(expects, task, style),
        pid,
        again,
    ]


def short_line(record: RunRecord, style: Style, job: str | None = None) -> list[str]:
    """A run as the cells of one line of the history: number, flow, slot or start, trigger, state, duration, what about it."""
    run = record.run
    start = run.slot if record.is_row and run.slot is not None else run.created_at if run.started_at is None else run.started_at
    when = style.clock.when(start)
    if record.is_row and run.slots > 1 and run.slot_last is not None:
        when += f" to {style.clock.when(run.slot_last)}"
    copies = record.tasks_of(job) if job else []
    task = telling(copies) if copies else None
    state = task.state if task else run.state
    timed = copies[0] if len(copies) == 1 else run
    took = words.span(timed.started_at, timed.finished_at)
    return [
        str(run.id),
        style.mark(state) + " " + style.paint(state),
        when,
        took,
        run.flow,
        "" if record.is_row else _opened_by(record, style),
        _about(record, copies),
    ]


def _opened_by(record: RunRecord, style: Style) -> str:
    """What opened a run; of one that was not started at its slot, which slot it is of."""
    run = record.run
    late = run.slot is not None and run.trigger in ("backfill", "catchup", "manual")
    return trigger_phrase(run) + (f" of {style.clock.when(run.slot)}" if late and run.slot is not None else "")


def _about(record: RunRecord, chosen: list[Task]) -> str:
    """What else there is to say of a run, or of the tasks of one job in it."""
    run = record.run
    if record.is_row:
        return f"{words.count(run.slots, 'slot')}: {reason_words(run.reason)}" if run.reason else words.count(run.slots, "slot")
    task = chosen[0] if len(chosen) == 1 else None
    tasks = chosen or list(run.tasks.values())
    failed = [one for one in tasks if one.state == "failed"]
    if failed:
        return _failures(record, failed, alone=task is not None)
    if task is not None and task.reason:
        return cause_words(task)
    if run.final and run.state in ("skipped", "cancelled", "blocked") and run.reason:
        same = [one for one in tasks if one.state == run.state]
        return cause_words(same[0]) if same else reason_words(run.reason)
    if chosen and run.final:
        return files_phrase(record.files, 1)
    if run.final:
        return row_phrase(run) if run.reason and run.state != "success" else files_phrase(record.files, 1)
    waiting = [one for one in tasks if approve_command(one)]
    going = [one for one in tasks if one.state in ("running", "retrying")]
    parts = [named(going, 3) if going else "", f"waits for approval: {named(waiting, 3)}" if waiting else ""]
    return "; ".join(filter(None, parts)) or files_phrase(record.files, 1)


def _failures(record: RunRecord, failed: list[Task], alone: bool) -> str:
    said = []
    for bundle in bundles(failed, lambda task: task.job):
        how = ended_how(bundle[0], telling_attempt(record, bundle[0]))
        said.append(how if alone else f"{bundle_title(bundle)} ({how})")
    return ", ".join(said[:3]) + (f" and {len(said) - 3} more" if len(said) > 3 else "")
