"""What an answer of `why` consists of, and where the evidence for it is looked up."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from cronflow.core import words
from cronflow.core.records import Pause, Run, Skip, Task
from cronflow.facts.known import KnownJobs
from cronflow.facts.live import has_edges, live_state
from cronflow.facts.output import Logs
from cronflow.store import lookups
from cronflow.store.queries import History, RunRecord
from cronflow.store.standing import pauses, skips

if TYPE_CHECKING:
    from cronflow.core.run.blockers import Blocker
    from cronflow.core.state import LiveState


class Evidence(NamedTuple):
    """One reason; `command` is what a person would type next."""

    code: str
    message: str
    run: int | None = None
    task: str | None = None
    command: str = ""


@dataclass(slots=True)
class Answer:
    """What `why` says: a verdict (a stable word), a sentence, the evidence. `at`: the instant asked about, or the slot."""

    job: str | None
    run: int | None
    at: float | None
    verdict: str
    sentence: str
    because: list[Evidence] = field(default_factory=list)


@dataclass
class Context:
    """Where the evidence is looked up: the history, the jobs, the logs, and whether a daemon runs. One that is `draining`
    starts nothing more."""

    history: History
    known: KnownJobs
    clock: words.Clock
    logs: Logs
    daemon_runs: bool = False
    draining: bool = False

    @cached_property
    def pauses(self) -> dict[str, Pause]:
        return pauses(self.history, self.clock.now)

    @cached_property
    def skips(self) -> dict[str, Skip]:
        return skips(self.history)

    @cached_property
    def state(self) -> LiveState:
        """The live state, on which the engine's own rules are asked."""
        return live_state(self.history, self.known, self.clock.now, self.draining)

    @property
    def edges(self) -> LiveState | None:
        """The live state if any flow comes after another, else None."""
        return self.state if has_edges(self.known) else None

    def blockers(self, task: Task) -> list[Blocker]:
        """What a task that has not ended waits for."""
        from cronflow.core.run.blockers import blockers

        run = self.state.runs.get(task.run)
        return [] if run is None else blockers(self.state, run, run.tasks[task.name])

    def origin(self, run: Run) -> str:
        """What opened a run: "slot today 02:00", "started by hand by anna, today 08:40"."""
        if run.slot is not None and run.trigger in ("schedule", "every", "at", "catchup"):
            caught = ", caught up" if run.trigger == "catchup" else ""
            return f"slot {self.clock.day_when(run.slot)}{caught}"
        by = f" by {run.by}" if run.by else ""
        if run.trigger == "retry":
            return f"retry of {run.retry_of}{by}"
        if run.trigger == "after":
            named = " and ".join(f"{job} {number}" for job, number in run.upstreams.items()) or "other flows"
            how_so = f"{'' if run.aside or run.slots else 'started '}because {named} ended"
            return f"{how_so}, {self.clock.day_when(run.created_at)}"
        how = {"manual": f"started by hand{by}", "reboot": "started at boot", "watch": "started by files"}
        return f"{how.get(run.trigger, run.trigger + by)}, {self.clock.day_when(run.created_at)}"

    @staticmethod
    def allowed(record: RunRecord, task: Task) -> int:
        """How many attempts a task has at most, by the definition it runs under."""
        return max(1 + record.job(task).retries, task.attempts)

    @staticmethod
    def logs_command(record: RunRecord, task: Task) -> str:
        """The command that shows a task's output, if it has any."""
        return f"cronflow logs {words.pasted(f'{task.run}/{task.name}')}" if record.attempts.get(task.name) else ""

    def paused(self, job: str, at: float | None) -> Evidence:
        """Who had paused a job that did not run at an instant."""
        pause = self.pauses.get(job)
        if pause is not None and (at is None or pause.since <= at):
            message = f"skipped: paused since {self.clock.when(pause.since)} by {pause.by}{self._until_why(pause)}"
            return Evidence("paused", message, None, None, f"cronflow resume {job}")
        act = self.last_act("pause", job, at)
        if act is None:
            return Evidence("paused", f"skipped: {job} was paused")
        return Evidence("paused", f"skipped: {job} was paused {self.clock.when(act[0])} by {act[1]}")

    def paused_now(self, job: str) -> Evidence:
        """Who paused a job that is paused."""
        pause = self.pauses[job]
        message = f"it has been paused since {self.clock.when(pause.since)} by {pause.by}{self._until_why(pause)}"
        return Evidence("paused", message, None, None, f"cronflow resume {job}")

    def skipped(self, job: str, at: float | None) -> Evidence:
        """Who asked to skip a slot of a job that did not run at an instant."""
        act = self.last_act("skip", job, at)
        said = f" by {act[1]}, {self.clock.when(act[0])}" if act is not None else ""
        return Evidence("skip", f"skipped: that was asked for{said}")

    def to_be_skipped(self, job: str) -> Evidence:
        """Who asked to skip the next slots of a job."""
        skip = self.skips[job]
        slots = "slot is" if skip.left == 1 else f"{skip.left} slots are"
        message = f"its next {slots} to be skipped: asked for by {skip.by}, {self.clock.when(skip.since)}"
        return Evidence("skip", message, None, None, f"cronflow skip {job} -n 0")

    def last_act(self, verb: str, job: str, at: float | None) -> tuple[float, str] | None:
        """When and by whom a verb was last applied to a job before an instant."""
        return lookups.last_act(self.history, verb, job, self.clock.now if at is None else at)

    def _until_why(self, pause: Pause) -> str:
        until = f", until {self.clock.when(pause.until)}" if pause.until is not None else ""
        return until + (f', "{words.plain(pause.reason)}"' if pause.reason else "")
