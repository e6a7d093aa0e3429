"""What the processes of a task, as the history tells them, say against how the task is told to have ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cronflow.core.jobs import Job


class Process(NamedTuple):
    """One process of a task. Sensors have one row for all their polls."""

    run: int
    task: str
    n: int
    kind: str
    result: str
    reason: str | None
    stop: str | None

    def __str__(self) -> str:
        return f"{self.kind}{self.n} {self.result}"


PROCESSES = f"SELECT {', '.join(Process._fields)} FROM attempts ORDER BY run, task, kind, n"


def by_task(rows: Sequence[tuple[object, ...]]) -> dict[tuple[int, str], list[Process]]:
    """The processes of each task, by run and name."""
    found: dict[tuple[int, str], list[Process]] = {}
    for one in map(Process._make, rows):
        found.setdefault((one.run, one.task), []).append(one)
    return found


def contradictions(job: Job, name: str, state: str, reason: str | None, mine: Sequence[Process]) -> Iterator[str]:
    """What is wrong with a task that has ended. Of one that somebody cut short only the rest is looked at."""
    commands = [one for one in mine if one.kind == "command"]
    cut = any(one.stop is not None for one in mine)
    if reason == "taken_over":
        return
    if any(one.result == "success" for one in commands[:-1]):
        yield "an attempt follows a success"
    if commands and (commands[-1].result == "success") != (state == "success") and not cut:
        yield "its last attempt ended otherwise"
    if not cut:
        yield from _checks(job, commands, [one.result for one in mine if one.kind == "check"])
    yield from _hooks(job, state, bool(commands), mine)
    listed = "[" in name and job.foreach is not None
    for kind, command in (("condition", job.only_if), ("sensor", job.wait_until)):
        passed = sum((one.kind, one.result) == (kind, "success") for one in mine)
        if commands and not listed and passed != int(command is not None):
            yield f"it ran, with {passed} times `{kind}`"


def _checks(job: Job, commands: Sequence[Process], checks: list[str]) -> Iterator[str]:
    """Each attempt that came to an end by itself is checked until a check says no, and is what the checks say. A lost check is
    asked again, but for the very last one, of which something still lived."""
    for one in commands:
        if one.result == "success" or one.reason == "check":
            passed = 0
            while passed < len(job.check) and checks and ((said := checks.pop(0)) == "success" or (said == "lost" and checks)):
                passed += said == "success"
            if (passed == len(job.check)) != (one.result == "success"):
                yield f"{one} has passed {passed} of {len(job.check)} checks"
    if checks:
        yield f"{len(checks)} checks too many"


def _hooks(job: Job, state: str, ran: bool, mine: Sequence[Process]) -> Iterator[str]:
    """A hook runs once. That of a task without attempts stands in line, where it may be cancelled."""
    for hook, when in (("on_failure", "failed"), ("on_success", "success")):
        wanted = int(getattr(job, hook) is not None and state == when)
        count = sum(one.kind == hook for one in mine)
        if count > wanted or (count < wanted and ran):
            yield f"{count} times `{hook}`"
