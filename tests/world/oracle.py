"""What the whole history must show, said once more and independently of the engine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cronflow.core.flow import triggers_of
from cronflow.core.model import FINAL, Job, jobs_from_definition

if TYPE_CHECKING:
    from tests.world.world import World


def check_history(world: World) -> None:
    """Check every finished run of the world, and every slot."""
    db = world.store.connection
    assert all(count == 1 for count in world.starts.values()), "an attempt was started twice"
    jobs_of: dict[str, dict[str, Job]] = {}
    for digest, body in db.execute("SELECT digest, body FROM definitions"):
        jobs_of[digest] = jobs_from_definition(body)
    columns = "id, definition, state, trigger, slots, slot, slot_last, roots, trigger_key, reason"
    runs = db.execute(f"SELECT {columns} FROM runs ORDER BY id").fetchall()
    for number, digest, state, trigger, slots, *_ in runs:
        tasks = {
            name: (word, reason, attempts)
            for name, word, reason, attempts in db.execute(
                "SELECT name, state, reason, attempts FROM tasks WHERE run = ?", (number,)
            )
        }
        assert state in FINAL, f"run {number} is {state} for ever"
        if tasks:
            _check_run(number, state, trigger, tasks, jobs_of[digest])
        else:
            assert slots >= 1, f"run {number} has neither tasks nor slots"
    _check_slots(world, runs)


def _check_run(
    number: int, state: str, trigger: str, tasks: dict[str, tuple[str, str | None, int]], jobs: dict[str, Job]
) -> None:
    words = {word for word, _, _ in tasks.values()}
    order = ("failed", "blocked", "cancelled", "success", "skipped", "missed")
    assert state == next(word for word in order if word in words), f"run {number} is {state}, its tasks are {words}"
    for name, (word, reason, attempts) in tasks.items():
        job = jobs[name]
        if reason == "taken_over":
            assert (trigger, attempts) == ("retry", 0)
            continue
        upstream = [(edge.condition, *tasks[edge.job][:2]) for edge in job.after if edge.job in tasks]
        verdict = _verdict(job.join, upstream)
        if attempts > 0:
            assert verdict == "run", f"{number}/{name} ran, though {upstream}"
            assert word in ("success", "failed", "skipped", "cancelled"), f"{number}/{name} ran and is {word}"
            continue
        assert word not in ("success", "failed"), f"{number}/{name} is {word} without an attempt"
        if reason in ("cancelled", "replaced", "stopped"):
            assert word == "cancelled"
        elif reason in ("paused", "disabled", "skip"):
            assert word == "skipped"
            assert verdict == "run", f"{number}/{name} is {reason} before its turn"
            assert reason != "skip" or trigger not in ("manual", "retry", "backfill"), f"{number}/{name} obeys a skip"
        else:
            assert verdict == word, f"{number}/{name} is {word} ({reason}), by the rules {verdict}: {upstream}"


def _verdict(join: str, upstream: list[tuple[str, str, str | None]]) -> str:
    """What the conditions say when every upstream is final."""

    def holds(condition: str, word: str, reason: str | None) -> bool:
        if condition == "success":
            return word == "success"
        if condition == "failure":
            return word == "failed" or (word == "blocked" and reason in ("upstream_failed", "taken_over"))
        return condition == "done" or word in ("success", "skipped")

    good = [holds(*edge) for edge in upstream]
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
    for _, _, word, trigger, slots, slot, slot_last, roots, key, reason in runs:
        if slots and trigger not in ("manual", "retry"):
            for root in json.loads(roots):
                words.setdefault((root, key), {})[slot] = (trigger, word, reason)
                rows.setdefault((root, key), []).append((slot, slot_last, slots))
    for (root, key), cursor in state.cursors.items():
        mine = sorted(rows.get((root, key), []))
        job = state.jobs.jobs[root]
        trigger = next(trigger for trigger in triggers_of(job) if trigger.key == key)
        since = world.cursor_since(root, key)
        mine = [row for row in mine if row[0] > since]
        at = since
        for first, last, count in mine:
            assert trigger.schedule.next_after(at) == first, f"{root}: the row from {first} does not follow the slot before"
            assert trigger.schedule.count(at, last) == count, f"{root}: the row {first} to {last} says {count}"
            at = last
        said = words.get((root, key), {})
        _check_catchup(job, root, cursor.lining, [said[first] for first, *_ in mine if first in said])
        left = trigger.schedule.count(at, cursor.at)
        assert left == 0, f"{root}: {left} slots up to the cursor are in no row"


def _check_catchup(job: Job, root: str, lining: bool, rows: list[tuple[str, str, str | None]]) -> None:
    """`none` catches nothing up; `last` catches up the slot after those that it only recorded."""
    if job.catchup == "none":
        assert all(trigger != "catchup" for trigger, _, _ in rows), f"{root} is caught up"
    if job.catchup != "last" or job.catchup_window is not None:
        return
    for (_, word, _), later in zip(rows, [*rows[1:], None], strict=False):
        if word == "missed":
            assert later is not None or lining, f"{root}: the last missed slot is forgotten"
            assert later is None or later[0] == "catchup" or later[2] in ("paused", "disabled", "skip"), f"{root}: not caught up: {later}"
