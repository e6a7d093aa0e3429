"""The progress of runs that are followed: a block that is drawn again on a terminal, a line for each event elsewhere.

Progress goes to standard error, the last line of each run to standard output.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from cronflow.cli.invocation import Invocation
from cronflow.cli.screens import progress as views
from cronflow.cli.screens.style import Style, style_for, visible
from cronflow.core import words
from cronflow.core.records import FINAL

_BEAT = 0.1
"""Seconds between two drawings."""
_OWN_CONDITIONS = ("condition", "skip_code")
"""Reasons for which a skipped run is as it should be."""


class Progress:
    """What is shown while runs are followed: fed with the events of the daemon, and ticked about ten times a second."""

    def __init__(self, invocation: Invocation, runs: Sequence[int]) -> None:
        self.invocation = invocation
        self.numbers = list(runs)
        self.runs: dict[int, Mapping[str, Any]] = {}
        self.tasks: dict[int, dict[str, Mapping[str, Any]]] = {number: {} for number in runs}
        self.live = not invocation.json and sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.drawn = 0
        self.beat = 0
        self.drawn_at = 0.0
        self.ended: set[int] = set()
        self.closed = False

    def event(self, event: Mapping[str, Any]) -> None:
        """Take in one event of the daemon."""
        number = int(event["run"])
        if event.get("event") == "task":
            before = self.tasks.setdefault(number, {}).get(event["task"])
            if before is not None:
                kept = {key: event.get(key) or before.get(key) for key in ("attempt", "step")}
                event = {**event, **kept}
            self.tasks[number][event["task"]] = event
            if not self.live and _told(before) != _told(event):
                self._line(views.event_line(event, self._style()))
        elif event.get("event") == "gone":
            self.tasks.get(number, {}).pop(event["task"], None)
        elif event.get("event") == "run":
            before = self.runs.get(number)
            self.runs[number] = event
            if not self.live and before is None:
                self._begin_line(event)
            if event["state"] in FINAL:
                self.ended.add(number)
        self.tick()

    def tick(self) -> None:
        """Draw again if it is time to."""
        now = time.monotonic()
        if self.live and not self.closed and now - self.drawn_at >= _BEAT:
            self.drawn_at = now
            self.beat += 1
            self._draw(shutil.get_terminal_size((80, 24)).lines - 1)

    def close(self) -> None:
        """Draw for the last time, and say how each run that has ended did."""
        if self.closed:
            return
        if self.live:
            self._draw(shutil.get_terminal_size((80, 24)).lines - 1)
            sys.stderr.write("\x1b[?25h")
            sys.stderr.flush()
        self.closed = True
        if self.invocation.json:
            return
        for number in self.numbers:
            if number in self.ended:
                line = views.final_line(self.runs[number], list(self.tasks[number].values()), self._style(self.invocation.color))
                self.invocation.out(line)
        sys.stdout.flush()

    @property
    def over(self) -> bool:
        """Whether every run that is followed has ended."""
        return self.ended.issuperset(self.numbers)

    def exit_status(self) -> int:
        """0 only if every run succeeded, or was skipped by a condition of its own."""
        return 0 if all(number in self.runs and went_well(self.runs[number]) for number in self.numbers) else 1

    def _style(self, color: bool = False) -> Style:
        width = shutil.get_terminal_size((80, 24)).columns if self.live else None
        return style_for(self.invocation.zone, time.time(), width, color)

    def _draw(self, rows: int) -> None:
        style = self._style(self.invocation.color)
        shown = [number for number in self.numbers if number in self.runs]
        if not shown:
            return
        each = max(rows // len(shown), 2)
        lines = [
            line
            for number in shown
            for line in views.block(self.runs[number], list(self.tasks[number].values()), style, each, self.beat)
        ][:rows]
        assert style.width is not None
        text = "\x1b[?25l" + (f"\x1b[{self.drawn}F" if self.drawn else "")
        text += "".join(
            f"{line if len(visible(line)) < style.width else visible(line)[: style.width - 1]}\x1b[K\n" for line in lines
        )
        self.invocation.warn(text + "\x1b[J", end="")
        self.drawn = len(lines)

    def _begin_line(self, run: Mapping[str, Any]) -> None:
        style = self._style()
        trigger = "by hand" if run.get("trigger") == "manual" else run.get("trigger")
        at = words.iso(run.get("created_at") or style.clock.now, style.clock.zone)
        self._line(f"{at}  run {run['run']} of {run.get('flow')}, {trigger}")

    def _line(self, text: str | None) -> None:
        if text is not None and not self.invocation.json:
            self.invocation.warn(text)


def _told(task: Mapping[str, Any] | None) -> tuple[Any, ...]:
    """The parts of a task that make a new line when they change."""
    if task is None:
        return ()
    attempt = task.get("attempt") or {}
    stage = task.get("stage") if task["state"] == "waiting" else None
    return task["state"], stage, task.get("attempts"), attempt.get("pid") if task["state"] == "running" else None


def went_well(run: Mapping[str, Any]) -> bool:
    """Whether a run succeeded, or was skipped by a condition of its own."""
    return run["state"] == "success" or (run["state"] == "skipped" and run.get("reason") in _OWN_CONDITIONS)
