"""`cronflow run`: by the daemon where there is one, otherwise here."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cronflow.cli import client
from cronflow.cli.caller import Caller
from cronflow.cli.client import Client, NotRunningError
from cronflow.cli.names import check_job
from cronflow.cli.progress import Progress
from cronflow.cli.times import parse_time
from cronflow.errors import CronflowError, JobFileError

if TYPE_CHECKING:
    from cronflow.core.effects import Reply

INTERRUPTED = 130
BACK_WITHIN = 15.0
"""Seconds in which a daemon that is restarted is back."""
TURN = 0.1


def run(
    caller: Caller,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB…", help="The jobs to start.")],
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
    slot = int(parse_time(at, caller.zone, caller.now)) if at is not None else None
    if dry_run:
        return _show(caller, names, only, upstream)
    fields = {"jobs": names, "only": only, "upstream": upstream, "at": slot, "file": str(caller.places.file)}
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
                foreground = _in_foreground(daemon, foreground)
                if _listen(daemon, runs, progress):
                    break
                daemon.close()
                daemon, lost_at = None, time.monotonic()
                continue
            _catch_up(caller, runs, progress)
            if progress.over:
                break
            daemon = _again(caller)
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
                caller.note(f"no longer following {_in_words(runs)}: the daemon goes on with it")
                return INTERRUPTED
            _cancel(caller, runs)
            return _after_cancel(caller, runs, progress)
    _complete(caller, runs, progress)
    return _finish(caller, runs, progress)


def _in_foreground(daemon: Client, before: bool) -> bool:
    """Whether who serves now is a `run` in the foreground; as before if it has just gone, which `_listen` will notice."""
    try:
        return bool(daemon.ask("ping").get("foreground"))
    except CronflowError:
        return before


def _listen(daemon: Client, runs: list[int], progress: Progress) -> bool:
    """Hear until the runs are over (True) or the daemon has gone (False)."""
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


def _again(caller: Caller) -> Client | None:
    try:
        return client.connect(caller.places)
    except CronflowError:
        return None


def _catch_up(caller: Caller, runs: list[int], progress: Progress) -> None:
    """What the history says of runs whose daemon has gone."""
    from cronflow.daemon.following import run_event, task_event
    from cronflow.store.queries import History

    with History.open(caller.places.database) as history:
        for record in history.records(runs):
            for task in record.run.tasks.values():
                attempts = record.commands(task.name)
                progress.event(task_event(task, attempts[-1] if attempts else None))
            progress.event(run_event(record.run))


def _complete(caller: Caller, runs: list[int], progress: Progress) -> None:
    """The tasks of runs that were over before they were followed: of these the daemon has told no more than that."""
    with suppress(CronflowError):
        _catch_up(caller, runs, progress)


def _left(caller: Caller, runs: list[int], progress: Progress) -> int:
    progress.close()
    caller.note(f"the daemon has stopped; {_in_words(runs)} goes on when it is started again")
    return client.NOT_RUNNING


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
        stage = Foreground(caller.places, _own_name(), early.append, lambda _line: None)
        try:
            stage.begin()
            if request is not None:
                reply = stage.ask(request)
                _refuse(reply)
                for note in reply.notes:
                    caller.note(note)
                runs = reply.runs
            progress = progress or Progress(caller, list(runs))
            for event in early:
                if event["run"] in runs:
                    progress.event(event)
            stage.watch = progress.event
            over = stage.attend(runs, progress.tick)
        finally:
            stage.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)
    assert progress is not None
    try:
        if over:
            status = _finish(caller, list(runs), progress)
            return INTERRUPTED if stage.interrupted else status
        if stage.daemon.leaving == "handed over":
            return _follow(caller, _wait_for_daemon(caller), list(runs), progress)
        progress.close()
        caller.note(f"leaving: the commands of {_in_words(list(runs))} go on; the next `run` or `daemon` hears how they ended")
        return 1
    finally:
        progress.close()


def _wait_for_daemon(caller: Caller) -> Client | None:
    deadline = time.monotonic() + BACK_WITHIN
    while time.monotonic() < deadline:
        daemon = _again(caller)
        if daemon is not None:
            return daemon
        time.sleep(0.02)
    return None


def _refuse(reply: Reply) -> None:
    if reply.refused is not None:
        raise CronflowError(reply.refused, reply.hint, reply.exit_status)


def _cancel(caller: Caller, runs: list[int]) -> None:
    with suppress(CronflowError), client.connect(caller.places) as daemon:
        for number in runs:
            with suppress(CronflowError):
                daemon.ask("cancel", run=number, task=None, words="Ctrl-C")


def _after_cancel(caller: Caller, runs: list[int], progress: Progress) -> int:
    """See the end of runs that Ctrl-C has cancelled; a second Ctrl-C kills."""
    while not progress.over:
        try:
            daemon = _again(caller)
            if daemon is None:
                _catch_up(caller, runs, progress)
                if progress.over or _here(caller, None, progress, tuple(runs)) is not None:
                    break
                time.sleep(TURN)
            else:
                with daemon:
                    _listen(daemon, runs, progress)
        except KeyboardInterrupt:
            _cancel(caller, runs)
    _complete(caller, runs, progress)
    _finish(caller, runs, progress)
    return INTERRUPTED


# ---- answers --------------------------------------------------------------------------------------------------------------


def _finish(caller: Caller, runs: list[int], progress: Progress) -> int:
    progress.close()
    if caller.json:
        _answer(caller, runs)
    return progress.exit_status()


def _answer(caller: Caller, runs: list[int]) -> None:
    """The runs as one object, as they are now."""
    from cronflow.cli.json_form import JsonForm
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


def _show(caller: Caller, names: list[str], only: bool, upstream: bool) -> int:
    """What `run` would start, flow by flow, in the order of the graph."""
    from cronflow.core.flow import plan
    from cronflow.core.runs import selection

    parts = selection(plan(caller.jobs.jobs), names, only, upstream)
    found = [(flow, [job for job in flow.jobs if job in jobs]) for flow, jobs in parts]
    if caller.json:
        caller.answer({"runs": [{"flow": flow.name, "jobs": jobs} for flow, jobs in found]})
        return 0
    for flow, jobs in found:
        caller.out(f"a run of `{flow.name}` would start {len(jobs)} {'job' if len(jobs) == 1 else 'jobs'}:")
        for job in jobs:
            edges = flow.jobs[job].after
            after = [edge.job for edge in edges if edge.job in jobs]
            caller.out(f"  {job}" + (f"  after {', '.join(after)}" if after else ""))
        outside = dict.fromkeys(edge.job for job in jobs for edge in flow.jobs[job].after if edge.job not in jobs)
        if outside and not only:
            caller.note(f"it takes as met what comes after {', '.join(f'`{name}`' for name in outside)}")
    return 0


def _in_words(runs: list[int]) -> str:
    return f"run {runs[0]}" if len(runs) == 1 else f"runs {', '.join(map(str, runs))}"


def _own_name() -> str:
    from cronflow.daemon.control import name_of

    return name_of(os.geteuid())
