"""Deliberate defects of the engine, each of which the simulated world must notice.

    python -m tests.world.mutate            all of them, in a copy of the package; exit status 1 if one goes unnoticed
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

MUTATIONS: tuple[tuple[str, str, str, str], ...] = (
    (
        "a limit is passed by one",
        "core/run/blockers.py",
        "if state.running >= most:",
        "if state.running > most:",
    ),
    (
        "a task starts when one of its upstreams is met",
        "core/edges/ends.py",
        'if good == len(upstreams) or (job.join == "any" and good):',
        "if good:",
    ),
    (
        "one attempt too many",
        "core/run/attempts.py",
        "task.attempts > job.retries or event.survivors",
        "task.attempts > job.retries + 1 or event.survivors",
    ),
    (
        "a late report ends the successor",
        "core/state.py",
        "return (task, live) if task is not None and live is not None and live.ref == ref else None",
        "return (task, live) if task is not None and live is not None else None",
    ),
    (
        "a lost start is not said again",
        "core/run/attempts.py",
        "    if attempt.stop is None:\n        turn.act(StartAttempt(ref))",
        "    if attempt.stop is None:\n        pass",
    ),
    (
        '`overlap = "skip"` lets a second run go',
        "core/run/gates.py",
        '        return Refused("overlap")',
        "        return GO",
    ),
    (
        "the queue has no bound",
        "core/run/gates.py",
        'Refused("queue_full") if held_among(others) >= QUEUE_LIMIT else WAIT',
        "WAIT",
    ),
    (
        "a cursor is moved but not saved",
        "core/slots/due_slots.py",
        "        before, cursor.row = cursor.row, row\n        turn.save(cursor)\n",
        "        before, cursor.row = cursor.row, row\n",
    ),
    (
        "the last missed slot is recorded and run as well",
        "core/slots/due.py",
        'newest - 1 if policy.catchup == "last"',
        'newest if policy.catchup == "last"',
    ),
    (
        "slots that ran continue the row of those that did not",
        "core/slots/rows.py",
        "    row = _row_to_continue(state, slots, why)\n    if row is None:",
        "    row = next(iter(state.rows.values()), None)\n    if row is None:",
    ),
    (
        "a forbidden day is a day like others",
        "core/time/triggers.py",
        "return day not in skip and (only",
        "return (only",
    ),
    (
        "a forbidden day ends too late",
        "core/slots/rows.py",
        "last_until(min(until, days.end - 1), slots.at)",
        "last_until(until, slots.at)",
    ),
    (
        "a delay is forgotten where it is late",
        "core/slots/due.py",
        "    horizon = turn.now - delay\n",
        "    horizon = turn.now\n",
    ),
    (
        "each start of the daemon is a boot",
        "core/slots/event_slots.py",
        "if cursor.mark != state.boot]",
        "]",
    ),
    (
        "two events of one second are one slot",
        "core/slots/event_slots.py",
        "slot = max(int(turn.now), *(int(cursor.at) + 1 for cursor in cursors))",
        "slot = int(turn.now)",
    ),
    (
        "a blocked task is skipped",
        "core/edges/ends.py",
        'End("blocked", "upstream_failed"',
        'End("skipped", "upstream_failed"',
    ),
    (
        "the end of a run does not free those it held back",
        "core/state.py",
        "        self.leave_gate(run, now)\n        self.dirty = True",
        "        self.leave_gate(run, now)\n        self.dirty = False",
    ),
    (
        "retries wake up too late",
        "core/engine.py",
        "for heap in (state.timers, state.due",
        "for heap in (state.due, state.due",
    ),
    (
        "a task that ended is saved as it was before",
        "core/turn.py",
        "        self.out.save(task)",
        '        if after != "skipped":\n            self.out.save(task)',
    ),
    (
        "a job with copies has ended with the first of them",
        "core/edges/ends.py",
        "    if len(ends) < len(tasks):\n        return None\n    state",
        "    if not ends:\n        return None\n    state",
    ),
    (
        "a pool has one slot more",
        "core/run/blockers.py",
        "if used + min(job.pool_slots, size) <= size:",
        "if used + min(job.pool_slots, size) <= size + 1:",
    ),
    (
        "a sensor waits for ever",
        "core/run/queue.py",
        '        heapq.heappush(turn.state.timers, (turn.now + job.wait_timeout, "wait_timeout", task.run, task.name))',
        "        pass",
    ),
    (
        "the lister of a `foreach` stays beside its copies",
        "core/run/attempts.py",
        "    turn.delete(TASKS, (run.id, task.name))\n",
        "",
    ),
    (
        "the end of a job of another flow counts twice",
        "core/edges/decisions.py",
        "            link.new, link.blocked = False, None\n",
        "            link.blocked = None\n",
    ),
    (
        "an end is not remembered for those of other flows",
        "core/edges/edge_state.py",
        "        state.dirty_edges[root] = None\n        turn.save(link)\n",
        "        state.dirty_edges[root] = None\n",
    ),
    (
        "newer slots do not wait behind one that waits",
        "core/slots/due_slots.py",
        "return any((root, self.trigger.key) in state.gated for root in self.roots)",
        "return False",
    ),
    (
        "that a gate was lifted is not saved",
        "core/run/gates.py",
        "run.gate_until = run.reason = None\n    turn.save(run)",
        "run.gate_until = run.reason = None",
    ),
    (
        "the row before a cancelled slot goes on after it",
        "core/run/tasks.py",
        '    if run.gate == "edges":\n        end_row(turn, run)\n',
        "",
    ),
    (
        "an edge from another flow is met by any end",
        "core/edges/alignment.py",
        "    answer = judge(flow.jobs[root], ends)\n",
        "    answer: Answer | End = GO if all(end is not None for _, end in ends) else WAIT\n",
    ),
    (
        "a step takes no place",
        "core/state.py",
        "        self.running += 1\n",
        "        self.running += task.stage == COMMAND\n",
    ),
    (
        "ends of different rounds are mixed",
        "core/edges/alignment.py",
        "slot = _slot_between(state, link.upstream, link.slot, before)",
        "slot = None",
    ),
    (
        "a round waits for slots that belong to later ones",
        "core/edges/alignment.py",
        "        if to_come is not None and to_come < before:",
        "        if to_come is not None:",
    ),
    (
        "a sensor is polled all the time",
        "core/run/attempts.py",
        "return max(job.wait_every, 0.01)",
        "return 0.01",
    ),
    (
        "a check that says no changes nothing about the attempt",
        "core/run/attempts.py",
        '        turn.patch(ATTEMPTS, command._asdict(), result="failed", reason="check")\n',
        "",
    ),
    (
        "one check is enough",
        "core/run/attempts.py",
        "passed < len(job.check)",
        "passed < 1",
    ),
    (
        "a failure has no hook",
        "core/run/attempts.py",
        '{"failed": job.on_failure, "success"',
        '{"success"',
    ),
    (
        "nobody has to approve",
        "core/run/queue.py",
        "job.wait_until, job.approve, lines",
        "job.wait_until, None, lines",
    ),
)


def unnoticed(name: str, file: str, old: str, new: str) -> bool:
    """Whether the world goes on as if nothing were wrong with the engine thus changed."""
    with tempfile.TemporaryDirectory() as folder:
        for part in ("cronflow", "tests"):
            shutil.copytree(ROOT / part, Path(folder) / part, ignore=shutil.ignore_patterns("__pycache__"))
        path = Path(folder) / "cronflow" / file
        text = path.read_text()
        if text.count(old) != 1:
            raise SystemExit(f"{name}: the text to change stands {text.count(old)} times in {file}")
        path.write_text(text.replace(old, new))
        why = _broken_law(folder)
        print(f"{'UNNOTICED' if why is None else 'noticed'}: {name}: {why or ''}"[:140], flush=True)
        return why is None


def _broken_law(folder: str | Path) -> str | None:
    """The first law that the worlds find broken in the package of a folder; None if they find none."""
    words = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "tests/world/test_world.py"]
    environ = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(words, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with {done.returncode}\n{done.stdout[-2000:]}")
    found = (line[4:].strip() for line in done.stdout.splitlines() if line.startswith("E  "))
    return next(found, "?") if done.returncode else None


def main() -> int:
    if (why := _broken_law(ROOT)) is not None:
        raise SystemExit(f"the engine as it is does not pass, so that nothing could be noticed: {why}")
    return int(sum(unnoticed(*mutation) for mutation in MUTATIONS) > 0)


if __name__ == "__main__":
    sys.exit(main())
