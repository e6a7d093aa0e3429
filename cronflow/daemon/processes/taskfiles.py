"""The files that a task is given: its state folder, its output file, the file for the items of a `foreach`, and the list of
the files that have caused its run.

All of them lie in the folder of the run, which belongs to the daemon: a job's user owns the files, but cannot put another thing
in their place. Where the daemon runs as that same user it can: nothing is followed, and nothing waited for.
"""

from __future__ import annotations

import dataclasses
import errno
import os
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from cronflow.core.events import AttemptEnded
from cronflow.core.jobs import Job
from cronflow.core.records import AttemptRef, Run, Task
from cronflow.core.run.outputs import FILE_LIMIT, ItemsError, read_items, read_outputs
from cronflow.core.state import LiveState
from cronflow.core.words import masked
from cronflow.daemon.processes.environment import Account, Unstartable, account
from cronflow.daemon.processes.secrets import Secrets
from cronflow.files import NotRegularError, read_regular
from cronflow.places import Places
from cronflow.store.store import Store

PATHS_LIMIT = 100_000
"""Bytes of the variable with the paths that have caused a run: a kernel takes up to 131,072 for one with its name (execve(2),
MAX_ARG_STRLEN)."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
PASSING = 0o011
"""Who may not read a folder may pass through it, to the files that are his."""
_SAFELY = os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK | os.O_NOFOLLOW


class UnreadableError(Exception):
    """What is in the place of a task's file was not written by the job's user: a sentence without its name."""


def prepare(places: Places, ref: AttemptRef, attempts: int, who: Account) -> dict[str, str]:
    """Make the state folder and the output file of an attempt, or leave them as they are; the variables that name them. On a full
    disk a command runs all the same, and finds them missing. OSError for anything else."""
    folder, output = places.task_state(ref.run, ref.task), places.output(ref.run, ref.task, attempts)
    try:
        with suppress(FileExistsError):
            in_run_folder(places, ref.run, lambda: os.mkdir(folder, 0o700))
            _give(folder, who)
        if who.uid != os.geteuid():
            _let_pass(places, ref.run)
        make_file(output, who)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
    return {"CRONFLOW_STATE_DIR": str(folder), "CRONFLOW_OUTPUT": str(output)}


def in_run_folder(places: Places, run: int, make: Callable[[], None]) -> None:
    """Make something in the folder for the files of a run; the folder itself where it is not there yet."""
    try:
        make()
    except FileNotFoundError:
        places.of_run(run).mkdir(mode=0o700, parents=True, exist_ok=True)
        make()


def make_file(path: Path, who: Account) -> None:
    """An empty file that belongs to a job's user. One that is there stays: it is this attempt's, asked for a second time."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _SAFELY, 0o600))
        _give(path, who)


def _give(path: Path, who: Account) -> None:
    if who.uid != os.geteuid():
        os.chown(path, who.uid, who.gid, follow_symlinks=False)


def _let_pass(places: Places, run: int) -> None:
    """Open the way to the folder of a run for other users, no more than that: what is in it stays unreadable."""
    home = places.state.parent
    ours = [home] if home.name == "cronflow" and home.stat().st_uid == os.geteuid() else []
    folder = places.of_run(run)
    for one in (*ours, places.state, folder.parent.parent, folder.parent, folder):
        mode = stat.S_IMODE(one.stat().st_mode)
        if mode & PASSING != PASSING:
            one.chmod(mode | PASSING)


def path_variables(run: Run, store: Store, places: Places) -> dict[str, str]:
    """CRONFLOW_TRIGGER_PATHS_FILE, and CRONFLOW_TRIGGER_PATHS where the list is not too long for it; nothing for a run that no
    files have caused. On a full disk a command runs all the same, and finds the file missing. OSError for anything else."""
    paths = store.paths(run.id) if run.trigger == "watch" or run.retry_of is not None else ()
    if not paths:
        return {}
    file = places.paths(run.id)
    if not file.exists():
        _write_list(file, paths)
    found = {"CRONFLOW_TRIGGER_PATHS_FILE": str(file)}
    lines = "\n".join(paths)
    if len(os.fsencode(lines)) <= PATHS_LIMIT:
        found["CRONFLOW_TRIGGER_PATHS"] = lines
    return found


