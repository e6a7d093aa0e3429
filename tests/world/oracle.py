"""What the whole history must show, said once more and independently of the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple
from zoneinfo import ZoneInfo

from cronflow.core.jobs import Job, jobs_from_definition
from cronflow.core.records import FINAL
from cronflow.core.stable import stable_fraction
from cronflow.core.time.triggers import triggers_of
from tests.processes import PROCESSES, by_task, contradictions
from tests.world.told import check_told

if TYPE_CHECKING:
    from tests.world.world import World


def check_history(world: World) -> None:
    """Check every finished run of the world, and every slot."""
    db = world.store.connection
    assert all(count == 1 for count in world.starts.values()), "an attempt was started twice"
    jobs_of: dict[str, dict[str, Job]] = {}
    for digest, body in db.execute("SELECT digest, body FROM definitions"):
        jobs_of[digest] = jobs_from_definition(body)
    columns = "id, definition, state, trigger, slots, slot, slot_last, roots, trigger_key, reason, flow, created_at, finished_at"
    runs = db.execute(f"SELECT {columns} FROM runs ORDER BY id").fetchall()
    processes = by_task(db.execute(PROCESSES).fetchall())
    asides = {number for (number,) in db.execute("SELECT id FROM runs WHERE aside")}
    for number, digest, state, trigger, slots, *more in runs:
        tasks = {
            row[0]: Told(*row)
            for row in db.execute(f"SELECT {', '.join(Told._fields)} FROM tasks WHERE run = ?", (number,))
        }
        assert state in FINAL, f"run {number} is {state} for ever"
        if tasks:
            aside = set(json.loads(more[2])) if number in asides else set()
            _check_run(number, state, trigger, {**tasks}, jobs_of[digest], aside)
            for task in tasks.values():
                mine = processes.get((number, task.name), [])
                for fault in contradictions(jobs_of[digest][task.job], task.name, task.state, task.reason, mine):
                    told = f"{number}/{task.name} is {task.state} ({task.reason})"
                    raise AssertionError(f"{told}: {fault}: {', '.join(map(str, mine))}")
        else:
            assert slots >= 1, f"run {number} has neither tasks nor slots"
        if slots and trigger not in NO_SLOT:
            _check_times(world.jobs.host, world.jobs.calendars, jobs_of[digest], (number, state, trigger, slots, *more))
    _check_slots(world, runs)
    _check_ends(world, jobs_of)
    check_told(world, jobs_of)


NO_SLOT = ("manual", "retry", "after", "backfill")
"""Triggers of runs that own no slot."""


def _check_ends(world: World, jobs_of: dict[str, dict[str, Job]]) -> None:
    """An end of a job of another flow lets a root start once, and only if it meets the condition of the edge."""
    db = world.store.connection
    used: set[tuple[str, str, int]] = set()
    sql = "SELECT id, flow, definition, roots, upstreams, state FROM runs WHERE upstreams != '{}' AND NOT aside ORDER BY id"
    for number, flow, digest, roots, upstreams, _ in db.execute(sql).fetchall():
        job = jobs_of[digest][flow]
        good = []
        for upstream, run in json.loads(upstreams).items():
            tasks = [Told(*row) for row in db.execute(f"SELECT {', '.join(Told._fields)} FROM tasks WHERE run = ?", (run,))]
            for root in json.loads(roots) if tasks else ():  # a row of slots that a calendar skipped is an end for each of them
                assert (root, upstream, run) not in used, f"run {number}: the end of {run}/{upstream} counts a second time"
                used.add((root, upstream, run))
            condition = next((edge.condition for edge in job.after if edge.job == upstream), None)
            copies = [one for one in tasks if one.job == upstream]
            word = next((word for word in ORDER if any(one.state == word for one in copies)), "skipped")
            behind = any(one.state == word and one.caused_by is not None for one in copies)
            good.append(condition is not None and _holds(condition, word, behind))
        assert any(good) if job.join == "any" else all(good), f"run {number} of {flow} starts, though {upstreams}"
        assert job.join == "any" or len(good) == len(job.after), f"run {number} of {flow} starts without all ends: {upstreams}"


class Told(NamedTuple):
    """A task as the history tells it."""

    name: str
    job: str
    state: str
    reason: str | None
    attempts: int
    matrix: str
    caused_by: str | None


ORDER = ("failed", "blocked", "cancelled", "success", "skipped", "missed")
NEVER_BEGAN = ("upstream_not_new", "edited", "overlap", "queue_full")
"""Why a run ends that has only waited, and of which a person had cancelled a task before."""
FAILED_BEFORE_IT_RAN = ("rejected", "wait_timeout", "foreach", "not_found", "lost")


def _check_run(
    number: int, state: str, trigger: str, tasks: dict[str, Told], jobs: dict[str, Job], aside: set[str]
) -> None:
    words = {task.state for task in tasks.values()}
    assert state == next(word for word in ORDER if word in words), f"run {number} is {state}, its tasks are {words}"
    for task in tasks.values():
        if task.reason == "taken_over":
            assert (trigger, task.attempts) == ("retry", 0)
            continue
        job = jobs[task.job]
        if job.name in aside:
            assert (task.attempts, task.state in ("blocked", "skipped", "cancelled")) == (0, True), f"{number}/{task.name} ran"
            continue
        upstream = _upstream(job, task, tasks, jobs)
        verdict = _verdict(job.join, upstream)
        told = f"{number}/{task.name} is {task.state} ({task.reason}), by the rules {verdict}: {upstream}"
        if task.attempts > 0:
            assert verdict == "run", told
            assert task.state in ("success", "failed", "skipped", "cancelled"), told
        elif task.state == "failed":
            assert (verdict, task.reason in FAILED_BEFORE_IT_RAN) == ("run", True), told
        elif task.reason in ("cancelled", "replaced", "stopped"):
            assert task.state == "cancelled", told
        elif task.reason in NEVER_BEGAN:
            assert (task.state, any(one.attempts for one in tasks.values())) == ("skipped", False), told
        elif task.reason in ("paused", "disabled", "skip", "no_items") or (verdict == "run" and job.only_if is not None):
            assert (task.state, verdict) == ("skipped", "run"), told
        else:
            assert verdict == task.state, told


def _upstream(job: Job, task: Told, tasks: dict[str, Told], jobs: dict[str, Job]) -> list[tuple[str, str, bool]]:
    """Condition, state, and whether a failure lies behind it, of every upstream in the run."""
    found = []
    for edge in job.after:
        copies = [one for one in tasks.values() if one.job == edge.job]
        if job.matrix_join == "each" and job.matrix and edge.job in jobs and jobs[edge.job].matrix == job.matrix:
            copies = [one for one in copies if one.matrix == task.matrix] or copies
        if copies:
            word = next(word for word in ORDER if any(one.state == word for one in copies))
            behind = next(one for one in copies if one.state == word).caused_by is not None
            found.append((edge.condition, word, behind))
    return found


def _check_times(host: str, calendars: Mapping[str, frozenset[int]], jobs: dict[str, Job], row: Any) -> None:
    """Nothing happens to a slot before it is due, its delay included; what runs in time is no minute late; the slots of a row are
    all on days that its job's calendars allow, or all on others."""
    number, state, trigger, slots, slot, slot_last, roots, key, reason, flow, created_at, finished_at = row
    job = jobs[json.loads(roots)[0]]
    mine = next(one for one in triggers_of(job) if one.key == key)
    timed = mine.kind in ("schedule", "every", "at")
    jitter = job.jitter if mine.kind in ("schedule", "every") else 0.0
    due = slot + int(stable_fraction(f"{host} {flow} {key}") * jitter)
    if timed:
        assert created_at >= due, f"run {number} comes before its slot is due"
        assert max(created_at, finished_at) >= due + slot_last - slot, f"row {number} has slots that are not due"
        assert trigger in ("catchup", mine.kind)
        late = created_at > due + 60.0
        not_run = ("daemon_down", "calendar", "paused", "disabled", "skip", "upstream_not_new")
        excused = trigger == "catchup" or reason in not_run or bool(job.after)
        assert excused or not late, f"run {number} is late"
    else:
        assert (trigger, slots) == (mine.kind, 1) or state == "skipped", f"run {number} is none of an event"
    if mine.kind == "at" or not (job.skip_on or job.only_on):
        assert reason != "calendar", f"row {number} has no calendar"
        return
    while slot is not None and slot <= slot_last:
        day = datetime.fromtimestamp(slot, ZoneInfo(job.timezone)).toordinal()
        off = any(day in calendars[name] for name in job.skip_on)
        off = off or (bool(job.only_on) and all(day not in calendars[name] for name in job.only_on))
        assert off == (reason == "calendar"), f"run {number} is {state} ({reason}), on a day that is {'off' if off else 'on'}"
        slot = mine.schedule.next_after(slot) if timed else None


