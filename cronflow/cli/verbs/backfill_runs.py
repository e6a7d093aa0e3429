"""Working through the slots of a backfill: a run is requested as soon as there is room, from the daemon or, without one, here.

What is left to do is kept nowhere but in the history: the same command, given again, continues from there.
"""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from cronflow.cli import client
from cronflow.cli.invocation import Invocation
from cronflow.cli.progress import went_well
from cronflow.cli.screens import backfill as views
from cronflow.cli.screens.style import Style, style_for
from cronflow.cli.verbs import run
from cronflow.core.records import FINAL
from cronflow.errors import CronflowError, Exit
from cronflow.facts.backfill_slots import PastSlot
from cronflow.store.covered import slot_runs
from cronflow.store.queries import History

BEAT = 0.2


class Backfill:
    """The slots still to be requested, the runs that are going on, and how those ended that have."""

    def __init__(self, invocation: Invocation, job: str, slots: Sequence[PastSlot], parallel: int) -> None:
        self.invocation = invocation
        self.job = job
        self.parallel = parallel
        self.total = len(slots)
        self.going = {slot.last.run: slot.at for slot in slots if slot.last is not None and slot.going}
        self.todo = deque(slot.at for slot in slots if not slot.going)
        self.ended: dict[int, tuple[int, Mapping[str, Any]]] = {}
        self.bar = not invocation.json and sys.stderr.isatty()
        self.drawn_at = 0.0
        self.interrupted = False
        self.by_daemon = False
        self.known = {slot.at: slot.last.run for slot in slots if slot.last is not None}

    @property
    def has_room(self) -> bool:
        """Whether the next slot may be asked for now."""
        return bool(self.todo) and len(self.going) < self.parallel and not self.interrupted

    @property
    def over(self) -> bool:
        """Whether there is no point in listening to the runs that are going on."""
        return self.has_room or not self.going

    @property
    def done(self) -> bool:
        return not self.going and (not self.todo or self.interrupted)

    def request(self) -> dict[str, Any]:
        """The request for the run of the next slot."""
        about = {"jobs": [self.job], "at": self.todo[0], "trigger": "backfill", "file": str(self.invocation.places.file)}
        return {"op": "run", "words": self.invocation.words, **about}

    def began(self, number: int) -> None:
        """The run of the next slot is there."""
        self.going[number] = self.todo.popleft()

    def next_is_free(self) -> bool:
        """Whether the next slot may be requested now. Slots that somebody else has begun in the meantime are left to them;
        only the ends of their runs are reported."""
        if not self.has_room:
            return False
        with History.open(self.invocation.places.database) as history:
            while self.has_room:
                slot = self.todo[0]
                last = slot_runs(history, self.job, slot, slot).get(slot)
                if last is None or last.run <= self.known.get(slot, 0):
                    return True
                self.began(last.run)
        return False

    def event(self, event: Mapping[str, Any]) -> None:
        """Take in an event about a run."""
        number = int(event["run"])
        if event.get("event") != "run" or event["state"] not in FINAL or number not in self.going:
            return
        slot = self.going.pop(number)
        self.ended[number] = (slot, event)
        if self.invocation.json:
            return
        if not self.bar:
            self.invocation.out(views.ended_line(slot, event, self._style()))
            sys.stdout.flush()
        elif not went_well(event):
            self._clear()
            self.invocation.warn(views.ended_line(slot, event, self._style()))
        self.drawn_at = 0.0
        self.tick()

    def tick(self) -> None:
        """Draw the bar, if it is time to."""
        now = time.monotonic()
        if self.bar and now - self.drawn_at >= BEAT:
            self.drawn_at = now
            bad = sum(not went_well(event) for _, event in self.ended.values())
            line = views.bar_line(len(self.ended), self.total, bad, list(self.going.items()), self._style())
            self._clear()
            self.invocation.warn(line[: shutil.get_terminal_size((80, 24)).columns - 1], end="")

    def _clear(self) -> None:
        self.invocation.warn("\r\x1b[K", end="")

    def _style(self) -> Style:
        width = shutil.get_terminal_size((80, 24)).columns if self.bar else None
        return style_for(self.invocation.zone, time.time(), width, self.invocation.color)

    def finish(self) -> int:
        """Say how it came out; the exit status."""
        if self.bar:
            self._clear()
            self.bar = False
        left = len(self.todo)
        if self.invocation.json:
            self._print_json()
        else:
            counts = Counter(str(event["state"]) for _, event in self.ended.values())
            self.invocation.out(views.end_line(self.job, counts, left, self._style()))
        if left or self.going:
            if self.going:
                self.invocation.warn(f"{run.in_words(sorted(self.going))} will end without this command")
            self.invocation.warn("the same command again goes on with what is left")
        well = all(went_well(event) for _, event in self.ended.values())
        return Exit.INTERRUPTED if self.interrupted else 0 if well and not left and not self.going else 1

    def _print_json(self) -> None:
        form = self.invocation.json_form()
        runs = [(slot, number, "running", None) for number, slot in self.going.items()]
        runs += [(slot, number, event["state"], event.get("reason")) for number, (slot, event) in self.ended.items()]
        told = [
            {"slot": form.time(slot), "run": number, "state": state, "reason": why} for slot, number, state, why in sorted(runs)
        ]
        self.invocation.print_json({"job": self.job, "slots": told, "left": len(self.todo)})


