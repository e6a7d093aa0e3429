"""Working through the slots of a backfill: a run is asked for as soon as there is room, by the daemon or, without one, here.

What is left to do is never kept anywhere but in the history: whoever gives the same command again goes on from there.
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
from cronflow.cli.invocation import Caller
from cronflow.cli.progress import OWN_CONDITIONS
from cronflow.cli.screens import backfill as views
from cronflow.cli.screens.style import Style
from cronflow.cli.verbs import run
from cronflow.core.records import FINAL
from cronflow.errors import CronflowError, Exit
from cronflow.facts.backfill_slots import PastSlot
from cronflow.store.covered import slot_runs
from cronflow.store.queries import History

BEAT = 0.2


class Backfill:
    """The slots still to be asked for, the runs that go on, and how those ended that have."""

    def __init__(self, caller: Caller, job: str, slots: Sequence[PastSlot], parallel: int) -> None:
        self.caller = caller
        self.job = job
        self.parallel = parallel
        self.total = len(slots)
        self.going = {slot.last.run: slot.at for slot in slots if slot.last is not None and slot.going}
        self.todo = deque(slot.at for slot in slots if not slot.going)
        self.ended: dict[int, tuple[int, Mapping[str, Any]]] = {}
        self.bar = not caller.json and sys.stderr.isatty()
        self.drawn_at = 0.0
        self.interrupted = False
        self.by_daemon = False
        self.known = {slot.at: slot.last.run for slot in slots if slot.last is not None}

    # ---- what there is to do ---------------------------------------------------------------------------------------------

    @property
    def has_room(self) -> bool:
        """Whether the next slot may be asked for now."""
        return bool(self.todo) and len(self.going) < self.parallel and not self.interrupted

    @property
    def over(self) -> bool:
        """Whether listening to the runs that go on is of no use now."""
        return self.has_room or not self.going

    @property
    def done(self) -> bool:
        return not self.going and (not self.todo or self.interrupted)

    def request(self) -> dict[str, Any]:
        """What asks for the run of the next slot."""
        about = {"jobs": [self.job], "at": self.todo[0], "trigger": "backfill", "file": str(self.caller.places.file)}
        return {"op": "run", "words": self.caller.words, **about}

    def began(self, number: int) -> None:
        """The run of the next slot is there."""
        self.going[number] = self.todo.popleft()

    def next_is_free(self) -> bool:
        """Whether the next slot may be asked for now. Those with which somebody else has begun since are left to them; of their
        runs only the end is told."""
        if not self.has_room:
            return False
        with History.open(self.caller.places.database) as history:
            while self.has_room:
                slot = self.todo[0]
                last = slot_runs(history, self.job, slot, slot).get(slot)
                if last is None or last.run <= self.known.get(slot, 0):
                    return True
                self.began(last.run)
        return False

    # ---- what is heard ---------------------------------------------------------------------------------------------------

    def event(self, event: Mapping[str, Any]) -> None:
        """Take in what a follower hears."""
        number = int(event["run"])
        if event.get("event") != "run" or event["state"] not in FINAL or number not in self.going:
            return
        slot = self.going.pop(number)
        self.ended[number] = (slot, event)
        if self.caller.json:
            return
        if not self.bar:
            self.caller.out(views.ended_line(slot, event, self._style()))
            sys.stdout.flush()
        elif not _well(event):
            self._clear()
            self.caller.note(views.ended_line(slot, event, self._style()))
        self.drawn_at = 0.0
        self.tick()

    def tick(self) -> None:
        """Draw the bar, if it is time to."""
        now = time.monotonic()
        if self.bar and now - self.drawn_at >= BEAT:
            self.drawn_at = now
            bad = sum(not _well(event) for _, event in self.ended.values())
            line = views.bar_line(len(self.ended), self.total, bad, list(self.going.items()), self._style())
            self._clear()
            self.caller.note(line[: shutil.get_terminal_size((80, 24)).columns - 1], end="")

    def _clear(self) -> None:
        self.caller.note("\r\x1b[K", end="")

    def _style(self) -> Style:
        width = shutil.get_terminal_size((80, 24)).columns if self.bar else None
        return Style(self.caller.zone, time.time(), width, self.caller.color)

    # ---- how it came out -------------------------------------------------------------------------------------------------

    def finish(self) -> int:
        """Tell how it came out; the exit status."""
        if self.bar:
            self._clear()
            self.bar = False
        left = len(self.todo)
        if self.caller.json:
            self._answer()
        else:
            counts = Counter(str(event["state"]) for _, event in self.ended.values())
            self.caller.out(views.end_line(self.job, counts, left, self._style()))
        if left or self.going:
            if self.going:
                self.caller.note(f"{run.in_words(sorted(self.going))} will end without this command")
            self.caller.note("the same command again goes on with what is left")
        well = all(_well(event) for _, event in self.ended.values())
        return Exit.INTERRUPTED if self.interrupted else 0 if well and not left and not self.going else 1

    def _answer(self) -> None:
        from cronflow.facts.json_form import JsonForm

        form = JsonForm(self.caller.places, self.caller.zone)
        runs = [(slot, number, "running", None) for number, slot in self.going.items()]
        runs += [(slot, number, event["state"], event.get("reason")) for number, (slot, event) in self.ended.items()]
        told = [
            {"slot": form.time(slot), "run": number, "state": state, "reason": why} for slot, number, state, why in sorted(runs)
        ]
        self.caller.answer({"job": self.job, "slots": told, "left": len(self.todo)})


def _well(event: Mapping[str, Any]) -> bool:
    return event["state"] == "success" or (event["state"] == "skipped" and event.get("reason") in OWN_CONDITIONS)


# ---- who does it ----------------------------------------------------------------------------------------------------------


def work(caller: Caller, batch: Backfill) -> int:
    """Work through the slots; the exit status. With a daemon Ctrl-C leaves it the runs that go on; here it cancels them."""
    deadline = time.monotonic() + run.BACK_WITHIN
    try:
        while not batch.done:
            if _by_daemon(caller, batch) or (not batch.by_daemon and _here(caller, batch)):
                deadline = time.monotonic() + run.BACK_WITHIN
            elif time.monotonic() > deadline:
                return _left(batch)
            else:
                time.sleep(0.05)
    except KeyboardInterrupt:
        batch.interrupted = True
        if not batch.by_daemon:
            run.cancel(caller, list(batch.going))
    except CronflowError:
        _finish_early(batch)
        raise
    return batch.finish()


def _finish_early(batch: Backfill) -> None:
    """Tell how it came out before the error that stopped it; nothing where it has not begun."""
    if not batch.caller.json and (batch.ended or batch.going):
        batch.finish()


def _left(batch: Backfill) -> int:
    _finish_early(batch)
    if batch.by_daemon:
        raise CronflowError("the daemon has stopped", "the same command goes on when it is started again", Exit.NOT_RUNNING)
    message = f"another process holds `{batch.caller.places.lock}` and does not answer"
    raise CronflowError(message, "`cronflow status` tells its pid")


def _by_daemon(caller: Caller, batch: Backfill) -> bool:
    """Ask the daemon, or a `run` in the foreground, for what there is room for, and hear until there is room for more. False if
    nobody is there."""
    with suppress(client.NotRunningError), client.connect(caller.places) as daemon:
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
    """Ctrl-C waits until the answer is there: else a run that has been started would not be known."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT,))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _here(caller: Caller, batch: Backfill) -> bool:
    """Be the daemon until all is done, or another one takes over. False where another process is it."""
    from cronflow.daemon.lock import take_lock

    lock = take_lock(caller.places)
    if lock is None:
        return False
    with lock:
        from cronflow.daemon.clients.following import run_event
        from cronflow.daemon.foreground import Foreground

        stage = Foreground(caller.places, run.own_name(), batch.event, lambda _line: None)
        try:
            stage.begin()
            while not batch.done and stage.daemon.leaving is None:
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
        finally:
            stage.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if stage.daemon.leaving == "handed over":
        found = run.wait_for_daemon(caller)
        if found is not None:
            found.close()
    elif stage.daemon.leaving is not None:
        batch.interrupted = True
    return True
