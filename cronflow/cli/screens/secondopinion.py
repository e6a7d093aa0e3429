"""What `check --prove` and `import --prove` show of croniter's opinion on the schedules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cronflow.core.time.secondopinion import RULES, Difference, Opinion
from cronflow.core.words import iso, listing


def notes(opinions: Sequence[Opinion]) -> list[str]:
    """A line for each time that croniter and cronflow part, and one for all schedules on which they agree."""
    if not opinions:
        return ["note: there is no schedule of five fields to compare with croniter"]
    agreeing = [one for one in opinions if not one.differences]
    lines = [f"note: {_agreement(agreeing, len(opinions))}"]
    for one in opinions:
        shown = f"`{one.expression}` ({listing(one.jobs)})"
        lines += [f"note: {shown}: {_difference(difference, one)}" for difference in one.differences]
    return lines


def _agreement(agreeing: Sequence[Opinion], number: int) -> str:
    """On how many schedules the two agree."""
    of_year = " of a year" if all(one.whole for one in agreeing) else ""
    compared = f" ({sum(one.times for one in agreeing):,} times{of_year})" if agreeing else ""
    if len(agreeing) == number == 1:
        return f"`{agreeing[0].expression}` ({listing(agreeing[0].jobs)}) agrees with croniter{compared}"
    some = f"all {number:,}" if len(agreeing) == number else f"{len(agreeing):,} of {number:,}"
    return f"croniter agrees on {some} {'schedule' if number == 1 else 'schedules'}{compared}"


def _difference(difference: Difference, opinion: Opinion) -> str:
    sides = (("cronflow", difference.ours), ("croniter", difference.theirs))
    told = " and ".join(f"only {name} has {_first(times, difference, opinion)}" for name, times in sides if times)
    compared = "" if _at_change(difference) else f" (of {opinion.times:,} times)"
    return f"{told}{compared}: {_reason(difference)}"


def _first(times: Sequence[int], difference: Difference, opinion: Opinion) -> str:
    more = f" and {len(times) - 1:,} more" if len(times) > 1 else ""
    return f"{_shown(times[0], difference, opinion)}{more}"


def _shown(time: int, difference: Difference, opinion: Opinion) -> str:
    """An instant with its offset, or a wall time without one."""
    return iso(time, opinion.zone) if _at_change(difference) else iso(time, "UTC").partition("+")[0]


def _at_change(difference: Difference) -> bool:
    return difference.rules[0] in ("gap", "fold")


def _reason(difference: Difference) -> str:
    return "; ".join(RULES[rule] for rule in difference.rules)


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
                    "at": _shown(min((*difference.ours, *difference.theirs)), difference, one),
                    "cronflow": len(difference.ours),
                    "croniter": len(difference.theirs),
                    "rules": list(difference.rules),
                    "reason": _reason(difference),
                }
                for difference in one.differences
            ],
        }
        for one in opinions
    ]
