"""`cronflow logs`."""

from __future__ import annotations

import sys
import time
from collections.abc import Container, Iterable, Iterator
from typing import Annotated, NamedTuple

import typer

from cronflow.cli import names
from cronflow.cli.invocation import Invocation
from cronflow.cli.screens.logs import attempt_title, task_title
from cronflow.core import words
from cronflow.core.records import Attempt, Done, Task
from cronflow.core.words import masked
from cronflow.errors import CronflowError, Exit
from cronflow.facts.output import Log, Mask, Visible, tail_of
from cronflow.store.queries import History, RunRecord

_POLL = 0.15
"""Seconds between two looks at a growing log."""


Key = tuple[str, str, int]
"""A process of a run: its task, kind and number."""


class Wanted(NamedTuple):
    """What to show of a run: all tasks with all processes; or one task (all copies of one job) with its last attempt and the
    steps around it; or one process."""

    run: int
    task: str | None = None
    attempt: names.Process | None = None


def logs(
    invocation: Invocation,
    what: Annotated[
        str | None, typer.Argument(metavar="JOB|RUN[/TASK[/ATTEMPT]]", help="Whose output; without it, that of the last run.")
    ] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Follow what is still running to its end.")] = False,
    lines: Annotated[
        int | None, typer.Option("-n", "--lines", metavar="N", help="Only the last N lines of each output.", min=0)
    ] = None,
) -> None:
    """Show the output of the last run, of a job's last run, or of a run, task or attempt.

    RUN is a number, @last, or a job's name for its last run. Of a task the last attempt is shown with the steps around it;
    ATTEMPT is its number, or a step such as check1; TASK may be a job, for all its copies.
    """
    if follow and invocation.json:
        raise CronflowError("`--json` answers once, `--follow` goes on", "leave out one of them", Exit.USAGE)
    invocation.use_zone_of_file()
    with History.open(invocation.places.database) as history:
        wanted = _find(invocation, history, what or names.LAST)
        record = _chosen(history, wanted)
    if invocation.json:
        invocation.print_json({"lines": _json_lines(invocation, record, wanted, lines)})
        return
    printer = Printer(invocation, wanted, lines, follow)
    printer.show(record)
    while follow and not _over(record, wanted):
        time.sleep(_POLL)
        with History.open(invocation.places.database) as history:
            record = _chosen(history, wanted)
        printer.now = time.time()
        printer.show(record)
    printer.finish(record)


def _find(invocation: Invocation, history: History, what: str) -> Wanted:
    run_text, task, attempt = names.parse_run_ref(what)
    if names.is_run(run_text):
        return Wanted(names.resolve_run(history, run_text, ()), task, attempt)
    known = () if history.last_runs([run_text]) else invocation.known_jobs(history).jobs
    run = names.resolve_run(history, run_text, known)
    if task is not None:
        return Wanted(run, task, attempt)
    return Wanted(run, run_text)


def _chosen(history: History, wanted: Wanted) -> RunRecord:
    record = history.record(wanted.run)
    if record is None:
        hint = "`settings.keep_runs` says how long runs are kept"
        raise CronflowError(f"there is no run {wanted.run} any more", hint, Exit.NOT_FOUND)
    if wanted.task is not None and not _tasks(record, wanted):
        raise names.no_such_task(wanted.run, wanted.task, record.run.tasks)
    if wanted.attempt is not None and not any(_chosen_process(record, task, wanted) for task in _tasks(record, wanted)):
        processes = [one for task in _tasks(record, wanted) for one in record.attempts.get(task.name, [])]
        has = words.listing([str(names.Process(one.n, one.kind)) for one in processes])
        message = f"task `{wanted.run}/{wanted.task}` has no attempt {wanted.attempt}"
        raise CronflowError(message, f"it has {has}" if has else "it has not started", Exit.NOT_FOUND)
    return record


def _tasks(record: RunRecord, wanted: Wanted) -> list[Task]:
    """The task that is meant, or all copies of the job that is."""
    tasks = record.run.tasks
    if wanted.task is None:
        return [*_listers(record, record.attempts), *tasks.values()]
    if wanted.task in tasks:
        return [tasks[wanted.task]]
    return [*_listers(record, [wanted.task]), *record.tasks_of(wanted.task)]


def _listers(record: RunRecord, names: Iterable[str]) -> list[Task]:
    """The tasks that listed the copies of a `foreach`, which then replaced them."""
    return [
        Task(record.run.id, name, name, Done("success"))
        for name in names
        if name in record.attempts and name not in record.run.tasks
    ]


def _chosen_process(record: RunRecord, task: Task, wanted: Wanted) -> list[Attempt]:
    return [one for one in record.attempts.get(task.name, []) if (one.n, one.kind) == wanted.attempt]


def _last(attempts: list[Attempt]) -> list[Attempt]:
    """The last attempt of a command with the steps around it, in order of time, without the checks of earlier attempts."""
    last = max((place for place, one in enumerate(attempts) if one.kind == "command"), default=0)
    return [one for one in attempts[:last] if one.kind not in ("command", "check")] + attempts[last:]


def _shown(record: RunRecord, wanted: Wanted, begun: Container[Key] = ()) -> Iterator[tuple[Task, Attempt | None]]:
    """The processes to show, and those whose output has `begun`; a task without one comes alone."""
    for task in _tasks(record, wanted):
        attempts = record.attempts.get(task.name, [])
        if wanted.attempt is not None:
            attempts = _chosen_process(record, task, wanted)
            if not attempts:
                continue
        elif wanted.task is not None:
            chosen = {one.ref for one in _last(attempts)}
            attempts = [one for one in attempts if one.ref in chosen or (task.name, one.kind, one.n) in begun]
        if not attempts:
            yield task, None
        for attempt in attempts:
            yield task, attempt


