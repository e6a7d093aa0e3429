"""Warnings about slots that will wait in vain: a job with a timetable of its own comes after one that starts less often."""

from __future__ import annotations

from cronflow.core.plan.flow import Flow, Plan
from cronflow.core.time.triggers import count_allowed
from cronflow.jobfile.build import Draft
from cronflow.jobfile.report import Report

DAY = 86400
MONTH, YEAR = 31, 365
"""Days over which slots are counted: a month, or a year where one of two jobs hardly starts in a month."""
HARDLY = 2


def advise_pace(draft: Draft, plan: Plan, now: float, report: Report) -> None:
    """A warning for each root whose slots outnumber those of a job of another flow that they wait for."""
    for flow in plan.flows.values():
        homes = {edge.job: plan.flows[plan.flow_of[edge.job]] for edge in flow.outer}
        timed = {job: home for job, home in homes.items() if _timed(home)}
        either = flow.head.join == "any"
        if not timed or not _timed(flow) or (either and len(timed) < len(homes)):
            continue
        for upstream, home in timed.items():
            days = MONTH if min(_starts(flow, draft, now, MONTH), _ends(home, now, MONTH)) >= HARDLY else YEAR
            often, seldom = _starts(flow, draft, now, days), _ends(home, now, days)
            vain = often - (sum(_ends(one, now, days) for one in timed.values()) if either else seldom)
            if vain >= HARDLY:
                _warn(flow, upstream, (often, seldom, vain), days, draft, report)
                break


def _timed(flow: Flow) -> bool:
    """Whether it is known how often a flow starts: by timetables alone."""
    return bool(flow.triggers) and not flow.dormant and all(trigger.timed for trigger in flow.triggers)


def _starts(flow: Flow, draft: Draft, now: float, days: int) -> int:
    """How many slots of a flow are to run."""
    return sum(count_allowed(trigger, draft.calendars, now, now + days * DAY) for trigger in flow.triggers)


def _ends(flow: Flow, now: float, days: int) -> int:
    """How many ends others hear of: a slot that its calendars forbid is one, too."""
    return sum(trigger.schedule.count(now, now + days * DAY) for trigger in flow.triggers)


def _warn(flow: Flow, upstream: str, numbers: tuple[int, int, int], days: int, draft: Draft, report: Report) -> None:
    """In numbers a day, where these are whole ones; changes of the clock make a day of 23 or 25 hours."""
    a_day = [round(number / days) for number in numbers]
    daily = numbers[1] >= days and all(abs(number / days - near) < 0.04 for number, near in zip(numbers, a_day, strict=True))
    often, seldom, vain = a_day if daily else numbers
    span = "a day" if daily else "in a year" if days == YEAR else f"in {days} days"
    fate = "skipped (upstream_not_new)" if flow.head.after_timeout is None else "blocked (after_timeout)"
    told = f"`{flow.head.name}` starts {_times(often)} {span} and comes after `{upstream}`, which starts {_times(seldom)}"
    source, path = draft.place(flow.head.name, "after")
    hint = "a slot waits for an end that none before it has used: start it as often as that job, or by its ends alone"
    report.warning(source, path, f"{told}: {vain} of {often} slots will be {fate}", hint)


def _times(number: int) -> str:
    return {0: "not at all", 1: "once", 2: "twice"}.get(number, f"{number} times")
