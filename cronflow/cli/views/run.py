"""One run: what opened it, its tasks, how each ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cronflow.cli.views.phrases import cause_words, ended_how, reason_words, row_phrase, slow, task_phrase, trigger_phrase
from cronflow.cli.views.style import Style, column_width, pad
from cronflow.core import words
from cronflow.core.model import Task
from cronflow.store.queries import RunRecord


def run_screen(record: RunRecord, usual: Mapping[str, float], style: Style) -> str:
    """A run with its tasks in the order of its flow, and what to type next."""
    run = record.run
    width = column_width(run.tasks)
    lines = [run_head(record, style)]
    lines.extend(task_row(record, task, usual.get(task.job), style, width) for task in run.tasks.values())
    for name, task in run.tasks.items():
        if task.state == "failed" and record.commands(name):
            lines.append(style.paint("dim", f"  output: cronflow logs {words.pasted(f'{run.id}/{name}')}"))
    if any(task.state in ("failed", "blocked", "cancelled") for task in run.tasks.values()) and run.final:
        lines.append(style.paint("dim", f"  again:  cronflow retry {run.id}"))
    return "\n".join(lines)


def run_head(record: RunRecord, style: Style) -> str:
    """The first line of a run: number, flow, trigger, slot, state, when and how long."""
    run = record.run
    parts = [f"run {run.id}", run.flow, trigger_phrase(run)]
    if run.slot is not None and run.slots <= 1:
        parts.append(f"slot {style.day_when(run.slot)}")
    elif run.slot is not None and run.slot_last is not None:
        parts.append(f"{words.count(run.slots, 'slot')}, {style.day_when(run.slot)} to {style.day_when(run.slot_last)}")
    if record.is_row:
        parts.append(f"{style.paint(run.state)}: {reason_words(run.reason)}" if run.reason else style.paint(run.state))
    elif run.final:
        took = f" in {style.span(run.started_at, run.finished_at)}" if run.started_at is not None else ""
        parts.append(f"{style.paint(run.state)}{took}")
        if run.finished_at is not None:
            parts.append(style.when_ago(run.finished_at))
    else:
        parts.append(style.paint(run.state) + (f": {reason_words(run.reason)}" if run.reason else ""))
        since = run.created_at if run.started_at is None else run.started_at
        parts.append(f"since {style.when(since)}")
    if run.note:
        parts.append(words.plain(run.note))
    return style.fold("", parts, 2)


def task_row(record: RunRecord, task: Task, usual: float | None, style: Style, width: int) -> str:
    """One task: its mark, its name, how it is."""
    lead = f"  {style.mark(task.state)} {pad(task.name, width)}  "
    return style.fold(lead, task_parts(record, task, usual, style), 6)


def task_parts(record: RunRecord, task: Task, usual: float | None, style: Style) -> Iterable[str]:
    """What there is to say of a task, in pieces."""
    commands = record.commands(task.name)
    attempt = commands[-1] if commands else None
    if task.state == "running":
        return _running(record, task, usual, style)
    if not task.final:
        names = {job for job, _ in record.edges.get(task.job, ())}
        before = [other for other in record.run.tasks.values() if other.job in names and not other.final]
        return [task_phrase(task, before, style)]
    took = style.span(task.started_at, task.finished_at)
    if task.state == "success":
        again = f"after {task.attempts} attempts" if task.attempts > 1 else ""
        taken = "taken over" if task.reason == "taken_over" else ""
        outputs = [f"{key}={task.outputs[key]}" for key in ("rows", "bytes") if key in task.outputs]
        return [took, taken, again, *outputs]
    if task.state == "failed":
        return [style.paint("failed"), ended_how(task, attempt), took and f"ran {took}"]
    cause = cause_words(task)
    state = f"{style.paint(task.state)}: {cause}" if cause else style.paint(task.state)
    return [state, words.plain(task.note) if task.note else ""]


def _running(record: RunRecord, task: Task, usual: float | None, style: Style) -> list[str]:
    commands = record.commands(task.name)
    pid = f"pid {commands[-1].pid}" if commands and commands[-1].pid is not None else ""
    again = f"attempt {task.attempts}" if task.attempts > 1 else ""
    if task.started_at is None:
        return [style.paint("running"), pid, again]
    took = style.now - task.started_at
    shown = f"for {words.duration(took)}" if style.human else f"since {style.when(task.started_at)}"
    late = style.paint("slow", "SLOW") if slow(took, usual) else ""
    return [
        f"{style.paint('running')} {shown}",
        f"usually {words.duration(usual)}" if usual is not None else "",
        late,
        pid,
        again,
    ]


def short_line(record: RunRecord, style: Style, job: str | None = None) -> list[str]:
    """A run as the cells of one line of the history: number, flow, slot or start, trigger, state, duration, what about it."""
    run = record.run
    start = run.slot if record.is_row and run.slot is not None else run.created_at if run.started_at is None else run.started_at
    when = style.when(start)
    if record.is_row and run.slots > 1 and run.slot_last is not None:
        when += f" to {style.when(run.slot_last)}"
    task = next((one for one in run.tasks.values() if one.job == job), None) if job else None
    state = task.state if task else run.state
    took = style.span(task.started_at, task.finished_at) if task else style.span(run.started_at, run.finished_at)
    return [
        str(run.id),
        style.mark(state) + " " + style.paint(state),
        when,
        took,
        run.flow,
        "" if record.is_row else trigger_phrase(run),
        _about(record, task),
    ]


def _about(record: RunRecord, task: Task | None) -> str:
    run = record.run
    if record.is_row:
        return f"{words.count(run.slots, 'slot')}: {reason_words(run.reason)}" if run.reason else words.count(run.slots, "slot")
    tasks = [task] if task else list(run.tasks.values())
    failed = [one for one in tasks if one.state == "failed"]
    if failed:
        said = []
        for one in failed[:3]:
            commands = record.commands(one.name)
            how = ended_how(one, commands[-1] if commands else None)
            said.append(how if task else f"{one.name} ({how})")
        return ", ".join(said) + (f" and {len(failed) - 3} more" if len(failed) > 3 else "")
    if task is not None and task.reason:
        return cause_words(task)
    if run.state in ("skipped", "cancelled", "blocked") and run.reason:
        return reason_words(run.reason)
    going = [one.name for one in tasks if one.state in ("running", "retrying")]
    return words.listing(going, 3) if not run.final else row_phrase(run) if run.reason and run.state != "success" else ""
