"""The flows as a tree for people, and as dot, mermaid and plain data for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from cronflow.cli.screens.style import Style, column_width, pad
from cronflow.core.plan.flow import Flow
from cronflow.core.time.triggers import described, triggers_of
from cronflow.facts.upcoming import trigger_words
from cronflow.facts.waits import after_words

Row = tuple[str, str, str, str]
"""The tree and the name, the schedule, its words or the condition, what else it comes after."""


def as_text(flows: Sequence[Flow], style: Style) -> str:
    """A tree for each flow. A job stands below the last of its upstreams; "also after" names the others."""
    rows = [row for flow in flows for row in _flow_rows(flow, style)]
    width = column_width((row[0] for row in rows), 40)
    schedules = column_width((row[1] for row in rows), 24)
    lines = []
    for name, schedule, told, also in rows:
        lead = f"{pad(name, width)}   " + (f"{pad(schedule, schedules)}   " if schedule else "")
        lines.append(style.fold(lead, (told, also), width + 3))
    return "\n".join(lines)


def _flow_rows(flow: Flow, style: Style) -> Iterator[Row]:
    order = {name: place for place, name in enumerate(flow.jobs)}
    inside = {name: [edge.job for edge in job.after if edge.job in flow.jobs] for name, job in flow.jobs.items()}
    parent = {name: max(before, key=lambda up: order[up]) for name, before in inside.items() if before}
    below: dict[str, list[str]] = {name: [] for name in flow.jobs}
    for name, up in parent.items():
        below[up].append(name)
    for root in flow.jobs:
        if root not in parent:
            yield _root_row(flow, root, style)
            yield from _tree(flow, root, below, parent, style)


def _tree(flow: Flow, root: str, below: dict[str, list[str]], parent: dict[str, str], style: Style) -> Iterator[Row]:
    """The jobs below a root, without recursion: a chain may be ten thousand long."""
    todo = [(name, "", last) for name, last in _marked(below[root])]
    while todo:
        name, prefix, last = todo.pop()
        told, also = _edge_words(flow, name, parent[name])
        yield f"{prefix}{'└─ ' if last else '├─ '}{_shown(flow, name, style)}", "", told, also
        deeper = prefix + ("   " if last else "│  ")
        todo.extend((child, deeper, is_last) for child, is_last in _marked(below[name]))


def _marked(names: list[str]) -> list[tuple[str, bool]]:
    """Names with whether they are the last, in reverse: as a stack takes them."""
    return [(name, place == len(names) - 1) for place, name in reversed(list(enumerate(names)))]


def _root_row(flow: Flow, name: str, style: Style) -> Row:
    own = triggers_of(flow.jobs[name])
    others = after_flows(flow)
    if not own:
        return _shown(flow, name, style), "", others or "by hand", ""
    told = described(own)
    written = "; ".join(trigger_words(one) for one in own if one.kind in ("schedule", "reboot"))
    return _shown(flow, name, style), written, "" if told == written else told, f"also {others}" if others else ""


def after_flows(flow: Flow) -> str:
    """Which jobs of other flows a flow comes after: "after load, fetch (other flows)"; "" for most flows."""
    if not flow.external_edges:
        return ""
    homes = "other flow" if len(flow.external_edges) == 1 else "other flows"
    return f"after {after_words(flow.external_edges, flow.settings_root.join)} ({homes})"


def _shown(flow: Flow, name: str, style: Style) -> str:
    """A name with how many tasks it makes in a run, and what it passes before its command."""
    job = flow.jobs[name]
    copies = f" × {number}" if (number := math.prod(map(len, job.matrix.values()))) > 1 else ""
    said = {
        "disabled": not job.enabled,
        "one for each line": job.foreach is not None,
        "condition": job.only_if is not None,
        "sensor": job.wait_until is not None,
        "approval": job.approve is not None,
    }
    inside = ", ".join(word for word, so in said.items() if so)
    return name + copies + (f" {style.paint('dim', f'({inside})')}" if inside else "")


def _edge_words(flow: Flow, name: str, parent: str) -> tuple[str, str]:
    job = flow.jobs[name]
    conditions = {edge.job: edge.condition for edge in job.after}
    told = "" if conditions[parent] == "success" else f"on {conditions[parent]}"
    others = [edge for edge in job.after if edge.job != parent]
    if not others:
        return told, ""
    named = ", ".join(edge.job if edge.condition == "success" else f"{edge.job} (on {edge.condition})" for edge in others)
    return told, f"{'also' if job.join == 'all' else 'or'} after {named}"


def as_data(flow: Flow) -> dict[str, Any]:
    """A flow as the documented JSON."""
    return {
        "name": flow.name,
        "trigger": "; ".join(trigger_words(one) for one in flow.triggers) or _untimed(flow),
        "jobs": list(flow.jobs),
        "edges": [
            {"from": edge.job, "to": name, "condition": edge.condition, "kind": "run" if edge.job in flow.jobs else "other_flow"}
            for name, job in flow.jobs.items()
            for edge in job.after
        ],
    }


def _untimed(flow: Flow) -> str:
    """What starts a flow that has no trigger of its own."""
    return f"after {after_words(flow.external_edges, flow.settings_root.join)}" if flow.external_edges else "by hand"


def as_dot(flows: Sequence[Flow]) -> str:
    """The flows for Graphviz."""
    lines = ["digraph cronflow {", "  rankdir=LR;", "  node [shape=box, style=rounded];"]
    for number, flow in enumerate(flows):
        title = described(flow.triggers) or _untimed(flow)
        lines += [f"  subgraph cluster_{number} {{", f"    label={_dot(f'{flow.name}: {title}')};"]
        lines += [f"    {_dot(name)}{'' if job.enabled else ' [style=dashed]'};" for name, job in flow.jobs.items()]
        lines.append("  }")
    for flow in flows:
        for name, job in flow.jobs.items():
            for edge in job.after:
                marks = [] if edge.condition == "success" else [f"label={_dot(edge.condition)}"]
                marks += ["style=dashed"] if edge.job not in flow.jobs else []
                said = f" [{', '.join(marks)}]" if marks else ""
                lines.append(f"  {_dot(edge.job)} -> {_dot(name)}{said};")
    return "\n".join([*lines, "}"])


def _dot(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def as_mermaid(flows: Sequence[Flow]) -> str:
    """The flows for Mermaid; nodes are numbered, since names may be words of its language."""
    shown = dict.fromkeys(name for flow in flows for name in flow.jobs)
    others = dict.fromkeys(edge.job for flow in flows for edge in flow.external_edges if edge.job not in shown)
    numbers = {name: f"j{number}" for number, name in enumerate([*shown, *others])}
    lines = ["flowchart LR"]
    for number, flow in enumerate(flows):
        title = described(flow.triggers) or _untimed(flow)
        lines.append(f'  subgraph f{number}["{_mermaid(f"{flow.name}: {title}")}"]')
        lines += [f'    {numbers[name]}["{_mermaid(name)}"]' for name in flow.jobs]
        lines.append("  end")
    lines += [f'  {numbers[name]}["{_mermaid(name)}"]' for name in others]
    for flow in flows:
        for name, job in flow.jobs.items():
            for edge in job.after:
                label = "" if edge.condition == "success" else f"|{edge.condition}|"
                arrow = "-->" if edge.job in flow.jobs else "-.->"
                lines.append(f"  {numbers[edge.job]} {arrow}{label} {numbers[name]}")
    return "\n".join(lines)


def _mermaid(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;")
