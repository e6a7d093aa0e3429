"""The titles above the outputs of attempts."""

from __future__ import annotations

from cronflow.cli.screens.style import Style
from cronflow.core import words
from cronflow.core.records import Attempt, Task
from cronflow.facts.sentences import cause_words, exit_words, reason_words, task_phrase
from cronflow.store.queries import RunRecord


def attempt_title(attempt: Attempt, task: Task, retries: int, style: Style) -> str:
    """ "431/backup/2 · attempt 2 of 3 · 02:00:42 → 02:05:00 · exit 0"."""
    parts = [str(attempt.ref)]
    if attempt.kind != "command":
        parts.append(attempt.kind + (f", poll {attempt.count}" if attempt.kind == "sensor" else ""))
    elif retries or attempt.n > 1:
        parts.append(f"attempt {attempt.n} of {max(retries + 1, task.attempts)}")
    if attempt.started_at is not None:
        start = style.clock.when(attempt.started_at, True)
        if attempt.finished_at is None:
            parts.append(f"since {start}")
        else:
            end = words.local(attempt.finished_at, style.clock.zone)
            same_day = words.local(attempt.started_at, style.clock.zone).date() == end.date()
            shown = f"{end:%H:%M:%S}" if same_day and style.clock.human else style.clock.when(attempt.finished_at, True)
            parts.append(f"{start} → {shown}")
    parts.append(_ending(attempt, task, style))
    return " · ".join(parts)


def _ending(attempt: Attempt, task: Task, style: Style) -> str:
    if attempt.state == "starting":
        return "about to start"
    if attempt.state == "running":
        return style.paint("running")
    how = exit_words(attempt)
    if attempt.exit_code is None and attempt.signal is None and attempt.result == "failed":
        how = words.plain(task.note) if task.note else reason_words(attempt.reason)
    if attempt.reason == "check":
        how += ", and then a check failed"
    return style.paint("success" if attempt.result == "success" else "failed", how)


def task_title(record: RunRecord, task: Task, style: Style) -> str:
    """For a task that has no attempt: "431/verify · skipped: it was paused", "431/publish · waiting for load · no output yet"."""
    if not task.final:
        said = style.lead(task.state, task_phrase(record, task, style.clock))
        return f"{record.run.id}/{task.name} · {said} · no output yet"
    reason = f": {cause_words(task)}" if task.reason else ""
    return f"{record.run.id}/{task.name} · {task.state}{reason} · it did not start"
