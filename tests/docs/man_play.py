"""The job files that cronflow-jobs(5) shows, and a simulated day or night in which they are played."""

from __future__ import annotations

import heapq
import re
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cronflow.core import events as happened
from cronflow.core.effects import Effects, StartAttempt, StopAttempt
from cronflow.core.engine import next_wakeup
from cronflow.core.events import Event
from cronflow.jobfile.read import read
from tests.core.stage import Stage
from tests.docs.pages import ROOT

PAGE = ROOT / "man" / "cronflow-jobs.5"
DISPLAY = re.compile(r'(?:^\.\\" (\w+: .*)\n)?^\.Bd -literal.*\n((?:.*\n)*?)^\.Ed$', re.MULTILINE)
SIGNS = {r"\-": "-", r"\(aq": "'", r"\(ti": "~", r"\(ha": "^", r"\e": "\\", r"\&": ""}
ZONE = ZoneInfo("Europe/Berlin")


def displays(page: Path = PAGE, kind: str = "example") -> list[tuple[str, str]]:
    """Every literal display of a page, in its order: its name ("" for most) and the job file that it shows. The comment above it
    gives it the name, and tells its kind."""
    found = [
        (label.removeprefix(f"{kind}: ") if label.startswith(f"{kind}: ") else "", text)
        for label, text in DISPLAY.findall(page.read_text())
    ]
    return [(name, re.sub(r"\\(?:[-e&]|\(..)", lambda sign: SIGNS[sign[0]], text)) for name, text in found]


def example(name: str, page: Path = PAGE, kind: str = "example") -> str:
    """The display that a comment line above it calls by this name."""
    (text,) = (text for called, text in displays(page, kind) if called == name)
    return text


def instant(text: str) -> float:
    """ "2027-03-29 04:00", a time of the wall clock in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=ZONE).timestamp()


class Play(Stage):
    """An example under a clock that the test moves. Commands end well after `takes` minutes (1 for those it does not name), or
    with the next exit code of `codes`. `ran`: what was started and when, "report 04:35"."""

    def __init__(self, name: str, folder: Path, start: str, takes: dict[str, float] | None = None, page: Path = PAGE) -> None:
        super().__init__(now=instant(start), up=False)
        file = folder / "jobs.toml"
        text = example(name, page)
        file.write_text(text if "timezone" in text else f'timezone = "Europe/Berlin"\n{text}')
        self.set = read(str(file), thorough=False, now=self.now).jobs._replace(alerts=self.jobset().alerts)
        self.takes = takes or {}
        self.codes: dict[str, list[int]] = {}
        self.ran: list[str] = []
        self.ends: list[tuple[float, str, int | None]] = []
        self.stopped: dict[str, str] = {}
        self.start()

    def do(self, event: Event) -> Effects:
        out = super().do(event)
        for action in out.actions:
            if isinstance(action, StartAttempt):
                job = action.ref.task
                self.ran.append(f"{job} {self.clock(self.now)}")
                codes = self.codes.get(job, [])
                ends_at = self.now + 60 * self.takes.get(job, 1)
                heapq.heappush(self.ends, (ends_at, str(action.ref), codes.pop(0) if codes else 0))
            elif isinstance(action, StopAttempt):
                task = self.state.runs[action.ref.run].tasks[action.ref.task]
                assert task.live is not None
                self.stopped[str(action.ref)] = task.live.stop or ""
                self.ends = [one for one in self.ends if one[1] != str(action.ref)]
                heapq.heappush(self.ends, (self.now + 1, str(action.ref), None))
        return out

    def until(self, when: str) -> list[str]:
        """Let time pass; what was started meanwhile."""
        end, before = instant(when), len(self.ran)
        while True:
            wakeup = next_wakeup(self.state)
            times = [*([] if wakeup is None else [wakeup]), *(at for at, *_ in self.ends[:1])]
            if not times or min(times) > end:
                break
            self.now = max(self.now, min(times))
            if self.ends and self.ends[0][0] <= self.now:
                _, ref, code = heapq.heappop(self.ends)
                if code is None:
                    self.end(ref, None, signal=15, stopped=self.stopped[ref])
                else:
                    self.end(ref, code)
            else:
                self.do(happened.Woke())
        self.now = end
        return self.ran[before:]

    def off_until(self, when: str) -> None:
        """The machine is off; nothing was running."""
        assert not self.ends
        self.restart(instant(when) - self.now)

    @staticmethod
    def clock(at: float) -> str:
        return datetime.fromtimestamp(at, ZONE).strftime("%H:%M")

    def runs(self, flow: str) -> list[str]:
        """The runs and rows of a flow: "2 schedule 04:30 success", a row of slots "missed daemon_down × 6"."""
        tasks = "(SELECT count(*) FROM tasks WHERE run = id)"
        sql = f"SELECT id, trigger, slot, state, reason, slots, {tasks} FROM runs WHERE flow = ? ORDER BY id"
        found = []
        for number, trigger, slot, state, reason, slots, ran in self.store.connection.execute(sql, (flow,)):
            shown = self.clock(slot) if slot is not None else "-"
            found.append(f"{number} {trigger} {shown} {state}" if ran else f"{state} {reason} × {slots}")
        return found

    def told(self) -> list[str]:
        """The alerts, as kind and job."""
        return [kind if job is None else f"{kind} {job}" for kind, job in self.alerts]
