"""What a command asks over the control socket, as events of the engine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

from cronflow.core.events import ApprovalGiven, CancelAsked, Event, PauseAsked, ResumeAsked, RetryAsked, RunAsked, SkipAsked
from cronflow.core.jobs import Job, jobs_from_definition
from cronflow.core.plan.flow import several_flows
from cronflow.core.records import Run
from cronflow.core.state import LiveState
from cronflow.core.words import storable
from cronflow.errors import CronflowError, Exit
from cronflow.store.sound import LATEST
from cronflow.store.store import Store

MOST_SKIPPED = 1000

Message = Mapping[str, Any]


def to_event(message: Message, number: int, by: str, state: LiveState, store: Store) -> Event:
    """The event of a request that changes something. A request of another shape is a CronflowError (exit 2 or 4)."""
    words = _text(message, "words") or str(message["op"])
    match message["op"]:
        case "run":
            at = _instant(message, "at")
            only, upstream = bool(message.get("only")), bool(message.get("upstream"))
            slot = None if at is None else int(at)
            return RunAsked(number, _names(message), by, words, only, upstream, slot, _params(message), _trigger(message, slot))
        case "retry":
            run, definition = _run_and_jobs(_run(message), state, store)
            retried = frozenset(definition)
            return RetryAsked(number, run, retried, by, words, _text(message, "from"), several_flows(definition))
        case "cancel":
            return CancelAsked(number, _run(message), by, words, _text(message, "task"))
        case "approve" | "reject" as verb:
            task, reason = _text(message, "task") or "", _text(message, "reason") or ""
            return ApprovalGiven(number, _run(message), task, verb == "approve", by, words, reason)
        case "pause":
            jobs = _names(message) if message.get("jobs") is not None else tuple(state.jobs.jobs)
            return PauseAsked(number, jobs, by, words, _instant(message, "until"), _text(message, "reason") or "")
        case "resume":
            jobs = _names(message) if message.get("jobs") is not None else tuple(state.pauses)
            return ResumeAsked(number, jobs, by, words)
        case "skip":
            return SkipAsked(number, _names(message), by, words, _slots(message))
    hint = "is it of another version? `cronflow --version`"
    raise CronflowError(f"the daemon does not know `{message['op']}`", hint, Exit.USAGE)


def _run_and_jobs(number: int, state: LiveState, store: Store) -> tuple[Run, Mapping[str, Job]]:
    run = state.runs.get(number) or store.run(number)
    if run is None:
        raise CronflowError(f"no run {number}", "`cronflow runs` lists them", Exit.NOT_FOUND)
    return run, jobs_from_definition(store.definition(run.definition))


def _names(message: Message) -> tuple[str, ...]:
    jobs = message.get("jobs")
    if not isinstance(jobs, list) or not jobs or not all(isinstance(name, str) for name in jobs):
        raise CronflowError("`jobs` of a request is a list of names", None, Exit.USAGE)
    return tuple(dict.fromkeys(jobs))


def _params(message: Message) -> tuple[tuple[str, str], ...]:
    params = message.get("params") or {}
    if not isinstance(params, dict) or not all(isinstance(value, str) for value in params.values()):
        raise CronflowError("`params` of a request is a table of texts", None, Exit.USAGE)
    return tuple((storable(key), storable(value)) for key, value in params.items())


def _trigger(message: Message, slot: int | None) -> str:
    trigger = message.get("trigger", "manual")
    if trigger != "manual" and (trigger != "backfill" or slot is None):
        raise CronflowError('`trigger` of a request is "manual", or "backfill" with a slot in `at`', None, Exit.USAGE)
    return str(trigger)


def _slots(message: Message) -> int:
    slots = message.get("slots", 1)
    if not isinstance(slots, int) or isinstance(slots, bool) or not 0 <= slots <= MOST_SKIPPED:
        raise CronflowError(f"`slots` of a request is a number from 0 to {MOST_SKIPPED}", None, Exit.USAGE)
    return slots


def _run(message: Message) -> int:
    number = message.get("run")
    if not is_run_number(number):
        raise CronflowError("`run` of a request is a number", None, Exit.USAGE)
    return number


def is_run_number(value: object) -> TypeGuard[int]:
    """Whether a value can be the number of a run: what SQLite takes as a key."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 63


def _instant(message: Message, key: str) -> float | None:
    value = message.get(key)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or not 0 <= value < LATEST:
        raise CronflowError(f"`{key}` of a request is a time in seconds since 1970, before the year 9999", None, Exit.USAGE)
    return value


def _text(message: Message, key: str) -> str | None:
    value = message.get(key)
    if value is not None and not isinstance(value, str):
        raise CronflowError(f"`{key}` of a request is a text", None, Exit.USAGE)
    return None if value is None else storable(value)
