"""What `check --prove` and `import --prove` show of croniter's opinion on the schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cronflow.core.time.secondopinion import RULES, Opinion, Parting
from cronflow.core.words import iso, listing


def notes(opinions: Sequence[Opinion]) -> list[str]:
    """A line for each time that croniter and cronflow part, and one for all schedules on which they agree."""
    if not opinions:
        return ["note: there is no schedule of five fields to compare with croniter"]
    agreeing = [one for one in opinions if not one.partings]
    lines = [f"note: {_agreement(agreeing, len(opinions))}"]
    for one in opinions:
        shown = f"`{one.expression}` ({listing(one.jobs)})"
        lines += [f"note: {shown}: {_parting(parting, one)}" for parting in one.partings]
    return lines


def _agreement(agreeing: Sequence[Opinion], number: int) -> str:
    """On how many schedules the two agree."""
    of_year = " of a year" if all(one.whole for one in agreeing) else ""
    compared = f" ({sum(one.times for one in agreeing):,} times{of_year})" if agreeing else ""
    if len(agreeing) == number == 1:
        return f"`{agreeing[0].expression}` ({listing(agreeing[0].jobs)}) agrees with croniter{compared}"
    some = f"all {number:,}" if len(agreeing) == number else f"{len(agreeing):,} of {number:,}"
    return f"croniter agrees on {some} {'schedule' if number == 1 else 'schedules'}{compared}"


def _parting(parting: Parting, opinion: Opinion) -> str:
    sides = (("cronflow", parting.ours), ("croniter", parting.theirs))
    told = " and ".join(f"only {name} has {_first(times, parting, opinion)}" for name, times in sides if times)
    compared = "" if _at_change(parting) else f" (of {opinion.times:,} times)"
    return f"{told}{compared}: {_reason(parting)}"


def _first(times: Sequence[int], parting: Parting, opinion: Opinion) -> str:
    more = f" and {len(times) - 1:,} more" if len(times) > 1 else ""
    return f"{_shown(times[0], parting, opinion)}{more}"


def _shown(time: int, parting: Parting, opinion: Opinion) -> str:
    """An instant with its offset, or a wall time without one."""
    return iso(time, opinion.zone) if _at_change(parting) else iso(time, "UTC").partition("+")[0]


def _at_change(parting: Parting) -> bool:
    return parting.rules[0] in ("gap", "fold")


def _reason(parting: Parting) -> str:
    return "; ".join(RULES[rule] for rule in parting.rules)


def answer(opinions: Sequence[Opinion]) -> list[dict[str, Any]]:
    """The same as plain values."""
    return [
        {
            "schedule": one.expression,
            "timezone": one.zone,
            "jobs": list(one.jobs),
            "times": one.times,
            "whole_year": one.whole,
            "differences": [
                {
                    "at": _shown(min((*parting.ours, *parting.theirs)), parting, one),
                    "cronflow": len(parting.ours),
                    "croniter": len(parting.theirs),
                    "rules": list(parting.rules),
                    "reason": _reason(parting),
                }
                for parting in one.partings
            ],
        }
        for one in opinions
    ]