def _over(record: RunRecord, wanted: Wanted) -> bool:
    """Whether nothing more can come."""
    if wanted.attempt is not None:
        return all(attempt is not None and attempt.state == "ended" for _, attempt in _shown(record, wanted))
    return all(task.final for task in _tasks(record, wanted))


class Printer:
    """Prints logs as they grow, each under its title; the raw bytes in a pipe, made visible on a terminal."""

    def __init__(self, invocation: Invocation, wanted: Wanted, lines: int | None, follow: bool) -> None:
        self.invocation = invocation
        self.wanted = wanted
        self.lines = lines
        self.follow = follow
        self.exact = wanted.attempt is not None and not invocation.tty
        self.offsets: dict[Key, int] = {}
        self.visible: dict[Key, Visible] = {}
        self.masks: dict[Key, Mask] = {}
        self.titled: Key | None = None
        self.said: set[str] = set()
        self.at_line_start = True
        self.now = invocation.now

    def show(self, record: RunRecord) -> None:
        """Print what has come since the last time."""
        for task, attempt in _shown(record, self.wanted, self.offsets):
            if attempt is None:
                self._say_not_begun(record, task)
            else:
                self._show(record, task, attempt)
        sys.stdout.flush()

    def finish(self, record: RunRecord) -> None:
        """End a line that the output left open, and say how what was followed ended."""
        if not self.exact and not self.at_line_start:
            self._write(b"\n")
        sys.stdout.flush()
        style = self.invocation.style(self.now)
        for task, attempt in _shown(record, self.wanted):
            if self.follow and attempt is not None:
                self.invocation.warn(style.rule(attempt_title(attempt, task, record.job(task).retries, style)))

    def _show(self, record: RunRecord, task: Task, attempt: Attempt) -> None:
        key = (task.name, attempt.kind, attempt.n)
        path = self.invocation.places.log(attempt.run, attempt.task, attempt.n, attempt.kind)
        first = key not in self.offsets
        more = self.follow and attempt.state != "ended"
        title = attempt_title(attempt, task, record.job(task).retries, self.invocation.style(self.now))
        if first:
            self.masks[key] = Mask(self.invocation.masks(record.job(task)))
        try:
            if first and self.lines is not None:
                data, self.offsets[key] = tail_of(path, self.lines)
                self._print(key, title, self._masked(iter([data]), key, more), first)
                return
            with Log(path, self.offsets.get(key, 0)) as log:
                self._print(key, title, self._masked(log.new(), key, more), first)
                self.offsets[key] = log.offset
        except FileNotFoundError:
            if first and attempt.state == "ended":
                self._title(key, title)
                self.invocation.warn("(no log is left of it)" if attempt.started_at is not None else "(it never ran: no output)")
                self.offsets[key] = 0
        except PermissionError:
            raise CronflowError(f"`{path}` may not be read by this user", "try again with `sudo`", Exit.NOT_PERMITTED) from None

    def _print(self, key: Key, title: str, pieces: Iterator[bytes], first: bool) -> None:
        if first:
            self._title(key, title)
        empty = True
        for piece in pieces:
            if piece and self.titled != key:
                self._title(key, title)
            empty = empty and not piece
            self._write(piece, key)
        if first and empty and not self.exact:
            self.invocation.warn("(no output)" if self.lines != 0 else "")

    def _masked(self, pieces: Iterator[bytes], key: Key, more: bool) -> Iterator[bytes]:
        """The output as it may be shown; `more` says whether some is still to come."""
        mask = self.masks[key]
        for piece in pieces:
            yield mask.feed(piece)
        if not more:
            yield mask.rest()

    def _title(self, key: Key, title: str) -> None:
        self.titled = key
        style = self.invocation.style()
        if self.exact:
            self.invocation.warn(style.rule(title))
            return
        if not self.at_line_start:
            self._write(b"\n")
        self.invocation.out(style.rule(title))
        sys.stdout.flush()

    def _say_not_begun(self, record: RunRecord, task: Task) -> None:
        if task.name in self.said or (self.follow and not task.final):
            return
        self.said.add(task.name)
        style = self.invocation.style(self.now)
        self.invocation.warn(style.rule(task_title(record, task, style)))

    def _write(self, data: bytes, key: Key | None = None) -> None:
        if not data:
            return
        self.at_line_start = data.endswith(b"\n")
        if self.invocation.tty:
            visible = self.visible.setdefault(key, Visible()) if key is not None else Visible()
            sys.stdout.write(visible.text(data))
        else:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()


def _json_lines(invocation: Invocation, record: RunRecord, wanted: Wanted, lines: int | None) -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for task, attempt in _shown(record, wanted):
        if attempt is None:
            continue
        path = invocation.places.log(attempt.run, attempt.task, attempt.n, attempt.kind)
        try:
            if lines is not None:
                data = tail_of(path, lines)[0]
            else:
                with Log(path) as log:
                    data = b"".join(log.new())
        except FileNotFoundError:
            continue
        text = masked(data.decode(errors="replace"), invocation.masks(record.job(task)))
        parts = text.split("\n")
        found += [
            {"run": attempt.run, "task": task.name, "attempt": attempt.n, "kind": attempt.kind, "text": line}
            for line in (parts[:-1] if parts[-1] == "" else parts)
        ]
    return found
