"""What a reload of the job file would change."""

from __future__ import annotations

from typing import NamedTuple

from cronflow.core.plan.changes import Changes, compare
from cronflow.core.plan.effective import EffectiveConfig
from cronflow.core.plan.flow import plan as flows_of
from cronflow.core.records import Run
from cronflow.store.lookups import catching_up
from cronflow.store.queries import History


class Affected(NamedTuple):
    """A run whose jobs change while it goes on: it keeps the definition with which it began."""

    run: Run
    jobs: list[str]


class ReloadChanges(NamedTuple):
    """What would change: jobs, flows and settings, `runs` that go on, and, by root, the number of missed slots that would no
    longer be caught up (`dropped`). `after` is the new reading."""

    changes: Changes
    runs: list[Affected]
    dropped: dict[str, int]
    after: EffectiveConfig


def reload_changes(history: History, before: EffectiveConfig, after: EffectiveConfig, now: float) -> ReloadChanges:
    """Compare what is in force with what would replace it."""
    changes = compare(before, after, now)
    return ReloadChanges(changes, _affected(history, changes), _dropped(history, before, after, now), after)


def _affected(history: History, changes: Changes) -> list[Affected]:
    gone = {*changes.removed, *changes.edited}
    found = []
    for record in history.records(history.live_runs()):
        jobs = list(dict.fromkeys(task.job for task in record.run.tasks.values() if task.job in gone))
        if jobs:
            found.append(Affected(record.run, jobs))
    return found


def _dropped(history: History, before: EffectiveConfig, after: EffectiveConfig, now: float) -> dict[str, int]:
    """Missed slots that are still to be caught up, but whose trigger would be gone."""
    old, new = flows_of(before.jobs), flows_of(after.jobs)
    kept = {(root, one.key) for flow in new.flows.values() if not flow.disabled for root in flow.roots for one in flow.triggers}
    found: dict[str, int] = {}
    for job, key, at in catching_up(history):
        flow = old.flows.get(old.flow_of.get(job, ""))
        trigger = next((one for one in flow.triggers if one.key == key), None) if flow is not None else None
        if trigger is not None and (job, key) not in kept:
            found[job] = found.get(job, 0) + trigger.schedule.count(at, now)
    return found
