"""What became of the slots of a job: which runs carried them, and which are in a row that says that they were missed."""

from __future__ import annotations

import json
from typing import NamedTuple

from cronflow.core.records import FINAL
from cronflow.store.queries import History

OF_SLOTS = ("schedule", "every", "at", "reboot", "catchup", "backfill", "retry")
"""Triggers of runs that do what a slot stands for; a run by hand only bears its time."""
_ENOUGH = ("condition", "skip_code")
"""Reasons for which a skipped run is as it should be."""


class SlotRun(NamedTuple):
    """The last run that carried a slot, and whether one of all such runs did well."""

    run: int
    trigger: str
    state: str
    covered: bool

    @property
    def going(self) -> bool:
        return self.state not in FINAL


def slot_runs(history: History, job: str, first: float, last: float) -> dict[int, SlotRun]:
    """The last run of each slot in [first, last] in which a job has a task."""
    marks = ", ".join("?" * len(OF_SLOTS))
    query = (
        "SELECT runs.id, runs.slot, runs.trigger, runs.state, runs.reason, min(tasks.state = 'success')"
        " FROM tasks JOIN runs ON runs.id = tasks.run"
        f" WHERE tasks.job = ? AND runs.slot BETWEEN ? AND ? AND runs.trigger IN ({marks}) GROUP BY runs.id ORDER BY runs.id"
    )
    found: dict[int, SlotRun] = {}
    for run, slot, trigger, state, reason, ran in history.db.execute(query, (job, first, last, *OF_SLOTS)):
        well = (state == "success" and bool(ran)) or (state == "skipped" and reason in _ENOUGH)
        before = found.get(slot)
        found[slot] = SlotRun(run, trigger, state, well or (before is not None and before.covered))
    return found


def missed_spans(history: History, roots: tuple[str, ...], first: float, last: float) -> list[tuple[int, int]]:
    """First and last slot of each row of missed slots of one of these roots that reaches into [first, last]."""
    query = (
        "SELECT DISTINCT slot, slot_last FROM runs, json_each(runs.roots)"
        " WHERE state = 'missed' AND slots > 0 AND slot <= ? AND slot_last >= ?"
        " AND json_each.value IN (SELECT value FROM json_each(?))"
    )
    return [(row[0], row[1]) for row in history.db.execute(query, (last, first, json.dumps(roots)))]
