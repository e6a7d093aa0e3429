"""The next hours as a timeline: each run with its beginning and end; of flows that run often, one line for all their runs."""

from __future__ import annotations

from cronflow.cli.screens.style import Style, column_width, pad
from cronflow.core import words
from cronflow.core.forecast import UNKNOWN, Course, Crowd, Forecast
from cronflow.core.plan.flow import Plan
from cronflow.facts.sentences import reason_words

OFTEN = 4
"""Runs of one flow that have a line each; more than these have one together."""
CROWDS_SHOWN = 20


def forecast_screen(found: Forecast, crowded: list[Crowd], plan: Plan, style: Style) -> str:
    """The whole screen."""
    head = f"from {_moment(found.start, style)} to {_moment(found.end, style)}"
    blocks = [style.fold("", [head, "by the usual durations of each job"], 2), *_timeline(found, plan, style)]
    if not found.courses and not found.rows:
        later = "; `cronflow next` shows what comes later" if any(flow.triggers for flow in plan.flows.values()) else ""
        blocks.append(f"nothing is due{later}")
    blocks += _late(found, style)
    blocks += _crowds(crowded, style)
    blocks += _not_run(found, style)
    if found.unknown:
        names = words.listing(list(found.unknown), 8)
        blocks.append(f"not known how long, taken as {words.duration(UNKNOWN)}: {names}")
    if found.cut is not None:
        blocks.append(f"cut at {style.clock.day_when(found.cut)}: too much goes on to look further ahead")
    return "\n".join(map(style.clip, "\n".join(blocks).split("\n")))


def _moment(t: float, style: Style) -> str:
    """An instant to the minute on a terminal, exactly in a pipe."""
    return words.day_clock(t, style.clock.now, style.clock.zone) if style.clock.human else words.iso(t, style.clock.zone)


def _timeline(found: Forecast, plan: Plan, style: Style) -> list[str]:
    flows: dict[str, list[Course]] = {}
    for course in found.courses.values():
        flows.setdefault(course.run.flow, []).append(course)
    entries: list[tuple[float, str, list[str]]] = []
    for flow, courses in flows.items():
        if len(courses) > OFTEN:
            entries.append(_many(flow, courses, found, style))
        else:
            entries += [_one(course, found, plan, style) for course in courses]
    entries.sort(key=lambda entry: entry[0])
    width = column_width((entry[1] for entry in entries), 60)
    return [style.fold(f"  {pad(lead, width)}   ", parts, 6) for _, lead, parts in entries]


def _span(begin: float, end: float | None, style: Style) -> str:
    """ "tomorrow 02:00 → 02:45": the day once, if both are on the same."""
    first = _moment(begin, style)
    if end is None:
        return f"{first} →"
    last = _moment(end, style)
    same = first.split(" ")[0] == last.split(" ")[0] and style.clock.human
    return f"{first} → {last.rpartition(' ')[2] if same else last}"


def _one(course: Course, found: Forecast, plan: Plan, style: Style) -> tuple[float, str, list[str]]:
    run = course.run
    begin = run.created_at if run.started_at is None else run.started_at
    flow = plan.flows.get(run.flow)
    names = [bar.name for bar in course.bars.values() if bar.started_at is not None or bar.finished_at is None]
    roots = [name for name in names if flow is None or course.bars[name].job in flow.roots] or names[:1]
    others = [name for name in names if name not in roots]
    text = ", ".join(roots or [run.flow]) + (f" → {words.listing(others, 6)}" if others else "")
    notes = [f"run {run.id} goes on"] if course.going else []
    if course.going and any(bar.finished_at == found.start for bar in course.bars.values()):
        notes.append("already longer than usual")
    if run.trigger == "catchup":
        notes.append("caught up")
    waits = max(course.bars.values(), key=lambda bar: bar.waited(found.until), default=None)
    if waits is not None and waits.waited(found.until) >= 1.0:
        notes.append(f"{waits.name} waits {words.duration(waits.waited(found.until))}: {reason_words(waits.waits_for)}")
    if not run.final:
        notes.append("not over by then")
    elif run.state != "success":
        notes.append(f"{run.state}: {reason_words(run.reason)}")
    return begin, _span(begin, run.finished_at, style), [text, *notes]


def _many(flow: str, courses: list[Course], found: Forecast, style: Style) -> tuple[float, str, list[str]]:
    first, last = courses[0], courses[-1]
    took = sorted(run.finished_at - run.created_at for course in courses if (run := course.run).finished_at is not None)
    waited = sum(any(bar.waited(found.until) >= 1.0 for bar in course.bars.values()) for course in courses)
    text = f"{len(courses)} runs" + (f" of {words.duration(took[len(took) // 2])}" if took else "")
    parts = [flow, text, f"{waited} of them wait" if waited else ""]
    return first.begin, _span(first.begin, last.begin, style), parts


def _late(found: Forecast, style: Style) -> list[str]:
    lines = []
    for one in found.late:
        end = f"would end {_moment(one.ends, style)}" if one.ends is not None else "would not have ended"
        lines.append(style.fold(f"  {one.job}   ", [f"due {_moment(one.due, style)}, {end}"], 6))
    return style.section("LATE", lines)


def _crowds(crowded: list[Crowd], style: Style) -> list[str]:
    lines = []
    for one in crowded[:CROWDS_SHOWN]:
        parts = [f"{words.count(one.starts, 'task')} start"] if one.starts else []
        if one.waiting:
            why = ", ".join(reason_words(limit) for limit in one.limits)
            longest = words.duration(one.longest)
            parts.append(f"{words.listing(one.waiting, 4)} wait up to {longest}" + (f": {why}" if why else ""))
        lines.append(style.fold(f"  {_moment(one.at, style)}   ", parts, 6))
    if len(crowded) > CROWDS_SHOWN:
        lines.append(f"  and {words.count(len(crowded) - CROWDS_SHOWN, 'more minute')}")
    return style.section("CROWDED", lines, len(crowded))


def _not_run(found: Forecast, style: Style) -> list[str]:
    lines = []
    for row in found.rows.values():
        more = f" to {style.clock.day_when(row.slot_last)} ({row.slots} slots)" if row.slots > 1 else ""
        span = style.clock.day_when(row.slot) + more
        lines.append(style.fold(f"  {row.flow}   ", [span, f"{row.state}: {reason_words(row.reason)}"], 6))
    return style.section("WOULD NOT RUN", lines)