def _holds(condition: str, word: str, behind: bool) -> bool:
    if condition == "success":
        return word == "success"
    if condition == "failure":
        return word == "failed" or (word == "blocked" and behind)
    return condition == "done" or word in ("success", "skipped")


def _verdict(join: str, upstream: list[tuple[str, str, bool]]) -> str:
    """What the conditions say when every upstream is final."""

    good = [_holds(*edge) for edge in upstream]
    if not upstream or all(good) or (join == "any" and any(good)):
        return "run"
    if any(word == "cancelled" for _, word, _ in upstream):
        return "cancelled"
    needed = [word for condition, word, _ in upstream if condition in ("success", "success_or_skipped")]
    return "blocked" if any(word in ("failed", "blocked") for word in needed) else "skipped"


def _check_slots(world: World, runs: list[Any]) -> None:
    """Every slot between the first and the last that a root's rows name is in exactly one of them."""
    state = world.state
    assert state is not None
    rows: dict[tuple[str, str], list[tuple[int, int, int]]] = {}
    words: dict[tuple[str, str], dict[int, tuple[str, str, str | None]]] = {}
    for _, _, word, trigger, slots, slot, slot_last, roots, key, reason, *_ in runs:
        if slots and trigger not in NO_SLOT:
            for root in json.loads(roots):
                words.setdefault((root, key), {})[slot] = (trigger, word, reason)
                rows.setdefault((root, key), []).append((slot, slot_last, slots))
    for (root, key), cursor in state.cursors.items():
        mine = sorted(rows.get((root, key), []))
        job = state.jobs.jobs[root]
        trigger = next(trigger for trigger in triggers_of(job) if trigger.key == key)
        since = world.cursor_since(root, key)
        mine = [row for row in mine if row[0] > since]
        mine, later = [row for row in mine if row[0] <= cursor.at], [row for row in mine if row[0] > cursor.at]
        already_run = state.already_run.get((root, key), set())
        assert {first for first, *_ in later} <= already_run, f"{root}: {later} is beyond its cursor"
        at = since
        if not trigger.timed:
            _check_events(world, root, key, mine)
            continue
        for first, last, count in mine:
            assert trigger.schedule.next_after(at) == first, f"{root}: the row from {first} does not follow the slot before"
            assert trigger.schedule.count(at, last) == count, f"{root}: the row {first} to {last} says {count}"
            at = last
        said = words.get((root, key), {})
        if not world.was_set_back:
            _check_catchup(job, root, cursor.catching_up, [said[first] for first, *_ in mine if first in said])
        left = trigger.schedule.count(at, cursor.at)
        assert left == 0, f"{root}: {left} slots up to the cursor are in no row"


