"""A backfill as it goes on: one line for each run that has ended, a bar on a terminal, and how it all came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cronflow.cli.screens.style import Style
from cronflow.core import words
from cronflow.facts.sentences import reason_words

_BAR = 24


def slot_time(slot: float, style: Style) -> str:
    """The time of a slot, with its date."""
    return f"{words.local(slot, style.clock.zone):%Y-%m-%d %H:%M}" if style.clock.human else words.iso(slot, style.clock.zone)


def ended_line(slot: int, run: Mapping[str, Any], style: Style) -> str:
    """`✓ 2026-10-13 02:00   run 57 success in 4 min 11 s`."""
    took = words.span(run.get("started_at"), run.get("finished_at"))
    state, reason = str(run["state"]), "" if run.get("reason") == "exit_code" else reason_words(run.get("reason"))
    said = f"run {run['run']} {style.paint(state)}" + (f" in {took}" if took else "") + (f": {reason}" if reason else "")
    return f"{style.mark(state)} {slot_time(slot, style)}   {said}"


def bar_line(done: int, total: int, bad: int, going: Sequence[tuple[int, int]], style: Style) -> str:
    """`[######------]  12 of 31, 1 not well   run 57 for 2026-10-13 02:00`."""
    full = _BAR * done // max(total, 1)
    head = f"[{'#' * full}{'-' * (_BAR - full)}]  {done} of {total}" + (f", {bad} not well" if bad else "")
    now = [f"run {run} for {slot_time(slot, style)}" for run, slot in going]
    return "   ".join(filter(None, (head, words.listing(now, 2))))


def end_line(job: str, counts: Mapping[str, int], left: int, style: Style) -> str:
    """`backfill of backup: 29 runs succeeded, 2 failed, 5 slots left`."""
    states = [f"{number} {style.paint(state)}" for state, number in counts.items()]
    said = ", ".join(states) or "nothing ran"
    return f"backfill of {job}: {said}" + (f"; {words.count(left, 'slot')} left" if left else "")