def work(invocation: Invocation, batch: Backfill) -> int:
    """Work through the slots; the exit status. With a daemon, Ctrl-C leaves it the runs that are going on; here it cancels
    them."""
    deadline = time.monotonic() + run.BACK_WITHIN
    try:
        while not batch.done:
            if _by_daemon(invocation, batch) or (not batch.by_daemon and _here(invocation, batch)):
                deadline = time.monotonic() + run.BACK_WITHIN
            elif time.monotonic() > deadline:
                return _left(batch)
            else:
                time.sleep(0.05)
    except KeyboardInterrupt:
        batch.interrupted = True
        if not batch.by_daemon:
            run.cancel(invocation, list(batch.going))
    except CronflowError:
        _finish_early(batch)
        raise
    return batch.finish()


def _finish_early(batch: Backfill) -> None:
    """Tell how it came out before the error that stopped it; nothing where it has not begun."""
    if not batch.invocation.json and (batch.ended or batch.going):
        batch.finish()


def _left(batch: Backfill) -> int:
    _finish_early(batch)
    if batch.by_daemon:
        raise CronflowError("the daemon has stopped", "the same command goes on when it is started again", Exit.NOT_RUNNING)
    message = f"another process holds `{batch.invocation.places.lock}` and does not answer"
    raise CronflowError(message, "`cronflow status` tells its pid")


def _by_daemon(invocation: Invocation, batch: Backfill) -> bool:
    """Request runs from the daemon, or from a `run` in the foreground, while there is room, and listen until there is room
    again. False if there is none."""
    with suppress(client.NotRunningError), client.connect(invocation.places) as daemon:
        batch.by_daemon = not run.in_foreground(daemon, False)
        while batch.next_is_free():
            request = batch.request()
            with _undisturbed():
                batch.began(int(daemon.ask(request.pop("op"), request)["runs"][0]))
        if batch.going:
            run.listen(daemon, list(batch.going), batch)
        return True
    return False


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Defer Ctrl-C until the answer has come: otherwise a run could be started that nobody knows of."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _here(invocation: Invocation, batch: Backfill) -> bool:
    """Act as the daemon until all is done, or another one takes over. False if another process is the daemon."""
    with run.in_its_place(invocation, batch.event) as stage:
        if stage is None:
            return False
        from cronflow.daemon.clients.following import run_event

        while not batch.done and stage.daemon.life.leaving is None:
            while batch.next_is_free():
                reply = stage.ask(batch.request())
                run.refuse(reply)
                batch.began(reply.runs[0])
            stage.attend(tuple(batch.going), batch.tick, len(batch.going) - 1)
            batch.interrupted = batch.interrupted or stage.interrupted > 0
            for number in list(batch.going):
                now = stage.run_now(number)
                if now is not None:
                    batch.event(run_event(now))
        if batch.done:
            stage.send_alerts()
    if stage.daemon.life.leaving == "handed over":
        found = run.wait_for_daemon(invocation)
        if found is not None:
            found.close()
    elif stage.daemon.life.leaving is not None:
        batch.interrupted = True
    return True