def _check_events(world: World, root: str, key: str, rows: list[tuple[int, int, int]]) -> None:
    """Slots of events lie apart, and each boot after that of the first load is one, though it may wait for other flows."""
    for (_, last, _), (first, _, _) in pairwise(rows):
        assert last < first, f"{root}: two events are the slot {first}"
    assert all(last - first >= count - 1 for first, last, count in rows)
    if key.startswith("@reboot"):
        assert sum(count for *_, count in rows) == len(world.boots[root, key]) - 1, f"{root}: not one slot for each boot"


def _check_catchup(job: Job, root: str, catching_up: bool, rows: list[tuple[str, str, str | None]]) -> None:
    """`none` catches nothing up; `last` catches up the slot after those that it only recorded."""
    if job.catchup == "none":
        assert all(trigger != "catchup" for trigger, _, _ in rows), f"{root} is caught up"
    if job.after or job.catchup != "last" or job.catchup_window is not None:
        return
    rows = [row for row in rows if row[2] != "calendar"]  # these part the missed ones
    for (_, word, _), later in zip(rows, [*rows[1:], None], strict=False):
        if word == "missed":
            assert later is not None or catching_up, f"{root}: the last missed slot is forgotten"
            well = later is None or later[0] == "catchup" or later[1] == "missed" or later[2] in ("paused", "disabled", "skip")
            assert well, f"{root}: not caught up: {later}"
