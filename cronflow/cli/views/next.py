"""The slots to come, one line each."""

from __future__ import annotations

from collections.abc import Mapping

from cronflow.cli import coming
from cronflow.cli.views.status import slot_line
from cronflow.cli.views.style import Style, column_width, pad, visible
from cronflow.core.model import Pause


def next_screen(slots: list[coming.Slot], pauses: Mapping[str, Pause], style: Style) -> str:
    """Day, time, jobs; with the first slot of each flow its schedule in words."""
    rows = []
    told: set[str] = set()
    for slot in slots:
        day, _, clock = style.day_when(slot.at).rpartition(" ")
        about = []
        if slot.trigger.key not in told:
            told.add(slot.trigger.key)
            said = slot.trigger.describe()  # the expression itself, where there are no plain words for it
            about.append(", ".join(filter(None, ("" if said == slot_line(slot) else said, slot.trigger.schedule.zone))))
        about += [style.paint("paused", note) for note in coming.notes_of(slot, pauses)]
        rows.append((day, clock, slot_line(slot), about))
    days, clocks = column_width(row[0] for row in rows), column_width(row[1] for row in rows)
    jobs = column_width((row[2] for row in rows), 44)
    lines = []
    for day, clock, name, about in rows:
        lead = "  ".join(filter(None, (pad(day, days), pad(clock, clocks))))
        indent = len(visible(lead)) + 2
        room = max(jobs, len(name)) + 3
        lines.append(style.fold(f"{lead}  {pad(name, room) if about else name}", about, indent))
    return "\n".join(lines)
