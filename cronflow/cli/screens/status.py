"""The screen of `cronflow status`: failing things first; sections appear when they have something to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cronflow.cli.screens.style import Style, column_width, pad
from cronflow.core import words
from cronflow.core.plan.flow import Flow
from cronflow.core.records import Pause, Skip, Task, Trouble
from cronflow.facts import upcoming
from cronflow.facts.copies import bundle_title, bundles, foremost, summary
from cronflow.facts.expected import Expected
from cronflow.facts.overview import Blocked, Failing, Overview, TaskNow
from cronflow.facts.sentences import approve_command, ended_how, stage_phrase, task_phrase
from cronflow.facts.waits import Waiting
from cronflow.store.standing import Undelivered

_INDENT = 4
SLOTS_SHOWN = 5
_SOON = 4 * 3600


def screen(view: Overview, style: Style, file: str) -> str:
    """The whole screen."""
    troubles = [_trouble(style, one) for one in view.standing.troubles]
    undelivered = [_undelivered(style, one) for one in view.standing.undelivered]
    lines = [
        head(view, style, file),
        *style.section("PROBLEMS", troubles, kind="failed"),
        *style.section("ALERTS NOT DELIVERED", undelivered, kind="failed"),
        *_failing(view, style),
        *_going(style, "RUNNING", view.running, []),
        *_going(style, "WAITING", view.waiting, view.held_slots),
        *_paused(style, view.paused),
        *_to_skip(style, view.skips),
        *_next(view, style),
    ]
    return "\n".join(lines)


def head(view: Overview, style: Style, file: str) -> str:
    """The first lines: the daemon, the jobs, the file, the zone."""
    parts = [
        daemon_line(view.daemon, style),
        f"{words.count(len(view.known.jobs), 'job')} in {words.count(len(view.known.plan.flows), 'flow')}",
        file,
        style.clock.zone,
    ]
    return style.fold("", parts, 0) + "\n"


def daemon_line(daemon: Mapping[str, Any] | None, style: Style) -> str:
    """Whether a daemon runs, and since when."""
    if daemon is None:
        return f"cronflow is {style.paint('failed', 'not running')}"
    name = "cronflow run (in the foreground, starts no slots)" if daemon.get("foreground") else "cronflow running"
    since = daemon.get("since")
    shown = "" if since is None else f" since {style.clock.when(since)}"
    if since is not None and style.clock.human:
        shown += f" ({words.short_duration(style.clock.now - since)})"
    return f"{name}{shown}" + (", stopping once nothing runs" if daemon.get("draining") else "")


def _row(style: Style, state: str, name: str, width: int, parts: Iterable[str]) -> str:
    return style.fold(f"  {style.mark(state)} {pad(name, width)}  ", parts, _INDENT + 2)


def _trouble(style: Style, trouble: Trouble) -> str:
    parts = [words.plain(trouble.message), f"since {style.clock.when(trouble.since)}"]
    return style.fold(f"  {style.mark('failed')} ", parts, _INDENT)


def _undelivered(style: Style, one: Undelivered) -> str:
    said = f"to {one.target}, the oldest of {style.clock.when(one.since)}"
    parts = [f"{words.count(one.number, 'alert')} {said}", words.plain(one.error or "")]
    return style.fold(f"  {style.mark('waiting')} ", parts, _INDENT)


def _failing(view: Overview, style: Style) -> list[str]:
    width = column_width([one.job for one in view.failing] + [one.job for one in view.blocked])
    rows = [_failing_row(style, one, width) for one in view.failing] + [_blocked_row(style, one, width) for one in view.blocked]
    return style.section("FAILING", rows, kind="failed")


def _failing_row(style: Style, one: Failing, width: int) -> str:
    at = one.task.finished_at if one.task and one.task.finished_at is not None else one.health.failing_since
    state = style.paint("failed", one.task.state if one.task is not None else "failed")
    text = f"{state} {style.clock.when_ago(at)}" if at is not None else state
    if one.health.failures > 1:
        text += f", {words.ordinal(one.health.failures)} time in a row"
    how = ended_how(one.task, one.attempt)
    if one.copies > 1:
        how = f"{len(one.failed)} of {one.copies} copies: {words.listing([task.name for task in one.failed], 4)}   {how}"
    parts = [text, how, one.last_line]
    if one.blocks:
        parts.append(f"blocks: {words.listing(one.blocks)}")
    if one.task is not None:
        parts.append(style.paint("dim", f"run {one.task.run}"))
    return _row(style, "failed", one.job, width, parts)


def _blocked_row(style: Style, one: Blocked, width: int) -> str:
    since = f" since {style.clock.when(one.task.finished_at)}" if one.task.finished_at is not None else ""
    cause = f": {one.task.caused_by} failed" if one.task.caused_by else ""
    parts = [f"{style.paint('blocked')}{since}{cause}", f"blocks: {words.listing(one.blocks)}" if one.blocks else ""]
    return _row(style, "blocked", one.job, width, [*parts, style.paint("dim", f"run {one.task.run}")])


def _going(style: Style, title: str, going: list[TaskNow], held: list[Waiting]) -> list[str]:
    every = bundles(going, lambda one: (one.task.run, one.task.job))
    shown = every[:30]
    names = [bundle_title([each.task for each in one]) for one in shown]
    width = column_width(names)
    rows = [
        _going_row(style, one[0], width) if len(one) == 1 else _bundle_row(style, name, one, width)
        for one, name in zip(shown, names, strict=True)
    ]
    if len(every) > len(shown):
        rows.append(f"  and {sum(map(len, every[len(shown) :]))} more")
    width = max(width, column_width(", ".join(one.roots) for one in held))
    for one in held:
        parts = [waiting_phrase(one, style), style.paint("dim", f"run {one.run}")]
        rows.append(_row(style, "waiting", ", ".join(one.roots), width, parts))
    return style.section(title, rows, len(going) + len(held))


def waiting_phrase(one: Waiting, style: Style) -> str:
    """For whom a slot waits, since when, and until when: "waits for load since 05:00, until 06:00"."""
    until = f", until {style.clock.when(one.until)}" if one.until is not None else ""
    return f"waits for {one.who} since {style.clock.when(one.slot)}{until}"


def _bundle_row(style: Style, name: str, going: list[TaskNow], width: int) -> str:
    """Many copies of a job, in one line."""
    states = [one.task.state for one in going]
    state = foremost(states)
    same = next(one for one in going if one.task.state == state)
    said = summary(states, states) if len(set(states)) > 1 else ""
    if state != "running":
        said = said or style.lead(state, task_phrase(same.record, same.task, style.clock))
    elif same.task.started_at is not None:
        said = said or f"since {style.clock.when(same.task.started_at)}"
    return _row(style, state, name, width, [said, style.paint("dim", f"run {same.task.run}")])


def _going_row(style: Style, one: TaskNow, width: int) -> str:
    task = one.task
    run = style.paint("dim", f"run {task.run}")
    if task.state == "running":
        return _row(style, "running", task.name, width, [*_running_parts(style, one), run, style.paint("dim", _pid(one))])
    late = expectation_words(one.expects, task, style)
    said = style.lead(task.state, task_phrase(one.record, task, style.clock))
    parts = [said, *late, run, style.paint("dim", approve_command(task))]
    return _row(style, task.state, task.name, width, parts)


def _running_parts(style: Style, one: TaskNow) -> list[str]:
    task = one.task
    stage = "" if task.phase.stage in ("", "command") else stage_phrase(one.record, task, style.clock)
    late = expectation_words(one.expects, task, style)
    if task.started_at is None:
        return [stage, *late]
    took = [words.duration(style.clock.now - task.started_at)] if style.clock.human else []
    usual = f"usually {words.duration(one.expects.usual)}" if one.expects.usual is not None else ""
    inside = ", ".join(filter(None, (*took, usual)))
    text = f"since {style.clock.when(task.started_at)}" + (f" ({inside})" if inside else "")
    return [text, *late, stage, f"attempt {task.attempts}" if task.attempts > 1 else ""]


def _pid(one: TaskNow) -> str:
    attempt = one.attempt
    return f"pid {attempt.pid}" if attempt is not None and attempt.pid is not None and attempt.state != "ended" else ""


def expectation_words(expects: Expected, task: Task, style: Style) -> list[str]:
    """LATE and SLOW, each where it is so: "LATE, due 06:00"."""
    found = []
    if expects.late(task, style.clock.now) and expects.deadline is not None:
        found.append(f"{style.paint('late', 'LATE')}, due {style.clock.when(expects.deadline)}")
    if expects.slow(task, style.clock.now):
        found.append(style.paint("slow", "SLOW"))
    return found


def _paused(style: Style, pauses: list[Pause]) -> list[str]:
    width = column_width(pause.job for pause in pauses)
    ordered = sorted(pauses, key=lambda pause: pause.job)
    return style.section("PAUSED", [_row(style, "paused", one.job, width, [pause_phrase(one, style)]) for one in ordered])


def pause_phrase(pause: Pause, style: Style) -> str:
    """Until when, why, and who paused: `until Fri 18:00, "vendor migration" (anna)`."""
    until = f"until {style.clock.when(pause.until)}" if pause.until is not None else f"since {style.clock.when(pause.since)}"
    reason = f', "{words.plain(pause.reason)}"' if pause.reason else ""
    return f"{until}{reason} ({pause.by})"


def _to_skip(style: Style, skips: list[Skip]) -> list[str]:
    width = column_width(skip.job for skip in skips)
    return style.section(
        "TO BE SKIPPED", [_row(style, "skipped", skip.job, width, [skip_phrase(skip)]) for skip in sorted(skips)]
    )


def skip_phrase(skip: Skip) -> str:
    """How many slots are to be skipped, and who said so: `the next 3 slots (anna)`."""
    return f"the next {'slot' if skip.left == 1 else f'{skip.left} slots'} ({skip.by})"


def _next(view: Overview, style: Style) -> list[str]:
    if not view.slots:
        return []
    shown = view.slots[:SLOTS_SHOWN]
    leads = [_near(slot.at, style) for slot in shown]
    width = column_width(leads, 40)
    lines = []
    for lead, slot in zip(leads, shown, strict=True):
        notes = upcoming.notes_of(slot, view.suspensions)
        text = slot_line(slot) + (f" ({'; '.join(notes)})" if notes else "")
        lines.append(style.cut(f"  {pad(lead, width)}   {text}"))
    if len(view.slots) > len(shown):
        lines.append(style.paint("dim", f"  and {words.count(len(view.slots) - len(shown), 'flow')} more: cronflow next"))
    return [style.paint("heading", "NEXT"), *lines]


def _near(t: float, style: Style) -> str:
    """ "09:00 in 8 min", "tomorrow 02:30"."""
    soon = f" {words.ago(t, style.clock.now)}" if style.clock.human and t - style.clock.now < _SOON else ""
    return f"{style.clock.day_when(t).removeprefix('today ')}{soon}"


def slot_line(slot: upcoming.Slot) -> str:
    """The jobs of a slot: "backup → upload, verify"."""
    return jobs_line(slot.roots, slot.flow)


def jobs_line(roots: Sequence[str], flow: Flow) -> str:
    """Roots and the jobs that start after them."""
    dependents = [name for name in flow.jobs if name not in flow.roots]
    return ", ".join(roots) + (f" → {words.listing(dependents, 6)}" if dependents else "")
