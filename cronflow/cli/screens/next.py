"""The slots to come, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cronflow.cli.screens.status import jobs_line, slot_line, waiting_phrase
from cronflow.cli.screens.style import Style, column_width, pad, visible
from cronflow.core import words
from cronflow.core.plan.flow import Flow
from cronflow.facts import upcoming
from cronflow.facts.waits import Waiting, after_words


class Coming(NamedTuple):
    """What is to come: slots in order of time; before them the slots that wait for jobs of other flows, after them the flows
    that start when such jobs have ended."""

    slots: Sequence[upcoming.Slot]
    suspensions: upcoming.Suspensions
    held: Sequence[Waiting] = ()
    others: Sequence[Flow] = ()


def next_screen(coming: Coming, style: Style) -> str:
    """Day, time, jobs; with the first slot of each flow its schedule in words."""
    rows = [_held_row(one, style) for one in coming.held]
    told: set[str] = set()
    for slot in coming.slots:
        day, _, clock = style.clock.day_when(slot.at).rpartition(" ")
        about = []
        if slot.trigger.key not in told:
            told.add(slot.trigger.key)
            said = slot.trigger.describe()  # the expression itself, where there are no plain words for it
            about.append(", ".join(filter(None, ("" if said == slot_line(slot) else said, slot.trigger.schedule.zone))))
        about += [style.paint("paused", note) for note in upcoming.notes_of(slot, coming.suspensions)]
        rows.append((day, clock, slot_line(slot), about))
    rows += [("", "", jobs_line(flow.roots, flow), [_after(flow, coming.suspensions, style)]) for flow in coming.others]
    days, clocks = column_width(row[0] for row in rows), column_width(row[1] for row in rows)
    jobs = column_width((row[2] for row in rows), 44)
    lines = []
    for day, clock, name, about in rows:
        lead = "  ".join(text for text, width in ((pad(day, days), days), (pad(clock, clocks), clocks)) if width)
        indent = len(visible(lead)) + 2
        room = max(jobs, len(name)) + 3
        lines.append(style.fold(f"{lead}  {pad(name, room) if about else name}", about, indent))
    return "\n".join(lines)


def _held_row(one: Waiting, style: Style) -> tuple[str, str, str, list[str]]:
    day, _, clock = style.clock.day_when(one.slot).rpartition(" ")
    return day, clock, jobs_line(one.roots, one.flow), [style.paint("retrying", waiting_phrase(one, style))]


def _after(flow: Flow, suspensions: upcoming.Suspensions, style: Style) -> str:
    paused = [root for root in flow.roots if root in suspensions.pauses]
    said = f"after {after_words(flow.external_edges, flow.settings_root.join)}"
    return f"{said}, {style.paint('paused', f'{words.listing(paused)} paused')}" if paused else said