def _write_list(file: Path, paths: Sequence[str]) -> None:
    """The list as a whole or not at all. All tasks of the run may read it, whoever their users are."""
    fresh = file.with_name("paths.new")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh.write_bytes(b"".join(os.fsencode(path) + b"\n" for path in paths))
        fresh.chmod(0o644)
        fresh.rename(file)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise


def read(path: Path, owner: int, limit: int) -> bytes:
    """What a job's user has written into a file, and one byte more than `limit` if there is more; b"" without a file.

    UnreadableError for anything but a regular file of that user."""
    try:
        data, found = read_regular(path, limit, os.O_NOFOLLOW)
    except FileNotFoundError:
        return b""
    except OSError as error:
        if isinstance(error, NotRegularError | IsADirectoryError) or error.errno in (errno.ELOOP, errno.ENXIO):
            raise UnreadableError("is no regular file") from None
        raise UnreadableError(f"cannot be read: {(error.strerror or '').lower()}") from None
    if found.st_uid not in (owner, os.geteuid()) or found.st_nlink > 1:
        raise UnreadableError("is not the file that the task was given")
    return data


def append(log: str | Path, lines: Iterable[str]) -> None:
    """Append remarks of our own to the output of an attempt. Where that fails, they are lost, as its output would be."""
    text = "".join(f"cronflow: {line}\n" for line in lines)
    if not text:
        return
    with suppress(OSError):
        fd = os.open(log, os.O_RDWR | os.O_APPEND | _SAFELY)
        with open(fd, "r+b", buffering=0) as file:
            size = os.fstat(fd).st_size
            begun = size > 0 and os.pread(fd, 1, size - 1) not in (b"\n", b"")
            file.write((b"\n" if begun else b"") + text.encode(errors="replace"))


# ---- what an attempt has left ---------------------------------------------------------------------------------------------


def complete(event: AttemptEnded, state: LiveState, places: Places, secrets: Secrets) -> AttemptEnded:
    """The end of an attempt; of a command with its outputs, of a `foreach` with its items. Known values of secrets are masked in
    all that is kept. What cannot be taken is said in the log of the attempt."""
    found = state.live_at(event.ref)
    if found is None:
        return event
    task, _ = found
    job = state.job(state.runs[task.run], task)
    if event.reason is None and event.ref.kind == "command":
        event = _with_outputs(event, job, task, places)
    elif event.reason is None and event.ref.kind == "foreach":
        event = _with_items(event, job, places)
    masks = secrets.masks(job)
    if not masks:
        return event
    return dataclasses.replace(
        event,
        outputs=tuple((key, masked(value, masks)) for key, value in event.outputs),
        items=tuple(masked(item, masks) for item in event.items),
        left_behind=tuple(masked(line, masks) for line in event.left_behind),
    )


def _with_outputs(event: AttemptEnded, job: Job, task: Task, places: Places) -> AttemptEnded:
    log = places.log(event.ref.run, event.ref.task, event.ref.n)
    try:
        path = places.output(event.ref.run, event.ref.task, task.attempts)
        found = read_outputs(read(path, account(job).uid, FILE_LIMIT))
    except (UnreadableError, Unstartable) as fact:
        append(log, [f"the output file was not taken: it {fact}"])
        return event
    append(log, found.faults)
    return dataclasses.replace(event, outputs=found.pairs)


def _with_items(event: AttemptEnded, job: Job, places: Places) -> AttemptEnded:
    """The items of a `foreach` that has succeeded; one that printed too much has been cut off, whatever its status is."""
    try:
        data = read(places.items(event.ref.run, event.ref.task, event.ref.n), account(job).uid, FILE_LIMIT)
        if event.exit_code != 0 and len(data) <= FILE_LIMIT:
            return event
        found = read_items(data)
    except (UnreadableError, Unstartable) as fact:
        return dataclasses.replace(event, reason="foreach", message=f"what `foreach` printed {fact}")
    except ItemsError as fact:
        return dataclasses.replace(event, reason="foreach", message=str(fact))
    append(places.log(event.ref.run, event.ref.task, event.ref.n, "foreach"), found.faults)
    return dataclasses.replace(event, items=found.items)


def clear(ref: AttemptRef, places: Places) -> None:
    """Remove the file of a `foreach`'s items, once its end is saved: they are in the database."""
    if ref.kind == "foreach":
        with suppress(OSError):  # it goes with the run, later
            places.items(ref.run, ref.task, ref.n).unlink()
