"""`cronflow run`: by the daemon where there is one, otherwise here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from cronflow.cli import client
from cronflow.cli.client import Client, NotRunningError
from cronflow.cli.invocation import Caller
from cronflow.cli.names import check_job, parse_params
from cronflow.cli.progress import Progress
from cronflow.cli.times import parse_time
from cronflow.cli.verbs.dry_run import show
from cronflow.errors import CronflowError, Exit, JobFileError

if TYPE_CHECKING:
    from cronflow.core.effects import Reply

BACK_WITHIN = 15.0
"""Seconds in which a daemon that is restarted is back."""
TURN = 0.1


def run(
    caller: Caller,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB…", help="The jobs to start.")],
    param: Annotated[
        list[str] | None, typer.Option("-p", "--param", metavar="K=V", help="A param of the jobs; may be given several times.")
    ] = None,
    only: Annotated[bool, typer.Option("--only", help="These jobs and nothing that comes after them.")] = False,
    upstream: Annotated[bool, typer.Option("--upstream", help="First all that these jobs come after.")] = False,
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="The slot time that the run carries.")] = None,
    detach: Annotated[bool, typer.Option("--detach", help="Have the daemon start it, print its number, and leave.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, in which order, and start nothing.")] = False,
) -> int:
    """Start jobs now, and follow them to their end.

    A root of a flow starts its whole flow, as its trigger would; another job starts with what comes after it. With a daemon
    the run is the daemon's, and Ctrl-C only stops the following; without one it runs here, with the same environment and
    into the same history, and Ctrl-C cancels it. The exit status is 0 only if every run succeeded, or was skipped by a
    condition of its own.
    """
    names = _checked(caller, list(dict.fromkeys(jobs)))
    given = parse_params(param or [])
    slot = int(parse_time(at, caller.zone, caller.now)) if at is not None else None
    if dry_run:
        return show(caller, names, only, upstream, given)
    fields = {"jobs": names, "only": only, "upstream": upstream, "at": slot, "params": given}
    fields["file"] = str(caller.places.file)
    return start(caller, "run", fields, detach)


def _checked(caller: Caller, names: list[str]) -> list[str]:
    """The names, if the job file has such jobs. Where it is broken, a daemon that has an older one in force knows better."""
    try:
        known = caller.jobs.jobs
    except JobFileError as error:
        daemon = client.ping(caller.places)
        if daemon is None or daemon.get("foreground"):
            raise
        caller.note(f"the job file has errors, the daemon goes on with the one before: {error.message}")
        return names
    return [check_job(name, known) for name in names]


def start(caller: Caller, op: str, fields: dict[str, Any], detach: bool) -> int:
    """Have runs started by whoever is the daemon, or be it, and follow them to their end (not with `detach`, which needs a
    daemon)."""
    if detach:
        with client.connect(caller.places, "nothing was started; `--detach` needs it") as daemon:
            return _detached(caller, daemon.ask(op, {"words": caller.words, **fields}))
    deadline = time.monotonic() + BACK_WITHIN
    while True:
        with suppress(NotRunningError), client.connect(caller.places) as daemon:
            reply = daemon.ask(op, {"words": caller.words, **fields})
            for note in reply.get("notes", ()):
                caller.note(note)
            return follow(caller, daemon, [int(one) for one in reply["runs"]])
        done = _here(caller, {"op": op, "words": caller.words, **fields}, None, ())
        if done is not None:
            return done
        if time.monotonic() > deadline:
            message = f"another process holds `{caller.places.lock}` and does not answer"
            raise CronflowError(message, "`cronflow status` tells its pid")
        time.sleep(0.05)


def follow(caller: Caller, daemon: Client, runs: list[int]) -> int:
    """Follow runs of the daemon (or of another `run` in the foreground) to their end; the exit status of `cronflow run`."""
    progress = Progress(caller, runs)
    try:
        return _follow(caller, daemon, runs, progress)
    finally:
        progress.close()


def _follow(caller: Caller, daemon: Client | None, runs: list[int], progress: Progress) -> int:
    foreground = True
    lost_at: float | None = None
    while not progress.over:
        try:
            if daemon is not None:
                foreground = in_foreground(daemon, foreground)
                if listen(daemon, runs, progress):
                    break
                daemon.close()
                daemon, lost_at = None, time.monotonic()
                continue
            _catch_up(caller, runs, progress)
            if progress.over:
                break
            daemon = again(caller)
            if daemon is not None:
                continue
            if foreground or (lost_at is not None and time.monotonic() - lost_at > BACK_WITHIN):
                done = _here(caller, None, progress, tuple(runs)) if foreground else _left(caller, runs, progress)
                if done is not None:
                    return done
            else:
                time.sleep(TURN)
        except KeyboardInterrupt:
            if not foreground:
                progress.close()  # else it would be drawn over the note
                caller.note(f"no longer following {in_words(runs)}: the daemon goes on with it")
                return Exit.INTERRUPTED
            cancel(caller, runs)
            return _after_cancel(caller, runs, progress)
    _complete(caller, runs, progress)
    return _finish(caller, runs, progress)


def in_foreground(daemon: Client, before: bool) -> bool:
    """Whether who serves now is a `run` in the foreground; as before if it has just gone, which `listen` will notice."""
    try:
        return bool(daemon.ask("ping").get("foreground"))
    except CronflowError:
        return before


class Listener(Protocol):
    """Who hears of runs, is called now and then, and says when that is enough."""

    def event(self, event: Mapping[str, Any]) -> None: ...

    def tick(self) -> None: ...

    @property
    def over(self) -> bool: ...


def listen(daemon: Client, runs: list[int], progress: Listener) -> bool:
    """Hear of runs until that is enough (True) or the daemon has gone (False)."""
    try:
        daemon.ask("follow", runs=runs)
    except CronflowError:
        return False
    for event in daemon.events(TURN):
        if event is not None:
            progress.event(event)
        progress.tick()
        if progress.over:
            return True
    return progress.over


def again(caller: Caller) -> Client | None:
    """A connection to whoever is the daemon now, if anybody is."""
    try:
        return client.connect(caller.places)
    except CronflowError:
        return None


def _catch_up(caller: Caller, runs: list[int], progress: Progress) -> None:
    """What the history says of runs whose daemon has gone."""
    from cronflow.daemon.clients.following import run_event, task_event
    from cronflow.store.queries import History

    with History.open(caller.places.database) as history:
        for record in history.records(runs):
            for task in record.run.tasks.values():
                progress.event(task_event(task, record.attempts.get(task.name, ())))
            progress.event(run_event(record.run))


def _complete(caller: Caller, runs: list[int], progress: Progress) -> None:
    """The tasks of runs that were over before they were followed: of these the daemon has told no more than that."""
    with suppress(CronflowError):
        _catch_up(caller, runs, progress)


def _left(caller: Caller, runs: list[int], progress: Progress) -> int:
    progress.close()
    caller.note(f"the daemon has stopped; {in_words(runs)} goes on when it is started again")
    return Exit.NOT_RUNNING


# ---- here -----------------------------------------------------------------------------------------------------------------


def _here(caller: Caller, request: dict[str, Any] | None, progress: Progress | None, runs: tuple[int, ...]) -> int | None:
    """Be the daemon until the runs are over. None where another process is."""
    from cronflow.daemon.lock import take_lock

    lock = take_lock(caller.places)
    if lock is None:
        return None
    with lock:
        from cronflow.daemon.foreground import Foreground

        early: list[dict[str, Any]] = []
        stage = Foreground(caller.places, own_name(), early.append, lambda _line: None)
        try:
            stage.begin()
            if request is not None:
                reply = stage.ask(request)
                refuse(reply)
                for note in reply.notes:
                    caller.note(note)
                runs = reply.runs
            progress = progress or Progress(caller, list(runs))
            for event in early:
                if event["run"] in runs:
                    progress.event(event)
            stage.watch = progress.event
            over = stage.attend(runs, progress.tick)
            if over:
                stage.send_alerts()
        finally:
            stage.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
    assert progress is not None
    try:
        if over:
            status = _finish(caller, list(runs), progress)
            return Exit.INTERRUPTED if stage.interrupted else status
        if stage.daemon.leaving == "handed over":
            return _follow(caller, wait_for_daemon(caller), list(runs), progress)
        progress.close()
        caller.note(f"leaving: the commands of {in_words(list(runs))} go on; the next `run` or `daemon` hears how they ended")
        return 1
    finally:
        progress.close()


def wait_for_daemon(caller: Caller) -> Client | None:
    """A connection to the daemon that is about to be there; None if it is not in time."""
    deadline = time.monotonic() + BACK_WITHIN
    while time.monotonic() < deadline:
        daemon = again(caller)
        if daemon is not None:
            return daemon
        time.sleep(0.02)
    return None


def refuse(reply: Reply) -> None:
    """Raise what the engine refused."""
    if reply.refused is not None:
        raise CronflowError(reply.refused, reply.hint, reply.exit_status)


def cancel(caller: Caller, runs: list[int]) -> None:
    """End runs, as far as somebody is there to do it."""
    with suppress(CronflowError), client.connect(caller.places) as daemon:
        for number in runs:
            with suppress(CronflowError):
                daemon.ask("cancel", run=number, task=None, words="Ctrl-C")


def _after_cancel(caller: Caller, runs: list[int], progress: Progress) -> int:
    """See the end of runs that Ctrl-C has cancelled; a second Ctrl-C kills."""
    while not progress.over:
        try:
            daemon = again(caller)
            if daemon is None:
                _catch_up(caller, runs, progress)
                if progress.over or _here(caller, None, progress, tuple(runs)) is not None:
                    break
                time.sleep(TURN)
            else:
                with daemon:
                    listen(daemon, runs, progress)
        except KeyboardInterrupt:
            cancel(caller, runs)
    _complete(caller, runs, progress)
    _finish(caller, runs, progress)
    return Exit.INTERRUPTED


# ---- answers --------------------------------------------------------------------------------------------------------------


def _finish(caller: Caller, runs: list[int], progress: Progress) -> int:
    progress.close()
    if caller.json:
        _answer(caller, runs)
    return progress.exit_status()


def _answer(caller: Caller, runs: list[int]) -> None:
    """The runs as one object, as they are now."""
    from cronflow.facts.json_form import JsonForm
    from cronflow.store.queries import History

    form = JsonForm(caller.places, caller.zone)
    with History.open(caller.places.database) as history:
        caller.answer({"runs": [form.run(record) for record in history.records(runs)]})


def _detached(caller: Caller, reply: dict[str, Any]) -> int:
    for note in reply.get("notes", ()):
        caller.note(note)
    if caller.json:
        _answer(caller, reply["runs"])
    else:
        for number in reply["runs"]:
            caller.out(str(number))
    return 0


def in_words(runs: list[int]) -> str:
    """Runs by their numbers: "run 7", "runs 7, 8"."""
    return f"run {runs[0]}" if len(runs) == 1 else f"runs {', '.join(map(str, runs))}"


def own_name() -> str:
    """Who calls, for the history of acts."""
    from cronflow.daemon.clients.control import name_of

    return name_of(os.geteuid())
