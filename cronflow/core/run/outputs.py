"""What a task hands on: the lines of its output file, the items that a `foreach` prints, and the names under which the tasks
after it find its outputs in their environment.

Bytes come in as they were written; what they lack to be taken is said in sentences for the log of the attempt.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from cronflow.core.jobs import Job
from cronflow.core.plan.copies import paired
from cronflow.core.records import Run, Task
from cronflow.core.words import count, end_cut, plain

FILE_LIMIT = 1_000_000
"""Bytes of an output file, and of what a `foreach` prints."""
KEYS_LIMIT = 1000
VALUE_LIMIT = 100_000
"""Bytes of one value: a kernel takes up to 131,072 for a variable with its name (execve(2), MAX_ARG_STRLEN)."""
ITEMS_LIMIT = 1000
ITEM_LIMIT = 4096
ENVIRONMENT_LIMIT = 1_000_000
"""Bytes of all outputs that one command is given."""
FAULTS_TOLD = 20
KEY = re.compile(rb"[A-Za-z_][A-Za-z0-9_.-]*")


class Outputs(NamedTuple):
    """What an output file holds, and what of it was not taken."""

    pairs: tuple[tuple[str, str], ...]
    faults: tuple[str, ...] = ()


class Items(NamedTuple):
    """What a `foreach` printed, and what is to be said about it."""

    items: tuple[str, ...]
    faults: tuple[str, ...] = ()


class ItemsError(ValueError):
    """A list of items that is none: a sentence that names the line, or the limit."""


def read_outputs(data: bytes) -> Outputs:
    """The `key=value` lines of an output file; of a key that is written twice the last value. `data` may be longer than the limit
    by a byte, to show that there is more."""
    found: dict[str, str] = {}
    faults: list[str] = []
    lines = data.split(b"\n")
    if len(data) > FILE_LIMIT:
        limit = f"the output file is larger than {FILE_LIMIT // 1_000_000} MB"
        faults.append(f"{limit}: line {len(lines)} and all after it are left out")
        lines.pop()
    for number, line in enumerate(lines, 1):
        line = line.removesuffix(b"\r")
        if not line.strip():
            continue
        fault = _fault(line, found)
        if fault is None:
            key, _, value = line.decode().partition("=")
            found[key] = value
        else:
            faults.append(f"output line {number} {fault}: {_beginning(line)}")
    if len(faults) > FAULTS_TOLD + 1:
        faults[FAULTS_TOLD:] = [f"{count(len(faults) - FAULTS_TOLD, 'more line')} of the output file were not taken"]
    return Outputs(tuple(found.items()), tuple(faults))


def _fault(line: bytes, found: Mapping[str, str]) -> str | None:
    """Why a line is not taken, or None."""
    key, sign, value = line.partition(b"=")
    if not sign or not KEY.fullmatch(key):
        return "is no `key=value`"
    if b"\0" in value:
        return "has a NUL character"
    if len(value) > VALUE_LIMIT:
        return f"has a value of more than {VALUE_LIMIT // 1000} kB"
    try:
        value.decode()
    except UnicodeDecodeError:
        return "is no UTF-8"
    if len(found) >= KEYS_LIMIT and key.decode() not in found:
        return f"is beyond the {KEYS_LIMIT:,} keys that a task may have"
    return None


def _beginning(line: bytes) -> str:
    return f'"{end_cut(plain(line[:200].decode(errors="replace")), 60)}"'


def read_items(data: bytes) -> Items:
    """The items of a `foreach`, each line one; empty lines are left out, and what was there already. More than the limits allow,
    or a line that cannot be a value, is an ItemsError: an item is never left out in silence."""
    if len(data) > FILE_LIMIT:
        raise ItemsError(f"`foreach` printed more than {FILE_LIMIT // 1_000_000} MB")
    items: dict[str, None] = {}
    twice = 0
    for number, line in enumerate(data.split(b"\n"), 1):
        line = line.removesuffix(b"\r")
        if not line.strip():
            continue
        if len(line) > ITEM_LIMIT:
            raise ItemsError(f"line {number} of what `foreach` printed is longer than {ITEM_LIMIT} bytes")
        if b"\0" in line:
            raise ItemsError(f"line {number} of what `foreach` printed has a NUL character")
        try:
            item = line.decode()
        except UnicodeDecodeError:
            raise ItemsError(f"line {number} of what `foreach` printed is no UTF-8") from None
        twice += item in items
        items[item] = None
        if len(items) > ITEMS_LIMIT:
            raise ItemsError(f"`foreach` printed more than {ITEMS_LIMIT:,} items")
    told = f"{count(twice, 'item')} printed by `foreach` {'was' if twice == 1 else 'were'} there already: each is run once"
    return Items(tuple(items), (told,) if twice else ())


def env_name(name: str) -> str:
    """A job, task or key as a part of a variable's name: upper case, all but letters and digits `_`; `load[eu]` is LOAD_EU."""
    return re.sub(r"[^A-Z0-9]", "_", name.removesuffix("]").upper(), flags=re.ASCII)


def handed_down(jobs: Mapping[str, Job], run: Run, task: Task, givers: Collection[str]) -> dict[str, str]:
    """The outputs of all tasks before one in its run, by variable: CRONFLOW_OUTPUT_<JOB>__<KEY>.

    `jobs` are those of the run's definition, `givers` at least those of them that have outputs in this run. Of the copies of a
    job the one with the same values stands for the job, if `matrix_join` joins copy by copy; else each is called by its own
    name."""
    found: dict[str, str] = {}
    before = _before(jobs, task.job) if givers else []
    for name in [one for one in before if one in givers]:
        for prefix, upstream in _copies(jobs, run, task, name):
            for key, value in upstream.outputs.items():
                found[f"CRONFLOW_OUTPUT_{env_name(prefix)}__{env_name(key)}"] = value
    return found


def _before(jobs: Mapping[str, Job], job: str) -> list[str]:
    """All jobs that one comes after, directly or not, farthest first, so that of two equal names the nearest one counts."""
    seen = {job: None}
    todo = [job]
    while todo:
        for edge in jobs[todo.pop()].after:
            if edge.job in jobs and edge.job not in seen:
                seen[edge.job] = None
                todo.append(edge.job)
    del seen[job]
    return list(reversed(seen))


def _copies(jobs: Mapping[str, Job], run: Run, task: Task, upstream: str) -> Iterator[tuple[str, Task]]:
    """The tasks of an upstream job, each with the name that its outputs bear."""
    if not jobs[upstream].copies:
        if upstream in run.tasks:
            yield upstream, run.tasks[upstream]
        return
    pair = paired(jobs, upstream, jobs[task.job])
    for other in run.tasks.values():
        if other.job == upstream and (not pair or other.matrix == task.matrix):
            yield upstream if pair else other.name, other


def fitting(variables: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The variables for which a command's environment has room, and the names of those that are left out."""
    kept: dict[str, str] = {}
    left_out: list[str] = []
    room = ENVIRONMENT_LIMIT
    for name, value in variables.items():
        size = len(name) + len(value.encode()) + 2
        if size > room:
            left_out.append(name)
        else:
            kept[name] = value
            room -= size
    return kept, tuple(left_out)
