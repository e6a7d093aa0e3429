"""What an answer of `why` is made of, and the scene in which it is looked for: history, job file, and what the daemon says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from cronflow.cli.screens.style import Style
from cronflow.core import words
from cronflow.core.jobs import Job
from cronflow.core.records import Pause, Run, Skip, Task
from cronflow.facts.known import Known
from cronflow.places import Places
from cronflow.store.queries import History, RunRecord

if TYPE_CHECKING:
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
    """What is to be told: a verdict (a stable word), a sentence, the evidence. `at`: the instant asked about, or the slot."""

    job: str | None
    run: int | None
    at: float | None
    verdict: str
    sentence: str
    because: list[Evidence] = field(default_factory=list)


@dataclass(slots=True)
class Scene:
    """Where the evidence is looked for. `blockers` are those that the daemon has told, if it runs; `edges` is what the edges
    between flows hang on."""

    history: History
    known: Known
    style: Style
    places: Places
    pauses: dict[str, Pause]
    skips: dict[str, Skip]
    blockers: list[dict[str, Any]] = field(default_factory=list)
    daemon_runs: bool = False
    masks: Callable[[Job | None], Sequence[str]] = lambda _job: ()
    edges: LiveState | None = None

    def moment(self, t: float) -> str:
        """An instant as the end of a sentence: "today 02:00", "at Mon 02:00"."""
        shown = self.style.day_when(t)
        return shown if shown.startswith(("today", "yesterday", "tomorrow")) else f"at {shown}"

    def left(self, t: float) -> str:
        """How far away an instant is, on a terminal: " (in 18 s)"."""
        return f" ({words.ago(t, self.style.now)})" if self.style.human else ""

    def origin(self, run: Run) -> str:
        """What opened a run: "slot today 02:00", "started by hand by anna, today 08:40"."""
        if run.slot is not None and run.trigger in ("schedule", "every", "at", "catchup"):
            caught = ", caught up" if run.trigger == "catchup" else ""
            return f"slot {self.style.day_when(run.slot)}{caught}"
        by = f" by {run.by}" if run.by else ""
        if run.trigger == "retry":
            return f"retry of {run.retry_of}{by}"
        if run.trigger == "after":
            named = " and ".join(f"{job} {number}" for job, number in run.upstreams.items()) or "other flows"
            how_so = f"{'' if run.aside or run.slots else 'started '}because {named} ended"
            return f"{how_so}, {self.style.day_when(run.created_at)}"
        how = {"manual": f"started by hand{by}", "reboot": "started at boot", "watch": "started by files"}
        return f"{how.get(run.trigger, run.trigger + by)}, {self.style.day_when(run.created_at)}"

    def allowed(self, record: RunRecord, task: Task) -> int:
        """How many attempts a task has at most, by the definition it runs under."""
        job = self.job(record, task)
        return max(1 + (job.retries if job else 0), task.attempts)

    def job(self, record: RunRecord, task: Task) -> Job | None:
        """The definition that a task runs under."""
        return self.history.definition(record.run.definition).get(task.job)

    def logs(self, record: RunRecord, task: Task) -> str:
        """The command that shows a task's output, if it has any."""
        return f"cronflow logs {words.pasted(f'{task.run}/{task.name}')}" if record.attempts.get(task.name) else ""

    # ---- pauses ----------------------------------------------------------------------------------------------------------

    def paused(self, job: str, at: float | None) -> Evidence:
        """Who paused a job that did not run at an instant."""
        pause = self.pauses.get(job)
        if pause is not None and (at is None or pause.since <= at):
            message = f"skipped: paused since {self.style.when(pause.since)} by {pause.by}{self._until_why(pause)}"
            return Evidence("paused", message, None, None, f"cronflow resume {job}")
        act = self.last_act("pause", job, at)
        if act is None:
            return Evidence("paused", f"skipped: {job} was paused")
        return Evidence("paused", f"skipped: {job} was paused {self.style.when(act[0])} by {act[1]}")

    def paused_now(self, job: str) -> Evidence:
        """Who paused a job that is paused."""
        pause = self.pauses[job]
        message = f"it has been paused since {self.style.when(pause.since)} by {pause.by}{self._until_why(pause)}"
        return Evidence("paused", message, None, None, f"cronflow resume {job}")

    def skipped(self, job: str, at: float | None) -> Evidence:
        """Who had a slot of a job skipped that did not run at an instant."""
        act = self.last_act("skip", job, at)
        said = f" by {act[1]}, {self.style.when(act[0])}" if act is not None else ""
        return Evidence("skip", f"skipped: that was asked for{said}")

    def to_be_skipped(self, job: str) -> Evidence:
        """Who has the next slots of a job skipped."""
        skip = self.skips[job]
        slots = "slot is" if skip.left == 1 else f"{skip.left} slots are"
        message = f"its next {slots} to be skipped: asked for by {skip.by}, {self.style.when(skip.since)}"
        return Evidence("skip", message, None, None, f"cronflow skip {job} -n 0")

    def last_act(self, verb: str, job: str, at: float | None) -> tuple[float, str] | None:
        """When and by whom something was last done to a job before an instant."""
        query = "SELECT at, by FROM acts WHERE verb = ? AND job = ? AND at <= ? ORDER BY id DESC LIMIT 1"
        row = self.history.db.execute(query, (verb, job, self.style.now if at is None else at)).fetchone()
        return None if row is None else (float(row[0]), str(row[1]))

    def _until_why(self, pause: Pause) -> str:
        until = f", until {self.style.when(pause.until)}" if pause.until is not None else ""
        return until + (f', "{words.plain(pause.reason)}"' if pause.reason else "")
