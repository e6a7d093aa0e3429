"""Warnings about slots that would wait in vain: a job with its own timetable comes after one that starts less often."""

from __future__ import annotations

from cronflow.core.plan.flow import Flow, Plan
from cronflow.core.time.triggers import count_allowed
from cronflow.jobfile.build import ParsedJobFile

DAY = 86400
MONTH, YEAR = 31, 365
"""Days over which slots are counted: a month, or a year where one of two jobs rarely starts in a month."""
RARELY = 2


def warn_of_frequency(parsed: ParsedJobFile, plan: Plan, now: float) -> None:
    """Warn of each root whose slots outnumber those of a job of another flow that they wait for. `now` is an epoch second."""
    for flow in plan.flows.values():
        upstreams = {edge.job: plan.flows[plan.flow_of[edge.job]] for edge in flow.external_edges}
        timed = {job: upstream for job, upstream in upstreams.items() if _timed(upstream)}
        either = flow.settings_root.join == "any"
        if not timed or not _timed(flow) or (either and len(timed) < len(upstreams)):
            continue
        for name, upstream in timed.items():
            days = MONTH if min(_starts(parsed, flow, now, MONTH), _ends(upstream, now, MONTH)) >= RARELY else YEAR
            often, seldom = _starts(parsed, flow, now, days), _ends(upstream, now, days)
            vain = often - (sum(_ends(one, now, days) for one in timed.values()) if either else seldom)
            if vain >= RARELY:
                _warn(parsed, flow, name, (often, seldom, vain), days)
                break


def _timed(flow: Flow) -> bool:
    """Whether it is known how often a flow starts: by timetables alone."""
    return bool(flow.triggers) and not flow.disabled and all(trigger.timed for trigger in flow.triggers)


def _starts(parsed: ParsedJobFile, flow: Flow, now: float, days: int) -> int:
    """The slots of a flow that its calendars allow."""
    return sum(count_allowed(trigger, parsed.calendars, now, now + days * DAY) for trigger in flow.triggers)


def _ends(flow: Flow, now: float, days: int) -> int:
    """The ends that other flows see: a slot that its calendars forbid ends as well."""
    return sum(trigger.schedule.count(now, now + days * DAY) for trigger in flow.triggers)


def _warn(parsed: ParsedJobFile, flow: Flow, upstream: str, numbers: tuple[int, int, int], days: int) -> None:
    """Warn, with numbers per day where they are whole; clock changes make days of 23 or 25 hours."""
    a_day = [round(number / days) for number in numbers]
    daily = numbers[1] >= days and all(abs(number / days - near) < 0.04 for number, near in zip(numbers, a_day, strict=True))
    often, seldom, vain = a_day if daily else numbers
    span = "a day" if daily else "in a year" if days == YEAR else f"in {days} days"
    fate = "skipped (upstream_not_new)" if flow.settings_root.after_timeout is None else "blocked (after_timeout)"
    name = flow.settings_root.name
    starts = f"`{name}` starts {_times(often)} {span} and comes after `{upstream}`, which starts {_times(seldom)}"
    hint = "each slot needs a new end of that job: start it as often as that job, or only by its ends"
    parsed.warn(name, "after", f"{starts}: {vain} of {often} slots will be {fate}", hint)


def _times(number: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(number, f"{number} times")
