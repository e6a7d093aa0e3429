"""One job: its definition in short, how it stands, its last runs, its next slots, what comes after it."""

from __future__ import annotations

from typing import NamedTuple

from cronflow.cli.screens.run import short_line
from cronflow.cli.screens.status import pause_phrase, skip_phrase, waiting_phrase
from cronflow.cli.screens.style import Style, pad, table
from cronflow.core import words
from cronflow.core.jobs import Job
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Health, Pause, Skip
from cronflow.core.time.triggers import Trigger, described
from cronflow.facts import upcoming
from cronflow.facts.copies import telling
from cronflow.facts.sentences import cause_words
from cronflow.facts.waits import Waiting, after_words
from cronflow.store.queries import RunRecord


class JobPicture(NamedTuple):
    """What there is to know of one job."""

    job: Job
    flow: Flow
    runs: list[RunRecord]
    health: Health | None
    pause: Pause | None
    skip: Skip | None
    usual: float | None
    next_at: int | None
    waits: Waiting | None = None


def job_screen(picture: JobPicture, style: Style) -> str:
    """The screen of one job."""
    job = picture.job
    facts = [
        ("state", _state(picture, style)),
        ("starts", _starts(picture)),
        (
            "after",
            ", ".join(f"{edge.job}" + ("" if edge.condition == "success" else f" ({edge.condition})") for edge in job.after),
        ),
        ("before", words.listing(picture.flow.down.get(job.name, ()), 12)),
        ("next", _next(picture, style)),
        ("usually", words.duration(picture.usual) if picture.usual is not None else ""),
        ("command", _command(job)),
        ("user", job.user or ""),
        ("limits", _limits(job)),
        ("owner", job.owner),
        ("runbook", job.runbook),
        ("tags", ", ".join(job.tags)),
    ]
    title = style.paint("heading", job.name) + (f"   {job.description}" if job.description else "")
    lines = [style.clip(title)]
    lines += [style.fold(f"  {pad(name, 8)} ", [value], 11) for name, value in facts if value]
    if picture.runs:
        lines += ["", style.paint("heading", "LAST RUNS")]
        rows = [short_line(record, style, job.name) for record in picture.runs]
        for row in rows:
            row[4] = ""
        lines += [style.clip(f"  {line}") for line in table(rows, right=(0,))]
    return "\n".join(lines)


def _state(picture: JobPicture, style: Style) -> str:
    said = []
    health = picture.health
    if not picture.job.enabled:
        said.append("disabled")
    if picture.pause is not None:
        said.append(f"{style.paint('paused')} {pause_phrase(picture.pause, style)}")
    if picture.skip is not None:
        said.append(f"{style.paint('skipped', 'to be skipped')}: {skip_phrase(picture.skip)}")
    if health is not None and health.failing_since is not None:
        times = f", {words.count(health.failures, 'run')} in a row" if health.failures > 1 else ""
        said.append(f"{style.paint('failed', 'failing')} since {style.clock.when(health.failing_since)}{times}")
    if picture.waits is not None:
        said.append(waiting_phrase(picture.waits, style))
    going = [record for record in picture.runs if not record.run.final]
    said.extend(f"{style.paint(record.run.state)} in run {record.run.id}" for record in going)
    return "; ".join(said) or _last_end(picture, style)


def _last_end(picture: JobPicture, style: Style) -> str:
    """How the last task of the job ended, where nothing is more pressing."""
    for record in picture.runs:
        copies = record.tasks_of(picture.job.name)
        if copies:
            task = telling(copies)
            if task.state == "success":
                return style.paint("success", "ok")
            return style.because(task.state, cause_words(task))
    return "has not run yet"


def _starts(picture: JobPicture) -> str:
    flow = picture.flow
    if picture.job.name in upcoming.timed_roots(flow) or (picture.job.name in flow.roots and flow.triggers):
        return "; ".join(_trigger(one) for one in flow.triggers)
    if picture.job.name in flow.roots and flow.external_edges:
        return f"by new ends of {after_words(flow.external_edges, flow.settings_root.join)}"
    if not picture.job.after:
        return "by hand: cronflow run " + picture.job.name
    return f"in the flow of {flow.name}" + (": " + described(flow.triggers) if flow.triggers else "")


def _trigger(trigger: Trigger) -> str:
    """As the file has it, and in words."""
    if trigger.kind in ("schedule", "every"):
        return f"{upcoming.trigger_words(trigger)}   {trigger.describe()}, {trigger.schedule.zone}"
    return trigger.describe() + (f", {trigger.schedule.zone}" if trigger.timed else "")


def _next(picture: JobPicture, style: Style) -> str:
    at = picture.next_at
    return "" if at is None else f"{style.clock.day_when(at)}{style.clock.away(at)}"


def _command(job: Job) -> str:
    shown = job.command if isinstance(job.command, str) else " ".join(job.command)
    lines = shown.strip().splitlines()
    text = words.plain(lines[0]) if lines else ""
    return f"{text} …" if len(lines) > 1 else text


def _limits(job: Job) -> str:
    said = (
        f"timeout {words.duration(job.timeout)}" if job.timeout is not None else "",
        words.count(job.retries, "retry", "retries") if job.retries else "",
        f"overlap {job.overlap}" if job.overlap != "skip" else "",
        f"catchup {job.catchup}" if job.catchup != "last" else "",
    )
    return ", ".join(filter(None, said))
