"""`cronflow run`: by the daemon where there is one, otherwise here."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

import typer

from cronflow.cli import client
from cronflow.cli.client import Client, NotRunningError
from cronflow.cli.invocation import Invocation
from cronflow.cli.names import check_job, parse_params
from cronflow.cli.progress import Progress
from cronflow.cli.times import parse_time
from cronflow.cli.verbs.dry_run import show
from cronflow.errors import CronflowError, Exit, JobFileError

if TYPE_CHECKING:
    from cronflow.core.effects import Reply
    from cronflow.daemon.foreground import Foreground

BACK_WITHIN = 15.0
"""Seconds in which a daemon that is restarted is back."""
TURN = 0.1


class Flags(NamedTuple):
    """What and how `cronflow run` starts."""

    param: Annotated[
        list[str] | None, typer.Option("-p", "--param", metavar="K=V", help="A param of the jobs; may be given several times.")
    ] = None
    only: Annotated[bool, typer.Option("--only", help="These jobs and nothing that comes after them.")] = False
    upstream: Annotated[bool, typer.Option("--upstream", help="First all that these jobs come after.")] = False
    at: Annotated[str | None, typer.Option("--at", metavar="TIME", help="The slot time that the run carries.")] = None
    detach: Annotated[bool, typer.Option("--detach", help="Have the daemon start it, print its number, and leave.")] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would run, in which order, and start nothing.")] = False


def run(
    invocation: Invocation,
    jobs: Annotated[list[str], typer.Argument(metavar="JOB…", help="The jobs to start.")],
    flags: Flags,
) -> int:
    """Start jobs now, and follow them to their end.

    A root of a flow starts its whole flow, as its trigger would; another job starts with what comes after it. With a daemon
    the run is the daemon's, and Ctrl-C only stops the following; without one it runs here, with the same environment and
    into the same history, and Ctrl-C cancels it. The exit status is 0 only if every run succeeded, or was skipped by a
    condition of its own.
    """
    names = _checked(invocation, list(dict.fromkeys(jobs)))
    given = parse_params(flags.param or [])
    slot = int(parse_time(flags.at, invocation.zone, invocation.now)) if flags.at is not None else None
    if flags.dry_run:
        return show(invocation, names, flags.only, flags.upstream, given)
    fields = {"jobs": names, "only": flags.only, "upstream": flags.upstream, "at": slot, "params": given}
    fields["file"] = str(invocation.places.file)
    return start(invocation, "run", fields, flags.detach)


def _checked(invocation: Invocation, names: list[str]) -> list[str]:
    """The names, if the job file has such jobs. If it is broken, a daemon that has an older one in force is asked instead."""
    try:
        known = invocation.jobs.jobs
    except JobFileError as error:
        daemon = client.ping(invocation.places)
        if daemon is None or daemon.get("foreground"):
            raise
        invocation.warn(f"the job file has errors, the daemon goes on with the one before: {error.message}")
        return names
    return [check_job(name, known) for name in names]


def start(invocation: Invocation, op: str, fields: dict[str, Any], detach: bool) -> int:
    """Have runs started by the daemon, or act as the daemon, and follow them to their end (not with `detach`, which needs a
    daemon)."""
    if detach:
        with client.connect(invocation.places, "nothing was started; `--detach` needs it") as daemon:
            return _detached(invocation, daemon.ask(op, {"words": invocation.words, **fields}))
    deadline = time.monotonic() + BACK_WITHIN
    while True:
        with suppress(NotRunningError), client.connect(invocation.places) as daemon:
            reply = daemon.ask(op, {"words": invocation.words, **fields})
            for note in reply.get("notes", ()):
                invocation.warn(note)
            return follow(invocation, daemon, [int(one) for one in reply["runs"]])
        done = _here(invocation, {"op": op, "words": invocation.words, **fields}, None, ())
        if done is not None:
            return done
        if time.monotonic() > deadline:
            message = f"another process holds `{invocation.places.lock}` and does not answer"
            raise CronflowError(message, "`cronflow status` tells its pid")
        time.sleep(0.05)


def follow(invocation: Invocation, daemon: Client, runs: list[int]) -> int:
    """Follow runs of the daemon (or of another `run` in the foreground) to their end; the exit status of `cronflow run`."""
    progress = Progress(invocation, runs)
    try:
        return _follow(invocation, daemon, runs, progress)
    finally:
        progress.close()


def _follow(invocation: Invocation, daemon: Client | None, runs: list[int], progress: Progress) -> int:
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
            _catch_up(invocation, runs, progress)
            if progress.over:
                break
            daemon = again(invocation)
            if daemon is not None:
                continue
            if foreground or (lost_at is not None and time.monotonic() - lost_at > BACK_WITHIN):
                done = _here(invocation, None, progress, tuple(runs)) if foreground else _left(invocation, runs, progress)
                if done is not None:
                    return done
            else:
                time.sleep(TURN)
        except KeyboardInterrupt:
            if not foreground:
                progress.close()  # else it would be drawn over the note
                invocation.warn(f"no longer following {in_words(runs)}: the daemon goes on with it")
                return Exit.INTERRUPTED
            cancel(invocation, runs)
            return _after_cancel(invocation, runs, progress)
    _complete(invocation, runs, progress)
    return _finish(invocation, runs, progress)


def in_foreground(daemon: Client, before: bool) -> bool:
    """Whether the daemon is a `run` in the foreground; `before` if it has just gone, which `listen` will notice."""
    try:
        return bool(daemon.ask("ping").get("foreground"))
    except CronflowError:
        return before


class Listener(Protocol):
    """Takes events about runs, is ticked now and then, and says when it has heard enough."""

    def event(self, event: Mapping[str, Any]) -> None: ...

    def tick(self) -> None: ...

    @property
    def over(self) -> bool: ...


def listen(daemon: Client, runs: list[int], progress: Listener) -> bool:
    """Listen to runs until `progress` has heard enough (True) or the daemon has gone (False)."""
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


def again(invocation: Invocation) -> Client | None:
    """A connection to the daemon of now, if there is one."""
    try:
        return client.connect(invocation.places)
    except CronflowError:
        return None


def _catch_up(invocation: Invocation, runs: list[int], progress: Progress) -> None:
    """Feed what the history says about runs whose daemon has gone."""
    from cronflow.daemon.clients.following import run_event, task_event
    from cronflow.store.queries import History

    with History.open(invocation.places.database) as history:
        for record in history.records(runs):
            for task in record.run.tasks.values():
                progress.event(task_event(task, record.attempts.get(task.name, ())))
            progress.event(run_event(record.run))


def _complete(invocation: Invocation, runs: list[int], progress: Progress) -> None:
    """Feed the tasks of runs that were over before they were followed: the daemon reports only the end of these."""
    with suppress(CronflowError):
        _catch_up(invocation, runs, progress)


def _left(invocation: Invocation, runs: list[int], progress: Progress) -> int:
    progress.close()
    invocation.warn(f"the daemon has stopped; {in_words(runs)} goes on when it is started again")
    return Exit.NOT_RUNNING


@contextmanager
def in_its_place(invocation: Invocation, event: Callable[[dict[str, Any]], None]) -> Iterator[Foreground | None]:
    """This process in the place of the daemon; None if another process is the daemon."""
    from cronflow.daemon.lock import take_lock

    lock = take_lock(invocation.places)
    if lock is None:
        yield None
        return
    with lock:
        from cronflow.daemon.foreground import Foreground

        stage = Foreground(invocation.places, own_name(), event, lambda _line: None)
        try:
            stage.begin()
            yield stage
        finally:
            stage.close()
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _here(invocation: Invocation, request: dict[str, Any] | None, progress: Progress | None, runs: tuple[int, ...]) -> int | None:
    """Act as the daemon until the runs are over. None if another process is the daemon."""
    early: list[dict[str, Any]] = []
    with in_its_place(invocation, early.append) as stage:
        if stage is None:
            return None
        if request is not None:
            reply = stage.ask(request)
            refuse(reply)
            for note in reply.notes:
                invocation.warn(note)
            runs = reply.runs
        progress = progress or Progress(invocation, list(runs))
        for event in early:
            if event["run"] in runs:
                progress.event(event)
        stage.watch = progress.event
        over = stage.attend(runs, progress.tick)
        if over:
            stage.send_alerts()
    assert progress is not None
    try:
        if over:
            status = _finish(invocation, list(runs), progress)
            return Exit.INTERRUPTED if stage.interrupted else status
        if stage.daemon.life.leaving == "handed over":
            return _follow(invocation, wait_for_daemon(invocation), list(runs), progress)
        progress.close()
        invocation.warn(f"leaving: the commands of {in_words(list(runs))} go on; the next `run` or `daemon` hears how they ended")
        return 1
    finally:
        progress.close()


def wait_for_daemon(invocation: Invocation) -> Client | None:
    """A connection to the daemon that is about to start; None if it does not in time."""
    deadline = time.monotonic() + BACK_WITHIN
    while time.monotonic() < deadline:
        daemon = again(invocation)
        if daemon is not None:
            return daemon
        time.sleep(0.02)
    return None


def refuse(reply: Reply) -> None:
    """Raise what the engine refused."""
    if reply.refused is not None:
        raise CronflowError(reply.refused, reply.hint, reply.exit_status)


def cancel(invocation: Invocation, runs: list[int]) -> None:
    """Cancel runs, if there is a daemon to do it."""
    with suppress(CronflowError), client.connect(invocation.places) as daemon:
        for number in runs:
            with suppress(CronflowError):
                daemon.ask("cancel", run=number, task=None, words="Ctrl-C")


def _after_cancel(invocation: Invocation, runs: list[int], progress: Progress) -> int:
    """Wait for the end of runs that Ctrl-C has cancelled; a second Ctrl-C kills."""
    while not progress.over:
        try:
            daemon = again(invocation)
            if daemon is None:
                _catch_up(invocation, runs, progress)
                if progress.over or _here(invocation, None, progress, tuple(runs)) is not None:
                    break
                time.sleep(TURN)
            else:
                with daemon:
                    listen(daemon, runs, progress)
        except KeyboardInterrupt:
            cancel(invocation, runs)
    _complete(invocation, runs, progress)
    _finish(invocation, runs, progress)
    return Exit.INTERRUPTED


def _finish(invocation: Invocation, runs: list[int], progress: Progress) -> int:
    progress.close()
    if invocation.json:
        _print_json(invocation, runs)
    return progress.exit_status()


def _print_json(invocation: Invocation, runs: list[int]) -> None:
    """The runs as one object, as they are now."""
    from cronflow.store.queries import History

    with History.open(invocation.places.database) as history:
        form = invocation.json_form()
        invocation.print_json({"runs": [form.run(record) for record in history.records(runs)]})


def _detached(invocation: Invocation, reply: dict[str, Any]) -> int:
    for note in reply.get("notes", ()):
        invocation.warn(note)
    if invocation.json:
        _print_json(invocation, reply["runs"])
    else:
        for number in reply["runs"]:
            invocation.out(str(number))
    return 0


def in_words(runs: list[int]) -> str:
    """Runs by their numbers: "run 7", "runs 7, 8"."""
    return f"run {runs[0]}" if len(runs) == 1 else f"runs {', '.join(map(str, runs))}"


def own_name() -> str:
    """The name of the user, for the history of acts."""
    from cronflow.daemon.clients.control import name_of

    return name_of(os.geteuid())
