"""A workflow played through: the real job file, the real engine, and processes that end as the scenario in the file says.

A scenario is a table `[x-play.NAME]` of the job file. What it does not mention goes well: every process takes a minute and
exits 0, and every task that it does not name has succeeded.

    start     the jobs that a person runs; without it the first job of the file
    ends      how the attempts of a task end, by task, job, or step ("load/check"): an exit code or a word of ENDS; a list is one
              after the other, over all runs, of which the last one goes on for ever
    lasts     how long they take, in seconds; a list as above
    lines     what a `foreach` prints, by job
    approve, reject, cancel, retry
              tasks that a person approves, rejects or cancels; retry = true runs again what did not go well
    run       the state in which the run ends
    tasks     the tasks that do not simply succeed: "failed (exit_code)"
    starts    the order in which processes start
    alerts    who is told what: "failure load"
    from, until, runs
              with these nobody runs anything: the schedules do, between two times, and `runs` is what the history shows: flow,
              slot, state, how many slots, and when it began if that was later
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cronflow.core import events as happened
from cronflow.core.effects import Effects, StartAttempt, StopAttempt
from cronflow.core.engine import next_wakeup
from cronflow.core.events import AttemptEnded, Event
from cronflow.core.jobs import AlertTarget, JobSet
from cronflow.core.plan.flow import plan
from cronflow.core.records import Approval, AttemptRef
from tests.core.stage import MIDNIGHT, Stage

MINUTE = 60.0
A_WEEK = 7 * 86400.0
ENDS: Mapping[str, Mapping[str, Any]] = {
    "timeout": {"signal": 15, "stopped": "timeout"},
    "killed": {"signal": 9},
    "lost": {},
    "missing": {"exit_code": 127, "reason": "exit_code"},
}
SAID = frozenset(("start", "params", "ends", "lasts", "lines", "approve", "reject", "cancel", "retry", "from", "until"))
FOUND = frozenset(("run", "tasks", "starts", "alerts", "runs"))


class Play(Stage):
    """One scenario, played to its end."""

    def __init__(self, jobs: JobSet, scene: Mapping[str, Any]) -> None:
        unknown = scene.keys() - SAID - FOUND
        assert not unknown, f"unknown: {', '.join(sorted(unknown))}"
        self.scene = scene
        self.pending: list[tuple[float, int, Event]] = []
        self.seen: dict[str, int] = {}
        self.told = 0
        self.used: set[tuple[str, str]] = set()
        start = scene["from"].timestamp() if "from" in scene else MIDNIGHT
        super().__init__(now=start, up=False)
        self.set = jobs = jobs._replace(alerts=jobs.alerts or {"ops": AlertTarget("ops")})
        self.do(happened.Started(jobs, plan(jobs.jobs), slots="from" in scene))
        if "from" in scene:
            self._play(scene["until"].timestamp())
            return
        names = scene.get("start") or [next(iter(jobs.jobs))]
        params = tuple(scene.get("params", {}).items())
        reply = self.ask(happened.RunAsked, tuple(names), params=params)
        assert reply.refused is None, reply.refused
        self._play(MIDNIGHT + A_WEEK)
        self.runs = reply.runs
        if scene.get("retry"):
            self.runs = self.retry(1).runs
            self._play(MIDNIGHT + A_WEEK)

    def do(self, event: Event) -> Effects:
        out = super().do(event)
        for action in out.actions:
            if isinstance(action, StartAttempt):
                self._begin(action.ref)
            elif isinstance(action, StopAttempt):
                self._later(1.0, AttemptEnded(action.ref, 0.0, signal=15, stopped="cancel"))
        return out

    def _play(self, until: float) -> None:
        while True:
            self._people()
            wakeup = next_wakeup(self.state)
            first = self.pending[0][0] if self.pending else None
            at = min((one for one in (wakeup, first) if one is not None), default=until)
            if at >= until:
                return
            self.now = max(self.now, at)
            if first == at:
                event = heapq.heappop(self.pending)[2]
                if isinstance(event, AttemptEnded):
                    self.end(str(event.ref), event.exit_code, **_facts(event))
                else:
                    self.do(event)
            else:
                self.do(happened.Woke())

    def _later(self, seconds: float, event: Event) -> None:
        self.told += 1
        heapq.heappush(self.pending, (self.now + seconds, self.told, event))

    def _begin(self, ref: AttemptRef) -> None:
        """A process starts: say when and how it will end."""
        place = f"{ref.task}/{ref.kind}"
        self.seen[place] = self.seen.get(place, 0) + 1
        end = self._said("ends", ref, self.seen[place])
        facts = {"exit_code": end or 0} if not isinstance(end, str) else dict(ENDS[end])
        if ref.kind == "foreach":
            facts["items"] = tuple(self.scene.get("lines", {}).get(self._job(ref), ()))
        self._later(self._said("lasts", ref, self.seen[place]) or MINUTE, AttemptEnded(ref, 0.0, **facts))
        if ref.task in self.scene.get("cancel", ()):
            self._later(1.0, happened.CancelAsked(0, ref.run, "anna", "cancel", ref.task))

    def _said(self, what: str, ref: AttemptRef, number: int) -> Any:
        """What the scenario says of a process, the nth one of its kind of this task."""
        said = self.scene.get(what, {})
        step = "" if ref.kind == "command" else f"/{ref.kind}"
        name = next((name for name in (f"{ref.task}{step}", f"{self._job(ref)}{step}") if name in said), "")
        self.used.add((what, name))
        found = said.get(name)
        return found[min(number, len(found)) - 1] if isinstance(found, list) else found

    def _job(self, ref: AttemptRef) -> str:
        return self.state.runs[ref.run].tasks[ref.task].job

    def _people(self) -> None:
        for run in list(self.state.runs.values()):
            for task in list(run.tasks.values()):
                if isinstance(task.phase, Approval):
                    for word in ("approve", "reject"):
                        if task.name in self.scene.get(word, ()):
                            self.now += MINUTE
                            self.approve(run.id, task.name, word == "approve")

    # ---- what came of it -------------------------------------------------------------------------------------------------

    def found(self) -> dict[str, Any]:
        """What the history says, in the words of the scenario, for each thing that the scenario speaks of."""
        scene = self.scene
        idle = {(what, name) for what in ("ends", "lasts") for name in scene.get(what, ())} - self.used
        assert not idle, f"no process of this name: {sorted(idle)}"
        found: dict[str, Any] = {}
        if "runs" in scene:
            found["runs"] = self._runs()
        if "from" not in scene:
            tasks = {name: _told(state, self.reasons(run)[name]) for run in self.runs for name, state in self.tasks(run).items()}
            found["tasks"] = {name: end for name, end in tasks.items() if end != "success" or name in scene.get("tasks", {})}
            found["run"] = " and ".join({row[3]: None for row in self.rows() if row[0] in self.runs})
        if "starts" in scene:
            found["starts"] = [ref.partition("/")[2] for ref in self.started]
        if "alerts" in scene:
            found["alerts"] = [f"{kind} {job}" for kind, job in self.alerts]
        return found

    def _runs(self) -> list[str]:
        sql = "SELECT flow, slot, state, reason, slots, started_at FROM runs ORDER BY id"
        told = []
        for flow, slot, state, reason, slots, begun in self.store.connection.execute(sql):
            line = f"{flow} {_clock(slot)} {_told(state, reason)}"
            line += f" x{slots}" if slots > 1 else ""
            told.append(line if begun is None or slot is None or begun - slot < MINUTE else f"{line}, begun {_clock(begun)}")
        return told

    def expected(self) -> dict[str, Any]:
        """What the scenario says, all that it leaves out filled in."""
        scene = self.scene
        said = {key: scene[key] for key in ("starts", "alerts", "runs") if key in scene}
        if "from" not in scene:
            said["tasks"] = dict(scene.get("tasks", {}))
            said["run"] = scene["run"]
        return said


def _facts(event: AttemptEnded) -> dict[str, Any]:
    names = ("signal", "stopped", "reason", "items")
    return {name: getattr(event, name) for name in names if getattr(event, name)}


def _told(state: str, reason: str | None) -> str:
    return f"{state} ({reason})" if reason else state


def _clock(slot: float | None) -> str:
    return datetime.fromtimestamp(slot, UTC).strftime("%m-%d %H:%M") if slot is not None else "-"
