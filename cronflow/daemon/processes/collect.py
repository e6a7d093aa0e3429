"""What an attempt has left in its files, put into the event of its end before the engine hears of it."""

from __future__ import annotations

import contextlib
import dataclasses

from cronflow.core.events import AttemptEnded
from cronflow.core.jobs import Job
from cronflow.core.records import AttemptRef, Task
from cronflow.core.run.outputs import FILE_LIMIT, ItemsError, read_items, read_outputs
from cronflow.core.state import LiveState
from cronflow.core.words import masked
from cronflow.daemon.processes import taskfiles
from cronflow.daemon.processes.environment import Unstartable, account
from cronflow.daemon.processes.secrets import Secrets
from cronflow.places import Places


def complete(event: AttemptEnded, state: LiveState, places: Places, secrets: Secrets) -> AttemptEnded:
    """The end of an attempt; of a command with its outputs, of a `foreach` with its items. Known values of secrets are masked in
    all that is kept. What cannot be taken is said in the log of the attempt."""
    task = state.task_at(event.ref)
    if task is None:
        return event
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
        found = read_outputs(taskfiles.read(path, account(job).uid, FILE_LIMIT))
    except (taskfiles.UnreadableError, Unstartable) as fact:
        taskfiles.append(log, [f"the output file was not taken: it {fact}"])
        return event
    taskfiles.append(log, found.faults)
    return dataclasses.replace(event, outputs=found.pairs)


def _with_items(event: AttemptEnded, job: Job, places: Places) -> AttemptEnded:
    """The items of a `foreach` that has succeeded; one that printed too much has been cut off, whatever its status is."""
    try:
        data = taskfiles.read(places.items(event.ref.run, event.ref.task, event.ref.n), account(job).uid, FILE_LIMIT)
        if event.exit_code != 0 and len(data) <= FILE_LIMIT:
            return event
        found = read_items(data)
    except (taskfiles.UnreadableError, Unstartable) as fact:
        return dataclasses.replace(event, reason="foreach", message=f"what `foreach` printed {fact}")
    except ItemsError as fact:
        return dataclasses.replace(event, reason="foreach", message=str(fact))
    taskfiles.append(places.log(event.ref.run, event.ref.task, event.ref.n, "foreach"), found.faults)
    return dataclasses.replace(event, items=found.items)


def clear(ref: AttemptRef, places: Places) -> None:
    """Remove the file of a `foreach`'s items, once its end is saved: they are in the database."""
    if ref.kind == "foreach":
        with contextlib.suppress(OSError):  # it goes with the run, later
            places.items(ref.run, ref.task, ref.n).unlink()
