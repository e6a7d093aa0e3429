"""What another reading of the job file would change: jobs, flows, slots, limits. Nothing is put in force here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from cronflow.core.jobs import Job, Settings
from cronflow.core.plan.effective import EffectiveConfig
from cronflow.core.plan.flow import Flow, Plan, plan
from cronflow.core.time.triggers import next_start

HIDDEN = "(not shown)"
"""In the place of a value that differs, or is there on one side only."""


# ---- what differs ---------------------------------------------------------------------------------------------------------


class KeyChange(NamedTuple):
    """One key with its value before and after, plain; None where it has none."""

    key: str
    before: Any
    after: Any


class FlowChange(NamedTuple):
    """Flows that become others: `merge` several one, `split` one several, `rename` one another name."""

    kind: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class SlotChange(NamedTuple):
    """The next slot of a root before and after. `anew`: its slots are counted from the reload on, and what was still to be caught
    up is dropped."""

    job: str
    before: int | None
    after: int | None
    anew: bool = False


class Changes(NamedTuple):
    """All that a reload would change."""

    added: list[str]
    removed: list[str]
    edited: dict[str, list[KeyChange]]
    flows: list[FlowChange]
    slots: list[SlotChange]
    settings: list[KeyChange]

    def __bool__(self) -> bool:
        return any(self)


def compare(before: EffectiveConfig, after: EffectiveConfig, now: float) -> Changes:
    """What differs between the reading in force and another one; slots are those after `now`."""
    old, new = plan(before.jobs), plan(after.jobs)
    both = [name for name in after.jobs if name in before.jobs]
    return Changes(
        [name for name in after.jobs if name not in before.jobs],
        [name for name in before.jobs if name not in after.jobs],
        {name: list(_keys(before.jobs[name], after.jobs[name])) for name in both if before.jobs[name] != after.jobs[name]},
        list(_flows(old, new, both)),
        list(_slots(Flows(old, before), Flows(new, after), now)),
        list(_settings(before, after)),
    )


def _keys(before: Job, after: Job) -> Iterator[KeyChange]:
    """The keys of a job that differ; of a table each of its own keys."""
    old, new = before.as_dict(), after.as_dict()
    for key in before._fields:
        if getattr(before, key) == getattr(after, key):
            continue
        one, other = old.get(key, _default(before, key)), new.get(key, _default(after, key))
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _table(f"{key}.", one, other)
        else:
            yield KeyChange(key, one, other)


def _default(job: Job, key: str) -> Any:
    value = job._field_defaults.get(key)
    return list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value


def _table(lead: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[KeyChange]:
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            yield KeyChange(f"{lead}{key}", before.get(key), after.get(key))


def _flows(old: Plan, new: Plan, both: list[str]) -> Iterator[FlowChange]:
    """Flows whose jobs, as far as they stay, start together otherwise than before."""
    came: dict[str, dict[str, None]] = {}
    went: dict[str, dict[str, None]] = {}
    for name in both:
        came.setdefault(new.flow_of[name], {})[old.flow_of[name]] = None
        went.setdefault(old.flow_of[name], {})[new.flow_of[name]] = None
    for flow, sources in came.items():
        if len(sources) > 1:
            yield FlowChange("merge", tuple(sources), (flow,))
    for flow, targets in went.items():
        target = next(iter(targets))
        if len(targets) > 1:
            yield FlowChange("split", (flow,), tuple(targets))
        elif len(came[target]) == 1 and target != flow:
            yield FlowChange("rename", (flow,), (target,))


class Flows(NamedTuple):
    """The flows of a reading, with what says when they start."""

    plan: Plan
    reading: EffectiveConfig

    def flow(self, root: str) -> Flow | None:
        """The flow that starts by a root, if it may."""
        name = self.plan.flow_of.get(root)
        flow = self.plan.flows[name] if name is not None else None
        return None if flow is None or root not in flow.roots or flow.disabled else flow

    def timed_roots(self) -> Iterator[str]:
        for flow in self.plan.flows.values():
            if any(trigger.timed for trigger in flow.triggers):
                yield from flow.roots

    def keys(self, root: str) -> frozenset[str]:
        flow = self.flow(root)
        return frozenset(trigger.key for trigger in flow.triggers if trigger.timed) if flow is not None else frozenset()

    def next(self, root: str, now: float) -> int | None:
        flow = self.flow(root)
        if flow is None or not flow.jobs[root].enabled:
            return None
        calendars = self.reading.calendars or {}
        starts = (next_start(one, flow.name, calendars, self.reading.host, now) for one in flow.triggers)
        return min((start[0] for start in starts if start is not None), default=None)


def _slots(old: Flows, new: Flows, now: float) -> Iterator[SlotChange]:
    for root in dict.fromkeys((*new.timed_roots(), *old.timed_roots())):
        before, after = old.next(root, now), new.next(root, now)
        anew = root in old.plan.flow_of and root in new.plan.flow_of and bool(new.keys(root) - old.keys(root))
        if before != after or anew:
            yield SlotChange(root, before, after, anew)


def _settings(before: EffectiveConfig, after: EffectiveConfig) -> Iterator[KeyChange]:
    """Limits, zones, pools, calendars, alert targets; of the last two that they differ, and not how."""
    if before.timezone is not None and before.timezone != after.timezone:
        yield KeyChange("timezone", before.timezone, after.timezone)
    if before.settings is not None and after.settings is not None:
        defaults = Settings()._asdict()
        yield from _table("settings.", {**defaults, **before.settings}, {**defaults, **after.settings})
    if before.pools is not None and after.pools is not None:
        yield from _table("pools.", before.pools, after.pools)
    for title, old, new in (("calendars", before.calendars, after.calendars), ("alerts", before.alerts, after.alerts)):
        if old is not None and new is not None:
            for key, one, other in _table(f"{title}.", old, new):
                yield KeyChange(key, None if one is None else HIDDEN, None if other is None else HIDDEN)
